//! `kurultai agents lead`, `hand-back` and `leader`.

use crate::{
    output::{Done, Stop, say, say_all, say_json, table, text, whole, wrapped},
    service::terminated,
    text::{clean, duration, utc},
};
use kurultai_core::{
    Error, Kind, Kurultai,
    agents::{FailoverEvent, HandBack as How, Lead as Plan, Leadership, RoleLease},
};
use std::time::Duration;

#[derive(Debug, clap::Args)]
pub(crate) struct Lead {
    /// The role, as router
    role: String,
    /// Who holds it
    agent: String,
    /// How long the lease lasts without renewal; it is renewed three times as often
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = duration)]
    ttl: Duration,
    /// How long to wait while somebody else holds it
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = duration)]
    wait: Duration,
    /// Why, for the event role.changed
    #[arg(long)]
    reason: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct HandBack {
    role: String,
    /// Who holds it
    agent: String,
    /// Who alone may take it in the next 30 seconds
    #[arg(long, value_name = "AGENT")]
    to: Option<String>,
    /// Why, for the event role.changed
    #[arg(long)]
    reason: Option<String>,
}

impl Lead {
    /// Until the process is asked to end, which hands the role back, or until it is lost.
    pub(crate) async fn run(self, kurultai: &Kurultai, json: bool) -> Done {
        let plan = Plan { ttl: self.ttl, wait: self.wait, reason: self.reason };
        let agents = kurultai.agents();
        let held: Leadership = tokio::select! {
            held = agents.lead(&self.role, &self.agent, plan) => held?,
            () = asked_to_end() => return Ok(()),
        };
        tell(json, "leads", &held.lease())?;
        tokio::select! {
            () = held.lost() => {
                let RoleLease { role, holder, term, .. } = held.lease();
                let message = format!("{holder} has lost the role {role:?} of term {term}");
                Err(Stop::Failed(Error::new(Kind::LeaseLost, "role.stale_term", message)))
            }
            () = asked_to_end() => {
                let lease = held.hand_back(How::default()).await?;
                tell(json, "handed back", &lease)
            }
        }
    }
}

impl HandBack {
    pub(crate) async fn run(self, kurultai: &Kurultai, json: bool) -> Done {
        let how = How { to: self.to, reason: self.reason };
        let lease = kurultai.agents().hand_back(&self.role, &self.agent, how).await?;
        tell(json, "handed back", &lease)
    }
}

pub(crate) async fn leader(role: &str, kurultai: &Kurultai, json: bool) -> Done {
    match kurultai.agents().leader(role).await? {
        Some(lease) if json => say_json(&lease),
        None if json => say_json(&()),
        Some(RoleLease { holder, term, expires_at, .. }) => {
            say(format!("{holder}, term {term}, until {}", utc(expires_at)))
        }
        None => say(format!("nobody holds the role {}", clean(role))),
    }
}

pub(crate) async fn failovers(active: bool, kurultai: &Kurultai, json: bool) -> Done {
    let all = kurultai.agents().failovers(active.then_some(true), None).await?;
    if json {
        return say_json(&all);
    }
    if all.is_empty() {
        return say("no role is away from where it belongs");
    }
    let columns = [
        whole("SINCE"),
        text("ROLE"),
        text("FROM"),
        text("TO"),
        whole("BY"),
        whole("STATUS"),
        wrapped("WHY"),
    ];
    let row = |one: &FailoverEvent| {
        let FailoverEvent { role, from_agent, to_agent, reason, triggered_by, activated_at, status, .. } =
            one;
        let (by, status) = (triggered_by.to_string(), status.to_string());
        vec![
            utc(*activated_at),
            role.clone(),
            from_agent.clone(),
            to_agent.clone(),
            by,
            status,
            reason.clone(),
        ]
    };
    say_all(&table(&columns, &all.iter().map(row).collect::<Vec<_>>()))
}

/// SIGTERM or Ctrl-C.
async fn asked_to_end() {
    tokio::select! {
        () = terminated() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}

fn tell(json: bool, what: &str, lease: &RoleLease) -> Done {
    if json {
        let mut said = serde_json::json!(lease);
        said["what"] = what.into();
        return say_json(&said);
    }
    let RoleLease { role, holder, term, expires_at, .. } = lease;
    match what {
        "leads" => say(format!("{holder} leads {}, term {term}, until {}", clean(role), utc(*expires_at))),
        _ => say(format!("{holder} has handed back {}, term {term}", clean(role))),
    }
}

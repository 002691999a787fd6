//! `kurultai verify`: what operators run after a deployment. One line a check; exit 1 where one fails.

use crate::{
    Place,
    output::{Done, Stop, say, say_json},
    text::{clean, span},
    watch::Silences,
};
use kurultai_core::{
    Kurultai, Result,
    agents::{AgentHealth, NewAgent, Thresholds, Watch},
    clock::monotonic,
    ids,
    tasks::{Claim, NewTask},
};
use serde::Serialize;
use std::time::Duration;
use tokio::time::sleep;

/// By more than that, times that other programs write are no use.
const CLOCKS: Duration = Duration::from_secs(5);
/// With `--strict`, how old the last sign of either tier may be.
const STRICT: Duration = Duration::from_secs(60);

#[derive(Debug, clap::Args)]
pub(crate) struct Verify {
    /// Both tiers of every agent within 60 s, whether it holds a task or not
    #[arg(long)]
    strict: bool,
    #[command(flatten)]
    silences: Silences,
}

#[derive(Debug, Serialize)]
struct Check {
    check: &'static str,
    ok: bool,
    text: String,
}

impl Verify {
    pub(crate) async fn run(self, kurultai: &Kurultai, place: &Place) -> Done {
        let health = kurultai.agents().health(self.silences.thresholds()).await?;
        let checks = vec![
            store(kurultai).await,
            schema(kurultai).await,
            clocks(kurultai).await,
            self.infra(&health),
            self.functional(&health),
            takeover(kurultai, place).await,
        ];
        let ok = checks.iter().all(|check| check.ok);
        if place.json {
            say_json(&serde_json::json!({"ok": ok, "checks": checks}))?;
        } else {
            for Check { check, ok, text } in &checks {
                say(format!("{}  {check:<10}  {}", if *ok { "ok  " } else { "FAIL" }, clean(text)))?;
            }
        }
        if ok { Ok(()) } else { Err(Stop::Exit(1)) }
    }

    /// The containers live.
    fn infra(&self, health: &[AgentHealth]) -> Check {
        let most = if self.strict { STRICT } else { self.silences.thresholds().dead_after };
        let fresh = |age: Option<Duration>| age.is_some_and(|age| age <= most);
        // A sign of work is one that the process runs.
        let silent =
            health.iter().filter(|h| !fresh(h.infra_age) && (self.strict || !fresh(h.functional_age)));
        let silent: Vec<String> = silent.map(|h| format!("{}: {}", h.agent, age(h.infra_age))).collect();
        let text = match (health.len(), silent.is_empty()) {
            (0, _) => "no agent is registered".to_owned(),
            (count, true) => format!("all {count} agents gave a sign within {}", span(most.as_secs_f64())),
            (_, false) => {
                format!("no sign for more than {}: {}", span(most.as_secs_f64()), silent.join("; "))
            }
        };
        Check { check: "infra", ok: silent.is_empty() && !health.is_empty(), text }
    }

    /// Those that hold a task work on it.
    fn functional(&self, health: &[AgentHealth]) -> Check {
        let most = if self.strict { STRICT } else { self.silences.thresholds().stuck_after };
        let asked = |h: &&AgentHealth| self.strict || h.holds > 0;
        let late = |h: &&AgentHealth| h.functional_age.is_none_or(|age| age > most);
        let lines = |h: &AgentHealth| format!("{}: {}", h.agent, h.reason);
        let failing: Vec<String> = health.iter().filter(asked).filter(late).map(lines).collect();
        let idle: Vec<String> = health.iter().filter(|h| !asked(h)).map(|h| h.agent.clone()).collect();
        let text = if !failing.is_empty() {
            format!("no sign of work for more than {}: {}", span(most.as_secs_f64()), failing.join("; "))
        } else if idle.is_empty() {
            "everybody works".to_owned()
        } else {
            format!("whoever holds a task works on it; idle, which is normal: {}", idle.join(", "))
        };
        Check { check: "functional", ok: failing.is_empty(), text }
    }
}

fn age(age: Option<Duration>) -> String {
    age.map_or("never".to_owned(), |age| format!("{} ago", span(age.as_secs_f64())))
}

fn told(check: &'static str, found: Result<String, String>) -> Check {
    let ok = found.is_ok();
    Check { check, ok, text: found.unwrap_or_else(|text| text) }
}

async fn store(kurultai: &Kurultai) -> Check {
    let begun = monotonic();
    let answered = kurultai.events().last_seq().await;
    let (store, namespace) = (kurultai.store_name(), kurultai.namespace());
    let found = answered.map(|seq| {
        let millis = begun.elapsed().as_millis();
        format!("{store} answers within {millis} ms; team {namespace}, {seq} events")
    });
    told("store", found.map_err(|error| error.to_string()))
}

async fn schema(kurultai: &Kurultai) -> Check {
    let found = match kurultai.missing_schema().await {
        Ok(missing) if missing.is_empty() => Ok("tables, constraints and indexes are there".to_owned()),
        Ok(missing) => Err(format!("missing or not ready: {}; run `kurultai migrate`", missing.join(", "))),
        Err(error) => Err(error.to_string()),
    };
    told("schema", found)
}

async fn clocks(kurultai: &Kurultai) -> Check {
    let found = match kurultai.clock_difference().await {
        Ok(difference) => {
            let size = Duration::from_millis(difference.num_milliseconds().unsigned_abs());
            let text =
                format!("the store's clock differs from this machine's by {}", span(size.as_secs_f64()));
            if size <= CLOCKS { Ok(text) } else { Err(text) }
        }
        Err(error) => Err(error.to_string()),
    };
    told("clocks", found)
}

/// An agent dies in a namespace of its own, a watcher finds it, and its task moves on.
async fn takeover(kurultai: &Kurultai, place: &Place) -> Check {
    let namespace = format!("verify-{}", ids::new_id());
    let found = rehearse(place, &namespace).await;
    // Also after a rehearsal that has failed.
    let gone = kurultai.delete_namespace(&namespace).await;
    let found = found.map_err(|error| error.to_string()).flatten();
    told("takeover", gone.map_err(|error| format!("{namespace} was not removed: {error}")).and(found))
}

async fn rehearse(place: &Place, namespace: &str) -> Result<Result<String, String>> {
    let team = Kurultai::open_with(place.config()?.namespace(namespace)?).await?;
    let (agents, tasks) = (team.agents(), team.tasks());
    agents.register_many(vec![NewAgent::new("victim"), NewAgent::new("heir")]).await?;
    let task = tasks.enqueue(NewTask::new("rehearsal")).await?.id;
    tasks.claim(Claim::new("victim").lease(Duration::from_secs(3_600))).await?;
    let begun = monotonic();
    let thresholds = Thresholds::default().dead_after(Duration::from_secs(1));
    let mut watcher =
        agents.watcher(Watch::default().every(Duration::from_millis(250)).thresholds(thresholds))?;
    let found = loop {
        agents.beat("heir").await?;
        let watched = watcher.check().await?;
        if watched.dead == ["victim"] {
            break true;
        }
        if begun.elapsed() > Duration::from_secs(10) {
            break false;
        }
        sleep(Duration::from_millis(250)).await;
    };
    let seconds = span(begun.elapsed().as_secs_f64());
    let claimed = tasks.claim(Claim::new("heir")).await?;
    let moved = claimed.iter().any(|claimed| claimed.id == task);
    team.close().await;
    Ok(match (found, moved) {
        (true, true) => Ok(format!("a rehearsed death was found after {seconds}, and its task went on")),
        (true, false) => Err("a rehearsed death was found, but its task did not move".to_owned()),
        (false, _) => Err(format!("a rehearsed death was not found within {seconds}")),
    })
}

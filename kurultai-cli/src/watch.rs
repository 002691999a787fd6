//! `kurultai watch`: declares agents dead, and says how the team fares.

use crate::{
    Place, on_alert,
    output::{Done, Stop, remark, say, say_json},
    service::{misconfigured, opened, terminated},
    text::{clean, count, duration, now, utc},
};
use kurultai_core::{
    Error, Kurultai,
    agents::{AgentHealth, Health, Thresholds, Watch as Plan, Watched},
    events::{Alert, AlertState},
};
use std::{collections::HashMap, pin::pin, time::Duration};
use tokio::time::{MissedTickBehavior, interval, timeout};

/// How long it waits at the end until the store has let go.
const FAREWELL: Duration = Duration::from_secs(2);

/// From which silence on an agent is dead or stuck.
#[derive(Debug, clap::Args)]
pub(crate) struct Silences {
    /// Dead after so long without any sign
    #[arg(long, value_name = "DURATION", default_value = "120s", value_parser = duration)]
    dead_after: Duration,
    /// Stuck after so long without a sign of work, while it holds a task
    #[arg(long, value_name = "DURATION", default_value = "90s", value_parser = duration)]
    stuck_after: Duration,
}

impl Silences {
    pub(crate) fn thresholds(&self) -> Thresholds {
        Thresholds::default().dead_after(self.dead_after).stuck_after(self.stuck_after)
    }
}

#[derive(Debug, clap::Args)]
pub(crate) struct Watch {
    /// The time from one check to the next, at most half of --dead-after
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = duration)]
    every: Duration,
    #[command(flatten)]
    silences: Silences,
    /// Run by the shell for each alert that this watcher raises or clears: its text on stdin, KURULTAI_ALERT_KEY,
    /// KURULTAI_ALERT_SEVERITY (warning, critical) and KURULTAI_ALERT_STATE (raised, cleared) in the environment, 30 s at
    /// most
    #[arg(long, value_name = "COMMAND")]
    on_alert: Option<String>,
    /// The agent that watches; of the watches that name one, one at a time declares
    #[arg(long)]
    agent: Option<String>,
    /// A role and its candidates, the first of whom it belongs to, as router=kublai,ogedei; each runs a watch of its own
    #[arg(long = "role", value_name = "ROLE=AGENT,AGENT", value_parser = role, requires = "agent")]
    roles: Vec<(String, Vec<String>)>,
}

fn role(text: &str) -> Result<(String, Vec<String>), String> {
    let (role, candidates) =
        text.split_once('=').ok_or("a role and its candidates, as router=kublai,ogedei")?;
    Ok((role.to_owned(), candidates.split(',').map(str::to_owned).collect()))
}

impl Watch {
    /// Until the process is asked to end. Only a bad configuration ends it before.
    pub(crate) async fn run(self, place: &Place) -> Done {
        let store = place.config().map_err(misconfigured)?;
        let mut told = Told { json: place.json, ..Told::default() };
        let mut terminated = pin!(terminated());
        let kurultai = tokio::select! {
            opened = opened(store, |error, _| told.lost(error)) => opened?,
            () = &mut terminated => return Ok(()),
        };
        let ended = tokio::select! {
            ended = self.watch(&kurultai, &mut told) => ended,
            () = &mut terminated => Ok(()),
        };
        drop(timeout(FAREWELL, kurultai.close()).await);
        ended
    }

    async fn watch(&self, kurultai: &Kurultai, told: &mut Told) -> Done {
        let plan = Plan {
            every: self.every,
            thresholds: self.silences.thresholds(),
            agent: self.agent.clone(),
            roles: self.roles.iter().cloned().collect(),
        };
        let mut watcher = kurultai.agents().watcher(plan).map_err(misconfigured)?;
        let mut ticks = interval(self.every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            match watcher.check().await {
                Ok(watched) => {
                    if let Some(command) = &self.on_alert {
                        watched.alerts.iter().for_each(|alert| on_alert::tell(command, alert));
                    }
                    told.tell(watched)?;
                }
                // Whatever it was, the next check may be answered.
                Err(error) => told.lost(&error)?,
            }
        }
    }
}

/// What was said last, so that only what is new is said.
#[derive(Default)]
struct Told {
    json: bool,
    states: HashMap<String, Health>,
    suspects: Vec<String>,
    alone: Vec<String>,
    store: Store,
}

/// How the store fared at the last look.
#[derive(Default, PartialEq)]
enum Store {
    #[default]
    Unknown,
    Answered,
    /// With the error's code.
    Failed(&'static str),
}

impl Told {
    fn tell(&mut self, watched: Watched) -> Done {
        if self.is_new(Store::Answered) {
            self.say("watching", "", &count(watched.health.len(), "agent"))?;
        }
        for agent in &watched.dead {
            self.states.insert(agent.clone(), Health::Dead);
            let held = watched.health.iter().any(|health| health.agent == *agent && health.holds > 0);
            let what = if held { "its tasks are in the queue again" } else { "it held no task" };
            self.say("declared dead", agent, what)?;
        }
        for agent in &watched.recovered {
            self.say("recovered", agent, "it was declared dead before")?;
        }
        if watched.suspects != self.suspects {
            if !watched.suspects.is_empty() {
                let who = watched.suspects.join(", ");
                self.say("suspect", "", &format!("{who} fell silent at once; none is declared dead"))?;
            }
            self.suspects = watched.suspects;
        }
        for role in &watched.took {
            self.say("leads", role, "this watch holds the role")?;
        }
        for role in &watched.handed_back {
            self.say("handed back", role, "the role goes back to whom it belongs")?;
        }
        if watched.released > 0 {
            let what = format!(
                "{}, assigned to dead or draining agents, are anybody's",
                count(watched.released, "task")
            );
            self.say("released", "", &what)?;
        }
        if watched.alone != self.alone {
            if !watched.alone.is_empty() {
                let roles = watched.alone.join(", ");
                self.say(
                    "alone",
                    "",
                    &format!("{roles}: fewer than two candidates live; nobody would take over"),
                )?;
            }
            self.alone = watched.alone;
        }
        for AgentHealth { agent, state, reason, .. } in watched.health {
            // What was just declared was read before.
            let declared = watched.dead.contains(&agent);
            if !declared && self.states.insert(agent.clone(), state) != Some(state) {
                self.say(state.as_str(), &agent, &reason)?;
            }
        }
        for Alert { severity, state, text, .. } in watched.alerts {
            let what = if state == AlertState::Raised { severity.as_str() } else { state.as_str() };
            self.say(what, "", &text)?;
        }
        Ok(())
    }

    /// The store cannot be read.
    fn lost(&mut self, error: &Error) -> Done {
        if self.is_new(Store::Failed(error.code())) {
            self.say("unwatched", "", error.message())?;
        }
        Ok(())
    }

    fn is_new(&mut self, store: Store) -> bool {
        let new = self.store != store;
        self.store = store;
        new
    }

    /// A disk that takes no line is no reason to stop watching.
    fn say(&self, what: &str, agent: &str, text: &str) -> Done {
        let said = if self.json {
            let agent = (!agent.is_empty()).then_some(agent);
            say_json(&serde_json::json!({"at": now(), "what": what, "agent": agent, "text": text}))
        } else {
            say(format!("{}  {what:<13}  {:<16}  {}", utc(now()), clean(agent), clean(text)))
        };
        match said {
            Err(Stop::Failed(error)) => {
                remark(error.message());
                Ok(())
            }
            said => said,
        }
    }
}

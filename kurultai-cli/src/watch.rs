//! `kurultai watch`: declares agents dead, and says how the team fares.

use crate::{
    heartbeat::terminated,
    output::{Done, say, say_json},
    text::{clean, duration, now, utc},
};
use kurultai_core::{
    Error, Kind, Kurultai,
    agents::{AgentHealth, Health, Thresholds, Watch as Plan, Watched},
};
use std::{collections::HashMap, time::Duration};
use tokio::time::{MissedTickBehavior, interval};

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
}

impl Watch {
    /// Until the process is asked to end.
    pub(crate) async fn run(self, kurultai: &Kurultai, json: bool) -> Done {
        let plan = Plan::default().every(self.every).thresholds(self.silences.thresholds());
        let mut watcher = kurultai.agents().watcher(plan)?;
        let mut told = Told::default();
        let mut ticks = interval(self.every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let watching = async {
            loop {
                ticks.tick().await;
                match watcher.check().await {
                    Ok(watched) => told.tell(watched, json)?,
                    Err(error) if !error.retryable() && error.kind() != Kind::Storage => {
                        return Err(error.into());
                    }
                    Err(error) => told.lost(&error, json)?,
                }
            }
        };
        tokio::select! {
            ended = watching => ended,
            () = terminated() => Ok(()),
        }
    }
}

/// What was said last, so that only what is new is said.
#[derive(Default)]
struct Told {
    states: HashMap<String, Health>,
    suspects: Vec<String>,
    /// Whether the store could be read at the last check; `None` before the first.
    watching: Option<bool>,
}

impl Told {
    fn tell(&mut self, watched: Watched, json: bool) -> Done {
        if self.watching.replace(true) != Some(true) {
            self.say(json, "watching", "", &format!("{} agents", watched.health.len()))?;
        }
        for agent in &watched.dead {
            self.states.insert(agent.clone(), Health::Dead);
            self.say(json, "declared dead", agent, "its tasks are in the queue again")?;
        }
        for agent in &watched.recovered {
            self.say(json, "recovered", agent, "it was declared dead before")?;
        }
        if watched.suspects != self.suspects {
            if !watched.suspects.is_empty() {
                let who = watched.suspects.join(", ");
                self.say(json, "suspect", "", &format!("{who} fell silent at once; none is declared dead"))?;
            }
            self.suspects = watched.suspects;
        }
        for AgentHealth { agent, state, reason, .. } in watched.health {
            // What was just declared was read before.
            let declared = watched.dead.contains(&agent);
            if !declared && self.states.insert(agent.clone(), state) != Some(state) {
                self.say(json, state.as_str(), &agent, &reason)?;
            }
        }
        Ok(())
    }

    /// The store cannot be read.
    fn lost(&mut self, error: &Error, json: bool) -> Done {
        if self.watching.replace(false) != Some(false) {
            self.say(json, "unwatched", "", error.message())?;
        }
        Ok(())
    }

    fn say(&self, json: bool, what: &str, agent: &str, text: &str) -> Done {
        if json {
            let agent = (!agent.is_empty()).then_some(agent);
            return say_json(&serde_json::json!({"at": now(), "what": what, "agent": agent, "text": text}));
        }
        say(format!("{}  {what:<13}  {agent:<16}  {}", utc(now()), clean(text)))
    }
}

//! What a watcher sees that people should know of.

use super::{
    health::{AgentHealth, Thresholds},
    signs::{Declared, Signs},
};
use crate::{
    error::Result,
    events::alerts::{Alert, Observation, Observations, Severity},
};
use async_trait::async_trait;
use std::fmt;

const DEAD: &str = "agent.dead";
const SILENT: &str = "agent.silent";

/// Who is told what a watcher sees, adds what else may burn, and tells the team.
#[async_trait]
pub(crate) trait Alarms: fmt::Debug + Send + Sync {
    /// Returns what has been told now, which nobody else has.
    async fn tell(&self, seen: Observations) -> Result<Vec<Alert>>;
}

/// Of one check.
pub(super) fn observations(
    signs: &Signs,
    declared: &Declared,
    suspects: &[String],
    health: &[AgentHealth],
    thresholds: Thresholds,
) -> Observations {
    let is_dead = |agent: &String, was: bool| {
        declared.dead.contains(agent) || (was && !declared.recovered.contains(agent))
    };
    let dead = signs.agents.iter().filter(|sign| is_dead(&sign.agent, sign.is_dead()));
    let mut each: Vec<Observation> = dead
        .map(|sign| {
            let text = format!("{} is dead: nothing has been heard of it", sign.agent);
            Observation::new(format!("{DEAD}:{}", sign.agent), Severity::Critical, text)
        })
        .collect();
    let critical = Some(Severity::Critical);
    // Who has just begun to look cannot know that it is over.
    let is_young = health.iter().any(|health| health.watched_for < thresholds.dead_after);
    if !suspects.is_empty() || is_young {
        let text = format!(
            "{} fell silent at once, and none of them is declared dead: the watcher or their store may be cut off",
            suspects.join(", ")
        );
        let severity = critical.filter(|_| !suspects.is_empty());
        each.push(Observation {
            severity,
            keeps: critical,
            ..Observation::new(SILENT, Severity::Critical, text)
        });
    }
    Observations { each, families: vec![DEAD, SILENT] }
}

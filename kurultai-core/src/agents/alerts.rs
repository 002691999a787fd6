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
const FAILOVER: &str = "failover";
const ALONE: &str = "watcher.alone";

/// Who is told what a watcher sees, adds what else may burn, and tells the team.
#[async_trait]
pub(crate) trait Alarms: fmt::Debug + Send + Sync {
    /// Returns what has been told now, which nobody else has.
    async fn tell(&self, seen: Observations) -> Result<Vec<Alert>>;
}

/// A role that is watched.
pub(super) struct Place {
    pub(super) role: String,
    /// Whom it belongs to.
    pub(super) first: String,
    /// Who holds it.
    pub(super) holder: Option<String>,
    /// Fewer than two of its candidates live.
    pub(super) is_alone: bool,
}

/// Of one check.
pub(super) fn observations(
    signs: &Signs,
    declared: &Declared,
    suspects: &[String],
    health: &[AgentHealth],
    places: &[Place],
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
    let mut families = vec![DEAD, SILENT];
    // Who watches no role says nothing of any.
    if !places.is_empty() {
        families.extend([FAILOVER, ALONE]);
        each.extend(places.iter().filter_map(failed_over));
        each.extend(places.iter().filter(|place| place.is_alone).map(alone));
    }
    Observations { each, families }
}

/// While nobody holds the role it is neither away nor back.
fn failed_over(Place { role, first, holder, .. }: &Place) -> Option<Observation> {
    if holder.as_ref() == Some(first) {
        return None;
    }
    let by = holder.as_deref().unwrap_or("nobody");
    let text = format!("the role {role} is held by {by} in place of {first}");
    let seen = Observation::new(format!("{FAILOVER}:{role}"), Severity::Critical, text);
    Some(Observation { severity: seen.severity.filter(|_| holder.is_some()), ..seen })
}

fn alone(Place { role, .. }: &Place) -> Observation {
    let text = format!("fewer than two candidates for the role {role} live: nobody would take it over");
    Observation::new(format!("{ALONE}:{role}"), Severity::Warning, text)
}

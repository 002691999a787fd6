//! What a store has seen of its agents, and what an observer says of them.

use super::{
    roles::{Role, RoleLease, Term},
    types::AgentStatus,
};
use crate::clock::{Micros, micros};
use serde_json::json;
use std::time::Duration;

/// The signs of life of a team. Times are the store's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signs {
    /// The store's time when they were read.
    pub now: Micros,
    /// In the order of the ids.
    pub agents: Vec<Sign>,
    /// In the order of their names.
    pub roles: Vec<Role>,
}

impl Signs {
    /// Each agent's roles are those of which it holds the lease.
    pub(crate) fn new(now: Micros, mut agents: Vec<Sign>, roles: Vec<Role>) -> Self {
        for RoleLease { role, holder, .. } in roles.iter().filter_map(|role| role.lease(now)) {
            if let Some(sign) = agents.iter_mut().find(|sign| sign.agent == holder) {
                sign.leads.push(role);
            }
        }
        Signs { now, agents, roles }
    }
}

/// The signs of life of one agent.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sign {
    /// Its id.
    pub agent: String,
    /// The last sign that its process runs.
    pub infra: Option<Micros>,
    /// The last sign that it works.
    pub functional: Option<Micros>,
    /// Grows with each sign of either kind.
    pub sequence: i64,
    /// When its last process said that it stops.
    pub stopped_at: Option<Micros>,
    /// When it was declared dead, unless it has been declared recovered since.
    pub dead_at: Option<Micros>,
    /// How many live leases it holds.
    pub holds: u32,
    /// When the oldest of its claims that are held was made.
    pub oldest_claim: Option<Micros>,
    /// It takes no new work.
    pub draining: bool,
    /// The roles that it holds.
    pub leads: Vec<String>,
    /// The held task whose handler is silent for longest, where its worker has reported one.
    pub stalled: Option<Stalled>,
}

/// A held task whose handler shows no sign of life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stalled {
    /// Which one.
    pub task: String,
    /// Of which type.
    pub task_type: String,
    /// Since when the handler is silent.
    pub since: Micros,
}

impl Sign {
    /// The last sign of either kind.
    pub fn last(&self) -> Option<Micros> {
        self.infra.max(self.functional)
    }

    /// Whether its last process said that it stops, and nothing has been heard of the agent since. While it holds tasks
    /// another process works for it, which has said nothing of the kind.
    pub fn has_stopped(&self) -> bool {
        self.holds == 0 && self.stopped_at.is_some() && self.stopped_at >= self.last()
    }

    /// Whether it was ever heard of, beyond that somebody has registered it.
    pub(super) fn has_started(&self) -> bool {
        self.sequence > 0
    }

    /// Another program says of an agent that has stopped that it is `offline`, and not since when.
    pub(crate) fn with_status(self, status: AgentStatus) -> Self {
        match status {
            AgentStatus::Offline => Sign { stopped_at: self.stopped_at.max(self.last()), ..self },
            AgentStatus::Draining => Sign { draining: true, ..self },
            _ => self,
        }
    }

    /// Declared dead, and not heard of since.
    pub(super) fn is_dead(&self) -> bool {
        self.dead_at.is_some() && self.last() <= self.dead_at
    }
}

/// What an observer says of an agent; the store confirms it or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Of whom.
    pub agent: String,
    /// The sequence of the last sign that the observer has seen.
    pub sequence: i64,
    /// What it says.
    pub says: Says,
}

/// What a verdict says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Says {
    /// Silent for longer than this.
    Dead(Duration),
    /// Declared dead, and heard of since.
    Recovered,
}

impl Verdict {
    /// Whether what the store has of the agent says the same.
    pub(crate) fn is_confirmed(&self, sign: &Sign, now: Micros) -> bool {
        let Says::Dead(after) = self.says else { return sign.dead_at.is_some() && !sign.is_dead() };
        let is_silent = sign.last().is_some_and(|last| now - last > micros(after));
        is_silent && sign.sequence == self.sequence && !sign.has_stopped() && !sign.is_dead()
    }

    /// What its event tells.
    pub(crate) fn told(&self, sign: &Sign, now: Micros, under: Option<&Term>) -> String {
        let mut told = match self.says {
            Says::Dead(_) => {
                let silent = sign.last().map_or(0, |last| now - last);
                json!({ "silent_for": silent as f64 / 1e6, "holds": sign.holds })
            }
            Says::Recovered => json!({}),
        };
        if let Some(term) = under {
            told["term"] = term.number.into();
        }
        told.to_string()
    }
}

/// What the store has confirmed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Declared {
    /// The agents that are dead from now on.
    pub dead: Vec<String>,
    /// The agents that live again from now on.
    pub recovered: Vec<String>,
    /// The store has left work for itself: tasks of the dead are due.
    pub overdue: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Micros = 1_000_000;

    fn silent() -> Sign {
        Sign { infra: Some(SECOND), functional: Some(0), sequence: 7, ..Sign::default() }
    }

    fn says(says: Says, sign: &Sign, now: Micros) -> bool {
        Verdict { agent: String::new(), sequence: 7, says }.is_confirmed(sign, now)
    }

    #[test]
    fn a_death_is_confirmed_where_nothing_speaks_against_it() {
        let dead = Says::Dead(Duration::from_secs(10));
        assert!(says(dead, &silent(), 11 * SECOND + 1));
        for (sign, now) in [
            (silent(), 11 * SECOND),
            (Sign { sequence: 8, ..silent() }, 12 * SECOND),
            (Sign { functional: Some(2 * SECOND), ..silent() }, 12 * SECOND),
            (Sign { stopped_at: Some(SECOND), ..silent() }, 12 * SECOND),
            (silent().with_status(AgentStatus::Offline), 12 * SECOND),
            (Sign { dead_at: Some(SECOND), ..silent() }, 12 * SECOND),
            (Sign { sequence: 7, ..Sign::default() }, 12 * SECOND),
        ] {
            assert!(!says(dead, &sign, now), "{sign:?}");
        }
        assert!(says(dead, &Sign { dead_at: Some(0), ..silent() }, 12 * SECOND), "it has lived since");
    }

    #[test]
    fn who_was_dead_and_was_heard_of_since_has_recovered() {
        assert!(says(Says::Recovered, &Sign { dead_at: Some(0), ..silent() }, 0));
        assert!(!says(Says::Recovered, &Sign { dead_at: Some(SECOND), ..silent() }, 0));
        assert!(!says(Says::Recovered, &silent(), 0));
    }
}

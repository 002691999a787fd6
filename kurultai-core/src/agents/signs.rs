//! What a store has seen of its agents, and what an observer says of them.

use crate::clock::Micros;
use std::time::Duration;

/// The signs of life of a team. Times are the store's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signs {
    /// The store's time when they were read.
    pub now: Micros,
    /// In the order of the ids.
    pub agents: Vec<Sign>,
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

    /// Whether its last process said that it stops, and nothing has been heard of the agent since.
    pub fn has_stopped(&self) -> bool {
        self.stopped_at.is_some() && self.stopped_at >= self.last()
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

/// The office under which somebody acts, and its number, which grows with each holder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Term {
    /// The role: `watcher`.
    pub role: String,
    /// Its number.
    pub number: i64,
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

//! The store's contract for agents.

use super::{
    failovers::FailoverEvent,
    health::DEAD_AFTER,
    roles::{RoleChange, RoleLease, Roles, Term},
    signs::{Declared, Signs, Verdict},
    types::{AgentInfo, AgentStatus, AgentUpdate, NewAgent},
};
use crate::{error::Result, store::Sealed};
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use std::{fmt, time::Duration};

/// What a store does for the registry and for liveness. Sealed: the library brings its stores.
#[async_trait]
pub trait HeartbeatWriter: Sealed + fmt::Debug + Send + Sync {
    /// Adds or updates each; an update keeps heartbeats and clears `draining` and `offline`. Registering is a
    /// sign of life.
    async fn register(&self, agents: Vec<NewAgent>) -> Result<()>;

    /// All agents, in the order of their ids.
    async fn agents(&self) -> Result<Vec<AgentInfo>>;

    /// A sign that each agent's process runs, in one statement, which neither waits for other writers of the namespace nor
    /// makes an event. Returns the ids that are registered. Those to create are registered first, where they are
    /// unknown. `instance` is the `open` that speaks for them: an agent has stopped where the last one that does says so.
    async fn beat(&self, instance: &str, beats: Vec<Beat>) -> Result<Vec<String>>;

    /// The signs of life of all agents and what they hold, in the order of their ids, by one read.
    async fn signs(&self) -> Result<Signs>;

    /// Takes, renews or hands back a role, where its term is still the one that the caller knows. A renewal neither waits for
    /// other writers of the namespace nor makes an event; a change of its holder is the event `role.changed`, in the same
    /// transaction. The answer to a hand-back is the lease as it ended.
    async fn role(&self, change: RoleChange) -> Result<RoleLease>;

    /// The roles that anybody has ever held, in the order of their names.
    async fn roles(&self) -> Result<Roles>;

    /// The failovers that are active, or not, or all, that were activated since a time, oldest first.
    async fn failovers(
        &self,
        active: Option<bool>,
        since: Option<DateTime<Utc>>,
    ) -> Result<Vec<FailoverEvent>>;

    /// Declares each agent dead or recovered where the store's own look confirms it, in one transaction: nobody has seen
    /// a newer sign of it and by the store's clock it is silent for long enough, or it has spoken since. With a death
    /// the agent's leases end, also of its roles, and its tasks are due. Returns those that were confirmed.
    /// Nothing is done under a term that is over: `role.stale_term`.
    async fn declare(&self, verdicts: Vec<Verdict>, under: Option<Term>) -> Result<Declared>;

    /// Changes capabilities and metadata. Returns whether there is such an agent.
    async fn update(&self, agent: &str, update: AgentUpdate) -> Result<bool>;

    /// Returns whether there is such an agent.
    async fn set_status(&self, agent: &str, status: AgentStatus) -> Result<bool>;

    /// Removes an agent that holds no live lease, neither of a task nor of a role, or any with `force`: then its leases end,
    /// and its tasks are due.
    async fn deregister(&self, agent: &str, force: bool) -> Result<Deregistered>;
}

/// The heartbeat of one agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beat {
    /// Its id.
    pub agent: String,
    /// Its display name, where it is to be registered if it is unknown.
    pub create: Option<String>,
    /// It is the last of this process: the agent has stopped, unless another process has spoken for it within
    /// [`SPEAKS`], or does so later.
    pub last: bool,
}

/// For how long a process that has beaten for an agent is taken to go on.
pub(crate) const SPEAKS: Duration = DEAD_AFTER;

/// What became of an agent that was to go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deregistered {
    /// Whether there was such an agent.
    pub found: bool,
    /// The tasks that it holds, at most ten of them; where there are any it is still there, unless it was forced.
    pub holds: Vec<String>,
    /// The roles that it holds; where there are any it is still there, unless it was forced.
    pub leads: Vec<String>,
}

//! The store's contract for agents.

use super::types::{AgentInfo, AgentStatus, NewAgent};
use crate::{error::Result, store::Sealed};
use async_trait::async_trait;
use std::fmt;

/// What a store does for the registry. Sealed: the library brings its stores.
#[async_trait]
pub trait HeartbeatWriter: Sealed + fmt::Debug + Send + Sync {
    /// Adds or updates each; an update keeps heartbeats and clears `draining` and `offline`. Registering is a
    /// sign of life.
    async fn register(&self, agents: Vec<NewAgent>) -> Result<()>;

    /// All agents, in the order of their ids.
    async fn agents(&self) -> Result<Vec<AgentInfo>>;

    /// A sign that each agent's process runs, in one statement. Returns the ids that are registered.
    async fn beat(&self, agents: Vec<String>) -> Result<Vec<String>>;

    /// Returns whether there is such an agent.
    async fn set_status(&self, agent: &str, status: AgentStatus) -> Result<bool>;

    /// Returns whether there was such an agent.
    async fn deregister(&self, agent: &str) -> Result<bool>;
}

//! What users call: `kurultai.agents()`.

use super::{
    contract::HeartbeatWriter,
    names::{find, not_found},
    types::{AgentInfo, AgentStatus, NewAgent},
};
use crate::{check, error::Result, session::Session};
use std::sync::Arc;
use tracing::instrument;

/// The registry of one team. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Agents {
    registry: Arc<dyn HeartbeatWriter>,
    session: Arc<Session>,
}

impl Agents {
    pub(crate) fn new(registry: Arc<dyn HeartbeatWriter>, session: Arc<Session>) -> Self {
        Agents { registry, session }
    }

    /// Adds an agent or brings its entry up to date. Errors: `input.invalid`.
    pub async fn register(&self, agent: NewAgent) -> Result<()> {
        self.register_many(vec![agent]).await
    }

    /// Adds or updates many in one transaction, all or none. Errors: `input.invalid`, which names the row.
    #[instrument(level = "debug", skip_all, fields(count = agents.len()))]
    pub async fn register_many(&self, agents: Vec<NewAgent>) -> Result<()> {
        let many = agents.len() > 1;
        for (index, agent) in agents.iter().enumerate() {
            agent.check().map_err(|error| if many { error.of_row("agent", index) } else { error })?;
        }
        let _call = self.session.calls.begin()?;
        self.registry.register(agents).await?;
        self.session.news.announce();
        Ok(())
    }

    /// The infrastructure heartbeat: a sign that the agent's process runs, even while it works on nothing. A
    /// running [`Agent`](crate::Agent) writes it by itself every 30 s. Errors: `agent.not_found`. Cancel safe.
    pub async fn beat(&self, agent: &str) -> Result<()> {
        let unknown = self.beat_many(&[agent]).await?;
        self.known(agent, unknown.is_empty()).await
    }

    /// The heartbeats of many agents in one statement, as a sidecar writes them. Returns the ids that are not
    /// registered; the others have their beat. Errors: `input.invalid`. Cancel safe.
    #[instrument(level = "debug", skip_all, fields(count = agents.len()))]
    pub async fn beat_many(&self, agents: &[&str]) -> Result<Vec<String>> {
        agents.iter().try_for_each(|agent| check::agent("agent", agent))?;
        if agents.is_empty() {
            return Ok(vec![]);
        }
        let _call = self.session.calls.begin()?;
        let beaten = self.registry.beat(agents.iter().map(|agent| (*agent).to_owned()).collect()).await?;
        let unknown = agents.iter().filter(|agent| !beaten.iter().any(|id| id == *agent));
        Ok(unknown.map(|agent| (*agent).to_owned()).collect())
    }

    /// By id, name or alias. What is written exactly so comes first; otherwise they are compared without case and
    /// without the accents of Latin, Greek and Cyrillic letters (`Temüjin` = `temujin`).
    /// Errors: `agent.not_found`, with the nearest name.
    pub async fn get(&self, name: &str) -> Result<AgentInfo> {
        find(self.list().await?, name)
    }

    /// All agents, in the order of their ids.
    #[instrument(level = "debug", skip_all)]
    pub async fn list(&self) -> Result<Vec<AgentInfo>> {
        self.registry.agents().await
    }

    /// The agents that have a capability.
    pub async fn with_capability(&self, capability: &str) -> Result<Vec<AgentInfo>> {
        let mut agents = self.list().await?;
        agents.retain(|agent| agent.capabilities.iter().any(|c| c == capability));
        Ok(agents)
    }

    /// Lets an agent finish what it holds and gives it nothing new; `register` ends it.
    /// Errors: `agent.not_found`.
    #[instrument(level = "debug", skip(self))]
    pub async fn drain(&self, agent: &str) -> Result<()> {
        let _call = self.session.calls.begin()?;
        self.known(agent, self.registry.set_status(agent, AgentStatus::Draining).await?).await
    }

    /// Removes an agent. Its leases run out by themselves. Errors: `agent.not_found`.
    #[instrument(level = "debug", skip(self))]
    pub async fn deregister(&self, agent: &str) -> Result<()> {
        let _call = self.session.calls.begin()?;
        self.known(agent, self.registry.deregister(agent).await?).await
    }

    async fn known(&self, agent: &str, found: bool) -> Result<()> {
        if found { Ok(()) } else { Err(not_found(agent, &self.list().await?)) }
    }
}

//! The registry's statements and those of liveness.

mod declare;
mod registry;
pub(super) mod roles;
mod signs;

pub(super) use registry::status;
#[cfg(feature = "testing")]
pub(super) use roles::RENEW;
#[cfg(feature = "testing")]
pub(super) use signs::{BEAT, SIGNS};

use super::Neo4jStore;
use crate::{
    agents::{
        AgentInfo, AgentStatus, AgentUpdate, Beat, Declared, Deregistered, FailoverEvent, HeartbeatWriter,
        NewAgent, RoleChange, RoleLease, Roles, Signs, Term, Verdict,
    },
    error::Result,
};
use async_trait::async_trait;
use chrono::{DateTime, Utc};

#[async_trait]
impl HeartbeatWriter for Neo4jStore {
    async fn register(&self, agents: Vec<NewAgent>) -> Result<()> {
        registry::register(self, agents).await
    }

    async fn agents(&self) -> Result<Vec<AgentInfo>> {
        registry::agents(self).await
    }

    async fn beat(&self, instance: &str, beats: Vec<Beat>) -> Result<Vec<String>> {
        self.call(signs::write(self, instance, beats)).await
    }

    async fn signs(&self) -> Result<Signs> {
        Ok(signs::read(self).await?.0)
    }

    async fn role(&self, change: RoleChange) -> Result<RoleLease> {
        self.call(roles::change(self, &change)).await
    }

    async fn roles(&self) -> Result<Roles> {
        roles::all(self).await
    }

    async fn failovers(
        &self,
        active: Option<bool>,
        since: Option<DateTime<Utc>>,
    ) -> Result<Vec<FailoverEvent>> {
        roles::failovers(self, active, since).await
    }

    async fn declare(&self, verdicts: Vec<Verdict>, under: Option<Term>) -> Result<Declared> {
        self.call(declare::declare(self, verdicts, under.as_ref())).await
    }

    async fn update(&self, agent: &str, update: AgentUpdate) -> Result<bool> {
        self.call(registry::update(self, agent, update)).await
    }

    async fn set_status(&self, agent: &str, status: AgentStatus) -> Result<bool> {
        registry::set_status(self, agent, status).await
    }

    async fn deregister(&self, agent: &str, force: bool) -> Result<Deregistered> {
        self.call(registry::deregister(self, agent, force)).await
    }
}

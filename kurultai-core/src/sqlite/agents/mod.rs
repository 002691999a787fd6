//! The registry's statements and those of liveness.

mod declare;
mod leases;
mod registry;
mod roles;
mod signs;

pub(super) use registry::{all, of};
pub(super) use roles::{by_holder as roles_by_holder, check as check_term, of as roles_of};
pub(super) use signs::{beat, shift};

use super::{namespaces::is_there, store::SqliteStore, tx::Tx};
use crate::{
    agents::{
        AgentInfo, AgentStatus, AgentUpdate, Beat, Declared, Deregistered, FailoverEvent, HeartbeatWriter,
        NewAgent, RoleChange, RoleLease, Roles, Signs, Term, Verdict,
    },
    error::Result,
};
use async_trait::async_trait;
use chrono::{DateTime, Utc};

/// An agent that is not there may have gone with its namespace.
fn known(tx: &Tx<'_>, found: bool) -> Result<bool> {
    if !found {
        is_there(tx)?;
    }
    Ok(found)
}

#[async_trait]
impl HeartbeatWriter for SqliteStore {
    async fn register(&self, agents: Vec<NewAgent>) -> Result<()> {
        self.write(move |tx| agents.iter().try_for_each(|agent| registry::upsert(tx, agent))).await
    }

    async fn agents(&self) -> Result<Vec<AgentInfo>> {
        self.query(all).await
    }

    async fn beat(&self, instance: &str, beats: Vec<Beat>) -> Result<Vec<String>> {
        let instance = instance.to_owned();
        self.write(move |tx| signs::write(tx, &instance, &beats)).await
    }

    async fn signs(&self) -> Result<Signs> {
        self.query(signs::read).await
    }

    async fn role(&self, change: RoleChange) -> Result<RoleLease> {
        self.write(move |tx| roles::change(tx, &change)).await
    }

    async fn roles(&self) -> Result<Roles> {
        self.query(|tx| Ok(Roles { now: tx.now, roles: roles::all(tx)? })).await
    }

    async fn failovers(
        &self,
        active: Option<bool>,
        since: Option<DateTime<Utc>>,
    ) -> Result<Vec<FailoverEvent>> {
        self.query(move |tx| roles::failovers(tx, active, since)).await
    }

    async fn declare(&self, verdicts: Vec<Verdict>, under: Option<Term>) -> Result<Declared> {
        self.write(move |tx| declare::declare(tx, &verdicts, under.as_ref())).await
    }

    async fn update(&self, agent: &str, update: AgentUpdate) -> Result<bool> {
        let agent = agent.to_owned();
        self.write(move |tx| known(tx, registry::update(tx, &agent, &update)?)).await
    }

    async fn set_status(&self, agent: &str, status: AgentStatus) -> Result<bool> {
        let agent = agent.to_owned();
        self.write(move |tx| known(tx, registry::set_status(tx, &agent, status)?)).await
    }

    async fn deregister(&self, agent: &str, force: bool) -> Result<Deregistered> {
        let agent = agent.to_owned();
        self.write(move |tx| {
            let deregistered = registry::deregister(tx, &agent, force)?;
            known(tx, deregistered.found)?;
            Ok(deregistered)
        })
        .await
    }
}

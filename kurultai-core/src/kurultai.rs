//! `Kurultai::open(url)`: one team's shared picture.

use crate::{agents::Agents, config::Config, error::Result, events::Events, store, tasks::Tasks, team::Team};
use std::sync::Arc;

/// One team on one store. Cheap to clone; needs a running tokio runtime.
#[derive(Debug, Clone)]
pub struct Kurultai {
    team: Arc<Team>,
}

impl Kurultai {
    /// Opens a store and brings its schema up to date: `memory:`, `sqlite:PATH?durability=full|process` or
    /// `neo4j://user:password@host:7687/database`.
    ///
    /// Errors: `config.url`, `config.env`, `store.auth`, `store.unavailable` (retryable), `store.schema_newer`,
    /// `store.schema_conflict` (the file holds another program's things under our names), `store.read_only`, `store.tls` (only one side wants TLS, or the server's certificate is not trusted).
    pub async fn open(url: &str) -> Result<Self> {
        Kurultai::open_with(Config::new(url)?).await
    }

    /// Opens the store that KURULTAI_URL, or NEO4J_URI with NEO4J_USER and NEO4J_PASSWORD, name.
    pub async fn from_env() -> Result<Self> {
        Kurultai::open_with(Config::from_env()?).await
    }

    pub async fn open_with(config: Config) -> Result<Self> {
        let store = store::open(&config).await?;
        Ok(Kurultai { team: Team::new(store, config) })
    }

    pub fn tasks(&self) -> Tasks {
        Tasks::new(self.team.clone())
    }

    pub fn agents(&self) -> Agents {
        Agents::new(self.team.clone())
    }

    pub fn events(&self) -> Events {
        Events::new(self.team.clone())
    }

    pub fn namespace(&self) -> &str {
        &self.team.config.namespace
    }

    /// `sqlite` or `neo4j`.
    pub fn store_name(&self) -> &'static str {
        self.team.store.name()
    }

    /// Statements that this process has sent to the store.
    pub fn statements(&self) -> u64 {
        self.team.store.statements()
    }

    /// In debug builds on SQLite, rows read without an index and sorts so far: a test keeps the plans.
    #[doc(hidden)]
    pub fn scans(&self) -> u64 {
        self.team.store.scans()
    }

    /// Waits until what was sent is committed and lets go of the store. Later calls, and those that wait for work or
    /// for events, fail with `store.closed`. What was sent is what was polled once: a future that nobody has polled yet
    /// has not begun.
    pub async fn close(self) {
        self.team.calls.close().await;
        self.team.store.close().await;
        self.team.close();
    }
}

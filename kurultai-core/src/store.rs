//! One database: the rooms' contracts together, and which URL opens which.

use crate::{
    agents::HeartbeatWriter,
    config::{Config, Location},
    error::Result,
    events::SubscriptionManager,
    neo4j::Neo4jStore,
    sqlite::SqliteStore,
    tasks::TaskQueue,
};
use async_trait::async_trait;
use std::{sync::Arc, time::Duration};

/// What a store does for one namespace.
#[async_trait]
pub trait Store: TaskQueue + HeartbeatWriter + SubscriptionManager {
    /// `sqlite` or `neo4j`.
    fn name(&self) -> &'static str;

    /// How many calls the handles may gather into one batch.
    fn batch_limit(&self) -> usize;

    /// A number that changes when anybody wrote, where it costs next to nothing; otherwise always the same.
    async fn version(&self) -> Result<i64>;

    /// Returns when somebody may have written after `version` was read. `quiet` is for how long nothing has happened: the
    /// longer, the more rarely it looks. Never returns where there can be no other process. Cancel safe.
    async fn changed(&self, version: i64, quiet: Duration);

    /// What may concern those who wait, by one read that takes no lock.
    async fn pulse(&self, wanted: &[Wanted]) -> Result<Pulse>;

    /// Statements sent so far, so that a test sees when one is added.
    fn statements(&self) -> u64;

    /// In debug builds, how many rows were read without an index or sorted; 0 where the store cannot tell.
    fn scans(&self) -> u64 {
        0
    }

    async fn close(&self);
}

/// The tasks that a waiting claim would take: those that this agent may have, of these types or of all.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Wanted {
    pub agent: String,
    pub types: Option<Vec<String>>,
}

/// How the store stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pulse {
    /// The last number given to an event.
    pub event_seq: i64,
    /// How many routes have a claimable task that somebody wants, and the first `claim_key` among them; `None` where
    /// nothing is there for them.
    pub ready: Option<(usize, i64)>,
    /// How long until something is due; zero where it is overdue, `None` where nothing is.
    pub due: Option<Duration>,
    /// Whether every edge is drawn that only people read.
    pub linked: bool,
}

pub(crate) async fn open(config: &Config) -> Result<Arc<dyn Store>> {
    Ok(match &config.location {
        Location::Memory | Location::Sqlite { .. } => Arc::new(SqliteStore::open(config).await?),
        Location::Neo4j(server) => Arc::new(Neo4jStore::open(config, server).await?),
    })
}

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

    /// How often to look for what other processes wrote: at first, and at the most when nothing comes. `None`
    /// where there can be no other process.
    fn poll(&self) -> Option<(Duration, Duration)>;

    /// A number that changes when anybody wrote. Cheap.
    async fn changed(&self) -> Result<i64>;

    /// Statements sent so far, so that a test sees when one is added.
    fn statements(&self) -> u64;

    /// In debug builds, how many rows were read without an index or sorted; 0 where the store cannot tell.
    fn scans(&self) -> u64 {
        0
    }

    async fn close(&self);
}

pub(crate) async fn open(config: &Config) -> Result<Arc<dyn Store>> {
    Ok(match &config.location {
        Location::Memory | Location::Sqlite { .. } => Arc::new(SqliteStore::open(config).await?),
        Location::Neo4j(server) => Arc::new(Neo4jStore::open(config, server).await?),
    })
}

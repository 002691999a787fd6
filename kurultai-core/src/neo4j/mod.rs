//! The Neo4j store. Every statement that changes tasks or events locks the namespace's node first, so there is one
//! writer a namespace, as on SQLite: strict order, no deadlock, and event numbers without a gap.
//!
//! A statement of more than ten lines is a file in the folder `cypher/` beside its Rust file, and so is what several
//! statements share.

mod agents;
mod alerts;
mod bolt;
mod catalog;
mod connections;
mod cypher;
mod events;
mod exec;
mod messages;
mod namespaces;
mod running;
mod schedules;
mod schema;
mod sockets;
mod statement;
mod store;
mod tasks;
mod verdict;
mod watch;

use crate::{
    config::{self, Config},
    error::Result,
    namespaces::NamespaceInfo,
    news::Wanted,
    store::{Pulse, Sealed, Statements, Store},
};
use async_trait::async_trait;
use statement::Statement;
use std::time::Duration;
use store::BATCH_LIMIT;
pub(crate) use store::Neo4jStore;
#[cfg(feature = "testing")]
pub use tasks::hot_statements;

/// `made` tells it from one of the same name that was deleted: numbers of routes begin again, and handles remember them.
const NAMESPACE: Statement = Statement::plain(
    "CYPHER 5 MERGE (ns:Namespace {namespace: $ns})
SET ns.id = $ns, ns.event_seq = coalesce(ns.event_seq, 0), ns.catalog_seq = coalesce(ns.catalog_seq, 0),
    ns.paused = coalesce(ns.paused, []), ns.made = coalesce(ns.made, timestamp()) RETURN [ns.made] AS row",
);

impl Neo4jStore {
    pub(crate) async fn open(config: &Config, server: &config::Neo4j) -> Result<Self> {
        let store = Neo4jStore::new(config, server)?;
        store.migrate(config.migrate).await?;
        let made = store.one(store.query(NAMESPACE)).await?.next()?;
        store.made.set(made).ok();
        Ok(store)
    }
}

impl Sealed for Neo4jStore {}

#[async_trait]
impl Store for Neo4jStore {
    fn name(&self) -> &'static str {
        "neo4j"
    }

    fn batch_limit(&self) -> usize {
        BATCH_LIMIT
    }

    async fn version(&self) -> Result<i64> {
        Ok(0)
    }

    async fn changed(&self, _version: i64, quiet: Duration) {
        watch::until_changed(quiet).await;
    }

    async fn pulse(&self, wanted: &[Wanted]) -> Result<Pulse> {
        self.pulse_of(wanted).await
    }

    async fn missing_schema(&self) -> Result<Vec<String>> {
        self.missing().await
    }

    async fn namespaces(&self) -> Result<Vec<NamespaceInfo>> {
        self.all_namespaces().await
    }

    async fn delete_some(&self, namespace: &str) -> Result<Option<usize>> {
        self.delete_some_of(namespace).await
    }

    fn statements(&self) -> &Statements {
        &self.statements
    }

    async fn close(&self) {
        self.running.close(self.call_timeout + Duration::from_secs(1)).await;
        self.connections.close();
    }
}

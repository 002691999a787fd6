//! One file: a thread that writes, connections that read. The folders and files that are named like a room hold its
//! statements; the others are the engine and know no room.

mod agents;
mod alerts;
mod checkpoint;
mod connection;
mod events;
mod failure;
mod files;
mod guard;
mod job;
mod jump;
mod messages;
mod namespaces;
mod readers;
mod schedules;
mod schema;
mod session;
mod share;
mod store;
mod tasks;
mod tx;
mod watch;
mod writer;

use crate::{
    config::Config,
    error::Result,
    namespaces::NamespaceInfo,
    news::Wanted,
    store::{Pulse, Sealed, Statements, Store},
};
use async_trait::async_trait;
use std::{sync::PoisonError, time::Duration};
pub(crate) use store::SqliteStore;

impl SqliteStore {
    pub(crate) async fn open(config: &Config) -> Result<Self> {
        SqliteStore::start(config, |tx, epoch, ahead| {
            jump::settle(tx, epoch, ahead, &[tasks::shift, agents::shift, messages::shift])
        })
        .await
    }
}

impl Sealed for SqliteStore {}

#[async_trait]
impl Store for SqliteStore {
    fn name(&self) -> &'static str {
        "sqlite"
    }

    fn batch_limit(&self) -> usize {
        1024
    }

    async fn version(&self) -> Result<i64> {
        self.data_version()
    }

    async fn changed(&self, version: i64, quiet: Duration) {
        let Some(watch) = &self.watch else { return std::future::pending().await };
        // What cannot be read counts as a change: the look that follows says why.
        watch.changed(|| self.data_version().map_or(true, |now| now != version), quiet).await;
    }

    async fn pulse(&self, wanted: &[Wanted]) -> Result<Pulse> {
        let (wanted, memory) = (wanted.to_vec(), self.memory.clone());
        self.query(move |tx| {
            tasks::pulse(tx, &wanted, memory.lock().unwrap_or_else(PoisonError::into_inner).of())
        })
        .await
    }

    async fn missing_schema(&self) -> Result<Vec<String>> {
        self.query(|tx| schema::missing(tx.connection)).await
    }

    async fn namespaces(&self) -> Result<Vec<NamespaceInfo>> {
        self.query(namespaces::all).await
    }

    async fn delete_some(&self, namespace: &str) -> Result<Option<usize>> {
        let name = namespace.to_owned();
        self.write(move |tx| namespaces::delete_some(tx, &name)).await
    }

    fn statements(&self) -> &Statements {
        &self.counts.statements
    }

    #[cfg(feature = "testing")]
    fn scans(&self) -> u64 {
        self.counts.scans.load(std::sync::atomic::Ordering::Relaxed)
    }

    async fn close(&self) {
        self.writer.close().await;
    }
}

//! What a store is beside its rooms: something to watch, to count and to close.

use crate::{error::Result, namespaces::NamespaceInfo, news::Wanted};
use async_trait::async_trait;
use std::{
    fmt,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// What keeps the contracts' implementations in this crate, so that a contract can grow.
pub trait Sealed {}

#[async_trait]
pub(crate) trait Store: fmt::Debug + Send + Sync {
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

    /// The namespaces of the database, in the order of their names.
    async fn namespaces(&self) -> Result<Vec<NamespaceInfo>>;

    /// Deletes a portion of another namespace, in one transaction. Returns how many rows or nodes it was: none once the
    /// namespace itself has gone as well. `None` where it was not there.
    async fn delete_some(&self, namespace: &str) -> Result<Option<usize>>;

    /// What of the schema is missing or not ready, by name.
    async fn missing_schema(&self) -> Result<Vec<String>>;

    /// The statements of this process.
    fn statements(&self) -> &Statements;

    /// In debug builds, how many rows were read without an index or sorted; 0 where the store cannot tell.
    #[cfg(feature = "testing")]
    fn scans(&self) -> u64 {
        0
    }

    async fn close(&self);
}

/// Counts the statements that are sent, so that a test sees when one is added.
#[derive(Debug, Default)]
pub(crate) struct Statements {
    sent: AtomicU64,
    /// At which one a process of the tests dies; 0: at none.
    last: AtomicU64,
}

impl Statements {
    /// One more.
    pub(crate) fn count(&self) {
        let sent = self.sent.fetch_add(1, Ordering::Relaxed) + 1;
        if cfg!(feature = "testing") && sent == self.last.load(Ordering::Relaxed) {
            std::process::abort();
        }
    }

    pub(crate) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// The n-th from now on is the last one.
    #[cfg(feature = "testing")]
    pub(crate) fn die_at(&self, n: u64) {
        self.last.store(self.sent() + n, Ordering::Relaxed);
    }
}

/// How the store stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pulse {
    /// The last number given to an event.
    pub(crate) event_seq: i64,
    /// How many routes have a claimable task that somebody wants, and the first `claim_key` among them; `None` where
    /// nothing is there for them.
    pub(crate) ready: Option<(usize, i64)>,
    /// How long until something is due; zero where it is overdue, `None` where nothing is.
    pub(crate) due: Option<Duration>,
    /// The same of the schedules.
    pub(crate) schedule_due: Option<Duration>,
    /// Whether every edge is drawn that only people read.
    pub(crate) linked: bool,
}

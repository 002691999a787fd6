//! The Neo4j store. Every statement that changes tasks or events locks the namespace's node first, so there is one
//! writer a namespace, as on SQLite: strict order, no deadlock, and event numbers without a gap.

mod agents;
mod bolt;
mod catalog;
mod connections;
mod events;
mod exec;
mod running;
mod schema;
mod sockets;
mod tasks;
mod verdict;
mod watch;

use crate::{
    batch::Batch,
    clock::Clock,
    config::{self, Config},
    error::{Error, Result},
    news::Wanted,
    store::{Pulse, Store},
};
use async_trait::async_trait;
use catalog::Catalog;
use connections::Connections;
use exec::Repeat;
use neo4rs::ConfigBuilder;
use running::Running;
use std::{
    fmt,
    ops::Deref,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use tasks::Ranges;
pub use tasks::hot_statements;
use tokio::time::{timeout, timeout_at};

/// How long a statement waits for callers who may come again.
const MOMENT: Duration = Duration::from_micros(500);

/// The lock, and the clock read once it is held: the statement's own start may lie long before.
macro_rules! locked {
    () => {
        "
MATCH (ns:Namespace {namespace: $ns}) SET ns._lock = 0
WITH ns, datetime.realtime() AS c
WITH ns, coalesce($now, c.epochSeconds * 1000000 + c.microsecond) AS now
WITH ns, now, datetime({epochSeconds: now / 1000000, nanosecond: now % 1000000 * 1000}) AS at
"
    };
}
macro_rules! lock {
    () => {
        concat!("CYPHER 5", $crate::neo4j::locked!())
    };
}
/// For statements that never stop. They ask for seeks in the indexes of tasks, so the counts of nodes do not matter to
/// them; but the server would plan them anew every ten seconds while those grow, and a plan takes half a second.
macro_rules! hot_lock {
    () => {
        concat!("CYPHER 5 replan=skip", $crate::neo4j::locked!())
    };
}
/// For statements that lock nothing.
macro_rules! clock {
    () => {
        "CYPHER 5
WITH datetime.realtime() AS c
WITH coalesce($now, c.epochSeconds * 1000000 + c.microsecond) AS now
"
    };
}
/// A native DATETIME of microseconds.
macro_rules! native {
    ($micros:literal) => {
        concat!(
            "datetime({epochSeconds: (",
            $micros,
            ") / 1000000, nanosecond: (",
            $micros,
            ") % 1000000 * 1000})"
        )
    };
}
macro_rules! micros {
    ($time:literal) => {
        concat!("(", $time, ".epochSeconds * 1000000 + ", $time, ".microsecond)")
    };
}
macro_rules! finished {
    () => {
        "['completed', 'dead_letter', 'cancelled', 'expired']"
    };
}
use {clock, finished, hot_lock, lock, locked, micros, native};

/// Cheap to clone, for what outlives a call.
#[derive(Clone)]
pub(crate) struct Neo4jStore(Arc<Shared>);

pub(crate) struct Shared {
    connections: Connections,
    /// Host and port, for messages.
    server: String,
    namespace: String,
    clock: Clock,
    call_timeout: Duration,
    running: Running,
    /// Held by whoever wants the namespace's lock, so that this process asks for it once at a time.
    writer: tokio::sync::Mutex<()>,
    /// Held while a hot statement runs: how many callers the last one had.
    turn: tokio::sync::Mutex<usize>,
    statements: AtomicU64,
    catalog: Mutex<Arc<Catalog>>,
    ranges: Ranges,
    aged: Mutex<Option<Instant>>,
}

const NAMESPACE: &str = "CYPHER 5 MERGE (ns:Namespace {namespace: $ns})
SET ns.id = $ns, ns.event_seq = coalesce(ns.event_seq, 0), ns.catalog_seq = coalesce(ns.catalog_seq, 0),
    ns.paused = coalesce(ns.paused, []) RETURN [] AS row";

impl Neo4jStore {
    pub(crate) async fn open(config: &Config, server: &config::Neo4j) -> Result<Self> {
        let settings = ConfigBuilder::default()
            .uri(server.uri.as_str())
            .user(server.user.as_str())
            .password(server.password.as_str())
            .db(server.database.as_str())
            .fetch_size(2_000);
        if server.uri.contains("+s") {
            // In a program that links several providers the driver would panic.
            rustls::crypto::ring::default_provider().install_default().ok();
        }
        let port = server.uri.rsplit(':').next().and_then(|port| port.parse().ok()).unwrap_or(7687);
        let connections = Connections::new(settings, port)
            .map_err(|e| Error::config(format!("{} cannot be used", server.uri)).caused_by(e))?;
        let store = Neo4jStore(Arc::new(Shared {
            connections,
            server: server.uri.clone(),
            namespace: config.namespace.clone(),
            clock: config.clock.clone(),
            call_timeout: config.call_timeout,
            running: Running::default(),
            writer: tokio::sync::Mutex::default(),
            turn: tokio::sync::Mutex::default(),
            statements: AtomicU64::new(0),
            catalog: Mutex::default(),
            ranges: Ranges::default(),
            aged: Mutex::default(),
        }));
        store.migrate(config.migrate).await?;
        store.exec(store.query(NAMESPACE), Repeat::Safe).await?;
        Ok(store)
    }

    /// Closes the batch when the hot statement before is done. Those whom it answered get a moment to join: one of
    /// them alone would cost a round trip. Nobody spins meanwhile, which would keep them from the processor.
    async fn turn<Q: Send + 'static>(&self, batch: Batch<Q>) -> Result<(impl Drop + '_, Vec<Q>)> {
        let (mut crowd, waited) = match self.turn.try_lock() {
            Ok(crowd) => (crowd, 0),
            // Whoever had to wait is none of those who are answered now.
            Err(_) => match timeout_at(self.deadline().into(), self.turn.lock()).await {
                Ok(crowd) => (crowd, batch.gathered()),
                Err(_) => return Err(self.is_busy()),
            },
        };
        let all = (waited + *crowd).min(self.batch_limit());
        timeout(MOMENT, batch.gather(all)).await.ok();
        // Callers, not their requests: one caller with many waits for nobody. And one straggler does not end a crowd.
        *crowd = batch.gathered().max(*crowd / 2);
        Ok((crowd, batch.close()))
    }
}

#[async_trait]
impl Store for Neo4jStore {
    fn name(&self) -> &'static str {
        "neo4j"
    }

    fn batch_limit(&self) -> usize {
        64
    }

    async fn version(&self) -> Result<i64> {
        Ok(0)
    }

    async fn changed(&self, _version: i64, quiet: Duration) {
        self.until_changed(quiet).await;
    }

    async fn pulse(&self, wanted: &[Wanted]) -> Result<Pulse> {
        self.pulse_of(wanted).await
    }

    fn statements(&self) -> u64 {
        self.statements.load(Ordering::Relaxed)
    }

    async fn close(&self) {
        self.running.close(self.call_timeout + Duration::from_secs(1)).await;
        self.connections.close();
    }
}

impl Deref for Neo4jStore {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

impl fmt::Debug for Neo4jStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Neo4jStore").field("server", &self.server).finish_non_exhaustive()
    }
}

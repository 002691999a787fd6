//! The engine: connections to a server, one writer a namespace. It knows no room.

use super::{connections::Connections, running::Running};
use crate::{
    batch::Batch,
    clock::Clock,
    config::{self, Config},
    error::{Error, Result},
    extensions::Extensions,
    store::Statements,
};
use neo4rs::ConfigBuilder;
use std::{
    fmt,
    ops::Deref,
    sync::{Arc, Mutex, OnceLock},
    time::Duration,
};
use tokio::time::{timeout, timeout_at};

/// How long a statement waits for callers who may come again.
const MOMENT: Duration = Duration::from_micros(500);
/// How many calls one statement takes.
pub(super) const BATCH_LIMIT: usize = 64;

/// Cheap to clone, for what outlives a call.
#[derive(Clone)]
pub(crate) struct Neo4jStore(Arc<Shared>);

pub(crate) struct Shared {
    pub(super) connections: Connections,
    /// Host and port, for messages.
    pub(super) server: String,
    pub(super) namespace: String,
    /// When the namespace was made: statements find no other of its name.
    pub(super) made: OnceLock<i64>,
    pub(super) clock: Clock,
    pub(super) call_timeout: Duration,
    pub(super) running: Running,
    /// Held by whoever wants the namespace's lock, so that this process asks for it once at a time.
    pub(super) writer: tokio::sync::Mutex<()>,
    /// Held while a hot statement runs: how many callers the last one had.
    turn: tokio::sync::Mutex<usize>,
    pub(super) statements: Statements,
    /// What the rooms keep here.
    pub(super) rooms: Mutex<Extensions>,
}

impl Neo4jStore {
    /// Connects to nothing yet.
    pub(super) fn new(config: &Config, server: &config::Neo4j) -> Result<Self> {
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
        let place = server.uri.rsplit('/').next().unwrap_or_default();
        let connections = Connections::new(settings, place)
            .map_err(|e| Error::config(format!("{} cannot be used", server.uri)).caused_by(e))?;
        Ok(Neo4jStore(Arc::new(Shared {
            connections,
            server: server.uri.clone(),
            namespace: config.namespace.clone(),
            made: OnceLock::new(),
            clock: config.clock.clone(),
            call_timeout: config.call_timeout,
            running: Running::default(),
            writer: tokio::sync::Mutex::default(),
            turn: tokio::sync::Mutex::default(),
            statements: Statements::default(),
            rooms: Mutex::default(),
        })))
    }

    /// Closes the batch when the hot statement before is done. Those whom it answered get a moment to join: one of
    /// them alone would cost a round trip. Nobody spins meanwhile, which would keep them from the processor.
    pub(super) async fn turn<Q: Send + 'static>(&self, batch: Batch<Q>) -> Result<(impl Drop + '_, Vec<Q>)> {
        let (mut crowd, waited) = match self.turn.try_lock() {
            Ok(crowd) => (crowd, 0),
            // Whoever had to wait is none of those who are answered now.
            Err(_) => match timeout_at(self.deadline().into(), self.turn.lock()).await {
                Ok(crowd) => (crowd, batch.gathered()),
                Err(_) => return Err(self.is_busy()),
            },
        };
        let all = (waited + *crowd).min(BATCH_LIMIT);
        timeout(MOMENT, batch.gather(all)).await.ok();
        // Callers, not their requests: one caller with many waits for nobody. And one straggler does not end a crowd.
        *crowd = batch.gathered().max(*crowd / 2);
        Ok((crowd, batch.close()))
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

//! The connections to the server. Each is a driver's pool of one, as a larger pool hides what we must know: how long a
//! connection has been idle, and whether a statement has gone out yet when something fails.

use super::{sockets::Sockets, statement::Statement};
use crate::clock::monotonic;
use neo4rs::{Config, Error as Neo4jError, Graph, Query};
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout_at,
};

const MOST: usize = 16;
/// Firewalls forget connections, and nobody tells us: after this long of silence a connection is tried before a
/// statement goes out over it ...
const SILENCE: Duration = Duration::from_secs(10);
/// ... and after this long it is closed.
const IDLE: Duration = Duration::from_secs(60);
/// How long a connection that is there may take to answer when it is tried.
const TRIAL: Duration = Duration::from_secs(3);
/// How long a new one may take, with its handshakes.
const CONNECT: Duration = Duration::from_secs(10);
const FOR_EVER: Duration = Duration::from_secs(86_400);
/// How often the system makes sure that the other side is still there.
const KEEPALIVE: Duration = Duration::from_secs(30);

const PING: Statement = Statement::plain("CYPHER 5 RETURN [] AS row");

pub(super) struct Connections {
    config: Config,
    permits: Arc<Semaphore>,
    /// Those that nobody uses, the longest idle first, and since when.
    idle: Mutex<Vec<(Graph, Instant)>>,
    sockets: Sockets,
}

/// One connection for one statement. It is closed when it is dropped, as something is wrong with it then.
pub(super) struct Connection {
    pub(super) graph: Graph,
    _permit: OwnedSemaphorePermit,
}

/// Why there is no connection.
pub(super) enum Missing {
    Closed,
    /// Other statements have all of them.
    Busy,
    Failed(Neo4jError),
}

impl Connections {
    pub(super) fn new(config: neo4rs::ConfigBuilder, server: &str) -> Result<Self, Neo4jError> {
        // Its time to connect is also its time to wait for each part of an answer; ours are shorter.
        let config = config.max_connections(1).connection_timeout(FOR_EVER).tcp_keepalive(KEEPALIVE);
        let config = config.build()?;
        Graph::connect(config.clone())?;
        Ok(Connections {
            config,
            permits: Arc::new(Semaphore::new(MOST)),
            idle: Mutex::default(),
            sockets: Sockets::new(server),
        })
    }

    /// Long requests stall.
    pub(super) fn stall(&self) -> bool {
        self.sockets.stall()
    }

    /// One that works, as far as can be told. Nothing of a statement has been sent where this fails.
    pub(super) async fn get(&self, deadline: Instant) -> Result<Connection, Missing> {
        let permit = timeout_at(deadline.into(), self.permits.clone().acquire_owned()).await;
        let permit = permit.map_err(|_| Missing::Busy)?.map_err(|_| Missing::Closed)?;
        let mut graph = None;
        if let Some((idle, since)) = self.take() {
            let is_warm = monotonic() - since < SILENCE;
            if is_warm || self.ping(&idle, deadline.min(monotonic() + TRIAL)).await.is_ok() {
                graph = Some(idle);
            } else {
                // The others went the same way.
                self.idle().clear();
            }
        }
        let graph = match graph {
            Some(graph) => graph,
            None => self.connect(deadline.min(monotonic() + CONNECT)).await.map_err(Missing::Failed)?,
        };
        Ok(Connection { graph, _permit: permit })
    }

    /// It served well.
    pub(super) fn give_back(&self, connection: Connection) {
        let mut idle = self.idle();
        if !self.permits.is_closed() {
            idle.push((connection.graph, monotonic()));
        }
    }

    /// Nobody gets one any more, and those that are idle end.
    pub(super) fn close(&self) {
        self.permits.close();
        self.idle().clear();
    }

    /// Closes those that were idle too long.
    pub(super) fn sweep(&self) {
        let now = monotonic();
        self.idle().retain(|(_, since)| now - *since < IDLE);
    }

    /// The one that was used last.
    fn take(&self) -> Option<(Graph, Instant)> {
        self.sweep();
        self.idle().pop()
    }

    async fn connect(&self, deadline: Instant) -> Result<Graph, Neo4jError> {
        let graph = Graph::connect(self.config.clone())?;
        let before = self.sockets.before();
        self.ping(&graph, deadline).await?;
        self.sockets.set(&before, deadline).await;
        Ok(graph)
    }

    async fn ping(&self, graph: &Graph, deadline: Instant) -> Result<(), Neo4jError> {
        let ping = async {
            let mut rows = graph.execute(Query::new(PING.text.to_owned())).await?;
            while rows.next().await?.is_some() {}
            Ok(())
        };
        timeout_at(deadline.into(), ping).await.unwrap_or(Err(Neo4jError::ConnectionTimedOut))
    }

    fn idle(&self) -> MutexGuard<'_, Vec<(Graph, Instant)>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

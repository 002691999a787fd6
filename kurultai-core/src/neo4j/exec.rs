//! One statement to the server and back: time limits and repetitions. Every statement is a transaction of its own, so
//! there is nothing to roll back.

use super::{
    bolt::Cells,
    connections::{Connection, Missing},
    statement::{Call, Statement},
    store::Neo4jStore,
    verdict::{distrust, is_io, is_refused, passes, verdict},
};
use crate::{
    clock::monotonic,
    error::{Error, Result},
    namespaces::missing,
};
use neo4rs::{BoltType, Error as Neo4jError, Query};
use std::time::{Duration, Instant};
use tokio::time::{sleep, timeout_at};

const TRIES: u32 = 10;
/// What is left of a call's time is not divided any more.
const LAST: Duration = Duration::from_secs(1);

tokio::task_local! {
    /// When the call must have its answer.
    static DEADLINE: Instant;
}

/// How one try failed.
struct Failed {
    error: Neo4jError,
    /// The server may have done it.
    is_sent: bool,
}

impl Neo4jStore {
    /// A statement with the namespace and the manual clock, if there is one.
    pub(super) fn query(&self, statement: Statement) -> Call {
        let query = Query::new(statement.text.to_owned());
        let query = query.param("ns", self.namespace.as_str()).param("made", self.made.get().copied());
        Call { query: query.param("now", self.clock.manual()), statement }
    }

    /// The statements of this work are one call with one deadline, and a close waits for it.
    pub(super) async fn call<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        if DEADLINE.try_get().is_ok() {
            return work.await;
        }
        let _one = self.running.begin()?;
        self.within(self.call_timeout, work).await
    }

    /// A deadline of its own for a part of a call, or for what is none.
    pub(super) async fn within<T>(&self, time: Duration, work: impl Future<Output = T>) -> T {
        DEADLINE.scope(monotonic() + time, work).await
    }

    /// Leaves a third of the call's time for what must follow when this fails.
    pub(super) async fn early<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        self.within(self.left() * 2 / 3, work).await
    }

    pub(super) fn deadline(&self) -> Instant {
        DEADLINE.try_get().unwrap_or_else(|_| monotonic() + self.call_timeout)
    }

    fn left(&self) -> Duration {
        self.deadline().saturating_duration_since(monotonic())
    }

    pub(super) async fn exec(&self, call: Call) -> Result<Vec<Cells>> {
        self.call(self.send(call)).await
    }

    /// Runs to its end even where the caller goes away: a dropped exchange would leave the outcome unknown and
    /// its locks held.
    async fn send(&self, call: Call) -> Result<Vec<Cells>> {
        self.statements.count();
        let (store, deadline, part) = (self.clone(), self.deadline(), self.running.part());
        let run = async move {
            let _part = part;
            store.run(call, deadline).await
        };
        tokio::spawn(run).await.map_err(|e| Error::internal("a statement was stopped").caused_by(e))?
    }

    /// A statement that always gives one row.
    pub(super) async fn one(&self, call: Call) -> Result<Cells> {
        let row = self.exec(call).await?.into_iter().next();
        row.ok_or_else(|| missing(&self.namespace))
    }

    async fn run(&self, call: Call, deadline: Instant) -> Result<Vec<Cells>> {
        // The server polls for a lock that is taken, ever more rarely; here the next one goes at once. Before the
        // connection, so that whoever waits for his turn keeps nobody from one.
        let _turn = match call.statement.locks {
            true => Some(timeout_at(deadline.into(), self.writer.lock()).await.map_err(|_| self.is_busy())?),
            false => None,
        };
        let mut tries = 0;
        loop {
            tries += 1;
            let connection = match self.connections.get(deadline).await {
                Ok(connection) => Ok(connection),
                Err(Missing::Closed) => return Err(Error::closed()),
                Err(Missing::Busy) => return Err(self.is_busy()),
                Err(Missing::Failed(error)) => Err(Failed { error, is_sent: false }),
            };
            let outcome = match connection {
                Ok(connection) => self.attempt(connection, &call, deadline).await,
                Err(failed) => Err(failed),
            };
            let Failed { error, is_sent } = match outcome {
                Ok(rows) => return rows.into_iter().map(Cells::of).collect(),
                Err(failed) => failed,
            };
            let again = match &error {
                Neo4jError::Neo4j(error) => passes(error),
                error => is_io(error) && !is_sent && !is_refused(error) && distrust(error).is_none(),
            };
            let pause = Duration::from_millis(10 << tries.min(8)).mul_f64(fastrand::f64());
            if !again || tries == TRIES || monotonic() + pause >= deadline {
                return Err(verdict(error, &self.server, is_sent));
            }
            sleep(pause).await;
        }
    }

    async fn attempt(
        &self,
        connection: Connection,
        call: &Call,
        deadline: Instant,
    ) -> Result<Vec<BoltType>, Failed> {
        let left = deadline.saturating_duration_since(monotonic());
        // What may run twice leaves time for it.
        let (limit, is_sent) = match call.statement.repeatable {
            true => ((left * 2 / 3).max(left.min(LAST)), false),
            false => (left, true),
        };
        // The server gives up a little earlier, so that we hear that nothing was done.
        let on_server = (limit * 2 / 3).max(limit.saturating_sub(Duration::from_secs(1)));
        let query = call.query.clone().extra("tx_timeout", on_server.as_millis().max(1) as i64);
        let outcome = timeout_at((monotonic() + limit).into(), drain(&connection, query)).await;
        match outcome {
            Ok(Ok(rows)) => {
                self.connections.give_back(connection);
                Ok(rows)
            }
            Ok(Err(error)) => {
                if matches!(error, Neo4jError::Neo4j(_)) {
                    self.connections.give_back(connection);
                }
                Err(Failed { error, is_sent })
            }
            Err(_) => Err(Failed { error: Neo4jError::ConnectionTimedOut, is_sent }),
        }
    }

    pub(super) fn is_busy(&self) -> Error {
        Error::unavailable(format!("this process has too much for {} to do", self.server))
    }
}

/// `Graph::execute` and not `Graph::run`, which repeats a write whose commit it did not see.
async fn drain(connection: &Connection, query: Query) -> Result<Vec<BoltType>, Neo4jError> {
    let mut stream = connection.graph.execute(query).await?;
    let mut rows = Vec::new();
    while let Some(row) = stream.next().await? {
        rows.push(row.get::<BoltType>("row").map_err(Neo4jError::DeserializationError)?);
    }
    Ok(rows)
}

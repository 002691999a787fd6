//! One statement to the server and back: time limits, repetitions, errors. Every statement is a transaction of its
//! own, so there is nothing to roll back.

use super::{CONNECTIONS, Neo4jStore, bolt::Cells, locked, nodelay::NoDelay};
use crate::{
    clock::monotonic,
    error::{Error, Kind, Result},
};
use neo4rs::{
    BoltType, Error as Neo4jError, Graph, Neo4jClientErrorKind, Neo4jErrorKind, Neo4jSecurityErrorKind, Query,
};
use std::{
    io::ErrorKind,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};
use tokio::{
    sync::{Mutex, Semaphore},
    time::{sleep, timeout},
};

/// What the server gives one statement.
const ON_SERVER: Duration = Duration::from_secs(20);
/// What we give it: the driver's own time limits cover neither its handshake nor a pool without connections.
const IN_ALL: Duration = Duration::from_secs(25);
const TRIES: u32 = 10;

/// What follows when the connection breaks: a statement that may run twice is sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Repeat {
    Safe,
    Unsafe,
}

/// What is to be made is there already. The room answers it, by a look at what is there.
pub(super) const CONSTRAINT: &str = "store.constraint";
/// Something of the database's schema stands in the way of ours.
pub(super) const SCHEMA: &str = "store.schema_conflict";

impl Neo4jStore {
    /// A statement with the namespace and the manual clock, if there is one.
    pub(super) fn query(&self, text: &str) -> Query {
        Query::new(text.to_owned()).param("ns", self.namespace.as_str()).param("now", self.clock.manual())
    }

    /// Runs to its end even where the caller goes away: a dropped exchange would leave the outcome unknown and
    /// its locks held.
    pub(super) async fn exec(&self, query: Query, repeat: Repeat) -> Result<Vec<Cells>> {
        self.statements.fetch_add(1, Ordering::Relaxed);
        let link = Link {
            graph: self.graph.clone(),
            permits: self.permits.clone(),
            writer: self.writer.clone(),
            server: self.server.clone(),
            nodelay: self.nodelay.clone(),
        };
        tokio::spawn(link.run(query, repeat))
            .await
            .map_err(|e| Error::internal("a statement was stopped").caused_by(e))?
    }

    pub(super) async fn look(&self, query: Query) -> Result<Vec<Cells>> {
        self.exec(query, Repeat::Safe).await
    }

    /// A statement that always gives one row.
    pub(super) async fn one(&self, query: Query, repeat: Repeat) -> Result<Cells> {
        let row = self.exec(query, repeat).await?.into_iter().next();
        row.ok_or_else(|| {
            let message = format!("namespace {:?} is gone from the database", self.namespace);
            Error::new(Kind::Storage, "store.namespace_missing", message)
        })
    }
}

/// What a statement needs on its way, apart from the store that may be dropped meanwhile.
struct Link {
    graph: Graph,
    permits: Arc<Semaphore>,
    writer: Arc<Mutex<()>>,
    server: Arc<str>,
    nodelay: Arc<NoDelay>,
}

impl Link {
    async fn run(self, query: Query, repeat: Repeat) -> Result<Vec<Cells>> {
        // Before the pool, which would let its callers wait for ever.
        let permit = match timeout(IN_ALL, self.permits.acquire()).await {
            Ok(Ok(permit)) => permit,
            Ok(Err(_)) => return Err(Error::closed()),
            Err(_) => return Err(Error::unavailable(format!("every connection to {} is busy", self.server))),
        };
        // The server polls for a lock that is taken, ever more rarely; here the next one goes at once.
        let turn = if query.query().contains(locked!()) { Some(self.writer.lock().await) } else { None };
        let query = query.extra("tx_timeout", ON_SERVER.as_millis() as i64);
        let at_once = CONNECTIONS as usize - self.permits.available_permits();
        let mut tries = 0;
        let rows = loop {
            tries += 1;
            let sent = monotonic();
            let outcome = timeout(IN_ALL, drain(&self.graph, query.clone())).await;
            self.nodelay.after(at_once, sent.elapsed());
            let error = match outcome {
                Ok(Ok(rows)) => break rows,
                Ok(Err(error)) => error,
                Err(_) => Neo4jError::ConnectionTimedOut,
            };
            let again = match &error {
                Neo4jError::Neo4j(error) => passes(error.kind()),
                error => {
                    is_io(error) && repeat == Repeat::Safe && !is_refused(error) && distrust(error).is_none()
                }
            };
            if !again || tries == TRIES {
                return Err(verdict(error, &self.server, repeat));
            }
            let most = Duration::from_millis(10 << tries.min(8));
            sleep(most.mul_f64(fastrand::f64())).await;
        };
        drop((turn, permit));
        rows.into_iter().map(Cells::of).collect()
    }
}

/// `Graph::execute` and not `Graph::run`, which repeats a write whose commit it did not see.
async fn drain(graph: &Graph, query: Query) -> Result<Vec<BoltType>, Neo4jError> {
    let mut stream = graph.execute(query).await?;
    let mut rows = Vec::new();
    while let Some(row) = stream.next().await? {
        rows.push(row.get::<BoltType>("row").map_err(Neo4jError::DeserializationError)?);
    }
    Ok(rows)
}

/// Nothing was done, and the same statement may succeed in a moment.
fn passes(kind: Neo4jErrorKind) -> bool {
    use Neo4jClientErrorKind::{Security, SessionExpired};
    match kind {
        Neo4jErrorKind::Transient | Neo4jErrorKind::Client(SessionExpired) => true,
        Neo4jErrorKind::Client(Security(kind)) => kind == Neo4jSecurityErrorKind::AuthorizationExpired,
        _ => false,
    }
}

/// The statement was never sent.
fn is_refused(error: &Neo4jError) -> bool {
    match error {
        Neo4jError::IOError { detail } => detail.kind() == ErrorKind::ConnectionRefused,
        Neo4jError::ConnectionError
        | Neo4jError::InvalidDnsName(_)
        | Neo4jError::ServerUnavailableError(_) => true,
        _ => false,
    }
}

fn is_io(error: &Neo4jError) -> bool {
    matches!(
        error,
        Neo4jError::IOError { .. }
            | Neo4jError::ConnectionTimedOut
            | Neo4jError::ConnectionError
            | Neo4jError::IncompleteBoltExchange
            | Neo4jError::UnexpectedMessage(_)
            | Neo4jError::UnknownMessage(_)
            | Neo4jError::ServerUnavailableError(_)
    )
}

/// Why the server's certificate was not accepted.
fn distrust(error: &Neo4jError) -> Option<&rustls::Error> {
    let Neo4jError::IOError { detail } = error else { return None };
    let why = detail.get_ref()?.downcast_ref::<rustls::Error>()?;
    matches!(why, rustls::Error::InvalidCertificate(_)).then_some(why)
}

/// As the answer to a greeting without TLS.
fn is_tls_alert(error: &Neo4jError) -> bool {
    const ALERT: u32 = 0x15;
    matches!(error, Neo4jError::ProtocolMismatch(answer) if answer >> 24 == ALERT)
}

fn hangs_up(error: &Neo4jError) -> bool {
    matches!(error, Neo4jError::IOError { detail } if detail.kind() == ErrorKind::UnexpectedEof)
}

fn tls(message: String) -> Error {
    Error::new(Kind::Config, "store.tls", message)
}

fn verdict(error: Neo4jError, server: &str, repeat: Repeat) -> Error {
    let made = match &error {
        error if is_tls_alert(error) => {
            tls(format!("{server} speaks TLS only: the URL must begin with neo4j+s, or neo4j+ssc"))
        }
        error if let Some(why) = distrust(error) => tls(format!(
            "{server} is not trusted: {why}; let this machine trust its issuer, or write neo4j+ssc for a \
             self-signed certificate"
        )),
        Neo4jError::ProtocolMismatch(_) => Error::config(format!("{server} does not speak Bolt")),
        Neo4jError::AuthenticationError(_) => denied(server),
        Neo4jError::Neo4j(failure) => match failure.kind() {
            Neo4jErrorKind::Client(Neo4jClientErrorKind::Security(_)) => denied(server),
            kind if passes(kind) => Error::unavailable(format!("{server} is busy: {}", failure.code())),
            _ if failure.code() == "Neo.ClientError.Schema.ConstraintValidationFailed" => Error::new(
                Kind::Internal,
                CONSTRAINT,
                format!("{server} has it already: {}", failure.message()),
            ),
            _ if is_schema(failure.code()) => {
                Error::new(Kind::Storage, SCHEMA, format!("the schema of {server}: {}", failure.message()))
            }
            _ if failure.code().contains("DatabaseNotFound") => {
                Error::config(format!("{server} has no such database"))
            }
            _ if failure.code().contains("DatabaseUnavailable") => {
                Error::unavailable(format!("the database on {server} is not available"))
            }
            _ => Error::internal(format!("the statement failed on {server}: {}", failure.code())),
        },
        error if hangs_up(error) && repeat == Repeat::Safe => Error::unavailable(format!(
            "{server} cannot be reached: it hangs up; if it always does, only one side wants TLS (neo4j+s)"
        )),
        error if is_refused(error) || (is_io(error) && repeat == Repeat::Safe) => {
            Error::unavailable(format!("{server} cannot be reached"))
        }
        error if is_io(error) => {
            let advice = "it may have happened; repeat it with the same id, unique key or lease";
            Error::new(Kind::OutcomeUnknown, "store.outcome_unknown", format!("{server} went away; {advice}"))
        }
        _ => Error::internal(format!("the exchange with {server} failed")),
    };
    made.caused_by(error)
}

fn is_schema(code: &str) -> bool {
    let what = code.strip_prefix("Neo.ClientError.Schema.");
    what.is_some_and(|what| what.ends_with("AlreadyExists") || what == "ConstraintCreationFailed")
}

fn denied(server: &str) -> Error {
    Error::new(Kind::Denied, "store.auth", format!("{server} refused the user or the password"))
}

//! What a failure of the driver or of the server means.

use crate::error::{Error, Kind};
use neo4rs::{Error as Neo4jError, Neo4jClientErrorKind, Neo4jErrorKind, Neo4jSecurityErrorKind};
use std::io::ErrorKind;

/// What is to be made is there already. The room answers it, by a look at what is there.
pub(super) const CONSTRAINT: &str = "store.constraint";
/// Something of the database's schema stands in the way of ours.
pub(super) const SCHEMA: &str = "store.schema_conflict";

/// Nothing was done, and the same statement may succeed in a moment.
pub(super) fn passes(failure: &neo4rs::Neo4jError) -> bool {
    use Neo4jClientErrorKind::{Security, SessionExpired};
    // It found in an index what another transaction removed before it was read.
    if failure.code() == "Neo.ClientError.Statement.EntityNotFound" {
        return true;
    }
    match failure.kind() {
        Neo4jErrorKind::Transient | Neo4jErrorKind::Client(SessionExpired) => true,
        Neo4jErrorKind::Client(Security(kind)) => kind == Neo4jSecurityErrorKind::AuthorizationExpired,
        _ => false,
    }
}

/// The statement was never sent.
pub(super) fn is_refused(error: &Neo4jError) -> bool {
    match error {
        Neo4jError::IOError { detail } => detail.kind() == ErrorKind::ConnectionRefused,
        Neo4jError::ConnectionError
        | Neo4jError::InvalidDnsName(_)
        | Neo4jError::ServerUnavailableError(_) => true,
        _ => false,
    }
}

pub(super) fn is_io(error: &Neo4jError) -> bool {
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
pub(super) fn distrust(error: &Neo4jError) -> Option<&rustls::Error> {
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

/// What the caller is told. `is_sent`: the server may have done it.
pub(super) fn verdict(error: Neo4jError, server: &str, is_sent: bool) -> Error {
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
            _ if passes(failure) || is_stopped(failure.code()) => {
                Error::unavailable(format!("{server} did not get to it: {}", failure.code()))
            }
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
        error if is_io(error) && is_sent && !is_refused(error) => Error::new(
            Kind::OutcomeUnknown,
            "store.outcome_unknown",
            format!(
                "{server} went away before it answered; it may have happened, so repeat it with the same id, unique key \
                 or lease"
            ),
        ),
        error if hangs_up(error) => Error::unavailable(format!(
            "{server} cannot be reached: it hangs up; if it always does, only one side wants TLS (neo4j+s)"
        )),
        Neo4jError::ConnectionTimedOut => Error::unavailable(format!("{server} does not answer")),
        error if is_io(error) => Error::unavailable(format!("{server} cannot be reached")),
        _ => Error::internal(format!("the exchange with {server} failed")),
    };
    made.caused_by(error)
}

/// The server gave up and undid it.
fn is_stopped(code: &str) -> bool {
    let why = code.rsplit('.').next().unwrap_or_default();
    why.starts_with("TransactionTimedOut") || matches!(why, "Terminated" | "LockClientStopped")
}

fn is_schema(code: &str) -> bool {
    code.contains(".Schema.")
}

fn denied(server: &str) -> Error {
    Error::new(Kind::Denied, "store.auth", format!("{server} refused the user or the password"))
}

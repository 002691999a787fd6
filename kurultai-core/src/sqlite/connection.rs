//! SQLite's connections, as this library wants them.

use super::failure::{failed, is_busy};
use crate::{
    clock::{self, monotonic},
    error::Result,
};
use rusqlite::{Connection, OpenFlags, config::DbConfig, vtab::array};
use std::{
    path::Path,
    time::{Duration, Instant},
};

pub(super) fn reader(database: &Path) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let reader = prepared(Connection::open_with_flags(database, flags).map_err(failed)?)?;
    leave_log(&reader);
    Ok(reader)
}

/// A connection for checkpoints beside the writer, which never waits.
pub(super) fn helper(database: &Path) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let helper = Connection::open_with_flags(database, flags).map_err(failed)?;
    // Until it has read something it does not know of a log.
    helper.query_row("pragma schema_version", [], |_| Ok(())).map_err(failed)?;
    helper.busy_timeout(Duration::ZERO).map_err(failed)?;
    leave_log(&helper);
    Ok(helper)
}

/// This connection does not put the log away when it is closed.
pub(super) fn leave_log(connection: &Connection) {
    drop(connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true));
}

pub(super) fn prepared(connection: Connection) -> Result<Connection> {
    connection.busy_timeout(Duration::from_secs(10)).map_err(failed)?;
    connection.set_prepared_statement_cache_capacity(128);
    // Plans do not depend on the values that are bound. Without this, most statements are compiled anew each time.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).map_err(failed)?;
    array::load_module(&connection).map_err(failed)?;
    Ok(connection)
}

/// Tries again while another process opens the same file: switching to WAL does not wait by itself.
pub(super) fn patiently<T>(deadline: Instant, mut attempt: impl FnMut() -> rusqlite::Result<T>) -> Result<T> {
    loop {
        match attempt() {
            Err(error) if is_busy(&error) && monotonic() < deadline => {
                clock::block(Duration::from_millis(5 + fastrand::u64(..20)));
            }
            done => return done.map_err(failed),
        }
    }
}

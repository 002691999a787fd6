//! Opening a file: settings and migrations.

use super::{checkpoint, failed};
use crate::{
    clock,
    config::{Config, Durability, Location},
    error::{Error, Kind, Result},
};
use rusqlite::{Connection, OpenFlags, config::DbConfig, vtab::array};
use std::{thread::JoinHandle, time::Duration};

pub(super) struct Opened {
    pub(super) writer: Connection,
    /// Of a file, which other processes may write to.
    pub(super) watcher: Option<Connection>,
    /// Where commits do not wait for the disk, checkpoints should not let them wait either.
    pub(super) checkpoints: Option<JoinHandle<()>>,
    pub(super) ns: i64,
}

pub(super) fn open(config: &Config) -> Result<Opened> {
    let connection = match &config.location {
        Location::Sqlite { path, .. } => Connection::open(path),
        _ => Connection::open_in_memory(),
    };
    let mut connection = prepared(connection.map_err(failed)?)?;
    let synchronous = match config.location {
        Location::Sqlite { durability: Durability::Full, .. } => "full",
        _ => "normal",
    };
    // 8 MiB: a commit scans the whole page cache, so a larger one costs more than it saves. Temporary things stay in
    // memory: a job that may be undone alone copies what it changes, beyond 64 KiB into a file. The longer a checkpoint
    // waits, the more pages it writes only once.
    let settings = format!(
        "pragma journal_mode=wal; pragma synchronous={synchronous}; pragma cache_size=-8192;
         pragma temp_store=memory; pragma wal_autocheckpoint={};",
        checkpoint::MOST
    );
    patiently(|| connection.execute_batch(&settings))?;
    migrate(&connection, config.migrate)?;
    patiently(|| connection.execute("insert or ignore into namespace(id) values(?1)", [&config.namespace]))?;
    let ns = connection
        .query_row("select n from namespace where id = ?1", [&config.namespace], |row| row.get(0))
        .map_err(failed)?;
    let watcher = match &config.location {
        Location::Sqlite { .. } => Some(reader(&config.location)?),
        _ => None,
    };
    let checkpoints = match &config.location {
        Location::Sqlite { path, durability: Durability::Process } => {
            let own = prepared(Connection::open(path).map_err(failed)?)?;
            Some(checkpoint::start(&mut connection, own)?)
        }
        _ => None,
    };
    // Waiting is the writer's own business: SQLite's handler sleeps for up to 100 ms at a time.
    connection.busy_timeout(Duration::ZERO).map_err(failed)?;
    Ok(Opened { writer: connection, watcher, checkpoints, ns })
}

pub(super) fn reader(location: &Location) -> Result<Connection> {
    let Location::Sqlite { path, .. } = location else {
        return Err(Error::internal("a database in memory has no readers"));
    };
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    prepared(Connection::open_with_flags(path, flags).map_err(failed)?)
}

fn prepared(connection: Connection) -> Result<Connection> {
    connection.busy_timeout(Duration::from_secs(10)).map_err(failed)?;
    connection.set_prepared_statement_cache_capacity(128);
    // Plans do not depend on the values that are bound. Without this, most statements are compiled anew each time.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).map_err(failed)?;
    array::load_module(&connection).map_err(failed)?;
    Ok(connection)
}

/// Tries again while another process opens the same file: switching to WAL does not wait by itself.
fn patiently<T>(mut attempt: impl FnMut() -> rusqlite::Result<T>) -> Result<T> {
    for _ in 0..500 {
        match attempt().map_err(failed) {
            Err(error) if error.retryable() => clock::block(Duration::from_millis(5 + fastrand::u64(..20))),
            done => return done,
        }
    }
    attempt().map_err(failed)
}

fn migrate(connection: &Connection, allowed: bool) -> Result<()> {
    let steps = kurultai_migrations::SQLITE;
    let newest = steps.last().map_or(0, |(version, ..)| *version);
    let version = || -> Result<u32> {
        let ledger = "select count(*) from sqlite_schema where name = 'kurultai_schema'";
        if connection.query_row(ledger, [], |row| row.get::<_, u32>(0)).map_err(failed)? == 0 {
            return Ok(0);
        }
        let highest = "select coalesce(max(version), 0) from kurultai_schema";
        connection.query_row(highest, [], |row| row.get(0)).map_err(failed)
    };
    if version()? < newest {
        if !allowed {
            let message = "the database lacks the newest schema; run `kurultai migrate`";
            return Err(Error::new(Kind::Storage, "store.schema_older", message));
        }
        patiently(|| connection.execute_batch("begin immediate"))?;
        let applied = apply(connection, version()?);
        connection.execute_batch(if applied.is_ok() { "commit" } else { "rollback" }).map_err(failed)?;
        applied?;
    }
    let found = version()?;
    if found > newest {
        let message =
            format!("the database has schema {found}, this library knows {newest}; install a newer kurultai");
        return Err(Error::new(Kind::Storage, "store.schema_newer", message));
    }
    Ok(())
}

fn apply(connection: &Connection, version: u32) -> Result<()> {
    let ledger = "create table if not exists kurultai_schema(
        version integer primary key, name text not null, applied_at integer not null) strict";
    connection.execute_batch(ledger).map_err(failed)?;
    for (number, name, statements) in
        kurultai_migrations::SQLITE.iter().filter(|(number, ..)| *number > version)
    {
        connection.execute_batch(statements).map_err(failed)?;
        let entry = "insert into kurultai_schema values(?1, ?2, ?3)";
        connection.execute(entry, (number, name, clock::machine_now())).map_err(failed)?;
    }
    Ok(())
}

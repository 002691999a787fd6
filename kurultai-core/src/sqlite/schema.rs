//! The schema of a file: made, brought up to date, or refused.

use super::{connection::patiently, failure::failed};
use crate::{
    clock,
    error::{Error, Kind, Result},
};
use rusqlite::Connection;
use std::{collections::BTreeMap, time::Instant};

pub(super) fn migrate(connection: &Connection, allowed: bool, deadline: Instant) -> Result<()> {
    let newest = kurultai_migrations::SQLITE.last().map_or(0, |(version, ..)| *version);
    if version(connection)? < newest {
        if !allowed {
            let message = "the database lacks the newest schema; run `kurultai migrate`";
            return Err(Error::new(Kind::Storage, "store.schema_older", message));
        }
        patiently(deadline, || connection.execute_batch("begin immediate"))?;
        let applied = version(connection).and_then(|version| apply(connection, version));
        connection.execute_batch(if applied.is_ok() { "commit" } else { "rollback" }).map_err(failed)?;
        applied?;
        // Otherwise a copy of the file alone would be an empty database.
        connection.query_row("pragma wal_checkpoint(passive)", [], |_| Ok(())).map_err(failed)?;
    }
    let found = version(connection)?;
    if found > newest {
        let message =
            format!("the database has schema {found}, this library knows {newest}; install a newer kurultai");
        return Err(Error::new(Kind::Storage, "store.schema_newer", message));
    }
    match missing(connection)?.first() {
        None => Ok(()),
        Some(name) => Err(conflict(format!(
            "the {name} of this database is not the one of schema {newest}, as a build before the first release \
             may have left it; move the file away and begin a new one"
        ))),
    }
}

/// What is not as a new database has it, as `index "task_due"`.
pub(super) fn missing(connection: &Connection) -> Result<Vec<String>> {
    let theirs = objects(connection)?;
    let differs = |(name, object): &(&String, &Object)| theirs.get(*name) != Some(object);
    let ours = expected()?;
    Ok(ours.iter().filter(differs).map(|(name, object)| format!("{} {name:?}", object.kind)).collect())
}

fn version(connection: &Connection) -> Result<u32> {
    let ledger = "select count(*) from sqlite_schema where name = 'kurultai_schema'";
    if connection.query_row(ledger, [], |row| row.get::<_, u32>(0)).map_err(failed)? == 0 {
        return Ok(0);
    }
    let highest = "select coalesce(max(version), 0) from kurultai_schema";
    connection.query_row(highest, [], |row| row.get(0)).map_err(failed)
}

fn apply(connection: &Connection, version: u32) -> Result<()> {
    if version == 0 {
        let ours = expected()?;
        if let Some((name, object)) = objects(connection)?.iter().find(|(name, _)| ours.contains_key(*name)) {
            return Err(conflict(format!(
                "the file has a {} {name:?} that is not kurultai's; use a file of its own",
                object.kind
            )));
        }
    }
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

/// A table, view, index or trigger.
#[derive(Debug, PartialEq)]
struct Object {
    kind: String,
    sql: Option<String>,
}

/// By their names as SQLite compares them.
fn objects(connection: &Connection) -> Result<BTreeMap<String, Object>> {
    let mut statement =
        connection.prepare("select lower(name), type, sql from sqlite_schema").map_err(failed)?;
    let object = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, Object { kind: row.get(1)?, sql: row.get(2)? }));
    let objects = statement.query_map([], object).map_err(failed)?;
    objects.collect::<rusqlite::Result<_>>().map_err(failed)
}

/// What a new database has, apart from the ledger.
fn expected() -> Result<BTreeMap<String, Object>> {
    let model = Connection::open_in_memory().map_err(failed)?;
    for (_, _, statements) in kurultai_migrations::SQLITE {
        model.execute_batch(statements).map_err(failed)?;
    }
    objects(&model)
}

fn conflict(message: String) -> Error {
    Error::new(Kind::Storage, "store.schema_conflict", message)
}

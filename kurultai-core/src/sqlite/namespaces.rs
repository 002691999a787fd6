//! The namespaces of a file: counted, and deleted in portions.
//!
//! Numbers are never given out again: handles that are still open know a namespace, its routes and its tasks by them. So the
//! newest of each stays as an empty row, which belongs to a namespace without a name.

use super::tx::{Tx, list};
use crate::{
    error::Result,
    events::MOST_EVENTS,
    namespaces::{NamespaceInfo, missing},
};
use rusqlite::params;

/// How many rows of a table one transaction deletes.
const PORTION: i64 = 1_000;

/// In no index any more but that of ids.
const EMPTY_TASK: &str = "update task set id = '', type = '', status = 'cancelled', claim_key = null, parent = null,
      unique_key = null, run_at = null, expires_at = null, due_at = null, claimed_by = null, claimed_at = null,
      claim_id = null, held_by = null, control = null, links = 0, completed_at = null
    where ns = ?1";

pub(super) fn all(tx: &Tx<'_>) -> Result<Vec<NamespaceInfo>> {
    let sql =
        "select id, (select count(*) from task where ns = s.n), (select count(*) from agent where ns = s.n)
        from namespace s where id <> '' order by id";
    let count = |count: i64| count.unsigned_abs();
    tx.rows(sql, [], |row| {
        Ok(NamespaceInfo { name: row.get(0)?, tasks: count(row.get(1)?), agents: count(row.get(2)?) })
    })
}

/// Fails where somebody has deleted the namespace of this transaction.
pub(super) fn is_there(tx: &Tx<'_>) -> Result<()> {
    let sql = "select 1 from namespace where n = ?1 and id <> ''";
    tx.one(sql, [tx.ns], |_| Ok(()))?.ok_or_else(gone)
}

/// A connection knows its namespace by the number alone.
pub(super) fn gone() -> crate::Error {
    missing("of this handle")
}

/// How many rows went, none once the namespace itself is gone; `None` where it was not there.
pub(super) fn delete_some(tx: &Tx<'_>, name: &str) -> Result<Option<usize>> {
    let sql = "select n from namespace where id = ?1";
    let Some(ns) = tx.one(sql, [name], |row| row.get::<_, i64>(0))? else { return Ok(None) };
    let tasks = "select n from task where ns = ?1 and n < (select max(n) from task) limit ?2";
    let tasks = tx.rows(tasks, [ns, PORTION], |row| row.get(0))?;
    if !tasks.is_empty() {
        empty(tx, &tasks)?;
        return tx.run("delete from task where n in (select value from rarray(?1))", [list(tasks)]).map(Some);
    }
    let events = "delete from event where key in
        (select key from event where key > ?1 << 44 and key < (?1 << 44) + ?3 limit ?2)";
    let mut gone = tx.run(events, params![ns, PORTION, MOST_EVENTS])?;
    for sql in [
        "delete from swept where n in (select n from swept where ns = ?1 limit ?2)",
        "delete from expiry where ns = ?1 and (at, first) in (select at, first from expiry where ns = ?1 limit ?2)",
        "delete from route where id in
          (select id from route where ns = ?1 and id < (select max(id) from route) limit ?2)",
        "delete from agent where ns = ?1 and id in (select id from agent where ns = ?1 limit ?2)",
        "delete from schedule where ns = ?1 and name in (select name from schedule where ns = ?1 limit ?2)",
        "delete from message where n in (select n from message where ns = ?1 limit ?2)",
        "delete from agent_key where ns = ?1 and (agent_id, key_id) in
          (select agent_id, key_id from agent_key where ns = ?1 limit ?2)",
        "delete from refusal where ns = ?1 and (minute, sender, code) in
          (select minute, sender, code from refusal where ns = ?1 limit ?2)",
        "delete from role_lease where ns = ?1 and role in (select role from role_lease where ns = ?1 limit ?2)",
        "delete from failover_event where ns = ?1 and id in (select id from failover_event where ns = ?1 limit ?2)",
        "delete from subscription where ns = ?1 and name in (select name from subscription where ns = ?1 limit ?2)",
        "delete from dead_event where ns = ?1 and (subscription, seq) in
          (select subscription, seq from dead_event where ns = ?1 limit ?2)",
        "delete from alert where ns = ?1 and key in (select key from alert where ns = ?1 limit ?2)",
        "delete from pause where ns = ?1 and type in (select type from pause where ns = ?1 limit ?2)",
    ] {
        gone += tx.run(sql, [ns, PORTION])?;
    }
    if gone == 0 {
        bury(tx, ns)?;
    }
    Ok(Some(gone))
}

/// What other tables have of tasks.
fn empty(tx: &Tx<'_>, tasks: &[i64]) -> Result<()> {
    for sql in [
        "delete from edge where dependent in (select value from rarray(?1))",
        "delete from edge where prerequisite in (select value from rarray(?1))",
        "delete from task_data where n in (select value from rarray(?1))",
        "delete from task_result where n in (select value from rarray(?1))",
    ] {
        tx.run(sql, [list(tasks.iter().copied())])?;
    }
    Ok(())
}

/// Of the namespace, and of what was buried before, the newest row of each table stays, if it is the newest of all.
fn bury(tx: &Tx<'_>, ns: i64) -> Result<()> {
    let newest = tx.rows("select n from task where ns = ?1", [ns], |row| row.get(0))?;
    empty(tx, &newest)?;
    tx.run(EMPTY_TASK, [ns])?;
    tx.run("update route set key = '' where ns = ?1", [ns])?;
    let before =
        tx.one("select n from namespace where id = ''", [], |row| row.get::<_, i64>(0))?.unwrap_or(ns);
    let (grave, both) = (ns.max(before), list([ns, before]));
    for sql in [
        "delete from task where ns in (select value from rarray(?1)) and n < (select max(n) from task)",
        "delete from route where ns in (select value from rarray(?1)) and id < (select max(id) from route)",
        "delete from namespace where n in (select value from rarray(?1))",
    ] {
        tx.run(sql, [&both])?;
    }
    tx.run("insert into namespace(n, id) values(?1, '')", [grave])?;
    tx.run("update task set ns = ?2 where ns in (select value from rarray(?1))", params![both, grave])?;
    tx.run("update route set ns = ?2 where ns in (select value from rarray(?1))", params![both, grave])?;
    Ok(())
}

//! The emergency stop: everything is paused, and the holders are asked as `rules` asks one of a task that is cancelled.

use super::pause::pause;
use crate::{
    clock::time,
    error::Result,
    sqlite::{
        events,
        tx::{Tx, list},
    },
    tasks::{EmergencyStop, contract::told_why},
};
use rusqlite::params;

pub(super) fn stop(tx: &Tx<'_>, reason: &str, limit: usize) -> Result<usize> {
    pause(tx, "", true)?;
    let sql = "update pause set reason = ?2, at = ?3 where ns = ?1 and type = '' and reason is null";
    if tx.run(sql, params![tx.ns, reason, tx.now])? > 0 {
        let payload = serde_json::json!({ "reason": reason }).to_string();
        events::append_one(tx, "tasks.stopped", None, None, Some(payload))?;
    }
    ask(tx, reason, limit)
}

fn ask(tx: &Tx<'_>, reason: &str, limit: usize) -> Result<usize> {
    let sql =
        "update or fail task set control = 'cancel', revision = revision + 1, updated_at = ?2 where n in
          (select n from task where ns = ?1 and due_at is not null and due_at > ?2 and status = 'in_progress'
             and control is not 'cancel' limit ?3)
        returning n, attempts";
    let row = |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, u32>(1)?));
    let asked = tx.rows(sql, params![tx.ns, tx.now, limit as i64], row)?;
    let sql = "insert into task_result(n, control_reason) select value, ?2 from rarray(?1) where true
        on conflict do update set control_reason = excluded.control_reason";
    tx.run(sql, params![list(asked.iter().map(|(n, _)| *n)), reason])?;
    for (n, attempt) in &asked {
        let why = told_why(*attempt, reason);
        events::append_one(tx, "task.cancel_requested", None, Some(*n), Some(why))?;
    }
    Ok(asked.len())
}

pub(super) fn start(tx: &Tx<'_>) -> Result<()> {
    let was_stopped = stopped(tx)?.is_some();
    pause(tx, "", false)?;
    if was_stopped {
        events::append_one(tx, "tasks.started", None, None, None)?;
    }
    Ok(())
}

pub(super) fn stopped(tx: &Tx<'_>) -> Result<Option<EmergencyStop>> {
    let sql = "select reason, at from pause where ns = ?1 and type = '' and reason is not null";
    tx.one(sql, [tx.ns], |row| Ok(EmergencyStop { reason: row.get(0)?, at: time(row.get(1)?) }))
}

//! Schedules come, change and go.

use crate::{
    error::Result,
    schedules::contract::Entry,
    sqlite::{namespaces::is_there, tx::Tx},
};
use rusqlite::params;

pub(super) fn put(tx: &Tx<'_>, entry: &Entry, was: Option<i64>) -> Result<bool> {
    is_there(tx)?;
    let there = "select revision from schedule where ns = ?1 and name = ?2";
    if tx.one(there, params![tx.ns, entry.name], |row| row.get::<_, i64>(0))? != was {
        return Ok(false);
    }
    let sql = "insert or replace into schedule(ns, name, type, payload, task_fields, every, cron, timezone, start, catch_up,
          overlap, jitter, paused, next_due, due_at, last_due, last_task, last_skipped, revision, created_at, updated_at)
        values(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21)";
    let rhythm = &entry.rhythm;
    tx.run(
        sql,
        params![
            tx.ns,
            entry.name,
            entry.task_type,
            entry.payload.as_str(),
            entry.fields.as_str(),
            rhythm.every,
            rhythm.cron,
            rhythm.timezone,
            rhythm.start,
            entry.catch_up.as_str(),
            entry.overlap.as_str(),
            entry.jitter,
            entry.paused,
            entry.next_due,
            entry.due_at,
            entry.last_due,
            entry.last_task,
            entry.last_skipped,
            entry.revision,
            entry.created_at,
            entry.updated_at
        ],
    )?;
    Ok(true)
}

pub(super) fn remove(tx: &Tx<'_>, name: &str) -> Result<bool> {
    is_there(tx)?;
    Ok(tx.run("delete from schedule where ns = ?1 and name = ?2", params![tx.ns, name])? > 0)
}

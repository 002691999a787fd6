//! What is due when.

use crate::{
    clock::Micros,
    error::Result,
    schedules::{
        Rhythm,
        contract::{Entry, Schedules},
    },
    sqlite::{
        namespaces::is_there,
        tx::{Tx, json, word},
    },
};
use rusqlite::{Row, params};

/// What of a row an entry is made of, and whether its last task is unfinished.
macro_rules! entries {
    ($of:literal) => {
        concat!(
            "select name, type, payload, task_fields, every, cron, timezone, start, catch_up, overlap, jitter, paused,
              next_due, due_at, last_due, last_task, last_skipped, revision, created_at, updated_at,
              exists(select 1 from task t where t.ns = schedule.ns and t.id = last_task
                and t.status not in ('completed', 'dead_letter', 'cancelled', 'expired'))
            from schedule ",
            $of
        )
    };
}

pub(super) fn schedules(tx: &Tx<'_>, name: Option<&str>) -> Result<Schedules> {
    let entries = match name {
        Some(name) => tx.rows(entries!("where ns = ?1 and name = ?2"), params![tx.ns, name], entry)?,
        None => tx.rows(entries!("where ns = ?1 order by name"), [tx.ns], entry)?,
    };
    if entries.is_empty() {
        is_there(tx)?;
    }
    Ok(Schedules { now: tx.now, entries })
}

pub(super) fn due(tx: &Tx<'_>, limit: usize) -> Result<Schedules> {
    let sql = entries!("where ns = ?1 and due_at is not null and due_at <= ?2 order by due_at limit ?3");
    let entries = tx.rows(sql, params![tx.ns, tx.now, limit as i64], entry)?;
    Ok(Schedules { now: tx.now, entries })
}

/// When the store has to look at schedules next.
pub(in crate::sqlite) fn next_due(tx: &Tx<'_>) -> Result<Option<Micros>> {
    let sql = "select due_at from schedule where ns = ?1 and due_at is not null order by due_at limit 1";
    tx.one(sql, [tx.ns], |row| row.get(0))
}

fn entry(row: &Row<'_>) -> rusqlite::Result<(Entry, bool)> {
    let rhythm = Rhythm { every: row.get(4)?, cron: row.get(5)?, timezone: row.get(6)?, start: row.get(7)? };
    let entry = Entry {
        name: row.get(0)?,
        task_type: row.get(1)?,
        payload: json(row, 2)?,
        fields: json(row, 3)?,
        rhythm,
        catch_up: word(row, 8)?,
        overlap: word(row, 9)?,
        jitter: row.get(10)?,
        paused: row.get(11)?,
        next_due: row.get(12)?,
        due_at: row.get(13)?,
        last_due: row.get(14)?,
        last_task: row.get(15)?,
        last_skipped: row.get(16)?,
        revision: row.get(17)?,
        created_at: row.get(18)?,
        updated_at: row.get(19)?,
    };
    Ok((entry, row.get(20)?))
}

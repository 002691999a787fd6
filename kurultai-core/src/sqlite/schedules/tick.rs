//! Schedules move on, and what is due is enqueued.

use crate::{
    error::Result,
    schedules::contract::Tick,
    sqlite::{
        tasks,
        tx::{Tx, list},
    },
};
use rusqlite::params;

pub(super) fn tick(tx: &Tx<'_>, ticks: Vec<Tick>) -> Result<bool> {
    let fence = "select 1 from schedule where ns = ?1 and name = ?2 and revision = ?3
        and exists(select 1 from task t where t.ns = ?1 and t.id = last_task
          and t.status not in ('completed', 'dead_letter', 'cancelled', 'expired')) = ?4";
    for tick in &ticks {
        let known = params![tx.ns, tick.name, tick.revision, tick.busy];
        if tx.one(fence, known, |_| Ok(()))?.is_none() {
            return Ok(false);
        }
    }
    let mut tasks = vec![];
    for tick in ticks {
        let taken = taken(tx, &tick)?;
        let tick = tick.without(&taken);
        let sql = "update schedule set next_due = ?3, due_at = ?4, last_due = coalesce(?5, last_due),
              last_skipped = coalesce(?6, last_skipped), last_task = coalesce(?7, last_task), revision = revision + 1
            where ns = ?1 and name = ?2";
        let Tick { name, next_due, due_at, last_due, last_skipped, last_task, .. } = tick;
        tx.run(sql, params![tx.ns, name, next_due, due_at, last_due, last_skipped, last_task])?;
        tasks.extend(tick.tasks);
    }
    tasks::add(tx, &tasks)?;
    Ok(true)
}

/// The keys of its tasks that others have, and those tasks.
fn taken(tx: &Tx<'_>, tick: &Tick) -> Result<Vec<(String, String)>> {
    let sql = "select t.unique_key, t.id from rarray(?2) a cross join task t on t.unique_key = a.value and t.ns = ?1";
    let keys = tick.keys().map(str::to_owned);
    tx.rows(sql, params![tx.ns, list(keys)], |row| Ok((row.get(0)?, row.get(1)?)))
}

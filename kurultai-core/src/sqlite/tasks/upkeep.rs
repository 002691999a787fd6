//! What nobody waits for: aging and retention.

use crate::{
    clock::{Micros, micros},
    error::Result,
    events::MOST_EVENTS,
    sqlite::{
        events::{key, last_seq},
        tx::{Tx, list},
    },
    tasks::order::{LIGHTEST, RANK},
};
use rusqlite::params;
use std::time::Duration;

/// What could be claimed for so long that it should rise a rank, or of the first rank come before all weights.
pub(super) fn aged(tx: &Tx<'_>, span: Duration, limit: usize) -> Result<Vec<i64>> {
    let sql = "select n from task join task_data using(n) where claim_key >= ?3 and claim_key is not null and ns = ?1
        and max(created_at, coalesce(run_at, 0)) <= ?2 - ?4 * (priority - (claim_key >> 60) + 1) limit ?5";
    tx.rows(sql, params![tx.ns, tx.now, LIGHTEST, micros(span), limit as i64], |row| row.get(0))
}

/// One rank up, or of the first rank to where only age counts.
pub(super) fn age(tx: &Tx<'_>, tasks: &[i64]) -> Result<usize> {
    let sql = "update task set sort_key = iif(sort_key >= ?2, sort_key - ?2, sort_key % ?3),
          claim_key = iif(claim_key >= ?2, claim_key - ?2, claim_key % ?3), revision = revision + 1
        where n in (select value from rarray(?1)) and claim_key >= ?3";
    tx.run(sql, params![list(tasks.iter().copied()), RANK, LIGHTEST])
}

pub(super) fn sweep(
    tx: &Tx<'_>,
    tasks: Option<Duration>,
    events: Option<Duration>,
    limit: usize,
) -> Result<usize> {
    let mut gone = 0;
    if let Some(span) = events {
        // Only from the log's beginning on, so that it has no gap even where a clock once went back.
        let (first, end) = (key(tx, 0), key(tx, MOST_EVENTS));
        // What a subscription has yet to take stays, for as long again.
        let sql = "with old as (select key, created_at from event where key > ?1 and key < ?4 order by key limit ?3),
            taken(key) as (select ?1 + min(cursor) from subscription where ns = ?5 and active)
            delete from event where key > ?1 and key <= (select max(key) from old)
              and key < coalesce((select min(key) from old where created_at >= ?2
                or (created_at >= ?6 and key > (select key from taken))), ?4)";
        let (before, long_before) = (tx.now - micros(span), tx.now - micros(span.saturating_mul(2)));
        gone += tx.run(sql, params![first, before, limit as i64, end, tx.ns, long_before])?;
        let sql = "delete from swept where ns = ?1 and last_event <
            coalesce((select min(key) from event where key > ?2 and key < ?3), ?3)";
        tx.run(sql, params![tx.ns, first, end])?;
    }
    if let Some(span) = tasks {
        let before = tx.now - micros(span);
        // The newest row stays, so that its number is never given to another task.
        let sql = "select t.n from task t where t.ns = ?1 and t.completed_at < ?2
              and t.n < min(?4, (select max(n) from task))
              and not exists(select 1 from edge e join task d on d.n = e.dependent where e.prerequisite = t.n
                and d.status not in ('completed', 'dead_letter', 'cancelled', 'expired'))
              and not exists(select 1 from task p where p.n = t.parent
                and p.status not in ('completed', 'dead_letter', 'cancelled', 'expired'))
            order by t.n limit ?3";
        let limit = limit.saturating_sub(gone) as i64;
        let newer = made_since(tx, before)?;
        let old = list(tx.rows(sql, params![tx.ns, before, limit, newer], |row| row.get::<_, i64>(0))?);
        if old.is_empty() {
            return Ok(gone);
        }
        let sql = "insert into swept(n, ns, id, type, correlation_id, last_event)
            select n, ns, id, type, coalesce(correlation_id, id), ?2 from task join task_data using(n)
            where n in (select value from rarray(?1))";
        tx.run(sql, params![old, key(tx, last_seq(tx)?)])?;
        for sql in [
            "delete from edge where dependent in (select value from rarray(?1))",
            "delete from edge where prerequisite in (select value from rarray(?1))",
            "delete from task_data where n in (select value from rarray(?1))",
            "delete from task_result where n in (select value from rarray(?1))",
        ] {
            tx.run(sql, [&old])?;
        }
        gone += tx.run("delete from task where n in (select value from rarray(?1))", [&old])?;
    }
    Ok(gone)
}

/// Where the tasks begin that were made since then: numbers grow with time, so no index of times is needed, which each
/// cycle would have to keep.
fn made_since(tx: &Tx<'_>, at: Micros) -> Result<i64> {
    let newest = tx.one("select max(n) from task_data", [], |row| row.get::<_, Option<i64>>(0))?.flatten();
    let (mut low, mut high) = (0, newest.map_or(0, |n| n + 1));
    while low < high {
        let middle = low + (high - low) / 2;
        let sql = "select n, created_at from task_data where n >= ?1 order by n limit 1";
        match tx.one(sql, [middle], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, Micros>(1)?)))? {
            Some((n, made)) if made < at => low = n + 1,
            _ => high = middle,
        }
    }
    Ok(low)
}

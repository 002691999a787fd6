//! What somebody changes of a task, and what derives from it.

use super::{enqueue::raise, insert::route_id};
use crate::{
    error::Result,
    sqlite::{agents::check_term, events, tx::Tx},
    tasks::{
        Priority,
        contract::{Applied, Rewrite},
        order::{self, LIGHTEST},
    },
};
use rusqlite::params;

pub(super) fn update(tx: &Tx<'_>, rewrite: &Rewrite) -> Result<Applied> {
    check_term(tx, rewrite.under.as_ref())?;
    // The best rank among those that wait for it, below which it must not fall.
    let sql = "select n, sort_key, claim_key is not null,
          (select min(d.sort_key >> 60) from edge e cross join task d on d.n = e.dependent
           where e.prerequisite = t.n and e.type = 'blocks'
             and d.status not in ('completed', 'dead_letter', 'cancelled', 'expired'))
        from task t where ns = ?1 and id = ?2 and revision = ?3";
    let found = tx.one(sql, params![tx.ns, rewrite.id, rewrite.revision], |row| {
        Ok((
            row.get::<_, i64>(0)?,
            row.get::<_, i64>(1)?,
            row.get::<_, bool>(2)?,
            row.get::<_, Option<i64>>(3)?,
        ))
    })?;
    let Some((n, before, was_claimable, urgent)) = found else {
        return Ok(Applied { held: vec![false], overdue: false });
    };
    let sort_key = rewrite.order.map_or(before, |(priority, weight)| {
        let rank = urgent.map_or(priority, |urgent| priority.min(Priority::of_rank(urgent)));
        order::sort_base(rank, weight) + before % LIGHTEST
    });
    let claimable = rewrite.timing.map_or(was_claimable, |timing| timing.claimable);
    let route = rewrite.route.as_deref().map(|key| route_id(tx, key)).transpose()?;
    let sql = "update task set sort_key = ?2, claim_key = iif(?3, ?2, null), route = coalesce(?4, route),
          revision = revision + 1, updated_at = ?5 where n = ?1";
    tx.run(sql, params![n, sort_key, claimable, route, tx.now])?;
    let mut overdue = false;
    if let Some(timing) = rewrite.timing {
        // Of its own, whatever range it is in: a range gives a time only to who has none.
        let sql = "update task set run_at = ?2, expires_at = ?3, due_at = ?4 where n = ?1";
        tx.run(sql, params![n, timing.run_at, timing.expires_at, timing.due_at])?;
        tx.run("update task_data set timeout = ?2 where n = ?1", params![n, timing.timeout])?;
        overdue = timing.due_at.is_some_and(|at| at <= tx.now);
    }
    write_data(tx, n, rewrite)?;
    if rewrite.order.is_some() {
        let sql = "select prerequisite, ?2 from edge where dependent = ?1 and type = 'blocks'";
        raise(tx, tx.rows(sql, [n, sort_key >> 60], |row| Ok((row.get(0)?, row.get(1)?)))?)?;
    }
    events::append_one(tx, rewrite.topic, rewrite.source.as_deref(), Some(n), Some(rewrite.told.clone()))?;
    Ok(Applied { held: vec![true], overdue })
}

fn write_data(tx: &Tx<'_>, n: i64, rewrite: &Rewrite) -> Result<()> {
    let Rewrite { title, description, payload, order, assigned_to, .. } = rewrite;
    if title.is_some() || description.is_some() || payload.is_some() {
        let sql = "update task_data set title = coalesce(?2, title), description = coalesce(?3, description),
              payload = coalesce(?4, payload) where n = ?1";
        tx.run(sql, params![n, title, description, payload.as_ref().map(|payload| payload.as_str())])?;
    }
    if let Some((priority, weight)) = order {
        let sql = "update task_data set priority = ?2, priority_weight = ?3 where n = ?1";
        tx.run(sql, params![n, *priority as i64, weight])?;
    }
    if let Some(assigned_to) = assigned_to {
        tx.run("update task_data set assigned_to = ?2 where n = ?1", params![n, assigned_to])?;
    }
    Ok(())
}

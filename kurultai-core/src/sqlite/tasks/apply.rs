use super::{due::overdue, links::links};
use crate::{
    error::Result,
    json::Json,
    sqlite::{
        agents, events,
        tx::{Tx, list},
    },
    tasks::{
        Status, Usage,
        contract::{Applied, Change, Fence, Tally},
        rules::{self, NOW},
    },
};
use rusqlite::params;
use std::collections::HashMap;

/// Where a changed task stands among the others.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) n: i64,
    pub(super) parent: Option<i64>,
    /// Another task may wait for it.
    pub(super) awaited: bool,
}

pub(super) fn apply(tx: &Tx<'_>, changes: Vec<Change>) -> Result<Applied> {
    let sql = "select t.id, t.n, t.parent, t.revision, t.claim_id, t.status = 'in_progress' and t.due_at > ?3
        from rarray(?2) a cross join task t on t.id = a.value and t.ns = ?1";
    let ids = list(changes.iter().map(|c| c.id.clone()));
    type Fences = (Place, i64, Option<String>, Option<bool>);
    let rows: HashMap<String, Fences> = tx
        .rows(sql, params![tx.ns, ids, tx.now], |row| {
            let place = Place { n: row.get(1)?, parent: row.get(2)?, awaited: true };
            Ok((row.get(0)?, (place, row.get(3)?, row.get(4)?, row.get(5)?)))
        })?
        .into_iter()
        .collect();
    let (mut held, mut fit) = (Vec::with_capacity(changes.len()), Vec::new());
    for change in changes {
        let found = rows.get(&change.id).filter(|(_, revision, claim_id, live)| match &change.fence {
            Fence::Revision(expected) => expected == revision,
            Fence::Lease { claim, revision: expected } => {
                expected == revision && *live == Some(true) && claim_id.as_ref() == Some(claim)
            }
        });
        held.push(found.is_some());
        fit.extend(found.map(|(place, ..)| (*place, change)));
    }
    write(tx, &fit)?;
    Ok(Applied { held, overdue: overdue(tx)? })
}

/// Writes changes whose fences hold, with their events, heartbeats and unblocked dependents. Returns whether the
/// store has left work for itself.
pub(super) fn write(tx: &Tx<'_>, changes: &[(Place, Change)]) -> Result<bool> {
    for (place, change) in changes {
        apply_one(tx, place.n, change)?;
    }
    // Whose lease ran out, or who was declared dead, shows no sign of work by that.
    let worked = |change: &Change| matches!(change.fence, Fence::Lease { .. });
    let workers = changes.iter().filter(|(_, change)| worked(change));
    let workers = workers.filter_map(|(_, change)| change.source.as_deref()).collect();
    let ended = changes.iter().filter(|(_, change)| change.status.is_finished());
    let ended: Vec<(Place, bool)> =
        ended.map(|(place, change)| (*place, change.status == Status::Completed)).collect();
    let now_due = changes.iter().any(|(_, change)| change.due_at.is_some_and(|at| at <= tx.now));
    Ok(follow_up(tx, workers, &ended)? || now_due)
}

/// The heartbeats of those who worked, and what follows from the tasks that ended, well or not. Returns whether the
/// store has left work for itself.
pub(super) fn follow_up(tx: &Tx<'_>, mut workers: Vec<&str>, ended: &[(Place, bool)]) -> Result<bool> {
    workers.sort_unstable();
    workers.dedup();
    agents::beat(tx, &workers)?;
    let awaited = |well: bool| -> Vec<i64> {
        let awaited = ended.iter().filter(|(place, completed)| place.awaited && *completed == well);
        awaited.map(|(place, _)| place.n).collect()
    };
    let parents = ended.iter().filter_map(|(place, _)| place.parent).collect();
    unblock(tx, &awaited(true), &awaited(false), parents)
}

fn apply_one(tx: &Tx<'_>, n: i64, change: &Change) -> Result<()> {
    let sql = concat!(
        "update task set status = ?2, claim_key = iif(?3, sort_key, null), run_at = ?4, expires_at = ?5,
          due_at = ?6, attempts = ?7, claim_id = iif(?8, claim_id, null), control = ?9,
          held_by = iif(?2 = 'in_progress', held_by, null),
          claimed_by = iif(?2 in ('pending', 'blocked'), null, claimed_by),
          links = iif(?2 = 'dead_letter', links | ",
        links!(dead_letter),
        ", links & ~",
        links!(dead_letter),
        "), completed_at = iif(?10, ?11, null), updated_at = ?11,
          revision = revision + 1
        where n = ?1"
    );
    tx.run(
        sql,
        params![
            n,
            change.status.as_str(),
            change.claimable,
            change.run_at,
            change.expires_at,
            change.due_at,
            change.attempts,
            change.keep_claim,
            change.control.map(|control| control.as_str()),
            change.status.is_finished(),
            tx.now
        ],
    )?;
    if change.results.is_some() || change.usage.is_some() {
        let usage = change.usage.as_ref().map(usage);
        write_results(tx, vec![n], change.results.as_ref().map(Json::as_str), usage)?;
    }
    if let Some(error) = &change.error {
        let sql = "insert into task_result(n, error_message, errors) values(?1, ?2, json_array(json(?3)))
            on conflict do update set error_message = excluded.error_message,
              errors = json_insert(coalesce(errors, '[]'), '$[#]', json(?3))";
        tx.run(sql, params![n, error.error, serde_json::json!(error).to_string()])?;
    }
    if let Some(snoozes) = change.snoozes {
        let sql = "insert into task_result(n, snoozes) values(?1, ?2)
            on conflict do update set snoozes = excluded.snoozes";
        tx.run(sql, params![n, snoozes])?;
    }
    if change.asks_to_cancel() {
        let sql = "insert into task_result(n, control_reason) values(?1, ?2)
            on conflict do update set control_reason = excluded.control_reason";
        tx.run(sql, params![n, change.reason])?;
    }
    let Some(topic) = change.topic else { return Ok(()) };
    events::append_one(tx, topic, change.source.as_deref(), Some(n), change.payload())
}

pub(super) fn usage(usage: &Usage) -> String {
    serde_json::json!(usage).to_string()
}

/// The same results of all these tasks.
pub(super) fn write_results(
    tx: &Tx<'_>,
    tasks: Vec<i64>,
    results: Option<&str>,
    usage: Option<String>,
) -> Result<()> {
    let sql =
        "insert or fail into task_result(n, results, usage) select value, ?2, ?3 from rarray(?1) where true
        on conflict do update set results = coalesce(excluded.results, results),
          usage = coalesce(excluded.usage, usage)";
    tx.run(sql, params![list(tasks), results, usage]).map(drop)
}

/// Lets go on what waited for tasks that ended. What needs a rule is marked as due instead; returns whether
/// anything was.
fn unblock(tx: &Tx<'_>, completed: &[i64], failed: &[i64], parents: Vec<i64>) -> Result<bool> {
    let mut due = parents;
    let mut ready = Vec::new();
    if !completed.is_empty() {
        let sql = "select t.n, t.run_at, t.expires_at, w.timeout, exists(select 1 from task c where c.parent = t.n),
              (select group_concat(p.status) from edge e join task p on p.n = e.prerequisite
               where e.dependent = t.n and e.type = 'blocks')
            from (select distinct e.dependent as n from rarray(?1) a cross join edge e on e.prerequisite = a.value
                  where e.type = 'blocks') d
            cross join task t on t.n = d.n cross join task_data w on w.n = t.n where t.status = 'blocked'";
        let waiting = tx.rows(sql, [list(completed.iter().copied())], |row| {
            let parent: bool = row.get(4)?;
            let tally = Tally::of(row.get::<_, Option<String>>(5)?.as_deref());
            Ok(((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?), parent, tally))
        })?;
        for (times, parent, tally) in waiting {
            match tally {
                Tally { live: 1.., .. } => {}
                Tally { failed: 0, .. } if !parent => ready.push(times),
                _ => due.push(times.0),
            }
        }
    }
    release(tx, ready)?;
    if !failed.is_empty() {
        let sql = "select e.dependent from rarray(?1) a cross join edge e on e.prerequisite = a.value
            where e.type = 'blocks'";
        due.extend(tx.rows(sql, [list(failed.iter().copied())], |row| row.get::<_, i64>(0))?);
    }
    if due.is_empty() {
        return Ok(false);
    }
    let sql = "update task set due_at = ?2, revision = revision + 1
        where n in (select value from rarray(?1)) and status = 'blocked'";
    Ok(tx.run(sql, params![list(due), NOW])? > 0)
}

type Times = (i64, Option<i64>, Option<i64>, Option<i64>);

/// From blocked to the queue.
fn release(tx: &Tx<'_>, ready: Vec<Times>) -> Result<()> {
    let mut unblocked = Vec::with_capacity(ready.len());
    for (n, run_at, expires_at, timeout) in ready {
        let change = rules::unblocked(tx.now, run_at, expires_at, timeout);
        let sql = "update task set status = 'pending', claim_key = iif(?2, sort_key, null), run_at = ?3,
              expires_at = ?4, due_at = ?5, claimed_by = null, revision = revision + 1, updated_at = ?6
            where n = ?1";
        tx.run(sql, params![n, change.claimable, change.run_at, change.expires_at, change.due_at, tx.now])?;
        unblocked.push(n);
    }
    events::append(tx, "task.unblocked", None, &unblocked)
}

//! The fast path of a plain completion: its outcome is known, so it needs no facts and no rule. It finds its task by the
//! number of the row and writes six columns; whatever it leaves takes the plain path in `finish.rs`.

use super::{
    apply::{self, Place},
    claim_id::ClaimId,
    links::links,
};
use crate::{
    error::Result,
    sqlite::{
        events,
        tx::{Tx, list},
    },
    tasks::{Finish, Outcome},
};
use rusqlite::params;
use std::collections::BTreeMap;

/// What [`rules::finish`](crate::tasks::rules::finish) would decide, for many at once: attempts that completed under a
/// live lease, of tasks without children. Says which finishes that were, and whether work is overdue now.
pub(super) fn complete(tx: &Tx<'_>, finishes: &[Finish]) -> Result<(Vec<bool>, bool)> {
    let mut done = vec![false; finishes.len()];
    let completes = |(index, finish): (usize, &Finish)| {
        let row = ClaimId::parse(&finish.lease.claim_id)?.row;
        matches!(finish.outcome, Outcome::Complete { .. }).then_some((index, row))
    };
    let (asked, rows): (Vec<usize>, Vec<i64>) = finishes.iter().enumerate().filter_map(completes).unzip();
    if asked.is_empty() {
        return Ok((done, false));
    }
    let sql = concat!(
        "select a.rowid, t.id, t.claim_id, t.claimed_by, t.n, t.parent, t.links & ",
        links!(dependents),
        "
        from rarray(?1) a cross join task t on t.n = a.value
        where t.ns = ?2 and t.status = 'in_progress' and t.due_at > ?3 and t.links & ",
        links!(children),
        " = 0"
    );
    let (mut by_agent, mut by_results) =
        (BTreeMap::<String, Vec<i64>>::new(), BTreeMap::<_, Vec<i64>>::new());
    let ended = tx.rows(sql, params![list(rows), tx.ns, tx.now], |row| {
        let index = asked[row.get::<_, u32>(0)? as usize - 1];
        let Finish { lease, outcome: Outcome::Complete { results, usage } } = &finishes[index] else {
            return Ok(None);
        };
        let is = |column, expected| {
            Ok::<_, rusqlite::Error>(row.get_ref(column)?.as_str_or_null()? == Some(expected))
        };
        if !is(1, &lease.task_id)? || !is(2, &lease.claim_id)? {
            return Ok(None);
        }
        let place = Place { n: row.get(4)?, parent: row.get(5)?, awaited: row.get(6)? };
        let agent = row.get_ref(3)?.as_str()?;
        match by_agent.get_mut(agent) {
            Some(tasks) => tasks.push(place.n),
            None => drop(by_agent.insert(agent.to_owned(), vec![place.n])),
        }
        by_results.entry((results.as_str(), usage.as_ref().map(apply::usage))).or_default().push(place.n);
        done[index] = true;
        Ok(Some((place, true)))
    })?;
    let ended: Vec<(Place, bool)> = ended.into_iter().flatten().collect();
    if ended.is_empty() {
        return Ok((done, false));
    }
    let sql = "update or fail task set status = 'completed', completed_at = ?2, updated_at = ?2,
          held_by = null, due_at = null, control = null, revision = revision + 1
        where n in (select value from rarray(?1))";
    tx.run(sql, params![list(ended.iter().map(|(place, _)| place.n)), tx.now])?;
    for ((results, usage), tasks) in by_results {
        apply::write_results(tx, tasks, Some(results), usage)?;
    }
    for (agent, tasks) in &by_agent {
        events::append(tx, "task.completed", Some(agent), tasks)?;
    }
    Ok((done, apply::follow_up(tx, by_agent.keys().map(String::as_str).collect(), &ended)?))
}

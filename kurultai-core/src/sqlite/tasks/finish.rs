use super::{
    apply::{self, Place},
    claim, read,
};
use crate::{
    error::{Error, Result},
    sqlite::{
        events,
        tx::{Tx, list},
    },
    tasks::{
        Finish, Finished, Outcome, Status,
        contract::{Answers, Facts},
        rules,
    },
};
use rusqlite::params;
use std::collections::BTreeMap;

pub(super) fn finish(tx: &Tx<'_>, finishes: &[Finish]) -> Result<Answers<Finished>> {
    let (completed, mut overdue) = complete(tx, finishes)?;
    let rest: Vec<&Finish> =
        finishes.iter().zip(&completed).filter_map(|(finish, done)| (!done).then_some(finish)).collect();
    let mut held = held(tx, &rest)?.into_iter().peekable();
    let (mut changes, mut each) = (Vec::with_capacity(rest.len()), Vec::with_capacity(finishes.len()));
    for (finish, done) in finishes.iter().zip(completed) {
        let id = finish.lease.task_id.clone();
        if done {
            each.push(Ok(Finished { id, status: Status::Completed, repeated: false }));
            continue;
        }
        let Some((place, facts)) = held.next_if(|(_, facts)| facts.id == id) else {
            each.push(Err(Error::task_not_found(&id)));
            continue;
        };
        each.push(rules::finish(&facts, finish, fastrand::f64()).map(|verdict| match verdict {
            None => Finished { id, status: facts.status, repeated: true },
            Some(change) => {
                let status = change.status;
                changes.push((place, change));
                Finished { id, status, repeated: false }
            }
        }));
    }
    if !changes.is_empty() {
        overdue |= apply::write(tx, &changes)?;
    }
    Ok(Answers { each, overdue })
}

/// The hot path of [`rules::finish`], for many at once: attempts that completed under a live lease, of tasks without
/// children. Says which finishes that were, and whether work is overdue now.
fn complete(tx: &Tx<'_>, finishes: &[Finish]) -> Result<(Vec<bool>, bool)> {
    let mut done = vec![false; finishes.len()];
    let completes = |(index, finish): (usize, &Finish)| {
        let row = claim::row_of(&finish.lease.claim_id)?;
        matches!(finish.outcome, Outcome::Complete { .. }).then_some((index, row))
    };
    let (asked, rows): (Vec<usize>, Vec<i64>) = finishes.iter().enumerate().filter_map(completes).unzip();
    if asked.is_empty() {
        return Ok((done, false));
    }
    let sql = "select a.rowid, t.id, t.claim_id, t.claimed_by, t.n, t.parent, t.links & 2
        from rarray(?1) a cross join task t on t.n = a.value
        where t.ns = ?2 and t.status = 'in_progress' and t.due_at > ?3 and t.links & 4 = 0";
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

/// As much of the facts as the end of an attempt needs, in the order of the finishes: prerequisites, policies and
/// lapses do not matter, and of children only whether there are any.
fn held(tx: &Tx<'_>, finishes: &[&Finish]) -> Result<Vec<(Place, Facts)>> {
    if finishes.is_empty() {
        return Ok(vec![]);
    }
    let sql =
        "select t.n, t.id, t.revision, t.status, t.claim_id, t.claimed_by, t.due_at, t.attempts,
          d.max_attempts, t.claim_key is not null, t.run_at, t.expires_at, d.timeout, t.control,
          'block', null, d.retry, null,
          iif(t.links & 4, (select c.status from task c where c.parent = t.n limit 1), null), 0, 0, t.parent,
          t.links & 2
        from rarray(?2) a cross join task t on t.id = a.value and t.ns = ?1 cross join task_data d on d.n = t.n";
    let ids = list(finishes.iter().map(|f| f.lease.task_id.clone()));
    tx.rows(sql, params![tx.ns, ids], |row| {
        let facts = read::facts_of(tx, row)?;
        let place = Place { n: row.get(0)?, parent: row.get(21)?, awaited: row.get(22)? };
        Ok((place, facts))
    })
}

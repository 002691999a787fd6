//! The end of an attempt. A plain completion takes the fast path of `complete.rs`; everything else reads its facts and
//! lets the rules decide.

use super::{
    apply::{self, Place},
    complete::complete,
    links::links,
    read,
};
use crate::{
    error::{Error, Result},
    sqlite::tx::{Tx, list},
    tasks::{
        Finish, Finished, Status,
        contract::{Answers, Facts},
        rules,
    },
};
use rusqlite::params;

pub(super) fn finish(tx: &Tx<'_>, finishes: &[Finish], max_snoozes: u32) -> Result<Answers<Finished>> {
    let (completed, mut overdue) = complete(tx, finishes)?;
    let rest: Vec<&Finish> =
        finishes.iter().zip(&completed).filter_map(|(finish, done)| (!done).then_some(finish)).collect();
    let mut held = held(tx, &rest)?.into_iter().peekable();
    let (mut changes, mut each) = (Vec::with_capacity(rest.len()), Vec::with_capacity(finishes.len()));
    for (finish, done) in finishes.iter().zip(completed) {
        let id = finish.lease.task_id.clone();
        if done {
            each.push(Ok(Finished {
                id,
                status: Status::Completed,
                repeated: false,
                run_at: None,
                failed: false,
            }));
            continue;
        }
        let Some((place, facts)) = held.next_if(|(_, facts)| facts.id == id) else {
            each.push(Err(Error::task_not_found(&id)));
            continue;
        };
        each.push(rules::finish(&facts, finish, max_snoozes, fastrand::f64()).map(|verdict| match verdict {
            None => facts.finished(&finish.outcome),
            Some(change) => {
                let finished = change.finished();
                changes.push((place, change));
                finished
            }
        }));
    }
    if !changes.is_empty() {
        overdue |= apply::write(tx, &changes)?;
    }
    Ok(Answers { each, overdue })
}

/// As much of the facts as the end of an attempt needs, in the order of the finishes: prerequisites, policies, lapses
/// and how long it may take do not matter, and of children only whether there are any.
fn held(tx: &Tx<'_>, finishes: &[&Finish]) -> Result<Vec<(Place, Facts)>> {
    if finishes.is_empty() {
        return Ok(vec![]);
    }
    let sql = concat!(
        "select t.n, t.id, t.revision, t.status, t.claim_id, t.claimed_by, t.due_at, t.attempts,
          d.max_attempts, t.claim_key is not null, t.run_at, t.expires_at, d.timeout, t.control,
          'block', null, d.retry, null,
          iif(t.links & ",
        links!(children),
        ", (select c.status from task c where c.parent = t.n limit 1), null), 0, 0,
          (select snoozes from task_result r where r.n = t.n), null, null, t.type, t.parent,
          t.links & ",
        links!(dependents),
        "
        from rarray(?2) a cross join task t on t.id = a.value and t.ns = ?1 cross join task_data d on d.n = t.n"
    );
    let ids = list(finishes.iter().map(|f| f.lease.task_id.clone()));
    tx.rows(sql, params![tx.ns, ids], |row| {
        let facts = read::facts_of(tx, row)?;
        let place = Place { n: row.get(0)?, parent: row.get(25)?, awaited: row.get(26)? };
        Ok((place, facts))
    })
}

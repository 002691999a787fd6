use super::{
    Tx,
    apply::{self, Place},
    list, read,
};
use crate::{
    error::{Error, Result},
    tasks::{
        Finish, Finished, Outcome,
        queue::{Answers, Facts},
        rules,
    },
};
use rusqlite::params;

pub(super) fn finish(tx: &Tx<'_>, finishes: &[Finish]) -> Result<Answers<Finished>> {
    let mut held = held(tx, finishes)?.into_iter().peekable();
    let (mut changes, mut each) = (Vec::new(), Vec::with_capacity(finishes.len()));
    for finish in finishes {
        let id = finish.lease.task_id.clone();
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
    let overdue = apply::write(tx, &changes)?;
    Ok(Answers { each, overdue })
}

/// As much of the facts as the end of an attempt needs, in the order of the finishes: prerequisites and policies do
/// not matter, of children only whether there are any, and the back-off only where an attempt failed.
fn held(tx: &Tx<'_>, finishes: &[Finish]) -> Result<Vec<(Place, Facts)>> {
    let sql =
        "select t.n, t.id, t.revision, t.status, t.claim_id, t.claimed_by, t.lease_expires_at, t.attempts,
          t.max_attempts, t.claim_key is not null, t.run_at, t.expires_at, t.timeout, t.control,
          'block', null, iif(?3, (select retry from task_data where n = t.n), null), null,
          iif(t.links & 4, (select c.status from task c where c.parent = t.n limit 1), null), t.parent,
          t.links & 2
        from rarray(?2) a cross join task t on t.id = a.value and t.ns = ?1";
    let ids = list(finishes.iter().map(|f| f.lease.task_id.clone()));
    let failed = finishes.iter().any(|f| matches!(f.outcome, Outcome::Fail(_)));
    tx.rows(sql, params![tx.ns, ids, failed], |row| {
        let facts = read::facts_of(tx, row)?;
        let place = Place { n: row.get(0)?, parent: row.get(19)?, awaited: row.get(20)? };
        Ok((place, facts))
    })
}

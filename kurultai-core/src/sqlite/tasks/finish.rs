use super::{
    Tx,
    apply::{self, Place},
    list, read,
};
use crate::{
    error::{Error, Result},
    tasks::{
        Finish, Finished,
        queue::{Answers, Facts},
        rules::{self, Verdict},
    },
};
use rusqlite::params;
use std::collections::HashMap;

pub(super) fn finish(tx: &Tx<'_>, finishes: &[Finish]) -> Result<Answers<Finished>> {
    let held = held(tx, finishes)?;
    let (mut changes, mut each) = (Vec::new(), Vec::with_capacity(finishes.len()));
    for finish in finishes {
        let id = finish.lease.task_id.clone();
        let Some((place, facts)) = held.get(&id) else {
            each.push(Err(Error::task_not_found(&id)));
            continue;
        };
        each.push(rules::finish(facts, finish, fastrand::f64()).map(|verdict| match verdict {
            Verdict::Repeated(status) => Finished { id, status, repeated: true },
            Verdict::Change(change) => {
                let status = change.status;
                changes.push((*place, change));
                Finished { id, status, repeated: false }
            }
        }));
    }
    let overdue = apply::write(tx, &changes)?;
    Ok(Answers { each, overdue })
}

/// As much of the facts as the end of an attempt needs: prerequisites do not matter, of children only whether
/// there are any.
fn held(tx: &Tx<'_>, finishes: &[Finish]) -> Result<HashMap<String, (Place, Facts)>> {
    let sql = "select t.n, t.id, t.revision, t.status, t.claim_id, t.claimed_by, t.lease_expires_at, t.attempts,
          t.max_attempts, t.claim_key is not null, t.run_at, t.expires_at, t.timeout, t.control,
          d.on_prerequisite_failure, d.wait_for, d.retry, null,
          (select c.status from task c where c.parent = t.n limit 1), t.parent,
          exists(select 1 from edge e where e.prerequisite = t.n and e.type = 'blocks')
        from rarray(?2) a cross join task t on t.id = a.value and t.ns = ?1 cross join task_data d on d.n = t.n";
    let ids = list(finishes.iter().map(|f| f.lease.task_id.clone()));
    let rows = tx.rows(sql, params![tx.ns, ids], |row| {
        let facts = read::facts_of(tx, row)?;
        let place = Place { n: row.get(0)?, parent: row.get(19)?, awaited: row.get(20)? };
        Ok((facts.id.clone(), (place, facts)))
    })?;
    Ok(rows.into_iter().collect())
}

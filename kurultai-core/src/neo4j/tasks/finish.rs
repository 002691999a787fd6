//! The end of an attempt. A plain completion takes the fast path of `complete.rs`; everything else reads its facts and
//! lets the rules decide.

use super::{apply, complete::complete, read};
use crate::{
    error::{Error, Result},
    neo4j::Neo4jStore,
    tasks::{Finish, Finished, Status, contract::Answers, rules},
};

/// How often a finish is decided anew, because the task changed meanwhile.
const ROUNDS: usize = 8;

pub(super) async fn finish(
    store: &Neo4jStore,
    finishes: Vec<Finish>,
    max_snoozes: u32,
) -> Result<Answers<Finished>> {
    let mut overdue = false;
    let completed = complete(store, &finishes, &mut overdue).await?;
    let mut answers: Vec<Option<Result<Finished>>> =
        finishes.iter().map(|f| completed.contains(&f.lease.task_id).then(|| Ok(completion(f)))).collect();
    for _ in 0..ROUNDS {
        let open: Vec<usize> = (0..finishes.len()).filter(|i| answers[*i].is_none()).collect();
        if open.is_empty() {
            break;
        }
        overdue |= decide(store, &finishes, max_snoozes, &open, &mut answers).await?;
    }
    let busy = |f: &Finish| Err(Error::unavailable(format!("task {} changes too quickly", f.lease.task_id)));
    let each = answers.into_iter().zip(&finishes).map(|(answer, f)| answer.unwrap_or_else(|| busy(f)));
    Ok(Answers { each: each.collect(), overdue })
}

fn completion(finish: &Finish) -> Finished {
    let id = finish.lease.task_id.clone();
    Finished { id, status: Status::Completed, repeated: false, run_at: None, failed: false }
}

/// Returns whether work is overdue.
async fn decide(
    store: &Neo4jStore,
    finishes: &[Finish],
    max_snoozes: u32,
    open: &[usize],
    answers: &mut [Option<Result<Finished>>],
) -> Result<bool> {
    let ids = open.iter().map(|i| finishes[*i].lease.task_id.clone()).collect();
    let (mut places, mut changes) = (Vec::new(), Vec::new());
    for (index, facts) in open.iter().zip(read::facts(store, ids).await?) {
        let finish = &finishes[*index];
        let Some(facts) = facts else {
            answers[*index] = Some(Err(Error::task_not_found(&finish.lease.task_id)));
            continue;
        };
        match rules::finish(&facts, finish, max_snoozes, fastrand::f64()) {
            Ok(Some(change)) => {
                places.push((*index, change.finished()));
                changes.push(change);
            }
            Ok(None) => answers[*index] = Some(Ok(facts.finished(&finish.outcome))),
            Err(error) => answers[*index] = Some(Err(error)),
        }
    }
    if changes.is_empty() {
        return Ok(false);
    }
    let applied = apply::apply(store, changes).await?;
    for ((index, finished), _) in places.into_iter().zip(applied.held).filter(|(_, held)| *held) {
        answers[index] = Some(Ok(finished));
    }
    Ok(applied.overdue)
}

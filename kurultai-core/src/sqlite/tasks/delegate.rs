//! A task is given to an agent, and the agent is told: both, or neither.

use super::update::update;
use crate::{
    agents::Term,
    error::{Kind, Result},
    sqlite::{
        agents::check_term,
        messages,
        tx::{Tx, list},
    },
    tasks::contract::Delegation,
};
use rusqlite::params;
use std::collections::HashMap;

/// Which were so: not where somebody has changed the task meanwhile, the agent was told before, or its inbox is full.
pub(super) fn delegate(
    tx: &Tx<'_>,
    mut delegations: Vec<Delegation>,
    by: &str,
    under: &Term,
) -> Result<Vec<bool>> {
    check_term(tx, Some(under))?;
    let numbers = unchanged(tx, &delegations)?;
    let mut held: Vec<bool> = numbers.iter().map(Option::is_some).collect();
    let (mut told, mut posts) = (vec![], vec![]);
    for (index, delegation) in delegations.iter_mut().enumerate().filter(|(index, _)| held[*index]) {
        if let Some(post) = delegation.post.take() {
            told.push(index);
            posts.push(vec![post]);
        }
    }
    for (index, sent) in told.into_iter().zip(messages::put(tx, posts)?) {
        held[index] = match sent {
            Ok(sent) => sent.iter().all(|sent| !sent.deduplicated),
            Err(error) if error.kind() == Kind::Limited => false,
            Err(error) => return Err(error),
        };
    }
    for (delegation, _) in delegations.iter().zip(&held).filter(|(_, held)| **held) {
        if let Some(rewrite) = &delegation.assign {
            update(tx, rewrite)?;
        }
    }
    let given = numbers.into_iter().zip(&held).filter(|(_, held)| **held).filter_map(|(n, _)| n);
    let sql = "update or fail task_data set delegated_by = ?1 where n in (select value from rarray(?2)) and delegated_by is null";
    tx.run(sql, params![by, list(given)])?;
    Ok(held)
}

/// The row of each task that is as it was read.
fn unchanged(tx: &Tx<'_>, delegations: &[Delegation]) -> Result<Vec<Option<i64>>> {
    let sql =
        "select t.id, t.n, t.revision from rarray(?2) a cross join task t on t.id = a.value and t.ns = ?1";
    let ids = list(delegations.iter().map(|delegation| delegation.task.clone()));
    let row = |row: &rusqlite::Row<'_>| Ok((row.get::<_, String>(0)?, (row.get(1)?, row.get(2)?)));
    let found: HashMap<String, (i64, i64)> = tx.rows(sql, params![tx.ns, ids], row)?.into_iter().collect();
    let same = |delegation: &Delegation| {
        found.get(&delegation.task).filter(|(_, revision)| *revision == delegation.revision).map(|(n, _)| *n)
    };
    Ok(delegations.iter().map(same).collect())
}

//! A task is given to an agent, and the agent is told: both, or neither.

use super::update::update;
use crate::{
    agents::Term,
    error::{Kind, Result},
    sqlite::{agents::check_term, messages, tx::Tx},
    tasks::contract::Delegation,
};
use rusqlite::params;

pub(super) fn delegate(
    tx: &Tx<'_>,
    delegations: Vec<Delegation>,
    by: &str,
    under: &Term,
) -> Result<Vec<bool>> {
    check_term(tx, Some(under))?;
    delegations.into_iter().map(|delegation| delegate_one(tx, delegation, by)).collect()
}

/// Whether it was so: not where somebody has changed the task meanwhile, the agent was told before, or its inbox is full.
fn delegate_one(tx: &Tx<'_>, delegation: Delegation, by: &str) -> Result<bool> {
    let Delegation { task, revision, assign, post } = delegation;
    let sql = "select n from task where ns = ?1 and id = ?2 and revision = ?3";
    let Some(n) = tx.one(sql, params![tx.ns, task, revision], |row| row.get::<_, i64>(0))? else {
        return Ok(false);
    };
    for sent in messages::put(tx, post.into_iter().map(|post| vec![post]).collect())? {
        match sent {
            Ok(sent) if sent.iter().any(|sent| sent.deduplicated) => return Ok(false),
            Ok(_) => {}
            Err(error) if error.kind() == Kind::Limited => return Ok(false),
            Err(error) => return Err(error),
        }
    }
    if let Some(rewrite) = assign {
        update(tx, &rewrite)?;
    }
    tx.run("update task_data set delegated_by = coalesce(delegated_by, ?2) where n = ?1", params![n, by])?;
    Ok(true)
}

//! The fast path of a plain completion: of tasks without children it is decided in one statement, without facts and
//! rules.

use super::apply;
use crate::{
    error::Result,
    neo4j::{
        Neo4jStore,
        bolt::{cells, count, list},
        cypher::hot_lock,
        statement::Statement,
    },
    tasks::{Finish, Outcome},
};
use std::collections::HashSet;

pub(super) const COMPLETE: Statement = Statement::locking(concat!(
    hot_lock!(),
    include_str!("cypher/complete.cypher"),
    include_str!("cypher/beat.cypher"),
    include_str!("cypher/wake.cypher"),
    "RETURN [ids, size(look) > 0 OR any(x IN ready WHERE coalesce(x.due_at <= now, false))] AS row"
));

/// Returns which tasks it completed.
pub(super) async fn complete(
    store: &Neo4jStore,
    finishes: &[Finish],
    overdue: &mut bool,
) -> Result<HashSet<String>> {
    let (mut claims, mut rows): (Vec<&str>, Vec<_>) = (vec![], vec![]);
    for Finish { lease, outcome } in finishes {
        let Outcome::Complete { results, usage } = outcome else { continue };
        // Tasks claimed together share their claim; sent once, it keeps a batch below 8 KiB.
        let claim = claims.iter().position(|claim| *claim == lease.claim_id).unwrap_or_else(|| {
            claims.push(&lease.claim_id);
            claims.len() - 1
        });
        let usage = usage.map(|usage| apply::text(&usage));
        rows.push(cells![lease.task_id.as_str(), count(claim), results.as_str(), usage]);
    }
    if rows.is_empty() {
        return Ok(HashSet::new());
    }
    // A repetition finds the task completed under its claim, and the rules answer it.
    let query = store.query(COMPLETE).param("rows", list(rows)).param("claims", claims);
    let mut row = store.one(query).await?;
    let completed = row.next::<Vec<String>>()?.into_iter().collect();
    *overdue |= row.next::<bool>()?;
    Ok(completed)
}

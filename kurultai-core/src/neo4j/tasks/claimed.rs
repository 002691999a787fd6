//! A claimed task as statements answer it.

use crate::{
    clock::time,
    error::Result,
    neo4j::bolt::Cells,
    tasks::{Claimed, Lease, Prerequisite, Priority},
};

/// What a claimer gets of a task and its properties p.
macro_rules! claimed {
    ($claim:literal, $attempt:literal, $version:literal, $until:literal) => {
        concat!(
            "[",
            $claim,
            ", p.id, p.type, p.title, p.description, p.payload, p.priority, ",
            $attempt,
            ", p.max_attempts, p.delegated_by, p.parent_id, p.checkpoint, ",
            $version,
            ", ",
            $until,
            ",
      CASE WHEN EXISTS { (t)-[:DEPENDS_ON]->() } THEN reduce(all = [[], 0], q IN
        [(t)-[e:DEPENDS_ON]->(q:Task) WHERE e.type <> 'parallel_ok' | [q.id, e.type, q.status, q.results]] |
        [all[0] + [CASE WHEN all[1] >= 16777216 AND q[3] IS NOT NULL THEN [q[0], q[1], q[2], null, true] ELSE q END],
          all[1] + size(coalesce(q[3], ''))])[0] ELSE [] END]"
        )
    };
}
pub(super) use claimed;

pub(super) fn claimed_of(mut row: Cells) -> Result<Claimed> {
    let claim_id = row.next()?;
    let id: String = row.next()?;
    let mut claimed = Claimed {
        id: id.clone(),
        task_type: row.next()?,
        title: row.next::<Option<_>>()?.unwrap_or_default(),
        description: row.next::<Option<_>>()?.unwrap_or_default(),
        payload: row.next::<Option<_>>()?.unwrap_or_default(),
        priority: row.next::<String>()?.parse::<Priority>()?,
        attempt: row.next()?,
        max_attempts: row.next()?,
        delegated_by: row.next()?,
        parent_id: row.next()?,
        checkpoint: row.next()?,
        prerequisites: vec![],
        lease: Lease {
            task_id: id,
            claim_id,
            version: row.next()?,
            attempt: 0,
            expires_at: time(row.next()?),
        },
    };
    claimed.lease.attempt = claimed.attempt;
    claimed.prerequisites = prerequisites(row.rows()?)?;
    Ok(claimed)
}

/// In the order of their ids.
pub(super) fn prerequisites(rows: Vec<Cells>) -> Result<Vec<Prerequisite>> {
    let prerequisite = |mut row: Cells| -> Result<Prerequisite> {
        Ok(Prerequisite {
            id: row.next()?,
            dependency_type: row.next::<String>()?.parse()?,
            status: row.next::<String>()?.parse()?,
            results: row.next()?,
            omitted: row.next::<Option<bool>>()?.unwrap_or_default(),
        })
    };
    let mut found: Vec<Prerequisite> = rows.into_iter().map(prerequisite).collect::<Result<_>>()?;
    found.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(found)
}

//! A claimed task as statements answer it.

use crate::{
    clock::{Micros, duration, time},
    error::Result,
    neo4j::bolt::Cells,
    tasks::{Claimed, Lease, Prerequisite, Priority},
};

pub(super) fn claimed_of(mut row: Cells) -> Result<Claimed> {
    let (claim_id, attempt, version) = (row.next()?, row.next()?, row.next()?);
    let expires_at = time(row.next()?);
    let id: String = row.next()?;
    let mut claimed = Claimed {
        id: id.clone(),
        task_type: row.next()?,
        title: row.next::<Option<_>>()?.unwrap_or_default(),
        description: row.next::<Option<_>>()?.unwrap_or_default(),
        payload: row.next::<Option<_>>()?.unwrap_or_default(),
        priority: row.next::<String>()?.parse::<Priority>()?,
        attempt,
        max_attempts: row.next()?,
        delegated_by: row.next()?,
        parent_id: row.next()?,
        correlation_id: row.next::<Option<_>>()?.unwrap_or_else(|| id.clone()),
        snoozes: row.next::<Option<_>>()?.unwrap_or(0),
        checkpoint: row.next()?,
        max_runtime: row.next::<Option<Micros>>()?.map(duration),
        prerequisites: vec![],
        lease: Lease { task_id: id, claim_id, version, attempt, expires_at },
    };
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

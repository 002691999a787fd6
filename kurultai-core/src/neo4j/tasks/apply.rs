//! Changes that a rule decided, each behind its fence.

use crate::{
    error::Result,
    neo4j::{
        Neo4jStore,
        bolt::{datetime, list, map},
        cypher::hot_lock,
        statement::Statement,
    },
    tasks::contract::{Applied, Change, Fence},
};
use serde::Serialize;

pub(super) const APPLY: Statement = Statement::locking(concat!(
    hot_lock!(),
    include_str!("cypher/apply.cypher"),
    include_str!("cypher/beat.cypher"),
    include_str!("cypher/wake.cypher"),
    "RETURN [held, late OR size(look) > 0 OR any(x IN ready WHERE coalesce(x.due_at <= now, false))] AS row"
))
.once();

#[derive(Serialize)]
struct Payload<'a> {
    attempt: u32,
    reason: &'a str,
}

pub(super) fn text<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

pub(super) async fn apply(store: &Neo4jStore, changes: Vec<Change>) -> Result<Applied> {
    if changes.is_empty() {
        return Ok(Applied { held: vec![], overdue: false });
    }
    let mut held = vec![false; changes.len()];
    let query = store.query(APPLY).param("rows", list(changes.into_iter().map(row)));
    let mut answer = store.one(query).await?;
    for index in answer.next::<Vec<u64>>()? {
        held[index as usize] = true;
    }
    Ok(Applied { held, overdue: answer.next()? })
}

fn row(change: Change) -> neo4rs::BoltType {
    let payload = match (&change.error, change.reason.as_deref()) {
        (Some(error), Some(reason)) => Some(text(&Payload { attempt: error.attempt, reason })),
        _ => change.payload(),
    };
    let asks_to_cancel = change.asks_to_cancel();
    let reason = change.reason.clone().filter(|_| asks_to_cancel);
    let (claim, revision) = match change.fence {
        Fence::Revision(revision) => (None, revision),
        Fence::Lease { claim, revision } => (Some(claim), revision),
    };
    map([
        ("id", change.id.into()),
        ("claim", claim.into()),
        ("revision", revision.into()),
        ("status", change.status.as_str().into()),
        ("finished", change.status.is_finished().into()),
        ("claimable", change.claimable.into()),
        ("run_at", datetime(change.run_at)),
        ("expires_at", datetime(change.expires_at)),
        ("due_at", change.due_at.into()),
        ("attempts", i64::from(change.attempts).into()),
        ("snoozes", change.snoozes.map(i64::from).into()),
        ("asks_to_cancel", asks_to_cancel.into()),
        ("reason", reason.into()),
        ("keep", change.keep_claim.into()),
        ("control", change.control.map(|signal| signal.as_str()).into()),
        ("message", change.error.as_ref().map(|error| error.error.as_str()).into()),
        ("error", change.error.as_ref().map(text).into()),
        ("results", change.results.as_ref().map(|json| json.as_str()).into()),
        ("usage", change.usage.as_ref().map(text).into()),
        ("topic", change.topic.into()),
        ("source", change.source.into()),
        ("payload", payload.into()),
    ])
}

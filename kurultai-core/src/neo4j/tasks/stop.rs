//! The emergency stop: everything is paused, and the holders are asked as `rules` asks one of a task that is cancelled.

use crate::{
    error::Result,
    neo4j::{Neo4jStore, bolt::count, cypher::lock, statement::Statement},
};

const STOP: Statement = Statement::locking(concat!(lock!(), include_str!("cypher/stop.cypher")));

const START: Statement = Statement::locking(concat!(
    lock!(),
    "WITH ns, at, CASE WHEN ns.stop_reason IS NULL THEN 0 ELSE 1 END AS told
SET ns.paused = [p IN coalesce(ns.paused, []) WHERE p <> ''], ns.catalog_seq = ns.catalog_seq + 1,
  ns.stop_reason = null, ns.stopped_at = null, ns.event_seq = ns.event_seq + told
FOREACH (i IN range(1, told) | CREATE (:Event {namespace: $ns, seq: ns.event_seq, topic: 'tasks.started', created_at: at}))
RETURN [] AS row"
));

pub(super) async fn stop(store: &Neo4jStore, reason: &str, limit: usize) -> Result<usize> {
    // The attempt, which comes first, is the server's to say.
    let why = format!(",\"reason\":{}}}", serde_json::json!(reason));
    let query = store
        .query(STOP)
        .param("reason", reason)
        .param("told", serde_json::json!({ "reason": reason }).to_string())
        .param("why", why)
        .param("limit", count(limit));
    Ok(store.one(query).await?.next::<u64>()? as usize)
}

pub(super) async fn start(store: &Neo4jStore) -> Result<()> {
    store.one(store.query(START)).await.map(drop)
}

//! Schedules come, change and go.

use crate::{
    error::Result,
    neo4j::{
        Neo4jStore,
        bolt::{datetime, map},
        cypher::lock,
        statement::Statement,
    },
    schedules::contract::Entry,
};

const PUT: Statement = Statement::locking(concat!(
    lock!(),
    "CALL () { OPTIONAL MATCH (s:Schedule {namespace: $ns, name: $name}) RETURN s.revision AS revision }
WITH coalesce(revision = $was, revision IS NULL AND $was IS NULL) AS same
CALL (same) { UNWIND CASE WHEN same THEN [1] ELSE [] END AS once
  MERGE (s:Schedule {namespace: $ns, name: $name}) SET s += $entry RETURN count(*) AS stored }
RETURN [stored > 0] AS row"
))
.once();

const REMOVE: Statement = Statement::locking(concat!(
    lock!(),
    "CALL () { MATCH (s:Schedule {namespace: $ns, name: $name}) DETACH DELETE s RETURN count(*) AS gone }
RETURN [gone > 0] AS row"
))
.once();

pub(super) async fn put(store: &Neo4jStore, entry: Entry, was: Option<i64>) -> Result<bool> {
    let rhythm = entry.rhythm;
    let properties = [
        ("type", entry.task_type.into()),
        ("payload", entry.payload.as_str().into()),
        ("task_fields", entry.fields.as_str().into()),
        ("every", rhythm.every.into()),
        ("cron", rhythm.cron.into()),
        ("timezone", rhythm.timezone.into()),
        ("start", datetime(rhythm.start)),
        ("catch_up", entry.catch_up.as_str().into()),
        ("overlap", entry.overlap.as_str().into()),
        ("jitter", entry.jitter.into()),
        ("paused", entry.paused.into()),
        ("next_due", datetime(entry.next_due)),
        ("due_at", entry.due_at.into()),
        ("last_due", datetime(entry.last_due)),
        ("last_task", entry.last_task.into()),
        ("last_skipped", datetime(entry.last_skipped)),
        ("revision", entry.revision.into()),
        ("created_at", datetime(Some(entry.created_at))),
        ("updated_at", datetime(Some(entry.updated_at))),
    ];
    let query = store.query(PUT).param("name", entry.name).param("was", was).param("entry", map(properties));
    store.one(query).await?.next()
}

pub(super) async fn remove(store: &Neo4jStore, name: &str) -> Result<bool> {
    store.one(store.query(REMOVE).param("name", name)).await?.next()
}

//! Aging, removal, and the edges that only people read.

use crate::{
    clock::micros,
    error::Result,
    neo4j::{
        Neo4jStore,
        bolt::count,
        cypher::{clock, lock},
        statement::Statement,
    },
};
use std::time::Duration;

/// Looks without the lock; RAISE looks again.
const OLD: Statement = Statement::plain(concat!(
    clock!(),
    "MATCH (r:TaskRoute) USING INDEX SEEK r:TaskRoute(namespace, key) WHERE r.namespace = $ns AND r.key >= ''
CALL (r, now) { MATCH (t:Task) USING INDEX SEEK t:Task(namespace, route, claim_key)
  WHERE t.namespace = $ns AND t.route = r.number AND
",
    include_str!("cypher/is_old.cypher"),
    "  RETURN t.id AS id LIMIT $limit }
WITH id LIMIT $limit
RETURN [collect(id)] AS row"
));
const RAISE: Statement = Statement::locking(concat!(
    lock!(),
    "CALL (now, at) { UNWIND $tasks AS id
  MATCH (t:Task {namespace: $ns, id: id}) USING INDEX SEEK t:Task(namespace, id) WHERE
",
    include_str!("cypher/is_old.cypher"),
    include_str!("cypher/raise.cypher")
));

const SWEEP_EVENTS: Statement =
    Statement::locking(concat!(lock!(), include_str!("cypher/sweep_events.cypher")));

/// Looks at all tasks, and therefore without the lock; SWEEP_TASKS looks again at those that it finds.
const OVER: Statement = Statement::plain(concat!(
    clock!(),
    "MATCH (t:Task) USING INDEX SEEK t:Task(namespace, id) WHERE t.namespace = $ns AND t.id > '' AND
",
    include_str!("cypher/is_over.cypher"),
    "WITH t LIMIT $limit
RETURN [collect(t.id)] AS row"
));
const SWEEP_TASKS: Statement = Statement::locking(concat!(
    lock!(),
    "CALL (now) { UNWIND $tasks AS id
  MATCH (t:Task {namespace: $ns, id: id}) USING INDEX SEEK t:Task(namespace, id) WHERE
",
    include_str!("cypher/is_over.cypher"),
    "  DETACH DELETE t RETURN count(*) AS gone }
RETURN [gone] AS row"
));

const LINK: Statement = Statement::locking(concat!(lock!(), include_str!("cypher/draw_edges.cypher")));

/// Gives way to whoever works. Locks the namespace like any writer: a claim locks agents and tasks in another order than a
/// completion, so an edge between the two could deadlock with either.
pub(super) async fn draw_edges(store: &Neo4jStore, limit: usize) -> Result<usize> {
    if store.writer.try_lock().is_err() {
        return Ok(0);
    }
    let query = store.query(LINK).param("limit", count(limit));
    let looked_at: u64 = store.one(query).await?.next()?;
    Ok(looked_at as usize)
}

pub(super) async fn age(store: &Neo4jStore, span: Duration, limit: usize) -> Result<usize> {
    let query = store.query(OLD).param("span", micros(span)).param("limit", count(limit));
    let tasks: Vec<String> = store.one(query).await?.next()?;
    if tasks.is_empty() {
        return Ok(0);
    }
    let query = store.query(RAISE).param("tasks", tasks).param("span", micros(span));
    let raised: u64 = store.one(query).await?.next()?;
    Ok(raised as usize)
}

pub(super) async fn sweep(
    store: &Neo4jStore,
    tasks: Option<Duration>,
    events: Option<Duration>,
    limit: usize,
) -> Result<usize> {
    let mut gone = 0;
    if let Some(span) = events {
        let query = store.query(SWEEP_EVENTS).param("span", micros(span)).param("limit", count(limit));
        gone += store.one(query).await?.next::<u64>()? as usize;
    }
    if let Some(span) = tasks.filter(|_| gone < limit) {
        let query = store.query(OVER).param("span", micros(span)).param("limit", count(limit - gone));
        let over: Vec<String> = store.one(query).await?.next()?;
        if over.is_empty() {
            return Ok(gone);
        }
        let query = store.query(SWEEP_TASKS).param("span", micros(span)).param("tasks", over);
        gone += store.one(query).await?.next::<u64>()? as usize;
    }
    Ok(gone)
}

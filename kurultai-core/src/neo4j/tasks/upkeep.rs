//! Aging, removal, and the edges that only people read.

use super::super::{Neo4jStore, bolt::count, clock, lock, micros};
use crate::neo4j::cypher::{lightest, rank};
use crate::neo4j::statement::Statement;
use crate::{clock::micros, error::Result};
use std::time::Duration;

/// Whether t could be claimed for so long that it should rise a rank, or of the first rank come before all weights.
macro_rules! is_old {
    () => {
        concat!(
            "t.claim_key >= ",
            lightest!(),
            " AND now - CASE WHEN t.run_at > t.created_at THEN ",
            micros!("t.run_at"),
            " ELSE ",
            micros!("t.created_at"),
            " END >= $span * (toInteger(substring(t.priority, 1)) - t.claim_key / ",
            rank!(),
            " + 1)"
        )
    };
}

/// Looks without the lock; RAISE looks again.
const OLD: Statement = Statement::plain(concat!(
    clock!(),
    "MATCH (r:TaskRoute) USING INDEX SEEK r:TaskRoute(namespace, key) WHERE r.namespace = $ns AND r.key >= ''
CALL (r, now) { MATCH (t:Task) USING INDEX SEEK t:Task(namespace, route, claim_key)
  WHERE t.namespace = $ns AND t.route = r.number AND ",
    is_old!(),
    "
  RETURN t.id AS id LIMIT $limit }
WITH id LIMIT $limit
RETURN [collect(id)] AS row"
));
const RAISE: Statement = Statement::locking(concat!(
    lock!(),
    "CALL (now, at) { UNWIND $tasks AS id
  MATCH (t:Task {namespace: $ns, id: id}) USING INDEX SEEK t:Task(namespace, id)
  WHERE ",
    is_old!(),
    "
  SET t.claim_key = CASE WHEN t.claim_key >= ",
    rank!(),
    " THEN t.claim_key - ",
    rank!(),
    "
      ELSE t.claim_key % ",
    lightest!(),
    " END,
    t.due_at = coalesce(t.due_at, ",
    micros!("t.expires_at"),
    "), t.revision = coalesce(t.revision, 0) + 1, t.updated_at = at
  RETURN count(*) AS raised }
RETURN [raised] AS row"
));

/// Only from the log's beginning on, so that it has no gap even where a clock once went back; `event_first` says where
/// it begins now.
const SWEEP_EVENTS: Statement = Statement::locking(concat!(
    lock!(),
    "CALL (ns, at) { MATCH (e:Event) USING INDEX SEEK e:Event(namespace, seq)
  WHERE e.namespace = $ns AND e.seq >= coalesce(ns.event_first, 1)
  WITH e, at ORDER BY e.namespace, e.seq LIMIT $limit
  WITH collect(e) AS events, at
  WITH events, reduce(old = 0, e IN events | CASE WHEN old >= 0 AND e.created_at < at - duration({microseconds: $span})
    THEN old + 1 WHEN old >= 0 THEN -old - 1 ELSE old END) AS old
  WITH events[..CASE WHEN old < 0 THEN -old - 1 ELSE old END] AS events
  RETURN events, events[-1].seq AS last }
FOREACH (x IN CASE WHEN last IS NULL THEN [] ELSE [last] END | SET ns.event_first = x + 1)
FOREACH (e IN events | DELETE e)
RETURN [size(events)] AS row"
));

/// A finished task stays while an unfinished one waits for it or is its parent.
macro_rules! is_over {
    () => {
        concat!(
            "t.status IN ",
            $crate::neo4j::finished!(),
            " AND ",
            $crate::neo4j::micros!("t.completed_at"),
            " < now - $span
    AND NOT EXISTS { (t)<-[:DEPENDS_ON|SPAWNED]-(x:Task) WHERE NOT x.status IN ",
            $crate::neo4j::finished!(),
            " }"
        )
    };
}

/// Looks at all tasks, and therefore without the lock; SWEEP_TASKS looks again at those that it finds.
const OVER: Statement = Statement::plain(concat!(
    clock!(),
    "MATCH (t:Task) USING INDEX SEEK t:Task(namespace, id) WHERE t.namespace = $ns AND t.id > '' AND ",
    is_over!(),
    "
WITH t LIMIT $limit
RETURN [collect(t.id)] AS row"
));
const SWEEP_TASKS: Statement = Statement::locking(concat!(
    lock!(),
    "CALL (now) { UNWIND $tasks AS id
  MATCH (t:Task {namespace: $ns, id: id}) USING INDEX SEEK t:Task(namespace, id) WHERE ",
    is_over!(),
    "
  DETACH DELETE t RETURN count(*) AS gone }
RETURN [gone] AS row"
));

/// `edges_seq` moves in the same transaction, so no edge is drawn twice. The event does not tell its claim: the task
/// does, as long as it is its last.
const LINK: Statement = Statement::locking(concat!(
    lock!(),
    "CALL (ns) { MATCH (e:Event) USING INDEX SEEK e:Event(namespace, seq)
  WHERE e.namespace = $ns AND e.seq > coalesce(ns.edges_seq, 0)
  WITH e ORDER BY e.namespace, e.seq LIMIT $limit RETURN collect(e) AS events }
CALL (events) { UNWIND events AS e WITH e WHERE e.topic = 'task.claimed'
  MATCH (a:Agent {namespace: $ns, id: e.source})
  MATCH (t:Task {namespace: $ns, id: e.task_id}) USING INDEX SEEK t:Task(namespace, id)
  CREATE (a)-[:CLAIMED {at: e.created_at,
    claim_id: CASE WHEN t.claimed_by = a.id AND t.claimed_at = e.created_at THEN t.claim_id END}]->(t)
  RETURN count(*) AS claims }
CALL (events) { UNWIND events AS e WITH e WHERE e.topic = 'task.completed'
  MATCH (a:Agent {namespace: $ns, id: e.source})
  MATCH (t:Task {namespace: $ns, id: e.task_id}) USING INDEX SEEK t:Task(namespace, id)
  CREATE (a)-[:COMPLETED {at: e.created_at}]->(t)
  RETURN count(*) AS completions }
SET ns.edges_seq = coalesce(events[-1].seq, ns.event_seq)
RETURN [size(events)] AS row"
));

/// Gives way to whoever works.
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

//! The event log's statements.

use super::{
    Neo4jStore,
    bolt::{Cells, count},
};
use crate::neo4j::statement::Statement;
use crate::{
    error::Result,
    events::{Event, EventFilter, SubscriptionManager, contract::Look},
};
use async_trait::async_trait;

/// How many numbers one read looks at.
const WINDOW: i64 = 2_000;

/// Nothing beyond the first number that is missing: the server shows `event_seq` and a part of a commit's events before
/// the rest of them, and no number is ever left out. What retention removed ends before `event_first`.
const READ: Statement = Statement::plain(
    "CYPHER 5
MATCH (ns:Namespace {namespace: $ns})
WITH ns.event_seq AS newest, coalesce(ns.event_first, 1) AS first
WITH newest, first, CASE WHEN $after < first THEN first - 1 ELSE $after END AS after
WITH newest, first, after, CASE WHEN newest < after + $window THEN newest ELSE after + $window END AS last
CALL (after, last) { MATCH (e:Event) USING INDEX SEEK e:Event(namespace, seq)
  WHERE e.namespace = $ns AND e.seq > after AND e.seq <= last AND e.topic IS NOT NULL
  WITH e ORDER BY e.namespace, e.seq
  RETURN collect(e) AS events, collect(e.seq) AS numbers }
WITH newest, first, events, after + reduce(seen = 0, seq IN numbers |
  CASE WHEN seq = after + seen + 1 THEN seen + 1 ELSE seen END) AS seen
CALL (events, seen) { UNWIND events AS e WITH e, seen WHERE e.seq <= seen
  AND ($source IS NULL OR e.source = $source) AND ($task IS NULL OR e.task_id = $task)
  AND ($since IS NULL OR e.created_at >= $since)
  WITH e LIMIT $limit
  RETURN collect([e.seq, e.topic, e.source, e.task_id, e.payload, e.created_at]) AS found }
RETURN [newest, first, seen, found] AS row",
);

const LAST_SEQ: Statement =
    Statement::plain("CYPHER 5 MATCH (ns:Namespace {namespace: $ns}) RETURN [ns.event_seq] AS row");

fn event(mut row: Cells) -> Result<Event> {
    Ok(Event {
        seq: row.next()?,
        topic: row.next()?,
        source: row.next()?,
        task_id: row.next()?,
        payload: row.next()?,
        created_at: row.next()?,
    })
}

#[async_trait]
impl SubscriptionManager for Neo4jStore {
    async fn read(&self, filter: EventFilter) -> Result<Look> {
        let is_filtered = filter.source.is_some() || filter.task_id.is_some() || filter.since.is_some();
        let query = self
            .query(READ)
            .param("after", filter.after_seq)
            .param("window", if is_filtered { WINDOW } else { count(filter.limit) })
            .param("source", filter.source)
            .param("task", filter.task_id)
            .param("since", filter.since)
            .param("limit", count(filter.limit));
        let mut row = self.one(query).await?;
        let (newest, first, seen) = (row.next()?, row.next()?, row.next::<i64>()?);
        let events: Vec<Event> = row.rows()?.into_iter().map(event).collect::<Result<_>>()?;
        let looked_to = match events.last() {
            Some(event) if events.len() == filter.limit => event.seq,
            _ => seen.max(filter.after_seq),
        };
        Ok(Look { events, looked_to, first, newest })
    }

    async fn last_seq(&self) -> Result<i64> {
        self.one(self.query(LAST_SEQ)).await?.next()
    }
}

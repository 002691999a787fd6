//! The event log's statements.

use super::{
    Neo4jStore,
    bolt::{Cells, count},
    exec::Repeat,
};
use crate::{
    error::Result,
    events::{Event, EventFilter, SubscriptionManager},
};
use async_trait::async_trait;

/// How many numbers one read looks at.
const WINDOW: i64 = 10_000;

/// Nothing above `event_seq` as it was at first: a scan may see of a commit under way only a part.
const READ: &str = "CYPHER 5
MATCH (ns:Namespace {id: $ns})
WITH CASE WHEN ns.event_seq < $to THEN ns.event_seq ELSE $to END AS last
CALL (last) { MATCH (e:Event) USING INDEX SEEK e:Event(namespace, seq)
  WHERE e.namespace = $ns AND e.seq > $after AND e.seq <= last
  AND ($source IS NULL OR e.source = $source) AND ($task IS NULL OR e.task_id = $task)
  AND ($since IS NULL OR e.created_at >= $since)
  WITH e ORDER BY e.namespace, e.seq LIMIT $limit
  RETURN collect([e.seq, e.topic, e.source, e.task_id, e.payload, e.created_at]) AS events }
RETURN [last, events] AS row";

const LAST_SEQ: &str = "CYPHER 5 MATCH (ns:Namespace {id: $ns}) RETURN [ns.event_seq] AS row";

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
    async fn read(&self, filter: EventFilter) -> Result<(Vec<Event>, i64)> {
        let limit = if filter.limit == 0 { 1_000 } else { filter.limit };
        let query = self
            .query(READ)
            .param("after", filter.after_seq)
            .param("to", filter.after_seq.saturating_add(WINDOW))
            .param("source", filter.source)
            .param("task", filter.task_id)
            .param("since", filter.since)
            .param("limit", count(limit));
        let mut row = self.one(query, Repeat::Safe).await?;
        let last: i64 = row.next()?;
        let events: Vec<Event> = row.rows()?.into_iter().map(event).collect::<Result<_>>()?;
        let looked_to = match events.last() {
            Some(event) if events.len() == limit => event.seq,
            _ => last.max(filter.after_seq),
        };
        Ok((events, looked_to))
    }

    async fn last_seq(&self) -> Result<i64> {
        self.one(self.query(LAST_SEQ), Repeat::Safe).await?.next()
    }
}

//! The event log's statements.

use super::{
    Neo4jStore, alerts,
    bolt::{Cells, count},
    statement::Statement,
};
use crate::{
    error::Result,
    events::{
        Alert, Event, EventFilter, SubscriptionManager,
        alerts::{Observations, Row},
        contract::Look,
    },
};
use async_trait::async_trait;

/// How many numbers one read looks at.
const WINDOW: i64 = 2_000;

const READ: Statement = Statement::plain(include_str!("cypher/read_events.cypher"));

const LAST_SEQ: Statement = Statement::plain(
    "CYPHER 5 MATCH (ns:Namespace {namespace: $ns, made: $made}) RETURN [ns.event_seq] AS row",
);

fn event(mut row: Cells) -> Result<Event> {
    let (seq, topic, source) = (row.next()?, row.next()?, row.next()?);
    let task_id: Option<String> = row.next()?;
    let task_type = row.next()?;
    let correlation_id = row.next::<Option<_>>()?.or_else(|| task_id.clone());
    let (payload, created_at) = (row.next()?, row.next()?);
    Ok(Event { seq, topic, source, task_id, task_type, correlation_id, payload, created_at })
}

#[async_trait]
impl SubscriptionManager for Neo4jStore {
    async fn read(&self, filter: EventFilter) -> Result<Look> {
        let is_filtered = filter.source.is_some()
            || filter.task_id.is_some()
            || filter.task_type.is_some()
            || filter.since.is_some();
        let query = self
            .query(READ)
            .param("after", filter.after_seq)
            .param("window", if is_filtered { WINDOW } else { count(filter.limit) })
            .param("source", filter.source)
            .param("task", filter.task_id)
            .param("type", filter.task_type)
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

    async fn alerts(&self) -> Result<Vec<Alert>> {
        let (_, rows) = alerts::rows(self).await?;
        Ok(rows.iter().filter(|row| row.cleared_at.is_none()).map(Row::alert).collect())
    }

    async fn observe(&self, seen: Observations) -> Result<Vec<Alert>> {
        self.call(alerts::observe(self, &seen)).await
    }
}

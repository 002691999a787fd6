//! Events of the log, by number or by topic.

use crate::{
    error::Result,
    events::{Event, EventFilter, contract::Look, topic::Prefix},
    neo4j::{
        Neo4jStore,
        bolt::{Cells, count},
        cypher::lock,
        statement::{Call, Statement},
    },
};

/// How many numbers one read looks at.
pub(super) const WINDOW: i64 = 2_000;

const READ: Statement = Statement::plain(include_str!("cypher/read.cypher"));

/// By topic a gap in the numbers would not be seen, behind which the rest of a commit is yet to come; under the lock nothing
/// is.
const WHOLE: Statement = Statement::locking(concat!(
    lock!(),
    "CALL () { MATCH (e:PublishedEvent) USING INDEX SEEK e:PublishedEvent(namespace, topic, seq)
  WHERE e.namespace = $ns AND e.topic = $from AND e.seq > $after",
    include_str!("cypher/read_far.cypher")
));
const PREFIX: Statement = Statement::locking(concat!(
    lock!(),
    "CALL () { MATCH (e:PublishedEvent) USING INDEX SEEK e:PublishedEvent(namespace, topic, seq)
  WHERE e.namespace = $ns AND e.topic >= $from AND e.topic < $to AND e.seq > $after",
    include_str!("cypher/read_far.cypher")
));

/// What the next numbers are.
pub(super) async fn near(store: &Neo4jStore, filter: &EventFilter, prefix: Option<&Prefix>) -> Result<Look> {
    let is_filtered = prefix.is_some()
        || filter.source.is_some()
        || filter.task_id.is_some()
        || filter.task_type.is_some()
        || filter.since.is_some();
    let query = with(store.query(READ), filter, prefix)
        .param("after", filter.after_seq)
        .param("window", if is_filtered { WINDOW } else { count(filter.limit) });
    let mut row = store.one(query).await?;
    let (newest, first, seen) = (row.next()?, row.next()?, row.next::<i64>()?);
    let events = row.rows()?.into_iter().map(event).collect::<Result<_>>()?;
    Ok(look(filter, events, [seen, first, newest]))
}

/// What comes behind a look that has found nothing.
pub(super) async fn far(
    store: &Neo4jStore,
    filter: &EventFilter,
    prefix: &Prefix,
    before: Look,
) -> Result<Look> {
    let statement = if prefix.is_whole { WHOLE } else { PREFIX };
    let query = with(store.query(statement), filter, Some(prefix)).param("after", before.looked_to);
    let mut row = store.one(query).await?;
    let newest = row.next()?;
    let events = row.rows()?.into_iter().map(event).collect::<Result<_>>()?;
    Ok(look(filter, events, [newest, before.first, newest]))
}

fn with(call: Call, filter: &EventFilter, prefix: Option<&Prefix>) -> Call {
    call.param("source", filter.source.clone())
        .param("task", filter.task_id.clone())
        .param("type", filter.task_type.clone())
        .param("since", filter.since)
        .param("from", prefix.map(|prefix| prefix.text.clone()))
        .param("to", prefix.map(Prefix::end))
        .param("limit", count(filter.limit))
}

fn look(filter: &EventFilter, events: Vec<Event>, [seen, first, newest]: [i64; 3]) -> Look {
    let looked_to = match events.last() {
        Some(event) if events.len() == filter.limit => event.seq,
        _ => seen.max(filter.after_seq),
    };
    Look { events, looked_to, first, newest }
}

fn event(mut row: Cells) -> Result<Event> {
    let (seq, topic, source) = (row.next()?, row.next()?, row.next()?);
    let task_id: Option<String> = row.next()?;
    let task_type = row.next()?;
    let correlation_id = row.next::<Option<_>>()?.or_else(|| task_id.clone());
    let (payload, created_at) = (row.next()?, row.next()?);
    Ok(Event { seq, topic, source, task_id, task_type, correlation_id, payload, created_at })
}

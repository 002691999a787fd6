//! Subscriptions as nodes.

use crate::{
    clock::Micros,
    error::Result,
    events::{
        DeadEvent,
        subscriptions::{Row, Subscriptions},
    },
    json::Json,
    neo4j::{
        Neo4jStore,
        bolt::{Cells, cells, datetime},
        cypher::clock,
        statement::Statement,
        verdict::CONSTRAINT,
    },
};
use chrono::{DateTime, Utc};

macro_rules! read {
    ($which:literal) => {
        Statement::plain(concat!(
            clock!(),
            "MATCH (ns:Namespace {namespace: $ns, made: $made})
CALL () { MATCH (s:Subscription) USING INDEX SEEK s:Subscription(namespace, name)
  WHERE s.namespace = $ns AND ",
            $which,
            "
  WITH s ORDER BY s.namespace, s.name
  RETURN collect([s.name, s.subscriber_agent, s.topic, s.source_agent, s.filter, s.batch, s.quiet, s.active, s.cursor,
    s.fence, s.held_until, s.tries, s.error, s.revision, s.created_at, s.updated_at]) AS rows }
RETURN [now, ns.event_seq, coalesce(ns.event_first, 1), rows] AS row"
        ))
    };
}
const ONE: Statement = read!("s.name = $name");
const ALL: Statement = read!("s.name >= ''");

/// Removing a property that is not there locks the node, before its revision is read.
const UPDATE: Statement = Statement::plain(concat!(
    "CYPHER 5
OPTIONAL MATCH (s:Subscription {namespace: $ns, name: $name}) USING INDEX SEEK s:Subscription(namespace, name)
REMOVE s._lock
WITH CASE WHEN s.revision = $was THEN s END AS s
WITH s ",
    include_str!("cypher/put_subscription.cypher")
))
.once();
const CREATE: Statement = Statement::plain(concat!(
    "CYPHER 5
MATCH (ns:Namespace {namespace: $ns, made: $made})
CREATE (s:Subscription {namespace: $ns, name: $name, id: $name, delivery: 'pull'})
WITH s ",
    include_str!("cypher/put_subscription.cypher")
))
.once();

const REMOVE: Statement = Statement::plain(
    "CYPHER 5
CALL () { MATCH (d:DeadEvent) USING INDEX SEEK d:DeadEvent(namespace, subscription, seq)
  WHERE d.namespace = $ns AND d.subscription = $name AND d.seq > -1 DELETE d RETURN count(*) AS dead }
CALL () { MATCH (s:Subscription {namespace: $ns, name: $name}) USING INDEX SEEK s:Subscription(namespace, name)
  DETACH DELETE s RETURN count(*) AS gone }
RETURN [gone > 0] AS row",
)
.once();

const DEAD: Statement = Statement::plain(
    "CYPHER 5
OPTIONAL MATCH (s:Subscription {namespace: $ns, name: $name}) USING INDEX SEEK s:Subscription(namespace, name)
WITH s IS NOT NULL AS there
CALL () { MATCH (d:DeadEvent) USING INDEX SEEK d:DeadEvent(namespace, subscription, seq)
  WHERE d.namespace = $ns AND d.subscription = $name AND d.seq > -1
  WITH d ORDER BY d.seq DESC LIMIT 1000 RETURN collect([d.seq, d.topic, d.tries, d.error, d.at]) AS dead }
RETURN [there, dead] AS row",
);

pub(super) async fn subscriptions(store: &Neo4jStore, name: Option<&str>) -> Result<Subscriptions> {
    let query = match name {
        Some(name) => store.query(ONE).param("name", name),
        None => store.query(ALL),
    };
    let mut answer = store.one(query).await?;
    let (now, newest, first) = (answer.next()?, answer.next()?, answer.next()?);
    let rows = answer.rows()?.into_iter().map(row).collect::<Result<_>>()?;
    Ok(Subscriptions { now, newest, first, rows })
}

fn row(mut cells: Cells) -> Result<Row> {
    let (name, agent, topic, source) = (cells.next()?, cells.next()?, cells.next()?, cells.next()?);
    let (filter, batch, quiet, active) = (cells.next()?, cells.next()?, cells.next()?, cells.next()?);
    let (cursor, fence) = (cells.next()?, cells.next()?);
    let held_until = cells.next::<Option<DateTime<Utc>>>()?.map(|at| at.timestamp_micros());
    let (tries, error, revision) = (cells.next()?, cells.next()?, cells.next()?);
    let mut micros = || cells.next::<DateTime<Utc>>().map(|at| at.timestamp_micros());
    let (created_at, updated_at): (Micros, Micros) = (micros()?, micros()?);
    Ok(Row {
        name,
        agent,
        topic,
        source,
        filter,
        batch,
        quiet,
        active,
        cursor,
        fence,
        held_until,
        tries,
        error,
        revision,
        created_at,
        updated_at,
    })
}

pub(super) async fn put(
    store: &Neo4jStore,
    row: &Row,
    was: Option<i64>,
    dead: Option<&DeadEvent>,
) -> Result<bool> {
    let Row { name, agent, topic, source, filter, batch, quiet, active, cursor, .. } = row;
    let Row { fence, held_until, tries, error, revision, created_at, updated_at, .. } = row;
    let fields = cells![
        agent.as_deref(),
        topic.as_str(),
        source.as_deref(),
        filter.as_ref().map(Json::as_str),
        *batch,
        *quiet,
        *active,
        *cursor,
        *fence,
        datetime(*held_until),
        i64::from(*tries),
        error.as_deref(),
        *revision,
        datetime(Some(*created_at)),
        datetime(Some(*updated_at)),
    ];
    let dead = dead.map(|dead| {
        let at = datetime(Some(dead.at.timestamp_micros()));
        cells![dead.seq, dead.topic.as_str(), i64::from(dead.tries), dead.error.as_deref(), at]
    });
    let query = match was {
        Some(was) => store.query(UPDATE).param("was", was),
        None => store.query(CREATE),
    };
    let query = query.param("name", name.as_str()).param("r", fields).param("agent", agent.as_deref());
    match store.one(query.param("dead", crate::neo4j::bolt::list(dead))).await {
        Ok(mut answer) => answer.next(),
        // Somebody else has made it.
        Err(error) if was.is_none() && error.code() == CONSTRAINT => Ok(false),
        Err(error) => Err(error),
    }
}

pub(super) async fn remove(store: &Neo4jStore, name: &str) -> Result<bool> {
    store.one(store.query(REMOVE).param("name", name)).await?.next()
}

pub(super) async fn dead(store: &Neo4jStore, name: &str) -> Result<Option<Vec<DeadEvent>>> {
    let mut answer = store.one(store.query(DEAD).param("name", name)).await?;
    let there: bool = answer.next()?;
    let dead = answer.rows()?.into_iter().map(|mut cells| {
        let (seq, topic, tries, error) = (cells.next()?, cells.next()?, cells.next()?, cells.next()?);
        Ok(DeadEvent { seq, topic, tries, error, at: cells.next()? })
    });
    let mut dead = dead.collect::<Result<Vec<_>>>()?;
    dead.reverse();
    Ok(there.then_some(dead))
}

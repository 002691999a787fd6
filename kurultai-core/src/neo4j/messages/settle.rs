//! Deliveries end.

use crate::{
    clock::Micros,
    error::{Error, Result},
    messages::{
        MAX_DELIVERIES, MessageStatus,
        contract::{Ending, Settle, Settled},
        rules::{self, Change, Facts},
    },
    neo4j::{
        Neo4jStore,
        bolt::{cells, count, list},
        cypher::{clock, hot_lock},
        statement::{Call, Statement},
    },
};
use std::collections::HashMap;

/// Without the namespace's lock, since it has no event; each message is locked.
pub(in crate::neo4j) const SETTLE: Statement = Statement::plain(concat!(
    clock!(),
    "MATCH (ns:Namespace {namespace: $ns, made: $made})
WITH now, datetime({epochSeconds: now / 1000000, nanosecond: now % 1000000 * 1000}) AS at
",
    include_str!("cypher/settle.cypher"),
    "RETURN [now, facts] AS row"
));
pub(in crate::neo4j) const LEAVE: Statement = Statement::locking(concat!(
    hot_lock!(),
    include_str!("cypher/settle.cypher"),
    include_str!("cypher/left.cypher"),
    "RETURN [now, facts] AS row"
));

/// Who has sent a message never changes.
const SENDERS: Statement = Statement::plain(
    "CYPHER 5 UNWIND $ids AS id MATCH (m:AgentMessage {namespace: $ns, id: id}) RETURN [m.id, m.from_agent] AS row",
);

/// Looks without the lock; LEAVE looks again.
macro_rules! due {
    ($which:literal) => {
        Statement::plain(concat!(
            clock!(),
            $which,
            "RETURN [m.id, m.from_agent, m.status, m.deliveries,
  m.expires_at.epochSeconds * 1000000 + m.expires_at.microsecond <= now] AS row"
        ))
    };
}
const DUE: Statement = due!(
    "MATCH (m:AgentMessage) USING INDEX SEEK m:AgentMessage(namespace, due_at)
WHERE m.namespace = $ns AND m.due_at <= now
WITH now, m ORDER BY m.namespace, m.due_at LIMIT $limit
"
);
const DUE_OF_KEYS: Statement = due!(
    "UNWIND $keys AS key
MATCH (m:AgentMessage {namespace: $ns, dedupe_key: key}) USING INDEX SEEK m:AgentMessage(namespace, dedupe_key)
WHERE m.due_at <= now
"
);

/// What becomes of a message where it is still as it is said here.
struct End<'a> {
    id: &'a str,
    status: MessageStatus,
    delivery: u32,
    /// As of the time zero.
    change: Change,
    sender: Option<&'a str>,
    is_due: bool,
    /// Only where this fetch gave it: a repetition finds it with another one, whose delivery has the same number.
    fetch: Option<&'a str>,
}

/// How a message stood before.
struct Stood {
    held: bool,
    facts: Facts,
}

pub(super) async fn settle(
    store: &Neo4jStore,
    units: &[Vec<Settle>],
) -> Result<Vec<Result<Vec<Result<Settled>>>>> {
    let all: Vec<&Settle> = units.iter().flatten().collect();
    let changes = all.iter().map(|settle| change(settle)).collect::<Result<Vec<_>>>()?;
    let leaving = all.iter().zip(&changes).filter(|(_, change)| rules::topic(change.status).is_some());
    let senders = senders(store, leaving.map(|(settle, _)| settle.id.as_str()).collect()).await?;
    let ends = all.iter().zip(changes).map(|(settle, change)| End {
        id: &settle.id,
        status: MessageStatus::Delivered,
        delivery: settle.delivery,
        change,
        sender: senders.get(&settle.id).map(String::as_str),
        is_due: false,
        fetch: if let Ending::Back(fetch) = &settle.ending { fetch.as_deref() } else { None },
    });
    let mut stood = end(store, ends.collect()).await?;
    let mut each = all.into_iter().enumerate().map(|(place, settle)| {
        let Some(Stood { facts, .. }) = stood.remove(&place) else {
            return Err(rules::not_found(&settle.id));
        };
        let change = rules::settle(&facts, settle)?;
        let status = change.as_ref().map_or(facts.status, |change| change.status);
        Ok(Settled { id: settle.id.clone(), status, repeated: change.is_none() })
    });
    Ok(units.iter().map(|unit| Ok(each.by_ref().take(unit.len()).collect())).collect())
}

/// What becomes of it if it is of that delivery.
fn change(settle: &Settle) -> Result<Change> {
    let facts = Facts { now: 0, status: MessageStatus::Delivered, delivery: settle.delivery, code: None };
    rules::settle(&facts, settle)?.ok_or_else(|| Error::internal("a delivery whose end changes nothing"))
}

async fn senders(store: &Neo4jStore, ids: Vec<&str>) -> Result<HashMap<String, String>> {
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let rows = store.exec(store.query(SENDERS).param("ids", ids)).await?;
    rows.into_iter().map(|mut row| Ok((row.next()?, row.next()?))).collect()
}

/// By their places; those that are not there are left out.
async fn end(store: &Neo4jStore, ends: Vec<End<'_>>) -> Result<HashMap<usize, Stood>> {
    if ends.is_empty() {
        return Ok(HashMap::new());
    }
    let told = ends.iter().any(|end| rules::topic(end.change.status).is_some());
    let rows = ends.iter().enumerate().map(|(place, end)| row(place, end));
    let query = store.query(if told { LEAVE } else { SETTLE });
    let query = query.param("rows", list(rows)).param("most", i64::from(MAX_DELIVERIES));
    let mut answer = store.one(query).await?;
    let now: Micros = answer.next()?;
    let mut all = HashMap::new();
    for mut fact in answer.rows()? {
        let (place, held) = (fact.next::<u64>()? as usize, fact.next()?);
        // One that is in no state is with nobody.
        let status = fact.next::<String>().and_then(|word| word.parse()).unwrap_or(MessageStatus::Failed);
        let (delivery, code) = (fact.next().unwrap_or_default(), fact.next().unwrap_or_default());
        let facts = Facts { now, status, delivery, code };
        all.insert(place, Stood { held, facts });
    }
    Ok(all)
}

fn row(place: usize, end: &End<'_>) -> neo4rs::BoltType {
    let Change { status, visible_at, acked_at, code, reason, uncounted } = &end.change;
    let topic = rules::topic(*status);
    let told = topic.zip(end.sender);
    let told = told.map(|(_, sender)| rules::left(end.id, sender, code.as_deref(), reason.as_deref()));
    cells![
        count(place),
        end.id,
        end.status.as_str(),
        i64::from(end.delivery),
        status.as_str(),
        *visible_at,
        acked_at.is_some(),
        code.as_deref(),
        reason.as_deref(),
        topic,
        told,
        end.is_due,
        end.fetch,
        i64::from(*uncounted),
        end.change.frees_its_key()
    ]
}

/// What has expired, and what was delivered too often. Returns how many those were.
pub(super) async fn sweep(store: &Neo4jStore, limit: usize) -> Result<usize> {
    end_due(store, store.query(DUE).param("limit", count(limit))).await
}

/// The same of the messages that have these dedupe keys, which are free then.
pub(in crate::neo4j) async fn end_due_of(store: &Neo4jStore, dedupe_keys: Vec<String>) -> Result<()> {
    if dedupe_keys.is_empty() {
        return Ok(());
    }
    end_due(store, store.query(DUE_OF_KEYS).param("keys", dedupe_keys)).await.map(drop)
}

async fn end_due(store: &Neo4jStore, due: Call) -> Result<usize> {
    let rows = store.exec(due).await?;
    let mut due = vec![];
    for mut row in rows {
        let (id, sender): (Result<String>, Result<String>) = (row.next(), row.next());
        let (status, delivery) = (row.next::<String>().and_then(|word| word.parse()), row.next());
        // Whatever somebody has written there keeps no other back.
        let (Ok(id), Ok(sender), Ok(status), Ok(delivery)) = (id, sender, status, delivery) else { continue };
        let change = if row.next::<bool>()? { rules::expired() } else { rules::spent() };
        due.push((id, sender, status, delivery, change));
    }
    let ends = due.iter().map(|(id, sender, status, delivery, change)| End {
        id,
        status: *status,
        delivery: *delivery,
        change: change.clone(),
        sender: Some(sender),
        is_due: true,
        fetch: None,
    });
    let stood = end(store, ends.collect()).await?;
    Ok(stood.values().filter(|stood| stood.held).count())
}

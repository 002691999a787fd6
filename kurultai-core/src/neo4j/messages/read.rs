//! Messages as nodes.

use super::keys;
use crate::{
    clock::Micros,
    error::Result,
    messages::{
        AgentKey, MessageStatus, Unread,
        contract::{Part, Stored, Which},
    },
    neo4j::{
        Neo4jStore,
        bolt::{Cells, count},
        cypher::clock,
        statement::Statement,
    },
    tasks::contract::ANSWER_BYTES,
};
use chrono::{DateTime, Utc};

/// The message `m`, and the key that its node names. Whether it is the one that the token names is for
/// whoever verifies it.
macro_rules! read {
    ($($which:literal),*) => {
        Statement::plain(concat!(
            clock!(),
            $($which,)*
            "WITH now, collect(m) AS page
WITH now, page, reduce(fit = [0, 0], m IN page | CASE WHEN fit[1] >= $bytes THEN fit
  ELSE [fit[0] + 1, fit[1] + coalesce(size(toStringOrNull(m.token)), 0)] END)[0] AS fit
UNWIND range(0, fit - 1) AS i
WITH now, i, page[i] AS m, fit < size(page) AS cut
OPTIONAL MATCH (k:AgentKey {namespace: $ns, agent_id: m.from_agent, key_id: m.key_id})
RETURN [now, [
",
            include_str!("cypher/key.cypher"),
            "  ], cut, m.id, m.token, m.thread, m.urgent, m.status, m.deliveries, m.code, m.created_at, m.to_agent,
  m.type, m.task_id, m.reply_to] AS row
ORDER BY i"
        ))
    };
}

const THREAD: Statement = read!(
    "CALL () { OPTIONAL MATCH (m:AgentMessage {namespace: $ns, id: $after}) RETURN coalesce(m.seq, 0) AS after }
MATCH (m:AgentMessage) USING INDEX SEEK m:AgentMessage(namespace, thread, seq)
WHERE m.namespace = $ns AND m.thread = $of AND m.seq > after
WITH now, m ORDER BY m.namespace, m.thread, m.seq LIMIT $limit
"
);
const TO: Statement = read!(
    "MATCH (m:AgentMessage) USING INDEX SEEK m:AgentMessage(namespace, id)
WHERE m.namespace = $ns AND m.id > $after AND m.to_agent IN $of
WITH now, m ORDER BY m.namespace, m.id LIMIT $limit
"
);
const FROM: Statement = read!(
    "MATCH (m:AgentMessage) USING INDEX SEEK m:AgentMessage(namespace, id)
WHERE m.namespace = $ns AND m.id > $after AND m.from_agent = $of
WITH now, m ORDER BY m.namespace, m.id LIMIT $limit
"
);
const ALL: Statement = read!(
    "MATCH (m:AgentMessage) USING INDEX SEEK m:AgentMessage(namespace, id)
WHERE m.namespace = $ns AND m.id > $after
WITH now, m ORDER BY m.namespace, m.id LIMIT $limit
"
);

const UNREAD: Statement = Statement::plain(concat!(
    clock!(),
    "MATCH (ns:Namespace {namespace: $ns, made: $made})
",
    include_str!("../agents/cypher/offices.cypher"),
    "CALL (now, offices) { UNWIND [$agent] + [o IN offices WHERE o[0] = $agent | o[1]] AS audience
  MATCH (m:AgentMessage) USING INDEX SEEK m:AgentMessage(namespace, to_agent, inbox_key)
  WHERE m.namespace = $ns AND m.to_agent = audience AND m.inbox_key > -1
    AND m.expires_at.epochSeconds * 1000000 + m.expires_at.microsecond > now
  RETURN count(*) AS count, count(CASE WHEN m.urgent THEN 1 END) AS urgent }
RETURN [count, urgent] AS row"
));

/// What is left of a row, whatever somebody has written there: one row keeps no other back.
pub(super) fn stored(mut row: Cells, now: Micros, key: Option<AgentKey>) -> Stored {
    let mut flaw = None;
    let mut flawed = |column| flaw = Some(column);
    Stored {
        id: sound(row.next(), "id", &mut flawed),
        token: sound(row.next(), "token", &mut flawed),
        thread: sound(row.next(), "thread", &mut flawed),
        urgent: sound(row.next(), "urgent", &mut flawed),
        status: row.next::<String>().and_then(|word| word.parse()).unwrap_or_else(|_| {
            flawed("status");
            MessageStatus::Failed
        }),
        delivery: sound(row.next(), "deliveries", &mut flawed),
        code: sound(row.next(), "code", &mut flawed),
        created_at: sound::<DateTime<Utc>>(row.next(), "created_at", &mut flawed).timestamp_micros(),
        to: sound(row.next(), "to_agent", &mut flawed),
        message_type: sound(row.next(), "type", &mut flawed),
        task_id: sound(row.next(), "task_id", &mut flawed),
        reply_to: sound(row.next(), "reply_to", &mut flawed),
        fetch: None,
        flaw,
        key,
        now,
    }
}

fn sound<T: Default>(value: Result<T>, column: &'static str, flawed: &mut impl FnMut(&'static str)) -> T {
    value.unwrap_or_else(|_| {
        flawed(column);
        T::default()
    })
}

/// In the order of their ids, which is about that in which they were sent; those of a thread in that in which they came.
pub(super) async fn read(
    store: &Neo4jStore,
    which: Which,
    after: Option<String>,
    most: usize,
) -> Result<Part> {
    let query = match which {
        Which::Thread(thread) => store.query(THREAD).param("of", thread),
        Which::To(audiences) => store.query(TO).param("of", audiences),
        Which::From(agent) => store.query(FROM).param("of", agent),
        Which::All => store.query(ALL),
    };
    // One more shows whether there are others.
    let query = query.param("after", after.unwrap_or_default()).param("limit", count(most) + 1);
    let (mut all, mut more) = (vec![], false);
    for mut row in store.exec(query.param("bytes", count(ANSWER_BYTES))).await? {
        let now = row.next()?;
        let key = keys::key(Cells::of(row.next()?)?).ok().flatten();
        more = row.next()?;
        all.push(stored(row, now, key));
    }
    more |= all.len() > most;
    all.truncate(most);
    Ok(Part { stored: all, more })
}

pub(super) async fn unread(store: &Neo4jStore, agent: &str) -> Result<Unread> {
    let mut row = store.one(store.query(UNREAD).param("agent", agent)).await?;
    Ok(Unread { count: row.next()?, urgent: row.next()? })
}

const TOLD: Statement = Statement::plain(concat!(
    clock!(),
    "UNWIND $keys AS key
MATCH (m:AgentMessage {namespace: $ns, dedupe_key: key}) USING INDEX SEEK m:AgentMessage(namespace, dedupe_key)
WHERE NOT coalesce(m.due_at <= now, false)
RETURN [key] AS row",
));

pub(super) async fn told(store: &Neo4jStore, dedupe_keys: Vec<String>) -> Result<Vec<String>> {
    let rows = store.exec(store.query(TOLD).param("keys", dedupe_keys)).await?;
    rows.into_iter().map(|mut row| row.next()).collect()
}

//! What was refused at the door, one node a claimed sender, a reason and a minute.

use crate::{
    error::Result,
    messages::{contract::Refusal, rules},
    neo4j::{
        Neo4jStore,
        cypher::{clock, lock},
        statement::Statement,
    },
};

/// Without the namespace's lock: whoever is refused must not keep the team from its work.
const COUNT: Statement = Statement::plain(concat!(
    clock!(),
    "MATCH (ns:Namespace {namespace: $ns, made: $made})
MERGE (r:Refusal {namespace: $ns, minute: now / $minute, sender: $sender, code: $code})
ON CREATE SET r.count = 0, r.first = $hash
REMOVE r._lock
WITH r
SET r.count = r.count + 1
RETURN [r.count, r.minute, r.alerted] AS row"
))
.once();

const ALERT: Statement = Statement::locking(concat!(
    lock!(),
    "CALL () { MATCH (r:Refusal {namespace: $ns, minute: $minute, sender: $sender, code: $code}) WHERE r.alerted IS NULL
  SET r.alerted = true RETURN count(*) AS raised }
WITH ns, at, raised, ns.event_seq AS base
SET ns.event_seq = base + raised
FOREACH (i IN range(1, raised) | CREATE (:Event {namespace: $ns, seq: base + i, topic: 'alert.raised', payload: $told,
  created_at: at}))
RETURN [] AS row"
));

pub(super) async fn refused(store: &Neo4jStore, refusal: Refusal) -> Result<u64> {
    let Refusal { sender, code, hash } = refusal;
    let query = |statement| store.query(statement).param("sender", sender.as_str()).param("code", code);
    let counted = query(COUNT).param("hash", hash).param("minute", rules::MINUTE);
    let mut row = store.one(counted).await?;
    let (count, minute): (u64, i64) = (row.next()?, row.next()?);
    // Also where the one before it was stopped between the two.
    if count >= rules::MANY_REFUSALS && row.next::<Option<bool>>()?.is_none() {
        let alert = query(ALERT).param("minute", minute).param("told", rules::forgeries(&sender, code));
        store.one(alert).await?;
    }
    Ok(count)
}

//! What was refused at the door, one node a claimed sender, a reason and a minute.

use crate::{
    error::Result,
    events::alerts::Observations,
    messages::{contract::Refusal, rules},
    neo4j::{Neo4jStore, alerts, cypher::clock, statement::Statement},
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
RETURN [r.count] AS row"
))
.once();

/// Of this minute and the one before.
const FORGERIES: Statement = Statement::plain(concat!(
    clock!(),
    "MATCH (r:Refusal) USING INDEX SEEK r:Refusal(namespace, minute, sender, code)
WHERE r.namespace = $ns AND r.minute >= now / $minute - 1 AND r.sender >= '' AND r.code >= '' AND r.count >= $many
RETURN [r.sender, r.code] AS row"
));

/// From the eleventh on it is an alert, also where whoever noted that was stopped before it was one.
pub(super) async fn refused(store: &Neo4jStore, refusal: Refusal) -> Result<u64> {
    let Refusal { sender, code, hash } = refusal;
    let query = store.query(COUNT).param("sender", sender.as_str()).param("code", code);
    let mut row = store.one(query.param("hash", hash).param("minute", rules::MINUTE)).await?;
    let count: u64 = row.next()?;
    if count >= rules::MANY_REFUSALS {
        let seen = Observations { each: vec![rules::forgeries(&sender, code)], families: vec![] };
        alerts::observe(store, &seen).await?;
    }
    Ok(count)
}

pub(super) async fn forgeries(store: &Neo4jStore) -> Result<Vec<(String, String)>> {
    let query = store.query(FORGERIES).param("minute", rules::MINUTE);
    let rows = store.exec(query.param("many", rules::MANY_REFUSALS as i64)).await?;
    rows.into_iter().map(|mut row| Ok((row.next()?, row.next()?))).collect()
}

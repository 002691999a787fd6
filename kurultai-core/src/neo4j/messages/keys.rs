//! Keys as nodes.

use crate::{
    error::Result,
    messages::{AgentKey, KeyState, PublicKey, contract::Rewrapped, rules::changed_meanwhile, wrap::Wrapped},
    neo4j::{
        Neo4jStore,
        bolt::{Cells, cells, list, map},
        cypher::lock,
        statement::Statement,
    },
};
use neo4rs::BoltType;

/// Every part of the index, so that its order is used.
const OF_ALL: Statement = Statement::plain(concat!(
    "CYPHER 5
MATCH (k:AgentKey) USING INDEX SEEK k:AgentKey(namespace, agent_id, key_id)
WHERE k.namespace = $ns AND k.agent_id >= '' AND k.key_id >= ''
WITH k ORDER BY k.namespace, k.agent_id, k.key_id RETURN [
",
    include_str!("cypher/key.cypher"),
    "] AS row"
));
const OF_ONE: Statement = Statement::plain(concat!(
    "CYPHER 5
MATCH (k:AgentKey) USING INDEX SEEK k:AgentKey(namespace, agent_id, key_id)
WHERE k.namespace = $ns AND k.agent_id = $agent AND k.key_id >= ''
WITH k ORDER BY k.namespace, k.agent_id, k.key_id RETURN [
",
    include_str!("cypher/key.cypher"),
    "] AS row"
));

const PUT: Statement = Statement::locking(concat!(lock!(), include_str!("cypher/put_keys.cypher"))).once();
const REWRAP: Statement = Statement::locking(concat!(lock!(), include_str!("cypher/rewrap.cypher"))).once();

/// `None` where there is none.
pub(super) fn key(mut row: Cells) -> Result<Option<AgentKey>> {
    let Some(agent_id) = row.next()? else { return Ok(None) };
    let (key_id, algorithm, state) = (row.next()?, row.next::<String>()?, row.next::<String>()?);
    let (created_at, activated_at, expires_at) = (row.next()?, row.next()?, row.next()?);
    let (public, secret): (Option<String>, Option<String>) = (row.next()?, row.next()?);
    let wrapping: Option<String> = row.next()?;
    Ok(Some(AgentKey {
        agent_id,
        key_id,
        algorithm: algorithm.parse()?,
        state: state.parse()?,
        created_at,
        activated_at,
        expires_at,
        // What is none verifies nothing.
        public_key: public.and_then(|text| PublicKey::from_text(&text).ok()),
        secret: wrapping.zip(secret).and_then(|(wrapping, text)| Wrapped::from_text(wrapping, &text).ok()),
        reason: row.next()?,
    }))
}

pub(super) async fn keys(store: &Neo4jStore, agent: Option<&str>) -> Result<Vec<AgentKey>> {
    let query = match agent {
        Some(agent) => store.query(OF_ONE).param("agent", agent),
        None => store.query(OF_ALL),
    };
    let rows = store.exec(query).await?;
    rows.into_iter().filter_map(|row| key(row).transpose()).collect()
}

pub(super) async fn put(
    store: &Neo4jStore,
    agent: &str,
    known: &[(String, KeyState)],
    keys: &[AgentKey],
) -> Result<()> {
    let row = |key: &AgentKey| cells![key.key_id.as_str(), map(made(key)), map(standing(key))];
    let query = store
        .query(PUT)
        .param("agent", agent)
        .param("known", list(known.iter().map(|(id, state)| cells![id.as_str(), state.as_str()])))
        .param("keys", list(keys.iter().map(row)));
    match store.one(query).await?.next()? {
        true => Ok(()),
        false => Err(changed_meanwhile(agent)),
    }
}

/// What of a key changes.
pub(super) fn standing(key: &AgentKey) -> [(&'static str, BoltType); 5] {
    [
        ("state", key.state.as_str().into()),
        ("activated_at", key.activated_at.into()),
        ("expires_at", key.expires_at.into()),
        ("reason", key.reason.as_deref().into()),
        ("revoked", (key.state == KeyState::Revoked).into()),
    ]
}

/// What of a key stays.
pub(super) fn made(key: &AgentKey) -> [(&'static str, BoltType); 5] {
    [
        ("algorithm", key.algorithm.as_str().into()),
        ("created_at", key.created_at.into()),
        ("public_key", key.public_key.as_ref().map(ToString::to_string).into()),
        ("secret", key.secret.as_ref().map(Wrapped::text).into()),
        ("wrapping_key", key.secret.as_ref().map(Wrapped::wrapping_key).into()),
    ]
}

pub(super) async fn rewrap(store: &Neo4jStore, wrapping_key: &str, secrets: &[Rewrapped]) -> Result<()> {
    let row = |Rewrapped { agent, key_id, was, secret }: &Rewrapped| {
        cells![agent.as_str(), key_id.as_str(), was.text(), secret.text(), secret.wrapping_key()]
    };
    let query = store
        .query(REWRAP)
        .param("secrets", list(secrets.iter().map(row)))
        .param("wrapping_key", wrapping_key);
    match store.one(query).await?.next::<Option<String>>()? {
        None => Ok(()),
        Some(agent) => Err(changed_meanwhile(&agent)),
    }
}

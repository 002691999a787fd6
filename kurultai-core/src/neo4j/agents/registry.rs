//! Who is there.

use super::roles;
use crate::{
    agents::{AgentInfo, AgentStatus, AgentUpdate, Deregistered, NewAgent},
    error::{Error, Result},
    json::Json,
    neo4j::{
        Neo4jStore,
        bolt::{Cells, cells, list},
        cypher::{clock, lock},
        statement::Statement,
    },
};

const REGISTER: Statement = Statement::locking(concat!(
    lock!(),
    include_str!("cypher/register.cypher"),
    include_str!("cypher/registered.cypher"),
    "RETURN [] AS row"
));

const AGENTS: Statement = Statement::plain(concat!(
    clock!(),
    "CALL (now) { MATCH (t:Task) USING INDEX SEEK t:Task(namespace, due_at) WHERE t.namespace = $ns AND t.due_at > now
    AND t.status = 'in_progress'
  WITH t.claimed_by AS agent, count(*) AS tasks RETURN collect([agent, tasks]) AS load }
MATCH (a:Agent) USING INDEX SEEK a:Agent(namespace, id) WHERE a.namespace = $ns AND a.id >= ''
RETURN [a.id, a.display_name, a.name, a.role, a.aliases, a.capabilities, a.status, a.max_concurrent,
  coalesce(head([x IN load WHERE x[0] = a.id | x[1]]), 0),
  a.infra_heartbeat, a.last_heartbeat, a.stopped_at, a.created_at, a.metadata] AS row ORDER BY a.id"
));

/// The namespace's node first, then the agent's, as everywhere: no two statements wait for each other.
const SET_STATUS: Statement = Statement::locking(concat!(
    lock!(),
    "CALL (at) { MATCH (a:Agent {namespace: $ns, id: $agent}) SET a.status = $status, a.updated_at = at
  RETURN count(a) AS found }
SET ns.catalog_seq = ns.catalog_seq + found
RETURN [found > 0] AS row"
));

/// In portions: an agent may have claimed a million tasks.
const FORGET: Statement = Statement::locking(concat!(
    lock!(),
    "CALL () { MATCH (a:Agent {namespace: $ns, id: $agent})-[e:CLAIMED|COMPLETED]->() WITH e LIMIT $limit
  DELETE e RETURN count(*) AS gone }
RETURN [gone] AS row"
));
const PORTION: i64 = 5_000;

/// Returns whether there is such an agent, what it holds, and what it leads.
const DEREGISTER: Statement = Statement::locking(concat!(
    lock!(),
    include_str!("cypher/deregister.cypher"),
    include_str!("cypher/end_leases.cypher"),
    "RETURN [a IS NOT NULL, holds, leads] AS row"
));

/// How many of what an agent holds is named.
const NAMED: i64 = 10;

const REMOVE: Statement = Statement::locking(concat!(
    lock!(),
    "CALL () { MATCH (a:Agent {namespace: $ns, id: $agent}) DETACH DELETE a RETURN count(*) AS found }
SET ns.catalog_seq = ns.catalog_seq + found
RETURN [] AS row"
));

const CAPABILITIES: Statement = Statement::plain(
    "CYPHER 5 MATCH (ns:Namespace {namespace: $ns, made: $made})
OPTIONAL MATCH (a:Agent {namespace: $ns, id: $agent})
RETURN [a IS NOT NULL, a.capabilities] AS row",
);
const UPDATE: Statement = Statement::locking(concat!(
    lock!(),
    "CALL (at) { MATCH (a:Agent {namespace: $ns, id: $agent}) WHERE coalesce(a.capabilities, []) = $before
  SET a.capabilities = $after, a.metadata = CASE WHEN $told THEN $metadata ELSE a.metadata END, a.updated_at = at
  RETURN count(*) AS changed }
SET ns.catalog_seq = ns.catalog_seq + changed
RETURN [changed > 0] AS row"
));

/// How often an update is decided anew, because the agent changed meanwhile.
const ROUNDS: usize = 8;

/// An agent whose word another program made up counts as active.
pub(in crate::neo4j) fn status(word: Option<String>) -> AgentStatus {
    word.and_then(|word| word.parse().ok()).unwrap_or(AgentStatus::Active)
}

/// Who has stopped is offline here.
fn agent(mut row: Cells) -> Result<AgentInfo> {
    let id: String = row.next()?;
    let (display_name, name): (Option<String>, Option<String>) = (row.next()?, row.next()?);
    let (role, aliases, capabilities, said) = (row.next()?, row.next()?, row.next()?, status(row.next()?));
    let (max_concurrent, current_load) = (row.next()?, row.next()?);
    let (infra_heartbeat, last_heartbeat, stopped_at) = (row.time()?, row.time()?, row.time()?);
    Ok(AgentInfo {
        display_name: display_name.or(name).unwrap_or_else(|| id.clone()),
        id,
        role,
        aliases,
        capabilities,
        status: said.unless_stopped(stopped_at, infra_heartbeat.max(last_heartbeat)),
        max_concurrent,
        current_load,
        infra_heartbeat,
        last_heartbeat,
        created_at: row.next::<Option<_>>()?.unwrap_or_default(),
        metadata: row.next::<Option<Json>>()?.unwrap_or_default(),
    })
}

/// Nothing for null.
fn stated(json: &Json) -> Option<&str> {
    (*json != Json::default()).then(|| json.as_str())
}

pub(super) async fn register(store: &Neo4jStore, mut agents: Vec<NewAgent>) -> Result<()> {
    // As everybody locks agents.
    agents.sort_by(|a, b| a.id.cmp(&b.id));
    let rows = agents.into_iter().map(|a| {
        let name = a.display_name.unwrap_or_else(|| a.id.clone());
        let most = a.max_concurrent.map(i64::from);
        cells![a.id, name, a.role, a.aliases, a.capabilities, most, stated(&a.metadata)]
    });
    let query = store.query(REGISTER).param("rows", list(rows));
    store.one(query).await.map(drop)
}

pub(super) async fn agents(store: &Neo4jStore) -> Result<Vec<AgentInfo>> {
    store.exec(store.query(AGENTS)).await?.into_iter().map(agent).collect()
}

pub(super) async fn update(store: &Neo4jStore, agent: &str, update: AgentUpdate) -> Result<bool> {
    let metadata = update.metadata.as_ref().and_then(stated);
    for _ in 0..ROUNDS {
        let mut row = store.one(store.query(CAPABILITIES).param("agent", agent)).await?;
        if !row.next::<bool>()? {
            return Ok(false);
        }
        let before: Vec<String> = row.next()?;
        let query = store
            .query(UPDATE)
            .param("agent", agent)
            .param("before", before.clone())
            .param("after", update.apply(before)?)
            .param("told", update.metadata.is_some())
            .param("metadata", metadata);
        if store.one(query).await?.next()? {
            return Ok(true);
        }
    }
    Err(Error::unavailable(format!("agent {agent} changes too quickly")))
}

pub(super) async fn set_status(store: &Neo4jStore, agent: &str, status: AgentStatus) -> Result<bool> {
    let query = store.query(SET_STATUS).param("agent", agent).param("status", status.as_str());
    store.one(query).await?.next()
}

pub(super) async fn deregister(store: &Neo4jStore, agent: &str, force: bool) -> Result<Deregistered> {
    let query = store.query(DEREGISTER).param("agent", agent).param("force", force).param("named", NAMED);
    let mut row = store.one(query).await?;
    let deregistered = Deregistered { found: row.next()?, holds: row.next()?, leads: row.next()? };
    let is_free = deregistered.holds.is_empty() && deregistered.leads.is_empty();
    if deregistered.found && (force || is_free) {
        roles::give_up(store, agent, &deregistered.leads).await?;
        let forget = || store.query(FORGET).param("agent", agent).param("limit", PORTION);
        while store.one(forget()).await?.next::<i64>()? == PORTION {}
        store.one(store.query(REMOVE).param("agent", agent)).await?;
    }
    Ok(deregistered)
}

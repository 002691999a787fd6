//! The registry's statements.

use super::{
    Neo4jStore,
    bolt::{Cells, cells, list},
    cypher::{clock, lock},
    statement::Statement,
};
use crate::{
    agents::{AgentInfo, AgentStatus, HeartbeatWriter, NewAgent},
    error::Result,
    json::Json,
};
use async_trait::async_trait;

const REGISTER: Statement = Statement::locking(concat!(lock!(), include_str!("cypher/register.cypher")));

const AGENTS: Statement = Statement::plain(concat!(
    clock!(),
    "CALL (now) { MATCH (t:Task) USING INDEX SEEK t:Task(namespace, due_at) WHERE t.namespace = $ns AND t.due_at > now
    AND t.status = 'in_progress'
  WITH t.claimed_by AS agent, count(*) AS tasks RETURN collect([agent, tasks]) AS load }
MATCH (a:Agent) USING INDEX SEEK a:Agent(namespace, id) WHERE a.namespace = $ns AND a.id >= ''
RETURN [a.id, a.display_name, a.name, a.role, a.aliases, a.capabilities, a.status, a.max_concurrent,
  coalesce(head([x IN load WHERE x[0] = a.id | x[1]]), 0),
  a.infra_heartbeat, a.last_heartbeat, a.created_at, a.metadata] AS row ORDER BY a.id"
));

const BEAT: Statement = Statement::locking(concat!(
    lock!(),
    "CALL (at) { UNWIND $agents AS id WITH DISTINCT id, at MATCH (a:Agent {namespace: $ns, id: id})
  SET a.infra_heartbeat = at, a.infra_seq = coalesce(a.infra_seq, 0) + 1 RETURN collect(a.id) AS beaten }
RETURN [beaten] AS row"
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

const DEREGISTER: Statement = Statement::locking(concat!(
    lock!(),
    "CALL () { MATCH (a:Agent {namespace: $ns, id: $agent}) DETACH DELETE a RETURN count(*) AS found }
SET ns.catalog_seq = ns.catalog_seq + found
RETURN [found > 0] AS row"
))
.once();

/// An agent whose word another program made up counts as active.
pub(super) fn status(word: Option<String>) -> AgentStatus {
    word.and_then(|word| word.parse().ok()).unwrap_or(AgentStatus::Active)
}

fn agent(mut row: Cells) -> Result<AgentInfo> {
    let id: String = row.next()?;
    let (display_name, name): (Option<String>, Option<String>) = (row.next()?, row.next()?);
    Ok(AgentInfo {
        display_name: display_name.or(name).unwrap_or_else(|| id.clone()),
        id,
        role: row.next()?,
        aliases: row.next()?,
        capabilities: row.next()?,
        status: status(row.next()?),
        max_concurrent: row.next()?,
        current_load: row.next()?,
        infra_heartbeat: row.next()?,
        last_heartbeat: row.next()?,
        created_at: row.next::<Option<_>>()?.unwrap_or_default(),
        metadata: row.next::<Option<Json>>()?.unwrap_or_default(),
    })
}

#[async_trait]
impl HeartbeatWriter for Neo4jStore {
    async fn register(&self, agents: Vec<NewAgent>) -> Result<()> {
        let rows = agents.into_iter().map(|a| {
            let metadata = (a.metadata != Json::default()).then_some(a.metadata.as_str());
            let name = a.display_name.unwrap_or_else(|| a.id.clone());
            cells![a.id, name, a.role, a.aliases, a.capabilities, a.max_concurrent.map(i64::from), metadata]
        });
        let query = self.query(REGISTER).param("rows", list(rows));
        self.one(query).await.map(drop)
    }

    async fn agents(&self) -> Result<Vec<AgentInfo>> {
        self.exec(self.query(AGENTS)).await?.into_iter().map(agent).collect()
    }

    async fn beat(&self, agents: Vec<String>) -> Result<Vec<String>> {
        self.one(self.query(BEAT).param("agents", agents)).await?.next()
    }

    async fn set_status(&self, agent: &str, status: AgentStatus) -> Result<bool> {
        let query = self.query(SET_STATUS).param("agent", agent).param("status", status.as_str());
        self.one(query).await?.next()
    }

    async fn deregister(&self, agent: &str) -> Result<bool> {
        let forget = || self.query(FORGET).param("agent", agent).param("limit", PORTION);
        while self.one(forget()).await?.next::<i64>()? == PORTION {}
        self.one(self.query(DEREGISTER).param("agent", agent)).await?.next()
    }
}

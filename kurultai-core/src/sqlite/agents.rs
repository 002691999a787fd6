use super::{
    events,
    store::SqliteStore,
    tx::{Tx, list, names, word},
};
use crate::{
    agents::{AgentInfo, AgentStatus, HeartbeatWriter, NewAgent},
    clock::{Micros, time},
    error::Result,
    json::Json,
};
use async_trait::async_trait;
use rusqlite::{Row, params};

/// The functional heartbeat, in the transaction of the work it is a sign of.
pub(super) fn beat(tx: &Tx<'_>, agents: &[&str]) -> Result<()> {
    if agents.is_empty() {
        return Ok(());
    }
    let sql = "update agent set last_heartbeat = ?2, func_seq = func_seq + 1
        where ns = ?1 and id in (select value from rarray(?3))";
    tx.run(sql, params![tx.ns, tx.now, list(agents.iter().map(|a| (*a).to_owned()))]).map(drop)
}

/// So that nobody seems silent for as long as the clock has jumped.
pub(super) fn shift(tx: &Tx<'_>, by: Micros) -> Result<()> {
    let sql = "update agent set infra_heartbeat = infra_heartbeat + ?1, last_heartbeat = last_heartbeat + ?1";
    tx.run(sql, [by]).map(drop)
}

const AGENT: &str = "id, display_name, role, aliases, capabilities, status, max_concurrent, infra_heartbeat,
    last_heartbeat, created_at, metadata";

/// All agents with their load.
pub(super) fn all(tx: &Tx<'_>) -> Result<Vec<AgentInfo>> {
    let sql = format!(
        "select {AGENT}, coalesce(held, 0) from agent
        left join (select claimed_by, count(*) as held from task where ns = ?1 and due_at is not null
            and status = 'in_progress' and due_at > ?2 group by claimed_by) on claimed_by = id
        where ns = ?1 order by id"
    );
    tx.rows(&sql, params![tx.ns, tx.now], agent)
}

/// The agents of these ids, with their load only where it is limited.
pub(super) fn of(tx: &Tx<'_>, ids: &[&str]) -> Result<Vec<AgentInfo>> {
    let sql = format!(
        "select {AGENT}, iif(max_concurrent is null, 0, (select count(*) from task t
            where t.ns = a.ns and t.held_by = a.id and t.due_at > ?2))
        from agent a where ns = ?1 and id in (select value from rarray(?3))"
    );
    tx.rows(&sql, params![tx.ns, tx.now, list(ids.iter().map(|id| (*id).to_owned()))], agent)
}

fn agent(row: &Row<'_>) -> rusqlite::Result<AgentInfo> {
    Ok(AgentInfo {
        id: row.get(0)?,
        display_name: row.get(1)?,
        role: row.get(2)?,
        aliases: names(row, 3)?,
        capabilities: names(row, 4)?,
        status: word(row, 5)?,
        max_concurrent: row.get(6)?,
        infra_heartbeat: row.get::<_, Option<i64>>(7)?.map(time),
        last_heartbeat: row.get::<_, Option<i64>>(8)?.map(time),
        created_at: time(row.get(9)?),
        metadata: row.get::<_, Option<String>>(10)?.map(Json::stored).unwrap_or_default(),
        current_load: row.get(11)?,
    })
}

#[async_trait]
impl HeartbeatWriter for SqliteStore {
    async fn register(&self, agents: Vec<NewAgent>) -> Result<()> {
        self.write(move |tx| agents.iter().try_for_each(|agent| upsert(tx, agent))).await
    }

    async fn agents(&self) -> Result<Vec<AgentInfo>> {
        self.query(all).await
    }

    async fn beat(&self, agents: Vec<String>) -> Result<Vec<String>> {
        self.write(move |tx| {
            let sql = "update agent set infra_heartbeat = ?2, infra_seq = infra_seq + 1
                where ns = ?1 and id in (select value from rarray(?3)) returning id";
            tx.rows(sql, params![tx.ns, tx.now, list(agents.iter().cloned())], |row| row.get(0))
        })
        .await
    }

    async fn set_status(&self, agent: &str, status: AgentStatus) -> Result<bool> {
        let agent = agent.to_owned();
        self.write(move |tx| {
            let sql = "update agent set status = ?3, updated_at = ?4 where ns = ?1 and id = ?2";
            Ok(tx.run(sql, params![tx.ns, agent, status.as_str(), tx.now])? > 0)
        })
        .await
    }

    async fn deregister(&self, agent: &str) -> Result<bool> {
        let agent = agent.to_owned();
        self.write(move |tx| {
            Ok(tx.run("delete from agent where ns = ?1 and id = ?2", params![tx.ns, agent])? > 0)
        })
        .await
    }
}

fn upsert(tx: &Tx<'_>, agent: &NewAgent) -> Result<()> {
    let sql = "insert into agent(ns, id, display_name, role, aliases, capabilities, status, max_concurrent,
          infra_heartbeat, created_at, updated_at, metadata)
        values(?1, ?2, ?3, ?4, ?5, ?6, 'active', ?7, ?8, ?8, ?8, ?9)
        on conflict(ns, id) do update set display_name = excluded.display_name, role = excluded.role,
          aliases = excluded.aliases, capabilities = excluded.capabilities, status = 'active',
          max_concurrent = excluded.max_concurrent, metadata = excluded.metadata, infra_heartbeat = excluded.infra_heartbeat,
          infra_seq = infra_seq + 1, updated_at = excluded.updated_at
        returning infra_seq = 0";
    let json = |names: &[String]| serde_json::json!(names).to_string();
    let display_name = agent.display_name.as_ref().unwrap_or(&agent.id);
    let params = params![
        tx.ns,
        agent.id,
        display_name,
        agent.role,
        json(&agent.aliases),
        json(&agent.capabilities),
        agent.max_concurrent,
        tx.now,
        (agent.metadata != Json::default()).then(|| agent.metadata.as_str())
    ];
    if agent.max_concurrent.is_some() {
        // What it holds already counts from now on.
        let sql = "update task set held_by = claimed_by
            where ns = ?1 and due_at is not null and status = 'in_progress' and claimed_by = ?2";
        tx.run(sql, params![tx.ns, agent.id])?;
    }
    let is_new = tx.one(sql, params, |row| row.get::<_, bool>(0))?;
    if is_new == Some(true) {
        events::append_one(tx, "agent.registered", Some(&agent.id), None, None)?;
    }
    Ok(())
}

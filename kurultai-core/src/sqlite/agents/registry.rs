//! Who is there.

use super::{leases::end_leases, roles};
use crate::{
    agents::{AgentInfo, AgentStatus, AgentUpdate, Deregistered, NewAgent},
    clock::{Micros, time},
    error::Result,
    json::Json,
    sqlite::{
        events,
        tx::{Tx, list, names, word},
    },
};
use rusqlite::{Row, params};

const AGENT: &str = "id, display_name, role, aliases, capabilities, status, max_concurrent, infra_heartbeat,
    last_heartbeat, created_at, metadata";

/// All agents with their load. Who has stopped is offline here.
pub(in crate::sqlite) fn all(tx: &Tx<'_>) -> Result<Vec<AgentInfo>> {
    let sql = format!(
        "select {AGENT}, coalesce(held, 0), stopped_at from agent
        left join (select claimed_by, count(*) as held from task where ns = ?1 and due_at is not null
            and status = 'in_progress' and due_at > ?2 group by claimed_by) on claimed_by = id
        where ns = ?1 order by id"
    );
    tx.rows(&sql, params![tx.ns, tx.now], agent)
}

/// The agents of these ids as a claim sees them: with their load only where it is limited, and active where one of
/// their processes has stopped, since this is another one.
pub(in crate::sqlite) fn of(tx: &Tx<'_>, ids: &[&str]) -> Result<Vec<AgentInfo>> {
    let sql = format!(
        "select {AGENT}, iif(max_concurrent is null, 0, (select count(*) from task t
            where t.ns = a.ns and t.held_by = a.id and t.due_at > ?2)), null
        from agent a where ns = ?1 and id in (select value from rarray(?3))"
    );
    tx.rows(&sql, params![tx.ns, tx.now, list(ids.iter().map(|id| (*id).to_owned()))], agent)
}

fn agent(row: &Row<'_>) -> rusqlite::Result<AgentInfo> {
    let at = |column| -> rusqlite::Result<_> { Ok(row.get::<_, Option<Micros>>(column)?.map(time)) };
    let (infra_heartbeat, last_heartbeat) = (at(7)?, at(8)?);
    let status: AgentStatus = word(row, 5)?;
    Ok(AgentInfo {
        id: row.get(0)?,
        display_name: row.get(1)?,
        role: row.get(2)?,
        aliases: names(row, 3)?,
        capabilities: names(row, 4)?,
        status: status.unless_stopped(at(12)?, infra_heartbeat.max(last_heartbeat)),
        max_concurrent: row.get(6)?,
        infra_heartbeat,
        last_heartbeat,
        created_at: time(row.get(9)?),
        metadata: row.get::<_, Option<String>>(10)?.map(Json::stored).unwrap_or_default(),
        current_load: row.get(11)?,
    })
}

pub(super) fn set_status(tx: &Tx<'_>, agent: &str, status: AgentStatus) -> Result<bool> {
    let sql = "update agent set status = ?3, updated_at = ?4 where ns = ?1 and id = ?2";
    Ok(tx.run(sql, params![tx.ns, agent, status.as_str(), tx.now])? > 0)
}

pub(super) fn update(tx: &Tx<'_>, agent: &str, update: &AgentUpdate) -> Result<bool> {
    let sql = "select capabilities from agent where ns = ?1 and id = ?2";
    let Some(before) = tx.one(sql, params![tx.ns, agent], |row| names(row, 0))? else { return Ok(false) };
    let sql = "update agent set capabilities = ?3, metadata = iif(?4, ?5, metadata), updated_at = ?6
        where ns = ?1 and id = ?2";
    let after = json(&update.apply(before)?);
    let metadata = update.metadata.as_ref();
    tx.run(sql, params![tx.ns, agent, after, metadata.is_some(), metadata.and_then(stated), tx.now])?;
    Ok(true)
}

/// How many of what an agent holds is named.
const NAMED: usize = 10;

pub(super) fn deregister(tx: &Tx<'_>, agent: &str, force: bool) -> Result<Deregistered> {
    let sql =
        "select id from task where ns = ?1 and due_at is not null and due_at > ?2 and status = 'in_progress'
        and claimed_by = ?3 limit ?4";
    let holds = tx.rows(sql, params![tx.ns, tx.now, agent, NAMED as i64], |row| row.get(0))?;
    let leads = roles::of(tx, agent)?;
    if (holds.is_empty() && leads.is_empty()) || force {
        end_leases(tx, agent)?;
        roles::give_up(tx, agent, &leads)?;
        let gone = tx.run("delete from agent where ns = ?1 and id = ?2", params![tx.ns, agent])?;
        return Ok(Deregistered { found: gone > 0, holds, leads });
    }
    Ok(Deregistered { found: true, holds, leads })
}

fn json(names: &[String]) -> String {
    serde_json::json!(names).to_string()
}

/// Nothing for null.
fn stated(json: &Json) -> Option<&str> {
    (*json != Json::default()).then(|| json.as_str())
}

pub(super) fn upsert(tx: &Tx<'_>, agent: &NewAgent) -> Result<()> {
    let sql = "insert into agent(ns, id, display_name, role, aliases, capabilities, status, max_concurrent,
          infra_heartbeat, created_at, updated_at, metadata)
        values(?1, ?2, ?3, ?4, ?5, ?6, 'active', ?7, ?8, ?8, ?8, ?9)
        on conflict(ns, id) do update set display_name = excluded.display_name, role = excluded.role,
          aliases = excluded.aliases, capabilities = excluded.capabilities, status = 'active',
          max_concurrent = excluded.max_concurrent, metadata = excluded.metadata, infra_heartbeat = excluded.infra_heartbeat,
          infra_seq = infra_seq + 1, stopped_at = null, updated_at = excluded.updated_at
        returning infra_seq = 0";
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
        stated(&agent.metadata)
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

//! Both heartbeats, and what they tell.

use super::{registry, roles};
use crate::{
    agents::{Beat, NewAgent, SPEAKS, Sign, Signs, Stalled},
    clock::{Micros, micros},
    error::Result,
    sqlite::{
        namespaces::is_there,
        tx::{Tx, list, word},
    },
};
use rusqlite::params;
use std::collections::HashMap;

/// The functional heartbeat, in the transaction of the work it is a sign of.
pub(in crate::sqlite) fn beat(tx: &Tx<'_>, agents: &[&str]) -> Result<()> {
    if agents.is_empty() {
        return Ok(());
    }
    let sql = "update agent set last_heartbeat = ?2, func_seq = func_seq + 1
        where ns = ?1 and id in (select value from rarray(?3))";
    tx.run(sql, params![tx.ns, tx.now, list(agents.iter().map(|a| (*a).to_owned()))]).map(drop)
}

/// So that nobody seems silent for as long as the clock has jumped.
pub(in crate::sqlite) fn shift(tx: &Tx<'_>, by: Micros) -> Result<()> {
    let sql = "update agent set infra_heartbeat = infra_heartbeat + ?1, last_heartbeat = last_heartbeat + ?1,
        stopped_at = stopped_at + ?1, dead_at = dead_at + ?1,
        speakers = (select json_group_object(key, value + ?1) from json_each(agent.speakers))";
    tx.run(sql, [by])?;
    tx.run("update role_lease set expires_at = expires_at + ?1", [by]).map(drop)
}

/// The infrastructure heartbeat. Those to create are registered where they are unknown.
pub(super) fn write(tx: &Tx<'_>, instance: &str, beats: &[Beat]) -> Result<Vec<String>> {
    let mut beaten = write_known(tx, instance, beats)?;
    let is_new = |beat: &&Beat| beat.create.is_some() && !beaten.contains(&beat.agent);
    let mut new: Vec<Beat> = beats.iter().filter(is_new).cloned().collect();
    new.dedup_by(|a, b| a.agent == b.agent);
    if !new.is_empty() {
        for Beat { agent, create, .. } in &new {
            registry::upsert(tx, &NewAgent { display_name: create.clone(), ..NewAgent::new(agent) })?;
        }
        beaten.extend(write_known(tx, instance, &new)?);
    }
    if beaten.is_empty() {
        is_there(tx)?;
    }
    Ok(beaten)
}

fn write_known(tx: &Tx<'_>, instance: &str, beats: &[Beat]) -> Result<Vec<String>> {
    let ids = |all: &mut dyn Iterator<Item = &Beat>| list(all.map(|beat| beat.agent.clone()));
    // It goes on where another process speaks for it, whichever says goodbye.
    let sql = "with said as (
          select id, id in (select value from rarray(?4)) as is_last,
            (select json_group_object(key, value) from json_each(agent.speakers)
              where key <> ?5 and value > ?6) as others
          from agent where ns = ?1 and id in (select value from rarray(?3)))
        update agent set infra_heartbeat = ?2, infra_seq = infra_seq + 1,
          speakers = iif(is_last, others, json_insert(others, '$.' || json_quote(?5), ?2)),
          stopped_at = iif(is_last and others = '{}', ?2, null)
        from said where agent.ns = ?1 and agent.id = said.id returning agent.id";
    let (all, last) = (ids(&mut beats.iter()), ids(&mut beats.iter().filter(|beat| beat.last)));
    let since = tx.now - micros(SPEAKS);
    tx.rows(sql, params![tx.ns, tx.now, all, last, instance, since], |row| row.get(0))
}

pub(super) fn read(tx: &Tx<'_>) -> Result<Signs> {
    let mut held = held(tx)?;
    let sql = "select id, infra_heartbeat, last_heartbeat, infra_seq + func_seq, stopped_at, dead_at, status
        from agent where ns = ?1 order by id";
    let agents = tx.rows(sql, [tx.ns], |row| {
        let agent: String = row.get(0)?;
        let holds = held.remove(&agent).unwrap_or_default();
        let sign = Sign {
            agent,
            infra: row.get(1)?,
            functional: row.get(2)?,
            sequence: row.get(3)?,
            stopped_at: row.get(4)?,
            dead_at: row.get(5)?,
            ..holds
        };
        Ok(sign.with_status(word(row, 6)?))
    })?;
    if agents.is_empty() {
        is_there(tx)?;
    }
    Ok(Signs::new(tx.now, agents, roles::all(tx)?))
}

/// What each agent holds.
fn held(tx: &Tx<'_>) -> Result<HashMap<String, Sign>> {
    let mut held: HashMap<String, Sign> = HashMap::new();
    // What a handler of an earlier claim did says nothing.
    let sql = "select t.claimed_by, t.claimed_at, t.id, t.type, r.stalled_at
        from task t left join task_result r on r.n = t.n and r.stalled_claim = t.claim_id
        where t.ns = ?1 and t.due_at is not null and t.due_at > ?2 and t.status = 'in_progress'";
    let rows = tx.rows(sql, [tx.ns, tx.now], |row| {
        let since: Option<Micros> = row.get(4)?;
        let stalled = match since {
            Some(since) => Some(Stalled { task: row.get(2)?, task_type: row.get(3)?, since }),
            None => None,
        };
        Ok((row.get::<_, String>(0)?, row.get::<_, Option<Micros>>(1)?, stalled))
    })?;
    for (agent, claimed_at, stalled) in rows {
        let sign = held.entry(agent).or_default();
        sign.holds += 1;
        sign.oldest_claim = sign.oldest_claim.into_iter().chain(claimed_at).min();
        sign.stalled = sign.stalled.take().into_iter().chain(stalled).min_by_key(|stalled| stalled.since);
    }
    Ok(held)
}

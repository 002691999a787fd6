//! Keys as rows.

use crate::{
    clock::time,
    error::Result,
    messages::{AgentKey, KeyState, PublicKey, contract::Rewrapped, rules::changed_meanwhile, wrap::Wrapped},
    sqlite::tx::{Tx, word},
};
use rusqlite::{Row, params};

/// What is read of a key `k`, from this column on.
pub(super) const KEY: &str =
    "k.agent_id, k.key_id, k.algorithm, k.state, k.created_at, k.activated_at, k.expires_at,
      k.public_key, k.secret, k.wrapping_key, k.reason";

pub(super) fn key(row: &Row<'_>, first: usize) -> rusqlite::Result<AgentKey> {
    let public: Option<String> = row.get(first + 7)?;
    let secret: Option<String> = row.get(first + 8)?;
    let wrapping: Option<String> = row.get(first + 9)?;
    Ok(AgentKey {
        agent_id: row.get(first)?,
        key_id: row.get(first + 1)?,
        algorithm: word(row, first + 2)?,
        state: word(row, first + 3)?,
        created_at: time(row.get(first + 4)?),
        activated_at: row.get::<_, Option<_>>(first + 5)?.map(time),
        expires_at: time(row.get(first + 6)?),
        // What is none verifies nothing.
        public_key: public.and_then(|text| PublicKey::from_text(&text).ok()),
        secret: wrapping.zip(secret).and_then(|(wrapping, text)| Wrapped::from_text(wrapping, &text).ok()),
        reason: row.get(first + 10)?,
    })
}

pub(super) fn one(tx: &Tx<'_>, agent: &str, key_id: &str) -> Result<Option<AgentKey>> {
    let sql = format!("select {KEY} from agent_key k where ns = ?1 and agent_id = ?2 and key_id = ?3");
    tx.one(&sql, params![tx.ns, agent, key_id], |row| key(row, 0))
}

pub(super) fn keys(tx: &Tx<'_>, agent: Option<&str>) -> Result<Vec<AgentKey>> {
    match agent {
        Some(agent) => {
            let sql =
                format!("select {KEY} from agent_key k where ns = ?1 and agent_id = ?2 order by key_id");
            tx.rows(&sql, params![tx.ns, agent], |row| key(row, 0))
        }
        None => {
            let sql = format!("select {KEY} from agent_key k where ns = ?1 order by agent_id, key_id");
            tx.rows(&sql, [tx.ns], |row| key(row, 0))
        }
    }
}

pub(super) fn put(tx: &Tx<'_>, agent: &str, known: &[(String, KeyState)], keys: &[AgentKey]) -> Result<()> {
    let sql = "select key_id, state from agent_key where ns = ?1 and agent_id = ?2 order by key_id";
    let there =
        tx.rows(sql, params![tx.ns, agent], |row| Ok((row.get::<_, String>(0)?, word::<KeyState>(row, 1)?)))?;
    if there != known {
        return Err(changed_meanwhile(agent));
    }
    let sql =
        "insert into agent_key(ns, agent_id, key_id, algorithm, state, created_at, activated_at, expires_at,
          public_key, secret, wrapping_key, reason)
        values(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)
        on conflict do update set state = excluded.state, activated_at = excluded.activated_at,
          expires_at = excluded.expires_at, reason = excluded.reason";
    for key in keys {
        let (activated, expires) = times(key);
        let params = params![
            tx.ns,
            key.agent_id,
            key.key_id,
            key.algorithm.as_str(),
            key.state.as_str(),
            key.created_at.timestamp_micros(),
            activated,
            expires,
            key.public_key.as_ref().map(ToString::to_string),
            key.secret.as_ref().map(Wrapped::text),
            key.secret.as_ref().map(Wrapped::wrapping_key),
            key.reason,
        ];
        tx.run(sql, params)?;
    }
    Ok(())
}

fn times(key: &AgentKey) -> (Option<i64>, i64) {
    (key.activated_at.map(|at| at.timestamp_micros()), key.expires_at.timestamp_micros())
}

pub(super) fn rewrap(tx: &Tx<'_>, wrapping_key: &str, secrets: &[Rewrapped]) -> Result<()> {
    let sql = "update agent_key set secret = ?4, wrapping_key = ?5
        where ns = ?1 and agent_id = ?2 and key_id = ?3 and secret = ?6";
    for Rewrapped { agent, key_id, was, secret } in secrets {
        let params = params![tx.ns, agent, key_id, secret.text(), secret.wrapping_key(), was.text()];
        if tx.run(sql, params)? == 0 {
            return Err(changed_meanwhile(agent));
        }
    }
    let left =
        "select agent_id from agent_key where ns = ?1 and secret is not null and wrapping_key <> ?2 limit 1";
    let left: Option<String> = tx.one(left, params![tx.ns, wrapping_key], |row| row.get(0))?;
    left.map_or(Ok(()), |agent| Err(changed_meanwhile(&agent)))
}

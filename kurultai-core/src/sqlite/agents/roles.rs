//! Who leads.

use crate::{
    agents::{
        FailoverEvent, HandBack, Role, RoleChange, RoleLease, Term,
        failovers::{Away, Taken},
        roles::{self, CHANGED, Step, Told},
    },
    clock::{Micros, time},
    error::{Error, Result},
    ids,
    sqlite::{
        events,
        tx::{Tx, word},
    },
};
use chrono::{DateTime, Utc};
use rusqlite::{Row, params};
use std::collections::HashMap;

macro_rules! role {
    ($($which:literal),*) => {
        concat!(
            "select role, term, holder, instance, expires_at, promised_to, last_holder from role_lease ",
            $($which),*
        )
    };
}

fn role(row: &Row<'_>) -> rusqlite::Result<Role> {
    Ok(Role {
        role: row.get(0)?,
        term: row.get(1)?,
        holder: row.get(2)?,
        instance: row.get(3)?,
        expires_at: row.get(4)?,
        promised_to: row.get(5)?,
        last_holder: row.get(6)?,
    })
}

/// In the order of their names.
pub(super) fn all(tx: &Tx<'_>) -> Result<Vec<Role>> {
    tx.rows(role!("where ns = ?1 order by role"), [tx.ns], role)
}

fn one(tx: &Tx<'_>, name: &str) -> Result<Option<Role>> {
    tx.one(role!("where ns = ?1 and role = ?2"), params![tx.ns, name], role)
}

/// The roles that an agent holds.
pub(in crate::sqlite) fn of(tx: &Tx<'_>, agent: &str) -> Result<Vec<String>> {
    let sql = "select role from role_lease where ns = ?1 and holder = ?2 and expires_at > ?3 order by role";
    tx.rows(sql, params![tx.ns, agent, tx.now], |row| row.get(0))
}

/// The roles that are held, by their holders.
pub(in crate::sqlite) fn by_holder(tx: &Tx<'_>) -> Result<HashMap<String, Vec<String>>> {
    let sql = "select holder, role from role_lease where ns = ?1 and holder is not null and expires_at > ?2";
    let mut held: HashMap<String, Vec<String>> = HashMap::new();
    for (holder, role) in tx.rows(sql, params![tx.ns, tx.now], |row| Ok((row.get(0)?, row.get(1)?)))? {
        held.entry(holder).or_default().push(role);
    }
    Ok(held)
}

/// That whoever acts under this term holds the role in this transaction. Errors: `role.stale_term`.
pub(in crate::sqlite) fn check(tx: &Tx<'_>, under: Option<&Term>) -> Result<()> {
    under.map_or(Ok(()), |term| roles::check_term(term, one(tx, &term.role)?.as_ref(), tx.now))
}

pub(super) fn change(tx: &Tx<'_>, change: &RoleChange) -> Result<RoleLease> {
    let there = "select 1 from agent where ns = ?1 and id = ?2";
    if change.takes() && tx.one(there, params![tx.ns, change.agent], |_| Ok(()))?.is_none() {
        super::known(tx, false)?;
        return Err(Error::agent_not_found(&change.agent, None));
    }
    let sql = "select term, from_agent from failover_event where ns = ?1 and role = ?2 and status = 'active'";
    let away = |row: &Row<'_>| Ok(Away { term: row.get(0)?, from_agent: row.get(1)? });
    let away = if change.takes() { tx.rows(sql, params![tx.ns, change.role], away)? } else { vec![] };
    let role = one(tx, &change.role)?.unwrap_or_default();
    let step = change.decide(&role, &away, tx.now)?;
    write(tx, &change.agent, &step)?;
    Ok(step.lease)
}

fn write(tx: &Tx<'_>, agent: &str, step: &Step) -> Result<()> {
    let sql = "insert into role_lease(ns, role, term, holder, instance, expires_at, promised_to, last_holder, updated_at)
        values(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
        on conflict(ns, role) do update set term = excluded.term, holder = excluded.holder, instance = excluded.instance,
          expires_at = excluded.expires_at, promised_to = excluded.promised_to, last_holder = excluded.last_holder,
          updated_at = excluded.updated_at";
    let Role { role, term, holder, instance, expires_at, promised_to, last_holder } = &step.role;
    // Nobody was asked for a role that nobody has ever held.
    if step.role.term == 0 {
        return Ok(());
    }
    let params = params![tx.ns, role, term, holder, instance, expires_at, promised_to, last_holder, tx.now];
    tx.run(sql, params)?;
    let Some(told) = &step.told else { return Ok(()) };
    fail_over(tx, role, *term, told)?;
    events::append_one(tx, CHANGED, Some(agent), None, Some(step.payload(told)))
}

fn fail_over(tx: &Tx<'_>, role: &str, term: i64, told: &Told) -> Result<()> {
    if let Some(from) = told.resolved_from {
        let sql = "update failover_event set status = 'resolved', deactivated_at = ?4
            where ns = ?1 and role = ?2 and status = 'active' and term >= ?3";
        tx.run(sql, params![tx.ns, role, from, tx.now])?;
    }
    if let Some(Taken { from, by }) = &told.taken {
        let sql = "insert into failover_event(ns, id, role, from_agent, to_agent, term, reason, triggered_by,
              activated_at, status)
            values(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, 'active')";
        let params =
            params![tx.ns, ids::new_id(), role, from, told.to, term, told.reason, by.as_str(), tx.now];
        tx.run(sql, params)?;
    }
    Ok(())
}

/// Oldest first.
pub(super) fn failovers(
    tx: &Tx<'_>,
    active: Option<bool>,
    since: Option<DateTime<Utc>>,
) -> Result<Vec<FailoverEvent>> {
    let sql = "select id, role, from_agent, to_agent, term, reason, triggered_by, activated_at, deactivated_at, status
        from failover_event where ns = ?1 and (?2 is null or (status = 'active') = ?2)
          and (?3 is null or activated_at >= ?3) order by activated_at, term";
    let since = since.map(|since| since.timestamp_micros());
    tx.rows(sql, params![tx.ns, active, since], |row| {
        Ok(FailoverEvent {
            id: row.get(0)?,
            role: row.get(1)?,
            from_agent: row.get(2)?,
            to_agent: row.get(3)?,
            term: row.get(4)?,
            reason: row.get(5)?,
            triggered_by: word(row, 6)?,
            activated_at: time(row.get(7)?),
            deactivated_at: row.get::<_, Option<Micros>>(8)?.map(time),
            status: word(row, 9)?,
        })
    })
}

/// An agent is dead: what it led, or was promised, is free.
pub(super) fn end(tx: &Tx<'_>, agent: &str) -> Result<()> {
    let sql = "update role_lease set expires_at = ?3, updated_at = ?3
        where ns = ?1 and coalesce(holder, promised_to) = ?2 and expires_at > ?3";
    tx.run(sql, params![tx.ns, agent, tx.now]).map(drop)
}

/// An agent is removed that led these.
pub(super) fn give_up(tx: &Tx<'_>, agent: &str, roles: &[String]) -> Result<()> {
    for role in roles {
        change(tx, &HandBack::removed(role, agent))?;
    }
    Ok(())
}

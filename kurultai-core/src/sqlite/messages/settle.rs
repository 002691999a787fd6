//! Deliveries end.

use super::read::{maybe, text};
use crate::{
    clock::Micros,
    error::Result,
    messages::{
        MessageStatus,
        contract::{Settle, Settled},
        rules::{self, Change, Facts},
    },
    sqlite::{
        events,
        tx::{Tx, word},
    },
};
use rusqlite::params;

/// What is told of a message that has left its inbox unread.
pub(super) struct Left {
    pub(super) n: i64,
    pub(super) id: String,
    pub(super) from: String,
    pub(super) to: String,
    pub(super) task: Option<String>,
}

pub(super) fn settle(tx: &Tx<'_>, units: &[Vec<Settle>]) -> Result<Vec<Result<Vec<Result<Settled>>>>> {
    let unit = |unit: &Vec<Settle>| unit.iter().map(|settle| end(tx, settle)).collect::<Result<_>>().map(Ok);
    units.iter().map(unit).collect()
}

fn end(tx: &Tx<'_>, settle: &Settle) -> Result<Result<Settled>> {
    let sql = "select n, from_agent, to_agent, task_id, status, deliveries, code from message where ns = ?1 and id = ?2";
    let found = tx.one(sql, params![tx.ns, settle.id], |row| {
        let left = Left {
            n: row.get(0)?,
            id: settle.id.clone(),
            from: text(row, 1)?,
            to: text(row, 2)?,
            task: maybe(row, 3)?,
        };
        // One that is in no state is with nobody.
        let status = word(row, 4).unwrap_or(MessageStatus::Failed);
        let (delivery, code) = (row.get(5).unwrap_or(0), maybe(row, 6)?);
        Ok((left, Facts { now: tx.now, status, delivery, code }))
    })?;
    let Some((left, facts)) = found else { return Ok(Err(rules::not_found(&settle.id))) };
    let change = match rules::settle(&facts, settle) {
        Ok(change) => change,
        Err(error) => return Ok(Err(error)),
    };
    let repeated = change.is_none();
    let status = change.as_ref().map_or(facts.status, |change| change.status);
    if let Some(change) = change {
        apply(tx, &left, &change)?;
    }
    Ok(Ok(Settled { id: left.id, status, repeated }))
}

pub(super) fn apply(tx: &Tx<'_>, left: &Left, change: &Change) -> Result<()> {
    let sql = "update message set status = ?2, visible_at = ?3, acked_at = coalesce(?4, acked_at), code = ?5, reason = ?6,
          deliveries = deliveries - ?7
        where n = ?1";
    let Change { status, visible_at, acked_at, code, reason, uncounted } = change;
    tx.run(sql, params![left.n, status.as_str(), visible_at, acked_at, code, reason, uncounted])?;
    if change.frees_its_key() {
        let sql = "update message set dedupe_key = null where n = ?1 and dedupe_key is not null";
        tx.run(sql, [left.n])?;
    }
    let Some(topic) = rules::topic(*status) else { return Ok(()) };
    let told = rules::left(&left.id, &left.from, code.as_deref(), reason.as_deref());
    events::append_of(tx, topic, &[(left.to.as_str(), left.task.as_deref(), told)])
}

/// What has expired, and what was delivered too often. Returns how many those were.
pub(super) fn sweep(tx: &Tx<'_>, limit: usize) -> Result<usize> {
    let limit = limit as i64;
    let left = |row: &rusqlite::Row<'_>| {
        let (from, to) = (text(row, 2)?, text(row, 3)?);
        Ok(Left { n: row.get(0)?, id: text(row, 1)?, from, to, task: maybe(row, 4)? })
    };
    let sql = "select n, id, from_agent, to_agent, task_id from message
        where ns = ?1 and visible_at is not null and expires_at <= ?2 order by expires_at limit ?3";
    let expired = tx.rows(sql, params![tx.ns, tx.now, limit], left)?;
    for left in &expired {
        apply(tx, left, &rules::expired())?;
    }
    let sql = "select n, id, from_agent, to_agent, task_id from message
        where ns = ?1 and visible_at is not null and deliveries >= 5 and visible_at <= ?2 order by visible_at limit ?3";
    let spent = tx.rows(sql, params![tx.ns, tx.now, limit], left)?;
    for left in &spent {
        apply(tx, left, &rules::spent())?;
    }
    Ok(expired.len() + spent.len())
}

/// Removes what has left its inbox and whose time was over before, and refusals that are as old. Returns how many messages
/// those were.
pub(super) fn forget(tx: &Tx<'_>, before: Micros, limit: usize) -> Result<usize> {
    let sql = "delete from refusal where ns = ?1 and (minute, sender, code) in
        (select minute, sender, code from refusal where ns = ?1 and minute < ?2 limit ?3)";
    tx.run(sql, params![tx.ns, before / rules::MINUTE, limit as i64])?;
    let sql = "delete from message where n in
        (select n from message where ns = ?1 and visible_at is null and expires_at < ?2 limit ?3)";
    tx.run(sql, params![tx.ns, before, limit as i64])
}

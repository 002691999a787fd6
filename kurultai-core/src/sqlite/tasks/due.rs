//! What the store has to look at by itself, and when.

use super::expiry;
use crate::{
    clock::Micros,
    error::Result,
    sqlite::tx::Tx,
    tasks::{contract::Due, rules::NOW},
};
use rusqlite::params;

/// Whether the store has work for itself.
pub(super) fn overdue(tx: &Tx<'_>) -> Result<bool> {
    let sql = "select exists(select 1 from task where ns = ?1 and due_at <= ?2)
        or exists(select 1 from expiry where ns = ?1 and at <= ?2)";
    Ok(tx.one(sql, [tx.ns, tx.now], |row| row.get(0))? == Some(true))
}

pub(super) fn due(tx: &Tx<'_>, limit: usize) -> Result<Due> {
    let sql = "select id, due_at from task where ns = ?1 and due_at is not null and due_at <= ?3
        order by due_at limit ?2";
    let due = tx.rows(sql, params![tx.ns, limit as i64, tx.now], |row| {
        Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?))
    })?;
    let marked = due.first().is_some_and(|(_, at)| *at == NOW);
    Ok(Due { ids: due.into_iter().map(|(id, _)| id).collect(), marked })
}

/// When the store has work for itself next.
pub(super) fn next_due(tx: &Tx<'_>) -> Result<Option<Micros>> {
    let sql = "select due_at from task where ns = ?1 and due_at is not null order by due_at limit 1";
    let first = tx.one(sql, [tx.ns], |row| row.get::<_, i64>(0))?;
    Ok(first.into_iter().chain(expiry::next(tx)?).min())
}

//! What was refused at the door, one row a claimed sender, a reason and a minute.

use crate::{
    error::Result,
    events::alerts::Observations,
    messages::{contract::Refusal, rules},
    sqlite::{alerts, tx::Tx},
};
use rusqlite::params;

pub(super) fn refused(tx: &Tx<'_>, Refusal { sender, code, hash }: &Refusal) -> Result<u64> {
    let sql = "insert into refusal(ns, minute, sender, code, count, first) values(?1, ?2, ?3, ?4, 1, ?5)
        on conflict do update set count = count + 1 returning count";
    let count: Option<i64> =
        tx.one(sql, params![tx.ns, tx.now / rules::MINUTE, sender, code, hash], |row| row.get(0))?;
    let count = count.unwrap_or_default().unsigned_abs();
    if count == rules::MANY_REFUSALS {
        let seen = Observations { each: vec![rules::forgeries(sender, code)], families: vec![] };
        alerts::observe(tx, &seen)?;
    }
    Ok(count)
}

/// Of this minute and the one before.
pub(super) fn forgeries(tx: &Tx<'_>) -> Result<Vec<(String, String)>> {
    let sql = "select sender, code from refusal where ns = ?1 and minute >= ?2 and count >= ?3";
    let since = tx.now / rules::MINUTE - 1;
    tx.rows(sql, params![tx.ns, since, rules::MANY_REFUSALS as i64], |row| Ok((row.get(0)?, row.get(1)?)))
}

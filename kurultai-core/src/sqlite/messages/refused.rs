//! What was refused at the door, one row a claimed sender, a reason and a minute.

use crate::{
    error::Result,
    messages::{contract::Refusal, rules},
    sqlite::{events, tx::Tx},
};
use rusqlite::params;

pub(super) fn refused(tx: &Tx<'_>, Refusal { sender, code, hash }: &Refusal) -> Result<u64> {
    let sql = "insert into refusal(ns, minute, sender, code, count, first) values(?1, ?2, ?3, ?4, 1, ?5)
        on conflict do update set count = count + 1 returning count";
    let count: Option<i64> =
        tx.one(sql, params![tx.ns, tx.now / rules::MINUTE, sender, code, hash], |row| row.get(0))?;
    let count = count.unwrap_or_default().unsigned_abs();
    if count == rules::MANY_REFUSALS {
        events::append_one(tx, "alert.raised", None, None, Some(rules::forgeries(sender, code)))?;
    }
    Ok(count)
}

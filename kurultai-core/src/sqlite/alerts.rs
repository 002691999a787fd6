//! What burns: rows that one transaction reads, decides and writes.

use super::{
    events,
    tx::{Tx, list, word},
};
use crate::{
    error::Result,
    events::alerts::{Alert, Decision, Observations, Row, decide},
};
use rusqlite::params;

pub(super) fn rows(tx: &Tx<'_>) -> Result<Vec<Row>> {
    let sql =
        "select key, severity, text, raised_at, told_at, cleared_at from alert where ns = ?1 order by key";
    tx.rows(sql, [tx.ns], |row| {
        Ok(Row {
            key: row.get(0)?,
            severity: word(row, 1)?,
            text: row.get(2)?,
            raised_at: row.get(3)?,
            told_at: row.get(4)?,
            cleared_at: row.get(5)?,
        })
    })
}

/// Returns what was told.
pub(super) fn observe(tx: &Tx<'_>, seen: &Observations) -> Result<Vec<Alert>> {
    let Decision { told, forgotten } = decide(&rows(tx)?, seen, tx.now);
    for row in &told {
        let sql = "insert into alert(ns, key, severity, text, raised_at, told_at, cleared_at)
            values(?1, ?2, ?3, ?4, ?5, ?6, ?7)
            on conflict do update set severity = excluded.severity, text = excluded.text,
              raised_at = excluded.raised_at, told_at = excluded.told_at, cleared_at = excluded.cleared_at";
        let Row { key, severity, text, raised_at, told_at, cleared_at } = row;
        tx.run(sql, params![tx.ns, key, severity.as_str(), text, raised_at, told_at, cleared_at])?;
        events::append_one(tx, row.topic(), None, None, Some(row.told()))?;
    }
    if !forgotten.is_empty() {
        let sql = "delete from alert where ns = ?1 and key in (select value from rarray(?2))";
        tx.run(sql, params![tx.ns, list(forgotten)])?;
    }
    Ok(told.iter().map(Row::alert).collect())
}

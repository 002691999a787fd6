use crate::{
    error::Result,
    sqlite::{namespaces::is_there, tx::Tx},
};
use rusqlite::params;

/// Paused types; an empty one is the whole namespace.
pub(super) fn paused(tx: &Tx<'_>) -> Result<Vec<String>> {
    tx.rows("select type from pause where ns = ?1 order by type", [tx.ns], |row| row.get(0))
}

pub(super) fn pause(tx: &Tx<'_>, task_type: &str, paused: bool) -> Result<()> {
    is_there(tx)?;
    let sql = if paused {
        "insert or ignore into pause(ns, type) values(?1, ?2)"
    } else {
        "delete from pause where ns = ?1 and type = ?2"
    };
    tx.run(sql, params![tx.ns, task_type]).map(drop)
}

//! What an agent holds when it is gone.

use crate::{error::Result, sqlite::tx::Tx, tasks::rules::NOW};
use rusqlite::params;

/// Ends the leases of an agent: its tasks are due. Returns whether there were any.
pub(super) fn end_leases(tx: &Tx<'_>, agent: &str) -> Result<bool> {
    let sql = "update or fail task set due_at = ?4, revision = revision + 1, updated_at = ?2
        where ns = ?1 and due_at is not null and due_at > ?2 and status = 'in_progress' and claimed_by = ?3";
    Ok(tx.run(sql, params![tx.ns, tx.now, agent, NOW])? > 0)
}

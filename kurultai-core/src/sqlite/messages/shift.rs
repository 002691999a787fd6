//! The machine's clock has jumped.

use crate::{clock::Micros, error::Result, sqlite::tx::Tx};

/// What was delivered stays with whoever has it for as long as it was given. A token's own times are its sender's word.
pub(in crate::sqlite) fn shift(tx: &Tx<'_>, by: Micros) -> Result<()> {
    let sql = "update message set visible_at = visible_at + ?1 where visible_at is not null";
    tx.run(sql, [by]).map(drop)
}

//! The machine's clock jumps when it is set and when the machine has slept. No time has passed then for the agents of a
//! file, which all live on that machine: the spans that run go on where they were. On Linux alone: elsewhere no count stands while the
//! machine sleeps and is the same for all processes.

use super::tx::Tx;
use crate::{clock::Micros, error::Result};
use rusqlite::params;

/// Less than that is left as it is: clocks are corrected by fractions of a second all the time, and a lease of 30 s is
/// renewed long before its last five.
const LEAST: Micros = 5_000_000;

/// How a room moves what has a span.
pub(super) type Shift = fn(&Tx<'_>, Micros) -> Result<()>;

/// How far the clock was ahead when it was last compared with what the file says.
#[derive(Default)]
struct Known(Option<Micros>);

/// Moves what has a span by as much as the clock has jumped since somebody last looked. The first transaction after the
/// jump does it, whichever process it is of; it changes revisions, so what was decided from older facts is not done.
pub(super) fn settle(tx: &Tx<'_>, epoch: &str, ahead: Micros, rooms: &[Shift]) -> Result<()> {
    let known = tx.remember(|known: &mut Known| known.0).flatten();
    if known.is_some_and(|known| (ahead - known).abs() < LEAST) {
        return Ok(());
    }
    let sql = "select ahead from clock where epoch = ?1";
    let by = tx.one(sql, [epoch], |row| row.get::<_, Micros>(0))?.map(|before| ahead - before);
    let jumped = by.filter(|by| by.abs() >= LEAST);
    if let Some(by) = jumped {
        rooms.iter().try_for_each(|shift| shift(tx, by))?;
        tracing::warn!(
            seconds = by / 1_000_000,
            "the machine's clock has jumped, or it slept: leases, spans to wait and heartbeats moved by as much"
        );
    }
    if by.is_none() || jumped.is_some() {
        let sql = "insert into clock(one, epoch, ahead) values(1, ?1, ?2)
            on conflict do update set epoch = excluded.epoch, ahead = excluded.ahead";
        tx.run(sql, params![epoch, ahead])?;
    }
    tx.remember(|known: &mut Known| known.0 = Some(ahead));
    Ok(())
}

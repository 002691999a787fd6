//! The time-outs of tasks that can be claimed, kept by the range and not by the task.

use super::Tx;
use crate::{clock::Micros, error::Result};
use rusqlite::params;

/// A range grows for as long as that, in microseconds, and to so many tasks.
const SPAN: Micros = 1_000_000;
const MOST: i64 = 1_000;
/// How many ranges one transaction looks through.
const RANGES: i64 = 64;

/// Tasks by their numbers, and the first `expires_at` among them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Range {
    at: Micros,
    first: i64,
    last: i64,
}

impl Range {
    /// With one more task, whose number is higher than the others'.
    pub(super) fn with(before: Option<Self>, at: Micros, n: i64) -> Self {
        before.map_or(Range { at, first: n, last: n }, |range| Range {
            at: range.at.min(at),
            last: n,
            ..range
        })
    }

    /// Adds it to the last range or makes it the next one.
    pub(super) fn write(self, tx: &Tx<'_>) -> Result<()> {
        let before = tx.memory.and_then(|memory| memory.borrow().expiring);
        let grown = match before.filter(|before| self.continues(*before)) {
            Some(before) => {
                let sql =
                    "update expiry set last = ?5 where ns = ?1 and at = ?2 and first = ?3 and last = ?4";
                let grown = Range { last: self.last, ..before };
                (tx.run(sql, params![tx.ns, before.at, before.first, before.last, self.last])? > 0)
                    .then_some(grown)
            }
            None => None,
        };
        if grown.is_none() {
            let sql = "insert into expiry(ns, at, first, last) values(?1, ?2, ?3, ?4)";
            tx.run(sql, params![tx.ns, self.at, self.first, self.last])?;
        }
        if let Some(memory) = tx.memory {
            memory.borrow_mut().expiring = Some(grown.unwrap_or(self));
        }
        Ok(())
    }

    fn continues(self, before: Self) -> bool {
        self.first == before.last + 1
            && (before.at..before.at + SPAN).contains(&self.at)
            && self.last - before.first < MOST
    }
}

/// When the first time-out of a range comes.
pub(super) fn next(tx: &Tx<'_>) -> Result<Option<Micros>> {
    tx.one("select at from expiry where ns = ?1 order by at limit 1", [tx.ns], |row| row.get(0))
}

/// Gives every task that still waits in a range whose time has come a `due_at` of its own. Returns how many those were.
pub(super) fn spread(tx: &Tx<'_>) -> Result<usize> {
    let come = "select first, last from expiry where ns = ?1 and at <= ?2 order by at limit ?3";
    let ranges = tx.rows(come, params![tx.ns, tx.now, RANGES], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let mut spread = 0;
    for (first, last) in ranges {
        let (first, last): (i64, i64) = (first, last);
        let sql = "update task set due_at = expires_at where n between ?2 and ?3 and ns = ?1
              and claim_key is not null and due_at is null";
        spread += tx.run(sql, [tx.ns, first, last])?;
        tx.run("delete from expiry where ns = ?1 and at <= ?2 and first = ?3", [tx.ns, tx.now, first])?;
    }
    Ok(spread)
}

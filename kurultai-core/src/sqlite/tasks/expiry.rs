//! The time-outs of tasks that can be claimed, kept by the range and not by the task.

use crate::{clock::Micros, error::Result, sqlite::tx::Tx};
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

/// The last range, which may grow.
#[derive(Default)]
struct Last(Option<Range>);

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
        let before = tx.remember(|last: &mut Last| last.0).flatten();
        let range = match before.filter(|before| before.goes_on_with(self)) {
            Some(before) if before.grow(tx, self.last)? => Range { last: self.last, ..before },
            _ => {
                let sql = "insert into expiry(ns, at, first, last) values(?1, ?2, ?3, ?4)";
                tx.run(sql, [tx.ns, self.at, self.first, self.last])?;
                self
            }
        };
        tx.remember(|last: &mut Last| last.0 = Some(range));
        Ok(())
    }

    fn goes_on_with(self, next: Self) -> bool {
        next.first == self.last + 1
            && (self.at..self.at + SPAN).contains(&next.at)
            && next.last - self.first < MOST
    }

    /// False where it is gone, because its time has come.
    fn grow(self, tx: &Tx<'_>, last: i64) -> Result<bool> {
        let sql = "update expiry set last = ?5 where ns = ?1 and at = ?2 and first = ?3 and last = ?4";
        Ok(tx.run(sql, [tx.ns, self.at, self.first, self.last, last])? > 0)
    }
}

/// When the first time-out of a range comes.
pub(super) fn next(tx: &Tx<'_>) -> Result<Option<Micros>> {
    tx.one("select at from expiry where ns = ?1 order by at limit 1", [tx.ns], |row| row.get(0))
}

/// Gives the tasks that still wait in ranges whose time has come a `due_at` of their own: as many ranges as one short
/// transaction can take.
pub(super) fn promote(tx: &Tx<'_>) -> Result<()> {
    let sql = "select at, first, last from expiry where ns = ?1 and at <= ?2 order by at limit ?3";
    let come = tx.rows(sql, params![tx.ns, tx.now, RANGES], |row| {
        Ok(Range { at: row.get(0)?, first: row.get(1)?, last: row.get(2)? })
    })?;
    let mut waiting = 0;
    for Range { at, first, last } in come {
        let sql = "update task set due_at = expires_at where n between ?2 and ?3 and ns = ?1
              and claim_key is not null and due_at is null";
        waiting += tx.run(sql, [tx.ns, first, last])?;
        tx.run("delete from expiry where ns = ?1 and at = ?2 and first = ?3", [tx.ns, at, first])?;
        if waiting >= MOST as usize {
            break;
        }
    }
    Ok(())
}

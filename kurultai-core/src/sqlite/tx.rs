//! One transaction, and what statements are sent with.

use super::failure::failed;
use crate::{
    clock::Micros,
    error::{Error, Result},
    extensions::Extensions,
    json::Json,
    store::Statements,
};
use rusqlite::{CachedStatement, Connection, Params, Row, Statement, StatementStatus, types::Value};
use std::{
    cell::RefCell,
    rc::Rc,
    sync::atomic::{AtomicU64, Ordering},
};

/// What the store has done so far.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) statements: Statements,
    /// Rows that were read without an index, and sorts.
    pub(super) scans: AtomicU64,
}

/// One transaction as one of its jobs sees it: where its statements go.
pub(crate) struct Tx<'a> {
    pub(super) connection: &'a Connection,
    pub(super) ns: i64,
    pub(super) now: Micros,
    /// Only a writer has it.
    pub(super) memory: Option<&'a RefCell<Extensions>>,
    counts: &'a Counts,
}

impl<'a> Tx<'a> {
    pub(super) fn new(
        connection: &'a Connection,
        ns: i64,
        now: Micros,
        counts: &'a Counts,
        memory: Option<&'a RefCell<Extensions>>,
    ) -> Self {
        Tx { connection, ns, now, memory, counts }
    }

    pub(super) fn count(&self, statement: &Statement<'_>) {
        self.counts.statements.count();
        if cfg!(debug_assertions) {
            let of = |status| u64::from(statement.reset_status(status).unsigned_abs());
            let scans = of(StatementStatus::FullscanStep) + of(StatementStatus::Sort);
            self.counts.scans.fetch_add(scans, Ordering::Relaxed);
        }
    }
}

/// A list as one parameter: `rarray(?1)`.
pub(super) type List = Rc<Vec<Value>>;

pub(super) fn list<T: Into<Value>>(values: impl IntoIterator<Item = T>) -> List {
    Rc::new(values.into_iter().map(Into::into).collect())
}

impl Tx<'_> {
    /// What a room remembers of this connection's transactions; forgotten when one is undone. Nothing where it only reads.
    pub(super) fn remember<T: Default + Send + 'static, A>(
        &self,
        with: impl FnOnce(&mut T) -> A,
    ) -> Option<A> {
        self.memory.map(|memory| with(memory.borrow_mut().of()))
    }

    /// A statement that changes many rows says `or fail`: one that may abort copies each page first, and a job that fails is
    /// undone whole anyway.
    pub(super) fn run(&self, sql: &str, params: impl Params) -> Result<usize> {
        let mut statement = self.connection.prepare_cached(sql).map_err(failed)?;
        let changed = statement.execute(params).map_err(failed)?;
        self.count(&statement);
        Ok(changed)
    }

    /// A statement to be run for many rows.
    pub(super) fn each(&self, sql: &str) -> Result<Each<'_>> {
        let statement = self.connection.prepare_cached(sql).map_err(failed)?;
        Ok(Each { tx: self, statement })
    }

    pub(super) fn rows<T>(
        &self,
        sql: &str,
        params: impl Params,
        row: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>> {
        self.rows_until(sql, params, row, |_| false)
    }

    /// Reads no further than to the first row that is the last one wanted.
    pub(super) fn rows_until<T>(
        &self,
        sql: &str,
        params: impl Params,
        row: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
        mut is_last: impl FnMut(&T) -> bool,
    ) -> Result<Vec<T>> {
        let mut statement = self.connection.prepare_cached(sql).map_err(failed)?;
        let mut rows = Vec::new();
        for row in statement.query_map(params, row).map_err(failed)? {
            rows.push(row.map_err(failed)?);
            if rows.last().is_some_and(&mut is_last) {
                break;
            }
        }
        self.count(&statement);
        Ok(rows)
    }

    pub(super) fn one<T>(
        &self,
        sql: &str,
        params: impl Params,
        row: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Option<T>> {
        Ok(self.rows(sql, params, row)?.pop())
    }
}

pub(super) struct Each<'a> {
    tx: &'a Tx<'a>,
    statement: CachedStatement<'a>,
}

impl Each<'_> {
    pub(super) fn run(&mut self, params: impl Params) -> Result<usize> {
        let changed = self.statement.execute(params).map_err(failed)?;
        self.tx.count(&self.statement);
        Ok(changed)
    }
}

/// JSON as it was stored.
pub(super) fn json(row: &Row<'_>, column: usize) -> rusqlite::Result<Json> {
    Ok(Json::stored(row.get_ref(column)?.as_str()?))
}

/// A word of a closed set as the database holds it.
pub(super) fn word<T: std::str::FromStr<Err = Error>>(row: &Row<'_>, column: usize) -> rusqlite::Result<T> {
    row.get_ref(column)?.as_str()?.parse().map_err(|e: Error| {
        rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, Box::new(e))
    })
}

pub(super) fn names(row: &Row<'_>, column: usize) -> rusqlite::Result<Vec<String>> {
    let text: String = row.get(column)?;
    Ok(serde_json::from_str(&text).unwrap_or_default())
}

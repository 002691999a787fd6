//! One file: a thread that writes, connections that read. The files beside this one hold statements.

pub(crate) mod agents;
mod checkpoint;
mod connect;
pub(crate) mod events;
mod tasks;
mod writer;

use crate::{
    clock::Clock,
    config::{Config, Location},
    error::{Error, Kind, Result},
    json::Json,
    store::Store,
};
use async_trait::async_trait;
use rusqlite::{CachedStatement, Connection, ErrorCode, Params, Row, types::Value};
use std::{
    rc::Rc,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};
pub(super) use writer::Tx;
use writer::Writer;

#[derive(Debug)]
pub(crate) struct SqliteStore {
    ns: i64,
    clock: Clock,
    writer: Writer,
    readers: Arc<Readers>,
    counts: Arc<Counts>,
}

/// What the store has done so far.
#[derive(Debug, Default)]
struct Counts {
    statements: AtomicU64,
    /// Rows that were read without an index, and sorts.
    scans: AtomicU64,
}

/// Connections for reads; none where the database is in memory and only its writer sees it.
#[derive(Debug)]
struct Readers {
    location: Location,
    closed: AtomicBool,
    free: Mutex<Vec<Connection>>,
    /// Sees by its `data_version` that somebody wrote.
    watcher: Option<Mutex<Connection>>,
}

impl SqliteStore {
    pub(crate) async fn open(config: &Config) -> Result<Self> {
        let opened = config.clone();
        let connect::Opened { writer, watcher, checkpoints, ns } =
            blocking(move || connect::open(&opened)).await?;
        let counts = Arc::new(Counts::default());
        let (clock, location) = (config.clock.clone(), config.location.clone());
        let patience = config.call_timeout;
        let writer = Writer::start(writer, checkpoints, ns, clock.clone(), counts.clone(), patience)?;
        let readers = Readers {
            location,
            closed: AtomicBool::new(false),
            free: Mutex::default(),
            watcher: watcher.map(Mutex::new),
        };
        Ok(SqliteStore { ns, clock, writer, readers: Arc::new(readers), counts })
    }

    /// Runs a job in the writer's next transaction and answers after the commit.
    async fn write<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Tx<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.writer.write(job).await
    }

    /// Runs a job that only reads, beside the writer.
    async fn query<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Tx<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        if self.readers.watcher.is_none() {
            return self.write(job).await;
        }
        let (readers, ns, counts) = (self.readers.clone(), self.ns, self.counts.clone());
        let now = self.clock.now();
        blocking(move || {
            if readers.closed.load(Ordering::SeqCst) {
                return Err(Error::closed());
            }
            let free = readers.free.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let connection = free.map_or_else(|| connect::reader(&readers.location), Ok)?;
            connection.execute_batch("begin").map_err(failed)?;
            let answer = job(&Tx::new(&connection, ns, now, &counts, None));
            connection.execute_batch("rollback").map_err(failed)?;
            readers.free.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
            answer
        })
        .await
    }
}

async fn blocking<T: Send + 'static>(job: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    let done = tokio::task::spawn_blocking(job).await;
    done.unwrap_or_else(|error| Err(Error::internal("a read broke off").caused_by(error)))
}

#[async_trait]
impl Store for SqliteStore {
    fn name(&self) -> &'static str {
        "sqlite"
    }

    fn batch_limit(&self) -> usize {
        1024
    }

    fn poll(&self) -> Option<(Duration, Duration)> {
        self.readers.watcher.as_ref().map(|_| (Duration::from_millis(1), Duration::from_millis(5)))
    }

    async fn changed(&self) -> Result<i64> {
        let Some(watcher) = &self.readers.watcher else { return Ok(0) };
        let watcher = watcher.lock().unwrap_or_else(PoisonError::into_inner);
        watcher.pragma_query_value(None, "data_version", |row| row.get(0)).map_err(failed)
    }

    fn statements(&self) -> u64 {
        self.counts.statements.load(Ordering::Relaxed)
    }

    fn scans(&self) -> u64 {
        self.counts.scans.load(Ordering::Relaxed)
    }

    async fn close(&self) {
        self.readers.closed.store(true, Ordering::SeqCst);
        self.readers.free.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.writer.close().await;
    }
}

/// A list as one parameter: `rarray(?1)`.
pub(super) type List = Rc<Vec<Value>>;

pub(super) fn list<T: Into<Value>>(values: impl IntoIterator<Item = T>) -> List {
    Rc::new(values.into_iter().map(Into::into).collect())
}

impl Tx<'_> {
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

pub(super) fn failed(error: rusqlite::Error) -> Error {
    let text = error.to_string();
    let storage = |code, hint: &str| Error::new(Kind::Storage, code, format!("{hint}: {text}"));
    let mapped = match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            Error::unavailable("another process has written to the file for too long")
        }
        Some(ErrorCode::DiskFull) => storage("store.full", "the disk is full; free space and repeat"),
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => {
            storage("store.read_only", "the file cannot be written; check its rights and its folder's")
        }
        Some(ErrorCode::CannotOpen) => {
            storage("store.read_only", "the file cannot be opened; check the path and its rights")
        }
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            storage("store.corrupt", "the file is no intact SQLite database; restore a copy")
        }
        _ => Error::internal(format!("SQLite failed: {text}")),
    };
    mapped.caused_by(error)
}

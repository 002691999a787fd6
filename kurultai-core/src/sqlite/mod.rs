//! One file: a thread that writes, connections that read. The files beside this one hold statements.

pub(crate) mod agents;
mod checkpoint;
mod connect;
pub(crate) mod events;
mod failure;
mod files;
mod guard;
mod job;
mod jump;
mod readers;
mod schema;
mod share;
mod tasks;
mod watch;
mod writer;

use crate::{
    clock::Clock,
    config::{Config, Location},
    error::{Error, Result},
    json::Json,
    news::Wanted,
    store::{Pulse, Store},
};
use async_trait::async_trait;
use failure::failed;
use readers::{Reader, Readers};
use rusqlite::{CachedStatement, Params, Row, types::Value};
use std::{
    rc::Rc,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tasks::Routes;
use tokio::runtime::Handle;
use watch::FileWatch;
pub(super) use writer::Tx;
use writer::Writer;

#[derive(Debug)]
pub(crate) struct SqliteStore {
    clock: Clock,
    writer: Arc<Writer>,
    /// None where the database is in memory and only its writer sees it.
    readers: Option<Arc<Readers>>,
    counts: Arc<Counts>,
    call_timeout: Duration,
    /// Of a file, which other processes may write to.
    watch: Option<FileWatch>,
    /// What `pulse` knows of the routes.
    routes: Arc<Mutex<Routes>>,
}

/// What the store has done so far.
#[derive(Debug, Default)]
struct Counts {
    statements: AtomicU64,
    /// Rows that were read without an index, and sorts.
    scans: AtomicU64,
}

impl SqliteStore {
    pub(crate) async fn open(config: &Config) -> Result<Self> {
        let (mut config, counts) = (config.clone(), Arc::new(Counts::default()));
        let readers = match &mut config.location {
            Location::Sqlite { path, .. } => {
                // The working directory may be another one later.
                *path = std::path::absolute(&path)
                    .map_err(|e| Error::config("the working directory is gone").caused_by(e))?;
                Some(Arc::new(Readers::new()))
            }
            _ => None,
        };
        let watch = match &config.location {
            Location::Sqlite { path, .. } => Some(FileWatch::of_log(path)),
            _ => None,
        };
        let (clock, call_timeout) = (config.clock.clone(), config.call_timeout);
        let (theirs, counted) = (readers.clone(), counts.clone());
        let writer = Arc::new(blocking(move || Writer::start(config, theirs, counted)).await?);
        Ok(SqliteStore { clock, writer, readers, counts, call_timeout, watch, routes: Arc::default() })
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
        let Some(readers) = self.readers.clone() else { return self.write(job).await };
        let (writer, counts, now) = (self.writer.clone(), self.counts.clone(), self.clock.now());
        let read = async move {
            let turn = readers.turn().await?;
            let runtime = Handle::current();
            blocking(move || {
                let _turn = turn;
                let reader = ours(&readers, || runtime.block_on(writer.write(|_| Ok(()))))?;
                reader.run(|connection| job(&Tx::new(connection, reader.ns, now, &counts, None)))
            })
            .await
        };
        let waited = self.call_timeout;
        tokio::time::timeout(waited, read)
            .await
            .unwrap_or_else(|_| Err(Error::unavailable(format!("the file could not be read for {waited:?}"))))
    }

    fn data_version(&self) -> Result<i64> {
        let Some(readers) = &self.readers else { return Ok(0) };
        readers.version()?.ok_or_else(|| {
            self.writer.look();
            Error::unavailable("the files are opened anew")
        })
    }
}

/// A connection to the files that are there. Opening them anew is the writer's business.
fn ours(readers: &Readers, reopen: impl Fn() -> Result<()>) -> Result<Reader<'_>> {
    for _ in 0..3 {
        if let Some(reader) = readers.take()? {
            return Ok(reader);
        }
        reopen()?;
    }
    Err(Error::unavailable("the files are replaced again and again"))
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

    async fn version(&self) -> Result<i64> {
        self.data_version()
    }

    async fn changed(&self, version: i64, quiet: Duration) {
        self.until_changed(version, quiet).await;
    }

    async fn pulse(&self, wanted: &[Wanted]) -> Result<Pulse> {
        let (wanted, routes) = (wanted.to_vec(), self.routes.clone());
        self.query(move |tx| {
            tasks::pulse(tx, &wanted, &mut routes.lock().unwrap_or_else(PoisonError::into_inner))
        })
        .await
    }

    fn statements(&self) -> u64 {
        self.counts.statements.load(Ordering::Relaxed)
    }

    fn scans(&self) -> u64 {
        self.counts.scans.load(Ordering::Relaxed)
    }

    async fn close(&self) {
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

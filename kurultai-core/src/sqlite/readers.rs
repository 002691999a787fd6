//! Connections for reads: a few, which callers share.

use super::{connection, failure::failed, files::Files};
use crate::error::{Error, Result};
use rusqlite::Connection;
use std::{
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How many reads run at once. More would not be faster on most machines, and each holds files and a cache.
const MOST: usize = 8;

#[derive(Debug)]
pub(super) struct Readers {
    slots: Arc<Semaphore>,
    state: Mutex<State>,
    back: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// None while the writer opens the files anew, and after the end.
    open: Option<Open>,
    /// How often the files were opened.
    generation: i64,
    running: usize,
    closed: bool,
}

#[derive(Debug)]
struct Open {
    files: Arc<Files>,
    ns: i64,
    idle: Vec<Connection>,
    /// Sees by its `data_version` that somebody wrote.
    watcher: Connection,
}

/// A connection for one read. It goes back when this is dropped.
pub(super) struct Reader<'a> {
    readers: &'a Readers,
    connection: Option<Connection>,
    pub(super) ns: i64,
    generation: i64,
}

impl Readers {
    pub(super) fn new() -> Self {
        Readers { slots: Arc::new(Semaphore::new(MOST)), state: Mutex::default(), back: Condvar::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for its turn to read.
    pub(super) async fn turn(&self) -> Result<OwnedSemaphorePermit> {
        self.slots.clone().acquire_owned().await.map_err(|_| Error::closed())
    }

    /// A connection for whoever's turn it is; `None` where the files are not those that were opened.
    pub(super) fn take(&self) -> Result<Option<Reader<'_>>> {
        let mut state = self.state();
        if state.closed {
            return Err(Error::closed());
        }
        let generation = state.generation;
        let Some(open) = &mut state.open else { return Ok(None) };
        if !open.files.are_ours() {
            return Ok(None);
        }
        let ns = open.ns;
        let connection = match open.idle.pop() {
            Some(connection) => connection,
            None => connection::reader(&open.files.database)?,
        };
        state.running += 1;
        Ok(Some(Reader { readers: self, connection: Some(connection), ns, generation }))
    }

    /// From now on reads go to these files.
    pub(super) fn open(&self, files: Arc<Files>, ns: i64) -> Result<()> {
        let watcher = connection::reader(&files.database)?;
        let mut state = self.state();
        state.generation += 1;
        state.open = Some(Open { files, ns, idle: vec![], watcher });
        Ok(())
    }

    /// Lets go of the files, once the running reads are over. False where they take longer than `most`.
    pub(super) fn pause(&self, most: Duration) -> bool {
        let mut state = self.state();
        state.open = None;
        let over = |state: &mut State| state.running > 0;
        let (_state, waited) =
            self.back.wait_timeout_while(state, most, over).unwrap_or_else(PoisonError::into_inner);
        !waited.timed_out()
    }

    /// Lets go of the files for good, once the running reads are over.
    pub(super) fn close(&self) {
        self.slots.close();
        let mut state = self.state();
        state.closed = true;
        state.open = None;
        drop(self.back.wait_while(state, |state| state.running > 0).unwrap_or_else(PoisonError::into_inner));
    }

    /// A number that changes when anybody wrote; `None` where the files are not ours any more.
    pub(super) fn version(&self) -> Result<Option<i64>> {
        let state = self.state();
        let Some(open) = &state.open else { return Ok(None) };
        if !open.files.are_ours() {
            return Ok(None);
        }
        let version: i64 =
            open.watcher.pragma_query_value(None, "data_version", |row| row.get(0)).map_err(failed)?;
        Ok(Some((state.generation << 40) + version))
    }
}

impl Reader<'_> {
    /// Runs a read in a transaction, so that all its statements see one moment.
    pub(super) fn run<T>(&self, read: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        let connection = self.connection.as_ref().ok_or_else(Error::closed)?;
        connection.execute_batch("begin").map_err(failed)?;
        let answer = read(connection);
        connection.execute_batch("rollback").map_err(failed)?;
        answer
    }
}

impl Drop for Reader<'_> {
    fn drop(&mut self) {
        let mut state = self.readers.state();
        let current = state.generation == self.generation;
        let connection = self.connection.take().filter(|connection| current && connection.is_autocommit());
        if let (Some(open), Some(connection)) = (&mut state.open, connection) {
            open.idle.push(connection);
        }
        state.running -= 1;
        self.readers.back.notify_all();
    }
}

//! Opening a file: settings, locks, and what a store holds while it has the file open.

use super::{
    checkpoint::{self, Checkpoints},
    connection::{leave_log, patiently, prepared},
    failure::failed,
    files::Files,
    guard::{Guard, Opening},
    job::Job,
    schema,
    share::{self, Share},
};
use crate::{
    clock::monotonic,
    config::{Config, Durability, Location},
    error::Result,
    extensions::Extensions,
};
use rusqlite::{Connection, OpenFlags};
use std::{
    cell::RefCell,
    sync::{Arc, Weak, mpsc},
    time::{Duration, Instant},
};

/// A writer's connection and what goes with it.
pub(super) struct Session {
    pub(super) connection: Connection,
    pub(super) ns: i64,
    pub(super) memory: RefCell<Extensions>,
    /// Of the clock, where jumps of it can be seen.
    pub(super) epoch: Option<String>,
    /// None in memory.
    pub(super) file: Option<FileSession>,
}

pub(super) struct FileSession {
    pub(super) files: Arc<Files>,
    pub(super) guard: Arc<Guard>,
    pub(super) checkpoints: Checkpoints,
    share: Share,
}

/// Opens the team's database. Only `create` makes a file that is not there.
pub(super) fn open(config: &Config, create: bool, jobs: &Weak<mpsc::Sender<Job>>) -> Result<Session> {
    let deadline = monotonic() + config.call_timeout;
    let Location::Sqlite { path, durability } = &config.location else {
        let connection = prepared(Connection::open_in_memory().map_err(failed)?)?;
        set_up(&connection, config, "normal", deadline)?;
        return Session::new(connection, config, deadline, None);
    };
    let opening = Opening::begin(path);
    if !create {
        Files::of(path)?;
    }
    share::settle(path, deadline)?;
    let mut flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    flags.set(OpenFlags::SQLITE_OPEN_CREATE, create);
    let mut connection = prepared(Connection::open_with_flags(path, flags).map_err(failed)?)?;
    let synchronous = if *durability == Durability::Full { "full" } else { "normal" };
    set_up(&connection, config, synchronous, deadline)?;
    // SQLite lays the log beside the file itself, not beside a link to it.
    let path = std::fs::canonicalize(path).unwrap_or_else(|_| path.clone());
    let guard = Arc::new(opening.guard(&path));
    let files = Arc::new(Files::of(&path)?);
    let checkpoints = Checkpoints::start(&mut connection, &files, &guard, *durability)?;
    let share = Share::of(&files, jobs.clone());
    // Waiting is the writer's own business: SQLite's handler sleeps for up to 100 ms at a time.
    connection.busy_timeout(Duration::ZERO).map_err(failed)?;
    Session::new(connection, config, deadline, Some(FileSession { files, guard, checkpoints, share }))
}

fn set_up(connection: &Connection, config: &Config, synchronous: &str, deadline: Instant) -> Result<()> {
    // 8 MiB: a commit scans the whole page cache, so a larger one costs more than it saves. Temporary things stay in
    // memory: a job that may be undone alone copies what it changes, beyond 64 KiB into a file.
    let settings = format!(
        "pragma journal_mode=wal; pragma synchronous={synchronous}; pragma cache_size=-8192;
         pragma temp_store=memory; pragma wal_autocheckpoint=0; pragma journal_size_limit={};",
        checkpoint::LARGEST
    );
    patiently(deadline, || connection.execute_batch(&settings))?;
    schema::migrate(connection, config.migrate, deadline)
}

impl Session {
    fn new(
        connection: Connection,
        config: &Config,
        deadline: Instant,
        file: Option<FileSession>,
    ) -> Result<Self> {
        let name = &config.namespace;
        patiently(deadline, || connection.execute("insert or ignore into namespace(id) values(?1)", [name]))?;
        let ns = connection
            .query_row("select n from namespace where id = ?1", [name], |row| row.get(0))
            .map_err(failed)?;
        Ok(Session { connection, ns, memory: RefCell::default(), epoch: config.clock.epoch(), file })
    }

    /// The last one to close a file moves its log into the database and removes it; never into a database that is
    /// another one by now.
    pub(super) fn close(self) {
        let Session { connection, file, .. } = self;
        let Some(FileSession { files, guard, checkpoints, share }) = file else { return };
        checkpoints.end();
        if !files.are_ours() {
            leave_log(&connection);
        }
        if let Some(guard) = Arc::into_inner(guard) {
            guard.release(|| drop(connection));
        }
        drop(share);
    }
}

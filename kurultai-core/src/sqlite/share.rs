//! The stores of this process that have one database open. Within a process SQLite shares the index of a log among all
//! connections of a database, so a log that was removed has to be let go by every store before one opens its successor.

use super::{
    files::{Files, Id, beside},
    job::Job,
};
use crate::{
    clock::{self, monotonic},
    error::{Error, Result},
};
use std::{
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError, Weak, mpsc},
    time::{Duration, Instant},
};

struct Sharer {
    key: u64,
    database: Id,
    log: Option<Id>,
    jobs: Weak<mpsc::Sender<Job>>,
}

static SHARERS: Mutex<Vec<Sharer>> = Mutex::new(Vec::new());

fn sharers() -> MutexGuard<'static, Vec<Sharer>> {
    SHARERS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One store's place among them, for as long as it has the files open.
#[derive(Debug)]
pub(super) struct Share(u64);

impl Share {
    pub(super) fn of(files: &Files, jobs: Weak<mpsc::Sender<Job>>) -> Self {
        let key = fastrand::u64(..);
        sharers().push(Sharer { key, database: files.database_id, log: files.log_id, jobs });
        Share(key)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        sharers().retain(|sharer| sharer.key != self.0);
    }
}

/// Before the database at this path is opened: waits until nobody has it open with another log than the one that is
/// there now.
pub(super) fn settle(database: &Path, deadline: Instant) -> Result<()> {
    let log = beside(database, "-wal");
    let mut told = Vec::new();
    loop {
        let (database, log) = (Id::at(database), Id::at(&log));
        let stale = |sharer: &&Sharer| Some(sharer.database) == database && sharer.log != log;
        let mut left = false;
        for sharer in sharers().iter().filter(stale) {
            left = true;
            if !told.contains(&sharer.key) {
                told.push(sharer.key);
                // Whoever gets a job looks at its files first.
                if let Some(jobs) = sharer.jobs.upgrade() {
                    drop(jobs.send(Job::nothing()));
                }
            }
        }
        if !left {
            return Ok(());
        }
        if monotonic() >= deadline {
            return Err(Error::unavailable(
                "another store of this process has not let go of a removed log yet",
            ));
        }
        clock::block(Duration::from_millis(1));
    }
}

//! The one thread that writes: whatever has queued up shares one transaction, and everybody is answered after
//! its commit.

use super::{
    failure::{self, failed, is_busy},
    files::Look,
    job::{Answer, Job},
    readers::Readers,
    session::{self, Session},
    tx::{Counts, Tx},
};
use crate::{
    clock::{self, Micros, monotonic},
    config::Config,
    error::{Error, Result},
};
use rusqlite::{Connection, wal::CheckpointMode};
use std::{
    cell::RefCell,
    fmt,
    sync::{Arc, Mutex, PoisonError, Weak, mpsc},
    thread::JoinHandle,
    time::{Duration, Instant},
};
use tokio::sync::oneshot;

/// How many jobs may share a transaction.
const MOST_JOBS: usize = 64;
/// How long one takes on further jobs: everybody in it waits for all of them, and a lease runs meanwhile.
const MOST_TIME: Duration = Duration::from_millis(20);
/// After a commit the files are looked at; a transaction that follows sooner trusts that.
const LATELY: Duration = Duration::from_millis(10);

/// What is done at the beginning of each transaction, told the clock's epoch and how far it is ahead.
pub(super) type Begin = fn(&Tx<'_>, &str, Micros) -> Result<()>;

pub(super) struct Writer {
    jobs: Mutex<Option<Arc<mpsc::Sender<Job>>>>,
    thread: tokio::sync::Mutex<Option<JoinHandle<()>>>,
    call_timeout: Duration,
}

impl Writer {
    /// Opens the files and begins. Blocks.
    pub(super) fn start(
        config: Config,
        readers: Option<Arc<Readers>>,
        counts: Arc<Counts>,
        begin: Begin,
    ) -> Result<Self> {
        let (jobs, queue) = mpsc::channel();
        let (jobs, call_timeout) = (Arc::new(jobs), config.call_timeout);
        let own = Arc::downgrade(&jobs);
        let mut thread = Thread { config, own, queue, session: None, readers, counts, begin, looked: None };
        thread.open(true)?;
        let thread = std::thread::Builder::new()
            .name("kurultai-sqlite".to_owned())
            .spawn(move || thread.run())
            .map_err(|e| Error::internal("the writer's thread could not be started").caused_by(e))?;
        let thread = tokio::sync::Mutex::new(Some(thread));
        Ok(Writer { jobs: Mutex::new(Some(jobs)), thread, call_timeout })
    }

    pub(super) async fn write<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Tx<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (reply, answer) = oneshot::channel();
        let job = Job::new(job, reply);
        let stage = job.stage();
        if !self.send(job) {
            return Err(Error::closed());
        }
        let waited = self.call_timeout;
        match tokio::time::timeout(waited, answer).await {
            Ok(answer) => answer.unwrap_or_else(|_| Err(Error::closed())),
            Err(_) if stage.withdraw() => Err(Error::unavailable(format!(
                "the file could not be written for {waited:?}: another process holds it, or this one has too much to write"
            ))),
            Err(_) => Err(failure::unknown(&format!("the transaction did not end within {waited:?}"))),
        }
    }

    /// Makes the writer look whether the files are still its own.
    pub(super) fn look(&self) {
        self.send(Job::nothing());
    }

    fn send(&self, job: Job) -> bool {
        let jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        jobs.as_ref().is_some_and(|jobs| jobs.send(job).is_ok())
    }

    /// Returns when everything is committed and every file is closed, whoever has called it first.
    pub(super) async fn close(&self) {
        drop(self.jobs.lock().unwrap_or_else(PoisonError::into_inner).take());
        let mut thread = self.thread.lock().await;
        if let Some(thread) = thread.take() {
            drop(tokio::task::spawn_blocking(move || thread.join()).await);
        }
    }
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Writer")
    }
}

struct Thread {
    config: Config,
    own: Weak<mpsc::Sender<Job>>,
    queue: mpsc::Receiver<Job>,
    /// None where the files could not be opened anew.
    session: Option<Session>,
    readers: Option<Arc<Readers>>,
    counts: Arc<Counts>,
    begin: Begin,
    /// When the files were last found to be ours.
    looked: Option<Instant>,
}

impl Thread {
    fn run(mut self) {
        while let Ok(job) = self.queue.recv() {
            if let Err(error) = self.look() {
                job.refuse(&error);
            } else if let Some(job) = self.begin(job) {
                self.transaction(job);
            }
        }
        if let Some(readers) = &self.readers {
            readers.close();
        }
        if let Some(session) = self.session.take() {
            session.close();
        }
    }

    fn open(&mut self, create: bool) -> Result<()> {
        let session = session::open(&self.config, create, &self.own)?;
        if let (Some(readers), Some(file)) = (&self.readers, &session.file)
            && let Err(error) = readers.open(file.files.clone(), session.ns)
        {
            session.close();
            return Err(error);
        }
        self.session = Some(session);
        Ok(())
    }

    /// Makes sure that what is written goes into the files that are there.
    fn look(&mut self) -> Result<()> {
        if self.looked.is_none_or(|at| at.elapsed() > LATELY) {
            let file = self.session.as_ref().map(|session| session.file.as_ref());
            match file.map(|file| file.map(|file| file.files.look())) {
                Some(None | Some(Look::Ours(_))) => {}
                Some(Some(Look::Gone(error))) => return Err(error),
                Some(Some(Look::OtherLog)) | None => self.reopen()?,
            }
            self.looked = Some(monotonic());
        }
        Ok(())
    }

    fn reopen(&mut self) -> Result<()> {
        if let Some(readers) = &self.readers
            && !readers.pause(self.config.call_timeout)
        {
            return Err(Error::unavailable("a read of files that are not there any more has not ended yet"));
        }
        if let Some(session) = self.session.take() {
            tracing::warn!(
                "another program has removed the log of the database under this one, which opens it anew"
            );
            session.close();
        }
        self.open(false)
    }

    /// Waits in short uneven steps while another process writes, so that nobody waits much longer than the rest. Returns
    /// the first job whose caller still waits when the transaction has begun.
    fn begin(&mut self, mut job: Job) -> Option<Job> {
        let mut step = Duration::from_micros(100);
        loop {
            while job.is_withdrawn() {
                job = self.queue.try_recv().ok()?;
            }
            match self.lock() {
                Ok(true) => return Some(job),
                Ok(false) => clock::block(step.mul_f64(0.5 + fastrand::f64())),
                Err(error) => {
                    job.refuse(&error);
                    return None;
                }
            }
            step = (step * 2).min(Duration::from_millis(2));
            self.looked = None;
            if let Err(error) = self.look() {
                job.refuse(&error);
                return None;
            }
        }
    }

    /// Whether the transaction has begun; otherwise another process writes.
    fn lock(&self) -> Result<bool> {
        let Some(Session { connection, file, .. }) = &self.session else { return Ok(false) };
        let guard = file.as_ref().map(|file| &file.guard);
        if guard.is_some_and(|guard| !guard.lock_writer()) {
            return Ok(false);
        }
        let begun = execute(connection, "begin immediate");
        if begun.is_err()
            && let Some(guard) = guard
        {
            guard.unlock_writer();
        }
        match begun {
            Err(error) if is_busy(&error) => Ok(false),
            begun => begun.map(|()| true).map_err(failed),
        }
    }

    fn transaction(&mut self, first: Job) {
        let Some(session) = &self.session else { return };
        let mut answers = Vec::new();
        let ended = match self.work(session, first, &mut answers) {
            // A job that failed may have left nothing to commit.
            Ok(()) if session.connection.is_autocommit() => Ok(None),
            Ok(()) => commit(session),
            Err(error) => Err(error),
        };
        let ended = ended.map_err(|error| {
            session.memory.take();
            drop(rollback(&session.connection));
            make_room(session, error)
        });
        if let Some(file) = &session.file {
            file.guard.unlock_writer();
        }
        for answer in answers {
            answer(ended.as_ref().err());
        }
        self.looked = ended.is_ok().then(monotonic);
        if let (Ok(Some(database)), Some(Session { connection, file: Some(file), .. })) =
            (ended, &mut self.session)
        {
            file.checkpoints.committed(connection, database);
        }
    }

    fn work(&self, session: &Session, first: Job, answers: &mut Vec<Answer>) -> Result<()> {
        let (begun, mut empty, mut next) = (monotonic(), true, Some(first));
        let clock = &self.config.clock;
        let tx =
            || Tx::new(&session.connection, session.ns, clock.now(), &self.counts, Some(&session.memory));
        if let Some(epoch) = &session.epoch {
            (self.begin)(&tx(), epoch, clock.ahead())?;
        }
        while let Some(job) = next {
            let tx = tx();
            if !run_job(&tx, job, &mut empty, answers)? {
                break;
            }
            let more = answers.len() < MOST_JOBS && begun.elapsed() < MOST_TIME;
            next = if more { self.queue.try_recv().ok() } else { None };
        }
        Ok(())
    }
}

/// A job that fails is undone alone. A savepoint copies every page that is written after it, so the first job, which
/// has the transaction for itself, goes without. False where the transaction is over.
fn run_job(tx: &Tx<'_>, job: Job, empty: &mut bool, answers: &mut Vec<Answer>) -> Result<bool> {
    let connection = tx.connection;
    let run = |sql| execute(connection, sql).map_err(failed);
    if !*empty {
        run("savepoint job")?;
    }
    let forget = || tx.memory.map(RefCell::take);
    let Some((refused, answer)) = job.run(tx) else {
        if *empty {
            forget();
            return rollback(connection).map(|()| false);
        }
        return run("release job").map(|()| true);
    };
    answers.push(answer);
    let Some(error) = refused else {
        if !std::mem::replace(empty, false) {
            run("release job")?;
        }
        return Ok(true);
    };
    forget();
    if connection.is_autocommit() {
        // SQLite has undone everything, as when the disk is full.
        return Err(error);
    }
    if *empty {
        return rollback(connection).map(|()| false);
    }
    run("rollback to job")?;
    run("release job").map(|()| true)
}

/// Returns how large the database is, if it is a file.
fn commit(session: &Session) -> Result<Option<u64>> {
    execute(&session.connection, "commit").map_err(failure::commit_failed)?;
    match session.file.as_ref().map(|file| file.files.look()) {
        None => Ok(None),
        Some(Look::Ours(length)) => Ok(Some(length)),
        Some(Look::Gone(error)) => {
            Err(failure::unknown("the file was removed at the commit").caused_by(error))
        }
        Some(Look::OtherLog) => Err(failure::unknown("another program removed the log at the commit")),
    }
}

/// A full disk: what is in the log may fit into the database, and then the log takes no room.
fn make_room(session: &Session, error: Error) -> Error {
    let Some(file) = session.file.as_ref().filter(|_| error.code() == failure::FULL) else { return error };
    let length = || std::fs::metadata(&file.files.log).map_or(0, |found| found.len());
    let before = length();
    let moved = || session.connection.wal_checkpoint_v2(None::<&str>, CheckpointMode::TRUNCATE);
    file.guard.checkpoint(true, moved);
    if length() >= before {
        return error;
    }
    Error::unavailable(
        "the disk was full; there is room again, as the log was moved into the database: repeat",
    )
    .caused_by(error)
}

/// SQLite may have done it already, when the disk is full for example.
fn rollback(connection: &Connection) -> Result<()> {
    if connection.is_autocommit() { Ok(()) } else { execute(connection, "rollback").map_err(failed) }
}

fn execute(connection: &Connection, sql: &str) -> rusqlite::Result<()> {
    connection.prepare_cached(sql)?.execute([]).map(drop)
}

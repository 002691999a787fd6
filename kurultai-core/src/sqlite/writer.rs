//! The one thread that writes: whatever has queued up shares one transaction, and everybody is answered after
//! its commit.

use super::{Counts, failed};
use crate::{
    clock::{self, Clock, Micros},
    error::{Error, Result},
    sqlite::tasks::Range,
    tasks::order::Route,
};
use rusqlite::{Connection, Statement, StatementStatus};
use std::{
    cell::RefCell,
    collections::HashMap,
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, PoisonError, atomic::Ordering},
    thread::JoinHandle,
    time::Duration,
};
use tokio::sync::{mpsc, oneshot};

/// How many jobs may share a transaction.
const MOST_JOBS: usize = 64;

/// Sends the answer, once it is known how the transaction ended.
type Answer = Box<dyn FnOnce(Option<&Error>) + Send>;
/// Runs in a transaction, or learns why there is none.
type Job = Box<dyn FnOnce(Result<&Tx<'_>, &Error>) -> (bool, Answer) + Send>;

/// One transaction: where a job's statements go.
pub(crate) struct Tx<'a> {
    pub(super) connection: &'a Connection,
    pub(super) ns: i64,
    pub(super) now: Micros,
    /// Only a writer has it.
    pub(super) memory: Option<&'a RefCell<Memory>>,
    counts: &'a Counts,
}

/// What a writer remembers from one transaction to the next, until one is undone.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    pub(super) routes: Routes,
    /// The last range of `expiry`, which may grow.
    pub(super) expiring: Option<Range>,
}

/// Routes never change and are never removed, so a writer reads each once.
#[derive(Debug, Default)]
pub(crate) struct Routes {
    pub(super) all: Vec<(i64, Route)>,
    pub(super) ids: HashMap<String, i64>,
    /// The last one looked at, of whatever namespace.
    pub(super) last: i64,
}

impl<'a> Tx<'a> {
    pub(super) fn new(
        connection: &'a Connection,
        ns: i64,
        now: Micros,
        counts: &'a Counts,
        memory: Option<&'a RefCell<Memory>>,
    ) -> Self {
        Tx { connection, ns, now, memory, counts }
    }

    pub(super) fn count(&self, statement: &Statement<'_>) {
        self.counts.statements.fetch_add(1, Ordering::Relaxed);
        if cfg!(debug_assertions) {
            let of = |status| u64::from(statement.reset_status(status).unsigned_abs());
            let scans = of(StatementStatus::FullscanStep) + of(StatementStatus::Sort);
            self.counts.scans.fetch_add(scans, Ordering::Relaxed);
        }
    }
}

/// How the checkpoints' thread ended, after the writer's.
type Ended = Option<std::thread::Result<()>>;

pub(super) struct Writer {
    jobs: Mutex<Option<mpsc::UnboundedSender<Job>>>,
    thread: Mutex<Option<JoinHandle<Ended>>>,
}

impl Writer {
    pub(super) fn start(
        connection: Connection,
        checkpoints: Option<JoinHandle<()>>,
        ns: i64,
        clock: Clock,
        counts: Arc<Counts>,
        patience: Duration,
    ) -> Result<Self> {
        let (jobs, queue) = mpsc::unbounded_channel();
        let thread = std::thread::Builder::new()
            .name("kurultai-sqlite".to_owned())
            .spawn(move || {
                run(&connection, queue, ns, &clock, &counts, patience);
                drop(connection);
                checkpoints.map(JoinHandle::join)
            })
            .map_err(|e| Error::internal("the writer's thread could not be started").caused_by(e))?;
        Ok(Writer { jobs: Mutex::new(Some(jobs)), thread: Mutex::new(Some(thread)) })
    }

    pub(super) async fn write<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Tx<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (reply, answer) = oneshot::channel();
        let job: Job = Box::new(move |tx| {
            let done = match tx {
                Ok(tx) => catch_unwind(AssertUnwindSafe(|| job(tx)))
                    .unwrap_or_else(|_| Err(Error::internal("a statement panicked; nothing was changed"))),
                Err(error) => Err(error.share()),
            };
            let keep = done.is_ok();
            let answer = move |failure: Option<&Error>| {
                let answer = match failure {
                    Some(error) if keep => Err(error.share()),
                    _ => done,
                };
                drop(reply.send(answer));
            };
            (keep, Box::new(answer))
        });
        let sent = match &*self.jobs.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(jobs) => jobs.send(job).is_ok(),
            None => false,
        };
        if !sent {
            return Err(Error::closed());
        }
        answer.await.unwrap_or_else(|_| Err(Error::closed()))
    }

    pub(super) async fn close(&self) {
        drop(self.jobs.lock().unwrap_or_else(PoisonError::into_inner).take());
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            drop(tokio::task::spawn_blocking(move || thread.join()).await);
        }
    }
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Writer")
    }
}

fn run(
    connection: &Connection,
    mut queue: mpsc::UnboundedReceiver<Job>,
    ns: i64,
    clock: &Clock,
    counts: &Counts,
    patience: Duration,
) {
    let memory = RefCell::new(Memory::default());
    while let Some(first) = queue.blocking_recv() {
        if let Err(error) = begin(connection, patience) {
            let (_, answer) = first(Err(&error));
            answer(None);
            continue;
        }
        let mut answers = Vec::new();
        let done = (|| {
            let tx = Tx::new(connection, ns, clock.now(), counts, Some(&memory));
            let (mut next, mut empty) = (Some(first), true);
            while let Some(job) = next {
                let (answer, ended) = one(&tx, job, &mut empty, patience);
                answers.push(answer);
                ended?;
                next = if answers.len() < MOST_JOBS { queue.try_recv().ok() } else { None };
            }
            execute(connection, "commit")
        })();
        if done.is_err() {
            memory.take();
            drop(rollback(connection));
        }
        for answer in answers {
            answer(done.as_ref().err());
        }
    }
}

/// A job that fails is undone alone. A savepoint copies every page that is written after it, so the first job, which
/// has the transaction for itself, goes without.
fn one(tx: &Tx<'_>, job: Job, empty: &mut bool, patience: Duration) -> (Answer, Result<()>) {
    let connection = tx.connection;
    let saved = if *empty { Ok(()) } else { execute(connection, "savepoint job") };
    let (keep, answer) = job(Ok(tx));
    let ended = || match (keep, *empty) {
        (true, true) => Ok(()),
        (true, false) => execute(connection, "release job"),
        (false, true) => rollback(connection).and_then(|()| begin(connection, patience)),
        (false, false) => {
            execute(connection, "rollback to job").and_then(|()| execute(connection, "release job"))
        }
    };
    let ended = saved.and_then(|()| ended());
    if keep {
        *empty = false;
    } else if let Some(memory) = tx.memory {
        memory.take();
    }
    (answer, ended)
}

/// SQLite may have done it already, when the disk is full for example.
fn rollback(connection: &Connection) -> Result<()> {
    if connection.is_autocommit() { Ok(()) } else { execute(connection, "rollback") }
}

/// Waits in short uneven steps while another process writes, so that nobody waits much longer than the rest.
fn begin(connection: &Connection, patience: Duration) -> Result<()> {
    let (mut waited, mut step) = (Duration::ZERO, Duration::from_micros(100));
    loop {
        match execute(connection, "begin immediate") {
            Err(error) if error.retryable() && waited < patience => {
                let pause = step.mul_f64(0.5 + fastrand::f64());
                clock::block(pause);
                waited += pause;
                step = (step * 2).min(Duration::from_millis(2));
            }
            done => return done,
        }
    }
}

fn execute(connection: &Connection, sql: &str) -> Result<()> {
    connection.prepare_cached(sql).and_then(|mut s| s.execute([])).map(drop).map_err(failed)
}

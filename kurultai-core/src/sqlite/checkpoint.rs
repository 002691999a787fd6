//! Moving the log's pages into the database. SQLite would do it within a commit; here nobody waits for it.
//!
//! A thread looks after the log: a second after the first commit that is not in the database yet it moves what is
//! there, so that the file itself is never far behind, and cuts the log when a long reader made it large. In the class
//! `process` it also moves pages while the writer goes on. In the class `full` each commit waits for the disk anyway, and
//! would wait longer beside a checkpoint: 4 x 100 cycles 0.75 of the yardstick without that, 0.64 with it.

use super::{connection, failure::failed, files::Files, guard::Guard};
use crate::{
    clock::monotonic,
    config::Durability,
    error::{Error, Result},
};
use rusqlite::{Connection, hooks::Wal, wal::CheckpointMode};
use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering::SeqCst},
        mpsc::{self, RecvTimeoutError},
    },
    thread::JoinHandle,
    time::Duration,
};

const PAGE: u64 = 4096;
/// The log begins anew after half as many pages as the database has, within bounds: a longer one writes more pages only
/// once, but a small disk must not be full of it. Without a thread, 128 callers lose about a tenth of their time to the
/// disk.
const MOST: u64 = 16_000;
/// The disk may take longer for a checkpoint than the writer for as many pages again; then it waits.
const TOO_MANY: u64 = 4;

impl Durability {
    fn least(self) -> u64 {
        match self {
            Durability::Full => 256,
            Durability::Process => 1024,
        }
    }
}

/// In bytes: a log that a reader has kept from beginning anew is cut to this.
pub(super) const LARGEST: u64 = 68 << 20;
/// How far the file itself may be behind.
const BEHIND: Duration = Duration::from_secs(1);

/// The writer's half.
pub(super) struct Checkpoints {
    durability: Durability,
    guard: Arc<Guard>,
    log: Arc<Log>,
    /// Pages at which the thread was last asked.
    last: u64,
    asks: mpsc::Sender<Ask>,
    thread: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Log {
    /// Pages in use, as the last commit left them.
    pages: AtomicI32,
    /// Something was committed that the thread has not looked at.
    fresh: AtomicBool,
    /// How often the writer has moved pages itself.
    moved: AtomicU64,
}

enum Ask {
    /// Move what is there now.
    Now,
    /// Look after the log in a while.
    Soon,
}

impl Checkpoints {
    pub(super) fn start(
        writer: &mut Connection,
        files: &Files,
        guard: &Arc<Guard>,
        durability: Durability,
    ) -> Result<Self> {
        let own = connection::helper(&files.database)?;
        let log = Arc::new(Log::default());
        let told = log.clone();
        let hook = move |_: &mut Wal, pages: i32| {
            told.pages.store(pages, SeqCst);
            Ok(())
        };
        writer.wal_hook(Some(hook)).map_err(failed)?;
        let (asks, asked) = mpsc::channel();
        let (path, theirs) = (files.log.clone(), guard.clone());
        let mut keeper = Keeper { own, path, guard: theirs, log: log.clone(), asked, moved: 0 };
        let thread = std::thread::Builder::new()
            .name("kurultai-checkpoint".to_owned())
            .spawn(move || keeper.run())
            .map_err(|e| Error::internal("the checkpoints' thread could not be started").caused_by(e))?;
        Ok(Checkpoints { durability, guard: guard.clone(), log, last: 0, asks, thread })
    }

    /// After a commit, when everybody has his answer.
    pub(super) fn committed(&mut self, writer: &Connection, database: u64) {
        let pages = u64::try_from(self.log.pages.load(SeqCst)).unwrap_or(0);
        if pages < self.last {
            self.last = 0;
        }
        let most = (database / PAGE / 2).clamp(self.durability.least(), MOST);
        if pages >= most {
            // Few are left where the thread has moved some. While it is at it, the next commit tries again.
            let wait = pages >= most * TOO_MANY;
            let move_pages = || drop(writer.wal_checkpoint_v2(None::<&str>, CheckpointMode::PASSIVE));
            self.guard.checkpoint(wait, move_pages);
            self.log.moved.fetch_add(1, SeqCst);
        } else if self.durability == Durability::Process && pages >= self.last + most / 4 {
            self.last = pages;
            drop(self.asks.send(Ask::Now));
        }
        if !self.log.fresh.swap(true, SeqCst) {
            drop(self.asks.send(Ask::Soon));
        }
    }

    pub(super) fn end(self) {
        let Checkpoints { asks, thread, .. } = self;
        drop(asks);
        drop(thread.join());
    }
}

/// The thread's half.
struct Keeper {
    own: Connection,
    path: PathBuf,
    guard: Arc<Guard>,
    log: Arc<Log>,
    asked: mpsc::Receiver<Ask>,
    /// `Log::moved` as it was seen last.
    moved: u64,
}

impl Keeper {
    fn run(&mut self) {
        while let Ok(ask) = self.asked.recv() {
            match ask {
                Ask::Now => drop(self.move_pages()),
                Ask::Soon => while self.pause() && !self.tidy() {},
            }
        }
    }

    /// False where the writer has ended.
    fn pause(&self) -> bool {
        let until = monotonic() + BEHIND;
        loop {
            match self.asked.recv_timeout(until.saturating_duration_since(monotonic())) {
                Ok(Ask::Now) => drop(self.move_pages()),
                Ok(Ask::Soon) => {}
                Err(RecvTimeoutError::Timeout) => return true,
                Err(RecvTimeoutError::Disconnected) => return false,
            }
        }
    }

    /// Whether everything is in the database now, and the log of a usual length.
    fn tidy(&mut self) -> bool {
        let moved = self.log.moved.load(SeqCst);
        if std::mem::replace(&mut self.moved, moved) != moved {
            // The writer is so busy that it does this itself.
            return false;
        }
        self.log.fresh.store(false, SeqCst);
        if self.move_pages() && self.cut() {
            return true;
        }
        // Somebody reads what the log has not lost yet.
        self.log.fresh.store(true, SeqCst);
        false
    }

    fn move_pages(&self) -> bool {
        self.checkpoint(CheckpointMode::PASSIVE).is_some_and(|(log, moved)| log >= 0 && log == moved)
    }

    fn cut(&self) -> bool {
        let length = std::fs::metadata(&self.path).map_or(0, |found| found.len());
        length <= LARGEST || self.checkpoint(CheckpointMode::TRUNCATE).is_some()
    }

    /// How long the log is and how much of it is in the database now, in pages; `None` where others were in the way.
    fn checkpoint(&self, mode: CheckpointMode) -> Option<(i32, i32)> {
        let done = self.guard.checkpoint(false, || self.own.wal_checkpoint_v2(None::<&str>, mode))?;
        done.inspect_err(|error| tracing::debug!(%error, "the next checkpoint does the work of this one"))
            .ok()
    }
}

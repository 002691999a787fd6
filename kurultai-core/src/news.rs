//! Who waits is told. Of this process's own commits whoever waits hears at once; what others wrote and what comes due,
//! the loop of [`upkeep`](crate::upkeep) looks for.

use crate::{
    clock::monotonic,
    error::{Error, Kind},
};
use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::{
    sync::{Notify, watch},
    time::timeout_at,
};

/// What goes wrong again and again is said once in that time.
const COMPLAINTS: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(crate) struct News {
    /// Counts the moments at which there may be new work.
    work: watch::Sender<u64>,
    /// What those who wait for work would take, and how many of each there are.
    claims: Mutex<HashMap<Wanted, usize>>,
    /// How many wait for events.
    readers: AtomicUsize,
    /// Somebody has begun to wait for work, for example: what was committed before is looked for once more.
    look: AtomicBool,
    /// Wakes the loop.
    bell: Notify,
    closed: AtomicBool,
    active: Mutex<Instant>,
    complained: Mutex<Option<Instant>>,
}

/// The tasks that a waiting claim would take: those that this agent may have, of these types or of all.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Wanted {
    pub(crate) agent: String,
    pub(crate) types: Option<Vec<String>>,
}

impl News {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(News {
            work: watch::Sender::new(0),
            claims: Mutex::default(),
            readers: AtomicUsize::new(0),
            look: AtomicBool::new(false),
            bell: Notify::new(),
            closed: AtomicBool::new(false),
            active: Mutex::new(monotonic()),
            complained: Mutex::default(),
        })
    }

    /// This process has written: there may be new work, and there are new events.
    pub(crate) fn announce(&self) {
        self.announce_work();
        self.announce_events();
    }

    /// There may be new work for who waits in this process.
    pub(crate) fn announce_work(&self) {
        *lock(&self.active) = monotonic();
        self.work.send_modify(|count| *count += 1);
    }

    /// There are events that somebody may wait for.
    pub(crate) fn announce_events(&self) {
        if self.has_readers() {
            self.ring();
        }
    }

    /// Wakes the loop, which hands on the events that there are.
    pub(crate) fn ring(&self) {
        self.bell.notify_one();
    }

    /// Returns when somebody has rung since the last time.
    pub(crate) async fn rung(&self) {
        self.bell.notified().await;
    }

    /// There is something to look for at once.
    pub(crate) fn look_soon(&self) {
        self.look.store(true, Ordering::SeqCst);
        self.ring();
    }

    /// The loop looks now.
    pub(crate) fn looks(&self) {
        self.look.store(false, Ordering::SeqCst);
    }

    pub(crate) fn wants_a_look(&self) -> bool {
        self.look.load(Ordering::SeqCst)
    }

    /// Who waits hears of it, and the loop ends.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        self.announce_work();
        self.ring();
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }

    pub(crate) fn is_awaited(&self) -> bool {
        self.has_readers() || self.is_work_awaited()
    }

    /// Whether somebody waits for events.
    pub(crate) fn has_readers(&self) -> bool {
        self.readers.load(Ordering::SeqCst) > 0
    }

    pub(crate) fn is_work_awaited(&self) -> bool {
        !lock(&self.claims).is_empty()
    }

    /// Somebody begins to wait for events.
    pub(crate) fn reader_comes(&self) {
        self.readers.fetch_add(1, Ordering::SeqCst);
    }

    /// Returns how many are left.
    pub(crate) fn reader_goes(&self) -> usize {
        self.readers.fetch_sub(1, Ordering::SeqCst) - 1
    }

    /// Warns, at most once a second; not of a store that this program has closed.
    pub(crate) fn complain(&self, error: &Error, of: &str) {
        if error.kind() == Kind::Closed {
            return;
        }
        let mut last = lock(&self.complained);
        if last.is_none_or(|last| last.elapsed() >= COMPLAINTS) {
            *last = Some(monotonic());
            tracing::warn!(%error, "{of}");
        }
    }

    /// Waits for work for at most `wait`, counted from now. What is announced from now on is not missed.
    pub(crate) fn waiting(
        self: &Arc<Self>,
        wanted: impl FnOnce() -> Wanted,
        wait: Duration,
    ) -> Option<Waiting> {
        let wait = wait.min(Duration::from_secs(86_400));
        (!wait.is_zero()).then(|| Waiting {
            news: self.clone(),
            seen: self.work.subscribe(),
            deadline: monotonic() + wait,
            wanted: wanted(),
            counted: false,
        })
    }

    pub(crate) fn claims(&self) -> Vec<Wanted> {
        lock(&self.claims).keys().cloned().collect()
    }

    /// For how long nothing has happened that concerns this process.
    pub(crate) fn quiet(&self) -> Duration {
        lock(&self.active).elapsed()
    }
}

/// A claim that waits for work.
pub(crate) struct Waiting {
    news: Arc<News>,
    seen: watch::Receiver<u64>,
    deadline: Instant,
    wanted: Wanted,
    counted: bool,
}

impl Waiting {
    pub(crate) fn is_over(&self) -> bool {
        monotonic() >= self.deadline
    }

    /// Waits until it is worth claiming again; false where the time is over. Cancel safe.
    pub(crate) async fn changed(&mut self) -> bool {
        if self.is_over() {
            return false;
        }
        if !std::mem::replace(&mut self.counted, true) {
            *lock(&self.news.claims).entry(self.wanted.clone()).or_default() += 1;
            self.news.look_soon();
        }
        drop(timeout_at(self.deadline.into(), self.seen.changed()).await);
        true
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if !self.counted {
            return;
        }
        let mut claims = lock(&self.news.claims);
        if let Some(count) = claims.get_mut(&self.wanted) {
            *count -= 1;
            if *count == 0 {
                claims.remove(&self.wanted);
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

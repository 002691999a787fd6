//! What a held task and a held message have in common: a place in their agent's loop, that the work must stop, and who ends
//! it.

use super::workplace::Workplace;
use crate::{clock::monotonic, messages::AgentMessage, tasks::Claimed, words::words};
use std::{
    fmt,
    future::Future,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::{
    sync::{self, OwnedSemaphorePermit, watch},
    task::AbortHandle,
    time::sleep,
};

words! {
    /// Why work on a job must stop.
    #[non_exhaustive]
    Stop, "stop" {
        /// Somebody else may have it now: whatever is done from here on counts for nothing.
        Lost = "lost",
        /// Somebody cancelled the task: release it.
        Cancelled = "cancelled",
        /// Somebody suspended the task: release it.
        Suspended = "suspended",
        /// The agent ends here, and its grace is over; the job has been given back.
        Drained = "drained",
        /// The handler's time, or the task's `max_runtime`, is over; the attempt has failed.
        Timeout = "timeout",
        /// The handler showed no sign of life for too long; the attempt has failed.
        Stalled = "stalled",
    }
}

/// A handler that was told to stop and has not taken it up for so long blocks what it runs in.
const DEAF: Duration = Duration::from_secs(5);

/// What is worked on.
#[derive(Debug, Clone)]
pub(super) enum Work {
    Task(Arc<Claimed>),
    Message(Arc<AgentMessage>),
}

impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Work::Task(task) => write!(f, "task {}", task.id),
            Work::Message(message) => write!(f, "message {}", message.id),
        }
    }
}

pub(super) struct Attempt {
    pub(super) at: Arc<Workplace>,
    work: Work,
    /// Since when it is held.
    pub(super) since: Instant,
    stop: watch::Sender<Option<Stop>>,
    /// Whether who runs the handler has taken up that it must stop.
    taken_up: AtomicBool,
    /// What ends the attempt when its time is over.
    alarm: Mutex<Option<AbortHandle>>,
    /// Who ends the attempt has the turn: a handler that has just ended is not cut short meanwhile, nor the other way.
    pub(super) turn: sync::Mutex<()>,
    /// The loop has ended the attempt as failed.
    cut_short: AtomicBool,
    over: AtomicBool,
    /// The place it takes up in its agent's loop.
    slot: Mutex<Option<OwnedSemaphorePermit>>,
}

impl Attempt {
    pub(super) fn new(at: &Arc<Workplace>, work: Work, slot: OwnedSemaphorePermit) -> Arc<Self> {
        Arc::new(Attempt {
            at: at.clone(),
            work,
            since: monotonic(),
            stop: watch::Sender::new(None),
            taken_up: AtomicBool::new(false),
            alarm: Mutex::default(),
            turn: sync::Mutex::default(),
            cut_short: AtomicBool::new(false),
            over: AtomicBool::new(false),
            slot: Mutex::new(Some(slot)),
        })
    }

    /// Whether it has ended, so that nobody looks after it any more.
    pub(super) fn over(&self) -> bool {
        self.over.load(Ordering::SeqCst)
    }

    pub(super) fn lost(&self) -> bool {
        self.why() == Some(Stop::Lost)
    }

    pub(super) fn is_cut_short(&self) -> bool {
        self.cut_short.load(Ordering::SeqCst)
    }

    /// Whatever its handler says from here on counts for nothing.
    pub(super) fn cut(self: &Arc<Self>, why: Stop) {
        self.cut_short.store(true, Ordering::SeqCst);
        self.halt(why);
    }

    /// After this time, unless the attempt is over before; instead of what was set before.
    pub(super) fn set_alarm(&self, after: Duration, ring: impl Future<Output = ()> + Send + 'static) {
        let alarm = self.at.runtime.spawn(async move {
            sleep(after).await;
            ring.await;
        });
        if let Some(before) = lock(&self.alarm).replace(alarm.abort_handle()) {
            before.abort();
        }
    }

    /// Gives back its place.
    pub(super) fn leave(&self) {
        drop(lock(&self.slot).take());
    }

    /// The attempt is over; its place stays its own.
    pub(super) fn let_go(&self) {
        self.over.store(true, Ordering::SeqCst);
        if let Some(alarm) = lock(&self.alarm).take() {
            alarm.abort();
        }
    }

    /// Why the work must stop, if it must.
    pub(super) fn why(&self) -> Option<Stop> {
        *self.stop.borrow()
    }

    /// The same for the handler, which has taken it up by that.
    pub(super) fn look(&self) -> Option<Stop> {
        let why = self.why();
        if why.is_some() {
            self.take_up();
        }
        why
    }

    pub(super) fn take_up(&self) {
        self.taken_up.store(true, Ordering::Relaxed);
    }

    /// Waits until the work must stop. Cancel safe.
    pub(super) async fn stopped(&self) -> Stop {
        let mut stop = self.stop.subscribe();
        match stop.wait_for(Option::is_some).await.map(|stop| *stop) {
            Ok(Some(stop)) => stop,
            _ => Stop::Lost,
        }
    }

    /// The first reason stays.
    pub(super) fn halt(self: &Arc<Self>, why: Stop) {
        let first = self.stop.send_if_modified(|stop| stop.is_none() && stop.replace(why).is_none());
        if first {
            let attempt = self.clone();
            self.at.runtime.spawn(async move {
                sleep(DEAF).await;
                attempt.warn_if_deaf(why);
            });
        }
    }

    fn warn_if_deaf(&self, why: Stop) {
        if self.taken_up.load(Ordering::Relaxed) || lock(&self.slot).is_none() {
            return;
        }
        tracing::warn!(
            work = %self.work, %why,
            "a handler has not noticed for {} s that it must stop: it blocks what it runs in, so nothing else runs there \
             either; let it await, or make it a plain function where the language has threads for those", DEAF.as_secs()
        );
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

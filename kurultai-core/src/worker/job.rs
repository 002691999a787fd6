//! One claimed task: what a handler may ask of it, and the right to end it.

use super::jobs::Shared;
use crate::{
    clock::monotonic,
    error::{Error, Kind, Result},
    json::Json,
    tasks::{
        Claimed, Extended, Failure, Finished, Lease, Outcome, Prerequisite, Signal, Usage, queue::Extend,
    },
    words::words,
};
use std::{
    fmt,
    ops::Deref,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use tokio::{
    sync::{OwnedSemaphorePermit, watch},
    time::{sleep, timeout_at},
};

words! {
    /// Why work on a job must stop.
    Stop, "stop" {
        /// Somebody else may have the task now: whatever is done from here on counts for nothing.
        Lost = "lost",
        /// Somebody cancelled the task: release it.
        Cancelled = "cancelled",
        /// Somebody suspended the task: release it.
        Suspended = "suspended",
        /// This worker ends, and its grace is over; the task has been released.
        Drained = "drained",
    }
}

/// What a handler can ask and tell while it works. Cheap to clone; ends nothing.
#[derive(Clone)]
pub struct Context {
    pub task: Arc<Claimed>,
    pub(super) held: Arc<Held>,
    pub(super) shared: Arc<Shared>,
}

/// A claimed task and the right to end it. Its lease is renewed until it ends; dropped before, it is released.
pub struct Job(Context);

/// What the loop and the job know of each other.
pub(super) struct Held {
    /// The lease, and until when it surely holds by this machine's stopwatch.
    lease: Mutex<(Lease, Instant)>,
    stop: watch::Sender<Option<Stop>>,
    usage: Mutex<Option<Usage>>,
    /// The place it takes up in its worker; given back when it ends.
    slot: Mutex<Option<OwnedSemaphorePermit>>,
}

impl Job {
    pub(super) fn new(shared: &Arc<Shared>, task: Claimed, slot: OwnedSemaphorePermit) -> Self {
        let held = Arc::new(Held {
            lease: Mutex::new((task.lease.clone(), monotonic() + shared.sure())),
            stop: watch::Sender::new(None),
            usage: Mutex::default(),
            slot: Mutex::new(Some(slot)),
        });
        shared.hold(&held);
        Job(Context { task: Arc::new(task), held, shared: shared.clone() })
    }

    /// Ends the task well and stores its results. Repeats what the store could not do, as long as the lease holds.
    /// `usage` counts instead of what the context was told.
    ///
    /// Errors: `lease.lost` (nothing was stored), `input.payload` (the job goes on: fail it, or complete it with
    /// less). Cancel safe: a dropped call may still have ended the task.
    pub async fn complete(&self, results: impl Into<Json>, usage: Option<Usage>) -> Result<Finished> {
        let usage = usage.or(*lock(&self.held.usage));
        self.held.end(&self.shared, Outcome::Complete { results: results.into(), usage }).await
    }

    /// Ends this attempt badly: the task is tried again after a back-off, or goes to the dead letters. Errors,
    /// repetition and cancel safety as [`complete`](Self::complete).
    pub async fn fail(&self, mut failure: Failure) -> Result<Finished> {
        failure.usage = failure.usage.or(*lock(&self.held.usage));
        self.held.end(&self.shared, Outcome::Fail(failure)).await
    }

    /// Gives the task back at once; the attempt does not count. Errors, repetition and cancel safety as
    /// [`complete`](Self::complete).
    pub async fn release(&self) -> Result<Finished> {
        self.held.end(&self.shared, Outcome::Release).await
    }

    /// Whether the task was completed, failed or released, by the worker too.
    pub fn ended(&self) -> bool {
        self.held.ended()
    }

    /// For a handler, which may keep it; the right to end the task stays here.
    pub fn context(&self) -> Context {
        self.0.clone()
    }
}

impl Deref for Job {
    type Target = Context;

    fn deref(&self) -> &Context {
        &self.0
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        if self.held.ended() || self.shared.vanished() {
            return;
        }
        let Context { held, shared, .. } = self.0.clone();
        let runtime = shared.runtime.clone();
        runtime.spawn(async move {
            if let Err(error) = held.end(&shared, Outcome::Release).await {
                tracing::debug!(%error, "a dropped job was not released");
            }
        });
    }
}

impl Context {
    /// Waits until the work must stop and says why. The first reason stays. Cancel safe.
    pub async fn stopped(&self) -> Stop {
        let mut stop = self.held.stop.subscribe();
        match stop.wait_for(Option::is_some).await.map(|stop| *stop) {
            Ok(Some(stop)) => stop,
            _ => Stop::Lost,
        }
    }

    /// Why the work must stop, if it must: [`stopped`](Self::stopped) without waiting.
    pub fn stop(&self) -> Option<Stop> {
        *self.held.stop.borrow()
    }

    /// Notes how far the work is, 0 to 1; a sign of life. Errors: `lease.lost`, `input.invalid`. Cancel safe.
    pub async fn progress(&self, progress: f64) -> Result<Extended> {
        self.tell(Some(progress), None).await
    }

    /// Stores where the next attempt can go on; it reads it from `task.checkpoint`. Errors: `lease.lost`,
    /// `input.payload`. Cancel safe.
    pub async fn checkpoint(&self, checkpoint: impl Into<Json>) -> Result<Extended> {
        self.tell(None, Some(checkpoint.into())).await
    }

    async fn tell(&self, progress: Option<f64>, checkpoint: Option<Json>) -> Result<Extended> {
        let request = Extend { lease: self.lease(), ttl: None, progress, checkpoint };
        let extended = self.shared.kurultai.tasks().renew(request).await;
        self.held.hear(&extended, None);
        extended
    }

    /// What the work has cost so far; stored when the task is completed or failed.
    pub fn usage(&self, usage: Usage) {
        *lock(&self.held.usage) = Some(usage);
    }

    /// The lease as it was last renewed.
    pub fn lease(&self) -> Lease {
        lock(&self.held.lease).0.clone()
    }

    /// 1 for the first try.
    pub fn attempt(&self) -> u32 {
        self.task.attempt
    }

    /// The results of the tasks that this one waited for or is fed by.
    pub fn prerequisites(&self) -> &[Prerequisite] {
        &self.task.prerequisites
    }

    /// Grows with each claim of the task: a system that refuses a smaller number than it has seen is safe from
    /// workers that lost their lease and do not know it yet.
    pub fn fencing_token(&self) -> i64 {
        self.task.lease.version
    }

    /// The same for every attempt at this task and for no other task: give it to systems that do a thing once a
    /// key.
    pub fn idempotency_key(&self) -> String {
        format!("{}/{}", self.shared.kurultai.namespace(), self.task.id)
    }
}

impl Held {
    pub(super) fn ended(&self) -> bool {
        lock(&self.slot).is_none()
    }

    /// The first reason stays.
    pub(super) fn halt(&self, why: Stop) {
        self.stop.send_if_modified(|stop| stop.is_none() && stop.replace(why).is_none());
    }

    fn lost(&self) -> bool {
        *self.stop.borrow() == Some(Stop::Lost)
    }

    /// Takes in what the store said of the lease; `sure` is how long it holds, where it was renewed.
    fn hear(&self, extended: &Result<Extended>, sure: Option<Instant>) {
        match extended {
            Ok(Extended { lease: renewed, signal }) => {
                let mut lease = lock(&self.lease);
                lease.0.clone_from(renewed);
                lease.1 = sure.unwrap_or(lease.1);
                match signal {
                    Signal::Cancel => self.halt(Stop::Cancelled),
                    Signal::Suspend => self.halt(Stop::Suspended),
                    Signal::Continue | Signal::Pause => {}
                }
            }
            Err(error) if is_gone(error) => self.halt(Stop::Lost),
            Err(_) => {}
        }
    }

    /// Renews the lease; where the store cannot, tries again for as long as the lease surely holds.
    pub(super) async fn renew(&self, shared: &Shared) {
        let (lease, until) = lock(&self.lease).clone();
        let renewed = timeout_at(until.into(), async {
            loop {
                let sure = monotonic() + shared.sure();
                let extended = shared.kurultai.tasks().extend(&lease, shared.settings.lease).await;
                self.hear(&extended, Some(sure));
                match extended {
                    Err(error) if !is_gone(&error) && !self.ended() => {
                        tracing::warn!(%error, task = lease.task_id, "the lease was not renewed; trying again");
                        sleep(pause(&error, 0)).await;
                    }
                    _ => return,
                }
            }
        });
        if renewed.await.is_err() {
            self.halt(Stop::Lost);
        }
    }

    /// Ends the attempt, unless the call itself is refused. What the store may do later is repeated until the lease
    /// is lost.
    pub(super) async fn end(&self, shared: &Shared, outcome: Outcome) -> Result<Finished> {
        let mut failures = 0;
        loop {
            let lease = lock(&self.lease).0.clone();
            match shared.kurultai.tasks().finish(&lease, outcome.clone()).await {
                Err(error) if error.retryable() && !self.lost() => {
                    tracing::warn!(%error, task = lease.task_id, "the task was not ended; trying again");
                    sleep(pause(&error, failures)).await;
                    failures += 1;
                }
                Err(error) if error.kind() == Kind::Input => return Err(error),
                ended => {
                    shared.let_go(self);
                    drop(lock(&self.slot).take());
                    return ended;
                }
            }
        }
    }

    pub(super) fn renewable(&self) -> bool {
        !self.ended() && !self.lost()
    }
}

/// Whether the store says that this lease finishes nothing any more.
fn is_gone(error: &Error) -> bool {
    matches!(error.kind(), Kind::LeaseLost | Kind::NotFound)
}

/// What the store asks for, or else longer each time up to 5 s; never the same for two callers.
pub(crate) fn pause(error: &Error, failures: u32) -> Duration {
    let longer = Duration::from_millis(100 << failures.min(6)).min(Duration::from_secs(5));
    error.retry_after().unwrap_or(longer).mul_f64(0.75 + fastrand::f64() / 2.0)
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context")
            .field("task", &self.task.id)
            .field("stop", &self.stop())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Job")
            .field("task", &self.task.id)
            .field("ended", &self.ended())
            .finish_non_exhaustive()
    }
}

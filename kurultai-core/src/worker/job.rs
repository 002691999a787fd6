//! One claimed task: what a handler may ask of it, and the right to end it.

use super::{
    ended::{Ended, Limits, refused},
    jobs::Shared,
    settings::{OnStall, Settings},
};
use crate::{
    check,
    clock::monotonic,
    error::{Error, Kind, Result},
    json::Json,
    kurultai::Kurultai,
    retry::Backoff,
    tasks::{
        Claimed, Enqueued, Extended, Failure, Finished, Lease, NewTask, Outcome, Prerequisite, Signal, Usage,
        contract::{Extend, Handler},
    },
    words::words,
};
use std::{
    fmt,
    ops::Deref,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::{
    sync::{self, OwnedSemaphorePermit, watch},
    task::AbortHandle,
    time::{sleep, timeout_at},
};

words! {
    /// Why work on a job must stop.
    #[non_exhaustive]
    Stop, "stop" {
        /// Somebody else may have the task now: whatever is done from here on counts for nothing.
        Lost = "lost",
        /// Somebody cancelled the task: release it.
        Cancelled = "cancelled",
        /// Somebody suspended the task: release it.
        Suspended = "suspended",
        /// The agent ends here, and its grace is over; the task has been released.
        Drained = "drained",
        /// The handler's time, or the task's `max_runtime`, is over; the attempt has failed.
        Timeout = "timeout",
        /// The handler showed no sign of life for too long; the attempt has failed.
        Stalled = "stalled",
    }
}

/// A handler that was told to stop and has not taken it up for so long blocks what it runs in.
const DEAF: Duration = Duration::from_secs(5);

/// What a handler can ask and tell while it works. Cheap to clone; ends nothing.
#[derive(Clone)]
pub struct Context {
    /// What was claimed.
    pub task: Arc<Claimed>,
    pub(super) held: Arc<Held>,
    pub(super) shared: Arc<Shared>,
}

/// A claimed task and the right to end it. Its lease is renewed until it ends; dropped before, it is released. It takes up
/// one of its agent's places until a call ends it or it is dropped, also where the loop has ended the attempt.
pub struct Job(Context);

/// What the loop and the job know of each other.
pub(super) struct Held {
    pub(super) task: Arc<Claimed>,
    /// The lease, and until when it surely holds by this machine's stopwatch.
    lease: Mutex<(Lease, Instant)>,
    stop: watch::Sender<Option<Stop>>,
    /// Why its task was cancelled, where its author said so.
    reason: Mutex<Option<String>>,
    /// Since when it is held.
    pub(super) since: Instant,
    /// Whether it was asked for once what it should do, beside the renewals.
    looked: AtomicBool,
    /// Whether who runs the handler has taken up that it must stop.
    taken_up: AtomicBool,
    usage: Mutex<Option<Usage>>,
    limits: Mutex<Limits>,
    /// The last sign of life of the handler.
    sign: Mutex<Instant>,
    /// It is silent for too long, and what is done about it has begun.
    stalled: AtomicBool,
    /// What ends the attempt when its time is over.
    alarm: Mutex<Option<AbortHandle>>,
    /// Who ends the attempt has the turn: a handler that has just ended is not cut short meanwhile, nor the other way.
    turn: sync::Mutex<()>,
    /// The loop has ended the attempt as failed.
    cut_short: AtomicBool,
    over: AtomicBool,
    told_lost: AtomicBool,
    /// The place it takes up in its agent's loop.
    slot: Mutex<Option<OwnedSemaphorePermit>>,
}

impl Job {
    pub(super) fn new(shared: &Arc<Shared>, task: Claimed, slot: OwnedSemaphorePermit) -> Self {
        let task = Arc::new(task);
        let held = Arc::new(Held {
            task: task.clone(),
            lease: Mutex::new((task.lease.clone(), monotonic() + shared.trusted())),
            stop: watch::Sender::new(None),
            reason: Mutex::default(),
            since: monotonic(),
            looked: AtomicBool::new(false),
            taken_up: AtomicBool::new(false),
            usage: Mutex::default(),
            limits: Mutex::default(),
            sign: Mutex::new(monotonic()),
            stalled: AtomicBool::new(false),
            alarm: Mutex::default(),
            turn: sync::Mutex::default(),
            cut_short: AtomicBool::new(false),
            over: AtomicBool::new(false),
            told_lost: AtomicBool::new(false),
            slot: Mutex::new(Some(slot)),
        });
        shared.hold(&held);
        held.set_alarm(shared, None);
        Job(Context { task, held, shared: shared.clone() })
    }

    /// What this attempt may take. Its time counts from this call, and the loop keeps it: when it is over the attempt has
    /// failed, [`stopped`](Context::stopped) says [`Stop::Timeout`], and whatever ends the job later is `lease.lost`.
    pub fn limit(&self, limits: Limits) {
        *lock(&self.held.limits) = limits;
        *lock(&self.held.sign) = monotonic();
        self.held.set_alarm(&self.shared, limits.timeout.filter(|limit| *limit <= check::LONGEST));
    }

    /// Ends the attempt as its handler ended, with the usage that the context was told. Whatever the handler did, the
    /// attempt is over afterwards and counted; repeats what the store could not do, as long as the lease holds.
    ///
    /// Errors: `lease.lost` (nothing was stored), or why the store could not; its lease is renewed no more. Cancel safe:
    /// a dropped call may still have ended the task.
    pub async fn end(&self, ended: Ended) -> Result<Finished> {
        let Context { held, shared, .. } = &self.0;
        let (limits, usage) = (*lock(&held.limits), *lock(&held.usage));
        let ended = match held.end(shared, ended.outcome(self.attempt(), limits, usage)).await {
            Err(error) if error.kind() == Kind::Input => held.end(shared, refused(&error)).await,
            ended => ended,
        };
        if ended.is_err() {
            held.let_go(shared);
        }
        ended
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

    /// Whether the task was completed, failed or released, by the loop too.
    pub fn ended(&self) -> bool {
        self.held.over()
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
        if self.held.over() || self.shared.vanished() {
            self.held.leave();
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

    /// Says that the handler is alive, and nothing else: for work that neither notes progress nor stores checkpoints. No
    /// statement is sent for it, so it may be called as often as one likes.
    pub fn alive(&self) {
        *lock(&self.held.sign) = monotonic();
    }

    /// Why the work must stop, if it must: [`stopped`](Self::stopped) without waiting. A sign of life.
    pub fn stop(&self) -> Option<Stop> {
        self.alive();
        let why = *self.held.stop.borrow();
        if why.is_some() {
            self.take_up();
        }
        why
    }

    /// What the author of the cancellation gave as its reason, once [`stop`](Self::stop) is [`Stop::Cancelled`].
    pub fn stop_reason(&self) -> Option<String> {
        lock(&self.held.reason).clone()
    }

    /// Whether a drain has begun: the agent takes no more tasks, and what runs has its grace to end.
    pub fn is_draining(&self) -> bool {
        *self.shared.draining.borrow()
    }

    /// Waits until a drain begins; [`stopped`](Self::stopped) is told only when its grace is over. Cancel safe.
    pub async fn draining(&self) {
        self.shared.drained().await;
    }

    /// The team that the agent works for.
    pub fn team(&self) -> &Kurultai {
        self.alive();
        &self.shared.kurultai
    }

    /// Enqueues a part of this task: its parent is this one, whatever it said, and unless it says otherwise it is
    /// delegated by this agent. Errors and cancel safety as [`Tasks::enqueue`](crate::tasks::Tasks::enqueue).
    pub async fn enqueue(&self, mut task: NewTask) -> Result<Enqueued> {
        self.alive();
        task.parent_id = Some(self.task.id.clone());
        task.delegated_by.get_or_insert_with(|| self.shared.settings.agent.clone());
        self.team().tasks().enqueue(task).await
    }

    /// Who runs the handler knows that it must stop. Where nobody says so for some seconds, it is a warning in the log.
    #[doc(hidden)]
    pub fn take_up(&self) {
        self.held.taken_up.store(true, Ordering::Relaxed);
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
        self.alive();
        let request = Extend { progress, checkpoint, ..Extend::new(self.lease()) };
        let extended = self.held.send(&self.shared, request).await;
        self.held.note(&self.shared, &extended, None);
        extended
    }

    /// What the work has cost so far; stored when the task is completed or failed. Costs or seconds that are negative or
    /// no finite number are no reason to lose the work: they are dropped with a warning in the log.
    pub fn usage(&self, usage: Usage) {
        self.alive();
        match usage.check() {
            Ok(()) => *lock(&self.held.usage) = Some(usage),
            Err(error) => tracing::warn!(%error, task = self.task.id, "the usage is dropped"),
        }
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
    /// Whether nobody renews it any more.
    fn over(&self) -> bool {
        self.over.load(Ordering::SeqCst)
    }

    /// True the first time.
    pub(super) fn first_look(&self) -> bool {
        !self.looked.swap(true, Ordering::SeqCst)
    }

    /// For how long its handler shows no sign of life.
    pub(super) fn silence(&self) -> Duration {
        lock(&self.sign).elapsed()
    }

    /// For how long it may, and what then.
    pub(super) fn stall_limit(&self, settings: &Settings) -> (Duration, OnStall) {
        let limits = lock(&self.limits);
        (limits.stall_after.unwrap_or(settings.stall_after), limits.on_stall.unwrap_or(settings.on_stall))
    }

    /// True the first time.
    pub(super) fn stalls(&self) -> bool {
        !self.stalled.swap(true, Ordering::SeqCst)
    }

    /// No lease lasts longer than its task's `max_runtime`.
    fn capped(&self, until: Instant) -> Instant {
        let most = self.task.max_runtime.and_then(|most| self.since.checked_add(most));
        most.map_or(until, |most| most.min(until))
    }

    /// What a renewal says of the handler.
    fn handler(&self, shared: &Shared) -> Handler {
        if !self.stalled.load(Ordering::SeqCst) {
            return Handler::Works;
        }
        let silence = self.silence();
        if silence < self.stall_limit(&shared.settings).0 {
            Handler::Resumed
        } else {
            Handler::Stalled(silence)
        }
    }

    /// Ends the attempt when its time is over: after `limit` from now, or when it has run for the task's `max_runtime`,
    /// a moment before the store ends its lease.
    fn set_alarm(self: &Arc<Self>, shared: &Arc<Shared>, limit: Option<Duration>) {
        let runtime = self.task.max_runtime.filter(|most| *most <= check::LONGEST);
        let rest = runtime.map(|most| {
            (most - (most / 10).min(Duration::from_secs(2))).saturating_sub(self.since.elapsed())
        });
        let (span, ended) = match (limit, runtime, rest) {
            (Some(limit), _, rest) if rest.is_none_or(|rest| limit < rest) => (limit, Ended::TimedOut(limit)),
            (_, Some(most), Some(rest)) => (rest, Ended::Overran(most)),
            _ => return,
        };
        let (held, shared) = (self.clone(), shared.clone());
        let runtime = shared.runtime.clone();
        let alarm = runtime.spawn(async move {
            sleep(span).await;
            held.cut_short(&shared, Stop::Timeout, ended).await;
        });
        if let Some(before) = lock(&self.alarm).replace(alarm.abort_handle()) {
            before.abort();
        }
    }

    /// Gives back its place.
    fn leave(&self) {
        drop(lock(&self.slot).take());
    }

    /// The attempt is over; its place stays its own.
    fn let_go(&self, shared: &Shared) {
        self.over.store(true, Ordering::SeqCst);
        shared.let_go(self);
        if let Some(alarm) = lock(&self.alarm).take() {
            alarm.abort();
        }
    }

    /// The first reason stays.
    pub(super) fn halt(self: &Arc<Self>, shared: &Shared, why: Stop) {
        let first = self.stop.send_if_modified(|stop| stop.is_none() && stop.replace(why).is_none());
        if first {
            let held = self.clone();
            shared.runtime.spawn(async move {
                sleep(DEAF).await;
                held.warn_if_deaf(why);
            });
        }
    }

    fn warn_if_deaf(&self, why: Stop) {
        if self.taken_up.load(Ordering::Relaxed) || lock(&self.slot).is_none() {
            return;
        }
        let task = lock(&self.lease).0.task_id.clone();
        tracing::warn!(
            task, %why,
            "a handler has not noticed for {} s that it must stop: it blocks what it runs in, so nothing else runs there \
             either; let it await, or make it a plain function where the language has threads for those", DEAF.as_secs()
        );
    }

    fn lost(&self) -> bool {
        *self.stop.borrow() == Some(Stop::Lost)
    }

    /// Whether the store may still be asked to do it later.
    fn may_yet_end(&self) -> bool {
        if self.cut_short.load(Ordering::SeqCst) {
            // Renewed no more, so it lapses by itself.
            return monotonic() < lock(&self.lease).1;
        }
        !self.lost()
    }

    /// Ends the attempt as failed, unless the handler ends it just now.
    pub(super) async fn cut_short(self: &Arc<Self>, shared: &Shared, stop: Stop, ended: Ended) {
        let turn = self.turn.lock().await;
        if self.over() || self.lost() || shared.vanished() {
            return;
        }
        self.cut_short.store(true, Ordering::SeqCst);
        self.halt(shared, stop);
        let (limits, usage) = (*lock(&self.limits), *lock(&self.usage));
        let outcome = ended.outcome(self.task.attempt, limits, usage);
        if let Err(error) = self.finish(shared, outcome).await {
            tracing::warn!(%error, task = self.task.id, "that the attempt was ended was not stored");
        }
        self.let_go(shared);
        drop(turn);
    }

    /// Once, and not where the store was closed or the attempt has ended already.
    fn tell_lost(&self, shared: &Shared, error: &Error) {
        if !is_closed(error) && !self.over() && !self.told_lost.swap(true, Ordering::SeqCst) {
            shared.settings.listener.lost(&self.task, error.message());
        }
    }

    /// Takes in what the store said of the lease; `trusted` is until when it holds, where it was renewed.
    fn note(self: &Arc<Self>, shared: &Shared, extended: &Result<Extended>, trusted: Option<Instant>) {
        match extended {
            Ok(Extended { lease: renewed, signal, reason }) => {
                let mut lease = lock(&self.lease);
                lease.0.clone_from(renewed);
                lease.1 = trusted.unwrap_or(lease.1);
                match signal {
                    Signal::Cancel => {
                        lock(&self.reason).clone_from(reason);
                        self.halt(shared, Stop::Cancelled);
                    }
                    Signal::Suspend => self.halt(shared, Stop::Suspended),
                    Signal::Continue | Signal::Pause => {}
                }
            }
            Err(error) if is_gone(error) => {
                self.tell_lost(shared, error);
                self.halt(shared, Stop::Lost);
            }
            Err(_) => {}
        }
    }

    /// With what is known of the handler.
    async fn send(&self, shared: &Shared, request: Extend) -> Result<Extended> {
        let handler = self.handler(shared);
        let extended = shared.kurultai.tasks().renew(Extend { handler, ..request }).await;
        if extended.is_ok() && handler == Handler::Resumed {
            self.stalled.store(false, Ordering::SeqCst);
        }
        extended
    }

    /// Renews the lease; where the store cannot, tries again for as long as the lease surely holds.
    pub(super) async fn renew(self: &Arc<Self>, shared: &Shared) {
        let (lease, until) = lock(&self.lease).clone();
        let renewed = timeout_at(until.into(), async {
            loop {
                let trusted = self.capped(monotonic() + shared.trusted());
                let request = Extend { ttl: Some(shared.settings.lease), ..Extend::new(lease.clone()) };
                let extended = self.send(shared, request).await;
                self.note(shared, &extended, Some(trusted));
                match extended {
                    Err(error) if !is_gone(&error) && self.renewable() => {
                        tracing::warn!(%error, task = lease.task_id, "the lease was not renewed; trying again");
                        // Never longer than the first time: the lease runs meanwhile.
                        Backoff::default().wait(&error).await;
                    }
                    _ => return,
                }
            }
        });
        if renewed.await.is_err() {
            self.tell_lost(shared, &Error::lease_lost("the lease could not be renewed in time"));
            self.halt(shared, Stop::Lost);
        }
    }

    /// Ends the attempt and gives back its place, unless the call itself is refused. What the store may do later is
    /// repeated until the lease is lost.
    pub(super) async fn end(&self, shared: &Shared, outcome: Outcome) -> Result<Finished> {
        let _turn = self.turn.lock().await;
        if self.cut_short.load(Ordering::SeqCst) {
            self.leave();
            let task = &lock(&self.lease).0.task_id;
            return Err(Error::lease_lost(format!(
                "the attempt at task {task} had been ended as failed; nothing was stored"
            )));
        }
        match self.finish(shared, outcome).await {
            Err(error) if error.kind() == Kind::Input => Err(error),
            ended => {
                self.let_go(shared);
                self.leave();
                ended
            }
        }
    }

    async fn finish(&self, shared: &Shared, outcome: Outcome) -> Result<Finished> {
        let mut backoff = Backoff::default();
        loop {
            let lease = lock(&self.lease).0.clone();
            match shared.kurultai.tasks().finish(&lease, outcome.clone()).await {
                Err(error) if error.retryable() && self.may_yet_end() && !shared.closing() => {
                    tracing::warn!(%error, task = lease.task_id, "the task was not ended; trying again");
                    backoff.wait(&error).await;
                }
                Ok(finished) => {
                    if !self.over() {
                        shared.settings.listener.ended(&self.task, &outcome, &finished);
                    }
                    return Ok(finished);
                }
                Err(error) => {
                    if is_gone(&error) {
                        self.tell_lost(shared, &error);
                    }
                    return Err(error);
                }
            }
        }
    }

    pub(super) fn renewable(&self) -> bool {
        !self.over() && !self.lost() && !self.cut_short.load(Ordering::SeqCst)
    }
}

/// Whether this lease finishes nothing any more, by what the store says or since it was closed.
pub(super) fn is_gone(error: &Error) -> bool {
    matches!(error.kind(), Kind::LeaseLost | Kind::NotFound) || is_closed(error)
}

pub(super) fn is_closed(error: &Error) -> bool {
    error.kind() == Kind::Closed
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

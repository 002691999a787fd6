//! One claimed task: what a handler may ask of it, and the right to end it.

use super::{
    attempt::{Stop, lock},
    ended::{Ended, Limits, refused},
    held::Held,
    messages::Incoming,
};
use crate::{
    check,
    clock::monotonic,
    error::{Kind, Result},
    json::Json,
    kurultai::Kurultai,
    messages::Unread,
    tasks::{
        Claimed, Enqueued, Extended, Failure, Finished, Lease, NewTask, Outcome, Prerequisite, Usage,
        contract::Extend,
    },
};
use std::{fmt, ops::Deref, sync::Arc};

/// What a handler can ask and tell while it works. Cheap to clone; ends nothing.
#[derive(Clone)]
pub struct Context {
    /// What was claimed.
    pub task: Arc<Claimed>,
    held: Arc<Held>,
}

/// A claimed task and the right to end it. Its lease is renewed until it ends; dropped before, it is released. It takes up
/// one of its agent's places until a call ends it or it is dropped, also where the loop has ended the attempt.
pub struct Job(Context);

impl Job {
    pub(super) fn new(held: Arc<Held>) -> Self {
        Job(Context { task: held.task.clone(), held })
    }

    /// What this attempt may take. Its time counts from this call, and the loop keeps it: when it is over the attempt has
    /// failed, [`stopped`](Context::stopped) says [`Stop::Timeout`], and whatever ends the job later is `lease.lost`.
    pub fn limit(&self, limits: Limits) {
        *lock(&self.held.limits) = limits;
        *lock(&self.held.sign) = monotonic();
        self.held.limit_time(limits.timeout.filter(|limit| *limit <= check::LONGEST));
    }

    /// Ends the attempt as its handler ended, with the usage that the context was told. Whatever the handler did, the
    /// attempt is over afterwards and counted; repeats what the store could not do, as long as the lease holds.
    ///
    /// Errors: `lease.lost` (nothing was stored), or why the store could not; its lease is renewed no more. Cancel safe:
    /// a dropped call may still have ended the task.
    pub async fn end(&self, ended: Ended) -> Result<Finished> {
        let held = &self.held;
        let (limits, usage) = (*lock(&held.limits), *lock(&held.usage));
        let ended = match held.end(ended.outcome(self.attempt(), limits, usage)).await {
            Err(error) if error.kind() == Kind::Input => held.end(refused(&error)).await,
            ended => ended,
        };
        if ended.is_err() {
            held.let_go();
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
        self.held.end(Outcome::Complete { results: results.into(), usage }).await
    }

    /// Ends this attempt badly: the task is tried again after a back-off, or goes to the dead letters. Errors,
    /// repetition and cancel safety as [`complete`](Self::complete).
    pub async fn fail(&self, mut failure: Failure) -> Result<Finished> {
        failure.usage = failure.usage.or(*lock(&self.held.usage));
        self.held.end(Outcome::Fail(failure)).await
    }

    /// Gives the task back at once; the attempt does not count. Errors, repetition and cancel safety as
    /// [`complete`](Self::complete).
    pub async fn release(&self) -> Result<Finished> {
        self.held.end(Outcome::Release).await
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
        if self.held.over() || self.held.at.vanished() {
            self.held.leave();
            return;
        }
        let held = self.held.clone();
        let runtime = held.at.runtime.clone();
        runtime.spawn(async move {
            if let Err(error) = held.end(Outcome::Release).await {
                tracing::debug!(%error, "a dropped job was not released");
            }
        });
    }
}

impl Context {
    /// Waits until the work must stop and says why. The first reason stays. Cancel safe.
    pub async fn stopped(&self) -> Stop {
        self.held.stopped().await
    }

    /// Says that the handler is alive, and nothing else: for work that neither notes progress nor stores checkpoints. No
    /// statement is sent for it, so it may be called as often as one likes.
    pub fn alive(&self) {
        *lock(&self.held.sign) = monotonic();
    }

    /// Why the work must stop, if it must: [`stopped`](Self::stopped) without waiting. A sign of life.
    pub fn stop(&self) -> Option<Stop> {
        self.alive();
        self.held.look()
    }

    /// What the author of the cancellation gave as its reason, once [`stop`](Self::stop) is [`Stop::Cancelled`].
    pub fn stop_reason(&self) -> Option<String> {
        lock(&self.held.reason).clone()
    }

    /// Whether a drain has begun: the agent takes no more tasks, and what runs has its grace to end.
    pub fn is_draining(&self) -> bool {
        self.held.at.is_draining()
    }

    /// Waits until a drain begins; [`stopped`](Self::stopped) is told only when its grace is over. Cancel safe.
    pub async fn draining(&self) {
        self.held.at.drained().await;
    }

    /// The team that the agent works for.
    pub fn team(&self) -> &Kurultai {
        self.alive();
        &self.held.at.kurultai
    }

    /// Enqueues a part of this task: its parent is this one, whatever it said, and unless it says otherwise it is
    /// delegated by this agent. Errors and cancel safety as [`Tasks::enqueue`](crate::tasks::Tasks::enqueue).
    pub async fn enqueue(&self, mut task: NewTask) -> Result<Enqueued> {
        self.alive();
        task.parent_id = Some(self.task.id.clone());
        task.delegated_by.get_or_insert_with(|| self.held.at.settings.agent.clone());
        self.team().tasks().enqueue(task).await
    }

    /// Who runs the handler knows that it must stop. Where nobody says so for some seconds, it is a warning in the log.
    #[doc(hidden)]
    pub fn take_up(&self) {
        self.held.take_up();
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
        let extended = self.held.send(request).await;
        self.held.note(&extended, None);
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

    /// The messages for its agent, one after the other, in the middle of the task; see [`Incoming`]. [`unread`](Self::unread)
    /// says whether it is worth a look. Types for which the agent has handlers of their own go to whoever is first. A sign of
    /// life.
    pub fn messages(&self) -> Incoming {
        self.alive();
        Incoming::new(self.clone(), &self.held.at.settings.agent)
    }

    /// The lease as it was last renewed.
    pub fn lease(&self) -> Lease {
        lock(&self.held.lease).0.clone()
    }

    /// The messages that waited for its agent when the lease was last renewed; nothing before. A sign of life.
    pub fn unread(&self) -> Unread {
        self.alive();
        *lock(&self.held.unread)
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
        format!("{}/{}", self.held.at.kurultai.namespace(), self.task.id)
    }
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

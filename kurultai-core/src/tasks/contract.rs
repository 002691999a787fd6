//! The store's contract for tasks: many requests in, one answer each out.
//!
//! `enqueue`, `claim`, `extend` and `finish` are the hot four, each one transaction; a store closes their batch when it
//! is ready for it. Everything else that moves a
//! task reads its [`Facts`], lets a pure rule decide a [`Change`], and applies it behind a fence.

use super::{
    adoption::{AdoptOptions, Adoption},
    new_task::*,
    requests::Filter,
    types::*,
};
pub use crate::batch::Batch;
use crate::{
    clock::Micros,
    error::Result,
    json::{Json, MAX_BYTES},
};
use async_trait::async_trait;
use std::{fmt, time::Duration};

/// One answer a request, in order. A refused request is its own answer, never an error of its neighbours.
#[derive(Debug)]
pub struct Answers<T> {
    pub each: Vec<Result<T>>,
    /// The store has left work for itself: call `due` and settle it.
    pub overdue: bool,
}

/// A page of a list, what one request claims, and the prerequisites' results of that end where they have so many bytes:
/// each language has an answer in memory whole, and several times while it is read.
pub const ANSWER_BYTES: usize = 16 << 20;
/// So many tasks have fewer bytes in any case.
pub const FEW_TASKS: usize = ANSWER_BYTES / MAX_BYTES;

#[async_trait]
pub trait TaskQueue: fmt::Debug + Send + Sync {
    /// Each unit is added whole or not at all; all units are one transaction.
    async fn enqueue(&self, units: Batch<Vec<NewTask>>) -> Result<Answers<Vec<Enqueued>>>;

    async fn claim(&self, requests: Batch<ClaimRequest>) -> Result<Answers<Vec<Claimed>>>;

    async fn extend(&self, requests: Batch<Extend>) -> Result<Answers<Extended>>;

    /// No two of a batch name the same task.
    async fn finish(&self, finishes: Batch<Finish>) -> Result<Answers<Finished>>;

    /// What a rule needs to know of each task; `None` where there is no such task.
    async fn facts(&self, ids: Vec<String>) -> Result<Vec<Option<Facts>>>;

    /// Applies each change whose fence holds, in one transaction, and says which did. A task that ends unblocks
    /// its dependents in the same transaction. No two of a batch name the same task.
    async fn apply(&self, changes: Vec<Change>) -> Result<Applied>;

    /// The first tasks whose `due_at` has come, oldest first. Those whose time-outs are kept by the range come when no
    /// others are there, in portions.
    async fn due(&self, limit: usize) -> Result<Due>;

    /// Adds an edge to a task that is there already. Returns whether work is overdue.
    async fn add_dependency(&self, dependent: &str, dependency: Dependency) -> Result<bool>;

    /// Stops or starts giving out a task type; an empty type is the whole namespace.
    async fn pause(&self, task_type: &str, paused: bool) -> Result<()>;

    /// The paused types, in order; an empty one is the whole namespace.
    async fn paused(&self) -> Result<Vec<String>>;

    async fn get(&self, ids: Vec<String>) -> Result<Vec<Option<Task>>>;

    async fn list(&self, filter: Filter) -> Result<Page>;

    async fn prerequisites(&self, id: &str) -> Result<Vec<Prerequisite>>;

    async fn children(&self, id: &str) -> Result<Vec<Prerequisite>>;

    async fn stats(&self) -> Result<Stats>;

    /// Raises what has waited longer than `span` a rank, at most `limit` tasks.
    async fn age(&self, span: Duration, limit: usize) -> Result<usize>;

    /// Removes at most `limit` finished tasks and events older than the given spans; returns how many went.
    async fn sweep(&self, tasks: Option<Duration>, events: Option<Duration>, limit: usize) -> Result<usize>;

    /// Draws who claimed and who completed a task, from at most `limit` events of the log; returns how many it looked
    /// at. A store whose tables tell it has nothing to draw.
    async fn draw_edges(&self, _limit: usize) -> Result<usize> {
        Ok(0)
    }

    /// Takes over tasks and agents that other programs wrote under the contract's names.
    async fn adopt(&self, options: AdoptOptions) -> Result<Adoption>;
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimRequest {
    pub agent: String,
    pub max: usize,
    /// `None` for every type.
    pub types: Option<Vec<String>>,
    pub lease: Duration,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Extend {
    pub lease: Lease,
    /// The lease then lasts at least this long from now; never shorter than before.
    pub ttl: Option<Duration>,
    pub progress: Option<f64>,
    pub checkpoint: Option<Json>,
}

/// How a group of tasks stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Not finished.
    pub live: u32,
    pub completed: u32,
    /// Dead, cancelled or expired.
    pub failed: u32,
}

/// What a rule needs to know of a task; read in one statement. Times are the store's.
#[derive(Debug, Clone, PartialEq)]
pub struct Facts {
    pub now: Micros,
    pub id: String,
    /// Grows with each change: the fence of decisions that were made outside the transaction.
    pub revision: i64,
    pub status: Status,
    pub claim_id: Option<String>,
    pub claimed_by: Option<String>,
    pub lease_expires_at: Option<Micros>,
    pub attempts: u32,
    pub max_attempts: u32,
    pub retry: RetryPolicy,
    /// Whether it has a `claim_key` now.
    pub claimable: bool,
    pub run_at: Option<Micros>,
    pub expires_at: Option<Micros>,
    /// `expires_at` is set anew to this much after it becomes claimable; `None` where `expires_at` is fixed or
    /// absent.
    pub timeout: Option<Micros>,
    /// `cancel` or `suspend`, asked for while it was held.
    pub control: Option<Signal>,
    pub on_prerequisite_failure: OnPrerequisiteFailure,
    pub wait_for: WaitFor,
    /// Those of its `blocks` edges.
    pub prerequisites: Tally,
    pub children: Tally,
    /// How many of its errors are leases that ran out.
    pub lapses: u32,
    /// A later task has taken its unique key.
    pub gave_up_key: bool,
}

impl Tally {
    /// Of statuses separated by commas.
    pub fn of(statuses: Option<&str>) -> Self {
        let mut tally = Tally::default();
        for status in statuses.into_iter().flat_map(|all| all.split(',')) {
            match status.parse() {
                Ok(Status::Completed) => tally.completed += 1,
                Ok(status) if Status::is_finished(status) => tally.failed += 1,
                _ => tally.live += 1,
            }
        }
        tally
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fence {
    /// Nothing has changed the task since its facts were read.
    Revision(i64),
    /// Nor has time: the lease of this claim is still live.
    Lease { claim: String, revision: i64 },
}

/// A task's next state, whole: what is `None` becomes absent, except `results` and `usage`, which then stay.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    pub id: String,
    pub fence: Fence,
    pub status: Status,
    pub claimable: bool,
    pub run_at: Option<Micros>,
    pub expires_at: Option<Micros>,
    pub due_at: Option<Micros>,
    pub attempts: u32,
    /// Whether the claim id stays, so that a repeated finish is recognised. The lease itself ends unless the
    /// status is `in_progress`.
    pub keep_claim: bool,
    pub control: Option<Signal>,
    /// Appended to the task's errors.
    pub error: Option<TaskError>,
    pub results: Option<Json>,
    pub usage: Option<Usage>,
    /// The event, if it is one.
    pub topic: Option<&'static str>,
    pub source: Option<String>,
    pub reason: Option<String>,
}

impl Change {
    /// What its event tells besides the topic.
    pub fn payload(&self) -> Option<String> {
        let reason = self.reason.as_ref()?;
        Some(serde_json::json!({"attempt": self.attempts, "reason": reason}).to_string())
    }
}

#[derive(Debug)]
pub struct Applied {
    /// Whether each change's fence held.
    pub held: Vec<bool>,
    pub overdue: bool,
}

#[derive(Debug)]
pub struct Due {
    pub ids: Vec<String>,
    /// Some of them are due because of a change that is done, and not because of the time.
    pub marked: bool,
}

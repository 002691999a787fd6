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
    agents::Term,
    clock::{Micros, time},
    error::Result,
    json::{Json, MAX_BYTES},
    messages::contract::Post,
    store::Sealed,
};
use async_trait::async_trait;
use std::{fmt, time::Duration};

/// One answer a request, in order. A refused request is its own answer, never an error of its neighbours.
#[derive(Debug)]
pub struct Answers<T> {
    /// One answer a request, in the order of the requests.
    pub each: Vec<Result<T>>,
    /// The store has left work for itself: call `due` and settle it.
    pub overdue: bool,
}

/// A page of a list, what one request claims, and the prerequisites' results of that end where they have so many bytes:
/// each language has an answer in memory whole, and several times while it is read.
pub(crate) const ANSWER_BYTES: usize = 16 << 20;
/// So many tasks have fewer bytes in any case.
pub(crate) const FEW_TASKS: usize = ANSWER_BYTES / MAX_BYTES;

/// What a store does for the queue. Sealed: the library brings its stores.
#[async_trait]
pub trait TaskQueue: Sealed + fmt::Debug + Send + Sync {
    /// Each unit is added whole or not at all; all units are one transaction. No task has more than `max_depth` tasks
    /// above it.
    async fn enqueue(&self, units: Batch<Vec<NewTask>>, max_depth: u32) -> Result<Answers<Vec<Enqueued>>>;

    /// The same for one unit, where whoever acts under the term still holds the role: `role.stale_term` otherwise, and
    /// nothing is added.
    async fn enqueue_under(
        &self,
        unit: Vec<NewTask>,
        max_depth: u32,
        under: Term,
    ) -> Result<Answers<Vec<Enqueued>>>;

    /// Gives each request the most urgent tasks that its agent may have, under a lease each.
    async fn claim(&self, requests: Batch<ClaimRequest>) -> Result<Answers<Vec<Claimed>>>;

    /// Lets each lease last longer, where it is still the task's live one, and says what its holder should do.
    async fn extend(&self, requests: Batch<ExtendRequest>) -> Result<Answers<Extended>>;

    /// No two of a batch name the same task. What was put off `max_snoozes` times fails when it is put off once more.
    async fn finish(&self, finishes: Batch<Finish>, max_snoozes: u32) -> Result<Answers<Finished>>;

    /// What a rule needs to know of each task; `None` where there is no such task.
    async fn facts(&self, ids: Vec<String>) -> Result<Vec<Option<Facts>>>;

    /// Applies each change whose fence holds, in one transaction, and says which did. A task that ends unblocks
    /// its dependents in the same transaction. No two of a batch name the same task.
    async fn apply(&self, changes: Vec<Change>) -> Result<Applied>;

    /// Changes what somebody said of a task, where its fence holds and so does the term under which it is done, if there is
    /// one, and with it its place in the order, its route and its times. A rank never falls below that of what waits for the
    /// task, and what it waits for rises with it.
    async fn update(&self, rewrite: Rewrite) -> Result<Applied>;

    /// Gives tasks to agents, each together with the message that tells the agent, in one transaction, where whoever acts
    /// under the term still holds the role. Returns which were so: not where somebody has changed the task meanwhile, the
    /// agent was told before, or its inbox is full. No two of a batch name the same task.
    async fn delegate(&self, delegations: Vec<Delegation>, by: &str, under: &Term) -> Result<Vec<bool>>;

    /// The first tasks whose `due_at` has come, oldest first. Those whose time-outs are kept by the range come when no
    /// others are there, in portions.
    async fn due(&self, limit: usize) -> Result<Due>;

    /// Adds an edge to a task that is there already. Returns whether work is overdue.
    async fn add_dependency(&self, dependent: &str, dependency: Dependency) -> Result<bool>;

    /// Stops or starts giving out a task type; an empty type is the whole namespace.
    async fn pause(&self, task_type: &str, paused: bool) -> Result<()>;

    /// Pauses the whole namespace for this reason, and asks the holders of at most `limit` tasks to cancel whom nobody
    /// has asked, in one transaction; returns how many. A stop that is there already keeps its reason and its event.
    async fn stop(&self, reason: &str, limit: usize) -> Result<usize>;

    /// Ends the pause of the whole namespace, with an event where it was a stop.
    async fn start(&self) -> Result<()>;

    /// The paused types, in order; an empty one is the whole namespace.
    async fn paused(&self) -> Result<Vec<String>>;

    /// The tasks of these ids, in their order; `None` where there is none.
    async fn get(&self, ids: Vec<String>) -> Result<Vec<Option<Task>>>;

    /// A page of the tasks that match, in the order of their ids.
    async fn list(&self, filter: Filter) -> Result<Page>;

    /// What a task waits for or is fed by, with results, in the order of their ids.
    async fn prerequisites(&self, id: &str) -> Result<Vec<Prerequisite>>;

    /// The tasks whose parent it is, with results, in the order of their ids.
    async fn children(&self, id: &str) -> Result<Vec<Prerequisite>>;

    /// The ids of a task and of all below it, each parent before its children; empty where there is no such task.
    async fn tree(&self, id: &str) -> Result<Vec<String>>;

    /// The task that has this unique key.
    async fn find(&self, unique_key: &str) -> Result<Option<Task>>;

    /// How much waits and how much has failed, counted no further than to `most`: what a watcher asks at each check.
    async fn burden(&self, most: usize) -> Result<Burden>;

    /// Counts, waits and what is paused.
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

/// How much waits and how much has failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Burden {
    /// How many tasks can be claimed now.
    pub ready: u64,
    /// How many are dead letters.
    pub dead_letters: u64,
    /// How many of those are of the highest priority.
    pub urgent: u64,
    /// The emergency stop, where there is one.
    pub stopped: Option<EmergencyStop>,
}

/// What one caller wants to claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimRequest {
    /// Who claims.
    pub agent: String,
    /// At most so many tasks.
    pub max: usize,
    /// `None` for every type.
    pub types: Option<Vec<String>>,
    /// How long the leases last.
    pub lease: Duration,
}

/// What a holder says, and whether its progress is an event too.
#[derive(Debug, Clone, PartialEq)]
pub struct ExtendRequest {
    /// What it says.
    pub extend: Extend,
    /// Whether `task.progress` is written.
    pub announce: bool,
}

/// What the holder of a lease says of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Extend {
    /// Which one.
    pub lease: Lease,
    /// The lease then lasts at least this long from now; never shorter than before.
    pub ttl: Option<Duration>,
    /// How far the work is, 0 to 1.
    pub progress: Option<f64>,
    /// Where the next attempt can go on.
    pub checkpoint: Option<Json>,
    /// How its handler does.
    pub handler: Handler,
}

impl Extend {
    /// Says nothing but that its holder is there.
    pub fn new(lease: Lease) -> Self {
        Extend { lease, ttl: None, progress: None, checkpoint: None, handler: Handler::default() }
    }
}

/// What the holder of a lease knows of its handler.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Handler {
    /// As far as it knows it works: the renewal is a sign of work of its agent.
    #[default]
    Works,
    /// It has shown no sign of life for so long. The lease is renewed, but that is no sign of work; the first time it
    /// is the event `agent.stuck`.
    Stalled(Duration),
    /// It was stalled and has shown a sign of life again.
    Resumed,
}

/// How a group of tasks stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Not finished.
    pub live: u32,
    /// Completed.
    pub completed: u32,
    /// Dead, cancelled or expired.
    pub failed: u32,
}

/// What a rule needs to know of a task; read in one statement. Times are the store's.
#[derive(Debug, Clone, PartialEq)]
pub struct Facts {
    /// The store's time when they were read.
    pub now: Micros,
    /// The task's id.
    pub id: String,
    /// What kind of work it is.
    pub task_type: String,
    /// Grows with each change: the fence of decisions that were made outside the transaction.
    pub revision: i64,
    /// Where it stands.
    pub status: Status,
    /// The claim that holds it, or that ended it.
    pub claim_id: Option<String>,
    /// Who holds it.
    pub claimed_by: Option<String>,
    /// Since when.
    pub claimed_at: Option<Micros>,
    /// When its lease ends, where it is held.
    pub lease_expires_at: Option<Micros>,
    /// How long one attempt may take.
    pub max_runtime: Option<Micros>,
    /// How many attempts were counted.
    pub attempts: u32,
    /// How many it may have.
    pub max_attempts: u32,
    /// How long it waits between them.
    pub retry: RetryPolicy,
    /// Whether it has a `claim_key` now.
    pub claimable: bool,
    /// When it may start.
    pub run_at: Option<Micros>,
    /// When it expires if nobody has claimed it.
    pub expires_at: Option<Micros>,
    /// `expires_at` is set anew to this much after it becomes claimable; `None` where `expires_at` is fixed or
    /// absent.
    pub timeout: Option<Micros>,
    /// `cancel` or `suspend`, asked for while it was held. It stays where the holder of a parent completes its part, and
    /// so tells that end from a failure.
    pub control: Option<Signal>,
    /// What it does when a prerequisite comes to nothing.
    pub on_prerequisite_failure: OnPrerequisiteFailure,
    /// How many of its children it waits for.
    pub wait_for: WaitFor,
    /// Those of its `blocks` edges.
    pub prerequisites: Tally,
    /// Those whose parent it is.
    pub children: Tally,
    /// How many of its errors are leases that ran out.
    pub lapses: u32,
    /// A later task has taken its unique key.
    pub gave_up_key: bool,
    /// How often its attempts were put off.
    pub snoozes: u32,
}

impl Tally {
    /// Of statuses separated by commas.
    pub(crate) fn of(statuses: Option<&str>) -> Self {
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

/// The topic of a snooze.
pub(crate) const SNOOZED: &str = "task.snoozed";

/// What must still be so when a change is applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fence {
    /// Nothing has changed the task since its facts were read.
    Revision(i64),
    /// Nor has time: the lease of this claim is still live.
    Lease {
        /// The claim id.
        claim: String,
        /// The task's when its facts were read.
        revision: i64,
    },
}

/// A task's next state, whole: what is `None` becomes absent, except `results` and `usage`, which then stay.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// Which task.
    pub id: String,
    /// What must still be so.
    pub fence: Fence,
    /// What it becomes.
    pub status: Status,
    /// Whether it can be claimed now.
    pub claimable: bool,
    /// When it may start.
    pub run_at: Option<Micros>,
    /// When it expires.
    pub expires_at: Option<Micros>,
    /// When the store looks at it by itself.
    pub due_at: Option<Micros>,
    /// How many attempts count from now on.
    pub attempts: u32,
    /// How often its attempts were put off from now on, where that changes.
    pub snoozes: Option<u32>,
    /// Whether the claim id stays, so that a repeated finish is recognised. The lease itself ends unless the
    /// status is `in_progress`.
    pub keep_claim: bool,
    /// What its holder is asked to do.
    pub control: Option<Signal>,
    /// Appended to the task's errors.
    pub error: Option<TaskError>,
    /// What it is completed with, or what a failed attempt had achieved.
    pub results: Option<Json>,
    /// What the attempt has cost.
    pub usage: Option<Usage>,
    /// The event, if it is one.
    pub topic: Option<&'static str>,
    /// Who caused it.
    pub source: Option<String>,
    /// Why.
    pub reason: Option<String>,
}

impl Facts {
    /// The answer to a finish that this task knows already.
    pub(crate) fn finished(&self, outcome: &Outcome) -> Finished {
        let run_at = self.run_at.filter(|_| self.status == Status::Pending).map(time);
        let failed = matches!(outcome, Outcome::Fail(_));
        Finished { id: self.id.clone(), status: self.status, repeated: true, run_at, failed }
    }
}

impl Change {
    /// The answer to the finish that this is.
    pub(crate) fn finished(&self) -> Finished {
        let run_at = self.run_at.filter(|_| self.status == Status::Pending).map(time);
        let failed = self.error.is_some();
        Finished { id: self.id.clone(), status: self.status, repeated: false, run_at, failed }
    }

    /// Whether its holder is asked to stop now, and may ask why.
    pub(crate) fn asks_to_cancel(&self) -> bool {
        self.topic == Some("task.cancel_requested")
    }

    /// What its event tells besides the topic.
    pub(crate) fn payload(&self) -> Option<String> {
        if self.topic == Some(SNOOZED) {
            let until = self.run_at.map(time);
            return Some(serde_json::json!({"until": until, "snoozes": self.snoozes}).to_string());
        }
        Some(told_why(self.attempts, self.reason.as_ref()?))
    }
}

/// What an event of an attempt tells that has a reason.
pub(crate) fn told_why(attempt: u32, reason: &str) -> String {
    serde_json::json!({"attempt": attempt, "reason": reason}).to_string()
}

/// What became of changes.
#[derive(Debug)]
pub struct Applied {
    /// Whether each change's fence held.
    pub held: Vec<bool>,
    /// The store has left work for itself: call `due` and settle it.
    pub overdue: bool,
}

/// Tasks that the store should look at now.
#[derive(Debug)]
pub struct Due {
    /// In the order of their times.
    pub ids: Vec<String>,
    /// Some of them are due because of a change that is done, and not because of the time.
    pub marked: bool,
}

/// What is written of a task: `None` stays as it is.
#[derive(Debug, Clone, PartialEq)]
pub struct Rewrite {
    pub(crate) id: String,
    /// The fence.
    pub(crate) revision: i64,
    pub(crate) title: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) payload: Option<Json>,
    /// Priority and weight, where one of them has changed. Its age stays, and so does a rank that something urgent
    /// waits for.
    pub(crate) order: Option<(Priority, f64)>,
    pub(crate) assigned_to: Option<Option<String>>,
    /// The key of its route, where that is another one.
    pub(crate) route: Option<String>,
    pub(crate) timing: Option<Timing>,
    pub(crate) topic: &'static str,
    pub(crate) source: Option<String>,
    /// The event's.
    pub(crate) told: String,
    /// The term under which it is done.
    pub(crate) under: Option<Term>,
}

/// A task on its way to an agent, and the message that tells the agent of it. One of the two is new.
#[derive(Debug, Clone)]
pub struct Delegation {
    pub(crate) task: String,
    /// The fence.
    pub(crate) revision: i64,
    /// What is written where it is assigned now; it may have been assigned before.
    pub(crate) assign: Option<Rewrite>,
    /// With a dedupe key; `None` where the agent was told before.
    pub(crate) post: Option<Post>,
}

/// When a new task can be claimed, and how long it waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Timing {
    pub(crate) claimable: bool,
    pub(crate) run_at: Option<Micros>,
    pub(crate) expires_at: Option<Micros>,
    pub(crate) timeout: Option<Micros>,
    pub(crate) due_at: Option<Micros>,
}

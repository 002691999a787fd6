//! The words of the room, as users see them; [`new_task`](super::new_task) has those of an enqueue.

use crate::{
    error::{Error, Result},
    json::Json,
    words::words,
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr, time::Duration};

words! {
    /// What an edge between two tasks means.
    DependencyType, "dependency type" {
        /// The dependent waits.
        Blocks = "blocks",
        /// The result is handed over if it is there; nobody waits.
        FeedsInto = "feeds_into",
        /// For readers only.
        ParallelOk = "parallel_ok",
    }
}

words! {
    /// Where a task stands.
    Status, "status" {
        /// Waits for its prerequisites or its children.
        Blocked = "blocked",
        /// Can be claimed, now or at `run_at`.
        Pending = "pending",
        /// Held under a lease.
        InProgress = "in_progress",
        Completed = "completed",
        /// Out of attempts, or failed for good; `requeue` or `discard` it.
        DeadLetter = "dead_letter",
        Cancelled = "cancelled",
        /// Waited longer than it was allowed to.
        Expired = "expired",
        /// Paused by somebody; `resume` it.
        Suspended = "suspended",
        PendingReview = "pending_review",
    }
}

impl Status {
    /// Nothing more happens to it by itself.
    pub fn is_finished(self) -> bool {
        matches!(self, Status::Completed | Status::DeadLetter | Status::Cancelled | Status::Expired)
    }
}

/// P0 is served first. Also read from the words critical, urgent, high, normal, medium, low and backlog.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub enum Priority {
    P0,
    P1,
    #[default]
    P2,
    P3,
}

impl Priority {
    pub const ALL: [Priority; 4] = [Priority::P0, Priority::P1, Priority::P2, Priority::P3];

    pub fn as_str(self) -> &'static str {
        ["P0", "P1", "P2", "P3"][self as usize]
    }

    pub(crate) fn of_rank(rank: i64) -> Self {
        Priority::ALL[rank.clamp(0, 3) as usize]
    }
}

impl fmt::Display for Priority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Priority {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text.to_ascii_lowercase().as_str() {
            "p0" | "critical" | "urgent" => Ok(Priority::P0),
            "p1" | "high" => Ok(Priority::P1),
            "p2" | "normal" | "medium" => Ok(Priority::P2),
            "p3" | "low" | "backlog" => Ok(Priority::P3),
            _ => Err(Error::invalid(
                "priority",
                text,
                "P0 P1 P2 P3, critical, urgent, high, normal, medium, low, backlog",
            )),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Enqueued {
    pub id: String,
    /// True where the task was there already, by its unique key or id; nothing was added.
    pub deduplicated: bool,
}

/// The right to finish a task. `version` only grows, also over a requeue: pass it to other systems as the
/// fencing token. `to_string` gives the compact form that `parse` reads.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Lease {
    pub task_id: String,
    pub claim_id: String,
    pub version: i64,
    pub attempt: u32,
    /// By the store's clock.
    pub expires_at: DateTime<Utc>,
}

impl fmt::Display for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Lease { task_id, claim_id, version, attempt, expires_at } = self;
        write!(f, "{claim_id}:{version}:{attempt}:{}:{task_id}", expires_at.timestamp_micros())
    }
}

impl FromStr for Lease {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let bad = || Error::invalid("lease token", text, "the string that `claim` gave");
        let parts: Vec<&str> = text.splitn(5, ':').collect();
        let [claim_id, version, attempt, expires, task_id] = parts[..] else { return Err(bad()) };
        Ok(Lease {
            task_id: task_id.to_owned(),
            claim_id: claim_id.to_owned(),
            version: version.parse().map_err(|_| bad())?,
            attempt: attempt.parse().map_err(|_| bad())?,
            expires_at: expires.parse().ok().and_then(DateTime::from_timestamp_micros).ok_or_else(bad)?,
        })
    }
}

/// A task as its claimer gets it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Claimed {
    pub id: String,
    #[serde(rename = "type")]
    pub task_type: String,
    pub title: String,
    pub description: String,
    pub payload: Json,
    pub priority: Priority,
    pub attempt: u32,
    pub max_attempts: u32,
    pub delegated_by: Option<String>,
    pub parent_id: Option<String>,
    /// What an earlier attempt left.
    pub checkpoint: Option<Json>,
    /// The results of the tasks it waited for or is fed by.
    pub prerequisites: Vec<Prerequisite>,
    pub lease: Lease,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Prerequisite {
    pub id: String,
    pub dependency_type: DependencyType,
    pub status: Status,
    /// `None` where there are none yet, or where they are `omitted`.
    pub results: Option<Json>,
    /// Its results were left out, because those of the claim had more than 16 MiB without them; `get` has them.
    pub omitted: bool,
}

/// What work has cost.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Usage {
    pub tokens: u64,
    pub cost: f64,
    pub seconds: f64,
}

impl Usage {
    /// Whether it can be stored. Errors: `input.invalid`.
    pub fn check(&self) -> Result<()> {
        if self.tokens > i64::MAX as u64 {
            return Err(Error::invalid("usage.tokens", self.tokens, "at most 2^63 - 1"));
        }
        for (field, value) in [("usage.cost", self.cost), ("usage.seconds", self.seconds)] {
            if !(value.is_finite() && value >= 0.0) {
                return Err(Error::invalid(field, value, "a finite number, 0 or more"));
            }
        }
        Ok(())
    }
}

/// How an attempt ends.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    Complete {
        results: Json,
        usage: Option<Usage>,
    },
    Fail(Failure),
    /// Back to the queue; does not count as an attempt.
    Release,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Failure {
    pub error: String,
    pub kind: FailureKind,
    /// False sends it to the dead letters at once.
    pub retryable: bool,
    /// Instead of the back-off of its policy.
    pub retry_after: Option<Duration>,
    /// What was achieved nevertheless; kept with the task.
    pub results: Option<Json>,
    pub usage: Option<Usage>,
}

impl Failure {
    pub fn new(error: impl Into<String>) -> Self {
        Failure {
            error: error.into(),
            kind: FailureKind::Failed,
            retryable: true,
            retry_after: None,
            results: None,
            usage: None,
        }
    }

    pub fn fatal(error: impl Into<String>) -> Self {
        Failure { retryable: false, ..Failure::new(error) }
    }

    pub fn retry_after(mut self, pause: Duration) -> Self {
        self.retry_after = Some(pause);
        self
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct Finish {
    pub lease: Lease,
    pub outcome: Outcome,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finished {
    pub id: String,
    pub status: Status,
    /// True where the same lease had ended it so before: what is stored is the first.
    pub repeated: bool,
}

/// What a holder learns when it extends its lease.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Extended {
    pub lease: Lease,
    pub signal: Signal,
}

words! {
    /// What the holder of a lease should do now.
    Signal, "signal" {
        Continue = "continue",
        /// Somebody cancelled the task: stop and release it.
        Cancel = "cancel",
        /// Somebody suspended the task: stop and release it.
        Suspend = "suspend",
        /// The task's type or the whole namespace is paused: finish or release, nothing new is given out.
        Pause = "pause",
    }
}

/// The whole task.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Task {
    pub id: String,
    #[serde(rename = "type")]
    pub task_type: String,
    pub title: String,
    pub description: String,
    pub status: Status,
    pub priority: Priority,
    pub priority_weight: f64,
    pub payload: Json,
    pub required_capabilities: Vec<String>,
    pub preferred_capabilities: Vec<String>,
    pub assigned_to: Option<String>,
    pub delegated_by: Option<String>,
    pub parent_id: Option<String>,
    pub unique_key: Option<String>,
    pub depends_on: Vec<String>,
    pub run_at: Option<DateTime<Utc>>,
    pub expires_at: Option<DateTime<Utc>>,
    pub attempts: u32,
    pub max_attempts: u32,
    pub claimed_by: Option<String>,
    pub claimed_at: Option<DateTime<Utc>>,
    pub lease_version: i64,
    pub lease_expires_at: Option<DateTime<Utc>>,
    pub progress: Option<f64>,
    pub checkpoint: Option<Json>,
    pub results: Option<Json>,
    pub error_message: Option<String>,
    pub errors: Vec<TaskError>,
    pub usage: Option<Usage>,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    pub completed_at: Option<DateTime<Utc>>,
}

impl Task {
    /// What of it may be long.
    pub(crate) fn bytes(&self) -> usize {
        let json = |json: &Option<Json>| json.as_ref().map_or(0, |json| json.as_str().len());
        let errors: usize = self.errors.iter().map(|error| error.error.len()).sum();
        let texts = self.payload.as_str().len() + self.title.len() + self.description.len();
        texts + json(&self.results) + json(&self.checkpoint) + errors
    }
}

words! {
    /// Why an attempt failed.
    FailureKind, "kind" {
        /// Its holder said so.
        Failed = "failed",
        /// Its handler took longer than it may.
        Timeout = "timeout",
        /// Its lease ran out: the holder died, hangs, or has lost the store.
        Lapsed = "lapsed",
    }
}

/// One failed attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskError {
    pub attempt: u32,
    pub agent: Option<String>,
    #[serde(default = "failed", deserialize_with = "kind")]
    pub kind: FailureKind,
    pub error: String,
    pub at: DateTime<Utc>,
}

/// What an entry says that was written before there were kinds.
fn failed() -> FailureKind {
    FailureKind::Failed
}

/// A word of a later version must not hide the error that it stands with.
fn kind<'de, D: serde::Deserializer<'de>>(word: D) -> Result<FailureKind, D::Error> {
    Ok(String::deserialize(word)?.parse().unwrap_or(FailureKind::Failed))
}

/// A page of a list; give `next` as the filter's cursor for the next one. It may have fewer tasks than asked for where
/// they have 16 MiB.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Page {
    pub tasks: Vec<Task>,
    pub next: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Stats {
    pub by_status: std::collections::BTreeMap<Status, u64>,
    /// How long the oldest task that can be claimed has waited.
    pub oldest_pending_seconds: Option<f64>,
    /// From claimable to claimed, over the last 1,000 completed tasks among the newest 20,000 events.
    pub wait_seconds: Percentiles,
    /// From claimed to completed, over the same tasks.
    pub run_seconds: Percentiles,
    /// Paused task types; an empty name stands for the whole namespace.
    pub paused: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Percentiles {
    pub p50: f64,
    pub p95: f64,
    pub p99: f64,
}

impl Percentiles {
    /// Of spans in microseconds, in seconds.
    pub(crate) fn of(mut spans: Vec<i64>) -> Self {
        spans.sort_unstable();
        let at = |share: f64| match spans.len() {
            0 => 0.0,
            count => spans[((count - 1) as f64 * share).round() as usize].max(0) as f64 / 1e6,
        };
        Percentiles { p50: at(0.5), p95: at(0.95), p99: at(0.99) }
    }
}

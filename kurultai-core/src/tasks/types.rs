//! The words of the room, as users see them; [`new_task`](super::new_task) has those of an enqueue.

use crate::{
    error::{Error, Result},
    json::Json,
    messages::Unread,
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
    /// Before everything else. Read from `critical` and `urgent` too.
    P0,
    /// Soon. Read from `high` too.
    P1,
    /// When there is time. Read from `normal` and `medium` too.
    #[default]
    P2,
    /// Some day; what waits long rises. Read from `low` and `backlog` too.
    P3,
}

impl Priority {
    /// All four, the most urgent first.
    pub const ALL: [Priority; 4] = [Priority::P0, Priority::P1, Priority::P2, Priority::P3];

    /// `P0` to `P3`
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

/// The answer to an enqueue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enqueued {
    /// The task's id, also where it was there already.
    pub id: String,
    /// True where the task was there already, by its unique key or id; nothing was added.
    pub deduplicated: bool,
}

/// The right to finish a task. `version` only grows, also over a requeue: pass it to other systems as the
/// fencing token. `to_string` gives the compact form that `parse` reads, and that is its JSON.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Lease {
    /// Which task.
    pub task_id: String,
    /// Which claim of it: what tells this lease from the ones before.
    pub claim_id: String,
    /// Grows with each claim of the task: the fencing token for other systems.
    pub version: i64,
    /// Which attempt it is, from 1.
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

impl Serialize for Lease {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Lease {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// A task as its claimer gets it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Claimed {
    /// Which task.
    pub id: String,
    /// What kind of work it is.
    #[serde(rename = "type")]
    pub task_type: String,
    /// A line for people.
    pub title: String,
    /// More for people.
    pub description: String,
    /// What the author gave.
    pub payload: Json,
    /// How urgent it is.
    pub priority: Priority,
    /// Which attempt this is, from 1.
    pub attempt: u32,
    /// How many it may have.
    pub max_attempts: u32,
    /// How long the attempt may take; the store keeps it.
    #[serde(default, with = "crate::json::seconds")]
    pub max_runtime: Option<Duration>,
    /// How often its attempts were put off before.
    pub snoozes: u32,
    /// Who gave it on.
    pub delegated_by: Option<String>,
    /// The task whose part it is.
    pub parent_id: Option<String>,
    /// What its chain of work is known by: its author's word, or else the parent's, or else its own id.
    pub correlation_id: String,
    /// What an earlier attempt left.
    pub checkpoint: Option<Json>,
    /// The results of the tasks it waited for or is fed by.
    pub prerequisites: Vec<Prerequisite>,
    /// The right to end it: every call that does names it.
    pub lease: Lease,
}

/// A task that another one waits for or is fed by.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Prerequisite {
    /// Its id.
    pub id: String,
    /// What the edge means.
    pub dependency_type: DependencyType,
    /// Where it stands.
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
    /// Tokens of a model, in and out.
    pub tokens: u64,
    /// Money, in the team's currency.
    pub cost: f64,
    /// Time of the work itself.
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
#[non_exhaustive]
pub enum Outcome {
    /// The work is done.
    Complete {
        /// What came of it: any JSON, at most 1 MiB.
        results: Json,
        /// What it has cost.
        usage: Option<Usage>,
    },
    /// It failed.
    Fail(Failure),
    /// Back to the queue; does not count as an attempt.
    Release,
    /// Back to the queue for a while; does not count as an attempt, but as one of its snoozes, of which
    /// [`max_snoozes`](crate::config::TaskDefaults::max_snoozes) are allowed (100); one more has failed.
    Snooze {
        /// When to go on, from now.
        after: Duration,
    },
}

/// Why an attempt failed, and what follows.
#[derive(Debug, Clone, PartialEq)]
pub struct Failure {
    /// What went wrong, for people; beyond 16 KiB its end is kept.
    pub error: String,
    /// Why: it failed, timed out, lapsed, stalled, or ran longer than it may.
    pub kind: FailureKind,
    /// False sends it to the dead letters at once.
    pub retryable: bool,
    /// Instead of the back-off of its policy.
    pub retry_after: Option<Duration>,
    /// What was achieved nevertheless; kept with the task.
    pub results: Option<Json>,
    /// What the attempt has cost.
    pub usage: Option<Usage>,
}

impl Failure {
    /// A failure after which the task is tried again while it has attempts.
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

    /// A failure that no attempt will mend: the task goes to the dead letters.
    pub fn fatal(error: impl Into<String>) -> Self {
        Failure { retryable: false, ..Failure::new(error) }
    }

    /// When to try again, instead of after the back-off.
    pub fn retry_after(mut self, pause: Duration) -> Self {
        self.retry_after = Some(pause);
        self
    }
}

/// How one attempt ends.
#[derive(Debug, Clone, PartialEq)]
pub struct Finish {
    /// Which lease ends.
    pub lease: Lease,
    /// How.
    pub outcome: Outcome,
}

/// How a task stands after a finish.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finished {
    /// Which task.
    pub id: String,
    /// Where it stands now.
    pub status: Status,
    /// True where the same lease had ended it so before: what is stored is the first.
    pub repeated: bool,
    /// When it can be claimed again, where it went back to the queue.
    pub run_at: Option<DateTime<Utc>>,
    /// Whether the attempt counts as failed, as after a snooze too many too.
    pub failed: bool,
}

/// What a holder learns when it extends its lease.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extended {
    /// With its new end.
    pub lease: Lease,
    /// What the holder should do.
    pub signal: Signal,
    /// Why its task was cancelled, where it was and the reason was given.
    pub reason: Option<String>,
    /// The messages that its agent would be given now, at most 100 of them.
    pub unread: Unread,
}

words! {
    /// What the holder of a lease should do now.
    #[non_exhaustive]
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
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Task {
    /// Its id.
    pub id: String,
    /// What kind of work it is.
    #[serde(rename = "type")]
    pub task_type: String,
    /// A line for people.
    pub title: String,
    /// More for people.
    pub description: String,
    /// Where it stands.
    pub status: Status,
    /// How urgent it is.
    pub priority: Priority,
    /// Within its priority, 0 to 1: the heavier comes first.
    pub priority_weight: f64,
    /// What the author gave.
    pub payload: Json,
    /// What an agent must be able to do to claim it.
    pub required_capabilities: Vec<String>,
    /// What an agent had better be able to do.
    pub preferred_capabilities: Vec<String>,
    /// The only agent that may claim it.
    pub assigned_to: Option<String>,
    /// Who gave it on.
    pub delegated_by: Option<String>,
    /// The task whose part it is.
    pub parent_id: Option<String>,
    /// What its chain of work is known by: its author's word, or else the parent's, or else its own id.
    pub correlation_id: String,
    /// At most one waiting, running or completed task has it.
    pub unique_key: Option<String>,
    /// The tasks it has an edge to.
    pub depends_on: Vec<String>,
    /// When it may start, or since when it could be claimed.
    pub run_at: Option<DateTime<Utc>>,
    /// When it expires if nobody has claimed it.
    pub expires_at: Option<DateTime<Utc>>,
    /// How many attempts were counted.
    pub attempts: u32,
    /// How many it may have.
    pub max_attempts: u32,
    /// How long one attempt may take; the store keeps it. `None` for as long as its lease is renewed.
    #[serde(default, with = "crate::json::seconds")]
    pub max_runtime: Option<Duration>,
    /// How often its attempts were put off, since it was enqueued or requeued.
    pub snoozes: u32,
    /// Who holds it, or held it last.
    pub claimed_by: Option<String>,
    /// When it was claimed last.
    pub claimed_at: Option<DateTime<Utc>>,
    /// Grows with each claim: the fencing token.
    pub lease_version: i64,
    /// When the lease ends, where it is held.
    pub lease_expires_at: Option<DateTime<Utc>>,
    /// How far the work is, 0 to 1.
    pub progress: Option<f64>,
    /// Where the next attempt can go on.
    pub checkpoint: Option<Json>,
    /// What came of it.
    pub results: Option<Json>,
    /// What went wrong last.
    pub error_message: Option<String>,
    /// Each failed attempt.
    pub errors: Vec<TaskError>,
    /// What its attempts have cost.
    pub usage: Option<Usage>,
    /// When it was enqueued.
    pub created_at: DateTime<Utc>,
    /// When it changed last.
    pub updated_at: DateTime<Utc>,
    /// When it ended, in whatever way.
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
    #[non_exhaustive]
    FailureKind, "kind" {
        /// Its holder said so.
        Failed = "failed",
        /// Its handler took longer than it may.
        Timeout = "timeout",
        /// Its lease ran out: the holder died, hangs, or has lost the store.
        Lapsed = "lapsed",
        /// Its handler showed no sign of life for as long as it may be silent, and was let go.
        Stalled = "stalled",
        /// It took longer than the task's `max_runtime`.
        MaxRuntime = "max_runtime",
    }
}

/// One failed attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskError {
    /// Which one, from 1.
    pub attempt: u32,
    /// Who made it.
    pub agent: Option<String>,
    /// Why: it failed, timed out, lapsed, stalled, or ran longer than it may.
    #[serde(default = "failed", deserialize_with = "kind")]
    pub kind: FailureKind,
    /// What went wrong.
    pub error: String,
    /// When.
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
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Page {
    /// In the order of their ids.
    pub tasks: Vec<Task>,
    /// The cursor of the next page; `None` on the last.
    pub next: Option<String>,
}

/// How the queue stands.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Stats {
    /// How many tasks there are in each status; none is left out as 0.
    pub by_status: std::collections::BTreeMap<Status, u64>,
    /// How long the oldest task that can be claimed has waited.
    pub oldest_pending_seconds: Option<f64>,
    /// From claimable to claimed, over the last 1,000 completed tasks among the newest 20,000 events.
    pub wait_seconds: Percentiles,
    /// From claimed to completed, over the same tasks.
    pub run_seconds: Percentiles,
    /// How many expired in the last 24 hours: nobody claimed them in time.
    pub expired_last_day: u64,
    /// Paused task types; an empty name stands for the whole namespace.
    pub paused: Vec<String>,
    /// The emergency stop, where there is one: then the whole namespace is paused.
    pub stopped: Option<EmergencyStop>,
}

/// An emergency stop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EmergencyStop {
    /// Why, for people.
    pub reason: String,
    /// Since when.
    pub at: DateTime<Utc>,
}

impl EmergencyStop {
    /// What people are told.
    pub(crate) fn text(&self) -> String {
        format!("everything is stopped: {}", self.reason)
    }
}

/// Spans in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Percentiles {
    /// Half of them took no longer.
    pub p50: f64,
    /// 95 of 100 took no longer.
    pub p95: f64,
    /// 99 of 100 took no longer.
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

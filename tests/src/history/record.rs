//! A call, as it was asked and answered.

use super::log::Event;
use crate::chaos::Result;
use kurultai_core::tasks::{Lease, Signal, Status};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Nanoseconds of CLOCK_MONOTONIC.
pub type Nanos = u64;

pub fn nanos(seconds: f64) -> Nanos {
    (seconds * 1e9) as Nanos
}

/// What a participant can be told; the fields are those of `tests/history/README.md`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "do", content = "with", rename_all = "snake_case")]
pub enum Op {
    Register { agent: String },
    Enqueue { tasks: Vec<Spec> },
    Claim { agent: String, types: Option<Vec<String>>, max: usize, lease: f64, wait: f64 },
    Complete { lease: String, results: u64 },
    Fail { lease: String, retryable: bool },
    Release { lease: String },
    Extend { lease: String, ttl: f64 },
    Cancel { task: String },
    Suspend { task: String },
    Resume { task: String },
    Requeue { task: String },
    Discard { task: String },
    Depend { task: String, on: String },
    Get { task: String },
    List { status: Option<Status>, limit: usize },
    Read { after: i64, topic: Option<String>, task: Option<String>, limit: usize, wait: f64 },
    LastSeq {},
    Serve { agent: String, r#type: String },
    Look { file: String },
    Close {},
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Spec {
    pub id: String,
    pub r#type: String,
    pub payload: u64,
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub depends_on: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub parent: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub unique_key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub expires_in: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub retry: Option<Retry>,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Retry {
    pub base: f64,
    pub cap: f64,
}

/// A task as `get` and `list` show it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Seen(pub String, pub Status, pub i64, pub Option<String>);

/// A claimed task: id, version, lease.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Taken(pub String, pub i64, pub String);

#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    Enqueued(Vec<(String, bool)>),
    Claimed(Vec<Taken>),
    Finished {
        status: Status,
        repeated: bool,
    },
    Extended(Signal),
    Status(Status),
    Seen(Vec<Seen>),
    Read(Vec<Event>),
    LastSeq(i64),
    Nothing,
    /// An error after which nothing has changed, by its code.
    Refused(String),
}

#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    Answered(Nanos, Answer),
    /// `store.outcome_unknown`, or the process was killed: it may have happened, now or later.
    Unknown,
    /// Its process lived to the end and never said anything.
    Missing,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// Which participant, in which life: `python-2.1`.
    pub by: String,
    pub op: Op,
    pub called: Nanos,
    pub outcome: Outcome,
}

impl Call {
    pub fn answered(&self) -> Option<(Nanos, &Answer)> {
        match &self.outcome {
            Outcome::Answered(at, answer) => Some((*at, answer)),
            _ => None,
        }
    }

    /// Whether it has, or may have, done something.
    pub fn may_have_happened(&self) -> bool {
        !matches!(self.outcome, Outcome::Answered(_, Answer::Refused(_)))
    }

    /// The task and the version of the lease that it is about.
    pub fn lease(&self) -> Option<(String, i64)> {
        match &self.op {
            Op::Complete { lease, .. }
            | Op::Fail { lease, .. }
            | Op::Release { lease }
            | Op::Extend { lease, .. } => {
                let lease: Lease = lease.parse().ok()?;
                Some((lease.task_id, lease.version))
            }
            _ => None,
        }
    }

    /// The one task that it is about.
    pub fn task(&self) -> Option<String> {
        match &self.op {
            Op::Cancel { task }
            | Op::Suspend { task }
            | Op::Resume { task }
            | Op::Requeue { task }
            | Op::Discard { task }
            | Op::Depend { task, .. }
            | Op::Get { task } => Some(task.clone()),
            _ => self.lease().map(|(task, _)| task),
        }
    }

    /// The task that it is about, or the first of them.
    pub fn first_task(&self) -> Option<String> {
        match &self.op {
            Op::Enqueue { tasks } => tasks.first().map(|spec| spec.id.clone()),
            _ => self.task(),
        }
    }

    /// Whether a task's story is incomplete without it.
    pub fn concerns(&self, task: &str) -> bool {
        let claimed = match &self.outcome {
            Outcome::Answered(_, Answer::Claimed(taken)) => taken.iter().any(|taken| taken.0 == task),
            Outcome::Answered(_, Answer::Enqueued(all)) => all.iter().any(|(id, _)| id == task),
            _ => false,
        };
        let named = match &self.op {
            Op::Enqueue { tasks } => tasks.iter().any(|spec| spec.id == task),
            Op::Depend { on, .. } if on == task => true,
            _ => self.task().is_some_and(|named| named == task),
        };
        claimed || named
    }
}

impl Op {
    /// What its answer means.
    pub fn read(&self, ok: Value) -> Result<Answer> {
        Ok(match self {
            Op::Enqueue { .. } => Answer::Enqueued(serde_json::from_value(ok)?),
            Op::Claim { .. } => Answer::Claimed(serde_json::from_value(ok)?),
            Op::Complete { .. } | Op::Fail { .. } | Op::Release { .. } => {
                let (status, repeated) = serde_json::from_value(ok)?;
                Answer::Finished { status, repeated }
            }
            Op::Extend { .. } => Answer::Extended(serde_json::from_value(ok)?),
            Op::Cancel { .. }
            | Op::Suspend { .. }
            | Op::Resume { .. }
            | Op::Requeue { .. }
            | Op::Discard { .. } => Answer::Status(serde_json::from_value(ok)?),
            Op::Get { .. } => Answer::Seen(vec![serde_json::from_value(ok)?]),
            Op::List { .. } => Answer::Seen(serde_json::from_value(ok)?),
            Op::Read { .. } => Answer::Read(serde_json::from_value(ok)?),
            Op::LastSeq {} => Answer::LastSeq(serde_json::from_value(ok)?),
            Op::Register { .. } | Op::Depend { .. } | Op::Serve { .. } | Op::Look { .. } | Op::Close {} => {
                Answer::Nothing
            }
        })
    }
}

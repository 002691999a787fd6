//! A task to enqueue, and what its author can say of it.

use super::types::{DependencyType, Priority};
use crate::{ids, json::Json, words::words};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use std::time::Duration;

words! {
    /// What becomes of a task when a prerequisite, or a child, ends without being completed.
    OnPrerequisiteFailure, "on_prerequisite_failure" {
        /// It stays blocked until somebody requeues the prerequisite or cancels it. The default.
        Block = "block",
        Cancel = "cancel",
        /// The failed one counts as met.
        Continue = "continue",
    }
}

/// How many of its children a parent waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WaitFor {
    /// Every child.
    #[default]
    All,
    /// One child.
    Any,
    /// So many children.
    Quorum(u32),
}

/// Back-off between attempts: `base` doubles each time up to `cap`, and the wait is drawn evenly from zero to
/// that (full jitter).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetryPolicy {
    /// The wait after the first failure; doubled after each further one. Default 60 s.
    pub base: Duration,
    /// The longest wait. Default 1 h.
    pub cap: Duration,
    /// Whether the wait is drawn at random between zero and that. Default true.
    pub jitter: bool,
}

impl Default for RetryPolicy {
    /// 60 s, 1 h, full jitter.
    fn default() -> Self {
        RetryPolicy { base: Duration::from_secs(60), cap: Duration::from_secs(3600), jitter: true }
    }
}

/// How long a task may wait to be claimed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Expiry {
    /// As the configuration says; 30 minutes where it says nothing.
    #[default]
    Default,
    /// It waits for ever.
    Never,
    /// Counted from when it can be claimed: not while it is blocked, scheduled or backing off.
    After(Duration),
    /// At this time, whatever it waits for; in the years 1970 to 9999, kept to the microsecond.
    At(DateTime<Utc>),
}

/// When a task can be claimed at the earliest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Start {
    /// As soon as it can.
    #[default]
    Now,
    /// So long after the enqueue.
    After(Duration),
    /// At this time.
    At(DateTime<Utc>),
}

/// What a task waits for, or is told of.
#[derive(Debug, Clone, PartialEq)]
pub struct Dependency {
    /// The task before, by its id or unique key.
    pub prerequisite: String,
    /// What the edge means.
    pub dependency_type: DependencyType,
    /// How important it is, for people and for other programs; nothing is decided by it.
    pub weight: Option<f64>,
    /// Who found it, where it was not the author.
    pub detected_by: Option<String>,
}

impl Dependency {
    /// An edge to this task.
    pub fn new(prerequisite: impl Into<String>, dependency_type: DependencyType) -> Self {
        Dependency { prerequisite: prerequisite.into(), dependency_type, weight: None, detected_by: None }
    }
}

impl<S: Into<String>> From<S> for Dependency {
    fn from(prerequisite: S) -> Self {
        Dependency::new(prerequisite, DependencyType::Blocks)
    }
}

/// A task to enqueue. Its id is made here, so that other tasks of the same batch can depend on it and an enqueue
/// whose answer was lost can be repeated.
#[derive(Debug, Clone, PartialEq)]
pub struct NewTask {
    /// Made here, or given: at most 128 characters, unique in the namespace.
    pub id: String,
    /// What kind of work it is: `review`. Agents claim and handle by it.
    pub task_type: String,
    /// A line for people; the type where none is given.
    pub title: String,
    /// More for people.
    pub description: String,
    /// What the handler gets: any JSON, at most 1 MiB.
    pub payload: Json,
    /// P0 comes first; default P2.
    pub priority: Priority,
    /// 0 to 1, higher first within a priority.
    pub priority_weight: f64,
    /// Who claims it must have all of these.
    pub required_capabilities: Vec<String>,
    /// Within a priority and weight, an agent takes tasks that prefer its capabilities first.
    pub preferred_capabilities: Vec<String>,
    /// Only this agent may claim it.
    pub assigned_to: Option<String>,
    /// Who gave it on.
    pub delegated_by: Option<String>,
    /// The task whose part it is: that one completes when its children have.
    pub parent_id: Option<String>,
    /// What its chain of work is known by in events and to its handler, at most 128 characters. Default the parent's, and
    /// without a parent the task's own id.
    pub correlation_id: Option<String>,
    /// How many of its children this task waits for.
    pub wait_for: WaitFor,
    /// What it waits for.
    pub depends_on: Vec<Dependency>,
    /// What it does when a prerequisite comes to nothing. Default: it stays blocked.
    pub on_prerequisite_failure: OnPrerequisiteFailure,
    /// At most one waiting, running or completed task has this key.
    pub unique_key: Option<String>,
    /// When it may start. Default at once.
    pub start: Start,
    /// How long it may wait to be claimed. Default 30 minutes, or TASK_TIMEOUT_MINUTES.
    pub expiry: Expiry,
    /// How many attempts it may have, 1 to 1,000. Default 3, or TASK_QUEUE_MAX_RETRIES.
    pub max_attempts: Option<u32>,
    /// How long one attempt may take, by the store's clock: its lease never lasts longer, however often it is renewed, and
    /// then the attempt has failed. At least 1 s. Default as long as its lease is renewed.
    pub max_runtime: Option<Duration>,
    /// How long it waits between attempts. Default as the team is configured; 60 s doubled up to 1 h, full jitter.
    pub retry: Option<RetryPolicy>,
}

impl NewTask {
    /// A task of this type, with a new id and every default.
    pub fn new(task_type: impl Into<String>) -> Self {
        NewTask {
            id: ids::new_id(),
            task_type: task_type.into(),
            title: String::new(),
            description: String::new(),
            payload: Json::default(),
            priority: Priority::default(),
            priority_weight: 0.5,
            required_capabilities: vec![],
            preferred_capabilities: vec![],
            assigned_to: None,
            delegated_by: None,
            parent_id: None,
            correlation_id: None,
            wait_for: WaitFor::default(),
            depends_on: vec![],
            on_prerequisite_failure: OnPrerequisiteFailure::Block,
            unique_key: None,
            start: Start::default(),
            expiry: Expiry::default(),
            max_attempts: None,
            max_runtime: None,
            retry: None,
        }
    }

    /// A line for people.
    pub fn title(mut self, title: impl Into<String>) -> Self {
        self.title = title.into();
        self
    }

    /// More for people.
    pub fn description(mut self, description: impl Into<String>) -> Self {
        self.description = description.into();
        self
    }

    /// What the handler gets.
    pub fn payload(mut self, payload: impl Into<Json>) -> Self {
        self.payload = payload.into();
        self
    }

    /// P0 comes first.
    pub fn priority(mut self, priority: Priority) -> Self {
        self.priority = priority;
        self
    }

    /// Within a priority, 0 to 1: the heavier comes first. Default 0.5.
    pub fn priority_weight(mut self, weight: f64) -> Self {
        self.priority_weight = weight;
        self
    }

    /// Capabilities that an agent must have, all of them, to claim it.
    pub fn requires<S: Into<String>>(mut self, capabilities: impl IntoIterator<Item = S>) -> Self {
        self.required_capabilities.extend(capabilities.into_iter().map(Into::into));
        self
    }

    /// Capabilities that an agent had better have: among equals it goes to who has more of them.
    pub fn prefers<S: Into<String>>(mut self, capabilities: impl IntoIterator<Item = S>) -> Self {
        self.preferred_capabilities.extend(capabilities.into_iter().map(Into::into));
        self
    }

    /// Only this agent may claim it.
    pub fn assigned_to(mut self, agent: impl Into<String>) -> Self {
        self.assigned_to = Some(agent.into());
        self
    }

    /// Who gave it on.
    pub fn delegated_by(mut self, agent: impl Into<String>) -> Self {
        self.delegated_by = Some(agent.into());
        self
    }

    /// The task whose part it is.
    pub fn parent(mut self, parent: impl Into<String>) -> Self {
        self.parent_id = Some(parent.into());
        self
    }

    /// What its chain of work is known by; children have it by themselves.
    pub fn correlation_id(mut self, id: impl Into<String>) -> Self {
        self.correlation_id = Some(id.into());
        self
    }

    /// How many children this task waits for before it completes.
    pub fn wait_for(mut self, wait_for: WaitFor) -> Self {
        self.wait_for = wait_for;
        self
    }

    /// Waits for these. For another edge than `blocks`, give a [`Dependency`].
    pub fn depends_on<D: Into<Dependency>>(mut self, prerequisites: impl IntoIterator<Item = D>) -> Self {
        self.depends_on.extend(prerequisites.into_iter().map(Into::into));
        self
    }

    /// What it does when a prerequisite comes to nothing.
    pub fn on_prerequisite_failure(mut self, policy: OnPrerequisiteFailure) -> Self {
        self.on_prerequisite_failure = policy;
        self
    }

    /// A second task of this key is not made: the first one's id is the answer. A task that was cancelled, expired or
    /// went to the dead letters gives its key to the next one; a completed one keeps it until retention removes it.
    pub fn unique_key(mut self, key: impl Into<String>) -> Self {
        self.unique_key = Some(key.into());
        self
    }

    /// Not before this time, in the years 1970 to 9989; kept to the microsecond.
    pub fn run_at(mut self, time: DateTime<Utc>) -> Self {
        self.start = Start::At(time);
        self
    }

    /// May start so long after the enqueue.
    pub fn delay(mut self, delay: Duration) -> Self {
        self.start = Start::After(delay);
        self
    }

    /// How long it may wait to be claimed.
    pub fn expiry(mut self, expiry: Expiry) -> Self {
        self.expiry = expiry;
        self
    }

    /// How many attempts it may have, 1 to 1,000.
    pub fn max_attempts(mut self, attempts: u32) -> Self {
        self.max_attempts = Some(attempts);
        self
    }

    /// One attempt may take so long, at least 1 s; the store keeps it.
    pub fn max_runtime(mut self, longest: Duration) -> Self {
        self.max_runtime = Some(longest);
        self
    }

    /// How long it waits between attempts.
    pub fn retry(mut self, retry: RetryPolicy) -> Self {
        self.retry = Some(retry);
        self
    }
}

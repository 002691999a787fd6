//! What a call asks for: what to claim, how to cancel, what to list.

use super::types::Status;
use std::time::Duration;

/// What to claim. `Claim::new("temujin")` takes one task of any type and does not wait.
#[derive(Debug, Clone, PartialEq)]
pub struct Claim {
    /// Who claims; it must be registered.
    pub agent: String,
    /// 1 to 1,000. Default 1.
    pub max: usize,
    /// `None`, the default, is every type.
    pub types: Option<Vec<String>>,
    /// How long the lease lasts without renewal. Default 30 s.
    pub lease: Option<Duration>,
    /// How long to wait for work where there is none. Default zero.
    pub wait: Duration,
    /// What the store may do later is tried again until `wait` is over, with a warning in the log, instead of ending the
    /// call: for loops that go on through an outage. Default false.
    pub persistent: bool,
}

impl Claim {
    /// One task of any type, without waiting.
    pub fn new(agent: impl Into<String>) -> Self {
        Claim {
            agent: agent.into(),
            max: 1,
            types: None,
            lease: None,
            wait: Duration::ZERO,
            persistent: false,
        }
    }

    /// At most so many tasks, 1 to 1,000.
    pub fn max(mut self, max: usize) -> Self {
        self.max = max;
        self
    }

    /// Only these types.
    pub fn types<S: Into<String>>(mut self, types: impl IntoIterator<Item = S>) -> Self {
        self.types = Some(types.into_iter().map(Into::into).collect());
        self
    }

    /// How long the lease lasts without renewal, 0.1 to 86,400 s.
    pub fn lease(mut self, lease: Duration) -> Self {
        self.lease = Some(lease);
        self
    }

    /// How long to wait for work where there is none; at most a day.
    pub fn wait(mut self, wait: Duration) -> Self {
        self.wait = wait;
        self
    }

    /// Whether outages of the store are waited out.
    pub fn persistent(mut self, persistent: bool) -> Self {
        self.persistent = persistent;
        self
    }
}

/// How to cancel a task. A reason, or `None`, stands for that alone.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Cancel {
    /// Why, for people and the log.
    pub reason: Option<String>,
    /// Also all tasks below it. Default false.
    pub children: bool,
}

impl Cancel {
    /// The task alone, without a reason.
    pub fn new() -> Self {
        Cancel::default()
    }

    /// Why, for people and the log.
    pub fn reason(mut self, reason: impl Into<String>) -> Self {
        self.reason = Some(reason.into());
        self
    }

    /// Whether all tasks below it are cancelled too.
    pub fn children(mut self, children: bool) -> Self {
        self.children = children;
        self
    }
}

impl From<Option<&str>> for Cancel {
    fn from(reason: Option<&str>) -> Self {
        Cancel { reason: reason.map(str::to_owned), children: false }
    }
}

impl From<&str> for Cancel {
    fn from(reason: &str) -> Self {
        Cancel::new().reason(reason)
    }
}

/// What to list; every field that is given must match. Tasks come in the order of their ids, which is the order
/// in which they were made.
#[derive(Debug, Clone, PartialEq)]
pub struct Filter {
    /// Where they stand.
    pub status: Option<Status>,
    /// Of this type.
    pub task_type: Option<String>,
    /// For this agent alone.
    pub assigned_to: Option<String>,
    /// Held by this agent, or ended by it.
    pub claimed_by: Option<String>,
    /// Parts of this task.
    pub parent_id: Option<String>,
    /// `next` of the page before.
    pub cursor: Option<String>,
    /// 1 to 1,000. Default 100.
    pub limit: usize,
}

impl Default for Filter {
    fn default() -> Self {
        Filter {
            status: None,
            task_type: None,
            assigned_to: None,
            claimed_by: None,
            parent_id: None,
            cursor: None,
            limit: 100,
        }
    }
}

impl Filter {
    /// Whether anything is said of the tasks.
    pub(super) fn is_given(&self) -> bool {
        let Filter { status, task_type, assigned_to, claimed_by, parent_id, cursor: _, limit: _ } = self;
        status.is_some()
            || [task_type, assigned_to, claimed_by, parent_id].iter().any(|field| field.is_some())
    }
}

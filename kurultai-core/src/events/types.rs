use crate::json::Json;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The highest number that an event can have.
pub(crate) const MOST_EVENTS: i64 = 1 << 44;

/// Something that happened, as the log has it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Grows in commit order within the namespace, without a gap.
    pub seq: i64,
    /// `task.` and what happened: enqueued, unblocked, claimed, progress (with how far it is), released, snoozed (until
    /// when, and how often that makes it), failed (and will be tried again), lapsed (a lease ran out, and it will be
    /// tried again), completed, dead_letter, cancelled, expired, waiting (for its children), suspended, resumed,
    /// requeued, discarded, updated, reprioritized, assigned (with what was changed), blocked, cancel_requested,
    /// suspend_requested, adopted (with what it was before); or `agent.` and registered, adopted, stuck (a handler of it
    /// shows no sign of life), dead (a watcher has declared it so; its tasks are in the queue again), recovered; or one under
    /// which users publish.
    pub topic: String,
    /// The agent, where one caused it.
    pub source: Option<String>,
    /// The task it is about, where it is about one.
    pub task_id: Option<String>,
    /// Its task's type, where it is about one.
    pub task_type: Option<String>,
    /// What it belongs to: as it was published with, else that of its task, where it is about one.
    pub correlation_id: Option<String>,
    /// What the topic alone does not say, such as the reason of a failure.
    pub payload: Option<Json>,
    /// When its transaction was made, by the store's clock.
    pub created_at: DateTime<Utc>,
}

/// What a read has found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EventPage {
    /// Those that match, oldest first.
    pub events: Vec<Event>,
    /// Read on with this as `after_seq`: every event up to here was looked at, whether it matched or not.
    pub next: i64,
}

impl IntoIterator for EventPage {
    type Item = Event;
    type IntoIter = std::vec::IntoIter<Event>;

    fn into_iter(self) -> Self::IntoIter {
        self.events.into_iter()
    }
}

/// What to read; every field that is given must match.
#[derive(Debug, Clone, PartialEq)]
pub struct EventFilter {
    /// Only later ones. 0, the default, is the first that the log still has.
    pub after_seq: i64,
    /// Dotted, at most 64 words; `*` is one word, `**` any number: `task.*`.
    pub topic: Option<String>,
    /// Only those that this agent caused.
    pub source: Option<String>,
    /// Only those about this task.
    pub task_id: Option<String>,
    /// Only those about tasks of this type.
    pub task_type: Option<String>,
    /// Not before this time.
    pub since: Option<DateTime<Utc>>,
    /// 1 to 10,000. Default 1,000.
    pub limit: usize,
    /// How long to wait for an event where none matches yet. Default zero.
    pub wait: Duration,
}

impl Default for EventFilter {
    fn default() -> Self {
        EventFilter {
            after_seq: 0,
            topic: None,
            source: None,
            task_id: None,
            task_type: None,
            since: None,
            limit: 1_000,
            wait: Duration::ZERO,
        }
    }
}

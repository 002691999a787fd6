use super::{filter::Conditions, rules};
use crate::{
    check,
    clock::{Micros, duration, time},
    error::{Error, Result},
    events::{MOST_EVENTS, topic::Pattern},
    json::{Json, seconds},
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Where a subscription begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Start {
    /// With what happens from now on.
    #[default]
    Now,
    /// Behind the event of this number; 0 for the first that the log has.
    After(i64),
    /// With the first event that is not from before this time.
    Since(DateTime<Utc>),
}

/// A reader that the store remembers.
///
/// ```
/// use kurultai_core::events::NewSubscription;
/// use std::time::Duration;
///
/// let answers = NewSubscription::new("discord", "chat.message").agent("jochi").quiet(Duration::from_secs(2));
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct NewSubscription {
    /// Its name, 1 to 128 characters. A subscription of the same name is defined anew, and goes on where it was.
    pub name: String,
    /// Dotted, at most 64 words; `*` is one word, `**` any number: `deploy.**`.
    pub topic: String,
    /// Whose it is.
    pub agent: Option<String>,
    /// Only events that this agent caused.
    pub source: Option<String>,
    /// Only events of which this holds: `{"all": [["payload.pr", "exists"], ["payload.n", "gt", 3]]}`, or `any`. Operators
    /// `eq`, `in`, `exists`, and of two numbers or two texts `lt` and `gt`; fields `topic`, `source`, `task_id`, `task_type`,
    /// `correlation_id` and what is in the payload. At most 32 conditions.
    pub filter: Option<Json>,
    /// Where it begins, where there is none of this name yet.
    pub start: Start,
    /// Events are given together so long after the first of them. Default zero: as they come.
    pub batch: Duration,
    /// Events are given together once none has come for so long; with `batch`, that is the longest that the first of them
    /// waits. Default zero.
    pub quiet: Duration,
}

impl NewSubscription {
    /// From now on, as they come.
    pub fn new(name: impl Into<String>, topic: impl Into<String>) -> Self {
        NewSubscription {
            name: name.into(),
            topic: topic.into(),
            agent: None,
            source: None,
            filter: None,
            start: Start::Now,
            batch: Duration::ZERO,
            quiet: Duration::ZERO,
        }
    }

    /// Whose it is.
    pub fn agent(mut self, agent: impl Into<String>) -> Self {
        self.agent = Some(agent.into());
        self
    }

    /// Only events that this agent caused.
    pub fn source(mut self, agent: impl Into<String>) -> Self {
        self.source = Some(agent.into());
        self
    }

    /// Only events of which this holds.
    pub fn filter(mut self, filter: impl Into<Json>) -> Self {
        self.filter = Some(filter.into());
        self
    }

    /// Where it begins.
    pub fn start(mut self, start: Start) -> Self {
        self.start = start;
        self
    }

    /// Events are given together so long after the first of them.
    pub fn batch(mut self, window: Duration) -> Self {
        self.batch = window;
        self
    }

    /// Events are given together once none has come for so long.
    pub fn quiet(mut self, quiet: Duration) -> Self {
        self.quiet = quiet;
        self
    }

    pub(super) fn check(&self) -> Result<()> {
        check::text("name", &self.name, 128)?;
        check::text("topic", &self.topic, 256)?;
        Pattern::new(&self.topic)?;
        for (field, agent) in [("agent", &self.agent), ("source", &self.source)] {
            agent.as_deref().map_or(Ok(()), |agent| check::agent(field, agent))?;
        }
        if let Some(filter) = &self.filter {
            filter.check()?;
            Conditions::read(filter)?;
        }
        check::span("batch", self.batch)?;
        check::span("quiet", self.quiet)?;
        check_start("start", self.start)
    }
}

/// Also of where a subscription is moved to.
pub(super) fn check_start(field: &str, start: Start) -> Result<()> {
    match start {
        Start::After(seq) if !(0..MOST_EVENTS).contains(&seq) => {
            Err(Error::invalid(field, seq, "0, or the seq of an event"))
        }
        Start::Since(at) => check::time(field, at, check::LAST, "1970 to 9999"),
        _ => Ok(()),
    }
}

/// A subscription as it stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Subscription {
    /// Its name.
    pub name: String,
    /// Which topics it takes.
    pub topic: String,
    /// Whose it is.
    pub agent: Option<String>,
    /// Whose events it takes alone.
    pub source: Option<String>,
    /// What holds of the events that it takes.
    #[serde(rename = "where")]
    pub filter: Option<Json>,
    /// Events are given together so long after the first of them.
    #[serde(with = "seconds")]
    pub batch: Option<Duration>,
    /// Events are given together once none has come for so long.
    #[serde(with = "seconds")]
    pub quiet: Option<Duration>,
    /// Whether it gives nothing until it is unpaused.
    pub paused: bool,
    /// Every event up to here is acknowledged or does not match.
    pub cursor: i64,
    /// How many events of the log it has yet to look at, whether they match or not.
    pub lag: u64,
    /// Until when nobody else is given its next events: somebody has them, or they are to be tried later.
    pub held_until: Option<DateTime<Utc>>,
    /// How often its next events were given and not acknowledged.
    pub tries: u32,
    /// Why, where whoever had them said so.
    pub error: Option<String>,
    /// When a subscription of this name was made.
    pub created_at: DateTime<Utc>,
    /// When somebody last changed it, or acknowledged events.
    pub updated_at: DateTime<Utc>,
}

impl Subscription {
    pub(super) fn of(row: Row, newest: i64, now: Micros) -> Self {
        let held_until = row.held_until.filter(|_| !rules::is_free(&row, now)).map(time);
        let some = |span: Micros| (span > 0).then(|| duration(span));
        Subscription {
            held_until,
            name: row.name,
            topic: row.topic,
            agent: row.agent,
            source: row.source,
            filter: row.filter,
            batch: some(row.batch),
            quiet: some(row.quiet),
            paused: !row.active,
            cursor: row.cursor,
            lag: (newest - row.cursor).max(0).unsigned_abs(),
            tries: row.tries,
            error: row.error,
            created_at: time(row.created_at),
            updated_at: time(row.updated_at),
        }
    }
}

/// An event without which a subscription went on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadEvent {
    /// The event's number.
    pub seq: i64,
    /// Its topic.
    pub topic: String,
    /// How often it was given.
    pub tries: u32,
    /// Why it was not acknowledged, where somebody said so.
    pub error: Option<String>,
    /// When the subscription went on.
    pub at: DateTime<Utc>,
}

/// A subscription as the store has it. Times and spans are microseconds.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    pub(crate) name: String,
    pub(crate) agent: Option<String>,
    pub(crate) topic: String,
    pub(crate) source: Option<String>,
    pub(crate) filter: Option<Json>,
    pub(crate) batch: Micros,
    pub(crate) quiet: Micros,
    pub(crate) active: bool,
    pub(crate) cursor: i64,
    pub(crate) fence: i64,
    pub(crate) held_until: Option<Micros>,
    pub(crate) tries: u32,
    pub(crate) error: Option<String>,
    pub(crate) revision: i64,
    pub(crate) created_at: Micros,
    pub(crate) updated_at: Micros,
}

/// What a store has of subscriptions, and of the log at that moment.
#[derive(Debug)]
pub struct Subscriptions {
    pub(crate) now: Micros,
    /// The last `seq` given out.
    pub(crate) newest: i64,
    /// The first `seq` that the log still has, or that it will give out next.
    pub(crate) first: i64,
    /// In the order of their names.
    pub(crate) rows: Vec<Row>,
}

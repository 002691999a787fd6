//! What happened, in commit order: the event log. Types, the store's contract, the handle, the rules.

use crate::{
    error::{Error, Result},
    json::Json,
    tasks::check,
    team::Team,
};
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde::Serialize;
use std::{sync::Arc, time::Duration};
use tracing::instrument;

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Event {
    /// Grows in commit order within the namespace, without a gap.
    pub seq: i64,
    /// `task.` and what happened: enqueued, unblocked, claimed, released, failed (and will be tried again), lapsed (a
    /// lease ran out, and it will be tried again), completed, dead_letter, cancelled, expired, waiting (for its
    /// children), suspended, resumed, requeued, discarded, blocked, cancel_requested, suspend_requested; or
    /// `agent.registered`.
    pub topic: String,
    /// The agent, where one caused it.
    pub source: Option<String>,
    pub task_id: Option<String>,
    pub payload: Option<Json>,
    pub created_at: DateTime<Utc>,
}

/// What to read; every field that is given must match.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct EventFilter {
    pub after_seq: i64,
    /// Dotted; `*` is one word, `**` any number: `task.*`.
    pub topic: Option<String>,
    pub source: Option<String>,
    pub task_id: Option<String>,
    /// Not before this time.
    pub since: Option<DateTime<Utc>>,
    /// 1 to 10,000; 0, the default, means 1,000.
    pub limit: usize,
    /// How long to wait for an event where none matches yet. Default zero.
    pub wait: Duration,
}

/// The store's contract for events.
#[async_trait]
pub trait SubscriptionManager: Send + Sync {
    /// The events after `filter.after_seq`, oldest first, at most `filter.limit`. The store may leave `topic` to
    /// the caller; it respects every other field. The number says up to which `seq` it has looked.
    async fn read(&self, filter: EventFilter) -> Result<(Vec<Event>, i64)>;

    /// The last `seq` given out; 0 where nothing happened yet.
    async fn last_seq(&self) -> Result<i64>;
}

/// The event log of one team. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Events {
    team: Arc<Team>,
}

impl Events {
    pub(crate) fn new(team: Arc<Team>) -> Self {
        Events { team }
    }

    /// The events that match, oldest first. Read on with `after_seq` of the last one. Where there is none it waits up to
    /// `wait` and returns as soon as one comes; an empty list is no error. Errors: `input.invalid`. Cancel safe.
    #[instrument(level = "debug", skip_all)]
    pub async fn read(&self, mut filter: EventFilter) -> Result<Vec<Event>> {
        let limit = match filter.limit {
            0 => 1_000,
            limit @ 1..=10_000 => limit,
            limit => return Err(Error::invalid("limit", limit, "1 to 10000")),
        };
        filter.since.map_or(Ok(()), check::since)?;
        let mut news = self.team.news_of_events(filter.wait);
        loop {
            let events = self.look(&mut filter, limit).await?;
            if !events.is_empty() || !news.come().await {
                return Ok(events);
            }
        }
    }

    /// What matches now. Moves `after_seq` on: what is not among the events up to there does not match and need not be
    /// looked at again.
    async fn look(&self, filter: &mut EventFilter, limit: usize) -> Result<Vec<Event>> {
        let pattern = filter.topic.clone();
        let last = self.last_seq().await?;
        let mut events = Vec::new();
        while events.len() < limit && filter.after_seq < last {
            filter.limit = 1_000;
            let (page, looked_to) = self.team.store.read(filter.clone()).await?;
            events
                .extend(page.into_iter().filter(|e| pattern.as_deref().is_none_or(|p| matches(p, &e.topic))));
            filter.after_seq = looked_to;
        }
        events.truncate(limit);
        Ok(events)
    }

    /// The number of the newest event; 0 where nothing happened yet.
    #[instrument(level = "debug", skip_all)]
    pub async fn last_seq(&self) -> Result<i64> {
        self.team.store.last_seq().await
    }
}

/// Whether a topic fits a pattern: words between dots, `*` for one word, `**` for any number of words.
pub fn matches(pattern: &str, topic: &str) -> bool {
    fn fits(pattern: &[&str], topic: &[&str]) -> bool {
        match (pattern.split_first(), topic.split_first()) {
            (None, None) => true,
            (Some((&"**", rest)), _) => {
                fits(rest, topic) || (!topic.is_empty() && fits(pattern, &topic[1..]))
            }
            (Some((word, rest)), Some((head, tail))) => (*word == "*" || word == head) && fits(rest, tail),
            _ => false,
        }
    }
    fits(&pattern.split('.').collect::<Vec<_>>(), &topic.split('.').collect::<Vec<_>>())
}

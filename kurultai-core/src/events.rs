//! What happened, in commit order: the event log. Types, the store's contract, the handle, the rules.

mod follow;
mod reader;
mod topic;

use crate::{
    clock::monotonic,
    error::{Error, Kind, Result},
    json::Json,
    tasks::check,
    team::Team,
};
use async_trait::async_trait;
use chrono::{DateTime, Utc};
pub use follow::Follow;
pub(crate) use reader::LogReader;
use reader::{Joined, Wanted};
use serde::Serialize;
use std::{sync::Arc, time::Duration};
use topic::Pattern;
pub use topic::matches;
use tracing::instrument;

/// The highest number that an event can have.
pub(crate) const MOST_EVENTS: i64 = 1 << 44;

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Event {
    /// Grows in commit order within the namespace, without a gap.
    pub seq: i64,
    /// `task.` and what happened: enqueued, unblocked, claimed, released, failed (and will be tried again), lapsed (a
    /// lease ran out, and it will be tried again), completed, dead_letter, cancelled, expired, waiting (for its
    /// children), suspended, resumed, requeued, discarded, blocked, cancel_requested, suspend_requested, adopted (with what it
    /// was before); or `agent.registered`, `agent.adopted`.
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
    /// Only later ones. 0, the default, is the first that the log still has.
    pub after_seq: i64,
    /// Dotted, at most 64 words; `*` is one word, `**` any number: `task.*`.
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
    /// The events after `filter.after_seq`, oldest first, at most `filter.limit`, and none beyond one that cannot be
    /// seen yet. The store may leave `topic` to the caller; it respects every other field.
    async fn read(&self, filter: EventFilter) -> Result<Look>;

    /// The last `seq` given out; 0 where nothing happened yet.
    async fn last_seq(&self) -> Result<i64>;
}

/// What one look at the log saw.
#[derive(Debug)]
pub struct Look {
    pub events: Vec<Event>,
    /// Every event up to here was looked at, whether it matched or not.
    pub looked_to: i64,
    /// The first `seq` that the log still has, or that it will give out next.
    pub first: i64,
    /// The last `seq` given out, also by a commit of which nothing can be seen yet.
    pub newest: i64,
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

    /// The events that match, oldest first, without a gap. Read on with `after_seq` of the last one. Where there is none
    /// it waits up to `wait` and returns as soon as one comes; an empty list is no error. However many wait, each event
    /// is read from the store once; so with a `wait` the answer may stop before the newest event, and the next has it.
    ///
    /// Errors: `input.invalid`; `event.cursor_too_old` where retention has removed events after `after_seq`, which names
    /// the first that there is. Cancel safe.
    #[instrument(level = "debug", skip_all)]
    pub async fn read(&self, filter: EventFilter) -> Result<Vec<Event>> {
        let mut wanted = checked(filter)?;
        let wait = wanted.filter.wait.min(Duration::from_secs(86_400));
        if wait.is_zero() { self.look(&mut wanted).await } else { self.wait(&mut wanted, wait).await }
    }

    /// Events as they come, from `filter.after_seq` on; `filter.wait` does not matter. Errors: `input.invalid`.
    pub fn follow(&self, filter: EventFilter) -> Result<Follow> {
        Ok(Follow::new(self.clone(), checked(filter)?))
    }

    async fn wait(&self, wanted: &mut Wanted, wait: Duration) -> Result<Vec<Event>> {
        let deadline = monotonic() + wait;
        let mut looked = false;
        loop {
            match self.team.reader.join(wanted, looked) {
                Joined::Found(events) => return Ok(events),
                Joined::TooFarBack => {
                    let events = self.look(wanted).await?;
                    if !events.is_empty() || monotonic() >= deadline {
                        return Ok(events);
                    }
                    looked = true;
                }
                Joined::Waits(mut ticket) => {
                    self.team.read_on();
                    return match ticket.events(deadline).await? {
                        Some(events) => Ok(events),
                        // The last word is the store's, which may have gone meanwhile.
                        None => self.look(wanted).await,
                    };
                }
            }
        }
    }

    /// What matches now. Moves `after_seq` on: what is not among the events up to there does not match and need not be
    /// looked at again.
    async fn look(&self, wanted: &mut Wanted) -> Result<Vec<Event>> {
        let (mut events, mut newest) = (Vec::new(), i64::MAX);
        let limit = wanted.filter.limit;
        while events.len() < limit && wanted.filter.after_seq < newest {
            let before = wanted.filter.after_seq;
            let filter = EventFilter { limit: 1_000, topic: None, ..wanted.filter.clone() };
            let look = self.team.store.read(filter).await?;
            check_cursor(before, look.first)?;
            events.extend(look.events.into_iter().filter(|event| wanted.fits(event)));
            wanted.filter.after_seq = look.looked_to;
            if newest == i64::MAX {
                newest = look.newest;
            }
            if look.looked_to == before {
                break;
            }
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

fn checked(mut filter: EventFilter) -> Result<Wanted> {
    filter.limit = match filter.limit {
        0 => 1_000,
        limit @ 1..=10_000 => limit,
        limit => return Err(Error::invalid("limit", limit, "1 to 10000")),
    };
    if !(0..MOST_EVENTS).contains(&filter.after_seq) {
        return Err(Error::invalid("after_seq", filter.after_seq, "0, or the seq of an event"));
    }
    filter.since.map_or(Ok(()), check::since)?;
    let pattern = filter.topic.as_deref().map(Pattern::new).transpose()?;
    Ok(Wanted { filter, pattern })
}

/// Whether a reader may go on after this `seq`. 0 is no cursor yet, but the wish to begin with what there is.
fn check_cursor(after_seq: i64, first: i64) -> Result<()> {
    if after_seq == 0 || after_seq + 1 >= first {
        return Ok(());
    }
    let message = format!(
        "events {} to {} were removed by retention; go on with after_seq {}, which the first that is left follows",
        after_seq + 1,
        first - 1,
        first - 1
    );
    Err(Error::new(Kind::Conflict, "event.cursor_too_old", message))
}

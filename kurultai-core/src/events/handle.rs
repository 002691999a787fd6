//! What users call: `kurultai.events()`.

use super::{
    alerts::Alert,
    contract::SubscriptionManager,
    cursor::{check_cursor, checked},
    follow::Follow,
    publish::{NewEvent, Publication, Published},
    reader::{Joined, LogReader, Wanted},
    subscriptions::Holds,
    types::{EventFilter, EventPage},
};
use crate::{
    batch::Coalescer,
    clock::monotonic,
    error::{Error, Result},
    session::Session,
};
use std::{sync::Arc, time::Duration};
use tracing::instrument;

/// The event log of one team. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Events {
    pub(super) log: Arc<dyn SubscriptionManager>,
    reader: Arc<LogReader>,
    pub(super) session: Arc<Session>,
    publications: Arc<Coalescer<Vec<Publication>, Vec<Published>>>,
    pub(super) holds: Arc<Holds>,
}

impl Events {
    /// Of batches of at most `limit` events.
    pub(crate) fn new(
        log: Arc<dyn SubscriptionManager>,
        reader: Arc<LogReader>,
        limit: usize,
        session: Arc<Session>,
    ) -> Self {
        let store = log.clone();
        let publications = Coalescer::new(limit, Vec::len, move |units| {
            let log = store.clone();
            Box::pin(async move { log.publish(units).await })
        });
        Events { log, reader, session, publications, holds: Arc::default() }
    }

    pub(crate) fn complain(&self, error: &Error) {
        self.session.news.complain(error, "events cannot be followed now; trying again");
    }

    /// Tells of something that happened: an event of a topic of yours, in the log beside this library's own. A second one of
    /// its key is not published; `deduplicated` says so.
    ///
    /// An event that names the one in whose handling it is published (`cause`) belongs to the same chain: it has that one's
    /// correlation id, and a chain of more than 16 is refused. What a handler enqueues or sends does not go on with it.
    ///
    /// Errors: `input.invalid`, also for a topic of this library; `input.payload`, also above 64 KiB; `event.conflict` where
    /// the key is that of an event with another topic, source, task or payload; `event.loop`, `event.not_found` of the
    /// cause; `task.not_found`. After `store.outcome_unknown` repeat it with a key. Cancel safe: a dropped call may still
    /// publish.
    pub async fn publish(&self, event: NewEvent) -> Result<Published> {
        let mut published = self.publish_many(vec![event]).await?;
        published.pop().ok_or_else(|| Error::internal("an event without an answer"))
    }

    /// Publishes many, all in one transaction or none. Errors as [`publish`](Self::publish); what is wrong with a value names the row.
    #[instrument(level = "debug", skip_all, fields(count = events.len()))]
    pub async fn publish_many(&self, events: Vec<NewEvent>) -> Result<Vec<Published>> {
        let many = events.len() > 1;
        for (index, event) in events.iter().enumerate() {
            event.check().map_err(|error| if many { error.of_row("event", index) } else { error })?;
        }
        if events.is_empty() {
            return Ok(vec![]);
        }
        let _call = self.session.calls.begin()?;
        let namespace = &self.session.config.namespace;
        let unit = events.into_iter().map(|event| Publication::of(event, namespace)).collect();
        let published = self.publications.call(unit).await?;
        self.session.news.announce_events();
        Ok(published)
    }

    /// The events that match, oldest first, without a gap. Read on with the page's `next` as `after_seq`, which no look
    /// at what did not match repeats. Where there is none it waits up to `wait` and returns as soon as one comes; an empty
    /// page is no error. However many wait, each event is read from the store once; so with a `wait` the page may stop
    /// before the newest event, and the next has it.
    ///
    /// Errors: `input.invalid`; `event.cursor_too_old` where retention has removed events after `after_seq`, which names
    /// the first that there is. Cancel safe.
    #[instrument(level = "debug", skip_all)]
    pub async fn read(&self, filter: EventFilter) -> Result<EventPage> {
        let mut wanted = checked(filter)?;
        let wait = wanted.filter.wait.min(Duration::from_secs(86_400));
        if wait.is_zero() { self.look(&mut wanted).await } else { self.wait(&mut wanted, wait, false).await }
    }

    /// A cursor behind which all comes that happens from now on. Asks the store only where nobody waits.
    pub(crate) async fn position(&self) -> Result<i64> {
        match self.reader.position() {
            Some(at) => Ok(at),
            None => self.log.last_seq().await,
        }
    }

    /// Events as they come, from `filter.after_seq` on; `filter.wait` does not matter. Errors: `input.invalid`.
    pub fn follow(&self, filter: EventFilter) -> Result<Follow> {
        Ok(Follow::new(self.clone(), checked(filter)?))
    }

    /// The next events of a task behind a [`position`](Self::position).
    pub(crate) async fn next_of(&self, task_id: &str, after_seq: i64, wait: Duration) -> Result<EventPage> {
        let filter = EventFilter { after_seq, task_id: Some(task_id.to_owned()), ..EventFilter::default() };
        self.wait(&mut Wanted { filter, pattern: None, topics: &[], conditions: None }, wait, true).await
    }

    /// The next events of these topics behind a [`position`](Self::position).
    pub(crate) async fn next_about(
        &self,
        topics: &'static [&'static str],
        after_seq: i64,
        wait: Duration,
    ) -> Result<EventPage> {
        let filter = EventFilter { after_seq, ..EventFilter::default() };
        self.wait(&mut Wanted { filter, pattern: None, topics, conditions: None }, wait, true).await
    }

    /// Waits for the next page, and moves `wanted` on to its end. `looked`: all that is there before it is known, so the
    /// reader may begin at its cursor.
    pub(super) async fn wait(
        &self,
        wanted: &mut Wanted,
        wait: Duration,
        mut looked: bool,
    ) -> Result<EventPage> {
        let deadline = monotonic() + wait;
        loop {
            match self.reader.join(wanted, looked) {
                Joined::Found(page) => return Ok(wanted.turn(page)),
                Joined::Closed => return Err(Error::closed()),
                Joined::TooFarBack => {
                    let page = self.look(wanted).await?;
                    if !page.events.is_empty() || monotonic() >= deadline {
                        return Ok(page);
                    }
                    looked = true;
                }
                Joined::Waits(mut ticket) => {
                    self.session.news.announce_events();
                    let page = wanted.turn(ticket.page(deadline).await?);
                    // The last word is the store's, which may have gone meanwhile.
                    return if page.events.is_empty() { self.look(wanted).await } else { Ok(page) };
                }
            }
        }
    }

    /// What matches now; moves `wanted` on to the end of the page.
    pub(super) async fn look(&self, wanted: &mut Wanted) -> Result<EventPage> {
        let (mut events, mut newest) = (Vec::new(), i64::MAX);
        let limit = wanted.filter.limit;
        while events.len() < limit && wanted.filter.after_seq < newest {
            let before = wanted.filter.after_seq;
            let filter = EventFilter { limit: 1_000, ..wanted.filter.clone() };
            let look = self.log.read(filter).await?;
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
        if events.len() >= limit {
            events.truncate(limit);
            wanted.filter.after_seq = events.last().map_or(wanted.filter.after_seq, |last| last.seq);
        }
        Ok(EventPage { events, next: wanted.filter.after_seq })
    }

    /// What burns now, the worst first, then the oldest. Whoever watches the team raises and clears it
    /// ([`Agents::watch`](crate::Agents::watch)); each change is an event, `alert.raised` or `alert.cleared`. Cancel safe.
    #[instrument(level = "debug", skip_all)]
    pub async fn alerts(&self) -> Result<Vec<Alert>> {
        let mut alerts = self.log.alerts().await?;
        alerts.sort_by_key(|alert| (std::cmp::Reverse(alert.severity), alert.raised_at));
        Ok(alerts)
    }

    /// The number of the newest event; 0 where nothing happened yet.
    #[instrument(level = "debug", skip_all)]
    pub async fn last_seq(&self) -> Result<i64> {
        self.log.last_seq().await
    }
}

//! What users call of subscriptions: `kurultai.events()`.

use super::{
    batch::EventBatch,
    filter::Conditions,
    rules::{self, Ending, MAX_TRIES, SKIP},
    types::{DeadEvent, NewSubscription, Row, Start, Subscription, Subscriptions, check_start},
};
use crate::{
    check,
    clock::{Micros, duration, monotonic},
    error::{Error, Result},
    events::{EventFilter, handle::Events, reader::Wanted, topic::Pattern},
};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{sync::oneshot, time::timeout};
use tracing::instrument;

/// How often a change is decided anew, because the subscription moved meanwhile.
const ROUNDS: usize = 16;
/// How often a consumer that waits looks by itself, whoever has paused, moved or given back something elsewhere.
const LOOK: Duration = Duration::from_secs(1);

/// Whose events to take, and how.
#[derive(Debug, Clone)]
pub struct Consume {
    /// The subscription.
    pub name: String,
    /// 1 to 1,000 events at most. Default 100.
    pub max: usize,
    /// How long to wait where there are none. Default zero.
    pub wait: Duration,
    /// How long nobody else is given them after this process has died: 0.1 s to a day. Default 30 s.
    pub hold: Duration,
}

impl Consume {
    /// 100 at most, without waiting.
    pub fn new(name: impl Into<String>) -> Self {
        Consume { name: name.into(), max: 100, wait: Duration::ZERO, hold: Duration::from_secs(30) }
    }

    /// How many at most.
    pub fn max(mut self, max: usize) -> Self {
        self.max = max;
        self
    }

    /// How long to wait where there are none.
    pub fn wait(mut self, wait: Duration) -> Self {
        self.wait = wait;
        self
    }

    /// How long nobody else is given them after this process has died.
    pub fn hold(mut self, hold: Duration) -> Self {
        self.hold = hold;
        self
    }
}

/// What a look at a subscription has led to.
enum Step {
    Given(EventBatch),
    /// Something has changed: look again.
    Again,
    /// Nothing matches what comes behind the cursor of this.
    Nothing(Box<Wanted>),
    /// Somebody else has them, or they can be given later.
    Later(Duration),
}

impl Events {
    /// Has the store remember a reader under a name, whose events [`consume`](Self::consume) gives: none is missed while nobody
    /// reads, and of many readers one has each. Programs subscribe whenever they start: where one of the name is there, it is
    /// defined anew and goes on where it was, and `start` does not matter.
    ///
    /// Retention leaves what a subscription that is not paused has yet to take, up to twice as long as it leaves events.
    ///
    /// Errors: `input.invalid`, `input.payload` of `where`. After `store.outcome_unknown` repeat it. Cancel safe: a dropped call
    /// may still subscribe.
    #[instrument(level = "debug", skip_all, fields(name = subscription.name))]
    pub async fn subscribe(&self, subscription: NewSubscription) -> Result<Subscription> {
        subscription.check()?;
        let name = subscription.name.clone();
        let start = self.place(subscription.start).await?;
        let changed = self.change(&name, |before, look| {
            Ok(Some(rules::defined(&subscription, before, start.unwrap_or(look.newest), look.now)))
        });
        changed.await?.ok_or_else(|| Error::internal("a subscription without a row"))
    }

    /// The next events of a subscription, at most `max`, which nobody else is given until the batch is acknowledged: whoever
    /// asks meanwhile waits. Where there are none it waits up to `wait`; an empty batch is no error. What is not
    /// acknowledged is given again, from the third time on the first event alone, five times in all; then the
    /// subscription goes on without it ([`dead`](Self::dead)).
    ///
    /// Errors: `input.invalid`, `subscription.not_found`; `event.cursor_too_old` where retention has removed events before they
    /// were taken, which names the number to rewind to. Cancel safe: what a dropped call was given goes back at once, and the try does
    /// not count.
    #[instrument(level = "debug", skip_all, fields(name = consume.name))]
    pub async fn consume(&self, consume: Consume) -> Result<EventBatch> {
        if !(1..=1_000).contains(&consume.max) {
            return Err(Error::invalid("max", consume.max, "1 to 1000"));
        }
        check::held("hold", consume.hold)?;
        let deadline = monotonic() + consume.wait.min(Duration::from_secs(86_400));
        let left = |deadline: Instant| deadline.saturating_duration_since(monotonic());
        loop {
            // Before the look: what is given back from now on is not missed.
            let freed = self.holds.freed();
            let step = self.step(&consume).await?;
            if monotonic() >= deadline && !matches!(step, Step::Given(_) | Step::Again) {
                return Ok(EventBatch::empty());
            }
            match step {
                Step::Given(batch) => return Ok(batch.reached()),
                Step::Again => {}
                Step::Nothing(mut wanted) => {
                    let wait = left(deadline).min(LOOK * 10);
                    drop(self.wait(&mut wanted, wait, true).await?);
                }
                Step::Later(wait) => drop(timeout(left(deadline).min(wait).min(LOOK), freed).await),
            }
        }
    }

    async fn step(&self, consume: &Consume) -> Result<Step> {
        let look = self.log.subscriptions(Some(&consume.name)).await?;
        let Some(row) = look.rows.first() else { return Err(self.no_subscription(&consume.name).await) };
        rules::check_cursor(row, look.first)?;
        if !row.active {
            return Ok(Step::Later(LOOK));
        }
        if !rules::is_free(row, look.now) {
            return Ok(Step::Later(until(row.held_until, look.now)));
        }
        let most = rules::most(row, consume.max);
        let mut wanted = wanted(row, most)?;
        let page = self.look(&mut wanted).await?;
        let Some(head) = page.events.first() else {
            if page.next - row.cursor >= SKIP {
                let skipped = Row { cursor: page.next, ..row.clone() };
                self.store(skipped, row, look.now, None).await?;
            }
            return Ok(Step::Nothing(Box::new(wanted)));
        };
        if row.tries >= MAX_TRIES {
            let (rest, dead) = rules::buried(row, head, look.now);
            self.store(rest, row, look.now, Some(dead)).await?;
            return Ok(Step::Again);
        }
        let full = page.events.len() >= most;
        if let Some(over) = rules::waits(row, &page.events, full, look.now) {
            return Ok(Step::Later(until(Some(over), look.now)));
        }
        let held = rules::held(row, consume.hold, look.now);
        // On its own: what reaches nobody goes back when it is dropped.
        let (reply, answer) = oneshot::channel();
        let (me, row, hold, now) = (self.clone(), row.clone(), consume.hold, look.now);
        tokio::spawn(async move {
            let fence = held.fence;
            let given = match me.store(held, &row, now, None).await {
                Ok(true) => {
                    let batch = EventBatch::new(me.clone(), &row.name, fence, page.next, page.events, hold);
                    Ok(Some(batch))
                }
                Ok(false) => Ok(None),
                Err(error) => Err(error),
            };
            drop(reply.send(given));
        });
        let given = answer.await.unwrap_or_else(|_| Err(Error::closed()))?;
        Ok(given.map_or(Step::Again, Step::Given))
    }

    /// The subscriptions of an agent, or all, in the order of their names. Cancel safe.
    #[instrument(level = "debug", skip(self))]
    pub async fn subscriptions(&self, agent: Option<&str>) -> Result<Vec<Subscription>> {
        let Subscriptions { now, newest, rows, .. } = self.log.subscriptions(None).await?;
        let theirs =
            rows.into_iter().filter(|row| agent.is_none_or(|agent| row.agent.as_deref() == Some(agent)));
        Ok(theirs.map(|row| Subscription::of(row, newest, now)).collect())
    }

    /// Lets a subscription give nothing until [`unpause`](Self::unpause); what was given may still be acknowledged. Retention
    /// does not wait for it meanwhile. Errors: `subscription.not_found`, with the nearest name. Cancel safe: a dropped call may
    /// still pause it.
    pub async fn pause(&self, name: &str) -> Result<Subscription> {
        self.change_known(name, |row, _| Row { active: false, ..row.clone() }).await
    }

    /// Lets it give events again, from where it was. Errors: `subscription.not_found`. Cancel safe: a dropped call may still
    /// unpause it.
    pub async fn unpause(&self, name: &str) -> Result<Subscription> {
        self.change_known(name, |row, _| Row { active: true, ..row.clone() }).await
    }

    /// Has a subscription go on somewhere else, forward or back; who has events of it can no longer acknowledge them. Errors:
    /// `input.invalid`, `subscription.not_found`. Cancel safe: a dropped call may still rewind it.
    pub async fn rewind(&self, name: &str, to: Start) -> Result<Subscription> {
        check_start("to", to)?;
        let to = self.place(to).await?;
        self.change_known(name, |row, look| {
            rules::moved(row, to.unwrap_or(look.newest).min(look.newest).max(look.first - 1), look.now)
        })
        .await
    }

    /// Removes a subscription, with what it says of dead events. Errors: `subscription.not_found`. Cancel safe: a dropped call
    /// may still remove it.
    #[instrument(level = "debug", skip(self))]
    pub async fn unsubscribe(&self, name: &str) -> Result<()> {
        let _call = self.session.calls.begin()?;
        match self.log.remove_subscription(name).await? {
            true => Ok(()),
            false => Err(self.no_subscription(name).await),
        }
    }

    /// The events without which a subscription went on, oldest first: the newest 1,000. Errors: `subscription.not_found`. Cancel safe.
    #[instrument(level = "debug", skip(self))]
    pub async fn dead(&self, name: &str) -> Result<Vec<DeadEvent>> {
        match self.log.dead_events(name).await? {
            Some(dead) => Ok(dead),
            None => Err(self.no_subscription(name).await),
        }
    }

    /// Ends or renews what somebody has under this fence.
    pub(super) async fn settle(&self, name: &str, fence: i64, ending: Ending) -> Result<()> {
        let _call = self.session.calls.begin()?;
        self.settle_now(name, fence, ending).await
    }

    async fn settle_now(&self, name: &str, fence: i64, ending: Ending) -> Result<()> {
        for _ in 0..ROUNDS {
            let look = self.log.subscriptions(Some(name)).await?;
            let Some(row) = look.rows.first() else { return Err(self.no_subscription(name).await) };
            let Some(settled) = rules::settled(row, fence, &ending, look.now)? else { return Ok(()) };
            if self.store(settled, row, look.now, None).await? {
                if !matches!(ending, Ending::Renew(_)) {
                    self.holds.announce();
                }
                return Ok(());
            }
        }
        Err(changes_too_quickly(name))
    }

    /// What consumers of this process have goes back; the store is about to be closed.
    pub(crate) async fn give_back(&self) {
        for (fence, name) in self.holds.take() {
            if let Err(error) = self.settle_now(&name, fence, Ending::Back).await {
                tracing::warn!(%error, "events that were not acknowledged are given again when their hold is over");
            }
        }
    }

    /// Where it is still as it was read; true where it was.
    async fn store(&self, mut row: Row, was: &Row, now: Micros, dead: Option<DeadEvent>) -> Result<bool> {
        (row.revision, row.updated_at) = (was.revision + 1, now);
        self.log.put_subscription(row, Some(was.revision), dead).await
    }

    /// Behind which number it begins; `None`: behind the newest.
    async fn place(&self, start: Start) -> Result<Option<i64>> {
        match start {
            Start::Now => Ok(None),
            Start::After(0) => Ok(Some(self.log.subscriptions(Some("")).await?.first - 1)),
            Start::After(seq) => Ok(Some(seq)),
            Start::Since(at) => {
                let filter = EventFilter { since: Some(at), limit: 1, ..EventFilter::default() };
                let page = self.read(filter).await?;
                Ok(Some(page.events.first().map_or(page.next, |event| event.seq - 1)))
            }
        }
    }

    async fn change_known(
        &self,
        name: &str,
        change: impl Fn(&Row, &Subscriptions) -> Row + Send + Sync,
    ) -> Result<Subscription> {
        let changed = self.change(name, |row, look| Ok(row.map(|row| change(row, look)))).await?;
        match changed {
            Some(subscription) => Ok(subscription),
            None => Err(self.no_subscription(name).await),
        }
    }

    /// Reads, decides and stores until the fence holds. `None` where that is what was decided.
    async fn change(
        &self,
        name: &str,
        decide: impl Fn(Option<&Row>, &Subscriptions) -> Result<Option<Row>> + Send + Sync,
    ) -> Result<Option<Subscription>> {
        let _call = self.session.calls.begin()?;
        for _ in 0..ROUNDS {
            let look = self.log.subscriptions(Some(name)).await?;
            let before = look.rows.first();
            let Some(row) = decide(before, &look)? else { return Ok(None) };
            let stored = match before {
                Some(before) if *before == row => true,
                Some(before) => self.store(row.clone(), before, look.now, None).await?,
                None => self.log.put_subscription(row.clone(), None, None).await?,
            };
            if stored {
                self.holds.announce();
                return Ok(Some(Subscription::of(row, look.newest, look.now)));
            }
        }
        Err(changes_too_quickly(name))
    }

    async fn no_subscription(&self, name: &str) -> Error {
        match self.log.subscriptions(None).await {
            Ok(all) => rules::not_found(name, all.rows.iter().map(|row| row.name.as_str())),
            Err(error) => error,
        }
    }
}

/// What comes behind its cursor and matches.
fn wanted(row: &Row, limit: usize) -> Result<Wanted> {
    let filter = EventFilter {
        after_seq: row.cursor,
        topic: Some(row.topic.clone()),
        source: row.source.clone(),
        limit,
        ..EventFilter::default()
    };
    let conditions = row.filter.as_ref().map(Conditions::read).transpose()?.map(Arc::new);
    Ok(Wanted { filter, pattern: Some(Pattern::new(&row.topic)?), topics: &[], conditions })
}

fn until(time: Option<Micros>, now: Micros) -> Duration {
    duration((time.unwrap_or(now) - now).max(1_000))
}

fn changes_too_quickly(name: &str) -> Error {
    Error::unavailable(format!("subscription {name:?} changes too quickly"))
}

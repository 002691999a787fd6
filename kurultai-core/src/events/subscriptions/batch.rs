//! Events on their way through a consumer.

use super::rules::Ending;
use crate::{
    check,
    error::Result,
    events::{Event, handle::Events},
};
use std::{
    collections::HashMap,
    fmt,
    sync::{Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    runtime::Handle,
    sync::{Notify, futures::Notified},
    task::AbortHandle,
    time::sleep,
};

/// The next events of a subscription, which nobody else is given until they are acknowledged or their hold is over. The hold
/// is renewed for as long as this is there; dropped, it ends by itself, and the events are given again.
pub struct EventBatch {
    /// Those that match, oldest first; none where nothing came in time.
    pub events: Vec<Event>,
    hold: Option<Hold>,
}

struct Hold {
    name: String,
    fence: i64,
    /// Everything up to here was looked at.
    to: i64,
    of: Events,
    renewal: AbortHandle,
    /// Until a caller has it; then what it does with the events counts as a try.
    under_way: bool,
    /// It may be dropped on a thread that has no runtime.
    runtime: Handle,
}

impl EventBatch {
    pub(super) fn empty() -> Self {
        EventBatch { events: vec![], hold: None }
    }

    pub(super) fn new(
        of: Events,
        name: &str,
        fence: i64,
        to: i64,
        events: Vec<Event>,
        hold: Duration,
    ) -> Self {
        of.holds.add(name, fence);
        let (renews, whose) = (of.clone(), name.to_owned());
        let renewal = tokio::spawn(async move {
            loop {
                sleep(hold / 3).await;
                match renews.settle(&whose, fence, Ending::Renew(hold)).await {
                    Ok(()) => {}
                    Err(error) if error.retryable() => renews.complain(&error),
                    // Whoever has the events hears it when they acknowledge them.
                    Err(_) => return,
                }
            }
        });
        let renewal = renewal.abort_handle();
        let (name, runtime) = (name.to_owned(), Handle::current());
        let hold = Hold { name, fence, to, of, renewal, under_way: true, runtime };
        EventBatch { events, hold: Some(hold) }
    }

    /// A caller has it.
    pub(super) fn reached(mut self) -> Self {
        if let Some(hold) = &mut self.hold {
            hold.under_way = false;
        }
        self
    }

    /// Whether nothing came.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// Says that the events are done: the subscription goes on behind them. A repetition does nothing more.
    ///
    /// Errors: `event.stale_consumer` where they were given to another consumer or the hold is over, and the cursor stays;
    /// `subscription.not_found`. Cancel safe: a dropped call may still acknowledge.
    pub async fn ack(&self) -> Result<()> {
        let Some(hold) = &self.hold else { return Ok(()) };
        self.end(Ending::Ack(hold.to)).await
    }

    /// Has them given again, at once or after a time, as somebody's next try; after 5 the first of them is a dead event, with this
    /// as its error.
    ///
    /// Errors: `input.invalid`, and as [`ack`](Self::ack). Cancel safe: a dropped call may still give them back.
    pub async fn retry(&self, error: &str, after: Duration) -> Result<()> {
        check::span("after", after)?;
        self.end(Ending::Fail(error.chars().take(1_000).collect(), after)).await
    }

    /// Gives them back, and the try does not count. Errors as [`ack`](Self::ack). Cancel safe: a dropped call may still give
    /// them back.
    pub async fn give_back(&self) -> Result<()> {
        self.end(Ending::Back).await
    }

    async fn end(&self, ending: Ending) -> Result<()> {
        let Some(Hold { name, fence, of, renewal, .. }) = &self.hold else { return Ok(()) };
        of.settle(name, *fence, ending).await?;
        renewal.abort();
        of.holds.remove(name, *fence);
        Ok(())
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.renewal.abort();
        self.of.holds.remove(&self.name, self.fence);
        if self.under_way {
            let (of, name, fence) = (self.of.clone(), std::mem::take(&mut self.name), self.fence);
            self.runtime.spawn(async move {
                if let Err(error) = of.settle(&name, fence, Ending::Back).await {
                    tracing::warn!(%error, "events that reached nobody are given again when their hold is over");
                }
            });
        }
    }
}

impl fmt::Debug for EventBatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventBatch").field("events", &self.events.len()).finish_non_exhaustive()
    }
}

/// What consumers of this process have, and who waits for it.
#[derive(Debug, Default)]
pub(crate) struct Holds {
    /// The subscription of each fence.
    live: Mutex<HashMap<i64, String>>,
    freed: Notify,
}

impl Holds {
    /// Wakes when somebody of this process has given something back.
    pub(super) fn freed(&self) -> Notified<'_> {
        self.freed.notified()
    }

    pub(super) fn announce(&self) {
        self.freed.notify_waiters();
    }

    fn add(&self, name: &str, fence: i64) {
        self.live.lock().unwrap_or_else(PoisonError::into_inner).insert(fence, name.to_owned());
    }

    fn remove(&self, name: &str, fence: i64) {
        let mut live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        if live.get(&fence).is_some_and(|of| of == name) {
            live.remove(&fence);
        }
    }

    pub(super) fn take(&self) -> Vec<(i64, String)> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner).drain().collect()
    }
}

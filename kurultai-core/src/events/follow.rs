//! Reading on for ever.

use super::{handle::Events, reader::Wanted, types::Event};
use crate::{error::Result, retry::Backoff};
use std::time::Duration;

/// A reader that goes on for ever. It reads no event twice, whether it matched or not, and an outage of the store does
/// not end it.
#[derive(Debug)]
pub struct Follow {
    events: Events,
    wanted: Wanted,
}

impl Follow {
    /// How long it waits before it has a look of its own.
    const TURN: Duration = Duration::from_secs(60);

    pub(super) fn new(events: Events, wanted: Wanted) -> Self {
        Follow { events, wanted }
    }

    /// The next events that match, at least one, as soon as there is one. What the store may do later is tried again,
    /// with a warning in the log.
    ///
    /// Errors: `event.cursor_too_old` where it came too late for what retention has removed; `store.closed`. Cancel safe: a
    /// dropped call loses no event.
    pub async fn next(&mut self) -> Result<Vec<Event>> {
        let mut backoff = Backoff::default();
        loop {
            match self.events.wait(&mut self.wanted, Self::TURN, false).await {
                Ok(page) if page.events.is_empty() => backoff = Backoff::default(),
                Ok(page) => return Ok(page.events),
                Err(error) if error.retryable() => {
                    self.events.complain(&error);
                    backoff.wait(&error).await;
                }
                Err(error) => return Err(error),
            }
        }
    }
}

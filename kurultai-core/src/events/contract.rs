//! The store's contract for events.

use super::{
    alerts::{Alert, Observations},
    types::{Event, EventFilter},
};
use crate::{error::Result, store::Sealed};
use async_trait::async_trait;
use std::fmt;

/// What a store does for the event log. Sealed: the library brings its stores.
#[async_trait]
pub trait SubscriptionManager: Sealed + fmt::Debug + Send + Sync {
    /// The events after `filter.after_seq`, oldest first, at most `filter.limit`, and none beyond one that cannot be
    /// seen yet. The store may leave `topic` to the caller; it respects every other field.
    async fn read(&self, filter: EventFilter) -> Result<Look>;

    /// The last `seq` given out; 0 where nothing happened yet.
    async fn last_seq(&self) -> Result<i64>;

    /// What burns now, in the order of the keys.
    async fn alerts(&self) -> Result<Vec<Alert>>;

    /// Takes in what somebody sees, by the rule in `alerts.rs`; each change is an event, in the same
    /// transaction. Returns what was told; nobody else is told the same.
    async fn observe(&self, seen: Observations) -> Result<Vec<Alert>>;
}

/// What one look at the log saw.
#[derive(Debug)]
pub struct Look {
    /// Those that match, oldest first.
    pub events: Vec<Event>,
    /// Every event up to here was looked at, whether it matched or not.
    pub looked_to: i64,
    /// The first `seq` that the log still has, or that it will give out next.
    pub first: i64,
    /// The last `seq` given out, also by a commit of which nothing can be seen yet.
    pub newest: i64,
}

//! The store's contract for events.

use super::{
    alerts::{Alert, Observations},
    publish::{Publication, Published},
    subscriptions::{DeadEvent, Row, Subscriptions},
    types::{Event, EventFilter},
};
pub(crate) use crate::batch::Batch;
use crate::{error::Result, store::Sealed};
use async_trait::async_trait;
use std::fmt;

/// What a store does for the event log. Sealed: the library brings its stores.
#[async_trait]
pub trait SubscriptionManager: Sealed + fmt::Debug + Send + Sync {
    /// The events after `filter.after_seq`, oldest first, at most `filter.limit`, and none beyond one that cannot be
    /// seen yet. Of `topic` the store takes what it has an index for, and leaves the rest to the caller; it respects every
    /// other field.
    async fn read(&self, filter: EventFilter) -> Result<Look>;

    /// The last `seq` given out; 0 where nothing happened yet.
    async fn last_seq(&self) -> Result<i64>;

    /// Appends what users publish, all of a unit in one transaction or none. An event of a key that is there already has its
    /// number.
    async fn publish(&self, units: Batch<Vec<Publication>>) -> Result<Vec<Result<Vec<Published>>>>;

    /// The subscription of this name, or all; and how the log stands.
    async fn subscriptions(&self, name: Option<&str>) -> Result<Subscriptions>;

    /// Stores a subscription where it is still the one of revision `was`, or where there is none of its name; true where it
    /// was. In the same transaction an event is dead, and those behind the cursor are so no more.
    async fn put_subscription(&self, row: Row, was: Option<i64>, dead: Option<DeadEvent>) -> Result<bool>;

    /// Removes a subscription with its dead events; false where there was none.
    async fn remove_subscription(&self, name: &str) -> Result<bool>;

    /// The newest 1,000 dead events of a subscription, oldest first; `None` where there is no such one.
    async fn dead_events(&self, name: &str) -> Result<Option<Vec<DeadEvent>>>;

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

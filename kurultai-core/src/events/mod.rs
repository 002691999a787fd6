//! What happened, in commit order: the event log.
//!
//! Read in this order: `types`, [`contract`] (what a store does), `handle` (what users call), then `cursor` and `topic` (what
//! may be asked for), `publish` (what a user may tell, pure), `reader` (one for all who wait in a process) and `follow`;
//! `subscriptions`: readers that the store remembers. `alerts`: what burns, and
//! when people are told of it.

pub(crate) mod alerts;
pub mod contract;
mod cursor;
mod follow;
mod handle;
pub(crate) mod publish;
mod reader;
pub(crate) mod subscriptions;
pub(crate) mod topic;
mod types;

pub use alerts::{Alert, AlertState, Severity};
pub use contract::SubscriptionManager;
pub use follow::Follow;
pub use handle::Events;
pub use publish::{MAX_CHAIN, MAX_PAYLOAD, NewEvent, Published};
pub(crate) use reader::LogReader;
pub use subscriptions::{Consume, DeadEvent, EventBatch, MAX_TRIES, NewSubscription, Start, Subscription};
pub use topic::matches;
pub(crate) use types::MOST_EVENTS;
pub use types::{Event, EventFilter, EventPage};

//! Readers that the store remembers: `types` -> `rules` and `filter` (pure) -> `handle` (what users call) and `batch` (events that
//! somebody has until they are acknowledged).

mod batch;
pub(crate) mod filter;
mod handle;
pub(crate) mod rules;
mod types;

pub use batch::EventBatch;
pub(crate) use batch::Holds;
pub use handle::Consume;
pub use rules::MAX_TRIES;
pub use types::{DeadEvent, NewSubscription, Start, Subscription};
pub(crate) use types::{Row, Subscriptions};

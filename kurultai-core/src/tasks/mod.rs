//! What must be done: tasks, dependencies, claims, leases, retries, dead letters.
//!
//! Read in this order: [`types`] and [`new_task`], [`queue`] (the store's contract), [`handle`] (what users call), then the pure
//! rules: [`check`] (is the call sound), [`admit`] (may it be enqueued), [`order`] (who gets what), [`rules`] (next states),
//! [`explain`] (why is it not claimed).

pub(crate) mod admit;
pub mod adoption;
pub(crate) mod check;
pub mod explain;
pub mod handle;
pub mod new_task;
pub mod order;
pub mod queue;
pub mod rules;
pub mod types;

pub use adoption::{AdoptOptions, Adoption, Finding, FindingKind};
pub use explain::{Explanation, Reason};
pub use handle::{Claim, Filter, Tasks};
pub use new_task::*;
pub use queue::TaskQueue;
pub use types::*;

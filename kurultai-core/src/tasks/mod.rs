//! What must be done: tasks, dependencies, claims, leases, retries, dead letters.
//!
//! Read in this order: `types`, `new_task` and `requests`, [`contract`] (what a store does), `handle` (what users call), then the pure
//! rules: `check` (is the call sound), `admit` (may it be enqueued), `order` (who gets what), `rules` (next states),
//! `explain` (why is it not claimed). What happens behind the handle: `hot` (four operations in batches), `settle` (what follows),
//! `many` (one action on many tasks), `stop` (the emergency stop), `delegate` (tasks and the messages that tell of them), `update` (what people change of a task),
//! `upkeep` (the background).

pub(crate) mod admit;
mod adoption;
pub(crate) mod check;
mod claim_guard;
pub mod contract;
mod delegate;
mod explain;
mod handle;
mod hot;
mod many;
mod new_task;
pub(crate) mod order;
mod progress;
mod requests;
pub(crate) mod rules;
mod settle;
mod stop;
mod types;
pub(crate) mod update;
mod upkeep;
mod wait;

pub use adoption::{AdoptOptions, Adoption, Finding, FindingKind};
pub use claim_guard::ClaimGuard;
pub use contract::{Extend, Handler, TaskQueue};
pub use explain::{Explanation, Reason};
pub use handle::Tasks;
pub use new_task::*;
pub use requests::{Cancel, Claim, Filter};
pub use types::*;
pub use update::TaskUpdate;
pub(crate) use upkeep::TaskUpkeep;

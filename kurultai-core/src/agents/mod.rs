//! Who is there: the registry.
//!
//! Read in this order: `types`, [`contract`] (what a store does), `handle` (what users call), `names` (who is meant by a
//! name), `council` (a preset).

pub mod contract;
mod council;
mod handle;
mod names;
mod types;

pub use contract::HeartbeatWriter;
pub use council::council;
pub use handle::Agents;
pub(crate) use names::not_found;
pub use types::{AgentInfo, AgentStatus, DEAD_AFTER_SECONDS, NewAgent};

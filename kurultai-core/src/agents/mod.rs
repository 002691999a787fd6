//! Who is there, who lives, who works: the registry and liveness.
//!
//! Read in this order: `types` (the registry's), `signs` (what the store has seen of an agent), [`contract`] (what a store
//! does), `handle` (what users call), `names` (who is meant by a name), `health` (what signs mean), `observer` (who may
//! be called dead), `watch` (the loop that calls them so), `alerts` (what people should know of that), `beats` (the
//! heartbeats of a process), `roles` (who leads, and what may become of a role), `failovers` (it went from
//! one agent to another), `leadership` (a role that is held here),
//! `succession` (which candidate is to hold one; pure), `council` (a preset).

mod alerts;
mod beats;
mod belongings;
pub mod contract;
mod council;
pub(crate) mod failovers;
mod goodbye;
mod handle;
mod health;
mod leadership;
mod names;
mod observer;
#[cfg(test)]
mod role_model;
pub(crate) mod roles;
mod signs;
mod succession;
mod types;
mod watch;

pub(crate) use alerts::Alarms;
pub(crate) use belongings::Belongings;
pub(crate) use contract::SPEAKS;
pub use contract::{Beat, Deregistered, HeartbeatWriter};
pub use council::council;
pub use failovers::{FailoverEvent, FailoverStatus, Trigger};
pub use handle::Agents;
pub(crate) use health::is_silent;
pub use health::{AgentHealth, Health, Thresholds};
pub use leadership::{HandBack, Lead, Leadership};
pub(crate) use names::not_found;
pub use roles::{Role, RoleChange, RoleLease, RoleWish, Roles, Term};
pub use signs::{Declared, Says, Sign, Signs, Stalled, Verdict};
pub use types::{AgentInfo, AgentStatus, AgentUpdate, NewAgent};
pub use watch::{WATCHER, Watch, Watched, Watcher};

//! One library that gives a team of AI agents a shared, durable picture of who is alive, what must be done, who
//! said what and what was learned.
//!
//! Reading order:
//! 1. [`kurultai`]: `Kurultai::open(url)`, the door; [`config`] says what it can be told.
//! 2. The rooms, each types -> store's contract -> handle -> rules: [`tasks`], [`agents`], [`schedules`], [`events`];
//!    [`messages`], of which the pure half is there.
//! 3. [`worker`]: an agent's loop, from which jobs are pulled or handlers called.
//!    `verify`: whether everything is in order.
//! 4. What the rooms share: `session` (one opened store), `batch` (how concurrent calls become one transaction), `news` (how
//!    those who wait are told), `upkeep` (the background).
//! 5. `store`: what a store is beside its rooms; `sqlite` and `neo4j`, which mirror each other file by file.
//! 6. [`error`], `check`, [`ids`], [`clock`], [`json`]: one place each.
//!
//! Features: `sqlite` with `bundled`, the default; `neo4j`, which brings its driver and TLS; `testing`, for what only tests
//! and benchmarks need.

#![deny(missing_docs)]
// With one store alone some rules have no caller.
#![cfg_attr(not(all(feature = "sqlite", feature = "neo4j")), allow(dead_code, unused_imports))]

pub mod agents;
mod alarm;
mod batch;
mod calls;
mod check;
pub mod clock;
pub mod config;
pub mod cycle;
pub mod error;
pub mod events;
mod extensions;
pub mod ids;
pub mod json;
pub mod kurultai;
pub mod messages;
mod namespaces;
#[cfg(feature = "neo4j")]
mod neo4j;
mod news;
mod retry;
pub mod schedules;
mod session;
#[cfg(feature = "sqlite")]
mod sqlite;
mod store;
pub mod tasks;
mod upkeep;
mod verify;
mod words;
pub mod worker;

pub use agents::{Agents, HeartbeatWriter};
pub use clock::{Clock, ManualClock};
pub use config::Config;
pub use error::{Error, Kind, Result};
pub use events::{Events, SubscriptionManager};
pub use json::Json;
pub use kurultai::Kurultai;
pub use messages::MessageSigner;
pub use namespaces::NamespaceInfo;
#[cfg(all(feature = "neo4j", feature = "testing"))]
pub use neo4j::hot_statements as neo4j_statements;
pub use schedules::{Schedules, Timetable};
pub use tasks::{TaskQueue, Tasks};
pub use verify::{Check, Verify};
pub use worker::Agent;

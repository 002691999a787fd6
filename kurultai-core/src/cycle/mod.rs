//! The router's cycle: what is unassigned is assigned, what is assigned is told, who sleeps on work is named, and what
//! burns is said. For an agent that does not route it is its own view.
//!
//! Read in this order: `types`, `run` (what happens), then the pure rules: `share` (who gets what) and `text` (what is said).

mod run;
mod share;
mod text;
mod types;

pub use types::{Attention, CycleReport, Delegated, Item};

//! What is due when. A schedule does nothing but enqueue tasks: what takes time is a task, with attempts and dead letters.
//!
//! Reading order: `types` -> [`contract`] (what a store does) -> `handle` (what users call), then the pure half: `rhythm` (when
//! it is due next), `rules` (what a put keeps, what is made of the times that have passed), `fields` (what is said of each
//! task). `upkeep`: the background, which enqueues what is due.

pub mod contract;
mod fields;
mod handle;
mod rhythm;
pub(crate) mod rules;
mod types;
mod upkeep;

pub use contract::Timetable;
pub use handle::Schedules;
pub(crate) use rhythm::Rhythm;
pub use types::{CatchUp, NewSchedule, Overlap, Schedule};
pub(crate) use upkeep::ScheduleUpkeep;

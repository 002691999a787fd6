//! An agent's loop, in one place for every language: register, beat, claim, renew, drain, release.
//!
//! Reading order: `builder` (what an agent is told), `ended` (what a handler's end means, for every language), `job` (one claimed
//! task), `jobs` (the loop that claims and renews, from which jobs are pulled), `watch` (that one is to stop), `stall` (that
//! one shows no sign of life), `report` (what became of attempts), `handlers` and `run` (functions for task types;
//! Python and Node have theirs).

mod builder;
mod ended;
mod handlers;
mod job;
mod jobs;
mod report;
mod run;
mod settings;
mod signals;
mod stall;
mod watch;

pub use builder::Agent;
pub use ended::{Ended, Limits, Wish};
pub use handlers::{BoxError, Reject, Retry, Snooze};
pub use job::{Context, Job, Stop};
pub use jobs::Jobs;
pub use report::{End, Report};
pub use settings::OnStall;

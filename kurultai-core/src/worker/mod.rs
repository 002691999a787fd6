//! An agent's loop, in one place for every language: register, beat, claim, renew, drain, release.
//!
//! Reading order: `builder` (what an agent is told), `ended` (what a handler's end means, for every language), `job` (what a
//! handler and who runs it may do with a claimed task), `attempt` (that it must stop, and its place), `held` (its lease, and how
//! it ends), `holding` (all that an agent holds), `workplace` (where that is), `places` (how much at once), `jobs` (the loop that
//! claims and renews, from which jobs are pulled), `watch` (that one is to stop), `stall` (that one shows no sign of life),
//! `report` (what became of attempts), `handlers` and `run` (functions for task types; Python and Node have theirs). `messages`:
//! the same for the messages that an agent is sent.

mod attempt;
mod builder;
mod ended;
mod handlers;
mod held;
mod holding;
mod job;
mod jobs;
mod messages;
mod places;
mod report;
mod run;
mod settings;
mod signals;
mod stall;
mod watch;
mod workplace;

pub use attempt::Stop;
pub use builder::Agent;
pub use ended::{Ended, Limits, Wish};
pub use handlers::{BoxError, Reject, Retry, Snooze};
pub use job::{Context, Job};
pub use jobs::Jobs;
pub use messages::{
    Incoming, IncomingGuard, MESSAGE_TIMEOUT, MessageContext, MessageEnd, MessageJob, MessageLimits,
    MessageReport,
};
pub use report::{End, Report};
pub use settings::OnStall;

//! Several processes, in Rust, Python and Node, on one store; what each asked and was told, by one clock; and whether
//! that can have happened.
//!
//! The log is the witness: its numbers are the order in which everything was committed. An answer is right where some
//! beginning of the log explains it, and where no clock speaks against that beginning: it must hold all that somebody
//! had seen before the call, and nothing that was begun after the answer. A call that was cut short, or whose outcome is
//! unknown, may have happened or not.
//!
//! Reading order: [`record`] (calls and answers), [`log`] (what the events make of a task), [`window`] (which beginnings
//! of the log the clock allows), [`check`] (the verdict) with [`answers`], [`causes`] and [`ends`], [`story`] (how a
//! violation is told); then what makes histories: [`participant`] (the process in Rust; `tests/history` has the others),
//! [`players`] (starts, kills and hears them), [`play`] (what they are told to do), [`run`] with [`rest`] and [`report`];
//! [`liveness`], which measures how soon a process hears of what another has committed; [`cases`], which are faults that
//! were found; and [`command`], by which `cargo xtask chaos` asks for each.

pub mod answers;
pub mod cases;
pub mod causes;
pub mod check;
pub mod command;
pub mod desk;
pub mod ends;
pub mod liveness;
pub mod log;
pub mod participant;
pub mod play;
pub mod players;
pub mod record;
#[cfg(test)]
mod refused;
pub mod report;
pub mod rest;
pub mod run;
pub mod story;
pub mod window;

use super::{messages::MessageListener, report::Listener};
use crate::words::words;
use std::time::Duration;

words! {
    /// What becomes of an attempt whose handler has shown no sign of life for too long.
    OnStall, "on_stall" {
        /// Its lease is renewed, which is no sign of work, so that its agent's health says stuck, and why. The default: it
        /// may still end.
        Report = "report",
        /// It has failed: its lease ends, its handler is told to stop, and what it does later counts for nothing.
        Release = "release",
    }
}

/// What the loop goes by.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    pub(super) agent: String,
    pub(super) concurrency: usize,
    /// None is every type, an empty list claims nothing.
    pub(super) types: Option<Vec<String>>,
    /// Of which messages are fetched.
    pub(super) message_types: Vec<String>,
    /// What the most patient of their handlers takes.
    pub(super) message_timeout: Duration,
    pub(super) lease: Duration,
    pub(super) wait: Duration,
    pub(super) grace: Duration,
    pub(super) heartbeat: Duration,
    pub(super) stall_after: Duration,
    pub(super) on_stall: OnStall,
    pub(super) listener: Listener,
    pub(super) message_listener: MessageListener,
}

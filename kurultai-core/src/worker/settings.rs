use super::report::Listener;
use std::time::Duration;

/// What the loop goes by.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    pub(super) agent: String,
    pub(super) concurrency: usize,
    pub(super) types: Option<Vec<String>>,
    pub(super) lease: Duration,
    pub(super) wait: Duration,
    pub(super) grace: Duration,
    pub(super) heartbeat: Duration,
    pub(super) listener: Listener,
}

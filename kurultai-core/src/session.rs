//! What the handles of one opened store share.

use crate::{calls::Calls, config::Config, news::News};
use std::sync::Arc;

/// Ends its background when the last handle is dropped.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) config: Config,
    /// What claims; `close` ends it first.
    pub(crate) claims: Arc<Calls>,
    /// The agents at work, which then give back what they hold.
    pub(crate) agents: Calls,
    /// What else changes something; `close` waits for it last.
    pub(crate) calls: Arc<Calls>,
    pub(crate) news: Arc<News>,
}

impl Session {
    pub(crate) fn new(config: Config, news: Arc<News>) -> Arc<Self> {
        Arc::new(Session {
            config,
            claims: Arc::default(),
            agents: Calls::default(),
            calls: Arc::default(),
            news,
        })
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.news.close();
    }
}

//! What the handles of one opened store share.

use crate::{calls::Calls, config::Config, ids, news::News};
use std::sync::Arc;

/// Ends its background when the last handle is dropped.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) config: Config,
    /// Tells it from every other opened store.
    pub(crate) instance: String,
    /// What claims; `close` ends it first.
    pub(crate) claims: Arc<Calls>,
    /// The agents at work and the roles that they hold, which then give back what they have.
    pub(crate) agents: Arc<Calls>,
    /// What else changes something; `close` waits for it last.
    pub(crate) calls: Arc<Calls>,
    pub(crate) news: Arc<News>,
}

impl Session {
    pub(crate) fn new(config: Config, news: Arc<News>) -> Arc<Self> {
        Arc::new(Session {
            config,
            instance: ids::new_id(),
            claims: Arc::default(),
            agents: Arc::default(),
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

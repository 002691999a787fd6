//! What the handles of one opened store share.

use crate::{calls::Calls, config::Config, news::News};
use std::sync::Arc;

/// Ends its background when the last handle is dropped.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) config: Config,
    /// What changes something; `close` waits for it.
    pub(crate) calls: Calls,
    pub(crate) news: Arc<News>,
}

impl Session {
    pub(crate) fn new(config: Config, news: Arc<News>) -> Arc<Self> {
        Arc::new(Session { config, calls: Calls::default(), news })
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.news.close();
    }
}

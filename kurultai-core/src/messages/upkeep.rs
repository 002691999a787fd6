//! What the background does for messages.

use super::contract::Mailbox;
use crate::{
    error::Result,
    news::News,
    store::Pulse,
    upkeep::{TICK, Upkeep},
};
use async_trait::async_trait;
use std::{sync::Arc, time::Duration};

/// How many messages one statement ends.
const PASS: usize = 500;

#[derive(Debug)]
pub(crate) struct MessageUpkeep {
    mailbox: Arc<dyn Mailbox>,
    news: Arc<News>,
}

impl MessageUpkeep {
    pub(crate) fn new(mailbox: Arc<dyn Mailbox>, news: Arc<News>) -> Arc<Self> {
        Arc::new(MessageUpkeep { mailbox, news })
    }

    /// Ends all that has expired and was delivered too often.
    pub(crate) async fn maintain(&self) -> Result<()> {
        loop {
            let ended = self.mailbox.sweep(PASS).await?;
            if ended == 0 {
                return Ok(());
            }
            self.news.announce_events();
        }
    }
}

#[async_trait]
impl Upkeep for MessageUpkeep {
    async fn look(&self, _pulse: &Pulse) -> Result<Duration> {
        Ok(TICK)
    }

    async fn keep(&self) -> Result<()> {
        self.maintain().await
    }
}

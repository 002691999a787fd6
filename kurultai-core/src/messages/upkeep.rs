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
    /// How long messages are kept.
    keep: Option<Duration>,
}

impl MessageUpkeep {
    pub(crate) fn new(mailbox: Arc<dyn Mailbox>, news: Arc<News>, keep: Option<Duration>) -> Arc<Self> {
        Arc::new(MessageUpkeep { mailbox, news, keep })
    }

    /// Ends all that has expired and was delivered too often, and removes what is too old.
    pub(crate) async fn maintain(&self) -> Result<()> {
        while self.mailbox.sweep(PASS).await? > 0 {
            self.news.announce_events();
        }
        if let Some(keep) = self.keep {
            while self.mailbox.forget(keep, PASS).await? == PASS {}
        }
        Ok(())
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

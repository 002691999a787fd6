//! What an agent leaves here when it is removed.

use super::{KeyState, Keys, Mailbox};
use crate::{agents::Belongings, error::Result};
use async_trait::async_trait;
use std::sync::Arc;

#[derive(Debug)]
pub(crate) struct Mail {
    mailbox: Arc<dyn Mailbox>,
    keys: Keys,
}

impl Mail {
    pub(crate) fn new(mailbox: Arc<dyn Mailbox>, keys: Keys) -> Self {
        Mail { mailbox, keys }
    }
}

#[async_trait]
impl Belongings for Mail {
    async fn of(&self, agent: &str) -> Result<Vec<String>> {
        let mut all = vec![];
        for key in self.keys.list(Some(agent)).await? {
            if matches!(key.state, KeyState::Pending | KeyState::Active) {
                all.push(format!("key {}", key.key_id));
            }
        }
        match self.mailbox.unread(agent).await?.count {
            0 => {}
            1 => all.push("1 unread message".to_owned()),
            count => all.push(format!("{count} unread messages")),
        }
        Ok(all)
    }

    /// Nobody speaks as it any more.
    async fn gone(&self, agent: &str) -> Result<()> {
        self.keys.revoke_all(agent, "its agent was removed").await
    }
}

//! What of other rooms belongs to an agent.

use crate::error::Result;
use async_trait::async_trait;
use std::fmt;

#[async_trait]
pub(crate) trait Belongings: fmt::Debug + Send + Sync {
    /// In words: `key temujin-3f2a9c1b`, `2 unread messages`.
    async fn of(&self, agent: &str) -> Result<Vec<String>>;

    /// The agent has been removed.
    async fn gone(&self, agent: &str) -> Result<()>;
}

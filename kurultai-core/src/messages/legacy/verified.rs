//! What a verified envelope says, and what its receiver expects of it.

use super::WINDOW;
use crate::{ids, json::Json};
use chrono::{DateTime, Utc};

/// What the receiver of an envelope expects.
#[derive(Debug, Clone)]
pub struct Expect {
    /// Who the receiver is: names of an agent, and `role:NAME` for the roles that it holds. Empty where any receiver is
    /// right.
    pub audiences: Vec<String>,
    /// The time by which the message's age is taken.
    pub now: DateTime<Utc>,
}

impl Expect {
    /// Whether one of these names is one of the receiver's.
    pub(super) fn is_for<'a>(&self, names: impl IntoIterator<Item = &'a str>) -> bool {
        let is_ours = |name: &str| {
            self.audiences.iter().any(|ours| ours == name) || {
                let name = ids::fold(name);
                self.audiences.iter().any(|ours| ids::fold(ours) == name)
            }
        };
        self.audiences.is_empty() || names.into_iter().any(is_ours)
    }
}

/// A message whose signature holds; only [`verify`](super::verify) makes one.
#[derive(Debug, Clone)]
pub struct LegacyVerified {
    pub(super) agent: String,
    pub(super) agent_as_sent: String,
    pub(super) key_id: String,
    pub(super) timestamp: DateTime<Utc>,
    pub(super) body: Json,
    pub(super) replay_id: String,
}

impl LegacyVerified {
    /// Who signed: the name folded, as `temujin`.
    pub fn agent(&self) -> &str {
        &self.agent
    }

    /// The name as it was sent and signed: `Temüjin`.
    pub fn agent_as_sent(&self) -> &str {
        &self.agent_as_sent
    }

    /// The key that signed.
    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    /// When it was signed, by the sender's clock.
    pub fn timestamp(&self) -> DateTime<Utc> {
        self.timestamp
    }

    /// The message without `signature` and `sig_metadata`: exactly the text that was signed, so that every reader reads
    /// the same from it, however the sender spelled numbers and texts.
    pub fn body(&self) -> &Json {
        &self.body
    }

    /// What the store remembers, so that the same message is not admitted again: SHA-256 of the signature, in
    /// hexadecimal digits.
    pub fn replay_id(&self) -> &str {
        &self.replay_id
    }

    /// Until when it must be remembered: after this time the message is `sig.expired` anyway. Up to twice the window
    /// from now where the sender's clock is ahead.
    pub fn replay_until(&self) -> DateTime<Utc> {
        self.timestamp + WINDOW
    }
}

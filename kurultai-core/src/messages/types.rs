//! What is sent, and how it stands.

use crate::{
    error::{Error, Result},
    json::Json,
    words::words,
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr, time::Duration};

/// How often a message is delivered before it has failed.
pub const MAX_DELIVERIES: u32 = 5;
/// How many messages may wait for one recipient.
pub const MAX_INBOX: usize = 10_000;
/// How many waiting messages a renewal counts: 100 are 100 or more.
pub const MAX_UNREAD: usize = 100;
/// A renewal looks for them no further, past those that somebody has.
pub(crate) const UNREAD_LOOKS: usize = 1_000;

words! {
    /// How a message stands.
    #[non_exhaustive]
    MessageStatus, "status" {
        /// It waits for its recipient.
        Pending = "pending",
        /// Somebody has it, and has not acknowledged it yet.
        Delivered = "delivered",
        /// Its recipient has taken it in.
        Acknowledged = "acknowledged",
        /// It was rejected, delivered too often, or its signature holds no more; its code says which.
        Failed = "failed",
        /// Nobody acknowledged it in time.
        Expired = "expired",
    }
}

words! {
    /// How the recipient of a message fared when it was sent.
    #[non_exhaustive]
    Recipient, "recipient" {
        /// It has given a sign of life.
        Alive = "alive",
        /// It is registered and silent, or has stopped: it finds the message when it returns.
        Asleep = "asleep",
        /// It takes no new work.
        Draining = "draining",
        /// No agent of this name is registered.
        Unknown = "unknown",
    }
}

/// A message to be sent.
#[derive(Debug, Clone, PartialEq)]
pub struct NewMessage {
    /// An agent's id, or `role:NAME` for whoever holds the role when it is fetched.
    pub to: String,
    /// What kind of message it is, 1 to 128 characters.
    pub message_type: String,
    /// Any JSON.
    pub body: Json,
    /// Who says it; the handle's identity unless it has several.
    pub sender: Option<String>,
    /// The task that it is about.
    pub task_id: Option<String>,
    /// The message that it answers.
    pub reply_to: Option<String>,
    /// A second message of this sender and key is not sent; with another recipient, type or body it is `message.conflict`.
    /// Each sender has keys of its own. The key is free again once its message has expired or failed and nobody has taken it
    /// in; one that was acknowledged or rejected keeps it.
    pub dedupe_key: Option<String>,
    /// How long it may wait; default and most depend on its type.
    pub ttl: Option<Duration>,
    /// It is delivered before those that are not.
    pub urgent: bool,
}

impl NewMessage {
    /// With a body, and nothing else.
    pub fn new(to: impl Into<String>, message_type: impl Into<String>, body: impl Into<Json>) -> Self {
        NewMessage {
            to: to.into(),
            message_type: message_type.into(),
            body: body.into(),
            sender: None,
            task_id: None,
            reply_to: None,
            dedupe_key: None,
            ttl: None,
            urgent: false,
        }
    }
}

/// What became of a message that was sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sent {
    /// Its id: the token's `jti`.
    pub id: String,
    /// One of its dedupe key was there already, and this is its id.
    pub deduplicated: bool,
    /// How its recipient fares; `unknown` where it is a role.
    pub recipient: Recipient,
}

/// Who signed, as it was verified when the message was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signer {
    /// The agent's id.
    pub agent: String,
    /// The key.
    pub key_id: String,
    /// 2, or 1 for the legacy envelope.
    pub version: u8,
}

/// A message as its recipient gets it. What it says is what its signature covers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AgentMessage {
    /// Its id.
    pub id: String,
    /// Who said it.
    pub sender: String,
    /// To whom: an agent or `role:NAME`.
    pub to: String,
    /// What kind of message it is.
    #[serde(rename = "type")]
    pub message_type: String,
    /// What it says.
    pub body: Json,
    /// The task that it is about.
    pub task_id: Option<String>,
    /// The message that it answers.
    pub reply_to: Option<String>,
    /// The message that the exchange began with.
    pub thread: String,
    /// Whether it goes before others.
    pub urgent: bool,
    /// How it stands.
    pub status: MessageStatus,
    /// How often it was delivered; of a fetched message also the fence, with which it is acknowledged.
    pub delivery: u32,
    /// Why it has failed.
    pub code: Option<String>,
    /// When it was sent, by the store's clock.
    pub created_at: DateTime<Utc>,
    /// Until when it may wait.
    pub expires_at: DateTime<Utc>,
    /// Who signed it.
    pub verified: Signer,
}

impl AgentMessage {
    /// With what the delivery is ended.
    pub fn receipt(&self) -> Receipt {
        Receipt { id: self.id.clone(), delivery: self.delivery }
    }
}

/// One delivery of a message: who has a later one can end it, who has an earlier one cannot. As text `ID/DELIVERY`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Receipt {
    /// The message's id.
    pub id: String,
    /// Which delivery it is.
    pub delivery: u32,
}

impl fmt::Display for Receipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.id, self.delivery)
    }
}

impl FromStr for Receipt {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let read = text.rsplit_once('/').and_then(|(id, delivery)| Some((id, delivery.parse().ok()?)));
        let (id, delivery) = read.ok_or_else(|| Error::invalid("receipt", text, "ID/DELIVERY"))?;
        Ok(Receipt { id: id.to_owned(), delivery })
    }
}

/// What to fetch from an inbox.
#[derive(Debug, Clone)]
pub struct Inbox {
    /// Whose; default the handle's identity.
    pub agent: Option<String>,
    /// At most so many, 1 to 1,000. Default 10.
    pub max: usize,
    /// Only these types.
    pub types: Option<Vec<String>>,
    /// How long to wait for the first. Default not at all.
    pub wait: Duration,
    /// How long nobody else is given them. Default 60 s; 0.1 s to a day.
    pub visible: Duration,
}

impl Default for Inbox {
    fn default() -> Self {
        Inbox { agent: None, max: 10, types: None, wait: Duration::ZERO, visible: Duration::from_secs(60) }
    }
}

/// Which messages to list.
#[derive(Debug, Clone)]
pub struct MessageFilter {
    /// To an agent or a role.
    pub to: Option<String>,
    /// From an agent.
    pub from: Option<String>,
    /// At most so many a page, 1 to 1,000. Default 100.
    pub limit: usize,
    /// What the page before ended with.
    pub cursor: Option<String>,
}

impl Default for MessageFilter {
    fn default() -> Self {
        MessageFilter { to: None, from: None, limit: 100, cursor: None }
    }
}

/// A part of a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MessagePage {
    /// The messages.
    pub messages: Vec<AgentMessage>,
    /// The cursor of the next page, if there is more.
    pub next: Option<String>,
}

/// What waits for an agent. Of [`Messages::unread`](super::Messages::unread): all that nobody has acknowledged. With a renewal
/// ([`Extended::unread`](crate::tasks::Extended::unread)): what it would be given now, itself and for the roles that it
/// holds, at most [`MAX_UNREAD`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Unread {
    /// How many messages.
    pub count: u64,
    /// How many of them are urgent.
    pub urgent: u64,
}

impl Unread {
    /// As a renewal tells it. Of each inbox the urgent ones were counted first.
    pub(crate) fn told(count: u64, urgent: u64) -> Self {
        let most = MAX_UNREAD as u64;
        Unread { count: count.min(most), urgent: urgent.min(most) }
    }
}

//! The stores' contracts for messages and keys.

use super::{
    key_row::Row,
    keys::{AgentKey, KeyState},
    types::{MessageStatus, Sent, Unread},
    wrap::Wrapped,
};
pub(crate) use crate::batch::Batch;
use crate::{agents::Term, clock::Micros, error::Result, store::Sealed};
use async_trait::async_trait;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use std::{collections::HashSet, fmt, time::Duration};

/// What a store does for messages. Sealed: the library brings its stores.
#[async_trait]
pub trait Mailbox: Sealed + fmt::Debug + Send + Sync {
    /// Admits messages, all of a unit in one transaction or none; each has an event `message.received`. A key that
    /// does not verify any more, an id that was there before and a full inbox refuse the unit.
    async fn put(&self, units: Batch<Vec<Post>>) -> Result<Vec<Result<Vec<Sent>>>>;

    /// The same for one unit, where whoever acts under the term still holds the role: `role.stale_term` otherwise, and
    /// nothing is sent.
    async fn put_under(&self, unit: Vec<Post>, under: Term) -> Result<Vec<Sent>>;

    /// Gives messages to whom they are for, an agent and whoever holds a role at that moment, urgent ones first, then the
    /// oldest; nobody else is given them until they are visible again.
    async fn fetch(&self, requests: Batch<Fetch>) -> Result<Vec<Result<Vec<Stored>>>>;

    /// Ends deliveries, all in one transaction; each has its own answer.
    async fn settle(&self, units: Batch<Vec<Settle>>) -> Result<Vec<Result<Vec<Result<Settled>>>>>;

    /// What waits for an agent and for the roles that it holds.
    async fn unread(&self, agent: &str) -> Result<Unread>;

    /// Messages in the order in which they were sent, at most `limit`, and no more once they have the bytes of an answer.
    async fn read(&self, which: Which, after: Option<String>, limit: usize) -> Result<Part>;

    /// Ends what has expired and what was delivered too often, at most `limit` of each; each has an event. Returns how
    /// many those were.
    async fn sweep(&self, limit: usize) -> Result<usize>;

    /// Removes messages that have left their inbox and whose time has been over for this long, and refusals that are as
    /// old, at most `limit` of each. Returns how many messages those were.
    async fn forget(&self, after: Duration, limit: usize) -> Result<usize>;

    /// Notes what was refused at the door; the eleventh of a sender for one reason within a minute raises an alert. Returns how often the like was refused in this minute.
    async fn refused(&self, refusal: Refusal) -> Result<u64>;

    /// Those of the dedupe keys that a message has: one that waits, or that somebody has taken in.
    async fn told(&self, dedupe_keys: Vec<String>) -> Result<Vec<String>>;

    /// By whom, as they say, and why more than 10 were refused in this minute or the one before.
    async fn forgeries(&self) -> Result<Vec<(String, String)>>;
}

/// What a store does for keys. Sealed: the library brings its stores.
#[async_trait]
pub trait KeyStore: Sealed + fmt::Debug + Send + Sync {
    /// The keys of an agent, or of all, in the order of their agents and ids.
    async fn keys(&self, agent: Option<&str>) -> Result<Vec<AgentKey>>;

    /// Stores keys of one agent, new ones and changed ones, in one transaction, where the agent's keys are still those that
    /// the caller knows, each in the state that it knows; `key.conflict` otherwise.
    async fn put(&self, agent: &str, known: Vec<(String, KeyState)>, keys: Vec<AgentKey>) -> Result<()>;

    /// Replaces wrapped secrets, all in one transaction or none: each only where it is still wrapped as it was, and only
    /// where these are all that `wrapping_key` has not wrapped; `key.conflict` otherwise.
    async fn rewrap(&self, wrapping_key: &str, secrets: Vec<Rewrapped>) -> Result<()>;

    /// The rows in which an older program keeps secrets as they are, under the contract's names.
    async fn plain(&self) -> Result<Vec<PlainRow>>;

    /// Takes such rows over, all in one transaction: each only where it still has the secret that was read, which it then
    /// has no more. Returns the places of those that were.
    async fn take_over(&self, rows: Vec<TakeOver>) -> Result<HashSet<String>>;
}

/// A message on its way into the store. Made by signing or by verifying alone.
#[derive(Debug, Clone)]
pub struct Post {
    pub(crate) id: String,
    pub(crate) sender: String,
    pub(crate) key_id: String,
    pub(crate) to: String,
    pub(crate) message_type: String,
    pub(crate) body: String,
    pub(crate) task_id: Option<String>,
    pub(crate) reply_to: Option<String>,
    /// As the store has it: its sender's own ([`own_key`](super::rules::own_key)), or of a delegation the team's, whoever
    /// routes.
    pub(crate) dedupe_key: Option<String>,
    pub(crate) urgent: bool,
    pub(crate) expires_at: Micros,
    pub(crate) token: String,
}

impl Post {
    /// What its event says.
    pub(crate) fn told(&self) -> String {
        let Post { id, to, message_type, reply_to, urgent, .. } = self;
        let mut told = serde_json::json!({ "id": id, "to": to, "type": message_type });
        if let Some(reply_to) = reply_to {
            told["reply_to"] = reply_to.as_str().into();
        }
        if *urgent {
            told["urgent"] = true.into();
        }
        told.to_string()
    }
}

/// Who wants messages.
#[derive(Debug, Clone)]
pub struct Fetch {
    /// Who gets them: those to it, and those to the roles that it holds when they are fetched.
    pub(crate) agent: String,
    pub(crate) types: Option<Vec<String>>,
    pub(crate) max: usize,
    /// How long nobody else is given them.
    pub(crate) visible: Duration,
    /// Only the answer to a message.
    pub(crate) answer: Option<Answer>,
}

/// Which answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// To this message.
    pub(crate) to: String,
    /// Of this agent; `None` for whoever was given the message last.
    pub(crate) from: Option<String>,
}

/// A message as the store has it. What it says is in the token, or the legacy envelope, alone; what filters go by lies beside
/// it as well, and has to say the same.
#[derive(Debug, Clone)]
pub struct Stored {
    pub(crate) id: String,
    pub(crate) token: String,
    /// In whose inbox it is, an agent's or `role:NAME`. A token says so itself, an envelope may not.
    pub(crate) to: String,
    pub(crate) message_type: String,
    pub(crate) task_id: Option<String>,
    pub(crate) reply_to: Option<String>,
    pub(crate) thread: String,
    pub(crate) urgent: bool,
    pub(crate) status: MessageStatus,
    pub(crate) delivery: u32,
    pub(crate) code: Option<String>,
    pub(crate) created_at: Micros,
    /// Which fetch gave it, on a store whose statements may be repeated: the number of a delivery that went back is given
    /// again.
    pub(crate) fetch: Option<String>,
    /// A column that has what no message has in it.
    pub(crate) flaw: Option<&'static str>,
    /// The key that the sender's row names, as it is now.
    pub(crate) key: Option<AgentKey>,
    /// The store's clock.
    pub(crate) now: Micros,
}

/// A part of a list.
#[derive(Debug, Clone)]
pub struct Part {
    pub(crate) stored: Vec<Stored>,
    /// There are others behind it.
    pub(crate) more: bool,
}

/// Which messages to read.
#[derive(Debug, Clone)]
pub enum Which {
    /// To these audiences.
    To(Vec<String>),
    /// From an agent.
    From(String),
    /// Of a thread.
    Thread(String),
    /// All.
    All,
}

/// How a delivery ends.
#[derive(Debug, Clone)]
pub struct Settle {
    pub(crate) id: String,
    /// The fence.
    pub(crate) delivery: u32,
    pub(crate) ending: Ending,
}

/// What becomes of a message that was delivered.
#[derive(Debug, Clone)]
pub enum Ending {
    /// It is acknowledged.
    Acknowledge,
    /// It has failed.
    Fail {
        /// Why, for programs.
        code: String,
        /// Why, in words.
        reason: String,
    },
    /// It is visible again after this time.
    Again(Duration),
    /// It reached nobody: it is visible again at once, and this delivery does not count. Only where the message was given
    /// by this fetch, on a store that tells one from another.
    Back(Option<String>),
}

/// How a message stands after its delivery has ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settled {
    /// Its id.
    pub id: String,
    /// How it stands.
    pub status: MessageStatus,
    /// It had ended so before.
    pub repeated: bool,
}

/// A wrapped secret in place of another.
#[derive(Debug, Clone)]
pub struct Rewrapped {
    pub(crate) agent: String,
    pub(crate) key_id: String,
    pub(crate) was: Wrapped,
    pub(crate) secret: Wrapped,
}

/// A row of an older program, with a secret as it is.
#[derive(Debug)]
pub struct PlainRow {
    /// Where the store has it.
    pub(crate) place: String,
    /// Whom its edges say to be its owner.
    pub(crate) owners: Vec<String>,
    pub(crate) row: Row,
}

/// What becomes of such a row.
#[derive(Debug)]
pub struct TakeOver {
    pub(crate) place: String,
    pub(crate) was: SecretString,
    /// `None` where the team has the key already, and the row loses its secret alone.
    pub(crate) key: Option<AgentKey>,
}

/// What was refused at the door.
#[derive(Debug, Clone)]
pub struct Refusal {
    /// Who it claims to be from; nobody has proved that.
    pub(crate) sender: String,
    pub(crate) code: &'static str,
    /// The SHA-256 of what was refused.
    pub(crate) hash: String,
}

//! A stored message is believed where its signature holds now, and nowhere else.

use super::{
    KeyList, Verified,
    contract::Stored,
    envelope,
    token::{self, Expect, Token},
    types::{AgentMessage, Signer},
    vault::Vault,
};
use crate::{
    clock::time,
    config::Config,
    error::{Error, Kind, Result},
};

/// For whom, of which team. Without audiences it is for whoever looks on.
pub(super) fn opened(
    stored: &Stored,
    config: &Config,
    vault: &Vault,
    audiences: &[String],
) -> Result<AgentMessage> {
    if let Some(column) = stored.flaw {
        let why = format!("the row of message {} has a {column} that no message has", stored.id);
        return Err(Error::new(Kind::Denied, "sig.malformed", why));
    }
    agrees(stored, verified(stored, config, vault, audiences)?)
}

fn verified(stored: &Stored, config: &Config, vault: &Vault, audiences: &[String]) -> Result<AgentMessage> {
    let namespace = &config.namespace;
    // Whoever looks on sees what has expired since.
    let now = if audiences.is_empty() { stored.created_at.min(stored.now) } else { stored.now };
    if envelope::is_one(&stored.token) {
        envelope::takes(config)?;
        return envelope::opened(stored, vault, audiences, time(now));
    }
    let keys = KeyList { namespace: namespace.to_owned(), keys: stored.key.clone().into_iter().collect() };
    let expect = Expect { namespace: namespace.to_owned(), audiences: audiences.to_vec(), now: time(now) };
    let token = token::verify_admitted(&stored.token, &keys, &expect)?;
    Ok(message(stored, token))
}

/// What a row says of its message beside what was signed has to be the same: lists, threads and answers are found by it.
/// Fails with `sig.malformed`.
fn agrees(stored: &Stored, message: AgentMessage) -> Result<AgentMessage> {
    let other = match () {
        () if stored.id != message.id => "id",
        () if stored.to != message.to => "to_agent",
        () if stored.message_type != message.message_type => "type",
        () if stored.task_id != message.task_id => "task_id",
        () if stored.reply_to != message.reply_to => "reply_to",
        // In which thread an answer is, is the store's word.
        () if message.reply_to.is_none() && stored.thread != message.id => "thread",
        () => return Ok(message),
    };
    let why = format!("the row of message {} has another {other} than what was signed", stored.id);
    Err(Error::new(Kind::Denied, "sig.malformed", why))
}

fn message(stored: &Stored, token: Verified<Token>) -> AgentMessage {
    let Token { id, sender, key_id, audience, message_type, body, task, reply_to, expires_at, .. } =
        token.into_inner();
    AgentMessage {
        id,
        verified: Signer { agent: sender.clone(), key_id, version: 2 },
        sender,
        to: audience,
        message_type,
        body,
        task_id: task,
        reply_to,
        thread: stored.thread.clone(),
        urgent: stored.urgent,
        status: stored.status,
        delivery: stored.delivery,
        code: stored.code.clone(),
        created_at: time(stored.created_at),
        expires_at,
    }
}

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
    if token.id != stored.id {
        let message = format!("the token of message {} is that of message {}", stored.id, token.id);
        return Err(Error::new(Kind::Denied, "sig.malformed", message));
    }
    Ok(message(stored, token))
}

fn message(stored: &Stored, token: Verified<Token>) -> AgentMessage {
    let Token { id, sender, key_id, audience, message_type, body, task, reply_to, .. } = token.into_inner();
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
        expires_at: time(stored.expires_at),
    }
}

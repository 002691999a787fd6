//! Tokens of version 2: a JWS in compact form, signed with Ed25519, in a profile that leaves nothing to choose.
//!
//! The header is exactly `{"alg":"EdDSA","kid":K,"typ":"kurultai-msg+jwt"}`. The payload has `aud` (an agent or
//! `role:NAME`), `body`, `exp` and `iat` (whole seconds), `iss` (the sender), `jti` (a UUIDv7), `mt` (the type), `tid` (the
//! namespace), where the message has them `task` and `reply_to`, and nothing else.

pub use super::draft::{CONTROL_LIFETIME, Draft, LONGEST_LIFETIME, TASK_LIFETIME, longest_lifetime};
use super::{
    claims::{self, Claimed},
    jws::{self, Jws},
    keys::KeyLookup,
    signer::{Algorithm, MessageSigner},
    verified::Verified,
};
use crate::{
    error::{Error, Kind, Result},
    json::Json,
};
use chrono::{DateTime, TimeDelta, Utc};

/// The longest token: 256 KiB, four thirds of which are its message.
pub const MAX_BYTES: usize = 256 * 1024;
/// How far the sender's clock may be ahead: 60 s.
pub const LEEWAY: TimeDelta = TimeDelta::seconds(60);

/// Who we are, and when. Whatever is for somebody else, or for another time, is refused.
#[derive(Debug, Clone)]
pub struct Expect {
    /// The team.
    pub namespace: String,
    /// For whom messages may be: an agent's id, and `role:NAME` for each role that it holds. Empty for anybody: for whoever
    /// passes them on.
    pub audiences: Vec<String>,
    /// The store's time.
    pub now: DateTime<Utc>,
}

/// What a token says. As [`Verified<Token>`] it was said by `sender`.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Token {
    /// A UUIDv7: the message's id, under which it is admitted once.
    pub id: String,
    /// The team.
    pub namespace: String,
    /// The agent that has signed it.
    pub sender: String,
    /// The key that it has used.
    pub key_id: String,
    /// The agent that it is for, or `role:NAME`.
    pub audience: String,
    /// `task_delegation`, or any other text of 1 to 128 characters.
    pub message_type: String,
    /// Any JSON, as the sender has written it.
    pub body: Json,
    /// The task that it is about.
    pub task: Option<String>,
    /// The message that it answers.
    pub reply_to: Option<String>,
    /// When it was signed, by the sender's clock.
    pub issued_at: DateTime<Utc>,
    /// From when on it is refused.
    pub expires_at: DateTime<Utc>,
}

/// Signs a message. What this makes, [`verify`] takes, if the team knows the signer's key as the sender's.
///
/// Errors: `input.invalid` names the field; `input.payload` where the body is no JSON that every language reads alike (a key
/// twice in an object, half of a surrogate pair, deeper than 64 levels) or is too large for a token; `sig.algorithm` where the
/// signer is not one of Ed25519; the signer's own.
pub fn sign(draft: &Draft, signer: &dyn MessageSigner) -> Result<String> {
    if signer.algorithm() != Algorithm::EdDsa {
        let message =
            format!("key {:?} signs with {}; tokens need EdDSA", signer.key_id(), signer.algorithm());
        return Err(jws::wrong_algorithm(message));
    }
    let text = jws::compact(&jws::header(signer.key_id())?, &claims::write(draft)?, signer)?;
    if text.len() > MAX_BYTES {
        let why = format!("a token of {} bytes; at most {MAX_BYTES} are allowed", text.len());
        return Err(Error::payload("$", why).about("body"));
    }
    Ok(text)
}

/// Whether a message is what it says it is: in its form, by its signature over the bytes as they came, and for us. Nothing
/// of the payload is believed before the signature holds, except whose key to look for.
///
/// That a message was not presented before is for the store to say, by its id.
///
/// Errors, in the order in which they are looked for: `sig.missing`; `sig.malformed` (size, parts, base64url, header);
/// `sig.algorithm`; `key.unknown`, `key.revoked`, `key.expired`; `sig.algorithm` of the key; `sig.mismatch`; then of the
/// payload `sig.malformed` (its members), `sig.wrong_namespace`, `sig.wrong_audience`, `sig.from_future`, `sig.expired`, and
/// `sig.malformed` (lifetime, texts, body).
pub fn verify(text: &str, keys: &dyn KeyLookup, expect: &Expect) -> Result<Verified<Token>> {
    verified(text, keys, expect, Some(LEEWAY))
}

/// The same of a message that was admitted before. Whether it is from the future was judged then, and is not again: a clock
/// that has been put right since must destroy nothing that waits.
pub(super) fn verify_admitted(text: &str, keys: &dyn KeyLookup, expect: &Expect) -> Result<Verified<Token>> {
    verified(text, keys, expect, None)
}

fn verified(
    text: &str,
    keys: &dyn KeyLookup,
    expect: &Expect,
    leeway: Option<TimeDelta>,
) -> Result<Verified<Token>> {
    let jws = Jws::read(text, MAX_BYTES)?;
    let key_id = jws.key_id()?;
    let claimed = Claimed::read(&jws.payload)?;
    let (namespace, sender) = (&claimed.namespace, &claimed.sender);
    let found = keys.key(namespace, sender, &key_id);
    // Whatever a look-up answers, a key proves only that its own agent has signed.
    let own = found.filter(|key| key.agent_id == *sender && key.key_id == key_id);
    let key = own.ok_or_else(|| {
        let message = format!("agent {sender:?} has no key {key_id:?} in namespace {namespace:?}");
        Error::new(Kind::Denied, "key.unknown", message)
    })?;
    key.check_signature(jws.signed, &jws.signature, expect.now)?;
    claimed.token(key_id, expect, leeway).map(Verified::new)
}

/// Of which team and from whom a token claims to be; nobody has proved that.
pub(super) fn claimed(text: &str) -> Option<(String, String)> {
    let jws = Jws::read(text, MAX_BYTES).ok()?;
    Claimed::read(&jws.payload).ok().map(|claimed| (claimed.namespace, claimed.sender))
}

#[cfg(test)]
mod tests;

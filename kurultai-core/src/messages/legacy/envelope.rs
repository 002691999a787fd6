//! Signing and verifying.

use super::{
    ALGORITHM, MAX_BYTES, WINDOW,
    canonical::{self, Object},
    key::{LegacyKey, LegacyKeys},
    mac::Signature,
    message::{Message, Metadata, brief, malformed, plain, refused},
    text, timestamp,
    verified::{Expect, LegacyVerified},
};
use crate::{
    error::{Error, Result},
    json::Json,
};
use chrono::{DateTime, TimeDelta, Utc};
use std::time::Duration;

/// What signing adds to a message, for those who keep the message as an object of their own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seal {
    /// 64 hexadecimal digits.
    pub signature: String,
    /// As Python's `isoformat` writes it: `2026-02-09T12:00:00.123456+00:00`.
    pub timestamp: String,
}

/// Signs a message, the text of a JSON object, and answers the envelope's text: the canonical message with
/// `sig_metadata` and `signature` after it. A seal that is there already is replaced.
///
/// Fails with `input.payload` where the text is no object, has a key twice or one that begins with `_sig_`, or the
/// envelope would be above 256 KiB; with `key.revoked`, `key.expired` or `key.weak`.
pub fn sign_message(text: &str, key: &LegacyKey, now: DateTime<Utc>) -> Result<String> {
    let object = Object::read(text).map_err(unfit)?;
    let message = Message::of(&object).map_err(unfit)?;
    let Seal { signature, timestamp } = message.seal(key, now)?;
    let (agent, key_id) = (text::quoted(&key.agent_id), text::quoted(&key.key_id));
    let metadata = format!(
        r#""sig_metadata":{{"agent_id":{agent},"key_id":{key_id},"timestamp":"{timestamp}","algorithm":"{ALGORITHM}"}}"#
    );
    let signature = format!(r#""signature":"{signature}""#);
    let envelope = message.with(&[&metadata, &signature]);
    if envelope.len() > MAX_BYTES {
        return Err(unfit(too_long(&envelope)));
    }
    Ok(envelope)
}

/// What [`sign_message`] adds, alone. Fails as it does, but for the envelope's size, which it does not see.
pub fn seal(text: &str, key: &LegacyKey, now: DateTime<Utc>) -> Result<Seal> {
    let object = Object::read(text).map_err(unfit)?;
    Message::of(&object).map_err(unfit)?.seal(key, now)
}

/// Signs `{"type": "task_delegation", "task_id", "from", "to", "payload"}`, where `from` is the key's agent. Fails as
/// [`sign_message`] does.
pub fn sign_delegation(
    task_id: &str,
    to: &str,
    payload: &Json,
    key: &LegacyKey,
    now: DateTime<Utc>,
) -> Result<String> {
    let [task_id, from, to] = [task_id, &key.agent_id, to].map(text::quoted);
    // Canonical, so that it is one document and nothing beside it.
    let payload = canonical::canonical_text(payload.as_str())?;
    let message = format!(
        r#"{{"type":"task_delegation","task_id":{task_id},"from":{from},"to":{to},"payload":{payload}}}"#
    );
    sign_message(&message, key, now)
}

/// Verifies an envelope from the text that was received.
///
/// What is not signed is held to one form: `sig_metadata` has its four texts and no more, and the signature 64 digits in
/// lower case. Fails, in this order, with
/// - `sig.malformed`: above 256 KiB, no object, a key twice or one that begins with `_sig_`;
/// - `sig.missing`: no `signature`; neither it nor `sig_metadata`;
/// - `sig.malformed`: a signature without `sig_metadata`, or one of the two in another form; a time without an offset;
/// - `sig.algorithm`: anything but HMAC-SHA256;
/// - `key.unknown`: the agent has no key with this id; `key.revoked`, `key.expired`, `key.weak`;
/// - `sig.mismatch`: another key signed, or another text was signed;
/// - `sig.expired`, `sig.from_future`: more than 300 seconds from `now`;
/// - `sig.wrong_audience`: `delegate` or `to` is a name, or a list, in which the receiver is not.
///
/// It does not know whether the message was presented before: that is [`LegacyVerified::replay_id`].
pub fn verify(text: &str, keys: &dyn LegacyKeys, expect: &Expect) -> Result<LegacyVerified> {
    verify_within(text, keys, expect, WINDOW)
}

/// The same of a message that came in time and may be so old since. That it was not from the future was seen then.
pub(in crate::messages) fn verify_within(
    text: &str,
    keys: &dyn LegacyKeys,
    expect: &Expect,
    longest: Duration,
) -> Result<LegacyVerified> {
    if text.len() > MAX_BYTES {
        return Err(malformed(too_long(text)));
    }
    let object = Object::read(text).map_err(malformed)?;
    let message = Message::of(&object).map_err(malformed)?;
    let Some(signature) = message.signature else {
        return Err(refused("sig.missing", "the message is not signed"));
    };
    let signature = plain(signature).and_then(|digits| Signature::read(&digits));
    let signature =
        signature.ok_or_else(|| malformed("signature is not 64 hexadecimal digits in lower case"))?;
    let metadata = message.metadata.ok_or_else(|| malformed("a signature without sig_metadata"))?;
    let metadata = Object::read(metadata).map_err(|_| malformed("sig_metadata is no object"))?;
    let metadata = Metadata::of(&metadata)?;

    let key = keys.key(&metadata.agent, &metadata.key_id);
    let is_its = |key: &LegacyKey| key.agent_id == metadata.agent_as_sent && key.key_id == metadata.key_id;
    let Some(key) = key.filter(|key| is_its(key) || key.is_of(&metadata.agent, &metadata.key_id)) else {
        let (key, agent) = (brief(&metadata.key_id), brief(&metadata.agent_as_sent));
        return Err(refused("key.unknown", format!("agent {agent} has no key {key}")));
    };
    let secret = key.usable(expect.now)?;
    if !signature.is_of(secret, &message.signed(metadata.written))? {
        let (key, agent) = (brief(&key.key_id), brief(&key.agent_id));
        return Err(refused("sig.mismatch", format!("key {key} of agent {agent} did not sign this message")));
    }
    is_fresh(metadata.time, expect.now, longest)?;
    message.is_for(expect)?;
    Ok(LegacyVerified {
        agent: metadata.agent,
        agent_as_sent: metadata.agent_as_sent.into_owned(),
        key_id: key.key_id,
        timestamp: metadata.time,
        body: Json::stored(message.into_body()),
        replay_id: signature.hash(),
    })
}

fn is_fresh(time: DateTime<Utc>, now: DateTime<Utc>, longest: Duration) -> Result<()> {
    let age = now - time;
    let span = |span: Duration| TimeDelta::from_std(span).unwrap_or_default();
    let said = |code, how: &str, most: Duration| {
        let seconds = most.as_secs();
        Err(refused(code, format!("signed at {}, {how} than {seconds} s", timestamp::write(time))))
    };
    match () {
        () if age > span(longest) => said("sig.expired", "longer ago", longest),
        () if longest == WINDOW && -age > span(WINDOW) => said("sig.from_future", "later by more", WINDOW),
        () => Ok(()),
    }
}

fn too_long(text: &str) -> String {
    format!("an envelope of {} bytes; at most {MAX_BYTES} are allowed", text.len())
}

fn unfit(why: impl ToString) -> Error {
    Error::payload("$", why.to_string())
}

//! The legacy envelope in the mailbox: which message it is, with which stored key it is verified, and how long it waits.

use super::{
    AgentKey,
    contract::{Post, Stored},
    draft::{self, LONGEST_LIFETIME, longest_lifetime},
    jws::wrong_algorithm,
    legacy::{self, Expect, LegacyKey, LegacyVerified, WINDOW},
    rules::unknown_key,
    signer::Algorithm,
    types::{AgentMessage, Signer},
    vault::Vault,
    wrap::ExposeSecret,
};
use crate::{
    check,
    clock::time,
    config::Config,
    error::{Error, Kind, Result},
    ids,
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, value::RawValue};

/// No token begins so.
pub(super) fn is_one(text: &str) -> bool {
    text.trim_ascii_start().starts_with('{')
}

/// Whether the handle takes envelopes at all.
pub(super) fn takes(config: &Config) -> Result<()> {
    if config.min_version <= 1 {
        return Ok(());
    }
    let message =
        "this is a legacy envelope, version 1 (HMAC-SHA256), and the handle was opened with min_version=2";
    Err(wrong_algorithm(message))
}

/// What of an envelope is the mailbox's, as it is written: a number may be longer than any that is read here.
#[derive(Deserialize, Default)]
struct Fields {
    #[serde(rename = "type")]
    message_type: Option<Box<RawValue>>,
    task_id: Option<Box<RawValue>>,
    to: Option<Box<RawValue>>,
    delegate: Option<Box<RawValue>>,
    sig_metadata: Option<Box<RawValue>>,
}

fn read<T: DeserializeOwned>(raw: Option<&RawValue>) -> Option<T> {
    serde_json::from_str(raw?.get()).ok()
}

/// What an envelope says before anybody has verified it.
pub(super) struct Claimed {
    /// Folded.
    pub(super) agent: String,
    pub(super) key_id: String,
    fields: Fields,
}

impl Claimed {
    pub(super) fn of(text: &str) -> Option<Self> {
        #[derive(Deserialize)]
        struct Metadata {
            agent_id: String,
            key_id: String,
        }
        let fields: Fields = serde_json::from_str(text).ok()?;
        let Metadata { agent_id, key_id } = read(fields.sig_metadata.as_deref())?;
        let agent = ids::fold(&agent_id).chars().take(128).collect();
        Some(Claimed { agent, key_id, fields })
    }

    /// The one whom it names.
    pub(super) fn recipient(&self) -> Option<String> {
        let named = |raw: &Option<Box<RawValue>>| match read(raw.as_deref())? {
            Value::String(name) => Some(name),
            Value::Array(names) => match names.as_slice() {
                [Value::String(name)] => Some(name.clone()),
                _ => None,
            },
            _ => None,
        };
        let name = named(&self.fields.to).or_else(|| named(&self.fields.delegate))?;
        let name = if name.starts_with("role:") { name } else { ids::fold(&name) };
        draft::audience("to", &name).is_ok().then_some(name)
    }
}

/// As it comes in: within the window of its timestamp.
pub(super) fn received(
    text: &str,
    key: Option<&AgentKey>,
    vault: &Vault,
    recipient: Option<&str>,
    now: DateTime<Utc>,
) -> Result<LegacyVerified> {
    let keys = key.map(|key| opened_key(key, vault, now)).transpose()?;
    let audiences = recipient.into_iter().map(str::to_owned).collect();
    legacy::verify(text, &Vec::from_iter(keys), &Expect { audiences, now })
}

pub(super) fn post(verified: LegacyVerified, to: String, text: &str) -> Post {
    let said = Said::of(&verified);
    Post {
        id: id(&verified),
        sender: verified.agent().to_owned(),
        key_id: verified.key_id().to_owned(),
        to,
        message_type: said.message_type,
        body: verified.body().as_str().to_owned(),
        task_id: said.task_id,
        reply_to: None,
        dedupe_key: None,
        urgent: false,
        expires_at: said.expires_at.timestamp_micros(),
        token: text.to_owned(),
    }
}

/// As it is fetched: its signature holds with the key as it is now, and its time is not over.
pub(super) fn opened(
    stored: &Stored,
    vault: &Vault,
    audiences: &[String],
    now: DateTime<Utc>,
) -> Result<AgentMessage> {
    let key = stored.key.as_ref().ok_or_else(|| match Claimed::of(&stored.token) {
        Some(Claimed { agent, key_id, .. }) => unknown_key(&agent, &key_id),
        None => unknown_key("?", "?"),
    })?;
    let expect = Expect { audiences: audiences.to_vec(), now };
    let verified =
        legacy::verify_within(&stored.token, &vec![opened_key(key, vault, now)?], &expect, LONGEST_LIFETIME)?;
    let said = Said::of(&verified);
    if now >= said.expires_at {
        let message = format!("message {} was good until {}", stored.id, said.expires_at);
        return Err(Error::new(Kind::Denied, "sig.expired", message));
    }
    let agent = verified.agent().to_owned();
    Ok(AgentMessage {
        id: id(&verified),
        verified: Signer { agent: agent.clone(), key_id: verified.key_id().to_owned(), version: 1 },
        sender: agent,
        to: stored.to.clone(),
        message_type: said.message_type,
        body: verified.body().clone(),
        task_id: said.task_id,
        reply_to: None,
        thread: stored.thread.clone(),
        urgent: stored.urgent,
        status: stored.status,
        delivery: stored.delivery,
        code: stored.code.clone(),
        created_at: time(stored.created_at),
        expires_at: said.expires_at,
    })
}

/// The secret is in memory until this is dropped, which wipes it.
fn opened_key(key: &AgentKey, vault: &Vault, now: DateTime<Utc>) -> Result<LegacyKey> {
    key.check_verifying(now)?;
    let AgentKey { agent_id, key_id, algorithm, secret, .. } = key;
    if *algorithm != Algorithm::HmacSha256 {
        let message =
            format!("key {key_id:?} of agent {agent_id:?} is one of {algorithm}; envelopes need HMAC-SHA256");
        return Err(wrong_algorithm(message));
    }
    let unread = || {
        let message = format!("key {key_id:?} of agent {agent_id:?} has no secret that can be read");
        Error::new(Kind::Denied, "key.unwrap", message)
    };
    let secret = vault.open(key, secret.as_ref().ok_or_else(unread)?)?;
    let text = std::str::from_utf8(secret.expose_secret()).map_err(|_| unread())?;
    let expires_at = Some(key.expires_at);
    Ok(LegacyKey { expires_at, ..LegacyKey::new(agent_id, key_id, text) })
}

/// The signature makes the message: a UUIDv7 of its time, with bits of the signature's hash where others have random ones.
fn id(verified: &LegacyVerified) -> String {
    let mut bits = [0; 10];
    for (place, pair) in bits.iter_mut().zip(verified.replay_id().as_bytes().chunks_exact(2)) {
        let digits = std::str::from_utf8(pair).unwrap_or_default();
        *place = u8::from_str_radix(digits, 16).unwrap_or_default();
    }
    let millis = verified.timestamp().timestamp_millis().unsigned_abs();
    uuid::Builder::from_unix_timestamp_millis(millis, &bits).into_uuid().to_string()
}

/// What of it is the mailbox's.
struct Said {
    message_type: String,
    task_id: Option<String>,
    expires_at: DateTime<Utc>,
}

impl Said {
    fn of(verified: &LegacyVerified) -> Self {
        let fields: Fields = serde_json::from_str(verified.body().as_str()).unwrap_or_default();
        let text = |raw: &Option<Box<RawValue>>| {
            read::<String>(raw.as_deref()).filter(|text| check::text("text", text, 128).is_ok())
        };
        let message_type = text(&fields.message_type).unwrap_or_else(|| "message".to_owned());
        // At least as long as its signature must be remembered.
        let lifetime = longest_lifetime(&message_type).max(WINDOW);
        Said { task_id: text(&fields.task_id), expires_at: verified.timestamp() + lifetime, message_type }
    }
}

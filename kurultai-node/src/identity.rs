//! Whom this process speaks for, and what needs no store: to sign and to verify.

use crate::{
    args::{date, json, maybe_date, maybe_millis, read, word},
    bridge::Outcome,
    failure::Failure,
    wire::text,
};
use chrono::{DateTime, Utc};
use kurultai_core::{
    Error, MessageSigner, Result,
    messages::{
        self, AgentKey, Algorithm, Ed25519Key, KeyList, KeyState, PublicKey,
        token::{self, Draft, Expect},
    },
};
use napi::bindgen_prelude::Either;
use napi_derive::napi;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::sync::Arc;

/// An agent and its key; the secret never crosses.
#[napi]
#[derive(Debug, Clone)]
pub struct Identity {
    key: Arc<Ed25519Key>,
}

/// An identity, or why not.
pub(crate) type Made = Either<Identity, Failure>;

impl Identity {
    pub(crate) fn new(key: Ed25519Key) -> Self {
        Identity { key: Arc::new(key) }
    }

    pub(crate) fn identity(&self) -> Result<messages::Identity> {
        messages::Identity::new(self.key.agent(), self.key.clone())
    }
}

#[napi]
impl Identity {
    #[napi(catch_unwind)]
    pub fn agent(&self) -> String {
        self.key.agent().to_owned()
    }

    #[napi(catch_unwind)]
    pub fn key_id(&self) -> String {
        self.key.key_id().to_owned()
    }

    #[napi(catch_unwind)]
    pub fn public_key(&self) -> String {
        self.key.public_key().to_string()
    }

    /// `null` where it is written.
    #[napi(catch_unwind)]
    pub fn write(&self, path: String) -> Option<Failure> {
        self.key.write(path).err().map(|error| (&error).into())
    }
}

fn made(key: Result<Ed25519Key>) -> Made {
    match key {
        Ok(key) => Either::A(Identity::new(key)),
        Err(error) => Either::B((&error).into()),
    }
}

#[napi(catch_unwind)]
pub(crate) fn identity_read(path: String) -> Made {
    made(Ed25519Key::read(path))
}

#[napi(catch_unwind)]
pub(crate) fn identity_env(agent: String) -> Made {
    made(Ed25519Key::from_env(&agent))
}

#[napi(catch_unwind)]
pub(crate) fn identity_generate(agent: String) -> Made {
    made(Ed25519Key::generate(&agent))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct DraftArgs {
    body: Box<RawValue>,
    audience: String,
    #[serde(rename = "type")]
    message_type: String,
    namespace: Option<String>,
    id: Option<String>,
    task: Option<String>,
    reply_to: Option<String>,
    ttl_ms: Option<f64>,
    issued_at: f64,
}

impl DraftArgs {
    fn draft(self, sender: &str) -> Result<Draft> {
        let mut draft =
            Draft::new(sender, self.audience, self.message_type, date("issuedAt", self.issued_at)?)
                .body(json(self.body))
                .namespace(self.namespace.unwrap_or_else(|| "default".to_owned()));
        if let Some(id) = self.id {
            draft.id = id;
        }
        (draft.task, draft.reply_to) = (self.task, self.reply_to);
        draft.lifetime = maybe_millis("ttlMs", self.ttl_ms)?;
        Ok(draft)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct VerifyArgs {
    token: String,
    keys: Vec<KeyArgs>,
    /// Empty: for anybody.
    audience: Vec<String>,
    namespace: Option<String>,
    at: f64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct KeyArgs {
    agent_id: String,
    /// Absent: what follows from the public key.
    key_id: Option<String>,
    algorithm: Option<String>,
    state: Option<String>,
    activated_at: Option<f64>,
    expires_at: Option<f64>,
    public_key: Option<String>,
    reason: Option<String>,
}

impl KeyArgs {
    fn key(self) -> Result<AgentKey> {
        let public_key = self.public_key.as_deref().map(PublicKey::from_text).transpose()?;
        let usual = public_key.map(|key| key.key_id(&self.agent_id)).unwrap_or_default();
        Ok(AgentKey {
            agent_id: self.agent_id,
            key_id: self.key_id.unwrap_or(usual),
            algorithm: word(self.algorithm)?.unwrap_or(Algorithm::EdDsa),
            state: word(self.state)?.unwrap_or(KeyState::Active),
            // Nothing that is verified asks when the team heard of it.
            created_at: DateTime::UNIX_EPOCH,
            activated_at: maybe_date("activatedAt", self.activated_at)?,
            expires_at: maybe_date("expiresAt", self.expires_at)?.unwrap_or(DateTime::<Utc>::MAX_UTC),
            public_key,
            secret: None,
            reason: self.reason,
        })
    }
}

fn at_once(outcome: Result<String>) -> Outcome {
    match outcome {
        Ok(text) => Either::A(text),
        Err(error) => Either::B((&error).into()),
    }
}

/// The token.
#[napi(catch_unwind)]
pub(crate) fn sign(identity: &Identity, args: String) -> Outcome {
    let draft = read::<DraftArgs>(&args).and_then(|args| args.draft(identity.key.agent()));
    at_once(draft.and_then(|draft| token::sign(&draft, &*identity.key)))
}

/// What the token says.
#[napi(catch_unwind)]
pub(crate) fn verify(args: String) -> Outcome {
    at_once(verified(&args))
}

fn verified(args: &str) -> Result<String> {
    let VerifyArgs { token, keys, audience, namespace, at } = read(args)?;
    let namespace = namespace.unwrap_or_else(|| "default".to_owned());
    let row = |(index, key): (usize, KeyArgs)| key.key().map_err(|error: Error| error.of_row("key", index));
    let keys = keys.into_iter().enumerate().map(row).collect::<Result<_>>()?;
    let keys = KeyList { namespace: namespace.clone(), keys };
    let expect = Expect { namespace, audiences: audience, now: date("at", at)? };
    Ok(text(&token::verify(&token, &keys, &expect)?.into_inner()))
}

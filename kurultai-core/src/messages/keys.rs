use super::{jws, signer::Algorithm, strict, wrap::Wrapped};
use crate::{
    error::{Error, Kind, Result},
    words::words,
};
use chrono::{DateTime, TimeDelta, Utc};
use ed25519_dalek::{Signature, VerifyingKey};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt;

/// How long a key is good for: 90 days.
pub const KEY_LIFETIME: TimeDelta = TimeDelta::days(90);
/// How long messages are still verified with a key that was replaced: 7 days, which no message outlives.
pub const KEY_OVERLAP: TimeDelta = TimeDelta::days(7);
/// After so long every process knows of a new key, and of a revocation: 30 s.
pub const KEY_PROPAGATION: TimeDelta = TimeDelta::seconds(30);

words! {
    /// What a key may be used for.
    KeyState, "key state" {
        /// Known, but not used for signing yet: not every process has heard of it.
        Pending = "pending",
        Active = "active",
        /// Replaced: what it has signed still counts.
        VerifyOnly = "verify_only",
        Expired = "expired",
        /// For ever, and for what it has signed before as well.
        Revoked = "revoked",
    }
}

/// The public half of an Ed25519 key: one that is no trap. Its JSON is its text.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct PublicKey(VerifyingKey);

impl PublicKey {
    /// From its 32 bytes. Fails with `key.weak` where it is no point of the curve, is not written as RFC 8032 has it, or is
    /// of small order, so that a signature could be found without any secret; with `input.invalid` on another length.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let weak = |why| Error::new(Kind::Denied, "key.weak", format!("the public key is {why}"));
        let all = <&[u8; 32]>::try_from(bytes)
            .map_err(|_| Error::invalid("public key", format!("{} bytes long", bytes.len()), "32 bytes"))?;
        let key = VerifyingKey::from_bytes(all).map_err(|_| weak("no point of the curve"))?;
        if key.is_weak() {
            return Err(weak("of small order"));
        }
        if VerifyingKey::from(key.to_edwards()).as_bytes() != all {
            return Err(weak("not in its canonical form"));
        }
        Ok(PublicKey(key))
    }

    /// The same from base64url without padding, 43 characters.
    pub fn from_text(text: &str) -> Result<Self> {
        let bytes = strict::base64url(text).map_err(|_| {
            let length = text.chars().count();
            // What is as long as a secret may be one.
            let shown = if length < 32 { text.to_owned() } else { format!("{length} other characters") };
            Error::invalid("public key", shown, "32 bytes in base64url without padding")
        })?;
        PublicKey::from_bytes(&bytes)
    }

    /// Its 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }

    /// The id of a key that is given none: `temujin-3f2a9c1b`, the agent and the first 8 hexadecimal digits of the SHA-256
    /// of the public key.
    pub fn key_id(&self, agent: &str) -> String {
        let digest = Sha256::digest(self.as_bytes());
        format!("{agent}-{}", strict::to_hex(&digest[..4]))
    }

    /// Whether exactly these bytes were signed; by the strict rules, under which nobody can change a signature so that it
    /// still holds. Fails with `sig.mismatch`.
    pub fn verify(&self, input: &[u8], signature: &[u8]) -> Result<()> {
        let signature = Signature::from_slice(signature);
        let holds = signature.and_then(|signature| self.0.verify_strict(input, &signature));
        holds.map_err(|_| {
            let message = format!("the signature is not one of public key {self} over this message");
            Error::new(Kind::Denied, "sig.mismatch", message)
        })
    }
}

impl From<PublicKey> for String {
    fn from(key: PublicKey) -> Self {
        key.to_string()
    }
}

impl TryFrom<String> for PublicKey {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        PublicKey::from_text(&text)
    }
}

impl From<VerifyingKey> for PublicKey {
    /// Of a secret key that was checked.
    fn from(key: VerifyingKey) -> Self {
        PublicKey(key)
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&strict::to_base64url(self.as_bytes()))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({self})")
    }
}

/// What a team knows of a key. Its JSON has everything but the secret, of which it has the id of the wrapping key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AgentKey {
    /// Whose it is.
    pub agent_id: String,
    /// Unique among the agent's.
    pub key_id: String,
    /// How it signs.
    pub algorithm: Algorithm,
    /// What was said of it last; [`state_at`](Self::state_at) has what holds.
    pub state: KeyState,
    /// When the team heard of it.
    pub created_at: DateTime<Utc>,
    /// From when on it may sign; `None` where only its state says so.
    pub activated_at: Option<DateTime<Utc>>,
    /// From when on nothing that it has signed counts.
    pub expires_at: DateTime<Utc>,
    /// What it is verified with, if it is one of Ed25519.
    pub public_key: Option<PublicKey>,
    /// The secret of a key that the team keeps; the agent's own is never in a store.
    #[serde(rename = "wrapping_key", default)]
    pub secret: Option<Wrapped>,
    /// Why it was revoked.
    pub reason: Option<String>,
}

impl AgentKey {
    /// An agent's own key of Ed25519, which may sign from `activated_at` on and expires 90 days after it was made.
    pub fn new(
        agent: impl Into<String>,
        key_id: impl Into<String>,
        public_key: PublicKey,
        created_at: DateTime<Utc>,
        activated_at: DateTime<Utc>,
    ) -> Self {
        AgentKey {
            agent_id: agent.into(),
            key_id: key_id.into(),
            algorithm: Algorithm::EdDsa,
            state: KeyState::Pending,
            created_at,
            activated_at: Some(activated_at),
            expires_at: after(created_at, KEY_LIFETIME),
            public_key: Some(public_key),
            secret: None,
            reason: None,
        }
    }

    /// A key of the legacy envelope, whose secret the team keeps.
    pub(super) fn shared(
        agent: &str,
        key_id: &str,
        secret: Wrapped,
        created_at: DateTime<Utc>,
        expires_at: DateTime<Utc>,
    ) -> Self {
        AgentKey {
            agent_id: agent.to_owned(),
            key_id: key_id.to_owned(),
            algorithm: Algorithm::HmacSha256,
            state: KeyState::Active,
            created_at,
            activated_at: Some(created_at),
            expires_at,
            public_key: None,
            secret: Some(secret),
            reason: None,
        }
    }

    /// What the key may be used for at a time.
    pub fn state_at(&self, now: DateTime<Utc>) -> KeyState {
        match (self.state, self.activated_at) {
            (KeyState::Revoked, _) => KeyState::Revoked,
            (KeyState::Expired, _) => KeyState::Expired,
            _ if self.expires_at <= now => KeyState::Expired,
            (KeyState::Pending | KeyState::Active, Some(at)) if at <= now => KeyState::Active,
            (KeyState::Pending | KeyState::Active, Some(_)) => KeyState::Pending,
            (state, _) => state,
        }
    }

    /// Whether it may sign: only while it is active. Fails with `key.revoked`, `key.expired`, or `key.state` where it is
    /// pending or was replaced.
    pub fn check_signing(&self, now: DateTime<Utc>) -> Result<()> {
        match self.state_at(now) {
            KeyState::Active => Ok(()),
            KeyState::Pending | KeyState::VerifyOnly => {
                let (id, agent, state) = (&self.key_id, &self.agent_id, self.state_at(now));
                let message = format!("key {id:?} of agent {agent:?} is {state} and cannot sign");
                Err(Error::conflict("key.state", message))
            }
            KeyState::Expired | KeyState::Revoked => self.check_verifying(now),
        }
    }

    /// Whether what it has signed counts. A pending key verifies as well: the sender's clock may be ahead. Fails with
    /// `key.revoked` or `key.expired`.
    pub fn check_verifying(&self, now: DateTime<Utc>) -> Result<()> {
        let (id, agent) = (&self.key_id, &self.agent_id);
        match self.state_at(now) {
            KeyState::Revoked => {
                let reason = self.reason.as_deref().map(|reason| format!(": {reason}")).unwrap_or_default();
                let message = format!("key {id:?} of agent {agent:?} was revoked{reason}");
                Err(Error::new(Kind::Denied, "key.revoked", message))
            }
            KeyState::Expired => {
                let message = format!("key {id:?} of agent {agent:?} expired at {}", self.expires_at);
                Err(Error::new(Kind::Denied, "key.expired", message))
            }
            KeyState::Pending | KeyState::Active | KeyState::VerifyOnly => Ok(()),
        }
    }

    /// Another key takes its place: it signs no more, and expires after 7 days at the latest.
    pub fn replace(&mut self, now: DateTime<Utc>) {
        if matches!(self.state_at(now), KeyState::Pending | KeyState::Active) {
            self.state = KeyState::VerifyOnly;
            self.expires_at = self.expires_at.min(after(now, KEY_OVERLAP));
        }
    }

    /// Nothing that it has signed counts any more.
    pub fn revoke(&mut self, reason: impl Into<String>) {
        if self.state != KeyState::Revoked {
            self.state = KeyState::Revoked;
            self.reason = Some(reason.into());
        }
    }

    pub(super) fn check_signature(&self, signed: &[u8], signature: &[u8], now: DateTime<Utc>) -> Result<()> {
        self.check_verifying(now)?;
        match (self.algorithm, &self.public_key) {
            (Algorithm::EdDsa, Some(public)) => public.verify(signed, signature),
            (algorithm, _) => {
                let (id, agent) = (&self.key_id, &self.agent_id);
                Err(jws::wrong_algorithm(match algorithm {
                    Algorithm::EdDsa => format!("key {id:?} of agent {agent:?} has no public half"),
                    _ => format!("key {id:?} of agent {agent:?} is one of {algorithm}; tokens need EdDSA"),
                }))
            }
        }
    }
}

fn after(time: DateTime<Utc>, span: TimeDelta) -> DateTime<Utc> {
    time.checked_add_signed(span).unwrap_or(DateTime::<Utc>::MAX_UTC)
}

/// Where keys are looked up: what a process remembers of its store, or a plain list.
pub trait KeyLookup: Send + Sync {
    /// The key of this id that is this agent's, whatever its state; `None` where there is none.
    fn key(&self, namespace: &str, agent: &str, key_id: &str) -> Option<AgentKey>;
}

/// The keys of one team, in memory.
#[derive(Debug, Clone, Default)]
pub struct KeyList {
    /// The team.
    pub namespace: String,
    /// All its keys.
    pub keys: Vec<AgentKey>,
}

impl KeyLookup for KeyList {
    fn key(&self, namespace: &str, agent: &str, key_id: &str) -> Option<AgentKey> {
        if self.namespace != namespace {
            return None;
        }
        self.keys.iter().find(|key| key.agent_id == agent && key.key_id == key_id).cloned()
    }
}

#[cfg(test)]
mod tests;

//! The keys of the old envelope: a secret that a team shares.

use super::MIN_SECRET;
use crate::{
    error::{Error, Kind, Result},
    ids,
};
use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret, SecretString};

/// A key of an agent. Whoever can verify with it can also sign with it.
#[derive(Debug, Clone)]
pub struct LegacyKey {
    /// The agent's name as it is sent: `Temüjin`.
    pub agent_id: String,
    /// As `temüjin-001`.
    pub key_id: String,
    /// Its UTF-8 text is the HMAC key; the hexadecimal digits of a generated one are not decoded.
    pub secret: SecretString,
    /// When it ends; `None` for never.
    pub expires_at: Option<DateTime<Utc>>,
    /// Refused for ever.
    pub revoked: bool,
}

/// Where the verifier finds keys: those of one namespace.
pub trait LegacyKeys: Send + Sync {
    /// The key with this id of this agent, whose name is folded: `temujin`. In any state: the verifier says what is wrong
    /// with it.
    fn key(&self, agent: &str, key_id: &str) -> Option<LegacyKey>;
}

impl LegacyKeys for Vec<LegacyKey> {
    fn key(&self, agent: &str, key_id: &str) -> Option<LegacyKey> {
        self.iter().find(|key| key.is_of(agent, key_id)).cloned()
    }
}

impl LegacyKey {
    /// A key without an end.
    pub fn new(
        agent_id: impl Into<String>,
        key_id: impl Into<String>,
        secret: impl Into<SecretString>,
    ) -> Self {
        LegacyKey {
            agent_id: agent_id.into(),
            key_id: key_id.into(),
            secret: secret.into(),
            expires_at: None,
            revoked: false,
        }
    }

    /// `agent` is folded.
    pub(super) fn is_of(&self, agent: &str, key_id: &str) -> bool {
        self.key_id == key_id && (self.agent_id == agent || ids::fold(&self.agent_id) == agent)
    }

    /// The HMAC key, unless the key is revoked, expired or weak.
    pub(super) fn usable(&self, now: DateTime<Utc>) -> Result<&[u8]> {
        let refused = |code, why: String| {
            let (agent, id) = (&self.agent_id, &self.key_id);
            Err(Error::new(Kind::Denied, code, format!("key {id:?} of agent {agent:?} {why}")))
        };
        if self.revoked {
            return refused("key.revoked", "is revoked".to_owned());
        }
        if let Some(end) = self.expires_at.filter(|end| *end <= now) {
            return refused("key.expired", format!("expired at {}", end.to_rfc3339()));
        }
        let secret = self.secret.expose_secret();
        if secret.chars().count() < MIN_SECRET {
            return refused("key.weak", format!("has a secret of less than {MIN_SECRET} characters"));
        }
        Ok(secret.as_bytes())
    }
}

//! What users call: `kurultai.keys()`.

use super::{
    AgentKey, Ed25519Key, KEY_PROPAGATION, KeyState, MessageSigner, PublicKey,
    contract::{KeyStore, Rewrapped},
    rules::unknown_key,
    signer::Algorithm,
    vault::Vault,
    wrap::{Wrapped, WrappingKey},
};
use crate::{
    check,
    clock::time,
    error::{Error, Result},
    session::Session,
};
use chrono::{DateTime, Utc};
use std::sync::Arc;
use tracing::instrument;

/// The keys by which a team knows its agents. An agent keeps its own secret, or the team keeps it, wrapped under a key that
/// is not in the store. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Keys {
    pub(super) store: Arc<dyn KeyStore>,
    pub(super) vault: Arc<Vault>,
    pub(super) session: Arc<Session>,
}

impl Keys {
    pub(crate) fn new(store: Arc<dyn KeyStore>, vault: Arc<Vault>, session: Arc<Session>) -> Self {
        Keys { store, vault, session }
    }

    /// The keys of an agent, or of all agents, in the order of their ids, each with the state that it is in now; an agent's
    /// oldest first. Errors: `input.invalid`. Cancel safe.
    #[instrument(level = "debug", skip(self))]
    pub async fn list(&self, agent: Option<&str>) -> Result<Vec<AgentKey>> {
        agent.map_or(Ok(()), |agent| check::agent("agent", agent))?;
        let keys = self.store.keys(agent).await?;
        let mut keys: Vec<AgentKey> = keys.into_iter().map(|key| self.seen(key)).collect();
        keys.sort_by(|a, b| (&a.agent_id, a.created_at).cmp(&(&b.agent_id, b.created_at)));
        Ok(keys)
    }

    /// Makes an agent's next key and tells the team its public half. The secret half is in the answer alone: write it to
    /// a file. Where the agent had a key, the new one is `active` after 30 s, when every process knows of it, and what was
    /// signed with the one before is verified for another 7 days.
    ///
    /// Errors: `input.invalid`; `key.conflict` where somebody else changes the agent's keys at the same time. Cancel safe:
    /// a dropped call may leave a key that nobody has.
    #[instrument(level = "debug", skip(self))]
    pub async fn rotate(&self, agent: &str) -> Result<Ed25519Key> {
        check::agent("agent", agent)?;
        let secret = Ed25519Key::generate(agent)?;
        self.put(agent, secret.public_key(), None).await?;
        Ok(secret)
    }

    /// Makes an agent's next key, as [`rotate`](Self::rotate) does, and keeps its secret half in the store, wrapped: every
    /// process that has the wrapping key sends as this agent. Where a key of the agent's own follows, they do no more.
    ///
    /// Errors: `input.invalid`, `key.conflict`; `config.wrapping_key` where the handle has no wrapping key. Cancel safe: a
    /// dropped call may leave a key.
    #[instrument(level = "debug", skip(self))]
    pub async fn rotate_in_store(&self, agent: &str) -> Result<AgentKey> {
        check::agent("agent", agent)?;
        let key = Ed25519Key::generate(agent)?;
        let wrapped = self.vault.wrap(agent, key.key_id(), Algorithm::EdDsa, key.secret())?;
        self.put(agent, key.public_key(), Some(wrapped)).await
    }

    /// Wraps every secret that the store keeps for this namespace under another key, in one transaction or not at all, and
    /// wraps with that one from now on. Returns how many those were. Other processes open them as soon as they have the
    /// new key as well: give it to them first, beside the old one.
    ///
    /// Errors: `config.wrapping_key` where this handle lacks a key that has wrapped one; `key.unwrap` where one was changed
    /// in the database; `key.conflict` where somebody else changes keys at the same time. Then nothing was changed. Cancel
    /// safe: a dropped call may still have done it.
    #[instrument(level = "debug", skip_all)]
    pub async fn rewrap(&self, to: impl Into<Arc<WrappingKey>>) -> Result<u64> {
        let to = to.into();
        let mut secrets = vec![];
        for key in self.store.keys(None).await? {
            let Some(was) = key.secret.clone().filter(|was| was.wrapping_key() != to.id()) else { continue };
            let secret = self.vault.rewrap(&key, &was, &to)?;
            secrets.push(Rewrapped { agent: key.agent_id, key_id: key.key_id, was, secret });
        }
        let count = secrets.len() as u64;
        if count > 0 {
            let _call = self.session.calls.begin()?;
            self.store.rewrap(to.id(), secrets).await?;
        }
        self.vault.switch(to);
        Ok(count)
    }

    /// Tells the team the public half of a key that an agent has made elsewhere, as [`rotate`](Self::rotate) does. Errors:
    /// as there, `key.weak`, and `key.conflict` where the team knows it already. Cancel safe: a dropped call may still add it.
    // Not its text, which may be a secret by mistake.
    #[instrument(level = "debug", skip(self, public_key))]
    pub async fn add(&self, agent: &str, public_key: &str) -> Result<AgentKey> {
        check::agent("agent", agent)?;
        self.put(agent, PublicKey::from_text(public_key)?, None).await
    }

    async fn put(&self, agent: &str, public_key: PublicKey, secret: Option<Wrapped>) -> Result<AgentKey> {
        let (now, key_id) = (self.now(), public_key.key_id(agent));
        let keys = self.store.keys(Some(agent)).await?;
        let (known, mut changed, mut first) = (known(&keys), vec![], true);
        for mut key in keys {
            if key.key_id == key_id {
                let message = format!("the team knows key {key_id:?} of agent {agent:?} already");
                return Err(Error::conflict("key.conflict", message));
            }
            // Those of the legacy envelope go their own way.
            if key.algorithm != Algorithm::EdDsa {
                continue;
            }
            let state = key.state;
            first &= key.state_at(now) != KeyState::Active;
            key.replace(now);
            if key.state != state {
                changed.push(key);
            }
        }
        let activated_at = if first { now } else { now + KEY_PROPAGATION };
        let key = AgentKey { secret, ..AgentKey::new(agent, key_id, public_key, now, activated_at) };
        changed.push(key.clone());
        let _call = self.session.calls.begin()?;
        self.store.put(agent, known, changed).await?;
        Ok(self.seen(key))
    }

    /// Nothing that the key has signed counts any more, also what is in the inboxes. Where it is revoked already nothing
    /// changes. Errors: `key.unknown`, `key.conflict`. Cancel safe: a dropped call may still revoke.
    #[instrument(level = "debug", skip(self))]
    pub async fn revoke(&self, agent: &str, key_id: &str, reason: &str) -> Result<AgentKey> {
        check::agent("agent", agent)?;
        check::text("reason", reason, 1_000)?;
        let keys = self.store.keys(Some(agent)).await?;
        let known = known(&keys);
        let key = keys.into_iter().find(|key| key.key_id == key_id);
        let mut key = key.ok_or_else(|| unknown_key(agent, key_id))?;
        if key.state != KeyState::Revoked {
            key.revoke(reason);
            let _call = self.session.calls.begin()?;
            self.store.put(agent, known, vec![key.clone()]).await?;
        }
        Ok(key)
    }

    /// All keys of an agent, in one transaction.
    pub(super) async fn revoke_all(&self, agent: &str, reason: &str) -> Result<()> {
        let mut keys = self.store.keys(Some(agent)).await?;
        let known = known(&keys);
        keys.retain(|key| key.state != KeyState::Revoked);
        if keys.is_empty() {
            return Ok(());
        }
        keys.iter_mut().for_each(|key| key.revoke(reason));
        let _call = self.session.calls.begin()?;
        self.store.put(agent, known, keys).await
    }

    pub(super) fn seen(&self, key: AgentKey) -> AgentKey {
        AgentKey { state: key.state_at(self.now()), ..key }
    }

    pub(super) fn now(&self) -> DateTime<Utc> {
        time(self.session.config.clock.now())
    }
}

/// In the order of their ids, as the stores compare them.
pub(super) fn known(keys: &[AgentKey]) -> Vec<(String, KeyState)> {
    let mut known: Vec<_> = keys.iter().map(|key| (key.key_id.clone(), key.state)).collect();
    known.sort();
    known
}

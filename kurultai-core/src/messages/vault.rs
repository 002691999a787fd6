//! The wrapping keys of this process: what wraps the secrets that the team keeps in its store, and opens them again.

use super::{
    keys::AgentKey,
    signer::Algorithm,
    wrap::{Owner, SecretSlice, Wrapped, WrappingKey},
};
use crate::{
    config::Config,
    error::{Error, Kind, Result},
};
use std::sync::{Arc, PoisonError, RwLock};

/// The first wraps; each opens what it has wrapped. Nothing that was opened is remembered.
#[derive(Debug)]
pub(crate) struct Vault {
    namespace: String,
    keys: RwLock<Vec<Arc<WrappingKey>>>,
}

impl Vault {
    /// Of the keys that the configuration has, or else that of the environment. Fails as [`WrappingKey::from_env`].
    pub(crate) fn of(config: &Config) -> Result<Arc<Self>> {
        let mut keys = config.wrapping_keys.clone();
        if keys.is_empty() {
            keys.extend(WrappingKey::from_env()?.map(Arc::new));
        }
        Ok(Arc::new(Vault { namespace: config.namespace.clone(), keys: RwLock::new(keys) }))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.all().is_empty()
    }

    /// The key that wraps. Fails with `config.wrapping_key` where there is none.
    pub(super) fn first(&self) -> Result<Arc<WrappingKey>> {
        self.all().into_iter().next().ok_or_else(|| {
            lacks(
                "this handle has no wrapping key; open the team with one, or set KURULTAI_WRAPPING_KEY_FILE",
            )
        })
    }

    /// Encrypts an agent's secret for its row.
    pub(super) fn wrap(
        &self,
        agent: &str,
        key_id: &str,
        algorithm: Algorithm,
        secret: &[u8],
    ) -> Result<Wrapped> {
        self.first()?.wrap(&Owner { namespace: &self.namespace, agent, key_id, algorithm }, secret)
    }

    /// The same secret under another key.
    pub(super) fn rewrap(&self, key: &AgentKey, wrapped: &Wrapped, to: &WrappingKey) -> Result<Wrapped> {
        use secrecy::ExposeSecret;
        to.wrap(&self.owner(key), self.open(key, wrapped)?.expose_secret())
    }

    /// A row's secret. Fails with `config.wrapping_key` where this process lacks the key that wrapped it, with `key.unwrap`
    /// where it does not open: it was changed, or is another row's.
    pub(super) fn open(&self, key: &AgentKey, wrapped: &Wrapped) -> Result<SecretSlice<u8>> {
        let all = self.all();
        let Some(wrapping) = all.iter().find(|one| one.id() == wrapped.wrapping_key()) else {
            let AgentKey { agent_id, key_id, .. } = key;
            let ours: Vec<&str> = all.iter().map(|one| one.id()).collect();
            let ours = if ours.is_empty() {
                "no wrapping key".to_owned()
            } else {
                format!("only {}", ours.join(", "))
            };
            return Err(lacks(&format!(
                "key {key_id:?} of agent {agent_id:?} is wrapped with {}, and this handle has {ours}",
                wrapped.wrapping_key()
            )));
        };
        wrapping.unwrap(&self.owner(key), wrapped)
    }

    /// From now on this one wraps; the others open what they have wrapped.
    pub(super) fn switch(&self, to: Arc<WrappingKey>) {
        let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        keys.retain(|key| key.id() != to.id());
        keys.insert(0, to);
    }

    fn owner<'a>(&'a self, key: &'a AgentKey) -> Owner<'a> {
        let AgentKey { agent_id, key_id, algorithm, .. } = key;
        Owner { namespace: &self.namespace, agent: agent_id, key_id, algorithm: *algorithm }
    }

    fn all(&self) -> Vec<Arc<WrappingKey>> {
        self.keys.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn lacks(message: &str) -> Error {
    Error::new(Kind::Config, "config.wrapping_key", message)
}

//! Who this process speaks for.

use super::{Ed25519Key, MessageSigner};
use crate::{check, error::Result};
use std::{fmt, path::Path, sync::Arc};

/// An agent, and what signs for it. Cheap to clone.
#[derive(Clone)]
pub struct Identity {
    agent: String,
    signer: Arc<dyn MessageSigner>,
}

impl Identity {
    /// An agent's id, and whatever signs for it: a key of this process or a key service. Errors: `input.invalid`.
    pub fn new(agent: impl Into<String>, signer: impl MessageSigner + 'static) -> Result<Self> {
        let agent = agent.into();
        check::agent("agent", &agent)?;
        Ok(Identity { agent, signer: Arc::new(signer) })
    }

    /// From a key file. Errors as [`Ed25519Key::read`].
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        Ed25519Key::read(path).map(Self::from)
    }

    /// From the environment. Errors as [`Ed25519Key::from_env`].
    pub fn from_env(agent: &str) -> Result<Self> {
        Ed25519Key::from_env(agent).map(Self::from)
    }

    /// The agent's id.
    pub fn agent(&self) -> &str {
        &self.agent
    }

    pub(super) fn signer(&self) -> &dyn MessageSigner {
        &*self.signer
    }
}

impl From<Ed25519Key> for Identity {
    fn from(key: Ed25519Key) -> Self {
        Identity { agent: key.agent().to_owned(), signer: Arc::new(key) }
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("agent", &self.agent)
            .field("key_id", &self.signer.key_id())
            .finish_non_exhaustive()
    }
}

//! Keys that the team keeps: an agent's Ed25519 secret, wrapped in the store.

use super::{
    Ed25519Key, Identity, KeyState, contract::KeyStore, signer::Algorithm, vault::Vault, wrap::ExposeSecret,
};
use crate::error::Result;
use chrono::{DateTime, Utc};

/// The agent as whoever has the wrapping key speaks for it: by the newest of its keys that may sign and whose secret the
/// store keeps. `None` where there is none. A key that is pending signs as well: whoever verifies looks it up in the store.
pub(super) async fn identity(
    keys: &dyn KeyStore,
    vault: &Vault,
    agent: &str,
    now: DateTime<Utc>,
) -> Result<Option<Identity>> {
    let mut own = keys.keys(Some(agent)).await?;
    own.retain(|key| {
        let signs = matches!(key.state_at(now), KeyState::Active | KeyState::Pending);
        signs && key.algorithm == Algorithm::EdDsa && key.secret.is_some()
    });
    let newest = own.into_iter().max_by(|a, b| (a.created_at, &a.key_id).cmp(&(b.created_at, &b.key_id)));
    let Some(key) = newest else { return Ok(None) };
    let Some(wrapped) = &key.secret else { return Ok(None) };
    let secret = vault.open(&key, wrapped)?;
    Ed25519Key::of_row(agent, &key.key_id, secret.expose_secret()).map(|key| Some(key.into()))
}

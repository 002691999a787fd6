//! Who said what: signed messages between agents, and their keys. Pure: no store, no clock, no network.
//!
//! Reading order:
//! 1. [`token`]: a [`Draft`](token::Draft) becomes a signed token, and a token a [`Verified`] message.
//! 2. [`MessageSigner`]: whatever holds a secret key; [`Ed25519Key`] holds it in this process.
//! 3. [`AgentKey`], [`Keys`]: what a team knows of its agents' keys, and in which state a key is.
//! 4. [`wrap`]: a secret that the store may keep.
//! 5. `strict`, `jws`, `private`: JSON and base64url that can be read in one way only; the parts of a token; files of
//!    secrets.
//! 6. [`legacy`]: the envelope that existing teams have on the wire.

mod claims;
mod draft;
mod jws;
mod keys;
pub mod legacy;
mod private;
mod secret;
mod signer;
mod strict;
pub mod token;
mod verified;
pub mod wrap;

pub use keys::{AgentKey, KEY_LIFETIME, KEY_OVERLAP, KEY_PROPAGATION, KeyList, KeyState, Keys, PublicKey};
pub use secret::Ed25519Key;
pub use signer::{Algorithm, MessageSigner, Signature};
pub use verified::Verified;

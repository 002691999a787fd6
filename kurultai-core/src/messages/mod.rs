//! Who said what: signed messages between agents, and their keys.
//!
//! Reading order:
//! 1. `types` -> `contract` -> `handle` with its `rules`: what is sent, what a store does with it, what users call. `opening`:
//!    what is stored is believed where its signature holds now. `accept`, `envelope`: what comes from outside, in either
//!    form. `identity`: who this process speaks for. `hot`: how concurrent calls become one transaction. `inbox_guard`: what
//!    reaches nobody goes back. `again`: who waits is told of what is visible again. `belongings`: what a removed agent leaves.
//!    `upkeep`: the background. `key_handle`: the keys of a team.
//! 2. What follows is pure: no store, no clock, no network. [`token`]: a [`Draft`](token::Draft) becomes a signed token, and a
//!    token a [`Verified`] message.
//! 3. [`MessageSigner`]: whatever holds a secret key; [`Ed25519Key`] holds it in this process.
//! 4. [`AgentKey`], [`KeyLookup`]: what a team knows of its agents' keys, and in which state a key is.
//! 5. [`wrap`]: a secret that the store may keep; `vault`: the keys that wrap, and open it again. `team` signs with such a
//!    secret, `import` takes over those that an older program keeps as they are, each a `key_row`.
//! 6. `strict`, `jws`, `private`: JSON and base64url that can be read in one way only; the parts of a token; files of
//!    secrets.
//! 7. [`legacy`]: the envelope that existing teams have on the wire.

mod accept;
mod again;
mod belongings;
mod claims;
pub mod contract;
mod draft;
mod envelope;
#[cfg(test)]
mod fuzz;
mod handle;
mod hot;
mod identity;
mod import;
mod inbox_guard;
mod jws;
mod key_handle;
pub(crate) mod key_row;
pub(crate) mod keys;
pub mod legacy;
mod opening;
mod private;
pub(crate) mod rules;
mod secret;
mod signer;
mod strict;
mod team;
pub mod token;
mod types;
mod upkeep;
mod vault;
mod verified;
pub mod wrap;

pub use accept::Accept;
pub(crate) use belongings::Mail;
pub use contract::{KeyStore, Mailbox, Settled};
pub use handle::Messages;
pub use identity::Identity;
pub use import::{ImportedKeys, KeyImport, SkippedKey};
pub use inbox_guard::InboxGuard;
pub use key_handle::Keys;

pub use keys::{
    AgentKey, KEY_LIFETIME, KEY_OVERLAP, KEY_PROPAGATION, KeyList, KeyLookup, KeyState, PublicKey,
};
pub use secret::Ed25519Key;
pub use signer::{Algorithm, MessageSigner, Signature};
pub(crate) use types::UNREAD_LOOKS;
pub use types::{
    AgentMessage, Inbox, MAX_DELIVERIES, MAX_INBOX, MAX_UNREAD, MessageFilter, MessagePage, MessageStatus,
    NewMessage, Receipt, Recipient, Sent, Signer, Unread,
};
pub(crate) use upkeep::MessageUpkeep;
pub(crate) use vault::Vault;
pub use verified::Verified;

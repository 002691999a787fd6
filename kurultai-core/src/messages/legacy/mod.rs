//! The envelope that existing teams have on the wire: HMAC-SHA256 over Python's compact JSON with sorted keys.
//!
//! A message is a JSON object; its envelope is the same object with two members more:
//!
//! ```json
//! {"task_id": "123", "to": "Ögedei", "type": "task_delegation",
//!  "signature": "<64 hexadecimal digits>",
//!  "sig_metadata": {"agent_id": "Kublai", "key_id": "kublai-001",
//!                   "timestamp": "2026-02-09T12:00:00.123456+00:00", "algorithm": "HMAC-SHA256"}}
//! ```
//!
//! What is signed is the text that Python's `json.dumps(x, sort_keys=True, separators=(",", ":"))` writes of the message
//! with `_sig_agent`, `_sig_key_id` and `_sig_ts` in place of those two.
//!
//! Reading order: `text`, `number` and `canonical` (that text, from JSON text), `mac`, `timestamp`, `key`, `message`, then
//! `envelope` (sign and verify) and `verified`. All of it is pure: it is the store that remembers a signature, so that
//! nobody presents it again ([`LegacyVerified::replay_id`]).

mod canonical;
mod envelope;
mod key;
mod mac;
mod message;
mod number;
#[cfg(test)]
mod tests;
mod text;
mod timestamp;
mod verified;

pub use canonical::canonical_text;
pub(super) use envelope::verify_within;
pub use envelope::{Seal, seal, sign_delegation, sign_message, verify};
pub use key::{LegacyKey, LegacyKeys};
pub use verified::{Expect, LegacyVerified};

/// The one algorithm there is here.
pub const ALGORITHM: &str = "HMAC-SHA256";
/// How old a message may be, and how far its sender's clock may be ahead: 300 seconds, the old program's window.
pub const WINDOW: std::time::Duration = std::time::Duration::from_secs(300);
/// An envelope's text has at most 256 KiB, as a token has.
pub const MAX_BYTES: usize = 256 << 10;
/// A secret has at least 32 characters.
pub const MIN_SECRET: usize = 32;

use crate::{error::Result, words::words};
use std::sync::Arc;

words! {
    /// How a key signs.
    Algorithm, "algorithm" {
        /// Ed25519 (RFC 8032): the only one of tokens of version 2.
        EdDsa = "EdDSA",
        /// Of the legacy envelope alone; a token that asks for it is refused with `sig.algorithm`.
        HmacSha256 = "HMAC-SHA256",
    }
}

/// What a signer answers: 64 bytes for [`Algorithm::EdDsa`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature(pub Vec<u8>);

impl Signature {
    /// The bytes as they were signed.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Signs bytes with a key that it alone has: from a file or the environment ([`Ed25519Key`](super::Ed25519Key)), or in a
/// key service that never gives it away. Whoever verifies knows the key by `key_id`.
pub trait MessageSigner: Send + Sync {
    /// The id under which the team knows the public half: 1 to 128 characters.
    fn key_id(&self) -> &str;

    /// How it signs.
    fn algorithm(&self) -> Algorithm;

    /// Signs exactly these bytes, unhashed.
    fn sign(&self, input: &[u8]) -> Result<Signature>;
}

/// Of whoever shows more of the key than how it signs.
impl<S: MessageSigner + ?Sized> MessageSigner for Arc<S> {
    fn key_id(&self) -> &str {
        (**self).key_id()
    }

    fn algorithm(&self) -> Algorithm {
        (**self).algorithm()
    }

    fn sign(&self, input: &[u8]) -> Result<Signature> {
        (**self).sign(input)
    }
}

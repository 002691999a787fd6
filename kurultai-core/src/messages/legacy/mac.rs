//! HMAC-SHA256 and its digits.

use crate::{
    error::{Error, Result},
    messages::strict::to_hex,
};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

/// As Python's `hexdigest` writes it, and in no other way: 64 digits in lower case.
pub(super) struct Signature([u8; 32]);

impl Signature {
    /// Of a text in parts.
    pub(super) fn of(key: &[u8], text: &[impl AsRef<[u8]>]) -> Result<Self> {
        Ok(Signature(hmac(key, text)?.finalize().into_bytes().into()))
    }

    pub(super) fn read(digits: &str) -> Option<Self> {
        let value = |digit: u8| match digit {
            b'0'..=b'9' => Some(digit - b'0'),
            b'a'..=b'f' => Some(digit - b'a' + 10),
            _ => None,
        };
        let digits: &[u8; 64] = digits.as_bytes().try_into().ok()?;
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = value(pair[0])? << 4 | value(pair[1])?;
        }
        Some(Signature(bytes))
    }

    /// Compared in a time that tells nothing of where they differ.
    pub(super) fn is_of(&self, key: &[u8], text: &[impl AsRef<[u8]>]) -> Result<bool> {
        Ok(hmac(key, text)?.verify(&self.0.into()).is_ok())
    }

    pub(super) fn digits(&self) -> String {
        to_hex(&self.0)
    }

    /// The digits of its SHA-256.
    pub(super) fn hash(&self) -> String {
        to_hex(&Sha256::digest(self.0))
    }
}

fn hmac(key: &[u8], text: &[impl AsRef<[u8]>]) -> Result<Hmac<Sha256>> {
    let mut hmac = Hmac::<Sha256>::new_from_slice(key).map_err(|e| Error::internal(format!("HMAC: {e}")))?;
    text.iter().for_each(|part| hmac.update(part.as_ref()));
    Ok(hmac)
}

//! A secret that the store may keep: encrypted under a key that the store does not have.
//!
//! XChaCha20-Poly1305 with a random nonce of 24 bytes. Namespace, agent, key id and algorithm are authenticated with it, so
//! that whoever writes to the database cannot give one agent's secret to another.

use super::{
    private::{self, Secret, within},
    signer::Algorithm,
    strict,
};
use crate::error::{Error, Kind, Result};
use chacha20poly1305::{AeadInOut, KeyInit, XChaCha20Poly1305, XNonce};
pub use secrecy::{ExposeSecret, SecretSlice, SecretString};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::{env, ffi::OsString, fmt, path::Path};
use zeroize::Zeroizing;

const VARIABLE: &str = "KURULTAI_WRAPPING_KEY";
const FILE_VARIABLE: &str = "KURULTAI_WRAPPING_KEY_FILE";
const NONCE: usize = 24;
const TAG: usize = 16;

/// Whose secret it is. A secret opens for nobody else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner<'a> {
    /// The team.
    pub namespace: &'a str,
    /// The agent, as its key's row has it.
    pub agent: &'a str,
    /// The key's id.
    pub key_id: &'a str,
    /// How the key signs.
    pub algorithm: Algorithm,
}

impl Owner<'_> {
    /// Each text after its length, so that no two owners give the same bytes.
    fn associated_data(&self) -> Vec<u8> {
        let mut data = b"kurultai-wrap-1".to_vec();
        for text in [self.namespace, self.agent, self.key_id, self.algorithm.as_str()] {
            data.extend((text.len() as u64).to_be_bytes());
            data.extend(text.as_bytes());
        }
        data
    }
}

/// A secret as the store has it, with the id of the key that opens it. Its JSON is that id alone.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", from = "String")]
pub struct Wrapped {
    wrapping_key: String,
    /// Nonce, ciphertext, tag.
    sealed: Vec<u8>,
}

impl Wrapped {
    /// From the two columns of a row. Fails with `key.unwrap` where the text is none of [`text`](Self::text).
    pub fn from_text(wrapping_key: impl Into<String>, text: &str) -> Result<Self> {
        let sealed = strict::base64url(text).ok().filter(|sealed| sealed.len() >= NONCE + TAG);
        let sealed = sealed.ok_or_else(|| does_not_open("it is no wrapped secret"))?;
        Ok(Wrapped { wrapping_key: wrapping_key.into(), sealed })
    }

    /// The id of the key that opens it.
    pub fn wrapping_key(&self) -> &str {
        &self.wrapping_key
    }

    /// Nonce and ciphertext in base64url.
    pub fn text(&self) -> String {
        strict::to_base64url(&self.sealed)
    }
}

impl From<Wrapped> for String {
    fn from(wrapped: Wrapped) -> Self {
        wrapped.wrapping_key
    }
}

impl From<String> for Wrapped {
    /// Nothing that opens.
    fn from(wrapping_key: String) -> Self {
        Wrapped { wrapping_key, sealed: vec![] }
    }
}

impl fmt::Debug for Wrapped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wrapped").field("wrapping_key", &self.wrapping_key).finish_non_exhaustive()
    }
}

/// The key of a team's keys: 32 bytes, from a file or the environment, never from the store. It is wiped from memory when it
/// is dropped.
pub struct WrappingKey {
    id: String,
    key: Secret,
}

impl WrappingKey {
    /// A new one from the system's random numbers.
    pub fn generate() -> Result<Self> {
        private::random().map(Self::of)
    }

    /// From a file that only its owner can read: the 32 bytes in base64url without padding.
    ///
    /// Errors: `key.permissions` where group or others may use it; `config.key` where it cannot be read or is no key;
    /// `key.weak` where it is nothing but zeros.
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let key = Self::from_text(&private::read(path)?);
        key.map_err(|e| within(format!("the key file {}", path.display()), &e))
    }

    /// From KURULTAI_WRAPPING_KEY, in the same form, or from the file that KURULTAI_WRAPPING_KEY_FILE names; `None` where
    /// neither is set. An empty one counts as not set.
    ///
    /// Errors: `config.env` where both are set, or one is no UTF-8; those of [`read`](Self::read).
    pub fn from_env() -> Result<Option<Self>> {
        Self::from_vars([VARIABLE, FILE_VARIABLE].map(env::var_os))
    }

    fn from_vars(values: [Option<OsString>; 2]) -> Result<Option<Self>> {
        match values.map(|value| value.filter(|value| !value.is_empty())) {
            [None, None] => Ok(None),
            [Some(value), None] => Self::from_value(value).map(Some),
            [None, Some(path)] => Self::read(path).map(Some),
            [Some(_), Some(_)] => {
                let message = format!("{VARIABLE} and {FILE_VARIABLE} are both set; set one");
                Err(Error::new(Kind::Config, "config.env", message))
            }
        }
    }

    fn from_value(value: OsString) -> Result<Self> {
        let text = value.into_string().map(Zeroizing::new);
        let text =
            text.map_err(|_| Error::new(Kind::Config, "config.env", format!("{VARIABLE} is no UTF-8")))?;
        Self::from_text(text.trim()).map_err(|e| within(VARIABLE, &e))
    }

    /// The 32 bytes in base64url without padding; for what a program reads from its standard input.
    ///
    /// Errors: `config.key` where it is something else; `key.weak` where it is nothing but zeros.
    pub fn from_text(text: &str) -> Result<Self> {
        private::secret(text).map(Self::of)
    }

    /// Writes the file, with mode 0600, and never over another. Whoever loses it loses every secret that it wraps.
    ///
    /// Errors: `config.key` where it exists or cannot be written.
    pub fn write(&self, path: impl AsRef<Path>) -> Result<()> {
        private::write(path.as_ref(), private::to_text(&self.key).as_bytes())
    }

    /// Stands beside each secret that it wraps: `wrap-` and 16 hexadecimal digits that follow from it.
    pub fn id(&self) -> &str {
        &self.id
    }

    fn of(key: Secret) -> Self {
        let digest =
            Sha256::new().chain_update(b"kurultai wrapping key id").chain_update(key.as_slice()).finalize();
        WrappingKey { id: format!("wrap-{}", strict::to_hex(&digest[..8])), key }
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new((&*self.key).into())
    }

    /// Encrypts a secret for this owner; twice the same secret gives two different texts.
    pub fn wrap(&self, owner: &Owner<'_>, secret: &[u8]) -> Result<Wrapped> {
        let nonce = private::random::<NONCE>()?;
        // No growth, which would leave the secret behind.
        let mut buffer = Zeroizing::new(Vec::with_capacity(secret.len() + TAG));
        buffer.extend(secret);
        self.cipher()
            .encrypt_in_place(&XNonce::from(*nonce), &owner.associated_data(), &mut *buffer)
            .map_err(|_| Error::internal("a secret cannot be wrapped"))?;
        let sealed = [nonce.as_slice(), buffer.as_slice()].concat();
        Ok(Wrapped { wrapping_key: self.id.clone(), sealed })
    }

    /// The secret again. Fails with `key.unwrap` where another key has wrapped it, it was wrapped for another owner, or it
    /// was changed.
    pub fn unwrap(&self, owner: &Owner<'_>, wrapped: &Wrapped) -> Result<SecretSlice<u8>> {
        if wrapped.wrapping_key != self.id {
            let why = format!("it was wrapped with {}, and this is {}", wrapped.wrapping_key, self.id);
            return Err(does_not_open(&why));
        }
        let short = || does_not_open("it is no wrapped secret");
        let (nonce, ciphertext) = wrapped.sealed.split_first_chunk::<NONCE>().ok_or_else(short)?;
        let mut buffer = Zeroizing::new(ciphertext.to_vec());
        let opened =
            self.cipher().decrypt_in_place(&XNonce::from(*nonce), &owner.associated_data(), &mut *buffer);
        let (agent, id) = (owner.agent, owner.key_id);
        opened.map_err(|_| {
            does_not_open(&format!("it is not the one of key {id:?} of agent {agent:?}, or it was changed"))
        })?;
        Ok(SecretSlice::from(Box::<[u8]>::from(buffer.as_slice())))
    }
}

fn does_not_open(why: &str) -> Error {
    Error::new(Kind::Denied, "key.unwrap", format!("the stored secret does not open: {why}"))
}

impl fmt::Debug for WrappingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WrappingKey").field("id", &self.id).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;

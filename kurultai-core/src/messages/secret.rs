use super::{
    keys::PublicKey,
    private::{self, within, wrong},
    signer::{Algorithm, MessageSigner, Signature},
    strict::Members,
};
use crate::{
    check,
    error::{Error, Kind, Result},
    ids,
};
use ed25519_dalek::{Signer, SigningKey};
use serde::Serialize;
use std::{env, ffi::OsString, fmt, path::Path};
use zeroize::Zeroizing;

const PREFIX: &str = "AGENT_KEY_";

/// An agent's own key: the secret half, which stays in this process and in the file that it came from. It is wiped from
/// memory when it is dropped, and nothing prints it.
///
/// The file is one JSON object:
/// `{"agent":"temujin","key_id":"temujin-3f2a9c1b","algorithm":"EdDSA","secret":"<32 bytes in base64url>"}`.
pub struct Ed25519Key {
    agent: String,
    key_id: String,
    key: SigningKey,
}

/// The file, in the order in which it is written.
#[derive(Serialize)]
struct Written<'a> {
    agent: &'a str,
    key_id: &'a str,
    algorithm: Algorithm,
    secret: &'a str,
}

impl Ed25519Key {
    /// A new key from the system's random numbers, with an id that follows from it: `temujin-3f2a9c1b`. Fails with
    /// `input.invalid` where this is no agent's id.
    pub fn generate(agent: &str) -> Result<Self> {
        check::agent("agent", agent)?;
        Ok(Self::of(agent, None, &*private::random()?))
    }

    /// From a file that only its owner can read.
    ///
    /// Errors: `key.permissions` where group or others may use it; `config.key` where it is no regular file, cannot be read or is
    /// no key; `key.weak` where the secret is nothing but zeros.
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let text = private::read(path)?;
        Self::from_json(&text).map_err(|e| within(format!("the key file {}", path.display()), &e))
    }

    /// From the text of a key file, or a bare secret of 32 bytes in base64url, whose key id follows from it; for what a
    /// program reads from its standard input. Never take it from a command line, which everybody on the machine can read.
    ///
    /// Errors: `config.key` where it is no key, or another agent's; `key.weak` where the secret is nothing but zeros.
    pub fn from_text(agent: &str, text: &str) -> Result<Self> {
        check::agent("agent", agent)?;
        let text = text.trim();
        if !text.starts_with('{') {
            return Ok(Self::of(agent, None, &*private::secret(text)?));
        }
        let key = Self::from_json(text)?;
        if key.agent == agent {
            return Ok(key);
        }
        Err(wrong(format!("this is a key of agent {:?}, not of {agent:?}", key.agent)))
    }

    /// From the environment: AGENT_KEY_ and the id in upper case, `-` as `_` (AGENT_KEY_TEMUJIN), or with the display name
    /// (AGENT_KEY_TEMÜJIN). The value is what [`from_text`](Self::from_text) takes; an empty one counts as not set.
    ///
    /// Errors: `config.env` where none is set, or two that differ; those of `from_text`, with the variable's name.
    pub fn from_env(agent: &str) -> Result<Self> {
        Self::from_vars(agent, env::vars_os())
    }

    fn from_vars(agent: &str, vars: impl Iterator<Item = (OsString, OsString)>) -> Result<Self> {
        check::agent("agent", agent)?;
        let refuse = |message: String| Err(Error::new(Kind::Config, "config.env", message));
        let plain = |name: &str| ids::fold(name).replace('-', "_");
        let mut found: Option<(String, Zeroizing<String>)> = None;
        for (name, value) in vars {
            let Some(name) = name.to_str() else { continue };
            if name.strip_prefix(PREFIX).is_none_or(|rest| plain(rest) != plain(agent)) {
                continue;
            }
            let Ok(value) = value.into_string().map(Zeroizing::new) else {
                return refuse(format!("{name} is no UTF-8"));
            };
            match &found {
                _ if value.is_empty() => {}
                None => found = Some((name.to_owned(), value)),
                Some((_, other)) if *other == value => {}
                Some((other, _)) => {
                    return refuse(format!("{other} and {name} hold different keys of agent {agent:?}"));
                }
            }
        }
        let Some((name, text)) = found else {
            let name = plain(agent).to_uppercase();
            return refuse(format!("agent {agent:?} has no key in the environment; set {PREFIX}{name}"));
        };
        Self::from_text(agent, &text).map_err(|e| within(name, &e))
    }

    /// Writes the file, with mode 0600, and never over another.
    ///
    /// Errors: `config.key` where it exists or cannot be written.
    pub fn write(&self, path: impl AsRef<Path>) -> Result<()> {
        let secret = private::to_text(self.key.as_bytes());
        let (agent, key_id, algorithm) = (&*self.agent, &*self.key_id, Algorithm::EdDsa);
        let file = Written { agent, key_id, algorithm, secret: &secret };
        // No growth, which would leave a part behind.
        let mut text = Zeroizing::new(Vec::with_capacity(1024));
        serde_json::to_writer(&mut *text, &file).map_err(|e| Error::internal(e.to_string()))?;
        text.push(b'\n');
        private::write(path.as_ref(), &text)
    }

    /// Whose it is.
    pub fn agent(&self) -> &str {
        &self.agent
    }

    /// The half that everybody may know.
    pub fn public_key(&self) -> PublicKey {
        self.key.verifying_key().into()
    }

    /// What the store keeps wrapped.
    pub(super) fn secret(&self) -> &[u8; 32] {
        self.key.as_bytes()
    }

    /// From what the store kept wrapped.
    pub(super) fn of_row(agent: &str, key_id: &str, secret: &[u8]) -> Result<Self> {
        let secret = secret.try_into().map_err(|_| {
            let message = format!("the stored secret of key {key_id:?} of agent {agent:?} has not 32 bytes");
            Error::new(Kind::Denied, "key.unwrap", message)
        })?;
        Ok(Self::of(agent, Some(key_id), secret))
    }

    fn of(agent: &str, key_id: Option<&str>, secret: &[u8; 32]) -> Self {
        let key = SigningKey::from_bytes(secret);
        let key_id = key_id.map_or_else(|| PublicKey::from(key.verifying_key()).key_id(agent), Into::into);
        Ed25519Key { agent: agent.to_owned(), key_id, key }
    }

    fn from_json(text: &str) -> Result<Self> {
        // Never a member's name: the secret may stand at the wrong place.
        let form = || wrong("a key has agent, key_id, algorithm and secret, each once, and nothing else");
        let members = Members::read(text.as_bytes());
        let members = members.map_err(|why| if why.contains('"') { form() } else { wrong(why) })?;
        if members.other_than(&["agent", "key_id", "algorithm", "secret"]).is_some() {
            return Err(form());
        }
        let text = |name| members.text(name).map_err(wrong);
        let (agent, key_id, algorithm) = (text("agent")?, text("key_id")?, text("algorithm")?);
        check::agent("agent", &agent).map_err(|_| wrong("agent is no agent's id"))?;
        check::text("key_id", &key_id, 128).map_err(|_| wrong("key_id has not 1 to 128 characters"))?;
        if algorithm != Algorithm::EdDsa.as_str() {
            return Err(wrong("algorithm is not EdDSA"));
        }
        let secret = Zeroizing::new(text("secret")?.into_owned());
        Ok(Self::of(&agent, Some(&key_id), &*private::secret(&secret)?))
    }
}

impl MessageSigner for Ed25519Key {
    fn key_id(&self) -> &str {
        &self.key_id
    }

    fn algorithm(&self) -> Algorithm {
        Algorithm::EdDsa
    }

    fn sign(&self, input: &[u8]) -> Result<Signature> {
        Ok(Signature(self.key.sign(input).to_bytes().to_vec()))
    }
}

impl fmt::Debug for Ed25519Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Ed25519Key");
        shown.field("agent", &self.agent).field("key_id", &self.key_id).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;

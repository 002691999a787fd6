//! A key as a program before this one keeps it: in a row of the store, or of a list.

use super::{
    KEY_LIFETIME,
    legacy::MIN_SECRET,
    wrap::{ExposeSecret, SecretString},
};
use crate::{check, clock::read_time, ids};
use chrono::{DateTime, Utc};
use serde_json::{Map, Value};
use std::fmt;
use zeroize::Zeroize;

/// A row by the names that older programs use. It shows nothing: a secret is in it.
pub(crate) struct Row(pub(crate) Map<String, Value>);

/// What a row says.
pub(super) struct Read {
    pub(super) agent: String,
    pub(super) key_id: String,
    pub(super) secret: SecretString,
    pub(super) revoked: bool,
    pub(super) created_at: DateTime<Utc>,
    pub(super) expires_at: DateTime<Utc>,
}

impl Row {
    pub(super) fn text(&self, name: &str) -> Option<String> {
        self.0.get(name).and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned)
    }

    /// What the row says itself, or else its edges where they agree.
    pub(super) fn owner(&self, owners: &[String]) -> Option<String> {
        let own = self.text("agent_id").or_else(|| self.text("agent"));
        own.or_else(|| {
            let first = owners.first()?;
            let agree = owners.iter().all(|other| ids::fold(other) == ids::fold(first));
            agree.then(|| first.clone())
        })
    }

    pub(super) fn read(
        mut self,
        agent: Option<&str>,
        key_id: Option<&str>,
        now: DateTime<Utc>,
    ) -> Result<Read, (&'static str, String)> {
        let invalid = |why: &str| ("input.invalid", why.to_owned());
        let agent = agent.ok_or_else(|| invalid("nothing says whose it is, or several do not agree"))?;
        let agent =
            ids::agent(agent).map_err(|_| invalid("its agent's name folds to none that is an agent's id"))?;
        let key_id = key_id.ok_or_else(|| invalid("it has no key_id and no id"))?;
        check::text("key_id", key_id, 128).map_err(|_| invalid("its id has not 1 to 128 characters"))?;
        let mut secret = None;
        for name in ["secret_key", "key_hash"] {
            match self.0.remove(name) {
                Some(Value::String(text)) if secret.is_none() && !text.is_empty() => secret = Some(text),
                _ => {}
            }
        }
        let secret =
            SecretString::from(secret.ok_or_else(|| invalid("it has no secret_key and no key_hash"))?);
        if secret.expose_secret().chars().count() < MIN_SECRET {
            return Err(("key.weak", format!("its secret has less than {MIN_SECRET} characters")));
        }
        let (revoked, active) = (self.flag("revoked")?, self.flag("is_active")?);
        Ok(Read {
            agent,
            key_id: key_id.to_owned(),
            secret,
            revoked: revoked == Some(true) || active == Some(false),
            created_at: self.time("created_at")?.filter(|at| *at <= now).unwrap_or(now),
            // Without one it is good for as long as a new key.
            expires_at: self.time("expires_at")?.unwrap_or(now + KEY_LIFETIME),
        })
    }

    fn flag(&self, name: &str) -> Result<Option<bool>, (&'static str, String)> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(*flag)),
            Some(_) => Err(("input.invalid", format!("its {name} is neither true nor false"))),
        }
    }

    fn time(&self, name: &str) -> Result<Option<DateTime<Utc>>, (&'static str, String)> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(None),
            value => {
                let read = value.and_then(Value::as_str).and_then(read_time);
                read.map(Some).ok_or_else(|| ("input.invalid", format!("its {name} is no ISO 8601 time")))
            }
        }
    }
}

impl Drop for Row {
    fn drop(&mut self) {
        for name in ["secret_key", "key_hash"] {
            if let Some(Value::String(secret)) = self.0.get_mut(name) {
                secret.zeroize();
            }
        }
    }
}

impl fmt::Debug for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Row").finish_non_exhaustive()
    }
}

//! Keys that an older program keeps as they are: taken into the store, wrapped.

use super::{
    AgentKey, Keys,
    contract::TakeOver,
    key_handle::known,
    key_row::{Read, Row},
    signer::Algorithm,
    wrap::{ExposeSecret, SecretString},
};
use crate::{
    error::{Error, Result},
    ids,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use tracing::instrument;

/// Which keys to import.
#[derive(Debug, Clone, Default)]
pub struct KeyImport {
    /// A JSON array of rows; `None` for those that lie in the store. A row has `agent_id` (the agent's name as it is sent, or
    /// else `agent`), `key_id` (or `id`), `secret_key` (or `key_hash`: the secret as text), and where there is more to say
    /// `revoked` (or `is_active`), `created_at`, `expires_at`; anything else is not read.
    pub rows: Option<SecretString>,
    /// Only those of these agents, by their names in any spelling.
    pub agents: Option<Vec<String>>,
    /// Only says what would be done.
    pub dry_run: bool,
}

/// What was imported, and what was not.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ImportedKeys {
    /// Nothing was changed.
    pub dry_run: bool,
    /// The keys that the team has from now on.
    pub imported: Vec<AgentKey>,
    /// The rows that it has not taken.
    pub skipped: Vec<SkippedKey>,
}

/// A row that was not imported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SkippedKey {
    /// Whose it is, as far as it says.
    pub agent_id: Option<String>,
    /// Its id, if it has one.
    pub key_id: Option<String>,
    /// `key.known`: the team has it already. `key.conflict`: it has another secret under this id, or the row was changed
    /// meanwhile. `key.weak`: less than 32 characters. `input.invalid`: the row does not say whose, which or what.
    pub code: String,
    /// The same in words.
    pub why: String,
}

impl Keys {
    /// Imports the keys of an older program's legacy envelopes and keeps their secrets wrapped. On Neo4j it takes over the
    /// nodes `AgentKey` that have a plain secret (`secret_key` or `key_hash`) and no namespace; the plain secret is gone when the wrapped one is there, so the older program signs no more with it. A file of SQLite has none: give
    /// `rows`, which come from elsewhere on both stores. A key that does not say when it ends is good for another 90 days.
    /// Repeating it imports nothing twice.
    ///
    /// Errors: `config.wrapping_key` where the handle has no wrapping key; `input.invalid` where the rows are no JSON array
    /// of objects; `key.conflict` where somebody else changes an agent's keys at the same time, and `config.wrapping_key`,
    /// `key.unwrap` where a key that is there does not open. Cancel safe: a repetition goes on where a dropped call was.
    #[instrument(level = "debug", skip_all)]
    pub async fn import_rows(&self, import: KeyImport) -> Result<ImportedKeys> {
        self.vault.first()?;
        let wanted = import.agents.map(|names| names.iter().map(|name| ids::fold(name)).collect::<Vec<_>>());
        let mut run = Run { keys: self, wanted, there: self.store.keys(None).await?, report: vec![] };
        let mut new = vec![];
        match import.rows {
            Some(rows) => {
                for row in read_rows(rows.expose_secret())? {
                    new.extend(run.take(row, &[], None)?);
                }
                if !import.dry_run {
                    self.put_new(&new).await?;
                }
            }
            None => {
                let mut rows = vec![];
                for plain in self.store.plain().await? {
                    new.extend(run.take(plain.row, &plain.owners, Some((plain.place, &mut rows)))?);
                }
                if !import.dry_run && !rows.is_empty() {
                    let _call = self.session.calls.begin()?;
                    let places: Vec<_> =
                        rows.iter().filter(|row| row.key.is_some()).map(|row| row.place.clone()).collect();
                    let done = self.store.take_over(rows).await?;
                    let mut places = places.into_iter();
                    new.retain(|key| {
                        let taken = places.next().is_some_and(|place| done.contains(&place));
                        if !taken {
                            run.skip(
                                Some(&key.agent_id),
                                Some(&key.key_id),
                                "key.conflict",
                                "its row was changed meanwhile",
                            );
                        }
                        taken
                    });
                }
            }
        }
        let imported = new.into_iter().map(|key| self.seen(key)).collect();
        Ok(ImportedKeys { dry_run: import.dry_run, imported, skipped: run.report })
    }

    /// Of each agent in one transaction.
    async fn put_new(&self, new: &[AgentKey]) -> Result<()> {
        let mut of: BTreeMap<&str, Vec<AgentKey>> = BTreeMap::new();
        for key in new {
            of.entry(&key.agent_id).or_default().push(key.clone());
        }
        for (agent, keys) in of {
            let there = known(&self.store.keys(Some(agent)).await?);
            let _call = self.session.calls.begin()?;
            self.store.put(agent, there, keys).await?;
        }
        Ok(())
    }
}

struct Run<'a> {
    keys: &'a Keys,
    wanted: Option<Vec<String>>,
    /// What the team has, with what it gets.
    there: Vec<AgentKey>,
    report: Vec<SkippedKey>,
}

impl Run<'_> {
    /// The key that a row becomes. Where it lies in the store its place and what becomes of it there are added to `rows`.
    fn take(
        &mut self,
        row: Row,
        owners: &[String],
        plain: Option<(String, &mut Vec<TakeOver>)>,
    ) -> Result<Option<AgentKey>> {
        let (agent, key_id) = (row.owner(owners), row.text("key_id").or(row.text("id")));
        let is_wanted =
            |all: &Vec<String>| agent.as_ref().is_some_and(|agent| all.contains(&ids::fold(agent)));
        if !self.wanted.as_ref().is_none_or(is_wanted) {
            return Ok(None);
        }
        let read = match row.read(agent.as_deref(), key_id.as_deref(), self.keys.now()) {
            Ok(read) => read,
            Err((code, why)) => {
                self.skip(agent.as_deref(), key_id.as_deref(), code, &why);
                return Ok(None);
            }
        };
        let there = self.there.iter().find(|key| key.agent_id == read.agent && key.key_id == read.key_id);
        let key = match there {
            None => self.wrapped(&read)?,
            Some(key) => {
                let same = self.is_its_secret(key, &read.secret)?;
                let (code, mut why) = match same {
                    true => ("key.known", "the team has it already".to_owned()),
                    false => ("key.conflict", "the team has another secret under this id".to_owned()),
                };
                if let Some((place, rows)) = plain.filter(|_| same) {
                    why.push_str("; its row keeps the plain secret no longer");
                    rows.push(TakeOver { place, was: read.secret, key: None });
                }
                self.skip(Some(&read.agent), Some(&read.key_id), code, &why);
                return Ok(None);
            }
        };
        self.there.push(key.clone());
        if let Some((place, rows)) = plain {
            rows.push(TakeOver { place, was: read.secret, key: Some(key.clone()) });
        }
        Ok(Some(key))
    }

    fn wrapped(&self, read: &Read) -> Result<AgentKey> {
        let Read { agent, key_id, secret, .. } = read;
        let secret =
            self.keys.vault.wrap(agent, key_id, Algorithm::HmacSha256, secret.expose_secret().as_bytes())?;
        let mut key = AgentKey::shared(agent, key_id, secret, read.created_at, read.expires_at);
        if read.revoked {
            key.revoke("it was revoked before it was imported");
        }
        Ok(key)
    }

    fn is_its_secret(&self, key: &AgentKey, secret: &SecretString) -> Result<bool> {
        let Some(wrapped) = key.secret.as_ref().filter(|_| key.algorithm == Algorithm::HmacSha256) else {
            return Ok(false);
        };
        Ok(self.keys.vault.open(key, wrapped)?.expose_secret() == secret.expose_secret().as_bytes())
    }

    fn skip(&mut self, agent: Option<&str>, key_id: Option<&str>, code: &str, why: &str) {
        let [agent_id, key_id] = [agent, key_id].map(|text| text.map(str::to_owned));
        self.report.push(SkippedKey { agent_id, key_id, code: code.to_owned(), why: why.to_owned() });
    }
}

/// No refusal shows any of it.
fn read_rows(text: &str) -> Result<Vec<Row>> {
    let rows: Option<Vec<Map<String, Value>>> = serde_json::from_str(text).ok();
    let wrong = || Error::invalid("rows", "something else", "a JSON array of objects");
    Ok(rows.ok_or_else(wrong)?.into_iter().map(Row).collect())
}

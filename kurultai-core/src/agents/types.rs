use crate::{
    check,
    error::{Error, Result},
    json::Json,
    words::words,
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

const MOST_METADATA: usize = 16_384;
const MOST_NAMES: usize = 256;

words! {
    /// What an agent says of itself; its health is computed, never stored.
    AgentStatus, "agent status" {
        Active = "active",
        Busy = "busy",
        Idle = "idle",
        Offline = "offline",
        /// Finishes what it holds and is given nothing new.
        Draining = "draining",
    }
}

impl AgentStatus {
    /// As the registry shows it: who has said that it stops, and was not heard of since, is offline.
    pub(crate) fn unless_stopped(
        self,
        stopped_at: Option<DateTime<Utc>>,
        last_sign: Option<DateTime<Utc>>,
    ) -> Self {
        let has_stopped = stopped_at.is_some() && stopped_at >= last_sign;
        if self == AgentStatus::Active && has_stopped { AgentStatus::Offline } else { self }
    }
}

/// An agent to register.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct NewAgent {
    /// `[a-z0-9][a-z0-9_-]{0,63}`
    pub id: String,
    /// Any name; the id where none is given.
    pub display_name: Option<String>,
    /// What it is for, in a word: `developer`. Tells people; nothing is matched against it.
    pub role: Option<String>,
    /// Other names under which it is found.
    pub aliases: Vec<String>,
    /// What it can do: a task that requires capabilities goes to an agent that has them all.
    pub capabilities: Vec<String>,
    /// How many tasks it may hold at once; `None` for any number.
    pub max_concurrent: Option<u32>,
    /// What its team wants to know of it beside: a JSON object, at most 16 KiB, or null.
    pub metadata: Json,
}

impl NewAgent {
    /// An agent of this id, of which nothing more is known.
    pub fn new(id: impl Into<String>) -> Self {
        NewAgent { id: id.into(), ..NewAgent::default() }
    }

    /// How people call it: `Temüjin`.
    pub fn display_name(mut self, name: impl Into<String>) -> Self {
        self.display_name = Some(name.into());
        self
    }

    /// What it can do; replaces what was given before.
    pub fn capabilities<S: Into<String>>(mut self, capabilities: impl IntoIterator<Item = S>) -> Self {
        self.capabilities = capabilities.into_iter().map(Into::into).collect();
        self
    }

    /// Other names under which it is found; replaces what was given before.
    pub fn aliases<S: Into<String>>(mut self, aliases: impl IntoIterator<Item = S>) -> Self {
        self.aliases = aliases.into_iter().map(Into::into).collect();
        self
    }

    /// How many tasks it may hold at once, in all its processes together.
    pub fn max_concurrent(mut self, most: u32) -> Self {
        self.max_concurrent = Some(most);
        self
    }

    /// What its team wants to know of it beside: a JSON object.
    pub fn metadata(mut self, metadata: impl Into<Json>) -> Self {
        self.metadata = metadata.into();
        self
    }

    pub(super) fn check(&self) -> Result<()> {
        check::agent("id", &self.id)?;
        for (field, text) in [("display_name", &self.display_name), ("role", &self.role)] {
            text.as_deref().map_or(Ok(()), |text| check::text(field, text, 256))?;
        }
        names("aliases", &self.aliases)?;
        names("capabilities", &self.capabilities)?;
        object("metadata", &self.metadata)?;
        match self.max_concurrent {
            Some(0) => {
                Err(Error::invalid("max_concurrent", 0, "1 or more, or nothing; drain an agent to stop it"))
            }
            _ => Ok(()),
        }
    }
}

fn names(field: &str, names: &[String]) -> Result<()> {
    if names.len() > MOST_NAMES {
        return Err(Error::invalid(field, format!("{} names", names.len()), "at most 256 names"));
    }
    names.iter().try_for_each(|name| check::text(field, name, 128))
}

/// A JSON object or null.
fn object(field: &str, json: &Json) -> Result<()> {
    json.check().map_err(|error| error.about(field))?;
    let text = json.as_str().trim();
    if !text.starts_with('{') && text != "null" || text.len() > MOST_METADATA {
        let is = format!("{} bytes that begin with {:.20?}", text.len(), text);
        return Err(Error::invalid(field, is, "a JSON object of at most 16384 bytes"));
    }
    Ok(())
}

/// What an agent has learned and lost: what is not named stays.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct AgentUpdate {
    /// Capabilities that it has from now on.
    pub add: Vec<String>,
    /// Capabilities that it has no more.
    pub remove: Vec<String>,
    /// A JSON object of at most 16 KiB, or null, instead of what was there.
    pub metadata: Option<Json>,
}

impl AgentUpdate {
    /// The change that changes nothing.
    pub fn new() -> Self {
        AgentUpdate::default()
    }

    /// It can do this from now on.
    #[expect(clippy::should_implement_trait, reason = "an update has no sum")]
    pub fn add(mut self, capability: impl Into<String>) -> Self {
        self.add.push(capability.into());
        self
    }

    /// It can do this no more.
    pub fn remove(mut self, capability: impl Into<String>) -> Self {
        self.remove.push(capability.into());
        self
    }

    /// What its team wants to know of it beside.
    pub fn metadata(mut self, metadata: impl Into<Json>) -> Self {
        self.metadata = Some(metadata.into());
        self
    }

    pub(super) fn check(&self) -> Result<()> {
        names("add", &self.add)?;
        names("remove", &self.remove)?;
        if let Some(both) = self.add.iter().find(|name| self.remove.contains(name)) {
            return Err(Error::invalid("remove", both, "a capability that is not in `add`"));
        }
        self.metadata.as_ref().map_or(Ok(()), |metadata| object("metadata", metadata))
    }

    /// The capabilities that an agent has after it. Errors: `input.invalid` where they are too many.
    pub(crate) fn apply(&self, capabilities: Vec<String>) -> Result<Vec<String>> {
        let mut kept: Vec<String> = capabilities;
        kept.retain(|name| !self.remove.contains(name));
        for name in &self.add {
            if !kept.contains(name) {
                kept.push(name.clone());
            }
        }
        names("capabilities", &kept).map(|()| kept)
    }
}

/// An agent as the registry has it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AgentInfo {
    /// `[a-z0-9][a-z0-9_-]{0,63}`
    pub id: String,
    /// How people call it.
    pub display_name: String,
    /// What it is for, in a word.
    pub role: Option<String>,
    /// Other names under which it is found.
    pub aliases: Vec<String>,
    /// What it can do.
    pub capabilities: Vec<String>,
    /// What it says of itself.
    pub status: AgentStatus,
    /// How many tasks it may hold at once; `None` for any number.
    pub max_concurrent: Option<u32>,
    /// What its team wants to know of it beside; null where it said nothing.
    pub metadata: Json,
    /// How many live leases it holds now.
    pub current_load: u32,
    /// The last sign that its process runs.
    pub infra_heartbeat: Option<DateTime<Utc>>,
    /// The last sign that it works: claim, extend, progress, complete, fail.
    pub last_heartbeat: Option<DateTime<Utc>>,
    /// When it was first registered.
    pub created_at: DateTime<Utc>,
}

impl AgentInfo {
    /// The last sign of either kind.
    pub(crate) fn last_sign(&self) -> Option<DateTime<Utc>> {
        self.infra_heartbeat.max(self.last_heartbeat)
    }

    /// Whether a claim may give it anything.
    pub fn has_room(&self) -> bool {
        self.room() > 0
    }

    pub(crate) fn room(&self) -> usize {
        match (self.status, self.max_concurrent) {
            (AgentStatus::Draining | AgentStatus::Offline, _) => 0,
            (_, None) => usize::MAX,
            (_, Some(most)) => most.saturating_sub(self.current_load) as usize,
        }
    }
}

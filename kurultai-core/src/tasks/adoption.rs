//! Taking over what another program wrote: what it is asked, and what it reports.

use super::types::Status;
use crate::{
    check,
    error::{Error, Result},
    words::words,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What to take over; every field that is given must match. The default is every task and agent that belongs to no
/// namespace.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AdoptOptions {
    /// Only report; nothing is changed.
    pub dry_run: bool,
    /// Only nodes that have one of these labels. `Task` and `Agent` are labels too.
    pub labels: Option<Vec<String>>,
    /// Only these, by the `id`, `task_id` or `agent_id` that they have now.
    pub ids: Option<Vec<String>>,
    /// Only tasks of these types, and no agent.
    pub types: Option<Vec<String>>,
    /// Only tasks whose status is one of these words, as the other program wrote it, and no agent. Case, spaces and
    /// punctuation do not matter.
    pub statuses: Option<Vec<String>>,
}

impl AdoptOptions {
    pub(crate) fn check(&self) -> Result<()> {
        let all = [
            ("labels", &self.labels),
            ("ids", &self.ids),
            ("types", &self.types),
            ("statuses", &self.statuses),
        ];
        for (field, words) in all {
            let Some(words) = words else { continue };
            if words.is_empty() {
                return Err(Error::invalid(field, "empty", "at least one, or nothing where all are meant"));
            }
            words.iter().try_for_each(|word| check::text(field, word, 1_024))?;
        }
        Ok(())
    }
}

/// What was taken over; after a dry run, what would be.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Adoption {
    /// Nothing was changed: this is what would be.
    pub dry_run: bool,
    /// How many tasks.
    pub tasks: u64,
    /// How many agents.
    pub agents: u64,
    /// The tasks by the status that they have now.
    pub by_status: BTreeMap<Status, u64>,
    /// What a person should know of it, the kinds in the order of [`FindingKind`].
    pub findings: Vec<Finding>,
}

/// Something that happened to nodes in the same way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// What kind of thing it is.
    pub kind: FindingKind,
    /// `status "done" as completed`
    pub what: String,
    /// How many nodes it happened to.
    pub count: u64,
    /// The first five, by their ids.
    pub examples: Vec<String>,
}

words! {
    /// What a finding asks of its reader.
    #[non_exhaustive]
    FindingKind, "kind of finding" {
        /// Nothing: another name or word for something that is known.
        Read = "read",
        /// A look: something was missing or could not be read, and a default or a likely meaning took its place.
        Guessed = "guessed",
        /// A decision: the task waits until somebody resumes or cancels it.
        Suspended = "suspended",
        /// A look: an edge or a value was taken away.
        Dropped = "dropped",
        /// A look: a name stands for no task or agent that is known.
        Unresolved = "unresolved",
        /// Nothing was done with the node.
        LeftOut = "left_out",
    }
}

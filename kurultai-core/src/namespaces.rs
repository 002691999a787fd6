//! The teams of one database.

use crate::error::{Error, Kind};
use serde::{Deserialize, Serialize};

/// One team of a database, and how much it has there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamespaceInfo {
    /// Its name.
    pub name: String,
    /// How many tasks, finished ones too.
    pub tasks: u64,
    /// How many agents, whether or not they are alive.
    pub agents: u64,
}

/// What a handle is told whose namespace somebody has deleted.
pub(crate) fn missing(name: &str) -> Error {
    let message = format!("namespace {name:?} is gone from the database; open it again to begin it anew");
    Error::new(Kind::Storage, "store.namespace_missing", message)
}

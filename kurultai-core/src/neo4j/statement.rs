//! A statement, and one that is on its way with its values.

use neo4rs::{BoltType, Query};

/// Cypher, and how it may be sent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Statement {
    pub(super) text: &'static str,
    /// It locks the namespace's node first: this process asks for that once at a time.
    pub(super) locks: bool,
    /// Where the connection breaks it is sent again: a second run finds everything done, or does the same.
    pub(super) repeatable: bool,
}

impl Statement {
    pub(super) const fn plain(text: &'static str) -> Self {
        Statement { text, locks: false, repeatable: true }
    }

    pub(super) const fn locking(text: &'static str) -> Self {
        Statement { text, locks: true, repeatable: true }
    }

    /// A second run would do it again, or answer something else.
    pub(super) const fn once(self) -> Self {
        Statement { repeatable: false, ..self }
    }
}

#[derive(Clone)]
pub(super) struct Call {
    pub(super) query: Query,
    pub(super) statement: Statement,
}

impl Call {
    pub(super) fn param<T: Into<BoltType>>(self, name: &str, value: T) -> Self {
        Call { query: self.query.param(name, value), ..self }
    }
}

//! The id under which a task is held.

use crate::ids;
use std::fmt;

/// `<prefix><number of the task's row>`. To claimers it is opaque; the end of an attempt finds its task by the row, which
/// saves the look-up of the task's id in an index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ClaimId<'a> {
    /// Ends with the separator, so that SQL can append the row.
    pub(super) prefix: &'a str,
    pub(super) row: i64,
}

const SEPARATOR: char = '.';

impl<'a> ClaimId<'a> {
    /// What the tasks share that an agent is given at once.
    pub(super) fn new_prefix() -> String {
        format!("{}{SEPARATOR}", ids::new_id())
    }

    /// `None` where this store did not make it.
    pub(super) fn parse(text: &'a str) -> Option<Self> {
        let (prefix, row) = text.split_at(text.rfind(SEPARATOR)? + SEPARATOR.len_utf8());
        Some(ClaimId { prefix, row: row.parse().ok()? })
    }
}

impl fmt::Display for ClaimId<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.prefix, self.row)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_tells_its_row() {
        let prefix = ClaimId::new_prefix();
        let id = ClaimId { prefix: &prefix, row: 42 };
        assert_eq!(ClaimId::parse(&id.to_string()), Some(id));
        for other in ["", "42", "a.", "a.b"] {
            assert_eq!(ClaimId::parse(other), None, "{other:?}");
        }
    }
}

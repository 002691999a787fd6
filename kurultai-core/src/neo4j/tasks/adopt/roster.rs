//! Who is meant by a name.

use crate::{agents::AgentInfo, ids};
use std::collections::{HashMap, HashSet};

/// By ids, then by display names and aliases.
#[derive(Debug, Default)]
pub(super) struct Roster {
    ids: HashSet<String>,
    /// By their folded form; `None` where several have it.
    names: HashMap<String, Option<String>>,
    pub(super) aliases: HashMap<String, Vec<String>>,
    /// By the nodes of the other program.
    pub(super) nodes: HashMap<String, String>,
}

impl Roster {
    pub(super) fn of(agents: &[AgentInfo]) -> Self {
        let mut roster = Roster::default();
        for agent in agents {
            roster.add(&agent.id, std::iter::once(&agent.display_name).chain(&agent.aliases));
            roster.aliases.insert(agent.id.clone(), agent.aliases.clone());
        }
        roster
    }

    pub(super) fn add<'a>(&mut self, id: &str, names: impl Iterator<Item = &'a String>) {
        self.ids.insert(id.to_owned());
        for name in names {
            let known = self.names.entry(ids::fold(name)).or_insert_with(|| Some(id.to_owned()));
            if known.as_deref() != Some(id) {
                *known = None;
            }
        }
    }

    pub(super) fn resolve(&self, name: &str) -> Option<&str> {
        let folded = ids::fold(name.trim());
        let id = [name.trim(), &folded].into_iter().find_map(|id| self.ids.get(id));
        id.or_else(|| self.names.get(&folded)?.as_ref()).map(String::as_str)
    }

    /// The agent that a node of the other program stands for.
    pub(super) fn of_node(&self, element: &str) -> Option<&str> {
        self.nodes.get(element).map(String::as_str)
    }
}

/// A name as an agent's id: `Temüjin the 2nd` is `temujin-the-2nd`. `None` where nothing of it can stand in an id.
pub(super) fn slug(name: &str) -> Option<String> {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-';
    let id: String = ids::fold(name).chars().map(|c| if fits(c) { c } else { '-' }).take(64).collect();
    let id = id.trim_start_matches(['-', '_']);
    (!id.is_empty()).then(|| id.to_owned())
}

/// Somebody who is no agent that is known: as an id, so that an agent of this name can come later.
pub(super) fn stranger(name: &str) -> String {
    slug(name).unwrap_or_else(|| name.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_ids() {
        let found = ["Temüjin the 2nd", "_x", "蒙哥", " "].map(slug);
        assert_eq!(found, [Some("temujin-the-2nd".to_owned()), Some("x".to_owned()), None, None]);
    }
}

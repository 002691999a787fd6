//! What of a node becomes different, and what it was before.

use super::{
    mapping::{Names, names},
    report::Note,
    values::{self, NOTHING, Raw, is_empty},
};
use crate::{neo4j::bolt::map, tasks::FindingKind};
use neo4rs::BoltType;
use serde_json::{Map, Value};

/// Reads a node's properties by our names and gathers what has to be written.
pub(super) struct Changes<'a> {
    raw: &'a Raw,
    table: &'static [Names],
    set: Vec<(&'static str, BoltType)>,
    before: Map<String, Value>,
    notes: Vec<Note>,
}

impl<'a> Changes<'a> {
    pub(super) fn new(raw: &'a Raw, table: &'static [Names]) -> Self {
        Changes { raw, table, set: vec![], before: Map::new(), notes: vec![] }
    }

    /// What the node says under our name or the first of the others.
    pub(super) fn find(&mut self, ours: &'static str) -> Option<&'a BoltType> {
        let mut named = names(self.table, ours).filter_map(|name| Some((name, self.raw.get(name)?)));
        let (name, value) = named.find(|(_, value)| !is_empty(value))?;
        if name != ours {
            self.note(FindingKind::Read, format!("{name} as {ours}"));
        }
        Some(value)
    }

    /// The same, converted; what cannot be is noted.
    pub(super) fn read<T>(
        &mut self,
        ours: &'static str,
        convert: fn(&BoltType) -> Option<T>,
        otherwise: &str,
    ) -> Option<T> {
        let value = self.find(ours)?;
        let read = convert(value);
        if read.is_none() {
            self.note(FindingKind::Dropped, format!("{ours} {otherwise}"));
        }
        read
    }

    pub(super) fn note(&mut self, kind: FindingKind, what: impl Into<String>) {
        self.notes.push((kind, what.into()));
    }

    /// Null takes the property away.
    pub(super) fn set(&mut self, name: &'static str, value: BoltType) {
        let old = self.raw.get(name).unwrap_or(&NOTHING);
        if *old != value {
            self.before.insert(name.to_owned(), values::json(old));
            self.set.push((name, value));
        }
    }

    /// The property will be written by the statement itself.
    pub(super) fn remember(&mut self, name: &'static str) {
        self.before.insert(name.to_owned(), self.raw.get(name).map_or(Value::Null, values::json));
    }

    /// An empty list is not written where there is none.
    pub(super) fn set_list(&mut self, name: &'static str, words: Vec<String>) {
        let nothing = words.is_empty() && !self.raw.contains_key(name);
        if !nothing {
            self.set(name, words.into());
        }
    }

    /// What to write, the event's payload and the notes. `more` stands beside `before`.
    pub(super) fn finish(
        self,
        more: impl IntoIterator<Item = (&'static str, Value)>,
    ) -> (BoltType, String, Vec<Note>) {
        let mut payload = Map::from_iter([("before".to_owned(), Value::Object(self.before))]);
        payload.extend(more.into_iter().map(|(name, value)| (name.to_owned(), value)));
        (map(self.set), Value::Object(payload).to_string(), self.notes)
    }
}

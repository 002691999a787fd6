//! What a person is told of an adoption.

use crate::tasks::{Finding, FindingKind};
use std::{cmp::Reverse, collections::BTreeMap};

const EXAMPLES: usize = 5;

/// What there is to say of one node.
pub(super) type Note = (FindingKind, String);

#[derive(Debug, Default)]
pub(super) struct Report(BTreeMap<Note, (u64, Vec<String>)>);

impl Report {
    pub(super) fn note(&mut self, kind: FindingKind, what: impl Into<String>, example: impl Into<String>) {
        let (count, examples) = self.0.entry((kind, what.into())).or_default();
        *count += 1;
        if examples.len() < EXAMPLES {
            examples.push(example.into());
        }
    }

    /// The most frequent of each kind first.
    pub(super) fn findings(self) -> Vec<Finding> {
        let all = self.0.into_iter();
        let mut findings: Vec<Finding> =
            all.map(|((kind, what), (count, examples))| Finding { kind, what, count, examples }).collect();
        findings.sort_by_key(|finding| (finding.kind, Reverse(finding.count)));
        findings
    }
}

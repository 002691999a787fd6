//! What a run has shown.

use super::{
    check::{self, History},
    record::{Answer, Outcome},
    story,
};
use crate::chaos::Result;
use std::{collections::BTreeMap, fmt};

/// How many violations are told.
const TOLD: usize = 8;

#[derive(Debug, Default)]
pub struct Report {
    pub store: &'static str,
    pub calls: usize,
    pub events: usize,
    pub tasks: usize,
    pub kills: usize,
    pub stops: usize,
    /// How often the network failed.
    pub faults: usize,
    /// Calls that may have happened or not.
    pub unknown: usize,
    pub refused: BTreeMap<String, usize>,
    pub violations: usize,
    /// The first of them, told.
    pub stories: Vec<String>,
}

impl Report {
    pub(super) fn judge(&mut self, history: &History) {
        self.calls += history.calls.len();
        self.events += history.log.len();
        self.tasks += history.left.len();
        for call in &history.calls {
            match &call.outcome {
                Outcome::Unknown => self.unknown += 1,
                Outcome::Answered(_, Answer::Refused(code)) => {
                    *self.refused.entry(code.clone()).or_default() += 1;
                }
                _ => {}
            }
        }
        let violations = check::check(history);
        self.violations += violations.len();
        let room = TOLD.saturating_sub(self.stories.len());
        self.stories.extend(story::tell(history, &violations).into_iter().take(room));
    }

    /// What no promise speaks of: a defect.
    pub(super) fn add(&mut self, strange: Vec<String>) {
        self.violations += strange.len();
        self.stories.extend(strange.into_iter().take(TOLD));
    }

    /// Fails where something was violated, or where the run was too tame to show anything.
    pub fn check(&self) -> Result {
        let busy = self.calls > 100 && self.unknown > 0 && self.refused.contains_key("lease.lost");
        match self.violations {
            0 if busy => Ok(()),
            0 => Err(format!("too little happened: {self}").into()),
            count => Err(format!("{count} violations on {}", self.store).into()),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let figures = serde_json::json!({
            "history": self.store, "calls": self.calls, "events": self.events, "tasks": self.tasks, "kills": self.kills,
            "stops": self.stops, "faults": self.faults, "unknown": self.unknown, "refused": self.refused, "violations": self.violations,
        });
        write!(f, "{figures}")
    }
}

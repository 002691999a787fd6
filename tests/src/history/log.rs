//! What the events make of a task: a state machine, written once more from the documentation.

use super::check::Violation;
use kurultai_core::tasks::{Signal, Status};
use serde::Deserialize;
use std::{
    collections::{HashMap, HashSet},
    ops::RangeInclusive,
};

/// Number, topic, task, source.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Event {
    pub seq: i64,
    pub topic: String,
    pub task: Option<String>,
    pub source: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Phase {
    #[default]
    Absent,
    /// Pending or blocked: the log does not say when a pause between two attempts is over, nor that a child came.
    Waiting,
    Held,
    Completed,
    DeadLetter,
    Cancelled,
    Expired,
    Suspended,
}

impl Phase {
    pub fn of(status: Status) -> Phase {
        match status {
            Status::Blocked | Status::Pending => Phase::Waiting,
            Status::InProgress => Phase::Held,
            Status::Completed => Phase::Completed,
            Status::DeadLetter => Phase::DeadLetter,
            Status::Cancelled => Phase::Cancelled,
            Status::Expired => Phase::Expired,
            Status::Suspended | Status::PendingReview => Phase::Suspended,
        }
    }

    pub fn is_finished(self) -> bool {
        matches!(self, Phase::Completed | Phase::DeadLetter | Phase::Cancelled | Phase::Expired)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct State {
    pub phase: Phase,
    /// How often it was claimed.
    pub version: i64,
    /// Of the newest claim.
    pub holder: Option<String>,
    /// What its holder was asked to do meanwhile: `Cancel` or `Suspend`.
    pub asked: Option<Signal>,
}

impl State {
    /// Whether an event can come now.
    fn allows(&self, topic: &str, has_children: bool) -> bool {
        use Phase::*;
        match (topic, self.phase) {
            ("task.enqueued", Absent) => true,
            ("task.claimed" | "task.blocked" | "task.unblocked" | "task.expired", Waiting) => true,
            ("task.completed", Held) => true,
            ("task.completed", Waiting) | ("task.waiting", Held) => has_children,
            ("task.failed" | "task.released" | "task.lapsed", Held) => self.asked.is_none(),
            ("task.dead_letter", Held) => self.asked != Some(Signal::Cancel),
            ("task.cancelled", Held) => self.asked == Some(Signal::Cancel),
            ("task.cancelled", Waiting | Suspended) => true,
            ("task.suspended" | "task.resumed", Held) => self.asked == Some(Signal::Suspend),
            ("task.suspended", Waiting) | ("task.resumed", Suspended) => true,
            ("task.cancel_requested" | "task.suspend_requested", Held) => true,
            ("task.requeued", DeadLetter | Cancelled | Expired) => true,
            ("task.discarded", DeadLetter) => true,
            ("task.updated" | "task.reprioritized" | "task.assigned", Waiting | Suspended) => true,
            _ => false,
        }
    }

    /// What an event makes of the state, allowed or not.
    fn after(&self, event: &Event) -> State {
        let phase = match event.topic.as_str() {
            "task.claimed" => Phase::Held,
            "task.completed" => Phase::Completed,
            "task.dead_letter" => Phase::DeadLetter,
            "task.cancelled" | "task.discarded" => Phase::Cancelled,
            "task.suspended" => Phase::Suspended,
            "task.expired" => Phase::Expired,
            "task.cancel_requested" | "task.suspend_requested" => self.phase,
            "task.resumed" if self.phase == Phase::Held => Phase::Held,
            "task.updated" | "task.reprioritized" | "task.assigned" => self.phase,
            _ => Phase::Waiting,
        };
        let asked = match event.topic.as_str() {
            "task.cancel_requested" => Some(Signal::Cancel),
            "task.suspend_requested" => self.asked.or(Some(Signal::Suspend)),
            _ => None,
        };
        if event.topic == "task.claimed" {
            return State { phase, version: self.version + 1, holder: event.source.clone(), asked };
        }
        State { phase, asked, ..self.clone() }
    }
}

/// The states of one task, each with the number of the event that made it.
#[derive(Debug, Clone, Default)]
pub struct Timeline {
    states: Vec<(i64, State)>,
    /// How each claim ended: the number and the topic of the event, by version.
    ends: HashMap<i64, (i64, String)>,
}

static ABSENT: State = State { phase: Phase::Absent, version: 0, holder: None, asked: None };

impl Timeline {
    /// After the event of this number.
    pub fn at(&self, seq: i64) -> &State {
        let count = self.states.partition_point(|(at, _)| *at <= seq);
        count.checked_sub(1).map_or(&ABSENT, |last| &self.states[last].1)
    }

    pub fn last(&self) -> &State {
        self.at(i64::MAX)
    }

    /// Every state that it had while the log was as long as one of these.
    pub fn within(&self, window: &RangeInclusive<i64>) -> impl Iterator<Item = &State> {
        let (first, end) = (*window.start(), *window.end());
        let later =
            self.states.iter().filter(move |(at, _)| *at > first && *at <= end).map(|(_, state)| state);
        std::iter::once(self.at(first)).chain(later)
    }

    /// The number of the event that enqueued it.
    pub fn enqueued(&self) -> Option<i64> {
        self.states.first().map(|(at, _)| *at)
    }

    /// The number of the event that gave out this version.
    pub fn claimed(&self, version: i64) -> Option<i64> {
        let claim = self.states.iter().find(|(_, state)| state.version == version && version > 0);
        claim.map(|(at, _)| *at)
    }

    /// How the claim of this version ended: the number and the topic of the event.
    pub fn ended(&self, version: i64) -> Option<&(i64, String)> {
        self.ends.get(&version)
    }

    pub fn versions(&self) -> RangeInclusive<i64> {
        1..=self.last().version
    }

    fn take(&mut self, event: &Event, has_children: bool) -> Result<(), String> {
        let before = self.last();
        let allowed = before.allows(&event.topic, has_children).then_some(()).ok_or_else(|| {
            let asked = before.asked.map_or(String::new(), |asked| format!(" and asked to {asked}"));
            format!("event {} says {} of a task that is {:?}{asked}", event.seq, event.topic, before.phase)
        });
        let after = before.after(event);
        // A claim that is claimed away has ended as well.
        if before.phase == Phase::Held && (after.phase != Phase::Held || after.version > before.version) {
            self.ends.insert(before.version, (event.seq, event.topic.clone()));
        }
        self.states.push((event.seq, after));
        allowed
    }
}

/// The timelines of all tasks, and what is wrong with the log by itself.
/// `parents` says whose child a task is.
pub fn replay<'a>(
    log: &'a [Event],
    parents: &HashMap<&str, &'a str>,
) -> (HashMap<&'a str, Timeline>, Vec<Violation>) {
    let (mut timelines, mut wrong) = (HashMap::<&str, Timeline>::new(), Vec::new());
    let (mut with_children, mut next) = (HashSet::<&str>::new(), 1);
    for event in log {
        if event.seq != next {
            wrong.push(Violation::of(None, format!("the log goes from event {} to {}", next - 1, event.seq)));
        }
        next = event.seq + 1;
        let Some(task) = event.task.as_deref() else { continue };
        if event.topic == "task.enqueued" {
            with_children.extend(parents.get(task));
        }
        if let Err(why) = timelines.entry(task).or_default().take(event, with_children.contains(task)) {
            wrong.push(Violation::of(Some(task), why));
        }
    }
    (timelines, wrong)
}

//! One task of another program as one of ours.

use super::{
    changes::Changes,
    mapping::{Meaning, TASK, meaning},
    report::Note,
    roster::{Roster, stranger},
    standing::Standing,
    values::{self, Raw},
};
use crate::{
    clock::Micros,
    ids,
    neo4j::bolt::datetime,
    tasks::{
        FindingKind, Priority, Status,
        order::{self, Route},
        rules::NOW,
    },
};
use neo4rs::BoltType;
use serde_json::Value;

/// Whoever works on a task keeps it for this long.
const GRACE: Micros = 30_000_000;

/// What is known of a task besides its properties.
pub(super) struct Setting<'a> {
    pub(super) namespace: &'a str,
    pub(super) now: Micros,
    pub(super) id: &'a str,
    pub(super) roster: &'a Roster,
    /// By an edge.
    pub(super) assigned_to: Option<&'a str>,
    pub(super) standing: &'a Standing,
    /// The task that has its unique key already.
    pub(super) duplicate_of: Option<&'a str>,
}

pub(super) struct Adopted {
    pub(super) status: Status,
    /// Its route's key.
    pub(super) route: String,
    pub(super) unique_key: Option<String>,
    pub(super) set: BoltType,
    pub(super) event: String,
    pub(super) notes: Vec<Note>,
}

/// What a node says of its state.
#[derive(Debug, Clone, Copy)]
struct Said<'a> {
    word: &'a str,
    has_owner: bool,
    has_ended: bool,
}

/// The status that a task gets, and what a person should know of it.
fn status(said: Said<'_>, standing: &Standing) -> (Status, Option<Note>) {
    let word = said.word.trim();
    let stops = |why: String| (Status::Suspended, Some((FindingKind::Suspended, why)));
    let known = match meaning(word) {
        None if word.is_empty() => return stops("no status".to_owned()),
        None => return stops(format!("status {word:?}, which is not known")),
        Some(Meaning::Is(status)) => status,
        Some(Meaning::Owned) if said.has_owner => Status::InProgress,
        Some(Meaning::Owned) => Status::Pending,
    };
    let open = matches!(known, Status::Pending | Status::Blocked | Status::InProgress);
    if open && said.has_ended {
        return stops(format!("status {word:?} with a completed_at"));
    }
    if open && standing.astray {
        return stops("waits for a task that is not there".to_owned());
    }
    let waits = standing.gated || standing.has_children;
    match known {
        Status::Blocked if !waits && !standing.waits => stops("blocked, but by no task".to_owned()),
        Status::Blocked if !waits => (Status::Pending, None),
        Status::Pending if waits => (Status::Blocked, None),
        Status::InProgress if standing.gated => (
            Status::Blocked,
            Some((FindingKind::Guessed, format!("status {word:?}, but it waits: as blocked"))),
        ),
        Status::InProgress => {
            let what = format!("status {word:?} as in_progress: its owner has 30 s, then it is tried again");
            (Status::InProgress, Some((FindingKind::Guessed, what)))
        }
        status if said.word == status.as_str() => (status, None),
        Status::Pending if meaning(word) == Some(Meaning::Owned) => (
            Status::Pending,
            Some((FindingKind::Guessed, format!("status {word:?} without an owner as pending"))),
        ),
        status => (status, Some((FindingKind::Read, format!("status {word:?} as {status}")))),
    }
}

/// An agent by any of its names.
fn person(of: &mut Changes<'_>, name: &'static str, roster: &Roster) -> Option<String> {
    let said = values::list(of.find(name)?).into_iter().next()?;
    let Some(id) = roster.resolve(&said) else {
        if name != "delegated_by" {
            of.note(FindingKind::Unresolved, format!("{name} {said:?}, who is no agent"));
        }
        return Some(stranger(&said));
    };
    if id != said {
        of.note(FindingKind::Read, format!("{name} {said:?} as {id}"));
    }
    Some(id.to_owned())
}

fn words(of: &mut Changes<'_>, name: &'static str) -> Vec<String> {
    let mut words = of.find(name).map(values::list).unwrap_or_default();
    words.sort();
    words.dedup();
    words
}

/// The text of a property; under its own name as it is.
fn text(of: &mut Changes<'_>, name: &'static str) -> Option<String> {
    of.find(name).map(values::text)
}

fn priority(of: &mut Changes<'_>) -> Priority {
    let Some(word) = text(of, "priority") else { return Priority::default() };
    let known = word.trim().parse::<Priority>();
    match &known {
        Ok(priority) if priority.as_str() == word => {}
        Ok(priority) => of.note(FindingKind::Read, format!("priority {word:?} as {priority}")),
        Err(_) => of.note(FindingKind::Guessed, format!("priority {word:?} as {}", Priority::default())),
    }
    known.unwrap_or_default()
}

pub(super) fn adopted(raw: &Raw, setting: &Setting<'_>) -> Adopted {
    let of = &mut Changes::new(raw, TASK);
    let Setting { now, standing, roster, .. } = *setting;
    if of.find("id").is_none() {
        of.note(FindingKind::Guessed, "no id: a new one");
    }
    let by_edge = || setting.assigned_to.map(str::to_owned);
    let assigned_to = person(of, "assigned_to", roster).or_else(by_edge);
    let claimed_by = person(of, "claimed_by", roster);
    let owner = claimed_by.or_else(|| assigned_to.clone());
    let word = text(of, "status").unwrap_or_default();
    let has_ended = raw.get("completed_at").is_some_and(|at| !values::is_empty(at));
    let (status, note) = status(Said { word: &word, has_owner: owner.is_some(), has_ended }, standing);
    if let Some((kind, what)) = note {
        of.note(kind, what);
    }
    let task_type = text(of, "type").unwrap_or_else(|| {
        of.note(FindingKind::Guessed, "no type: as task");
        "task".to_owned()
    });
    let (required, preferred) = (words(of, "required_capabilities"), words(of, "preferred_capabilities"));
    let route = Route { task_type, required, preferred, assigned_to };
    of.set("namespace", setting.namespace.into());
    of.set("id", setting.id.into());
    of.set("type", route.task_type.as_str().into());
    of.set("status", status.as_str().into());
    of.set("assigned_to", route.assigned_to.clone().into());
    of.set_list("required_capabilities", route.required.clone());
    of.set_list("preferred_capabilities", route.preferred.clone());
    let delegated_by = person(of, "delegated_by", roster);
    of.set("delegated_by", delegated_by.into());
    let parent = match &standing.parent {
        Some(parent) => Some(parent.clone()).filter(|parent| !parent.is_empty()),
        None => text(of, "parent_id"),
    };
    of.set("parent_id", parent.into());
    let unique_key = text(of, "unique_key").filter(|_| setting.duplicate_of.is_none());
    of.set("unique_key", unique_key.clone().into());
    if let Some(other) = setting.duplicate_of {
        of.note(FindingKind::Dropped, "a unique_key that another task has");
        of.set("duplicate_of", other.into());
    }
    let priority = priority(of);
    texts(of);
    times(of, now, status, priority, owner);
    // Our own, whatever they mean elsewhere.
    for own in
        ["timeout", "control", "retry", "wait_for", "on_prerequisite_failure", "max_runtime", "stalled_claim"]
    {
        of.set(own, values::NOTHING);
    }
    of.set("revision", 0.into());
    of.remember("route");
    let edges = [("edges_added", &standing.added), ("edges_dropped", &standing.dropped)];
    let told = edges.into_iter().filter(|(_, edges)| !edges.is_empty());
    let (set, event, notes) = std::mem::replace(of, Changes::new(raw, TASK))
        .finish(told.map(|(name, edges)| (name, Value::Array(edges.clone()))));
    Adopted { status, route: route.key(), unique_key, set, event, notes }
}

/// What people and programs read of it.
fn texts(of: &mut Changes<'_>) {
    for name in ["title", "description", "usage", "error_message"] {
        let text = text(of, name);
        of.set(name, text.into());
    }
    for name in ["payload", "results", "checkpoint"] {
        let value = of.find(name).map(values::document);
        of.set(name, value.into());
    }
    let errors = of.find("errors").map(values::list).unwrap_or_default();
    of.set_list("errors", errors);
    let progress = of.read("progress", values::fraction, "is no number from 0 to 1");
    of.set("progress", progress.into());
}

/// Times, tries, the lease, and its place in the order.
fn times(of: &mut Changes<'_>, now: Micros, status: Status, priority: Priority, owner: Option<String>) {
    let at = |of: &mut Changes<'_>, name| of.read(name, values::moment, "is no time");
    let created = at(of, "created_at").unwrap_or(now);
    let updated = at(of, "updated_at").unwrap_or(created);
    let run_at = at(of, "run_at");
    let expires_at = at(of, "expires_at");
    let later = run_at.filter(|at| *at > now);
    let held = status == Status::InProgress;
    let until = held.then_some(now + GRACE);
    let completed = if status.is_finished() { at(of, "completed_at").or(Some(updated)) } else { None };
    let claimed = at(of, "claimed_at").or(held.then_some(now));
    let attempts = of.read("attempts", values::number, "is no number").unwrap_or(0);
    let most = of.read("max_attempts", values::number, "is no number").unwrap_or(3);
    let weight = of.read("priority_weight", values::fraction, "is no number from 0 to 1").unwrap_or(0.5);
    let version = of.read("lease_version", values::number, "is no number").unwrap_or(0);
    let by = owner.filter(|_| held || status.is_finished());
    let claimable = status == Status::Pending && later.is_none();
    let rank = order::sort_base(priority, weight) + (created - order::EPOCH).clamp(0, (1 << 50) - 1);
    let due_at = match status {
        Status::InProgress => until,
        Status::Pending => later.into_iter().chain(expires_at).min(),
        Status::Blocked => Some(NOW),
        _ => None,
    };
    of.set("priority", priority.as_str().into());
    of.set("priority_weight", weight.into());
    let times = [
        ("created_at", Some(created)),
        ("updated_at", Some(updated)),
        ("run_at", run_at),
        ("expires_at", expires_at),
        ("completed_at", completed),
        ("claimed_at", claimed),
        ("lease_expires_at", until),
    ];
    times.into_iter().for_each(|(name, at)| of.set(name, datetime(at)));
    of.set("attempts", attempts.clamp(i64::from(held), i64::from(u32::MAX)).into());
    of.set("max_attempts", most.clamp(1, 1000).into());
    of.set("claimed_by", by.clone().into());
    of.set("held_by", by.filter(|_| held).into());
    of.set("claim_id", held.then(ids::new_id).into());
    of.set("lease_version", version.max(0).into());
    of.set("sort_key", (!claimable).then_some(rank).into());
    of.set("claim_key", claimable.then_some(rank).into());
    of.set("due_at", due_at.into());
    of.set("dead_letter", (status == Status::DeadLetter).then_some(true).into());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn as_ours(word: &str, standing: &Standing) -> (Status, Option<FindingKind>) {
        let said = Said { word, has_owner: false, has_ended: false };
        let (status, note) = status(said, standing);
        (status, note.map(|(kind, _)| kind))
    }

    #[test]
    fn what_is_finished_stays_so_and_what_is_unknown_waits() {
        use FindingKind::*;
        let alone = Standing::default();
        let gated = Standing { waits: true, gated: true, ..Standing::default() };
        for standing in [&alone, &gated] {
            for word in ["Archived", "done ", "CLOSED", "finished"] {
                assert_eq!(as_ours(word, standing), (Status::Completed, Some(Read)), "{word}");
            }
            for word in ["escalated", "", "???"] {
                assert_eq!(as_ours(word, standing), (Status::Suspended, Some(Suspended)), "{word}");
            }
            assert_eq!(as_ours("paused", standing).0, Status::Suspended);
            assert_eq!(as_ours("review", standing).0, Status::PendingReview);
        }
    }

    #[test]
    fn what_waits_is_blocked() {
        use FindingKind::*;
        let done = Standing { waits: true, ..Standing::default() };
        let gated = Standing { gated: true, ..done.clone() };
        let astray = Standing { astray: true, ..gated.clone() };
        assert_eq!(as_ours("ready", &gated), (Status::Blocked, None));
        assert_eq!(as_ours("blocked", &gated), (Status::Blocked, None));
        assert_eq!(as_ours("blocked", &done), (Status::Pending, None));
        assert_eq!(as_ours("blocked", &Standing::default()), (Status::Suspended, Some(Suspended)));
        assert_eq!(as_ours("ready", &astray), (Status::Suspended, Some(Suspended)));
        let owned =
            |standing| status(Said { word: "assigned", has_owner: true, has_ended: false }, standing).0;
        assert_eq!((owned(&done), owned(&gated)), (Status::InProgress, Status::Blocked));
    }

    #[test]
    fn a_task_that_ended_is_not_run_because_its_word_lags() {
        let said = |word| Said { word, has_owner: true, has_ended: true };
        for word in ["ready", "in_progress", "blocked"] {
            assert_eq!(status(said(word), &Standing::default()).0, Status::Suspended, "{word}");
        }
        assert_eq!(status(said("failed"), &Standing::default()).0, Status::DeadLetter);
    }
}

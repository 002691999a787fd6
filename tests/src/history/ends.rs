//! What must hold at the end, and of all tasks together.

use super::{
    check::{Case, Left, Violation},
    log::Phase,
    record::{Answer, Op},
};
use kurultai_core::tasks::Status;
use std::collections::{HashMap, HashSet};

pub(super) fn check(case: &Case<'_>) -> Vec<Violation> {
    let left: HashMap<&str, &Left> = case.history.left.iter().map(|left| (left.id.as_str(), left)).collect();
    let mut violations = lost(case, &left);
    for task in &case.history.left {
        violations.extend(differs(case, task));
        violations.extend(forgotten(task, &left, &case.history.left));
    }
    violations.extend(claimed_too_early(case));
    violations.extend(twins(case));
    violations
}

/// What was acknowledged is there.
fn lost(case: &Case<'_>, left: &HashMap<&str, &Left>) -> Vec<Violation> {
    let mut acknowledged = HashSet::new();
    for call in &case.history.calls {
        if let Some((_, Answer::Enqueued(all))) = call.answered() {
            acknowledged.extend(all.iter().map(|(id, _)| id.as_str()));
        }
    }
    let in_log = case.history.log.iter().filter_map(|event| event.task.as_deref());
    let lost = acknowledged.into_iter().chain(in_log).filter(|id| !left.contains_key(id));
    let lost: HashSet<&str> = lost.collect();
    lost.into_iter()
        .map(|id| Violation::of(Some(id), format!("{id} was acknowledged and is not there")))
        .collect()
}

/// A task is what its events made of it, and its results are those of the lease that completed it.
fn differs(case: &Case<'_>, task: &Left) -> Option<Violation> {
    let state = case.timeline(&task.id).last();
    let what = if state.phase != Phase::of(task.status) || state.version != task.version {
        let Left { status, version, .. } = task;
        format!(
            "it is {status}, version {version}; its events make it {:?}, version {}",
            state.phase, state.version
        )
    } else if task.status == Status::Completed && !has_its_results(case, task) {
        format!("its results {:?} are not those of version {}", task.results, task.version)
    } else {
        return None;
    };
    Some(Violation::of(Some(&task.id), what))
}

fn has_its_results(case: &Case<'_>, task: &Left) -> bool {
    let completed = |op: &Op| match op {
        Op::Complete { results, .. } => Some(*results),
        _ => None,
    };
    let ours = case.about(&task.id).iter().filter(|call| call.may_have_happened());
    let mut given = ours
        .filter(|call| call.lease().is_some_and(|(_, version)| version == task.version))
        .filter_map(|call| completed(&call.op))
        .peekable();
    // A parent that nobody claimed completes with its children.
    given.peek().is_none() || given.any(|results| Some(results) == task.results)
}

/// Blocked, though all that it waits for was completed.
fn forgotten(task: &Left, left: &HashMap<&str, &Left>, all: &[Left]) -> Option<Violation> {
    if task.status != Status::Blocked {
        return None;
    }
    let is_done = |id: &str| left.get(id).is_some_and(|task| task.status == Status::Completed);
    let mut children = all.iter().filter(|child| child.parent.as_ref() == Some(&task.id));
    let free = task.depends_on.iter().all(|on| is_done(on)) && children.all(|child| is_done(&child.id));
    free.then(|| Violation::of(Some(&task.id), "it is blocked, but all that it waits for is completed"))
}

/// No task is given out before what it depends on is completed.
fn claimed_too_early(case: &Case<'_>) -> Vec<Violation> {
    let mut violations = Vec::new();
    let late = |task: &str, version: i64, on: &str| {
        let seq = case.timeline(task).claimed(version)?;
        let phase = case.timeline(on).at(seq).phase;
        let what = || {
            format!(
                "event {seq}: version {version} was claimed while {on}, which it depends on, was {phase:?}"
            )
        };
        (phase != Phase::Completed).then(|| Violation::of(Some(task), what()))
    };
    for (task, spec) in &case.specs {
        for version in case.timeline(task).versions() {
            violations.extend(spec.depends_on.iter().filter_map(|on| late(task, version, on)));
        }
    }
    for call in &case.history.calls {
        let (Op::Depend { task, on }, Some((at, Answer::Nothing))) = (&call.op, call.answered()) else {
            continue;
        };
        for version in case.timeline(task).versions() {
            let after = case.claim(task, version).is_some_and(|claim| claim.called > at);
            violations.extend(after.then(|| late(task, version, on)).flatten());
        }
    }
    violations
}

/// A unique key has one task that counts.
fn twins(case: &Case<'_>) -> Vec<Violation> {
    let mut by_key: HashMap<&str, Vec<(i64, &str)>> = HashMap::new();
    for (task, spec) in &case.specs {
        if let (Some(key), Some(seq)) = (spec.unique_key.as_deref(), case.timeline(task).enqueued()) {
            by_key.entry(key).or_default().push((seq, task));
        }
    }
    let mut violations = Vec::new();
    for (key, tasks) in by_key {
        for (seq, task) in &tasks {
            let counts = |other: &str| {
                let phase = case.timeline(other).at(*seq).phase;
                !matches!(phase, Phase::Absent | Phase::DeadLetter | Phase::Cancelled | Phase::Expired)
            };
            let twin = tasks.iter().find(|(_, other)| other != task && counts(other));
            violations.extend(twin.map(|(_, other)| {
                Violation::of(Some(task), format!("event {seq}: its key {key:?} was that of {other}"))
            }));
        }
    }
    violations
}

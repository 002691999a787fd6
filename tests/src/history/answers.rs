//! Whether some beginning of the log explains an answer.

use super::{
    check::{Case, DRIFT, Violation},
    log::{Event, Phase, State},
    record::{Answer, Call, Nanos, Op, Outcome, Seen, Taken},
};
use kurultai_core::tasks::{Signal, Status};
use std::{mem::discriminant, ops::RangeInclusive};

type Window = RangeInclusive<i64>;

/// No call lasts longer: 30 s, what its process stood still, and what a busy machine adds.
const LONGEST: Nanos = 45_000_000_000;

pub(super) fn check(case: &Case<'_>, call: &Call) -> Vec<Violation> {
    let mut wrong: Vec<(Option<String>, String)> = Vec::new();
    match &call.outcome {
        Outcome::Unknown => {}
        Outcome::Missing => wrong.push((call.task(), "was never answered".to_owned())),
        Outcome::Answered(at, answer) => {
            wrong = explain(case, call, *at, answer);
            if at - call.called > LONGEST {
                wrong.push((call.first_task(), format!("took {} s", (at - call.called) / 1_000_000_000)));
            }
        }
    }
    let told = |(task, why): (Option<String>, String)| {
        let op = serde_json::to_string(&call.op).unwrap_or_default();
        let what = format!("{} called {op}: {why}", call.by);
        Violation::of(task.as_deref(), what)
    };
    wrong.into_iter().map(told).collect()
}

fn explain(case: &Case<'_>, call: &Call, at: Nanos, answer: &Answer) -> Vec<(Option<String>, String)> {
    let window = case.window(call);
    let one = |task: Option<String>, verdict: Result<(), String>| match verdict {
        Ok(()) => vec![],
        Err(why) => vec![(task, why)],
    };
    match answer {
        Answer::Enqueued(all) => {
            let Op::Enqueue { tasks } = &call.op else { return vec![] };
            let each = tasks
                .iter()
                .zip(all)
                .map(|(spec, added)| (added.0.clone(), enqueued(case, &window, &spec.id, added)));
            each.flat_map(|(id, verdict)| one(Some(id), verdict)).collect()
        }
        Answer::Claimed(taken) => taken
            .iter()
            .flat_map(|taken| one(Some(taken.0.clone()), claimed(case, call, &window, taken)))
            .collect(),
        Answer::Seen(tasks) => {
            tasks.iter().flat_map(|seen| one(Some(seen.0.clone()), shown(case, &window, seen))).collect()
        }
        Answer::Finished { status, repeated } => {
            one(call.task(), finished(case, call, &window, *status, *repeated))
        }
        Answer::Extended(signal) => one(call.task(), extended(case, call, &window, *signal)),
        Answer::Status(status) => one(call.task(), acted(case, call, &window, *status)),
        Answer::Read(events) => one(None, read(case, call, &window, events)),
        Answer::LastSeq(seq) if window.contains(seq) => vec![],
        Answer::LastSeq(seq) => vec![(None, format!("last_seq was {seq}, but must be within {window:?}"))],
        Answer::Nothing => vec![],
        Answer::Refused(code) => one(call.first_task(), refused(case, call, &window, at, code)),
    }
}

/// The event of the call itself must have come between its call and its answer.
fn own(seq: i64, window: &Window) -> Result<(), String> {
    if seq > *window.start() && seq <= *window.end() {
        return Ok(());
    }
    Err(format!("its event is {seq}, but what came between call and answer lies within {window:?}"))
}

fn enqueued(
    case: &Case<'_>,
    window: &Window,
    asked: &str,
    (id, deduplicated): &(String, bool),
) -> Result<(), String> {
    let Some(seq) = case.timeline(id).enqueued() else {
        return Err(format!("it was acknowledged, but nothing of {id} is in the log"));
    };
    match deduplicated {
        true if seq <= *window.end() => Ok(()),
        true => Err(format!("{id} came later, with event {seq}")),
        false if id == asked => own(seq, window),
        false => Err(format!("{id} was added for {asked}")),
    }
}

fn claimed(
    case: &Case<'_>,
    call: &Call,
    window: &Window,
    Taken(task, version, _): &Taken,
) -> Result<(), String> {
    let Op::Claim { agent, .. } = &call.op else { return Ok(()) };
    let Some(seq) = case.timeline(task).claimed(*version) else {
        return Err(format!("it got version {version}, but the log has no such claim"));
    };
    let holder = &case.timeline(task).at(seq).holder;
    if holder.as_ref() != Some(agent) {
        return Err(format!("it got version {version}, but the log says {holder:?} did"));
    }
    own(seq, window)
}

fn shown(case: &Case<'_>, window: &Window, Seen(task, status, version, by): &Seen) -> Result<(), String> {
    let is_so = |state: &State| {
        state.phase == Phase::of(*status)
            && state.version == *version
            && (state.phase != Phase::Held || state.holder == *by)
    };
    if case.was(task, window, is_so) {
        return Ok(());
    }
    Err(format!(
        "it showed {task} as {status}, version {version}, by {by:?}, which it was not within {window:?}"
    ))
}

fn finished(
    case: &Case<'_>,
    call: &Call,
    window: &Window,
    status: Status,
    repeated: bool,
) -> Result<(), String> {
    let Some((task, version)) = call.lease() else { return Ok(()) };
    let timeline = case.timeline(&task);
    let Some((seq, topic)) = timeline.ended(version) else {
        return Err("it was acknowledged, but the log has no end of this claim".to_owned());
    };
    let fits = match call.op {
        Op::Complete { .. } => {
            ["task.completed", "task.waiting"].contains(&topic.as_str())
                || case.has_children(&task) && ["task.cancelled", "task.suspended"].contains(&topic.as_str())
        }
        Op::Fail { .. } => {
            ["task.failed", "task.dead_letter", "task.cancelled", "task.suspended"].contains(&topic.as_str())
        }
        _ => ["task.released", "task.cancelled", "task.suspended"].contains(&topic.as_str()),
    };
    if !fits {
        return Err(format!("it was acknowledged, but the claim ended with {topic}, event {seq}"));
    }
    if is_ended_otherwise(case, call, &task) {
        return Err("it was acknowledged, but so was another end of the same claim".to_owned());
    }
    if repeated {
        return if *seq <= *window.end() {
            Ok(())
        } else {
            Err(format!("repeats what came later, event {seq}"))
        };
    }
    own(*seq, window)?;
    if timeline.at(*seq).phase != Phase::of(status)
        && !case.was(&task, window, |s| s.phase == Phase::of(status))
    {
        return Err(format!("it answered {status}, but the log says {:?}", timeline.at(*seq).phase));
    }
    in_time(case, call, &task, version)
}

/// Whether a call that says something else of the same lease was acknowledged too. Where the holder was told to stop, the
/// end's topic does not say which of them it was.
fn is_ended_otherwise(case: &Case<'_>, call: &Call, task: &str) -> bool {
    case.about(task).iter().any(|other| {
        other.lease() == call.lease()
            && discriminant(&other.op) != discriminant(&call.op)
            && matches!(other.answered(), Some((_, Answer::Finished { .. })))
    })
}

/// A lease that has run out is lost, whether anybody has noticed or not.
fn in_time(case: &Case<'_>, call: &Call, task: &str, version: i64) -> Result<(), String> {
    match case.lasts(task, version, call) {
        Some(end) if call.called > end + DRIFT => {
            Err("it was accepted after its lease had run out".to_owned())
        }
        _ => Ok(()),
    }
}

fn extended(case: &Case<'_>, call: &Call, window: &Window, signal: Signal) -> Result<(), String> {
    let Some((task, version)) = call.lease() else { return Ok(()) };
    let asked = Some(signal).filter(|signal| matches!(signal, Signal::Cancel | Signal::Suspend));
    let held = |state: &State| state.phase == Phase::Held && state.version == version && state.asked == asked;
    if case.was(&task, window, held) {
        return in_time(case, call, &task, version);
    }
    Err(format!("it answered {signal}, but version {version} was not held so within {window:?}"))
}

/// What the call asks for must have been so at some time while it ran.
fn acted(case: &Case<'_>, call: &Call, window: &Window, status: Status) -> Result<(), String> {
    let Some(task) = call.task() else { return Ok(()) };
    let holds = |state: &State| match call.op {
        Op::Cancel { .. } => state.phase == Phase::Cancelled || state.asked == Some(Signal::Cancel),
        Op::Suspend { .. } => state.phase == Phase::Suspended || state.asked.is_some(),
        Op::Resume { .. } => match state.phase {
            Phase::Held => state.asked != Some(Signal::Suspend),
            phase => phase == Phase::Waiting,
        },
        Op::Requeue { .. } => state.phase == Phase::Waiting,
        _ => state.phase == Phase::Cancelled,
    };
    if !case.was(&task, window, holds) {
        return Err(format!("it was acknowledged with {status}, but was not done within {window:?}"));
    }
    let answered = |state: &State| state.phase == Phase::of(status);
    if case.was(&task, window, answered) {
        Ok(())
    } else {
        Err(format!("it was never {status} within {window:?}"))
    }
}

/// Every event that matches, in order, none left out, and none late. Only a read that waits may stop short of what was
/// there when it was called, if it has something: what its process has read already is enough for it.
fn read(case: &Case<'_>, call: &Call, window: &Window, got: &[Event]) -> Result<(), String> {
    let Op::Read { after, topic, task, limit, wait } = &call.op else { return Ok(()) };
    let most = if *wait > 0.0 && !got.is_empty() { got.len() } else { *limit };
    let fits = |event: &&Event| {
        event.seq > *after
            && task.as_ref().is_none_or(|task| event.task.as_ref() == Some(task))
            && topic.as_ref().is_none_or(|topic| match topic.strip_suffix("**") {
                Some(start) => event.topic.starts_with(start),
                None => event.topic == *topic,
            })
    };
    let mut matching = case.history.log.iter().filter(fits);
    for event in got {
        match matching.next() {
            Some(next) if next == event => {}
            next => return Err(format!("it got {event:?} where {next:?} is next")),
        }
    }
    if got.last().is_some_and(|last| last.seq > *window.end()) {
        return Err(format!("it got events of which some had not begun: {:?}", got.last()));
    }
    match matching.next() {
        Some(next) if got.len() < most && next.seq <= *window.start() => Err(format!(
            "it got {} events and not {next:?}, though the log was {} long",
            got.len(),
            window.start()
        )),
        _ => Ok(()),
    }
}

fn refused(case: &Case<'_>, call: &Call, window: &Window, at: Nanos, code: &str) -> Result<(), String> {
    let was = |task: &str, fits: &dyn Fn(&State) -> bool| case.was(task, window, fits);
    let is_absent = |task: &String| was(task, &|state| state.phase == Phase::Absent);
    let explained = match (code, &call.op) {
        // It happened to nobody, and may happen any time.
        ("store.unavailable", _) => true,
        ("agent.not_found", Op::Claim { agent, .. }) => {
            let registered =
                |call: &&Call| matches!(&call.op, Op::Register { agent: known } if known == agent);
            let known = case.history.calls.iter().filter(registered).filter_map(Call::answered);
            !known.into_iter().any(|(at, _)| at < call.called)
        }
        ("lease.lost", _) => call.lease().is_some_and(|(task, version)| {
            let held = |state: &State| state.phase == Phase::Held && state.version == version;
            let over = case.lasted(&task, version, call.called).is_none_or(|end| at + DRIFT >= end);
            over || was(&task, &|state| !held(state))
        }),
        ("task.not_found", Op::Enqueue { tasks }) => {
            tasks.iter().filter_map(|spec| spec.parent.as_ref()).any(is_absent)
        }
        ("task.not_found", _) => call.task().as_ref().is_some_and(is_absent),
        ("task.dependency_unknown", Op::Enqueue { tasks }) => {
            tasks.iter().flat_map(|spec| &spec.depends_on).any(is_absent)
        }
        ("task.dependency_unknown", Op::Depend { on, .. }) => is_absent(on),
        ("task.dependency_cycle", Op::Depend { .. }) => true,
        ("task.dependency_cycle", Op::Enqueue { tasks }) => tasks.iter().any(|spec| spec.parent.is_some()),
        ("task.too_deep", Op::Enqueue { tasks }) => tasks.iter().any(|spec| spec.parent.is_some()),
        ("task.conflict", Op::Enqueue { tasks }) => tasks
            .iter()
            .filter_map(|spec| spec.parent.as_deref())
            .any(|p| was(p, &|state| state.phase.is_finished())),
        // A later task has taken its unique key.
        ("task.conflict", Op::Requeue { task }) => case.specs.get(task.as_str()).is_some_and(|own| {
            own.unique_key.is_some()
                && case.specs.values().any(|other| {
                    other.id != own.id
                        && other.unique_key == own.unique_key
                        && was(&other.id, &|state| state.phase != Phase::Absent)
                })
        }),
        ("task.state", op) => call.task().is_some_and(|task| was(&task, &|state| forbids(op, state.phase))),
        _ => false,
    };
    if explained {
        Ok(())
    } else {
        Err(format!("it was refused with {code}, which nothing within {window:?} explains"))
    }
}

fn forbids(op: &Op, phase: Phase) -> bool {
    match op {
        Op::Cancel { .. } => phase.is_finished() && phase != Phase::Cancelled,
        Op::Suspend { .. } | Op::Resume { .. } => phase.is_finished(),
        Op::Requeue { .. } => !phase.is_finished() || phase == Phase::Completed,
        Op::Discard { .. } => phase != Phase::DeadLetter,
        Op::Depend { .. } => phase.is_finished() || matches!(phase, Phase::Held | Phase::Suspended),
        _ => false,
    }
}

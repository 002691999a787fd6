//! Whether every event has a cause: a call that did it, or may have done it, or a time that had come.

use super::{
    check::{Case, DRIFT, Violation},
    log::{Event, Phase},
    record::{Answer, Call, Op},
};
use std::collections::HashMap;

pub(super) fn check(case: &Case<'_>) -> Vec<Violation> {
    let mut violations = unexplained_claims(case);
    for event in &case.history.log {
        let Some(task) = event.task.as_deref() else { continue };
        if let Err(why) = caused(case, event, task) {
            let what = format!("event {} says {}, but {why}", event.seq, event.topic);
            violations.push(Violation::of(Some(task), what));
        }
    }
    violations
}

fn caused(case: &Case<'_>, event: &Event, task: &str) -> Result<(), String> {
    let before = case.timeline(task).at(event.seq - 1);
    let asked = |is: &dyn Fn(&Op) -> bool| {
        let found = case.about(task).iter().any(|call| is(&call.op) && case.can_cause(call, event.seq));
        if found { Ok(()) } else { Err("nobody can have asked for it".to_owned()) }
    };
    let held = before.phase == Phase::Held;
    match event.topic.as_str() {
        "task.enqueued" => asked(&|op| matches!(op, Op::Enqueue { .. })),
        "task.blocked" => asked(&|op| matches!(op, Op::Depend { .. })),
        "task.cancel_requested" => asked(&|op| matches!(op, Op::Cancel { .. })),
        "task.suspend_requested" => asked(&|op| matches!(op, Op::Suspend { .. })),
        "task.resumed" => asked(&|op| matches!(op, Op::Resume { .. })),
        "task.requeued" => asked(&|op| matches!(op, Op::Requeue { .. })),
        "task.discarded" => asked(&|op| matches!(op, Op::Discard { .. })),
        "task.cancelled" if !held => asked(&|op| matches!(op, Op::Cancel { .. })),
        "task.suspended" if !held => asked(&|op| matches!(op, Op::Suspend { .. })),
        _ if held => ended(case, event, task, before.version),
        _ => Ok(()),
    }
}

/// A claim ends because its holder says so, or because its lease ran out.
fn ended(case: &Case<'_>, event: &Event, task: &str, version: i64) -> Result<(), String> {
    let did = |is: &dyn Fn(&Op) -> bool| {
        let is_ours = |call: &&&Call| call.lease().is_some_and(|(_, held)| held == version);
        case.about(task).iter().filter(is_ours).any(|call| is(&call.op) && case.can_cause(call, event.seq))
    };
    // The library itself gives back what a caller that has gone was given.
    let released = did(&|op| matches!(op, Op::Release { .. })) || case.claim(task, version).is_none();
    let failed = did(&|op| matches!(op, Op::Fail { .. }));
    let explained = match event.topic.as_str() {
        "task.completed" | "task.waiting" => did(&|op| matches!(op, Op::Complete { .. })),
        "task.failed" => failed,
        "task.released" => released,
        "task.dead_letter" if failed => true,
        "task.cancelled" | "task.suspended" if failed || released => true,
        // A parent that was told to stop does not wait for its children.
        "task.cancelled" | "task.suspended"
            if case.has_children(task) && did(&|op| matches!(op, Op::Complete { .. })) =>
        {
            true
        }
        "task.dead_letter" | "task.cancelled" | "task.suspended" | "task.lapsed" => {
            return ran_out(case, event, task, version);
        }
        _ => true,
    };
    if explained { Ok(()) } else { Err(format!("no holder of version {version} can have said so")) }
}

fn ran_out(case: &Case<'_>, event: &Event, task: &str, version: i64) -> Result<(), String> {
    let Some(seen) = case.clock.seen(event.seq) else { return Ok(()) };
    match case.lasted(task, version, seen) {
        Some(end) if seen + DRIFT < end => {
            Err(format!("the lease of version {version} had {} ms left", (end - seen) / 1_000_000))
        }
        _ => Ok(()),
    }
}

/// Of an agent's claims that nobody was told of, there are no more than its unanswered calls may have got. Nor is a call
/// told of a lease that ran out before its answer came through: it asked again.
fn unexplained_claims(case: &Case<'_>) -> Vec<Violation> {
    let mut may_have_got: HashMap<&str, usize> = HashMap::new();
    for call in &case.history.calls {
        if let Op::Claim { agent, max, .. } = &call.op
            && call.answered().is_none()
        {
            *may_have_got.entry(agent).or_default() += max;
        }
    }
    let mut violations = Vec::new();
    for event in case.history.log.iter().filter(|event| event.topic == "task.claimed") {
        let (Some(task), Some(agent)) = (event.task.as_deref(), event.source.as_deref()) else { continue };
        let version = case.timeline(task).at(event.seq).version;
        if case.claim(task, version).is_some() || ran_out_on_the_way(case, event, agent, task, version) {
            continue;
        }
        match may_have_got.get_mut(agent) {
            Some(left @ 1..) => *left -= 1,
            _ => {
                let (seq, told) = (event.seq, told_meanwhile(case, agent, event.seq));
                let what =
                    format!("event {seq}: {agent} claimed version {version}, but was never told{told}");
                violations.push(Violation::of(Some(task), what));
            }
        }
    }
    violations
}

fn ran_out_on_the_way(case: &Case<'_>, event: &Event, agent: &str, task: &str, version: i64) -> bool {
    let Some((end, _)) = case.timeline(task).ended(version) else { return false };
    case.history.calls.iter().any(|call| {
        matches!(&call.op, Op::Claim { agent: by, .. } if by == agent)
            && matches!(call.answered(), Some((_, Answer::Claimed(_))))
            && case.can_cause(call, event.seq)
            && case.can_cause(call, *end)
    })
}

/// What an agent's claims were told that ran when an event came.
fn told_meanwhile(case: &Case<'_>, agent: &str, seq: i64) -> String {
    let ran = |call: &&Call| {
        let window = case.window(call);
        matches!(&call.op, Op::Claim { agent: by, .. } if by == agent)
            && seq > *window.start()
            && seq <= *window.end()
    };
    let told = |call: &Call| match call.answered() {
        Some((at, answer)) => {
            format!("; meanwhile a claim took {} ms: {answer:?}", (at - call.called) / 1_000_000)
        }
        None => String::new(),
    };
    case.history.calls.iter().filter(ran).map(told).collect()
}

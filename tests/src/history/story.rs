//! How violations are told: those of one task together, with its whole history in order.

use super::{
    check::{History, Violation},
    record::{Answer, Call, Nanos, Outcome},
};
use std::collections::BTreeMap;

/// One text a task.
pub fn tell(history: &History, violations: &[Violation]) -> Vec<String> {
    let mut by_task = BTreeMap::<Option<&str>, Vec<String>>::new();
    for violation in violations {
        by_task.entry(violation.task.as_deref()).or_default().push(format!("VIOLATION: {}", violation.what));
    }
    let told = by_task.into_iter().flat_map(|(task, mut lines)| match task {
        Some(task) => {
            lines.extend(about(history, task));
            vec![lines.join("\n")]
        }
        None => lines,
    });
    told.collect()
}

/// The calls that concern a task by the time of their call, then its events. Times are milliseconds since the first
/// call of the history.
fn about(history: &History, task: &str) -> Vec<String> {
    let start = history.calls.iter().map(|call| call.called).min().unwrap_or_default();
    let millis = |at: Nanos| at.saturating_sub(start) as f64 / 1e6;
    let mut calls: Vec<&Call> = history.calls.iter().filter(|call| call.concerns(task)).collect();
    calls.sort_by_key(|call| call.called);
    let mut lines = vec![format!("  the calls that concern {task}, from .. to, in ms:")];
    lines.extend(calls.into_iter().map(|call| {
        let (until, said) = match &call.outcome {
            Outcome::Answered(at, answer) => (format!("{:.3}", millis(*at)), briefly(answer, task)),
            Outcome::Unknown => ("?".to_owned(), "may have happened".to_owned()),
            Outcome::Missing => ("-".to_owned(), "never answered".to_owned()),
        };
        let (from, op) = (millis(call.called), serde_json::to_string(&call.op).unwrap_or_default());
        format!("  {from:>12.3} .. {until:>12}  {:<12} {op} -> {said}", call.by)
    }));
    lines.push("  its events:".to_owned());
    let events = history.log.iter().filter(|event| event.task.as_deref() == Some(task));
    lines.extend(events.map(|event| {
        format!("  {:>12}  {:<22} {}", event.seq, event.topic, event.source.as_deref().unwrap_or(""))
    }));
    lines
}

/// Without the other tasks of the answer.
fn briefly(answer: &Answer, task: &str) -> String {
    match answer {
        Answer::Claimed(taken) => format!("{:?}", taken.iter().find(|taken| taken.0 == task)),
        Answer::Enqueued(all) => format!("{:?}", all.iter().find(|(id, _)| id == task)),
        other => format!("{other:?}"),
    }
}

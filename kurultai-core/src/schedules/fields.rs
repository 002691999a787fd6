//! What is said of each task of a schedule beside its type and payload: from a task to JSON, and back.

use super::contract::Entry;
use crate::{
    error::{Error, Result},
    json::Json,
    tasks::{Expiry, NewTask, OnPrerequisiteFailure, Priority, RetryPolicy, Start, WaitFor},
};
use serde::{Deserialize, Deserializer, Serialize};
use std::time::Duration;

/// Spans are seconds. What is as it is by default is left out.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Fields {
    #[serde(skip_serializing_if = "String::is_empty")]
    title: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    description: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    priority: Option<Priority>,
    #[serde(skip_serializing_if = "Option::is_none")]
    priority_weight: Option<f64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    requires: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    prefers: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    assigned_to: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    delegated_by: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    correlation_id: Option<String>,
    /// Null for ever.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "given")]
    expires_in: Option<Option<f64>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_attempts: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_runtime: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry: Option<Retry>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Retry {
    base: f64,
    cap: f64,
    jitter: bool,
}

fn given<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Option<f64>>, D::Error> {
    Deserialize::deserialize(from).map(Some)
}

/// Refuses what makes no sense of a task that comes again and again.
pub(super) fn check(task: &NewTask) -> Result<()> {
    let refuse = |field: &str, value: String, allowed: &str| Err(Error::invalid(field, value, allowed));
    if let Some(key) = &task.unique_key {
        return refuse("unique_key", key.clone(), "nothing: each time has its own, schedule:NAME:TIME");
    }
    if let Some(parent) = &task.parent_id {
        return refuse("parent", parent.clone(), "nothing: a parent ends, and its schedule does not");
    }
    if let Some(on) = task.depends_on.first() {
        return refuse(
            "depends_on",
            on.prerequisite.clone(),
            "nothing: a schedule's tasks wait for no other",
        );
    }
    if task.wait_for != WaitFor::All || task.on_prerequisite_failure != OnPrerequisiteFailure::Block {
        return refuse("wait_for", "given".to_owned(), "nothing: a schedule's tasks wait for no other");
    }
    if task.start != Start::Now {
        return refuse("run_at", "given".to_owned(), "nothing: the schedule says when");
    }
    match task.expiry {
        Expiry::After(Duration::ZERO) => {
            refuse("expiry", "0 s".to_owned(), "more than 0 s: each task would expire at once")
        }
        Expiry::At(at) => {
            refuse("expires_at", at.to_rfc3339(), "nothing; expires_in counts from each task's time")
        }
        _ => Ok(()),
    }
}

pub(super) fn of(task: &NewTask) -> Json {
    let seconds = |span: Duration| span.as_secs_f64();
    let usual = NewTask::new("");
    let fields = Fields {
        title: task.title.clone(),
        description: task.description.clone(),
        priority: Some(task.priority).filter(|priority| *priority != usual.priority),
        priority_weight: Some(task.priority_weight).filter(|weight| *weight != usual.priority_weight),
        requires: task.required_capabilities.clone(),
        prefers: task.preferred_capabilities.clone(),
        assigned_to: task.assigned_to.clone(),
        delegated_by: task.delegated_by.clone(),
        correlation_id: task.correlation_id.clone(),
        expires_in: match task.expiry {
            Expiry::After(span) => Some(Some(seconds(span))),
            Expiry::Never => Some(None),
            Expiry::Default | Expiry::At(_) => None,
        },
        max_attempts: task.max_attempts,
        max_runtime: task.max_runtime.map(seconds),
        retry: task.retry.map(|RetryPolicy { base, cap, jitter }| Retry {
            base: seconds(base),
            cap: seconds(cap),
            jitter,
        }),
    };
    Json::stored(serde_json::to_string(&fields).unwrap_or_default())
}

/// A new task of the schedule, without a key.
pub(super) fn task(entry: &Entry) -> Result<NewTask> {
    let fields: Fields = entry.fields.get()?;
    let span = Duration::from_secs_f64;
    let usual = NewTask::new(&entry.task_type).payload(entry.payload.clone());
    Ok(NewTask {
        title: fields.title,
        description: fields.description,
        priority: fields.priority.unwrap_or(usual.priority),
        priority_weight: fields.priority_weight.unwrap_or(usual.priority_weight),
        required_capabilities: fields.requires,
        preferred_capabilities: fields.prefers,
        assigned_to: fields.assigned_to,
        delegated_by: fields.delegated_by,
        correlation_id: fields.correlation_id,
        expiry: match fields.expires_in {
            Some(Some(seconds)) => Expiry::After(span(seconds)),
            Some(None) => Expiry::Never,
            None => Expiry::Default,
        },
        max_attempts: fields.max_attempts,
        max_runtime: fields.max_runtime.map(span),
        retry: fields.retry.map(|Retry { base, cap, jitter }| RetryPolicy {
            base: span(base),
            cap: span(cap),
            jitter,
        }),
        ..usual
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{config::TaskDefaults, schedules::NewSchedule};

    #[test]
    fn a_task_is_again_what_it_was() {
        let full = NewTask::new("report")
            .title("Weekly")
            .description("All of it")
            .payload(serde_json::json!({"n": 1}))
            .priority(Priority::P0)
            .priority_weight(0.9)
            .requires(["writing"])
            .prefers(["english"])
            .assigned_to("chagatai")
            .delegated_by("kublai")
            .correlation_id("weekly")
            .max_attempts(7)
            .max_runtime(Duration::from_millis(1_500))
            .retry(RetryPolicy {
                base: Duration::from_millis(250),
                cap: Duration::from_secs(9),
                jitter: false,
            });
        let plain = NewTask::new("report");
        for expiry in [Expiry::Default, Expiry::Never, Expiry::After(Duration::from_micros(61_000_001))] {
            for task in [full.clone().expiry(expiry), plain.clone().expiry(expiry)] {
                let put = NewSchedule::new("s", task.clone()).every(Duration::from_secs(60));
                put.check(&TaskDefaults::from_env().unwrap()).unwrap();
                let made = super::task(&put.entry(None, 0).unwrap()).unwrap();
                assert_ne!(made.id, task.id);
                assert_eq!(NewTask { id: task.id.clone(), ..made }, task);
            }
        }
        assert_eq!(of(&plain).as_str(), "{}");
    }
}

//! Whether a call is sound; every refusal names the field, the value and what is allowed.

pub(super) use crate::check::{agent, lease, names, text};
use std::time::Duration;

use super::{contract::Extend, new_task::*, types::*};
use crate::{
    check,
    config::TaskDefaults,
    error::{Error, Result},
};
use chrono::{DateTime, Utc};

/// Fills in the defaults and refuses what cannot be stored.
pub(crate) fn new_task(task: &mut NewTask, defaults: &TaskDefaults) -> Result<()> {
    check::text("id", &task.id, 128)?;
    check::text("type", &task.task_type, 128)?;
    title(&task.title)?;
    description(&task.description)?;
    task.payload.check()?;
    priority_weight(task.priority_weight)?;
    check::names("requires", &task.required_capabilities)?;
    check::names("prefers", &task.preferred_capabilities)?;
    for (field, agent) in [("assigned_to", &task.assigned_to), ("delegated_by", &task.delegated_by)] {
        agent.as_deref().map_or(Ok(()), |agent| check::agent(field, agent))?;
    }
    if let Some(key) = &task.unique_key {
        check::text("unique_key", key, 256)?;
    }
    if let Some(parent) = &task.parent_id {
        check::text("parent", parent, 128)?;
    }
    if let Some(id) = &task.correlation_id {
        check::text("correlation_id", id, 128)?;
    }
    for edge in &task.depends_on {
        check::text("depends_on", &edge.prerequisite, 128)?;
        weight(edge)?;
    }
    match task.start {
        Start::Now => {}
        Start::After(delay) => check::span("delay", delay)?,
        Start::At(at) => run_at(at)?,
    }
    task.expiry = match task.expiry {
        Expiry::Default => defaults.expires_in.map_or(Expiry::Never, Expiry::After),
        Expiry::After(timeout) => {
            check::span("expiry", timeout)?;
            Expiry::After(timeout)
        }
        Expiry::At(at) => {
            expires_at(at)?;
            Expiry::At(at)
        }
        Expiry::Never => Expiry::Never,
    };
    let attempts = *task.max_attempts.get_or_insert(defaults.max_attempts);
    if !(1..=1000).contains(&attempts) {
        return Err(Error::invalid("max_attempts", attempts, "1 to 1000"));
    }
    if let Some(longest) = task.max_runtime {
        if longest < Duration::from_secs(1) {
            let is = format!("{} s", longest.as_secs_f64());
            return Err(Error::invalid("max_runtime", is, "1 s or more, or nothing"));
        }
        check::span("max_runtime", longest)?;
    }
    if let WaitFor::Quorum(0) = task.wait_for {
        return Err(Error::invalid("wait_for", "a quorum of 0", "a quorum of 1 or more"));
    }
    let retry = task.retry.get_or_insert(defaults.retry);
    check::span("retry.base", retry.base)?;
    check::span("retry.cap", retry.cap)
}

pub(super) fn title(title: &str) -> Result<()> {
    within("title", title, 1_000)
}

pub(super) fn description(description: &str) -> Result<()> {
    within("description", description, 65_536)
}

pub(super) fn priority_weight(weight: f64) -> Result<()> {
    if (0.0..=1.0).contains(&weight) {
        Ok(())
    } else {
        Err(Error::invalid("priority_weight", weight, "0 to 1"))
    }
}

pub(super) fn run_at(at: DateTime<Utc>) -> Result<()> {
    check::time("run_at", at, check::LAST_START, "1970 to 9989")
}

pub(super) fn expires_at(at: DateTime<Utc>) -> Result<()> {
    check::time("expires_at", at, check::LAST, "1970 to 9999")
}

pub(super) fn finish(finish: &Finish) -> Result<()> {
    match &finish.outcome {
        Outcome::Complete { results, usage } => {
            results.check().map_err(results_of)?;
            usage.as_ref().map_or(Ok(()), Usage::check)
        }
        Outcome::Fail(failure) => {
            if let Some(pause) = failure.retry_after {
                check::span("retry_after", pause)?;
            }
            failure.results.as_ref().map_or(Ok(()), |results| results.check().map_err(results_of))?;
            failure.usage.as_ref().map_or(Ok(()), Usage::check)
        }
        Outcome::Snooze { after } => check::span("after", *after),
        Outcome::Release => Ok(()),
    }
}

fn results_of(error: Error) -> Error {
    error.about("results")
}

/// What a traceback may take at most; longer ones keep their end, where the cause stands.
pub(super) const MOST_ERROR: usize = 16 * 1024;

pub(super) fn shortened(error: String) -> String {
    if error.len() <= MOST_ERROR {
        return error;
    }
    let start = (error.len() - MOST_ERROR..).find(|at| error.is_char_boundary(*at)).unwrap_or(error.len());
    format!("...{}", &error[start..])
}

pub(super) fn extend(request: &Extend) -> Result<()> {
    if let Some(ttl) = request.ttl {
        check::lease(ttl)?;
    }
    if let Some(progress) = request.progress
        && !(0.0..=1.0).contains(&progress)
    {
        return Err(Error::invalid("progress", progress, "0 to 1"));
    }
    let sound = request.checkpoint.as_ref().map_or(Ok(()), |checkpoint| checkpoint.check());
    sound.map_err(|error| error.about("checkpoint"))
}

pub(super) fn weight(edge: &Dependency) -> Result<()> {
    match edge.weight {
        Some(weight) if !(weight.is_finite() && weight >= 0.0) => {
            Err(Error::invalid("depends_on.weight", weight, "a finite number, 0 or more"))
        }
        _ => Ok(()),
    }
}

fn within(field: &str, text: &str, most: usize) -> Result<()> {
    if text.is_empty() { Ok(()) } else { check::text(field, text, most) }
}

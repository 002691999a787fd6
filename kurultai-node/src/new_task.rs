//! A task to enqueue, as Node says it.

use crate::args::{date, json, maybe_millis, millis, whole, word};
use kurultai_core::{
    Error, Json, Result, ids,
    tasks::{Dependency, DependencyType, Expiry, NewTask, RetryPolicy, Start, WaitFor},
};
use serde::Deserialize;
use serde_json::value::RawValue;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct NewTaskArgs {
    #[serde(rename = "type")]
    task_type: String,
    payload: Option<Box<RawValue>>,
    id: Option<String>,
    #[serde(default)]
    title: String,
    #[serde(default)]
    description: String,
    priority: Option<String>,
    priority_weight: Option<f64>,
    #[serde(default)]
    requires: Vec<String>,
    #[serde(default)]
    prefers: Vec<String>,
    assigned_to: Option<String>,
    delegated_by: Option<String>,
    parent: Option<String>,
    correlation_id: Option<String>,
    wait_for: Option<WaitForArgs>,
    #[serde(default)]
    depends_on: Vec<DependencyArgs>,
    on_prerequisite_failure: Option<String>,
    unique_key: Option<String>,
    run_at: Option<f64>,
    delay_ms: Option<f64>,
    expires_at: Option<f64>,
    expires_in_ms: Option<ExpiresIn>,
    max_attempts: Option<f64>,
    max_runtime_ms: Option<f64>,
    retry: Option<RetryArgs>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct DependencyArgs {
    prerequisite: String,
    #[serde(rename = "type")]
    dependency_type: Option<String>,
    weight: Option<f64>,
    detected_by: Option<String>,
}

/// `"all"`, `"any"` or `{ quorum: n }`.
#[derive(Deserialize)]
#[serde(untagged)]
enum WaitForArgs {
    Word(String),
    Quorum { quorum: f64 },
}

/// Milliseconds, or what Infinity crosses as: JSON has none.
#[derive(Deserialize)]
#[serde(untagged)]
enum ExpiresIn {
    Millis(f64),
    Never(Never),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Never {
    Never,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct RetryArgs {
    base_ms: Option<f64>,
    cap_ms: Option<f64>,
    jitter: Option<bool>,
}

impl DependencyArgs {
    pub(crate) fn dependency(self) -> Result<Dependency> {
        let DependencyArgs { prerequisite, dependency_type, weight, detected_by } = self;
        let dependency_type = word(dependency_type)?.unwrap_or(DependencyType::Blocks);
        Ok(Dependency { prerequisite, dependency_type, weight, detected_by })
    }
}

impl NewTaskArgs {
    pub(crate) fn task(self) -> Result<NewTask> {
        Ok(NewTask {
            id: self.id.unwrap_or_else(ids::new_id),
            task_type: self.task_type,
            title: self.title,
            description: self.description,
            payload: self.payload.map_or_else(Json::default, json),
            priority: word(self.priority)?.unwrap_or_default(),
            priority_weight: self.priority_weight.unwrap_or(0.5),
            required_capabilities: self.requires,
            preferred_capabilities: self.prefers,
            assigned_to: self.assigned_to,
            delegated_by: self.delegated_by,
            parent_id: self.parent,
            correlation_id: self.correlation_id,
            wait_for: wait_for(self.wait_for)?,
            depends_on: self.depends_on.into_iter().map(DependencyArgs::dependency).collect::<Result<_>>()?,
            on_prerequisite_failure: word(self.on_prerequisite_failure)?
                .unwrap_or(kurultai_core::tasks::OnPrerequisiteFailure::Block),
            unique_key: self.unique_key,
            start: start(self.run_at, self.delay_ms)?,
            expiry: expiry(self.expires_at, self.expires_in_ms)?,
            max_attempts: self.max_attempts.map(|most| whole("maxAttempts", most)).transpose()?,
            max_runtime: maybe_millis("maxRuntimeMs", self.max_runtime_ms)?,
            retry: self.retry.map(RetryArgs::policy).transpose()?,
        })
    }
}

impl RetryArgs {
    pub(crate) fn policy(self) -> Result<RetryPolicy> {
        let RetryPolicy { base, cap, jitter } = RetryPolicy::default();
        Ok(RetryPolicy {
            base: maybe_millis("retry.baseMs", self.base_ms)?.unwrap_or(base),
            cap: maybe_millis("retry.capMs", self.cap_ms)?.unwrap_or(cap),
            jitter: self.jitter.unwrap_or(jitter),
        })
    }
}

fn wait_for(given: Option<WaitForArgs>) -> Result<WaitFor> {
    match given {
        None => Ok(WaitFor::All),
        Some(WaitForArgs::Quorum { quorum }) => Ok(WaitFor::Quorum(whole("waitFor.quorum", quorum)?)),
        Some(WaitForArgs::Word(word)) => match word.as_str() {
            "all" => Ok(WaitFor::All),
            "any" => Ok(WaitFor::Any),
            _ => Err(Error::invalid("waitFor", word, "all, any or { quorum: n }")),
        },
    }
}

fn start(run_at: Option<f64>, delay_ms: Option<f64>) -> Result<Start> {
    match (run_at, delay_ms) {
        (None, None) => Ok(Start::Now),
        (Some(at), None) => Ok(Start::At(date("runAt", at)?)),
        (None, Some(delay)) => Ok(Start::After(millis("delayMs", delay)?)),
        (Some(_), Some(delay)) => Err(Error::invalid("delayMs", delay, "nothing beside runAt")),
    }
}

fn expiry(at: Option<f64>, after: Option<ExpiresIn>) -> Result<Expiry> {
    match (at, after) {
        (None, None) => Ok(Expiry::Default),
        (Some(at), None) => Ok(Expiry::At(date("expiresAt", at)?)),
        (None, Some(ExpiresIn::Millis(after))) => Ok(Expiry::After(millis("expiresInMs", after)?)),
        (None, Some(ExpiresIn::Never(Never::Never))) => Ok(Expiry::Never),
        (Some(at), Some(_)) => Err(Error::invalid("expiresAt", at, "nothing beside expiresInMs")),
    }
}

//! Functions for task types, and what their results and errors mean.

use super::{
    ended::{Ended, Limits, Wish},
    job::Context,
};
use crate::{
    error::{Error, Result, panic_text},
    json::Json,
};
use futures::future::BoxFuture;
use serde::Serialize;
use std::{
    collections::BTreeMap,
    error::Error as StdError,
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};

/// Any error: what `?` makes of an error in a handler that returns it.
pub type BoxError = Box<dyn StdError + Send + Sync>;

/// A handler's error that says when to try again, instead of the back-off of the task's policy; more than ten years are
/// ten years. It may be the cause of another error: the outermost `Retry` or [`Reject`] counts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct Retry {
    after: Duration,
    why: String,
}

impl Retry {
    /// Try again after this pause; `why` is the text of the failed attempt.
    pub fn after(pause: Duration, why: impl Into<String>) -> Self {
        Retry { after: pause, why: why.into() }
    }
}

/// A handler's error that no attempt will mend: the task goes to the dead letters now. It may be the cause of another
/// error: the outermost [`Retry`] or `Reject` counts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Reject(pub String);

impl Reject {
    /// `why` is the text of the failed attempt.
    pub fn new(why: impl Into<String>) -> Self {
        Reject(why.into())
    }
}

/// A handler's error that is none: what it waits for is not there yet. The task goes back to the queue and is run again after
/// this time, without an attempt that counts; more than ten years are ten years. After
/// [`max_snoozes`](crate::config::TaskDefaults::max_snoozes) (100) it has failed instead.
/// It may be the cause of another error: the outermost [`Retry`], [`Reject`] or `Snooze` counts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("snoozed for {} s", after.as_secs_f64())]
pub struct Snooze {
    after: Duration,
}

impl Snooze {
    /// Run again after this time.
    pub fn after(pause: Duration) -> Self {
        Snooze { after: pause }
    }
}

pub(super) type Run = dyn Fn(Context) -> BoxFuture<'static, Ended> + Send + Sync;

#[derive(Clone, Default)]
pub(super) struct Handlers(pub(super) BTreeMap<String, (Limits, Arc<Run>)>);

impl Handlers {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn check(&self) -> Result<()> {
        let never = self.0.iter().find(|(_, (limits, _))| limits.timeout == Some(Duration::ZERO));
        never.map_or(Ok(()), |(task_type, _)| {
            Err(Error::invalid(&format!("the timeout of {task_type}"), "0 s", "more than zero, or none"))
        })
    }
}

/// Whatever goes wrong while results are written, they cannot be stored.
pub(super) fn returned<R: Serialize>(results: &R) -> Ended {
    match catch_unwind(AssertUnwindSafe(|| Json::of(results))) {
        Ok(Ok(results)) => Ended::Returned(results),
        Ok(Err(error)) => Ended::Unstorable(error.about("results").message().to_owned()),
        Err(panic) => Ended::Unstorable(format!("results at $: panicked: {}", panic_text(&*panic))),
    }
}

pub(super) fn raised(error: &(dyn StdError + 'static)) -> Ended {
    let wish = causes(error).find_map(|error| match error.downcast_ref() {
        Some(Retry { after, .. }) => Some(Wish::Retry { after: Some(after.as_secs_f64()) }),
        None => match error.downcast_ref() {
            Some(Snooze { after }) => Some(Wish::Snooze { after: after.as_secs_f64() }),
            None => error.downcast_ref().map(|Reject(why)| Wish::Reject { why: why.clone() }),
        },
    });
    Ended::Raised { error: text(error), wish }
}

/// The error and its causes; one that is its own cause has an end too.
fn causes<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |&error| error.source()).take(64)
}

/// What the error and its causes say; one that says only what its cause says is named once.
fn text(error: &(dyn StdError + 'static)) -> String {
    let mut text = error.to_string();
    for cause in causes(error).skip(1).map(|cause| cause.to_string()) {
        if !text.contains(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
    }
    text
}

impl fmt::Debug for Handlers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.0.iter().map(|(task_type, (limits, _))| (task_type, limits))).finish()
    }
}

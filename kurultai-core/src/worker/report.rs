//! What became of attempts: a line in the log, and whoever wants to hear of it.

use crate::{
    error::gist,
    tasks::{Claimed, Finished, Outcome, Status, rules::snoozed_too_often},
};
use chrono::{DateTime, Utc};
use std::{fmt, sync::Arc, time::Duration};

/// What became of an attempt.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// The task, as it was claimed.
    pub task: Arc<Claimed>,
    /// How the attempt ended.
    pub end: End,
}

/// How an attempt ended, or that it does not.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum End {
    /// Its results are stored.
    Completed,
    /// It failed: its handler did, took too long, or returned what cannot be stored; or its lease was lost.
    Failed {
        /// The whole text of the error.
        error: String,
        /// Where the task stands now; `None` where the lease was lost, since then others decide.
        status: Option<Status>,
        /// When it is tried again, where it is.
        run_at: Option<DateTime<Utc>>,
    },
    /// Given back without a failure.
    Released,
    /// Put off until then.
    Snoozed {
        /// When it can be claimed again.
        run_at: Option<DateTime<Utc>>,
    },
    /// It has not ended: its handler shows no sign of life. Its lease is renewed, and its agent counts as stuck.
    Stalled {
        /// For how long.
        silence: Duration,
    },
}

/// Who is told of each attempt.
#[derive(Clone, Default)]
pub(super) struct Listener(Option<Arc<Hear>>);

type Hear = dyn Fn(&Report) + Send + Sync;

impl Listener {
    pub(super) fn new(listener: impl Fn(&Report) + Send + Sync + 'static) -> Self {
        Listener(Some(Arc::new(listener)))
    }

    /// The store has taken this end.
    pub(super) fn ended(&self, task: &Arc<Claimed>, outcome: &Outcome, finished: &Finished) {
        let end = match outcome {
            Outcome::Complete { .. } => End::Completed,
            Outcome::Fail(failure) => End::Failed {
                error: failure.error.clone(),
                status: Some(finished.status),
                run_at: finished.run_at,
            },
            Outcome::Release => End::Released,
            Outcome::Snooze { .. } if finished.failed => End::Failed {
                error: snoozed_too_often(task.snoozes),
                status: Some(finished.status),
                run_at: finished.run_at,
            },
            Outcome::Snooze { .. } => End::Snoozed { run_at: finished.run_at },
        };
        self.tell(Report { task: task.clone(), end });
    }

    /// Its holder has learned that the lease is lost.
    pub(super) fn lost(&self, task: &Arc<Claimed>, why: &str) {
        let end = End::Failed { error: why.to_owned(), status: None, run_at: None };
        self.tell(Report { task: task.clone(), end });
    }

    /// Its handler is silent, and may still end.
    pub(super) fn stalled(&self, task: &Arc<Claimed>, silence: Duration) {
        self.tell(Report { task: task.clone(), end: End::Stalled { silence } });
    }

    fn tell(&self, report: Report) {
        if let End::Failed { error, .. } = &report.end {
            tracing::warn!("{report}");
            if gist(error) != error {
                tracing::debug!("attempt {} of task {}: {error}", report.task.attempt, report.task.id);
            }
        }
        if let End::Stalled { .. } = &report.end {
            tracing::warn!("{report}");
        }
        if let Some(listener) = &self.0 {
            listener(&report);
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Claimed { id, task_type, attempt, max_attempts, .. } = &*self.task;
        write!(f, "task {id} of type {task_type:?}, attempt {attempt} of {max_attempts}")?;
        match &self.end {
            End::Completed => f.write_str(" completed"),
            End::Released => f.write_str(" was given back"),
            End::Snoozed { .. } => f.write_str(" was put off"),
            End::Stalled { silence } => {
                let silence = silence.as_secs();
                write!(
                    f,
                    ": its handler has shown no sign of life for {silence} s; its agent counts as stuck"
                )
            }
            End::Failed { error, status, run_at } => {
                write!(f, " failed: {}; ", gist(error))?;
                match (status, run_at) {
                    (None, _) => f.write_str("others may have it now"),
                    (_, Some(at)) => write!(f, "again at {}", at.format("%F %T UTC")),
                    (Some(status), None) => write!(f, "it is {status} now"),
                }
            }
        }
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Listener(..)" } else { "None" })
    }
}

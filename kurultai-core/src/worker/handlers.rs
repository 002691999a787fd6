//! Functions for task types, on top of the jobs: decode, run, and make of whatever comes out an end of the task.

use super::{
    Worker,
    job::{Context, Job},
};
use crate::{
    error::{Error, Kind, Result, panic_text},
    json::Json,
    kurultai::Kurultai,
    tasks::Failure,
};
use futures::{FutureExt, future::BoxFuture};
use serde::{Serialize, de::DeserializeOwned};
use std::{
    collections::BTreeMap, error::Error as StdError, fmt, future::Future, panic::AssertUnwindSafe, sync::Arc,
    time::Duration,
};
use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};

/// Any error: what `?` makes of an error in a handler that returns it.
pub type BoxError = Box<dyn StdError + Send + Sync>;

/// A handler's error that says when to try again, instead of the back-off of the task's policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct Retry {
    after: Duration,
    why: String,
}

impl Retry {
    pub fn after(pause: Duration, why: impl Into<String>) -> Self {
        Retry { after: pause, why: why.into() }
    }
}

/// A handler's error that no attempt will mend: the task goes to the dead letters now.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Reject(pub String);

impl Reject {
    pub fn new(why: impl Into<String>) -> Self {
        Reject(why.into())
    }
}

/// What the attempts of one handler may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Limits {
    /// An attempt that takes longer is dropped and fails. Default: as long as its lease is renewed.
    pub timeout: Option<Duration>,
    /// A failure is final after this many tries more than the first: 0 tries once. The task's own `max_attempts`
    /// holds as well. Default: that alone.
    pub retries: Option<u32>,
}

impl Limits {
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    pub fn retries(mut self, retries: u32) -> Self {
        self.retries = Some(retries);
        self
    }
}

type Run = dyn Fn(Context) -> BoxFuture<'static, Result<Json, BoxError>> + Send + Sync;

#[derive(Clone, Default)]
pub(super) struct Handlers(BTreeMap<String, (Limits, Arc<Run>)>);

impl Handlers {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Worker {
    /// The function for a task type. It gets a [`Context`] and the payload as a type of its own; what it returns is
    /// stored as the task's results. Its error fails the task with the text of the error and of its causes:
    /// [`Reject`] for good, [`Retry`] until the time it names, any other until the attempts are used up. A panic is
    /// such an error; a payload that is not of its type is a `Reject`. When the task is cancelled, suspended or lost
    /// the handler is dropped where it awaits. A second function for a type replaces the first.
    pub fn task<T, R, E, F>(
        self,
        task_type: impl Into<String>,
        handler: impl Fn(Context, T) -> F + Send + Sync + 'static,
    ) -> Self
    where
        T: DeserializeOwned + Send,
        R: Serialize,
        E: Into<BoxError>,
        F: Future<Output = Result<R, E>> + Send + 'static,
    {
        self.task_with(task_type, Limits::default(), handler)
    }

    /// [`task`](Self::task) with a time-out and a number of retries of its own.
    pub fn task_with<T, R, E, F>(
        mut self,
        task_type: impl Into<String>,
        limits: Limits,
        handler: impl Fn(Context, T) -> F + Send + Sync + 'static,
    ) -> Self
    where
        T: DeserializeOwned + Send,
        R: Serialize,
        E: Into<BoxError>,
        F: Future<Output = Result<R, E>> + Send + 'static,
    {
        let run = move |context: Context| -> BoxFuture<'static, Result<Json, BoxError>> {
            match context.task.payload.get() {
                Ok(payload) => {
                    let working = handler(context, payload);
                    Box::pin(async move { Ok(Json::of(&working.await.map_err(Into::into)?)?) })
                }
                Err(error) => Box::pin(async move { Err(Reject(error.to_string()).into()) }),
            }
        };
        self.handlers.0.insert(task_type.into(), (limits, Arc::new(run)));
        self
    }

    /// Works until the process is asked to end, by SIGTERM or Ctrl-C; then as [`run_until`](Self::run_until).
    pub async fn run(self, kurultai: &Kurultai) -> Result<usize> {
        let asked = asked_to_end()?;
        self.run_until(kurultai, asked).await
    }

    /// Works until `stop` is ready, drains, and returns how many jobs its handlers ended. Claims only the types that
    /// it has handlers for.
    ///
    /// Errors: as [`start`](Self::start) and [`Jobs::next`](super::Jobs::next); running jobs are drained first.
    /// Cancel safe: handlers of a dropped call are dropped where they await and their tasks released.
    pub async fn run_until(mut self, kurultai: &Kurultai, stop: impl Future<Output = ()>) -> Result<usize> {
        let handlers = std::mem::take(&mut self.handlers).0;
        if handlers.is_empty() {
            return Err(Error::invalid("handlers", "none", "at least one; give the worker a `task`"));
        }
        let jobs = self.types(handlers.keys()).start(kurultai).await?;
        let (mut running, mut handled) = (JoinSet::new(), 0);
        tokio::pin!(stop);
        let ended = loop {
            let next = tokio::select! {
                biased;
                () = &mut stop => break Ok(()),
                Some(done) = running.join_next() => {
                    handled += usize::from(matches!(done, Ok(true)));
                    continue;
                }
                next = jobs.next() => next,
            };
            match next {
                Ok(Some(job)) => match handlers.get(&job.task.task_type) {
                    Some((limits, run)) => drop(running.spawn(handle(job, *limits, run.clone()))),
                    None => {
                        tracing::error!(task = job.task.id, "no handler for a type that was not asked for");
                    }
                },
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        jobs.finished().await;
        // Every job has ended; a handler that never awaits is left behind.
        let rest = async {
            while let Some(done) = running.join_next().await {
                handled += usize::from(matches!(done, Ok(true)));
            }
        };
        drop(timeout(Duration::from_secs(1), rest).await);
        ended.map(|()| handled)
    }
}

/// Returns whether the handler ended the job; otherwise it was stopped, and a dropped job is released.
async fn handle(job: Job, limits: Limits, run: Arc<Run>) -> bool {
    let worked = tokio::select! {
        biased;
        worked = attempt(job.context(), limits, run) => worked,
        why = job.stopped() => {
            tracing::info!(task = job.task.id, %why, "the handler was stopped");
            return false;
        }
    };
    let ended = match worked {
        Ok(results) => match job.complete(results, None).await {
            // Its results are refused: that is its failure too.
            Err(error) if error.kind() == Kind::Input => job.fail(limits.failure(&job, error.into())).await,
            completed => completed,
        },
        Err(error) => job.fail(limits.failure(&job, error)).await,
    };
    match ended {
        Ok(_) => true,
        Err(error) => {
            tracing::warn!(%error, task = job.task.id, "the end of the task was not stored");
            false
        }
    }
}

async fn attempt(context: Context, limits: Limits, run: Arc<Run>) -> Result<Json, BoxError> {
    let working = AssertUnwindSafe(async move { run(context).await }).catch_unwind();
    let late = async {
        match limits.timeout {
            Some(timeout) => sleep(timeout).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        biased;
        worked = working => worked.unwrap_or_else(|panic| Err(format!("panicked: {}", panic_text(&*panic)).into())),
        () = late => Err(format!("timed out after {:?}", limits.timeout.unwrap_or_default()).into()),
    }
}

impl Limits {
    /// What the error means for the task.
    fn failure(&self, job: &Job, error: BoxError) -> Failure {
        let mut failure = Failure::new(text(&*error));
        let mut cause: Option<&(dyn StdError + 'static)> = Some(&*error);
        while let Some(error) = cause {
            failure.retryable &= !error.is::<Reject>();
            if let Some(Retry { after, .. }) = error.downcast_ref() {
                failure.retry_after = Some(*after);
            }
            cause = error.source();
        }
        failure.retryable &= self.retries.is_none_or(|retries| job.attempt() <= retries);
        failure
    }
}

/// The error and its causes; one that says only what its cause says is named once.
fn text(error: &(dyn StdError + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        if !text.contains(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        cause = error.source();
    }
    text
}

#[cfg(unix)]
fn asked_to_end() -> Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let listen = |kind| signal(kind).map_err(|e| Error::internal(format!("cannot listen for signals: {e}")));
    let (mut terminate, mut interrupt) = (listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

#[cfg(not(unix))]
fn asked_to_end() -> Result<impl Future<Output = ()>> {
    Ok(async {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    })
}

impl fmt::Debug for Handlers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.0.iter().map(|(task_type, (limits, _))| (task_type, limits))).finish()
    }
}

//! Calling handlers: decode, run, and make of whatever comes out an end of the task.

use super::{
    attempt::Stop,
    builder::Agent,
    ended::{Ended, Limits, Wish},
    handlers::{BoxError, Run, raised, returned},
    held::is_gone,
    job::{Context, Job},
    messages::{MessageJob, MessageLimits, RunMessage},
    signals::Signals,
};
use crate::{
    error::{Error, Result, panic_text},
    kurultai::Kurultai,
};
use futures::{FutureExt, future::BoxFuture};
use serde::{Serialize, de::DeserializeOwned};
use std::{
    future::{Future, ready},
    panic::AssertUnwindSafe,
    sync::Arc,
    time::Duration,
};
use tokio::{sync::oneshot, task::JoinSet, time::timeout};

impl Agent {
    /// The function for a task type. It gets a [`Context`] and the payload as a type of its own; what it returns is
    /// stored as the task's results. Its error fails the task with the text of the error and of its causes:
    /// [`Reject`](super::Reject) for good, [`Retry`](super::Retry) until the time it names, any other until the attempts
    /// are used up; a [`Snooze`](super::Snooze) only puts it off. A panic is such an error; a payload that is not of its type is a `Reject`, and so are results that cannot be stored: the work
    /// is done, and another attempt would return the same. When the task is cancelled, suspended or lost, or its time is
    /// over, the handler is dropped where it awaits. A second function for a type replaces the first.
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

    /// [`task`](Self::task) with a time-out and a number of retries of its own. A time-out of zero is refused when the
    /// agent runs, with `input.invalid`.
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
        let run = move |context: Context| -> BoxFuture<'static, Ended> {
            match context.task.payload.get() {
                Ok(payload) => {
                    let working = handler(context, payload);
                    Box::pin(async move {
                        match working.await {
                            Ok(results) => returned(&results),
                            Err(error) => raised(&*error.into()),
                        }
                    })
                }
                Err(error) => {
                    let wish = Some(Wish::Reject { why: error.to_string() });
                    Box::pin(ready(Ended::Raised { error: error.to_string(), wish }))
                }
            }
        };
        self.handlers.0.insert(task_type.into(), (limits, Arc::new(run)));
        self
    }

    /// Works until the process is asked to end, by SIGTERM or Ctrl-C; then as [`run_until`](Self::run_until). A second
    /// signal, of either kind, ends the process at once; its tasks return when their leases end.
    pub async fn run(self, kurultai: &Kurultai) -> Result<usize> {
        let mut signals = Signals::listen()?;
        let (ask, asked) = oneshot::channel::<()>();
        let watch = async {
            signals.next().await;
            drop(ask);
            std::process::exit(128 + signals.next().await)
        };
        tokio::select! {
            handled = self.run_until(kurultai, async { drop(asked.await) }) => handled,
            never = watch => never,
        }
    }

    /// Works until `stop` is ready, drains, and returns how many attempts its handlers ended, at tasks and messages. Claims
    /// and is given only the types that it has handlers for.
    ///
    /// Errors: as [`start`](Self::start) and [`Jobs::next`](super::Jobs::next); running jobs are drained first.
    /// Cancel safe: handlers of a dropped call are dropped where they await and their tasks released.
    pub async fn run_until(mut self, kurultai: &Kurultai, stop: impl Future<Output = ()>) -> Result<usize> {
        self.handlers.check()?;
        self.message_handlers.check()?;
        let handlers = std::mem::take(&mut self.handlers).0;
        let message_handlers = std::mem::take(&mut self.message_handlers);
        if handlers.is_empty() && message_handlers.is_empty() {
            return Err(Error::invalid(
                "handlers",
                "none",
                "at least one; give the agent a `task` or an `on_message`",
            ));
        }
        if !message_handlers.is_empty() {
            self = self.messages(message_handlers.types()).message_timeout(message_handlers.longest());
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
                next = jobs.next() => next.map(|job| job.map(Pulled::Task)),
                next = jobs.next_message() => next.map(|job| job.map(Pulled::Message)),
            };
            match next {
                Ok(Some(Pulled::Message(job))) => match message_handlers.get(&job.message.message_type) {
                    Some((limits, run)) => drop(running.spawn(handle_message(job, *limits, run.clone()))),
                    None => {
                        tracing::error!(
                            message = job.message.id,
                            "no handler for a type that was not asked for"
                        );
                    }
                },
                Ok(Some(Pulled::Task(job))) => match handlers.get(&job.task.task_type) {
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

async fn handle(job: Job, limits: Limits, run: Arc<Run>) -> bool {
    job.limit(limits);
    if limits.timeout.is_some() {
        clock_starts().await;
    }
    let (what, context) = (format!("task {}", job.task.id), job.context());
    let working = async move { run(context).await };
    to_its_end(&what, working, job.stopped(), async |ended| job.end(ended).await.map(drop)).await
}

async fn handle_message(job: MessageJob, limits: MessageLimits, run: Arc<RunMessage>) -> bool {
    job.begin(limits);
    clock_starts().await;
    let (what, context) = (format!("message {}", job.message.id), job.context());
    let working = async move { run(context).await };
    to_its_end(&what, working, job.stopped(), async |ended| job.end(ended).await.map(drop)).await
}

/// What a thread of tokio spawned last only that thread can run: the clock starts before a handler that blocks it.
async fn clock_starts() {
    tokio::task::yield_now().await;
}

/// Returns whether the attempt ended; otherwise it was stopped, and a dropped job is given back.
async fn to_its_end(
    what: &str,
    working: impl Future<Output = Ended>,
    stopped: impl Future<Output = Stop>,
    end: impl AsyncFnOnce(Ended) -> Result<()>,
) -> bool {
    let ended = tokio::select! {
        biased;
        ended = caught(working) => ended,
        why = stopped => {
            tracing::info!(%why, "the handler of {what} was stopped");
            return why == Stop::Timeout;
        }
    };
    match end(ended).await {
        Ok(()) => true,
        Err(error) if is_gone(&error) => false,
        Err(error) => {
            tracing::warn!(%error, "the end of {what} was not stored");
            false
        }
    }
}

/// A panic is an error of the handler.
async fn caught(working: impl Future<Output = Ended>) -> Ended {
    AssertUnwindSafe(working).catch_unwind().await.unwrap_or_else(|panic| Ended::Raised {
        error: format!("panicked: {}", panic_text(&*panic)),
        wish: None,
    })
}

enum Pulled {
    Task(Job),
    Message(MessageJob),
}

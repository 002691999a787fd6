//! The smallest loop that works: claim, handle, finish, with the lease renewed meanwhile.

use crate::{
    error::Result,
    json::Json,
    kurultai::Kurultai,
    tasks::{Claim, Claimed, Extended, Failure, Lease, Signal},
};
use std::{fmt, future::Future, time::Duration};
use tokio::time::{sleep, timeout};

/// Works for one agent until told to stop, one task at a time.
#[derive(Debug, Clone)]
pub struct Worker {
    kurultai: Kurultai,
    agent: String,
    types: Option<Vec<String>>,
    lease: Duration,
    wait: Duration,
}

/// What a handler can do besides working.
#[derive(Clone)]
pub struct Context {
    kurultai: Kurultai,
    pub task: Claimed,
}

impl Worker {
    pub fn new(kurultai: &Kurultai, agent: impl Into<String>) -> Self {
        Worker {
            kurultai: kurultai.clone(),
            agent: agent.into(),
            types: None,
            lease: Duration::from_secs(30),
            wait: Duration::from_secs(5),
        }
    }

    /// Only these task types. Default all.
    pub fn types<S: Into<String>>(mut self, types: impl IntoIterator<Item = S>) -> Self {
        self.types = Some(types.into_iter().map(Into::into).collect());
        self
    }

    /// How long a silent worker keeps its task. Default 30 s; renewed three times as often.
    pub fn lease(mut self, lease: Duration) -> Self {
        self.lease = lease;
        self
    }

    /// Works until `stop` is ready, then ends the task at hand and returns how many tasks it handled. An error of
    /// the handler fails its task; an error of the store that is not retryable ends the loop.
    pub async fn run<F, H>(&self, mut handler: H, stop: impl Future<Output = ()>) -> Result<usize>
    where
        H: FnMut(Context) -> F,
        F: Future<Output = Result<Json, Failure>>,
    {
        tokio::pin!(stop);
        let mut handled = 0;
        loop {
            let mut claim = Claim::new(&self.agent).lease(self.lease).wait(self.wait);
            claim.types.clone_from(&self.types);
            let tasks = self.kurultai.tasks();
            let claimed = tokio::select! {
                biased;
                () = &mut stop => return Ok(handled),
                claimed = tasks.claim(claim) => claimed,
            };
            let claimed = match claimed {
                Ok(claimed) => claimed,
                Err(error) if error.retryable() => {
                    tracing::warn!(%error, agent = self.agent, "no claim; trying again");
                    sleep(error.retry_after().unwrap_or(Duration::from_secs(1))).await;
                    continue;
                }
                Err(error) => return Err(error),
            };
            for task in claimed {
                self.handle(task, &mut handler).await?;
                handled += 1;
            }
        }
    }

    /// Runs the handler beside the renewals. A lost lease, a cancel or a suspend drops the handler.
    async fn handle<F, H>(&self, task: Claimed, handler: &mut H) -> Result<()>
    where
        H: FnMut(Context) -> F,
        F: Future<Output = Result<Json, Failure>>,
    {
        let lease = task.lease.clone();
        let work = handler(Context { kurultai: self.kurultai.clone(), task });
        let tasks = self.kurultai.tasks();
        let ended = tokio::select! {
            result = work => Some(result),
            () = self.renew(&lease) => None,
        };
        let finished = match ended {
            Some(Ok(results)) => tasks.complete(&lease, results).await,
            Some(Err(failure)) => tasks.fail(&lease, failure).await,
            None => tasks.release(&lease).await,
        };
        match finished {
            Ok(_) => Ok(()),
            Err(error) if error.code() == "lease.lost" => {
                tracing::warn!(%error, agent = self.agent, "somebody else has the task now");
                Ok(())
            }
            Err(error) if error.retryable() => {
                tracing::warn!(%error, agent = self.agent, "the task returns when its lease ends");
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// Renews until the holder must stop.
    async fn renew(&self, lease: &Lease) {
        let tasks = self.kurultai.tasks();
        loop {
            sleep(self.lease / 3).await;
            match timeout(self.lease / 3, tasks.extend(lease, self.lease)).await {
                Ok(Ok(Extended { signal: Signal::Cancel | Signal::Suspend, .. })) => return,
                Ok(Err(error)) if !error.retryable() => return,
                _ => {}
            }
        }
    }
}

impl Context {
    /// Notes how far the work is, 0 to 1.
    pub async fn progress(&self, progress: f64) -> Result<Extended> {
        self.kurultai.tasks().progress(&self.task.lease, progress).await
    }

    /// Stores where the next attempt can go on.
    pub async fn checkpoint(&self, checkpoint: impl Into<Json>) -> Result<Extended> {
        self.kurultai.tasks().checkpoint(&self.task.lease, checkpoint).await
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context").field("task", &self.task.id).finish_non_exhaustive()
    }
}

//! The worker: its loop ([`jobs`]), how it comes and goes ([`duty`]), and what handlers may end with ([`handlers`], and
//! all of it in [`torture`]), and hang in ([`stalls`]).

mod duty;
mod handlers;
mod jobs;
mod outage;
mod reports;
mod stalls;
mod stops;
mod torture;

use crate::fixture::{Team, steady, task};
use kurultai_core::{
    tasks::{NewTask, Status},
    worker::{Agent, Job, Jobs},
};
use std::{future::Future, time::Duration};
use tokio::time::{sleep, timeout};

/// Long enough for any machine: only a test that fails waits so long.
const LONG: Duration = Duration::from_secs(30);

/// Short enough to be renewed within a test, long enough for a machine that stands still for some seconds.
const LEASE: Duration = Duration::from_secs(6);

/// A worker that looks after its leases often.
fn worker() -> Agent {
    Agent::new("temujin").lease(LEASE)
}

/// Retried at once.
fn prompt(title: &str) -> NewTask {
    let retry = kurultai_core::tasks::RetryPolicy { base: Duration::ZERO, ..steady() };
    task(title).retry(retry).expiry(kurultai_core::tasks::Expiry::Never)
}

pub(crate) async fn soon<T>(what: impl Future<Output = T>) -> T {
    timeout(LONG, what).await.expect("should have happened long ago")
}

async fn next(jobs: &Jobs) -> Job {
    soon(jobs.next()).await.unwrap().expect("there was work")
}

/// Looks until it is so.
pub(crate) async fn eventually<F: Future<Output = bool>>(mut so: impl FnMut() -> F) {
    soon(async {
        while !so().await {
            sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

impl Team {
    pub(crate) async fn becomes(&self, id: &str, status: Status) {
        eventually(|| async { self.status(id).await == status }).await;
    }

    async fn count(&self, topic: &str) -> usize {
        let filter =
            kurultai_core::events::EventFilter { topic: Some(topic.to_owned()), ..Default::default() };
        self.k.events().read(filter).await.unwrap().events.len()
    }
}

//! The agents at work: each a real worker with its own claims and leases.

use super::faults::Faults;
use kurultai_core::{
    Json, Kind, Kurultai, Result,
    tasks::Failure,
    worker::{Agent, Job, Jobs},
};
use serde::Deserialize;
use std::{collections::HashMap, future::pending, sync::Arc, time::Duration};
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
    time::sleep,
};

/// How long a silent worker keeps its task.
pub(super) fn lease(kurultai: &Kurultai) -> Duration {
    match kurultai.store_name() {
        "sqlite" => Duration::from_millis(1500),
        _ => Duration::from_secs(3),
    }
}

/// An agent that vanishes, and the task it was working on.
#[derive(Debug)]
pub(super) struct Crash {
    pub(super) agent: String,
    pub(super) task: String,
}

/// What every handler knows.
#[derive(Debug)]
struct Script {
    faults: Faults,
    ms_per_hour: f64,
    crashes: mpsc::UnboundedSender<Crash>,
}

#[derive(Debug)]
pub(super) struct Cast {
    kurultai: Kurultai,
    script: Arc<Script>,
    stop: watch::Sender<bool>,
    workers: HashMap<String, JoinHandle<Result<()>>>,
}

#[derive(Debug, Deserialize)]
struct Part {
    hours: f64,
}

impl Cast {
    pub(super) fn new(
        kurultai: &Kurultai,
        faults: Faults,
        ms_per_hour: f64,
    ) -> (Self, mpsc::UnboundedReceiver<Crash>) {
        let (crashes, crashed) = mpsc::unbounded_channel();
        let script = Arc::new(Script { faults, ms_per_hour, crashes });
        let cast = Cast {
            kurultai: kurultai.clone(),
            script,
            stop: watch::Sender::new(false),
            workers: HashMap::new(),
        };
        (cast, crashed)
    }

    pub(super) fn enter(&mut self, agent: &str) {
        let (script, stop) = (self.script.clone(), self.stop.subscribe());
        let running = tokio::spawn(play(self.kurultai.clone(), agent.to_owned(), script, stop));
        self.workers.insert(agent.to_owned(), running);
    }

    /// The agent has left already, without a word.
    pub(super) fn vanish(&mut self, agent: &str) {
        if let Some(worker) = self.workers.remove(agent) {
            worker.abort();
        }
    }

    /// The error of a worker that gave up.
    pub(super) async fn trouble(&mut self) -> Result<()> {
        let ended =
            self.workers.iter().find(|(_, worker)| worker.is_finished()).map(|(agent, _)| agent.clone());
        match ended.and_then(|agent| self.workers.remove(&agent)) {
            Some(worker) => worker.await.unwrap_or(Ok(())),
            None => Ok(()),
        }
    }

    pub(super) async fn leave(&mut self) {
        self.stop.send_replace(true);
        for (_, worker) in self.workers.drain() {
            drop(worker.await);
        }
    }
}

impl Drop for Cast {
    fn drop(&mut self) {
        self.workers.values().for_each(JoinHandle::abort);
    }
}

/// One agent, a task at a time, until told to stop.
async fn play(
    kurultai: Kurultai,
    agent: String,
    script: Arc<Script>,
    mut stop: watch::Receiver<bool>,
) -> Result<()> {
    let jobs = Agent::new(&agent).lease(lease(&kurultai)).start(&kurultai).await?;
    loop {
        let next = tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => break,
            next = jobs.next() => next?,
        };
        let Some(job) = next else { break };
        let worked = tokio::select! {
            worked = work(&script, &agent, &jobs, &job) => worked,
            // A dropped job is released.
            _ = job.stopped() => continue,
        };
        let ended = match worked {
            Ok(results) => job.complete(results, None).await,
            Err(failure) => job.fail(failure).await,
        };
        match ended {
            Err(error) if error.kind() != Kind::LeaseLost => return Err(error),
            _ => {}
        }
    }
    jobs.finished().await;
    Ok(())
}

/// The work: some sleep, a sign of life in the middle, and perhaps an accident.
async fn work(script: &Script, agent: &str, jobs: &Jobs, job: &Job) -> Result<Json, Failure> {
    let Part { hours } = job.task.payload.get().map_err(|e| Failure::fatal(e.to_string()))?;
    let half = Duration::from_secs_f64(hours.max(0.0) * script.ms_per_hour / 2000.0);
    let id = Some(&job.task.id);
    let first = job.fencing_token() == 1;
    let Faults { flaky, crash, fatal } = &script.faults;
    sleep(half).await;
    drop(job.progress(0.5).await);
    if first && id == crash.as_ref() {
        jobs.vanish();
        drop(script.crashes.send(Crash { agent: agent.to_owned(), task: job.task.id.clone() }));
        return pending().await;
    }
    if first && id == flaky.as_ref() {
        return Err(Failure::new("the network was down"));
    }
    if first && id == fatal.as_ref() {
        return Err(Failure::fatal("the specification contradicts itself"));
    }
    sleep(half).await;
    Ok(serde_json::json!({"by": agent, "hours": hours}).into())
}

//! One run: a fresh team, N tasks enqueued, then claimed and completed by concurrent callers.

use crate::Result;
use kurultai_core::{
    Config, Kurultai,
    agents::NewAgent,
    clock::monotonic,
    events::EventFilter,
    tasks::{Claim, Finish, NewTask, Outcome, Status},
};
use serde_json::json;
use std::{collections::HashSet, time::Duration};
use tokio::task::JoinSet;

pub(crate) const AGENT: &str = "temujin";
/// Three types are three routes, as many as the yardstick has.
const TYPES: [&str; 3] = ["review", "build", "test"];

#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) callers: usize,
    pub(crate) batch: usize,
    pub(crate) tasks: usize,
}

impl Shape {
    /// As many tasks as every caller's batches divide.
    pub(crate) fn new(callers: usize, batch: usize, tasks: usize) -> Self {
        let step = callers * batch;
        Shape { callers, batch, tasks: (tasks / step).max(1) * step }
    }
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Measured {
    pub(crate) per_second: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
}

impl Measured {
    /// Of so many tasks in so much time, and of each call's time.
    pub(crate) fn of(tasks: usize, took: Duration, mut calls: Vec<Duration>) -> Self {
        calls.sort_unstable();
        let at = |share: f64| {
            let index = (calls.len().saturating_sub(1) as f64 * share) as usize;
            calls.get(index).map_or(0.0, |call| call.as_secs_f64() * 1e3)
        };
        Measured { per_second: tasks as f64 / took.as_secs_f64(), p50_ms: at(0.5), p99_ms: at(0.99) }
    }
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Run {
    pub(crate) enqueue: Measured,
    pub(crate) cycle: Measured,
}

/// Fails unless the store then holds exactly as many distinct completions as there were tasks.
pub(crate) async fn run(config: Config, shape: Shape) -> Result<Run> {
    let team = team(config).await?;
    let run = work(&team, shape).await?;
    verify(&team, shape.tasks).await?;
    team.close().await;
    Ok(run)
}

pub(crate) async fn team(config: Config) -> Result<Kurultai> {
    let team = Kurultai::open_with(config).await?;
    team.agents().register(NewAgent::new(AGENT).capabilities(["development"])).await?;
    Ok(team)
}

pub(crate) async fn work(team: &Kurultai, shape: Shape) -> Result<Run> {
    let enqueue = together(shape, |caller| enqueue(team.clone(), shape, caller)).await?;
    let cycle = together(shape, |_| cycle(team.clone(), shape.batch)).await?;
    Ok(Run { enqueue, cycle })
}

async fn together<F>(shape: Shape, caller: impl Fn(usize) -> F) -> Result<Measured>
where
    F: Future<Output = Result<Vec<Duration>>> + Send + 'static,
{
    let start = monotonic();
    let mut callers: JoinSet<_> = (0..shape.callers).map(caller).collect();
    let mut calls = Vec::new();
    while let Some(done) = callers.join_next().await {
        calls.extend(done??);
    }
    Ok(Measured::of(shape.tasks, start.elapsed(), calls))
}

/// With a payload of 100 bytes.
pub(crate) fn task(i: usize, caller: usize) -> NewTask {
    let payload = json!({"i": i, "caller": caller, "text": "x".repeat(70)});
    NewTask::new(TYPES[i % TYPES.len()]).requires(["development"]).payload(payload)
}

async fn enqueue(team: Kurultai, shape: Shape, caller: usize) -> Result<Vec<Duration>> {
    let (tasks, share) = (team.tasks(), shape.tasks / shape.callers);
    let mut calls = Vec::with_capacity(share / shape.batch);
    for from in (0..share).step_by(shape.batch) {
        let start = monotonic();
        if shape.batch == 1 {
            tasks.enqueue(task(from, caller)).await?;
        } else {
            tasks.enqueue_many((from..from + shape.batch).map(|i| task(i, caller)).collect()).await?;
        }
        calls.push(start.elapsed());
    }
    Ok(calls)
}

/// Claims and completes until nothing is left.
async fn cycle(team: Kurultai, batch: usize) -> Result<Vec<Duration>> {
    let (tasks, mut calls) = (team.tasks(), Vec::new());
    loop {
        let start = monotonic();
        let claimed = tasks.claim(Claim::new(AGENT).max(batch)).await?;
        match &claimed[..] {
            [] => return Ok(calls),
            [one] => drop(tasks.complete(&one.lease, json!({"ok": true})).await?),
            _ => {
                let outcome = || Outcome::Complete { results: json!({"ok": true}).into(), usage: None };
                let finishes =
                    claimed.into_iter().map(|task| Finish { lease: task.lease, outcome: outcome() });
                for finished in tasks.finish_many(finishes.collect()).await? {
                    finished?;
                }
            }
        }
        calls.push(start.elapsed());
    }
}

/// Counts in the store, not in the callers' memory.
async fn verify(team: &Kurultai, tasks: usize) -> Result<()> {
    let (mut completions, mut distinct, mut after_seq) = (0, HashSet::new(), 0);
    loop {
        let topic = Some("task.completed".to_owned());
        let filter = EventFilter { after_seq, topic, limit: 10_000, ..EventFilter::default() };
        let page = team.events().read(filter).await?;
        if page.events.is_empty() {
            break;
        }
        after_seq = page.next;
        completions += page.events.len();
        distinct.extend(page.into_iter().filter_map(|event| event.task_id));
    }
    let completed =
        team.tasks().stats().await?.by_status.get(&Status::Completed).copied().unwrap_or(0) as usize;
    if [completions, distinct.len(), completed] == [tasks; 3] {
        return Ok(());
    }
    let distinct = distinct.len();
    Err(format!("{tasks} tasks, but {completions} completions of {distinct}, {completed} now completed")
        .into())
}

//! The participant in Rust; `tests/history/README.md` has the protocol.

use super::{
    players::now,
    record::{Op, Spec},
};
use crate::chaos::{Result, arena};
use kurultai_core::{
    Error, Json, Kurultai,
    agents::NewAgent,
    events::EventFilter,
    tasks::{Claim, Expiry, Failure, Filter, Finished, Lease, NewTask, RetryPolicy, Task},
    worker::{Agent, Context},
};
use serde::Deserialize;
use serde_json::{Value, json};
use std::{
    io::{self, Write},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};
use tokio::io::{AsyncBufReadExt, BufReader};

#[derive(Deserialize)]
struct Order {
    call: u64,
    team: usize,
    #[serde(flatten)]
    op: Op,
}

/// `participant URL NAMESPACE...`
pub fn main(args: &[String]) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    match runtime.map_err(Into::into).and_then(|runtime| runtime.block_on(take_part(args))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            drop(writeln!(io::stderr(), "participant: {error}"));
            ExitCode::FAILURE
        }
    }
}

async fn take_part(args: &[String]) -> Result {
    let [url, namespaces @ ..] = args else { return Err("participant URL NAMESPACE...".into()) };
    let mut teams = Vec::new();
    for namespace in namespaces {
        teams.push(arena::open(url, namespace).await?);
    }
    let teams = Arc::new(teams);
    say(&json!({"ready": true}))?;
    let mut orders = BufReader::new(tokio::io::stdin()).lines();
    while let Some(line) = orders.next_line().await? {
        let order: Order = serde_json::from_str(&line)?;
        let teams = teams.clone();
        tokio::spawn(async move { call(&teams[order.team], order.call, order.op).await });
    }
    Ok(())
}

/// One whole line at once, so that a kill never leaves half of one that looks whole.
fn say(line: &Value) -> Result {
    let mut out = io::stdout().lock();
    out.write_all(format!("{line}\n").as_bytes())?;
    Ok(out.flush()?)
}

async fn call(team: &Kurultai, number: u64, op: Op) -> Result {
    say(&json!({"call": number, "at": now()}))?;
    let answer = perform(team, op).await;
    let at = now();
    match answer {
        Ok(ok) => say(&json!({"call": number, "at": at, "ok": ok})),
        Err(error) => {
            say(&json!({"call": number, "at": at, "error": error.code(), "message": error.to_string()}))
        }
    }
}

async fn perform(team: &Kurultai, op: Op) -> Result<Value, Error> {
    let (tasks, events) = (team.tasks(), team.events());
    Ok(match op {
        Op::Register { agent } => json!(team.agents().register(NewAgent::new(agent)).await.map(|_| ())?),
        Op::Enqueue { tasks: specs } => {
            let added = tasks.enqueue_many(specs.into_iter().map(new_task).collect()).await?;
            added.into_iter().map(|one| json!([one.id, one.deduplicated])).collect()
        }
        Op::Claim { agent, types, max, lease, wait } => {
            let mut claim = Claim::new(agent).max(max).lease(span(lease)).wait(span(wait));
            claim.types = types;
            let claimed = tasks.claim(claim).await?;
            claimed.iter().map(|task| json!([task.id, task.lease.version, task.lease.to_string()])).collect()
        }
        Op::Complete { lease, results } => finished(tasks.complete(&parse(&lease)?, json!(results)).await?),
        Op::Fail { lease, retryable } => {
            let failure = Failure { retryable, ..Failure::new("broken") };
            finished(tasks.fail(&parse(&lease)?, failure).await?)
        }
        Op::Release { lease } => finished(tasks.release(&parse(&lease)?).await?),
        Op::Extend { lease, ttl } => json!(tasks.extend(&parse(&lease)?, span(ttl)).await?.signal),
        Op::Cancel { task } => json!(tasks.cancel(&task, None).await?),
        Op::Suspend { task } => json!(tasks.suspend(&task).await?),
        Op::Resume { task } => json!(tasks.resume(&task).await?),
        Op::Requeue { task } => json!(tasks.requeue(&task).await?),
        Op::Discard { task } => json!(tasks.discard(&task).await?),
        Op::Depend { task, on } => json!(tasks.add_dependency(&task, on).await?),
        Op::Get { task } => seen(&tasks.get(&task).await?),
        Op::List { status, limit } => {
            let page = tasks.list(Filter { status, limit, ..Filter::default() }).await?;
            page.tasks.iter().map(seen).collect()
        }
        Op::Read { after, topic, task, limit, wait } => {
            let filter = EventFilter {
                after_seq: after,
                topic,
                task_id: task,
                limit,
                wait: span(wait),
                ..EventFilter::default()
            };
            let read = events.read(filter).await?.events;
            read.iter().map(|event| json!([event.seq, event.topic, event.task_id, event.source])).collect()
        }
        Op::LastSeq {} => json!(events.last_seq().await?),
        Op::Look { file } => json!(std::fs::read(file).map(|_| ()).ok()),
        Op::Close {} => json!(team.clone().close().await),
        Op::Serve { agent, r#type } => {
            let (team, worker) = (team.clone(), Agent::new(agent).task(r#type, echo));
            tokio::spawn(async move { worker.run_until(&team, std::future::pending()).await });
            Value::Null
        }
    })
}

async fn echo(_: Context, payload: Value) -> Result<Value, Error> {
    Ok(payload)
}

fn span(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

fn parse(lease: &str) -> Result<Lease, Error> {
    lease.parse()
}

fn seen(task: &Task) -> Value {
    json!([task.id, task.status, task.lease_version, task.claimed_by])
}

fn finished(finished: Finished) -> Value {
    json!([finished.status, finished.repeated])
}

fn new_task(spec: Spec) -> NewTask {
    let mut task =
        NewTask::new(spec.r#type).payload(Json::from(json!(spec.payload))).depends_on(spec.depends_on);
    task.id = spec.id;
    (task.parent_id, task.unique_key) = (spec.parent, spec.unique_key);
    if let Some(seconds) = spec.expires_in {
        task.expiry = Expiry::After(span(seconds));
    }
    if let Some(retry) = spec.retry {
        task.retry = Some(RetryPolicy { base: span(retry.base), cap: span(retry.cap), jitter: true });
    }
    task
}

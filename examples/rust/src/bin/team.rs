//! One of several processes, in any language, that share a queue: `team URL AGENT TASKS AGENTS`.

use kurultai_core::{
    Kurultai,
    agents::NewAgent,
    tasks::{NewTask, Status},
    worker::{Agent, BoxError, Context},
};
use serde::Deserialize;
use serde_json::{Value, json};
use std::{
    env,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::time::sleep;

#[derive(Deserialize)]
struct Square {
    n: u64,
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let args: Vec<String> = env::args().skip(1).collect();
    let [url, agent, tasks, agents] = &args[..] else { return Err("team URL AGENT TASKS AGENTS".into()) };
    let (tasks, agents): (u64, usize) = (tasks.parse()?, agents.parse()?);
    let team = Kurultai::open(url).await?;

    // Every process adds all tasks; their keys see to it that each is there once.
    let task = |n| NewTask::new("square").payload(json!({"n": n})).unique_key(format!("square-{n}"));
    team.tasks().enqueue_many((1..=tasks).map(task).collect()).await?;
    team.agents().register(NewAgent::new(agent)).await?;
    while team.agents().list().await?.len() < agents {
        sleep(Duration::from_millis(20)).await;
    }

    let did = Arc::new(Mutex::new(Vec::new()));
    let (by, doing) = (agent.clone(), did.clone());
    let square = move |_: Context, Square { n }: Square| {
        let (by, did) = (by.clone(), doing.clone());
        async move {
            sleep(Duration::from_millis(20)).await;
            did.lock().map_err(|_| "a handler panicked")?.push(n);
            Ok::<Value, BoxError>(json!({"n": n, "square": n * n, "by": by}))
        }
    };
    let done = async {
        while team.tasks().stats().await.is_ok_and(|s| s.by_status.get(&Status::Completed) != Some(&tasks)) {
            sleep(Duration::from_millis(20)).await;
        }
    };
    Agent::new(agent).concurrency(2).task("square", square).run_until(&team, done).await?;

    let mut did = did.lock().map_err(|_| "a handler panicked")?.clone();
    did.sort();
    println!("{}", json!({"agent": agent, "did": did}));
    Ok(())
}

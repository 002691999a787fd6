//! An agent with one handler: `one_agent [URL]`.

use kurultai_core::{
    Kurultai,
    tasks::{NewTask, Status},
    worker::{Agent, BoxError, Context},
};
use serde_json::{Value, json};
use std::{env, time::Duration};
use tokio::time::sleep;

async fn greet(ctx: Context, payload: Value) -> Result<Value, BoxError> {
    // A handler may say how far it is, and leave where its next attempt can go on.
    ctx.progress(0.5).await?;
    let name = payload["name"].as_str().ok_or("whom?")?;
    Ok(json!({"greeting": format!("hello, {name}")}))
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let url = env::args().nth(1).unwrap_or("memory:".to_owned());
    let team = Kurultai::open(&url).await?;
    let mut ids = Vec::new();
    for name in ["Kublai", "Temüjin", "Jochi"] {
        ids.push(team.tasks().enqueue(NewTask::new("greet").payload(json!({"name": name}))).await?.id);
    }

    // An agent usually works until SIGTERM: `run(&team)`. This one stops when its tasks are done.
    let done = async {
        while team.tasks().stats().await.is_ok_and(|s| s.by_status.get(&Status::Completed) != Some(&3)) {
            sleep(Duration::from_millis(10)).await;
        }
    };
    Agent::new("temujin").task("greet", greet).run_until(&team, done).await?;

    for id in ids {
        println!("{}", team.tasks().get(&id).await?.results.unwrap_or_default());
    }
    Ok(())
}

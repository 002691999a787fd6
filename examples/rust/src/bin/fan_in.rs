//! Three tasks and one that waits for their results: `fan_in [URL]`.

use kurultai_core::{
    Kurultai,
    tasks::{NewTask, Status},
    worker::{Agent, BoxError, Context},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::{env, time::Duration};
use tokio::time::sleep;

#[derive(Deserialize)]
struct Text {
    text: String,
}

#[derive(Serialize, Deserialize)]
struct Words {
    words: usize,
}

#[derive(Serialize)]
struct Sum {
    parts: Vec<usize>,
    total: usize,
}

async fn count(_: Context, Text { text }: Text) -> Result<Words, BoxError> {
    Ok(Words { words: text.split_whitespace().count() })
}

async fn sum(ctx: Context, _: Value) -> Result<Sum, BoxError> {
    let mut parts = Vec::new();
    for results in ctx.prerequisites().iter().filter_map(|prerequisite| prerequisite.results.as_ref()) {
        parts.push(results.get::<Words>()?.words);
    }
    parts.sort();
    Ok(Sum { total: parts.iter().sum(), parts })
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let url = env::args().nth(1).unwrap_or("memory:".to_owned());
    let team = Kurultai::open(&url).await?;
    let texts = ["who is alive", "what must be done", "who said what and what was learned"];
    let counts = texts.map(|text| NewTask::new("count").payload(json!({"text": text})));
    // A task's id is known before it is added, so a whole plan goes in as one call.
    let last = NewTask::new("sum").depends_on(counts.iter().map(|task| &task.id));
    let id = last.id.clone();
    team.tasks().enqueue_many(counts.into_iter().chain([last]).collect()).await?;

    let done = async {
        while team.tasks().get(&id).await.is_ok_and(|task| task.status != Status::Completed) {
            sleep(Duration::from_millis(10)).await;
        }
    };
    let worker = Agent::new("jochi").concurrency(3).task("count", count).task("sum", sum);
    worker.run_until(&team, done).await?;
    println!("{}", team.tasks().get(&id).await?.results.unwrap_or_default());
    Ok(())
}

//! A claim's latency for a lone caller, before and after the table is filled with tasks that are no work.

use crate::{
    Effort, Result,
    runner::{self, AGENT, Measured, Shape},
};
use kurultai_core::{Config, Kurultai, clock::monotonic, tasks::Claim};
use serde_json::json;
use std::time::Duration;

const FINISHED: usize = 100_000;
const BLOCKED: usize = 50_000;
const BATCH: usize = 250;

/// What the two rows are called.
pub(crate) fn names(effort: Effort) -> [String; 2] {
    ["claim".to_owned(), format!("claim among {}", effort.tasks(FINISHED) + effort.tasks(BLOCKED))]
}

/// Without and with the others.
pub(crate) async fn run(config: Config, effort: Effort, claims: usize) -> Result<[Measured; 2]> {
    let team = runner::team(config).await?;
    let alone = latency(&team, claims).await?;
    runner::work(&team, Shape::new(4, BATCH, effort.tasks(FINISHED))).await?;
    for _ in 0..effort.tasks(BLOCKED) / BATCH {
        block(&team).await?;
    }
    let among = latency(&team, claims).await?;
    team.close().await;
    Ok([alone, among])
}

/// One task of tomorrow, and those that wait for it.
async fn block(team: &Kurultai) -> Result<()> {
    let first = runner::task(0, 0).delay(Duration::from_secs(86_400));
    let waits = |i| runner::task(i, 0).depends_on([first.id.clone()]);
    let waiting: Vec<_> = (1..BATCH).map(waits).collect();
    team.tasks().enqueue_many([vec![first], waiting].concat()).await?;
    Ok(())
}

async fn latency(team: &Kurultai, claims: usize) -> Result<Measured> {
    let tasks = team.tasks();
    for from in (0..claims).step_by(BATCH) {
        tasks.enqueue_many((from..claims.min(from + BATCH)).map(|i| runner::task(i, 0)).collect()).await?;
    }
    let mut calls = Vec::with_capacity(claims);
    for _ in 0..claims {
        let start = monotonic();
        let claimed = tasks.claim(Claim::new(AGENT)).await?;
        calls.push(start.elapsed());
        let [task] = &claimed[..] else { return Err("a claim found nothing".into()) };
        tasks.complete(&task.lease, json!({"ok": true})).await?;
    }
    Ok(Measured::of(claims, calls.iter().sum(), calls))
}

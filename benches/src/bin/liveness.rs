//! What it costs to be alive: the beats of a hundred agents, alone and beside sixty-four claimers, and a hundred agents
//! that wait for work, in one process, in ten and in a hundred.
//!
//! `liveness URL`; the team is a namespace of its own.
#![allow(clippy::print_stdout, reason = "a table on the terminal is what it is for")]

use kurultai_core::{
    Agent, Config, Kurultai,
    agents::NewAgent,
    clock::monotonic,
    ids,
    tasks::{Claim, Expiry, NewTask},
    worker::Jobs,
};
use std::{env, error::Error, process::Stdio, time::Duration};
use tokio::{process::Command, time::sleep};

type Result<T = ()> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

const AGENTS: usize = 100;
const BEATS: usize = 200;
const CLAIMERS: usize = 64;
/// How long an idle team is looked at, after it has come to rest.
const IDLE: Duration = Duration::from_secs(60);

#[tokio::main]
async fn main() -> Result {
    let args: Vec<String> = env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args[..] {
        [url] => measure(url).await,
        ["idle", url, namespace, from, count] => idle(url, namespace, from.parse()?, count.parse()?).await,
        _ => Err("liveness URL".into()),
    }
}

async fn open(url: &str, namespace: &str) -> Result<Kurultai> {
    Ok(Kurultai::open_with(Config::new(url)?.namespace(namespace)?).await?)
}

fn agent(n: usize) -> String {
    format!("agent-{n}")
}

async fn measure(url: &str) -> Result {
    let team = open(url, &format!("bench-{}", ids::new_id())).await?;
    println!("{} agents on {}", AGENTS, team.store_name());
    team.agents().register_many((0..AGENTS).map(|n| NewAgent::new(agent(n))).collect()).await?;
    beats(&team, "alone").await?;
    let mut claimers = tokio::task::JoinSet::new();
    for n in 0..CLAIMERS {
        claimers.spawn(cycle(team.clone(), agent(n)));
    }
    sleep(Duration::from_secs(2)).await;
    beats(&team, "beside 64 claimers").await?;
    claimers.shutdown().await;
    let namespace = team.namespace().to_owned();
    team.close().await;
    for processes in [1, 10, 100] {
        processes_idle(url, &namespace, processes).await?;
    }
    Ok(())
}

async fn cycle(team: Kurultai, agent: String) {
    let tasks = team.tasks();
    loop {
        drop(tasks.enqueue(NewTask::new("bench").expiry(Expiry::Never)).await);
        for claimed in tasks.claim(Claim::new(&agent)).await.unwrap_or_default() {
            drop(tasks.complete(&claimed.lease, serde_json::json!(true)).await);
        }
    }
}

async fn beats(team: &Kurultai, how: &str) -> Result {
    let names: Vec<String> = (0..AGENTS).map(agent).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let before = team.statements();
    let mut spans = Vec::with_capacity(BEATS);
    for _ in 0..BEATS {
        let begun = monotonic();
        team.agents().beat_many(&names, false).await?;
        spans.push(begun.elapsed().as_secs_f64() * 1_000.0);
        sleep(Duration::from_millis(10)).await;
    }
    let statements = (team.statements() - before) as f64 / BEATS as f64;
    spans.sort_unstable_by(f64::total_cmp);
    let statements = if how == "alone" { format!(", {statements:.1} statements") } else { String::new() };
    println!(
        "  beat {how}: p50 {:.2} ms, p99 {:.2} ms{statements}",
        spans[BEATS / 2],
        spans[BEATS * 99 / 100]
    );
    Ok(())
}

async fn processes_idle(url: &str, namespace: &str, processes: usize) -> Result {
    let each = AGENTS / processes;
    let mut children = vec![];
    for process in 0..processes {
        let (from, count) = ((process * each).to_string(), each.to_string());
        let child = Command::new(env::current_exe()?)
            .args(["idle", url, namespace, &from, &count])
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        children.push(child);
    }
    let (mut cpu, mut statements) = (0.0, 0.0);
    for child in children {
        let output = child.wait_with_output().await?;
        let text = String::from_utf8(output.stdout)?;
        let (share, rate) = text.trim().split_once(' ').ok_or("an idle process said nothing")?;
        cpu += share.parse::<f64>()?;
        statements += rate.parse::<f64>()?;
    }
    println!(
        "  idle in {processes} processes: {:.1} % of a core, {statements:.1} statements a second",
        cpu * 100.0
    );
    Ok(())
}

/// Says which share of a core it took and how many statements a second it sent.
async fn idle(url: &str, namespace: &str, from: usize, count: usize) -> Result {
    let team = open(url, namespace).await?;
    let mut jobs: Vec<Jobs> = vec![];
    for n in from..from + count {
        jobs.push(Agent::new(agent(n)).start(&team).await?);
    }
    sleep(Duration::from_secs(15)).await;
    let (cpu, statements, begun) = (cpu(), team.statements(), monotonic());
    sleep(IDLE).await;
    let seconds = begun.elapsed().as_secs_f64();
    println!("{} {}", (self::cpu() - cpu) / seconds, (team.statements() - statements) as f64 / seconds);
    // The others are still looked at.
    sleep(Duration::from_secs(5)).await;
    Ok(())
}

/// Seconds that this process has computed, in hundredths. Linux alone says so.
fn cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // Behind the name, which may have blanks in it.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok()).unwrap_or_default();
    (ticks(11) + ticks(12)) / 100.0
}

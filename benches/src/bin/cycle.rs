//! What a team costs that runs by itself: a router's cycle over a thousand tasks and fifty agents, and schedules.
//!
//! `cycle URL [TASKS] [ROUNDS]`; each round is a namespace of its own.
#![allow(clippy::print_stdout, reason = "a table on the terminal is what it is for")]

use kurultai_core::{
    Clock, Config, Kurultai, ManualClock,
    agents::NewAgent,
    clock::monotonic,
    ids,
    messages::Ed25519Key,
    schedules::NewSchedule,
    tasks::{Expiry, NewTask},
};
use std::{env, error::Error, future::Future, time::Duration};

type Result<T = ()> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

const AGENTS: usize = 50;
/// Each agent has two of them.
const CAPABILITIES: usize = 10;
const SCHEDULES: usize = 100;
const HOUR: Duration = Duration::from_secs(3_600);

#[tokio::main]
async fn main() -> Result {
    let args: Vec<String> = env::args().skip(1).collect();
    match &args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [url] => measure(url, 1_000, 10).await,
        [url, tasks, rounds] => measure(url, tasks.parse()?, rounds.parse()?).await,
        _ => Err("cycle URL [TASKS ROUNDS]".into()),
    }
}

/// Milliseconds and statements of calls.
struct Figures {
    what: &'static str,
    calls: Vec<(f64, u64)>,
}

impl Figures {
    fn of(what: &'static str) -> Self {
        Figures { what, calls: vec![] }
    }

    async fn time<T>(
        &mut self,
        team: &Kurultai,
        call: impl Future<Output = kurultai_core::Result<T>>,
    ) -> Result<T> {
        let (begun, before) = (monotonic(), team.statements());
        let done = call.await?;
        self.calls.push((begun.elapsed().as_secs_f64() * 1e3, team.statements() - before));
        Ok(done)
    }

    fn say(mut self) {
        self.calls.sort_unstable_by(|(one, _), (other, _)| one.total_cmp(other));
        let (p50, _) = self.calls[self.calls.len() / 2];
        let (most, _) = self.calls[self.calls.len() - 1];
        let statements = self.calls.iter().map(|(_, statements)| *statements).max().unwrap_or_default();
        println!("  {}: p50 {p50:.1} ms, max {most:.1} ms, {statements} statements", self.what);
    }
}

async fn tasks_of(team: &Kurultai) -> Result<u64> {
    Ok(team.tasks().stats().await?.by_status.values().sum())
}

async fn measure(url: &str, tasks: usize, rounds: usize) -> Result {
    let mut all = [
        "a cycle that delegates them all",
        "the next one, with nothing new",
        "a cycle of a team without tasks",
        "a look at the schedules, none due",
        "all schedules due at once",
    ]
    .map(Figures::of);
    for round in 0..rounds.max(1) {
        let clock = ManualClock::at("2026-01-01T00:00:00Z".parse()?);
        let key = Ed25519Key::generate("router")?;
        let public = key.public_key().to_string();
        let config = Config::new(url)?.namespace(&format!("bench-{}", ids::new_id()))?.identity(key);
        let team = Kurultai::open_with(config.background(false).clock(Clock::Manual(clock.clone()))).await?;
        if round == 0 {
            println!("{tasks} tasks, {AGENTS} agents, {SCHEDULES} schedules on {}", team.store_name());
        }
        let agent = |n: usize| {
            let of = |n: usize| format!("skill-{}", n % CAPABILITIES);
            NewAgent::new(format!("agent-{n}")).capabilities([of(n), of(n + 1)])
        };
        let router = NewAgent::new("router").capabilities(["routing"]);
        team.agents().register_many((0..AGENTS).map(agent).chain([router]).collect()).await?;
        team.keys().add("router", &public).await?;
        let [delegates, again, quiet, look, due] = &mut all;
        quiet.time(&team, team.cycle("router")).await?;
        for n in (0..tasks).step_by(500) {
            let task = |n: usize| {
                let needs = format!("skill-{}", n % CAPABILITIES);
                NewTask::new("bench").title("A task of some length").requires([needs]).expiry(Expiry::Never)
            };
            team.tasks().enqueue_many((n..tasks.min(n + 500)).map(task).collect()).await?;
        }
        let report = delegates.time(&team, team.cycle("router")).await?;
        let report_again = again.time(&team, team.cycle("router")).await?;
        if (report.delegated.len(), report_again.delegated.len()) != (tasks, 0) {
            return Err(format!(
                "{} and {} were delegated",
                report.delegated.len(),
                report_again.delegated.len()
            )
            .into());
        }
        for n in 0..SCHEDULES {
            let task = NewTask::new("bench").expiry(Expiry::Never);
            team.schedules().put(NewSchedule::new(format!("schedule-{n}"), task).every(HOUR)).await?;
        }
        // What else there is to do is done.
        team.maintain().await?;
        look.time(&team, team.maintain()).await?;
        let before = tasks_of(&team).await?;
        clock.advance(HOUR);
        due.time(&team, team.maintain()).await?;
        let enqueued = tasks_of(&team).await? - before;
        if enqueued as usize != SCHEDULES {
            return Err(format!("{enqueued} tasks were enqueued").into());
        }
        team.close().await;
    }
    all.into_iter().for_each(Figures::say);
    Ok(())
}

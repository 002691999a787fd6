//! The long form of the kill and stop tests: `cargo xtask chaos`.
//!
//! It is its own helper process too, since `cargo run` builds no other program.

use kurultai_tests::{
    chaos::{
        Arena, Report, Result, crashes, deaths, kills, mail, renewals, replays, role, rotation, stops,
        takeovers::{self, Until},
    },
    history::{command, participant},
};
use std::{
    io::{self, Write},
    process::ExitCode,
    time::Duration,
};
use tokio::task::spawn_blocking;
use xtask::server::Server;

const HELP: &str = "\
chaos [--stops 60] [--deaths 200] [--takeovers 200|10m] [--renewals 0] [--kills 5000] [--tasks 100000]
      [--crashes 10] [--readers 1000] [--messages 50000] [--replays 200] [--rotations 60] [--store sqlite|neo4j|both]

Stops and kills worker processes at random, then counts what is left; kills and stops agents before
two watchers, who have to find each death in time, and whoever leads of three processes that watch, so often or for so
long (10m, 600s), so that the next takes over, and nobody leads beside it; renews a role while so
many tasks are enqueued (--renewals); kills readers of an inbox, presents messages again
and again from several processes, and rotates keys under a thousand messages a second; on Neo4j then kills the server itself, on a thousand tasks for each crash. Neo4j is the server that KURULTAI_TEST_NEO4J names, or a
fresh one; for the crashes always a fresh one. Exit code 1 where anything was lost, done twice or
taken over too late.

chaos history|liveness|cases [ARGS]: processes of every language; `chaos history --help` tells the ARGS.
";

struct Options {
    stops: usize,
    deaths: usize,
    takeovers: Until,
    renewals: usize,
    kills: usize,
    tasks: usize,
    crashes: usize,
    readers: usize,
    messages: usize,
    replays: usize,
    rotations: usize,
    store: String,
}

const TASKS_PER_CRASH: usize = 1_000;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.first().map(String::as_str) {
        Some("work" | "enqueue" | "live" | "watch" | "lead" | "read" | "present") => {
            return role::main(&args);
        }
        Some("participant") => return participant::main(&args[1..]),
        Some("history" | "liveness" | "cases") => return command::main(&args),
        _ => {}
    }
    let Some(options) = options(&args) else {
        drop(io::stderr().write_all(HELP.as_bytes()));
        return ExitCode::from(2);
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    match runtime.map_err(Into::into).and_then(|runtime| runtime.block_on(run(&options))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            drop(writeln!(io::stderr(), "chaos: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn options(args: &[String]) -> Option<Options> {
    let mut options = Options {
        stops: 60,
        deaths: 200,
        takeovers: Until::Rounds(200),
        renewals: 0,
        kills: 5_000,
        tasks: 100_000,
        crashes: 10,
        readers: 1_000,
        messages: 50_000,
        replays: 200,
        rotations: 60,
        store: "both".to_owned(),
    };
    for pair in args.chunks(2) {
        let [name, value] = pair else { return None };
        match name.as_str() {
            "--kills" => options.kills = value.parse().ok()?,
            "--tasks" => options.tasks = value.parse().ok()?,
            "--deaths" => options.deaths = value.parse().ok()?,
            "--takeovers" => options.takeovers = value.parse().ok()?,
            "--renewals" => options.renewals = value.parse().ok()?,
            "--stops" => options.stops = value.parse().ok()?,
            "--readers" => options.readers = value.parse().ok()?,
            "--messages" => options.messages = value.parse().ok()?,
            "--replays" => options.replays = value.parse().ok()?,
            "--rotations" => options.rotations = value.parse().ok()?,
            "--crashes" => options.crashes = value.parse().ok()?,
            "--store" if ["sqlite", "neo4j", "both"].contains(&value.as_str()) => {
                options.store.clone_from(value);
            }
            _ => return None,
        }
    }
    Some(options)
}

async fn run(options: &Options) -> Result {
    if options.store != "neo4j" {
        stop_and_kill(options, Arena::sqlite).await?;
        mail_of(options, Arena::sqlite).await?;
    }
    if options.store == "sqlite" {
        return Ok(());
    }
    let Options { stops, deaths, takeovers, renewals, kills, readers, replays, rotations, .. } = options;
    let counts = [stops, deaths, renewals, kills, readers, replays, rotations];
    if counts.into_iter().any(|count| *count > 0) || !takeovers.is_nothing() {
        let server = spawn_blocking(Server::named_or_new).await??;
        stop_and_kill(options, || Ok(Arena::of_server(server.url()))).await?;
        mail_of(options, || Ok(Arena::of_server(server.url()))).await?;
    }
    if options.crashes > 0 {
        let tasks = options.crashes * TASKS_PER_CRASH;
        let report = told(crashes::run(&std::env::current_exe()?, options.crashes, tasks).await?)?;
        report.check()?;
        report.check_crashes()?;
    }
    Ok(())
}

async fn stop_and_kill(options: &Options, arena: impl Fn() -> Result<Arena>) -> Result {
    let program = std::env::current_exe()?;
    if options.stops > 0 {
        let report = told(stops::run(&program, &arena()?, options.stops).await?)?;
        report.check()?;
        if report.refused == 0 {
            return Err("no stale completion was refused, so nothing was tested".into());
        }
    }
    if options.deaths > 0 {
        let deaths = deaths::run(&program, &arena()?, options.deaths).await?;
        writeln!(io::stdout(), "{deaths}")?;
        deaths.check()?;
        deaths.check_times()?;
    }
    if !options.takeovers.is_nothing() {
        let takeovers = takeovers::run(&program, &arena()?, options.takeovers).await?;
        writeln!(io::stdout(), "{takeovers}")?;
        takeovers.check()?;
        takeovers.check_times()?;
    }
    if options.renewals > 0 {
        let renewals = renewals::run(&arena()?, options.renewals).await?;
        writeln!(io::stdout(), "{renewals}")?;
        renewals.check()?;
    }
    if options.kills > 0 {
        let report = told(kills::run(&program, &arena()?, options.kills, options.tasks).await?)?;
        report.check()?;
        report.check_takeovers()?;
    }
    Ok(())
}

async fn mail_of(options: &Options, arena: impl Fn() -> Result<Arena>) -> Result {
    let program = std::env::current_exe()?;
    if options.readers > 0 {
        let report = mail::run(&program, &arena()?, options.readers, options.messages).await?;
        writeln!(io::stdout(), "{report}")?;
        report.check()?;
    }
    if options.replays > 0 {
        let (answers, got) = replays::run(&program, &arena()?, options.replays).await?;
        writeln!(
            io::stdout(),
            "replays: {} messages presented, {got} received: {answers:?}",
            options.replays
        )?;
    }
    if options.rotations > 0 {
        let span = Duration::from_millis(500);
        let report = rotation::run(&arena()?, options.rotations, span, 1_000).await?;
        writeln!(io::stdout(), "{report}")?;
        report.check()?;
    }
    Ok(())
}

fn told(report: Report) -> Result<Report> {
    writeln!(io::stdout(), "{report}")?;
    Ok(report)
}

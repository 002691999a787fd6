//! `cargo xtask chaos history`, `liveness` and `cases`.

use super::{
    cases, liveness,
    players::Language,
    run::{self, Options},
};
use crate::chaos::{Arena, Result};
use std::{
    fmt::Display,
    io::{self, Write},
    process::ExitCode,
};
use tokio::task::spawn_blocking;
use xtask::server::Server;

const HELP: &str = "\
chaos history [--seconds 60] [--namespaces 2] [--network on|off]
              [--store sqlite|neo4j|both] [--languages rust,python,node]
chaos liveness [--rounds 2000] [--store sqlite|neo4j|both] [--languages rust,python,node]
chaos cases [--store sqlite|neo4j|both] [--languages rust,python,node]

history: processes of these languages call everything at once on one store, some are killed, some are
stopped for longer than their leases, of some the network to Neo4j fails; whatever they were told must
have been possible. liveness: how soon a process that waits hears of what another has committed. cases:
faults that were found once. Neo4j is the server that KURULTAI_TEST_NEO4J names, or a fresh one. Exit code
1 where a promise was broken. The packages must be built, as `cargo xtask chaos history` does.
";

/// How many seconds one history lasts at most.
const HISTORY: f64 = 120.0;

#[derive(Debug)]
struct Given {
    seconds: f64,
    namespaces: usize,
    network: bool,
    rounds: usize,
    store: String,
    languages: Vec<Language>,
}

pub fn main(args: &[String]) -> ExitCode {
    let Some(given) = given(&args[1..]) else {
        drop(io::stderr().write_all(HELP.as_bytes()));
        return ExitCode::from(2);
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    match runtime.map_err(Into::into).and_then(|runtime| runtime.block_on(both(&args[0], &given))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            drop(writeln!(io::stderr(), "chaos: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn given(args: &[String]) -> Option<Given> {
    let all = vec![Language::Rust, Language::Python, Language::Node];
    let mut given = Given {
        seconds: 60.0,
        namespaces: 2,
        network: true,
        rounds: 2_000,
        store: "both".to_owned(),
        languages: all,
    };
    for pair in args.chunks(2) {
        let [name, value] = pair else { return None };
        match name.as_str() {
            "--seconds" => given.seconds = value.parse().ok()?,
            "--namespaces" => given.namespaces = value.parse().ok()?,
            "--network" if ["on", "off"].contains(&value.as_str()) => given.network = value == "on",
            "--rounds" => given.rounds = value.parse().ok()?,
            "--languages" => given.languages = value.split(',').map(Language::of).collect::<Option<_>>()?,
            "--store" if ["sqlite", "neo4j", "both"].contains(&value.as_str()) => {
                given.store.clone_from(value);
            }
            _ => return None,
        }
    }
    Some(given)
}

/// A broken promise on one store does not keep the other from being looked at.
async fn both(what: &str, given: &Given) -> Result {
    let mut broken = Vec::new();
    if given.store != "neo4j" {
        broken.extend(on(what, given, Arena::sqlite).await.err());
    }
    if given.store != "sqlite" {
        let server = spawn_blocking(Server::named_or_new).await??;
        broken.extend(on(what, given, || Ok(Arena::of_server(server.url()))).await.err());
    }
    let broken: Vec<String> = broken.iter().map(ToString::to_string).collect();
    if broken.is_empty() { Ok(()) } else { Err(broken.join("; ").into()) }
}

async fn on(what: &str, given: &Given, arena: impl Fn() -> Result<Arena>) -> Result {
    match what {
        "cases" => told(cases::run(&arena()?, &given.languages).await?).map(drop),
        "liveness" => {
            let measure = async || told(liveness::run(&arena()?, &given.languages, given.rounds).await?);
            match measure().await? {
                // A machine that stood still for a moment is asked again.
                slow if slow.check().is_err() && !slow.is_deaf() => measure().await?.check(),
                report => report.check(),
            }
        }
        _ => histories(given, arena).await,
    }
}

/// One after another, so that none grows too long to be judged.
async fn histories(given: &Given, arena: impl Fn() -> Result<Arena>) -> Result {
    let mut left = given.seconds;
    while left > 0.0 {
        let seconds = left.min(HISTORY);
        left -= seconds;
        let (languages, namespaces) = (given.languages.clone(), given.namespaces);
        let options = Options { seconds, languages, namespaces, network: given.network };
        let report = told(run::run(&arena()?, &options).await?)?;
        for story in &report.stories {
            writeln!(io::stdout(), "{story}\n")?;
        }
        report.check()?;
    }
    Ok(())
}

fn told<R: Display>(report: R) -> Result<R> {
    writeln!(io::stdout(), "{report}")?;
    Ok(report)
}

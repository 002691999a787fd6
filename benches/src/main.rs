//! `kurultai-benches`: what a user gets through the public API, beside what the bare stores can do.
#![allow(clippy::print_stdout, reason = "a table on the terminal is what it is for")]

mod claim;
mod languages;
mod machine;
mod neo4j;
mod peers;
mod report;
mod runner;
mod sqlite;
mod yardstick;

use clap::{Parser, ValueEnum};
use languages::Languages;
use peers::Peers;
use report::Report;
use std::{path::PathBuf, process::ExitCode};
use yardstick::Yardstick;

pub(crate) type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Measures cycles (claim + complete), enqueues and claims through kurultai's public API.
#[derive(Debug, Parser)]
struct Args {
    /// A line of JSON for each row.
    #[arg(long)]
    json: bool,
    /// Only this store; both where none is named.
    #[arg(long)]
    store: Option<StoreName>,
    /// One run of fewer tasks.
    #[arg(long)]
    quick: bool,
    /// Only the rows of so many callers.
    #[arg(long, value_name = "N")]
    callers: Option<usize>,
    /// Runs a row; their medians are reported [default: 3]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    runs: Option<u32>,
    /// The folder of the yardstick's programs `sqlite` and `neo4j`.
    #[arg(long, value_name = "DIR")]
    yardstick: Option<PathBuf>,
    /// The tree whose Python and Node packages are measured too; `cargo xtask bench` builds them.
    #[arg(long, value_name = "DIR")]
    languages: Option<PathBuf>,
    /// The folder of other libraries, which are measured beside the packages; `cargo xtask bench --peers` makes it.
    #[arg(long, value_name = "DIR", requires = "languages")]
    peers: Option<PathBuf>,
    /// The redis of those of them that need one, as redis://host:port/database; it is emptied.
    #[arg(long, value_name = "URL", requires = "peers")]
    redis: Option<url::Url>,
    /// The Neo4j server, as neo4j://user:password@host:port/database.
    #[arg(long, env = "KURULTAI_TEST_NEO4J", hide_env_values = true)]
    neo4j: Option<url::Url>,
}

#[derive(Debug, Clone, Copy, PartialEq, ValueEnum)]
enum StoreName {
    Sqlite,
    Neo4j,
}

/// How much is measured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Effort {
    runs: u32,
    /// What the number of tasks is divided by.
    divisor: usize,
    callers: Option<usize>,
}

impl Effort {
    pub(crate) fn covers(self, callers: usize) -> bool {
        self.callers.is_none_or(|only| only == callers)
    }

    pub(crate) fn tasks(self, full: usize) -> usize {
        full / self.divisor
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Args::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: Args) -> Result<()> {
    let effort = Effort {
        runs: args.runs.unwrap_or(if args.quick { 1 } else { 3 }),
        divisor: if args.quick { 4 } else { 1 },
        callers: args.callers,
    };
    let wanted = |store| args.store.is_none_or(|only| only == store);
    let server = args.neo4j.filter(|_| wanted(StoreName::Neo4j));
    let yardstick = args.yardstick.map(Yardstick::new).transpose()?;

    let head = machine::describe(server.as_ref()).await?;
    let report = Report::new(args.json, yardstick.is_some());
    report.head(&head);
    if wanted(StoreName::Sqlite) {
        sqlite::measure(effort, yardstick.as_ref(), &report).await?;
    }
    match server {
        Some(server) => neo4j::measure(&server, effort, yardstick.as_ref(), &report).await?,
        None if wanted(StoreName::Neo4j) => {
            report.note("Neo4j left out: KURULTAI_TEST_NEO4J names no server");
        }
        None => {}
    }
    match args.languages {
        Some(tree) => {
            let peers = args.peers.map(|folder| Peers::new(folder, tree.clone(), args.redis));
            Languages::new(tree).measure(effort, peers, &report).await
        }
        None => Ok(()),
    }
}

//! `cargo xtask`: the one door to the project's checks, benchmarks and test servers.
#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a command-line tool that times its steps"
)]

mod canary;
mod node;
mod peers;
mod python;
mod yardstick;

use canary::Canary;
use process::{Result, Steps, cargo, run};
use server::{Server, beside};
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use xtask::{process, root, server};

const HELP: &str = "\
cargo xtask COMMAND

  demo [ARGS]                      run `kurultai demo`
  lint                             formatting and clippy
  test [--no-neo4j] [FILTER]       lint, then every test on SQLite and on a real Neo4j server; without FILTER, what they
                                   print and leave is searched for their secrets (Linux)
  bench [--yardstick DIR] [ARGS]   the benchmark, beside the bare stores; Python and Node too without --store
  bench --peers [ARGS]             Python and Node beside other libraries too (pip, npm and redis-server needed)
  fuzz [--seconds N] [TARGET]      every parser of messages against random inputs, 60 s each
  chaos [ARGS]                     kill things at random and check what is left
  chaos history|liveness|cases [ARGS]
                                   processes in every language: was all that they were told possible, and in time?
  neo4j start|stop|kill|url        a server in the background, for experiments
  python                           build the Python package in place
  python test [FILTER]             its tests alone, on Neo4j too where KURULTAI_TEST_NEO4J names a server
  python wheel                     the wheel to install, optimised; prints where it is
  node                             build the Node package for this machine
  node test [FILTER]               its tests alone, on Neo4j too where KURULTAI_TEST_NEO4J names a server
  node pack                        the package to install, optimised; prints where it is

KURULTAI_TEST_NEO4J=neo4j://USER:PASSWORD@HOST:PORT/DB makes test, bench and chaos use that server.
";

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let command = args.next().unwrap_or_default();
    let args: Vec<String> = args.collect();
    let result = match command.as_str() {
        "demo" => {
            run(cargo(["run", "--release", "-p", "kurultai-cli", "--bin", "kurultai", "--", "demo"])
                .args(args))
        }
        "lint" => lint(Steps::default()).finish(),
        "test" => test(args),
        "bench" => bench(args),
        "fuzz" => fuzz(args),
        "chaos" => chaos(&args),
        "neo4j" => server::command(args.first().map_or("", String::as_str)),
        "python" => python::command(&args),
        "node" => node::command(&args),
        _ => {
            print!("{HELP}");
            return if command.is_empty() || command.contains("help") {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            };
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("xtask: {e}");
            ExitCode::FAILURE
        }
    }
}

fn target() -> PathBuf {
    std::env::var("CARGO_TARGET_DIR").map_or_else(|_| root().join("target"), PathBuf::from)
}

/// Where cargo puts what it built in a profile.
fn built(profile: &str) -> PathBuf {
    target().join(if profile == "dev" { "debug" } else { profile })
}

fn lint(mut steps: Steps) -> Steps {
    steps.run("fmt", || run(&mut cargo(["fmt", "--all", "--check"])));
    steps.run("clippy", || {
        run(&mut cargo(["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"]))
    });
    // Each store without the other.
    steps.run("features", || {
        let check = ["check", "--locked", "-p", "kurultai-core", "--no-default-features", "--features"];
        run(cargo(check).arg("sqlite,bundled"))?;
        run(cargo(check).arg("neo4j"))
    });
    steps
}

fn test(mut filters: Vec<String>) -> Result<()> {
    let canary = Canary::of_this_run();
    // Some of the tests leave nothing to be searched.
    let is_whole = filters.iter().all(|filter| filter == "--no-neo4j");
    if is_whole && canary.is_none() && Canary::is_possible() {
        return Canary::run(&filters);
    }
    let given = filters.len();
    filters.retain(|a| a != "--no-neo4j");
    let with_neo4j = filters.len() == given;
    if !with_neo4j && std::env::var("CI").is_ok_and(|ci| ci == "true") {
        return Err("--no-neo4j is for laptops: CI tests both stores".into());
    }
    let mut steps = lint(Steps::default());
    let tests = ["test", "--workspace", "--locked", "--no-fail-fast"];
    if steps.run("build", || run(cargo(tests).arg("--no-run"))).is_some() {
        let mut server = with_neo4j.then(|| steps.run("neo4j", Server::named_or_new)).flatten();
        if server.is_some() || !with_neo4j {
            // Both wait more than they compute.
            let node = Steps::begin("node", node::tests(server.as_ref(), &filters)?);
            python::test(&mut steps, server.as_ref(), &filters);
            steps.join(node);
            let fuzz = filters.is_empty().then(|| Steps::begin("fuzz", fuzz_beside(&tests)));
            let mut command = cargo(tests);
            command.arg("--").args(filters);
            if !with_neo4j {
                command.args(["--skip", "neo4j::"]);
            }
            if fuzz.is_some() {
                command.args(["--skip", FUZZ]);
            }
            steps.run("test", || beside(server.as_ref(), &mut command));
            if let Some(fuzz) = fuzz {
                processes(&mut steps, server.as_ref());
                steps.join(fuzz);
            }
            if let Some(canary) = canary {
                steps.run("canary", || canary.search(server.as_mut()));
            }
        }
    }
    steps.finish()
}

/// Processes in every language on each store, with the packages and the program that the steps before have built.
fn processes(steps: &mut Steps, server: Option<&Server>) {
    let store = if server.is_some() { "both" } else { "sqlite" };
    let runs: [(_, &[&str]); 3] =
        [("cases", &[]), ("history", &["--seconds", "12"]), ("liveness", &["--rounds", "150"])];
    for (name, args) in runs {
        let mut chaos = Command::new(built("dev").join("chaos"));
        chaos.arg(name).args(["--store", store]).args(args);
        steps.run(name, || beside(server, &mut chaos));
    }
}

fn bench(mut args: Vec<String>) -> Result<()> {
    let sqlite_only = args.windows(2).any(|pair| pair == ["--store", "sqlite"]);
    let given = args.len();
    args.retain(|a| a != "--peers");
    let peers = args.len() < given;
    let languages = peers || !args.iter().any(|a| a == "--store");
    let args = yardstick::prepare(args)?;
    let mut command = cargo(["run", "--release", "-p", "kurultai-benches", "--"]);
    command.args(args);
    if languages {
        python::build("release")?;
        node::build("release")?;
        command.arg("--languages").arg(root());
    }
    let peers = peers.then(peers::Peers::prepare).transpose()?;
    if let Some(peers) = &peers {
        command.args(peers.args());
    }
    if sqlite_only {
        return run(&mut command);
    }
    // Compiled first, so that no compiler and no idle server compete.
    run(&mut cargo(["build", "--release", "-p", "kurultai-benches"]))?;
    Server::named_or_new()?.run(&mut command)
}

/// The targets are tests, which `cargo test` gives a few seconds each.
const FUZZ: &str = "fuzz::";
const FUZZ_SECONDS: &str = "KURULTAI_FUZZ_SECONDS";

/// A minute for each target, with what the other steps leave of the processor.
fn fuzz_beside(tests: &[&str]) -> Command {
    let mut nice = Command::new("nice");
    nice.args(["-n", "19", "cargo"]).args(tests).args([
        "--lib",
        "--",
        FUZZ,
        "--nocapture",
        "--test-threads",
        "1",
    ]);
    nice.env(FUZZ_SECONDS, "60");
    nice
}

fn fuzz(mut args: Vec<String>) -> Result<()> {
    let mut seconds = "60".to_owned();
    if let Some(at) = args.iter().position(|arg| arg == "--seconds") {
        seconds = args.drain(at..(at + 2).min(args.len())).nth(1).ok_or("--seconds N")?;
    }
    let target = args.first().map_or(FUZZ, String::as_str);
    let mut tests =
        cargo(["test", "--release", "--locked", "-p", "kurultai-core", "--lib", "--", "--nocapture"]);
    run(tests.arg(target).env(FUZZ_SECONDS, seconds))
}

fn chaos(args: &[String]) -> Result<()> {
    if args.first().is_some_and(|arg| ["history", "liveness", "cases"].contains(&arg.as_str())) {
        python::build("dev")?;
        node::build("dev")?;
        return run(cargo(["run", "-p", "kurultai-tests", "--bin", "chaos", "--"]).args(args));
    }
    run(cargo(["run", "--release"]).args(["-p", "kurultai-tests", "--bin", "chaos", "--"]).args(args))
}

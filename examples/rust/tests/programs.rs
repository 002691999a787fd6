//! The examples of every language, run as a user runs them; `examples/README.md` says what they must print.
//!
//! Python and Node need their library built: `cargo xtask test` does that before.

use rusqlite::Connection;
use serde::Deserialize;
use std::{
    collections::BTreeSet,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::mpsc::{RecvTimeoutError, channel},
    thread,
    time::Duration,
};

const ONE_AGENT: &str =
    "{\"greeting\":\"hello, Kublai\"}\n{\"greeting\":\"hello, Temüjin\"}\n{\"greeting\":\"hello, Jochi\"}\n";
const FAN_IN: &str = "{\"parts\":[3,4,7],\"total\":14}\n";
const COUNCIL: &str = "kublai leads
kublai is killed
ogedei leads
kublai is back
kublai leads
60 tasks are done, by 5 agents
";
const TASKS: usize = 60;
/// Only a program that hangs takes so long.
const LONGEST: Duration = Duration::from_secs(300);

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The languages whose library is in this tree; an example that one of them lacks fails.
fn languages() -> Vec<&'static str> {
    let there = |(library, language): (&str, &'static str)| root().join(library).is_dir().then_some(language);
    let others = [("kurultai-py", "python"), ("kurultai-node", "node")].into_iter().filter_map(there);
    std::iter::once("rust").chain(others).collect()
}

fn program(language: &str, name: &str) -> Command {
    let script = |interpreter: &str, ending: &str| {
        let path = root().join("examples").join(language).join(format!("{name}.{ending}"));
        assert!(path.is_file(), "{} is missing: see examples/README.md", path.display());
        let mut command = Command::new(interpreter);
        command.arg(path).env("PYTHONPATH", root().join("kurultai-py/python"));
        command
    };
    match (language, name) {
        ("python", _) => script("python3", "py"),
        ("node", _) => script("node", "mjs"),
        (_, "one_agent") => Command::new(env!("CARGO_BIN_EXE_one_agent")),
        (_, "fan_in") => Command::new(env!("CARGO_BIN_EXE_fan_in")),
        _ => Command::new(env!("CARGO_BIN_EXE_team")),
    }
}

fn start(mut command: Command) -> Child {
    let piped = command.stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    piped.spawn().unwrap_or_else(|e| panic!("{command:?} did not start: {e}"))
}

fn printed(language: &str, child: Child) -> String {
    let (group, (ended, end)) = (format!("-{}", child.id()), channel::<()>());
    let watchdog = thread::spawn(move || {
        if end.recv_timeout(LONGEST) == Err(RecvTimeoutError::Timeout) {
            Command::new("kill").args(["-KILL", "--", &group]).status().expect("`kill` is there");
        }
    });
    let Output { status, stdout, stderr } = child.wait_with_output().expect("it was started");
    drop(ended);
    watchdog.join().expect("it only waits");
    let said = String::from_utf8_lossy(&stderr);
    assert!(status.success(), "the program in {language} ended with {status}:\n{said}");
    String::from_utf8(stdout).expect("UTF-8")
}

#[test]
fn one_agent_handles_its_tasks() {
    for language in languages() {
        assert_eq!(printed(language, start(program(language, "one_agent"))), ONE_AGENT, "{language}");
    }
}

#[test]
fn fan_in_hands_results_over() {
    for language in languages() {
        assert_eq!(printed(language, start(program(language, "fan_in"))), FAN_IN, "{language}");
    }
}

#[test]
fn a_council_goes_on_without_its_router() {
    for language in languages().into_iter().filter(|language| *language != "rust") {
        assert_eq!(printed(language, start(program(language, "council"))), COUNCIL, "{language}");
    }
}

#[derive(Deserialize)]
struct Line {
    agent: String,
    did: BTreeSet<usize>,
}

/// At least three processes, so one of Rust for each language that is not there.
#[test]
fn a_team_in_all_languages_shares_one_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("team.db");
    let mut languages = languages();
    languages.resize(3, "rust");
    let start = |(number, language): (usize, &&'static str)| {
        let mut command = program(language, "team");
        let (url, agent) = (format!("sqlite:{}", file.display()), format!("{language}-{number}"));
        command.args([url, agent, TASKS.to_string(), languages.len().to_string()]);
        (*language, start(command))
    };
    let members: Vec<_> = languages.iter().enumerate().map(start).collect();
    let lines: Vec<Line> = members
        .into_iter()
        .map(|(language, child)| {
            let line = printed(language, child);
            serde_json::from_str(&line).unwrap_or_else(|e| panic!("{language} printed {line:?}: {e}"))
        })
        .collect();

    for Line { agent, did } in &lines {
        assert!(!did.is_empty(), "{agent} did nothing");
    }
    let all: Vec<usize> = lines.iter().flat_map(|line| &line.did).copied().collect();
    assert_eq!(all.len(), TASKS, "done by two");
    assert_eq!(BTreeSet::from_iter(all), (1..=TASKS).collect(), "done by nobody");

    // And what the file itself says, seen by none of the three.
    let database = Connection::open(&file).expect("the file");
    let counts = database
        .query_row(
            "select count(*), count(distinct json_extract(results, '$.n')), sum(attempts),
               sum(status = 'completed' and json_extract(results, '$.square') = json_extract(payload, '$.n')
                 * json_extract(payload, '$.n') and json_extract(results, '$.by') = claimed_by) from tasks",
            [],
            |row| Ok([row.get(0)?, row.get(1)?, row.get(2)?, row.get::<_, i64>(3)?]),
        )
        .expect("the view of the tasks");
    assert_eq!(counts, [TASKS as i64; 4], "tasks, distinct ones, attempts, and those completed rightly");
}

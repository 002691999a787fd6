//! `kurultai heartbeat`, `watch` and `verify` as their users run them.

mod shell;

use serde_json::Value;
use shell::Shell;
use std::{
    fs,
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
    time::Duration,
};

/// Only a test that fails waits so long.
const LONG: Duration = Duration::from_secs(30);

/// A program that goes on until it is told to end, and the lines that it says.
struct Running {
    child: Child,
    lines: Receiver<String>,
}

impl Running {
    fn start(command: &mut Command) -> Running {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
        let out = child.stdout.take().expect("a pipe");
        let (send, lines) = channel();
        thread::spawn(move || {
            BufReader::new(out).lines().map_while(Result::ok).try_for_each(|l| send.send(l))
        });
        Running { child, lines }
    }

    fn line(&self) -> String {
        self.lines.recv_timeout(LONG).expect("a line on stdout")
    }

    /// The first line that has all of this.
    fn line_with(&self, words: &[&str]) -> String {
        loop {
            let line = self.line();
            if words.iter().all(|word| line.contains(word)) {
                return line;
            }
        }
    }

    /// Asks it to end; returns its exit code and what it said on stderr.
    fn terminate(self) -> (Option<i32>, String) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().expect("a shell").success());
        let output = self.child.wait_with_output().expect("it ends");
        (output.status.code(), String::from_utf8(output.stderr).expect("text"))
    }
}

fn state(shell: &Shell, agent: &str) -> Value {
    let seen = shell.json(&["agents", "show", agent]);
    seen["health"]["state"].clone()
}

#[test]
fn a_sidecar_says_that_it_is_ready_and_ends_gracefully() {
    let shell = Shell::new();
    let sidecar =
        Running::start(&mut shell.command(&["heartbeat", "--agents", "Temüjin,kublai", "--interval", "1"]));
    let ready = sidecar.line();
    assert!(ready.starts_with("ready: Temüjin, kublai beat every 1 s on sqlite"), "{ready}");
    assert_eq!((state(&shell, "temujin"), state(&shell, "kublai")), ("idle".into(), "idle".into()));
    assert_eq!(shell.json(&["agents", "show", "temujin"])["display_name"], "Temüjin");
    let first = shell.json(&["agents", "show", "kublai"])["infra_heartbeat"].clone();
    while shell.json(&["agents", "show", "kublai"])["infra_heartbeat"] == first {
        thread::yield_now();
    }
    let (code, log) = sidecar.terminate();
    assert_eq!(code, Some(0), "{log}");
    assert!(log.lines().count() >= 2 && log.lines().all(|l| l.contains("INFO 2 agents beat in ")), "{log}");
}

#[test]
fn a_sidecar_of_the_preset_logs_to_a_file() {
    let shell = Shell::new();
    let log = tempfile::NamedTempFile::new().expect("a file");
    let path = log.path().to_str().expect("text");
    let mut command = shell.command(&["heartbeat", "--preset", "kurultai", "--log-file", path, "--json"]);
    let sidecar = Running::start(command.env("AGENT_HEARTBEAT_SECONDS", "7"));
    let ready: Value = serde_json::from_str(&sidecar.line()).expect("JSON");
    assert_eq!((ready["ready"].as_array().map(Vec::len), &ready["interval"]), (Some(6), &7.0.into()));
    assert_eq!(sidecar.terminate(), (Some(0), String::new()));
    assert!(fs::read_to_string(log.path()).expect("a log").contains("INFO 6 agents beat"));
    let names = ["chagatai", "jochi", "kublai", "mongke", "ogedei", "temujin"];
    names.iter().for_each(|name| assert_eq!(state(&shell, name), "idle", "{name}"));
}

#[test]
fn only_a_bad_configuration_ends_a_sidecar() {
    let shell = Shell::new();
    let code = |name: &str, value: &str, args: &[&str]| {
        let mut command = shell.command(args);
        let output = command.env(name, value).output().expect("the program starts");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let beat = ["heartbeat", "--agents", "a"];
    for (name, value) in
        [("KURULTAI_URL", "mysql:x"), ("HEARTBEAT_INTERVAL", "often"), ("CIRCUIT_BREAKER_THRESHOLD", "-1")]
    {
        let (code, said) = code(name, value, &beat);
        assert_eq!(code, Some(7), "{said}");
        assert!(said.contains("config."), "{said}");
    }
    assert_eq!(code("KURULTAI_URL", "sqlite:x.db", &["heartbeat", "--agents", "x y"]).0, Some(2));
    assert_eq!(code("KURULTAI_URL", "sqlite:x.db", &["heartbeat"]).0, Some(2));
}

#[test]
fn a_sidecar_waits_for_a_store_that_is_down() {
    let shell = Shell::new();
    // Nobody listens there.
    let mut command = shell.command(&["heartbeat", "--agents", "a"]);
    let sidecar = Running::start(command.env("KURULTAI_URL", "neo4j://neo4j:password@127.0.0.1:1/neo4j"));
    assert!(sidecar.lines.recv_timeout(Duration::from_secs(3)).is_err(), "it is not ready");
    let (code, log) = sidecar.terminate();
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains("WARN") && log.contains("trying again in 1 s"), "{log}");
}

#[test]
fn a_watcher_finds_a_death() {
    let shell = Shell::new();
    shell.out(&["agents", "beat", "--create", "temujin"]);
    shell.out(&["tasks", "enqueue", "review"]);
    shell.out(&["tasks", "claim", "temujin", "--lease", "1h"]);
    let watch = ["watch", "--every", "250ms", "--dead-after", "1s", "--stuck-after", "1s"];
    let watcher = Running::start(&mut shell.command(&watch));
    assert!(watcher.line().contains("watching"));
    watcher.line_with(&["declared dead", "temujin"]);
    assert_eq!(state(&shell, "temujin"), "dead");
    assert_eq!(shell.json(&["tasks", "list"])["tasks"][0]["status"], "pending");
    shell.out(&["agents", "beat", "temujin"]);
    watcher.line_with(&["recovered", "temujin"]);
    assert_eq!(watcher.terminate().0, Some(0));
    assert_eq!(
        shell.error(&["watch", "--every", "5s", "--dead-after", "5s"]),
        (2, "input.invalid".to_owned())
    );
}

#[test]
fn verify_says_what_is_wrong() {
    let shell = Shell::new();
    let verify = |args: &[&str]| {
        let args: Vec<&str> = ["verify", "--json"].iter().chain(args).copied().collect();
        let output = shell.run(&args);
        let found: Value = serde_json::from_slice(&output.stdout).expect("one document");
        let failed = found["checks"].as_array().expect("checks").iter().filter(|check| check["ok"] == false);
        let failed: Vec<String> =
            failed.map(|c| c["check"].as_str().unwrap_or_default().to_owned()).collect();
        (output.status.code(), failed)
    };
    assert_eq!(verify(&[]), (Some(1), vec!["infra".to_owned()]), "nobody is registered");
    shell.out(&["agents", "beat", "--create", "temujin"]);
    assert_eq!(verify(&[]), (Some(0), vec![]));
    assert_eq!(verify(&["--strict"]), (Some(1), vec!["functional".to_owned()]), "it has never worked");
    shell.out(&["tasks", "enqueue", "review"]);
    shell.out(&["tasks", "claim", "temujin"]);
    assert_eq!(verify(&["--strict"]), (Some(0), vec![]));
    let text = shell.out(&["verify"]);
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines.len() == 6 && lines.iter().all(|line| line.starts_with("ok    ")), "{text}");
    let names = shell.json(&["namespaces", "list"]);
    assert!(!names.to_string().contains("verify-"), "the rehearsal leaves nothing: {names}");
}

#[test]
fn capabilities_come_and_go_and_who_holds_a_task_stays() {
    let shell = Shell::new();
    shell.out(&["agents", "register", "temujin", "--capabilities", "go,c"]);
    shell.out(&["agents", "update", "temujin", "--add", "rust", "--remove", "go", "--metadata", "{\"n\":1}"]);
    let agent = shell.json(&["agents", "show", "temujin"]);
    assert_eq!(
        (&agent["capabilities"], &agent["metadata"]["n"]),
        (&serde_json::json!(["c", "rust"]), &1.into())
    );
    shell.out(&["tasks", "enqueue", "review", "--requires", "rust"]);
    shell.out(&["tasks", "claim", "temujin"]);
    assert_eq!(shell.error(&["agents", "deregister", "temujin"]), (4, "agent.in_use".to_owned()));
    shell.out(&["agents", "deregister", "temujin", "--force"]);
    assert_eq!(shell.json(&["tasks", "list"])["tasks"][0]["status"], "pending");
    assert_eq!(shell.error(&["agents", "update", "temujin"]), (3, "agent.not_found".to_owned()));
}

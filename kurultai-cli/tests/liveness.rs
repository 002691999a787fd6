//! `kurultai heartbeat`, `watch` and `verify` as their users run them.

mod shell;

use serde_json::Value;
use shell::{Running, Shell};
use std::{fs, process::Stdio, thread, time::Duration};

/// Nobody listens there.
const DOWN: &str = "neo4j://neo4j:password@127.0.0.1:1/neo4j";

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
    let lines: Vec<&str> = log.lines().collect();
    let (end, beats) = lines.split_last().expect("lines");
    assert!(beats.len() >= 2 && beats.iter().all(|l| l.contains("INFO 2 agents beat in ")), "{log}");
    assert!(end.contains("INFO asked to end"), "{log}");
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
    let names = ["chagatai", "jochi", "kublai", "mongke", "ogedei", "temujin"];
    names.iter().for_each(|name| assert_eq!(state(&shell, name), "idle", "{name}"));
    assert_eq!(sidecar.terminate(), (Some(0), String::new()));
    let log = fs::read_to_string(log.path()).expect("a log");
    assert!(log.contains("INFO 6 agents beat") && log.contains("INFO asked to end"), "{log}");
    // They have not died: it has said goodbye.
    names.iter().for_each(|name| assert_eq!(state(&shell, name), "unknown", "{name}"));
}

#[test]
fn only_a_bad_configuration_ends_a_sidecar() {
    let shell = Shell::new();
    // Nobody listens there, and nobody is waited for.
    let code = |name: &str, value: &str, args: &[&str]| {
        let mut command = shell.command(&[&["heartbeat"], args].concat());
        let output = command.env("KURULTAI_URL", DOWN).env(name, value).output().expect("the program starts");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    for (name, value, names) in [
        ("KURULTAI_URL", "mysql:x", "give --url"),
        ("HEARTBEAT_INTERVAL", "often", "HEARTBEAT_INTERVAL"),
        ("HEARTBEAT_INTERVAL", "0", "from 1 to 86400"),
        ("HEARTBEAT_INTERVAL", "-1", "from 1 to 86400"),
        ("AGENT_HEARTBEAT_SECONDS", "86401", "AGENT_HEARTBEAT_SECONDS"),
        ("CIRCUIT_BREAKER_THRESHOLD", "-1", "CIRCUIT_BREAKER_THRESHOLD"),
    ] {
        let (code, said) = code(name, value, &["--agents", "a"]);
        assert_eq!(code, Some(7), "{said}");
        assert!(said.contains("config.") && said.contains(names), "{said}");
        assert!(name == "KURULTAI_URL" || !said.contains("--url"), "{said}");
    }
    let all: [&[&str]; 12] = [
        &["--agents", "a b"],
        &["--agents", "a,,b"],
        &["--agents", " a "],
        &["--agents", ""],
        &["--agents="],
        &["--agents", "a", "--interval", "0"],
        &["--agents", "a", "--interval", "-1"],
        &["--agents", "a", "--interval", "often"],
        &["--agents", "a", "--interval", "25h"],
        &["--agents", "a", "--interval", "0s"],
        &["--agents", "a", "--log-file", "/no/such/folder/log"],
        &["--agents", "a", "--namespace", "A B"],
    ];
    for args in all {
        let (code, said) = code("X", "", args);
        assert_eq!(code, Some(7), "{args:?}: {said}");
        assert!(!said.contains("--url"), "{said}");
    }
    assert_eq!(code("X", "", &[]).0, Some(2));
}

#[test]
fn an_agent_that_is_named_twice_beats_once() {
    let shell = Shell::new();
    let names = ["heartbeat", "--agents", "Temüjin,temujin,Temu\u{308}jin"];
    let sidecar = Running::start(&mut shell.command(&names));
    assert!(sidecar.line().starts_with("ready: Temüjin beats every 30 s"));
    let (_, log) = sidecar.terminate();
    assert!(log.contains("INFO 1 agent beats in "), "{log}");
}

#[test]
fn a_log_that_was_moved_is_begun_anew() {
    let shell = Shell::new();
    let folder = tempfile::tempdir().expect("a folder");
    let (log, old) = (folder.path().join("log"), folder.path().join("log.1"));
    let path = log.to_str().expect("text");
    let args = ["heartbeat", "--agents", "a", "--interval", "100ms", "--log-file", path];
    let sidecar = Running::start(&mut shell.command(&args));
    sidecar.line();
    fs::rename(&log, &old).expect("it is moved");
    while !log.exists() {
        thread::yield_now();
    }
    sidecar.terminate();
    for log in [old, log] {
        assert!(fs::read_to_string(log).expect("a log").contains("INFO 1 agent beats"));
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_under_stdout_ends_neither_sidecar_nor_watcher() {
    let shell = Shell::new();
    let log = tempfile::NamedTempFile::new().expect("a file");
    let path = log.path().to_str().expect("text");
    let full = || fs::OpenOptions::new().write(true).open("/dev/full").expect("it is there");
    let start = |args: &[&str]| {
        let mut command = shell.command(args);
        let child = command.stdout(full()).stderr(Stdio::piped()).spawn().expect("it starts");
        Running::of(child)
    };
    let sidecar = start(&["heartbeat", "--agents", "a", "--interval", "100ms", "--log-file", path]);
    let watcher = start(&["watch", "--every", "250ms", "--dead-after", "1s"]);
    let beats = || fs::read_to_string(path).expect("a log").matches("INFO 1 agent beats").count();
    while beats() < 5 {
        thread::yield_now();
    }
    let log = fs::read_to_string(path).expect("a log");
    assert!(log.contains("WARN ready, which stdout did not take: the output failed"), "{log}");
    assert_eq!(sidecar.terminate(), (Some(0), String::new()));
    shell.out(&["agents", "beat", "--create", "b"]);
    while state(&shell, "b") != "dead" {
        thread::yield_now();
    }
    let (code, said) = watcher.terminate();
    assert!(code == Some(0) && said.contains("the output failed"), "{said}");
}

#[test]
fn a_sidecar_waits_for_a_store_that_is_down() {
    let shell = Shell::new();
    let mut command = shell.command(&["heartbeat", "--agents", "a"]);
    let sidecar = Running::start(command.env("KURULTAI_URL", DOWN));
    assert!(sidecar.lines.recv_timeout(Duration::from_secs(3)).is_err(), "it is not ready");
    let (code, log) = sidecar.terminate();
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains("WARN") && log.contains("trying again in 1 s"), "{log}");
}

#[test]
fn a_watcher_waits_for_a_store_that_is_down() {
    let shell = Shell::new();
    let watcher = Running::start(shell.command(&["watch"]).env("KURULTAI_URL", DOWN));
    assert!(watcher.line().contains("unwatched"));
    assert!(watcher.lines.recv_timeout(Duration::from_secs(3)).is_err(), "it is said once");
    assert_eq!(watcher.terminate().0, Some(0));
}

#[test]
fn a_watcher_outlives_what_its_store_does() {
    let shell = Shell::new();
    shell.out(&["agents", "beat", "--create", "temujin"]);
    let watcher = Running::start(&mut shell.command(&["watch", "--every", "250ms", "--dead-after", "1s"]));
    watcher.line_with(&["watching", "1 agent"]);
    let (here, away) = (shell.path("team.db"), shell.path("away.db"));
    fs::rename(&here, &away).expect("it is moved");
    watcher.line_with(&["unwatched"]);
    fs::rename(&away, &here).expect("it is back");
    watcher.line_with(&["watching"]);
    assert_eq!(watcher.terminate().0, Some(0));
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
    watcher.line_with(&["declared dead", "temujin", "its tasks are in the queue again"]);
    assert_eq!(state(&shell, "temujin"), "dead");
    assert_eq!(shell.json(&["tasks", "list"])["tasks"][0]["status"], "pending");
    shell.out(&["agents", "beat", "temujin"]);
    watcher.line_with(&["recovered", "temujin"]);
    watcher.line_with(&["declared dead", "temujin", "it held no task"]);
    assert_eq!(watcher.terminate().0, Some(0));
    assert_eq!(
        shell.error(&["watch", "--every", "5s", "--dead-after", "5s"]),
        (7, "config.invalid".to_owned())
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
    let text = String::from_utf8(shell.run(&["verify"]).stdout).expect("text");
    assert!(text.contains("functional  nobody is registered"), "{text}");
    assert_eq!(verify(&["--url", DOWN]), (Some(1), vec!["store".to_owned()]));
    let text = String::from_utf8(shell.run(&["verify", "--url", DOWN]).stdout).expect("text");
    assert!(text.starts_with("FAIL  store  ") && text.lines().count() == 1, "{text}");
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
fn what_an_interrupted_rehearsal_leaves_is_removed() {
    let shell = Shell::new();
    let rehearsals = || {
        let listed = shell.json(&["namespaces", "list"]);
        let names = listed.as_array().expect("a list").iter().filter_map(|team| team["name"].as_str());
        names.filter(|name| name.starts_with("verify-")).map(str::to_owned).collect::<Vec<_>>()
    };
    // One that was left long ago, and two teams that only look like it.
    let left = "verify-01890000-0000-7000-8000-000000000000";
    for team in [left, "verify-prod", "verify-01890000-0000-4000-8000-000000000000"] {
        shell.out(&["agents", "beat", "--create", "a", "--namespace", team]);
    }
    let verify = Running::start(&mut shell.command(&["verify"]));
    while rehearsals().len() < 3 || rehearsals().iter().any(|name| name == left) {
        thread::yield_now();
    }
    let (code, said) = verify.terminate();
    assert_eq!((code, said.as_str()), (Some(143), ""));
    assert_eq!(rehearsals(), ["verify-01890000-0000-4000-8000-000000000000", "verify-prod"]);
}

#[test]
fn why_somebody_is_stuck_is_told_to_the_end() {
    let shell = Shell::new();
    let name = "a-shell-agent-with-a-rather-long-name";
    shell.out(&["agents", "beat", "--create", name]);
    shell.out(&["tasks", "enqueue", "review"]);
    shell.out(&["tasks", "claim", name, "--lease", "1h"]);
    for table in [&["status"][..], &["agents", "health"]] {
        let words = shell.out(table).split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(words.contains(" of work ") && words.contains(" ago") && !words.contains('…'), "{words}");
    }
    while shell.json(&["status", "--stuck-after", "1s"])["agents"][0]["health"]["state"] != "stuck" {
        thread::yield_now();
    }
    assert_eq!(shell.json(&["status"])["agents"][0]["health"]["state"], "alive");
}

#[test]
fn a_command_is_told_of_each_alert_and_its_failure_ends_no_watch() {
    let shell = Shell::new();
    assert_eq!(shell.out(&["events", "alerts"]), "nothing burns\n");
    for _ in 0..3 {
        shell.out(&["tasks", "enqueue", "review"]);
    }
    let command =
        "echo \"$KURULTAI_ALERT_STATE $KURULTAI_ALERT_SEVERITY $KURULTAI_ALERT_KEY: $(cat)\" >> told; exit 3";
    let mut watch = shell.command(&["watch", "--every", "50ms", "--on-alert", command]);
    let watch = Running::start(watch.env("QUEUE_DEPTH_ALERT_THRESHOLD", "3"));
    let line = watch.line_with(&["warning"]);
    assert!(line.ends_with("3 tasks wait to be claimed"), "{line}");
    let alerts = shell.json(&["events", "alerts"]);
    assert_eq!((&alerts[0]["key"], &alerts[0]["state"]), (&"queue.depth".into(), &"raised".into()));
    let status = shell.out(&["status"]);
    assert!(status.contains("WARNING   since ") && status.contains(": 3 tasks wait"), "{status}");
    assert_eq!(shell.json(&["status"])["alerts"], alerts);
    shell.out(&["tasks", "cancel-many", "--type", "review"]);
    watch.line_with(&["cleared"]);
    let told = || fs::read_to_string(shell.path("told")).unwrap_or_default();
    while told().lines().count() < 2 {
        thread::yield_now();
    }
    let mut lines: Vec<String> = told().lines().map(str::to_owned).collect();
    lines.sort();
    let about = |state: &str| format!("{state} warning queue.depth: 3 tasks wait to be claimed");
    assert_eq!(lines, [about("cleared"), about("raised")]);
    let (code, log) = watch.terminate();
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains("the command of --on-alert failed with queue.depth: exit status: 3"), "{log}");
}

#[test]
fn metadata_is_an_object() {
    let shell = Shell::new();
    shell.out(&["agents", "register", "temujin"]);
    for command in ["register", "update"] {
        for (metadata, code) in [("null", "invalid"), ("[]", "invalid"), ("x", "payload"), ("{", "payload")] {
            let (exit, said) = shell.complaint(&["agents", command, "temujin", "--metadata", metadata]);
            assert_eq!(exit, 2, "{said}");
            assert!(said.contains("metadata") && said.contains(&format!("[input.{code}]")), "{said}");
        }
    }
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

#[test]
fn a_role_is_held_until_its_holder_is_asked_to_end() {
    let shell = Shell::new();
    for agent in ["kublai", "ogedei"] {
        shell.out(&["agents", "register", agent]);
    }
    assert_eq!(shell.json(&["agents", "leader", "router"]), Value::Null);
    let leads =
        Running::start(&mut shell.command(&["agents", "lead", "router", "kublai", "--reason", "first"]));
    let line = leads.line();
    assert!(line.starts_with("kublai leads router, term "), "{line}");
    assert_eq!(shell.json(&["agents", "leader", "router"])["holder"], "kublai");
    assert_eq!(shell.json(&["agents", "show", "kublai"])["health"]["leads"][0], "router");
    assert_eq!(shell.error(&["agents", "lead", "router", "ogedei"]), (4, "role.held".to_owned()));
    assert_eq!(leads.terminate(), (Some(0), String::new()));
    assert_eq!(shell.json(&["agents", "leader", "router"]), Value::Null);

    let mut command = shell.command(&["agents", "lead", "router", "ogedei", "--ttl", "300ms"]);
    let leads = Running::start(&mut command);
    leads.line_with(&["ogedei leads router"]);
    let ended =
        shell.json(&["agents", "hand-back", "router", "ogedei", "--to", "kublai", "--reason", "maintenance"]);
    assert_eq!((&ended["holder"], &ended["what"]), (&"ogedei".into(), &"handed back".into()));
    assert_eq!(
        leads.child.wait_with_output().expect("it ends").status.code(),
        Some(5),
        "it has lost the role"
    );
    assert_eq!(shell.error(&["agents", "lead", "router", "ogedei"]), (4, "role.held".to_owned()));
    let told = shell.out(&["events", "tail", "--topic", "role.changed", "--json"]);
    let last: Value = serde_json::from_str(told.lines().last().expect("an event")).expect("JSON");
    let last = &last["payload"];
    assert_eq!((&last["reason"], &last["promised_to"]), (&"maintenance".into(), &"kublai".into()));
}

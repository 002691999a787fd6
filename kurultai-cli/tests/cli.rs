//! The program as its users run it.

mod shell;

use shell::Shell;
use std::{path::Path, process::Stdio};

#[test]
fn an_agent_in_a_shell_is_a_full_member() {
    let shell = Shell::new();
    shell.out(&["agents", "register", "sh-1", "--name", "Möngke 蒙哥", "--capabilities", "bash"]);
    assert_eq!(shell.out(&["agents", "beat", "sh-1"]), "sh-1 beat\n");
    assert_eq!(shell.error(&["agents", "beat", "sh-1", "sh-2"]).1, "agent.not_found");
    let task =
        shell.out(&["tasks", "enqueue", "code", r#"{"n": 1.0}"#, "--requires", "bash", "--title", "Do it"]);
    let task = task.trim();
    let claimed = shell.out(&["tasks", "claim", "sh-1", "--lease", "5m"]);
    let lease = claimed.lines().find_map(|line| line.strip_prefix("LEASE ")).expect("a lease");
    assert_eq!(shell.out(&["tasks", "claim", "sh-1"]), "nothing to claim\n");
    assert_eq!(shell.json(&["tasks", "claim", "sh-1"]), serde_json::json!([]));
    assert_eq!(shell.json(&["tasks", "extend", lease, "--progress", "0.5"])["signal"], "continue");
    assert_eq!(shell.json(&["tasks", "complete", lease, r#"{"ok":true}"#])["repeated"], false);
    assert_eq!(shell.json(&["tasks", "complete", lease, r#"{"ok":true}"#])["repeated"], true);
    assert_eq!(shell.json(&["tasks", "show", task])["results"]["ok"], true);
    assert_eq!(shell.error(&["tasks", "fail", lease, "too late"]), (5, "lease.lost".to_owned()));
    assert!(shell.out(&["status"]).lines().all(|line| line.chars().count() <= 100));
}

#[test]
fn errors_have_codes_and_exit_codes() {
    let shell = Shell::new();
    let said = |args: &[&str]| shell.error(args);
    let as_said = |code: i32, text: &str| (code, text.to_owned());
    assert_eq!(said(&["tasks", "show", "nope"]), as_said(3, "task.not_found"));
    assert_eq!(said(&["tasks", "claim", "nobody"]), as_said(3, "agent.not_found"));
    assert_eq!(said(&["tasks", "enqueue", "x", "{bad"]), as_said(2, "input.payload"));
    assert_eq!(said(&["tasks", "enqueue", "x", "--delay", "5"]), as_said(2, "input.usage"));
    assert_eq!(said(&["tasks", "complete", "rubbish"]), as_said(2, "input.usage"));
    assert_eq!(said(&["run", "no-such-file"]), as_said(2, "input.plan"));
    assert_eq!(said(&["status", "--url", "neo4x://user:secret@host"]), as_said(7, "config.url"));
    let task = shell.out(&["tasks", "enqueue", "x"]);
    shell.out(&["tasks", "cancel", task.trim()]);
    assert_eq!(said(&["tasks", "suspend", task.trim()]), as_said(4, "task.state"));
}

#[test]
fn a_plan_is_imported_once() {
    let shell = Shell::new();
    let plan = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/backlog/kurultai-gap-plan.json");
    let plan = plan.display().to_string();
    let first = shell.json(&["run", &plan]);
    assert_eq!(
        (&first["tasks_added"], first["agents_registered"].as_array().map(Vec::len)),
        (&40.into(), Some(6))
    );
    let second = shell.json(&["run", &plan]);
    assert_eq!((&second["tasks_added"], &second["tasks_there_already"]), (&0.into(), &40.into()));
}

#[test]
fn a_reader_that_leaves_is_no_error() {
    let shell = Shell::new();
    shell.out(&["run", "coditect"]);
    let mut child = shell
        .command(&["events", "tail", "--after", "0", "--limit", "10000"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
}

#[test]
fn a_task_is_changed_and_found_by_its_key() {
    let shell = Shell::new();
    let id = shell.out(&["tasks", "enqueue", "code", r#"{"n": 1}"#, "--key", "nightly"]);
    let id = id.trim();
    let change = ["--payload", r#"{"n": 2}"#, "--priority", "P0", "--run-at", "2030-01-01T00:00:00Z"];
    let changed = shell.json(&[&["tasks", "update", id, "--expires-at", "never"], &change[..]].concat());
    assert_eq!((&changed["payload"]["n"], &changed["priority"]), (&2.into(), &"P0".into()));
    assert_eq!((&changed["run_at"], &changed["expires_at"]), (&"2030-01-01T00:00:00Z".into(), &().into()));
    let assigned = shell.json(&["tasks", "assign", id, "jochi", "--by", "kublai"]);
    assert_eq!(assigned["assigned_to"], "jochi");
    assert!(shell.json(&["tasks", "assign", id])["assigned_to"].is_null());
    assert_eq!(shell.json(&["tasks", "reprioritize", id, "P3", "--weight", "0.9"])["priority_weight"], 0.9);
    assert_eq!(shell.json(&["tasks", "show", "--key", "nightly"])["id"], id);
    assert_eq!(shell.error(&["tasks", "show", "--key", "weekly"]), (3, "task.not_found".to_owned()));
    assert_eq!(shell.error(&["tasks", "update", id]), (2, "input.invalid".to_owned()));
    assert_eq!(shell.error(&["tasks", "update", id, "--run-at", "soon"]), (2, "input.usage".to_owned()));
}

#[test]
fn many_tasks_are_cancelled_and_requeued() {
    let shell = Shell::new();
    let root = shell.out(&["tasks", "enqueue", "plan"]);
    let root = root.trim();
    for _ in 0..3 {
        shell.out(&["tasks", "enqueue", "part", "--parent", root]);
    }
    assert_eq!(shell.error(&["tasks", "cancel-many"]), (2, "input.usage".to_owned()));
    let said = shell.out(&["tasks", "cancel-many", "--type", "part", "--reason", "replaced"]);
    assert_eq!(said, "3 tasks cancelled, or asked to stop\n");
    assert_eq!(shell.json(&["tasks", "requeue-many", "--parent", root])["tasks"], 3);
    shell.out(&["tasks", "cancel", root, "--children"]);
    assert_eq!(shell.json(&["tasks", "stats"])["by_status"], serde_json::json!({"cancelled": 4}));
}

#[test]
fn an_emergency_stop_asks_every_holder_and_is_lifted() {
    let shell = Shell::new();
    shell.out(&["agents", "register", "sh-1"]);
    for _ in 0..3 {
        shell.out(&["tasks", "enqueue", "deploy"]);
    }
    let claimed = shell.out(&["tasks", "claim", "sh-1", "--max", "2"]);
    let lease = claimed.lines().find_map(|line| line.strip_prefix("LEASE ")).expect("a lease");
    assert_eq!(shell.error(&["stop"]), (2, "input.usage".to_owned()));
    let said = shell.out(&["stop", "--reason", "the bill is on fire"]);
    assert_eq!(said, "everything is stopped, and 2 holders asked to cancel: the bill is on fire\n");
    assert_eq!(shell.json(&["stop", "--reason", "again"])["asked"], 0);
    assert_eq!(shell.json(&["tasks", "stats"])["stopped"]["reason"], "the bill is on fire");
    let status = shell.out(&["status"]);
    let shown = |line: &str| line.starts_with("STOPPED since ") && line.ends_with(": the bill is on fire");
    assert!(status.lines().any(shown), "{status}");
    assert_eq!(shell.json(&["tasks", "extend", lease])["signal"], "cancel");
    assert_eq!(shell.json(&["tasks", "release", lease])["status"], "cancelled");
    assert_eq!(shell.out(&["tasks", "claim", "sh-1"]), "nothing to claim\n");
    assert_eq!(shell.out(&["start"]), "tasks are given out again\n");
    assert_eq!(shell.json(&["tasks", "claim", "sh-1"]).as_array().map(Vec::len), Some(1));
}

#[test]
fn namespaces_are_listed_and_deleted() {
    let shell = Shell::new();
    shell.out(&["tasks", "enqueue", "x", "--namespace", "tenant"]);
    shell.out(&["agents", "register", "sh-1", "--namespace", "tenant"]);
    let listed = shell.json(&["namespaces", "list"]);
    assert_eq!(listed[0], serde_json::json!({"name": "default", "tasks": 0, "agents": 0}));
    assert_eq!(listed[1], serde_json::json!({"name": "tenant", "tasks": 1, "agents": 1}));
    assert_eq!(shell.out(&["namespaces", "list"]).lines().count(), 3);
    let (code, said) = shell.complaint(&["namespaces", "delete", "tenant"]);
    assert!(code == 2 && said.contains("1 task and 1 agent of tenant would be deleted"), "{said}");
    assert_eq!(shell.out(&["namespaces", "delete", "tenant", "--yes"]), "tenant is deleted\n");
    let again = shell.error(&["namespaces", "delete", "tenant", "--yes"]);
    assert_eq!(again, (3, "store.namespace_missing".to_owned()));
    assert_eq!(shell.error(&["namespaces", "delete", "default", "-y"]), (2, "input.invalid".to_owned()));
}

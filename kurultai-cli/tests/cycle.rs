//! `kurultai cycle` as a shell runs it every five minutes.

mod shell;

use kurultai_core::{Agent, Config, Kurultai};
use serde_json::{Value, json};
use shell::{Running, Shell};
use std::fs;

macro_rules! cases {
    ($($name:ident),+ $(,)?) => {
        mod sqlite {
            $(#[test]
            fn $name() { super::$name(&crate::Shell::new()); })+
        }
        mod neo4j {
            $(#[test]
            fn $name() { super::$name(&crate::Shell::neo4j()); })+
        }
    };
}

cases![
    it_delegates_and_tells_a_shell_by_its_exit_code,
    who_sleeps_on_work_is_woken,
    who_is_woken_can_be_given_its_lease,
    it_goes_on_until_it_is_asked_to_end,
];

/// A router with a key, and a tester.
fn team(shell: &Shell) {
    shell.out(&["agents", "register", "kublai", "--capabilities", "routing"]);
    shell.out(&["agents", "register", "jochi", "--capabilities", "testing"]);
    shell.out(&["keys", "rotate", "kublai", "--out", "kublai.key"]);
}

/// Its exit code and its text.
fn said(shell: &Shell, args: &[&str]) -> (Option<i32>, String) {
    let output = shell.run(args);
    (output.status.code(), String::from_utf8(output.stdout).expect("text"))
}

fn it_delegates_and_tells_a_shell_by_its_exit_code(shell: &Shell) {
    team(shell);
    let said = |args: &[&str]| said(shell, args);
    let cycle = ["cycle", "--key", "kublai.key", "--exit-code"];
    assert_eq!(said(&cycle), (Some(0), "HEARTBEAT_OK\n".to_owned()));
    let id = shell.out(&["tasks", "enqueue", "check", "--title", "Check it", "--requires", "testing"]);
    let delegated = format!("delegated 1 task:\n- jochi: check {} Check it\n", id.trim());
    assert_eq!(said(&cycle), (Some(10), delegated));
    assert_eq!(said(&["cycle"]), (Some(0), "HEARTBEAT_OK\n".to_owned()), "it is told once, and needs no key");
    let view = said(&["cycle", "--agent", "jochi", "--exit-code"]);
    assert_eq!(
        view,
        (Some(10), format!("1 unread message\nfor you 1 task:\n- check {} Check it\n", id.trim()))
    );
    assert_eq!(shell.error(&["cycle", "--agent", "nobody"]), (3, "agent.not_found".to_owned()));
    for wrong in
        [&["cycle", "--start"][..], &["cycle", "--every", "1s", "--exit-code"], &["cycle", "--every", "5"]]
    {
        assert_eq!(shell.error(wrong), (2, "input.usage".to_owned()), "{wrong:?}");
    }
    for _ in 0..11 {
        shell.error(&["messages", "accept", "no token"]);
    }
    let (code, text) = said(&cycle);
    assert!(code == Some(20) && text.lines().count() == 1 && text.contains("were refused"), "{text}");
}

/// Its process ends and says so, as an agent's does.
fn sleeps(shell: &Shell, agent: &str) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let config = Config::new(&shell.url()).and_then(|config| config.namespace(shell.namespace()));
        let team = Kurultai::open_with(config.expect("a team")).await.expect("a store");
        let nothing = |_: kurultai_core::worker::Context, (): ()| async { Ok::<_, std::io::Error>(()) };
        let known = team.agents().get(agent).await.expect("an agent");
        let worker = Agent::new(agent).capabilities(known.capabilities).task("nothing", nothing);
        worker.run_until(&team, std::future::ready(())).await.expect("it ends");
        team.close().await;
    });
}

/// Writes down what it was told, a line each time.
const WAKE: &str = "echo \"$KURULTAI_AGENT,$KURULTAI_TASK,$KURULTAI_LEASE\" >> woken";

fn lines(shell: &Shell) -> Vec<String> {
    let text = fs::read_to_string(shell.path("woken")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

fn status(shell: &Shell, task: &str) -> Value {
    shell.json(&["tasks", "show", task])["status"].clone()
}

fn who_sleeps_on_work_is_woken(shell: &Shell) {
    team(shell);
    sleeps(shell, "jochi");
    let cycle = ["cycle", "--key", "kublai.key", "--wake", WAKE];
    assert_eq!(said(shell, &cycle), (Some(0), "HEARTBEAT_OK\n".to_owned()), "it has no work");
    let id = shell.out(&["tasks", "enqueue", "check", "--requires", "testing"]);
    let id = id.trim();
    let failing = ["cycle", "--key", "kublai.key", "--wake", "exit 3", "--json"];
    let output = shell.run(&failing);
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!((&report["asleep"], &report["woken"]), (&json!(["jochi"]), &json!([])));
    let why = String::from_utf8(output.stderr).expect("text");
    assert!(why.contains("jochi was not woken") && why.contains('3'), "{why}");
    let report = shell.json(&cycle);
    assert_eq!((&report["asleep"], &report["woken"]), (&json!(["jochi"]), &json!(["jochi"])), "once more");
    assert_eq!(lines(shell), ["jochi,,"], "it claims by itself");
    assert_eq!(status(shell, id), "pending", "nobody has begun");
    let claimed = shell.json(&["tasks", "claim", "jochi"]);
    assert_eq!(claimed[0]["task"]["id"], id);
    assert_eq!(shell.json(&cycle)["asleep"], json!([]), "it is awake");
    assert_eq!(lines(shell).len(), 1);
}

fn who_is_woken_can_be_given_its_lease(shell: &Shell) {
    team(shell);
    let id = shell.out(&["tasks", "enqueue", "check", "--requires", "testing"]);
    let id = id.trim();
    sleeps(shell, "jochi");
    let failing = ["cycle", "--key", "kublai.key", "--wake", "exit 3", "--start"];
    assert_eq!(shell.json(&failing)["woken"], json!([]));
    assert_eq!(status(shell, id), "pending", "it was given back");
    sleeps(shell, "jochi");
    let report = shell.json(&["cycle", "--key", "kublai.key", "--wake", WAKE, "--start"]);
    assert_eq!(report["woken"], json!(["jochi"]));
    let [line] = &lines(shell)[..] else { panic!("it was woken once") };
    let [agent, task, lease] = line.split(',').collect::<Vec<_>>()[..] else { panic!("{line}") };
    assert_eq!((agent, task), ("jochi", id));
    let shown = shell.json(&["tasks", "show", id]);
    assert_eq!((&shown["status"], &shown["claimed_by"]), (&json!("in_progress"), &json!("jochi")));
    assert_eq!(shell.json(&["tasks", "extend", lease, "--ttl", "5m"])["signal"], "continue");
    assert_eq!(shell.json(&["tasks", "complete", lease, "1"])["repeated"], false);
    assert_eq!(status(shell, id), "completed");
}

fn it_goes_on_until_it_is_asked_to_end(shell: &Shell) {
    team(shell);
    let cycle = ["cycle", "--key", "kublai.key", "--every", "1s", "--agent", "kublai"];
    let cycles = Running::start(&mut shell.command(&cycle));
    assert_eq!((cycles.line(), cycles.line()), ("HEARTBEAT_OK".to_owned(), "HEARTBEAT_OK".to_owned()));
    let id = shell.out(&["tasks", "enqueue", "check", "--requires", "testing"]);
    cycles.line_with(&["delegated 1 task:"]);
    assert_eq!(cycles.line(), format!("- jochi: check {}", id.trim()));
    // Where another one routes it waits for its turn.
    shell.out(&["agents", "register", "ogedei"]);
    let mut lead = shell.command(&["agents", "lead", "router", "ogedei", "--wait", "30s"]);
    let leads = Running::start(&mut lead);
    leads.line();
    assert_eq!(shell.error(&["cycle", "--agent", "kublai"]), (4, "role.held".to_owned()));
    let (code, log) = leads.terminate();
    assert_eq!(code, Some(0), "{log}");
    let id = shell.out(&["tasks", "enqueue", "check", "--requires", "testing"]);
    cycles.line_with(&["jochi: check", id.trim()]);
    let (code, log) = cycles.terminate();
    assert_eq!(code, Some(0), "{log}");
}

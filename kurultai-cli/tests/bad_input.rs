//! Whatever a shell hands over, the program says one clear line and ends with the code that its help names.

mod shell;

use serde_json::Value;
use shell::Shell;
use std::{
    ffi::{OsStr, OsString},
    fs::File,
    process::Stdio,
};

#[test]
fn long_payloads_come_from_stdin() {
    let shell = Shell::new();
    shell.out(&["agents", "register", "temujin"]);
    let text = "ü".repeat(200_000);
    let payload = serde_json::json!({ "text": text }).to_string();
    let added = shell.fed(&["tasks", "enqueue", "x", "-"], format!("{payload}\n").as_bytes());
    assert!(added.status.success(), "{added:?}");
    let id = String::from_utf8(added.stdout).unwrap();
    let task: Value = shell.json(&["tasks", "show", id.trim()]);
    assert_eq!(task["payload"]["text"].as_str(), Some(text.as_str()));

    let lease = |shell: &Shell| {
        let claimed = shell.out(&["tasks", "claim", "temujin"]);
        claimed.lines().find_map(|line| line.strip_prefix("LEASE ")).unwrap().to_owned()
    };
    let held = lease(&shell);
    let kept = shell.fed(&["tasks", "extend", &held, "--checkpoint", "-"], payload.as_bytes());
    assert!(kept.status.success(), "{kept:?}");
    let done = shell.fed(&["tasks", "complete", &held, "-"], payload.as_bytes());
    assert!(done.status.success(), "{done:?}");
    assert_eq!(shell.json(&["tasks", "show", id.trim()])["results"]["text"].as_str(), Some(text.as_str()));

    let id = shell.out(&["tasks", "enqueue", "x"]);
    let failed =
        shell.fed(&["tasks", "fail", &lease(&shell), "-", "--final"], "a trace\nof lines\n".as_bytes());
    assert!(failed.status.success(), "{failed:?}");
    assert_eq!(shell.json(&["tasks", "show", id.trim()])["error_message"], "a trace\nof lines");
}

#[test]
fn stdin_that_is_no_payload_is_refused() {
    let shell = Shell::new();
    let refused = |input: &[u8], why: &str| {
        let output = shell.fed(&["tasks", "enqueue", "x", "-"], input);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), said.lines().count()), (Some(2), 1), "{said}");
        assert!(said.contains(why), "{said}");
    };
    refused(b"", "[input.payload]");
    refused(b"{\"a\": ", "[input.payload]");
    refused(b"\"\xff\"", "stdin is not UTF-8");
    refused(&vec![b'1'; 3 << 20], "more than 1048576 bytes");
    refused("ü".repeat(1 << 20).as_bytes(), "more than 1048576 bytes");
}

#[cfg(unix)]
#[test]
fn arguments_that_are_no_text_are_refused() {
    use std::os::unix::ffi::OsStrExt;
    let shell = Shell::new();
    let odd = || OsString::from(OsStr::from_bytes(b"a\xffb"));
    let all: [&[&str]; 7] = [
        &["tasks", "enqueue"],
        &["tasks", "enqueue", "x", "--title"],
        &["tasks", "show"],
        &["tasks", "complete"],
        &["agents", "register"],
        &["run"],
        &[],
    ];
    for words in all {
        let mut args: Vec<OsString> = words.iter().map(OsString::from).collect();
        args.push(odd());
        let (code, said) = shell.complaint(&args);
        assert!(code == 2 && said.contains("a\u{fffd}b"), "{words:?}: {said}");
        args.push("--json".into());
        let (code, said) = shell.complaint(&args);
        let error: Value = serde_json::from_str(&said).expect("JSON");
        assert_eq!((code, &error["error"]["code"]), (2, &"input.usage".into()), "{words:?}: {said}");
    }
    let mut command = shell.command(&["status"]);
    let output = command.env("KURULTAI_URL", odd()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(matches!(output.status.code(), Some(2 | 7)) && said.lines().count() == 1, "{said}");
}

#[test]
fn wrong_numbers_name_the_option_and_what_is_allowed() {
    let shell = Shell::new();
    shell.out(&["agents", "register", "temujin"]);
    let far = "99999999999999999999999999";
    let all: [(&[&str], &str); 27] = [
        (&["tasks", "enqueue", "x", "--delay", "-5s"], "--delay"),
        (&["tasks", "enqueue", "x", "--delay", "99999999999999999999999d"], "--delay"),
        (&["tasks", "enqueue", "x", "--delay", "99999999d"], "delay"),
        (&["tasks", "enqueue", "x", "--expires", "-1s"], "--expires"),
        (&["tasks", "enqueue", "x", "--expires", "99999999999d"], "expir"),
        (&["tasks", "enqueue", "x", "--weight", "nan"], "priority_weight"),
        (&["tasks", "enqueue", "x", "--weight", "-0.5"], "priority_weight"),
        (&["tasks", "enqueue", "x", "--max-attempts", far], "--max-attempts"),
        (&["tasks", "enqueue", "x", "--max-attempts", "-1"], "--max-attempts"),
        (&["tasks", "enqueue", "x", "--priority", "P9"], "--priority"),
        (&["tasks", "enqueue", "x", "--run-at", "+999999-01-01T00:00:00Z"], "run"),
        (&["tasks", "enqueue", "x", "--run-at", "tomorrow"], "--run-at"),
        (&["tasks", "claim", "temujin", "--max", "0"], "max"),
        (&["tasks", "claim", "temujin", "--max", far], "--max"),
        (&["tasks", "claim", "temujin", "--wait", "-1s"], "--wait"),
        (&["tasks", "claim", "temujin", "--lease", "0s"], "lease"),
        (&["tasks", "claim", "temujin", "--lease", "99999999999999d"], "lease"),
        (&["tasks", "list", "--limit", "-1"], "--limit"),
        (&["tasks", "list", "--limit", "1001"], "limit"),
        (&["tasks", "list", "--limit", "0"], "limit"),
        (&["tasks", "dead-letters", "--limit", "0"], "limit"),
        (&["tasks", "list", "--status", "done"], "--status"),
        (&["tasks", "dead-letters", "--limit", "100000"], "limit"),
        (&["events", "tail", "--limit", "0"], "--limit"),
        (&["events", "tail", "--after", far], "--after"),
        (&["agents", "register", "x", "--max-concurrent", "-1"], "--max-concurrent"),
        (&["status", "--watch", "0"], "--watch"),
    ];
    for (args, names) in all {
        let (code, said) = shell.complaint(args);
        assert_eq!(code, 2, "{args:?}: {said}");
        assert!(said.contains(names), "{args:?}: {said}");
        assert!(!said.contains("digit") && !said.contains("unexpected"), "what is allowed: {said}");
    }
    for url in ["nonsense", "sqlite:", "neo4j://", "neo4j://h:99999/x", "http://a:s3cret@h"] {
        let (code, said) = shell.complaint(&["status", "--url", url]);
        assert!((code, said.contains("s3cret")) == (7, false), "{url}: {said}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn an_output_that_takes_nothing_ends_the_program_in_order() {
    let shell = Shell::new();
    shell.out(&["run", "gap"]);
    for args in [&["tasks", "list"][..], &["--help"], &["tasks", "list", "--json"], &["status"]] {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let output = shell.command(args).stdout(full).stderr(Stdio::piped()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!said.contains("panicked") && said.lines().count() <= 1, "{args:?}: {said}");
        let closed = std::process::Command::new("sh")
            .args(["-c", "exec \"$0\" \"$@\" >&- 2>/dev/null"])
            .arg(env!("CARGO_BIN_EXE_kurultai"))
            .args(args)
            .env("KURULTAI_URL", shell.url())
            .status()
            .unwrap();
        assert!(closed.code().is_some_and(|code| code != 101), "{args:?}: {closed}");
    }
    let full = File::options().write(true).open("/dev/full").unwrap();
    let output = shell.command(&["tasks", "list"]).stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(7), "what was asked for is not there");
}

/// As `kurultai ... | head -1`.
#[test]
fn a_reader_that_leaves_is_no_error_anywhere() {
    let shell = Shell::new();
    shell.out(&["run", "coditect"]);
    for args in [
        &["tasks", "list", "--limit", "1000"][..],
        &["tasks", "list", "--limit", "1000", "--json"],
        &["agents", "list"],
        &["status"],
        &["--help"],
        &["tasks", "enqueue", "--help"],
    ] {
        let mut command = shell.command(args);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success() && output.stderr.is_empty(), "{args:?}: {output:?}");
    }
}

#[test]
fn the_help_names_every_exit_code() {
    let help = Shell::new().out(&["--help"]);
    for code in 0..=7 {
        assert!(help.lines().any(|line| line.starts_with(&format!("  {code}  "))), "{code}");
    }
    assert!(help.contains("stdin"), "{help}");
}

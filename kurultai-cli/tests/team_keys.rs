//! Secrets that the team keeps, from a shell: none of them ever stands on a command line or in an answer.

mod shell;

use shell::Shell;
use std::process::Output;

const SECRET: &str = "5ec2e7c0ffee5ec2e7c0ffee5ec2e7c0ffee5ec2e7c0ffee5ec2e7c0ffee5ec2";

/// With a wrapping key in this file.
fn run(shell: &Shell, file: &str, args: &[&str]) -> Output {
    let mut command = shell.command(args);
    command.env("KURULTAI_WRAPPING_KEY_FILE", shell.path(file)).output().expect("the program starts")
}

fn out(shell: &Shell, file: &str, args: &[&str]) -> String {
    let output = run(shell, file, args);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

fn refusal(shell: &Shell, file: &str, args: &[&str]) -> String {
    let output = run(shell, file, &[args, &["--json"]].concat());
    let error: serde_json::Value = serde_json::from_slice(&output.stderr).expect("one line of JSON");
    error["error"]["code"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn the_team_keeps_a_key_and_wraps_it_anew() {
    let shell = Shell::new();
    assert!(shell.out(&["keys", "wrapping-key", "old.key"]).starts_with("wrap-"));
    assert_eq!(shell.error(&["keys", "wrapping-key", "old.key"]).1, "config.key");
    shell.out(&["keys", "wrapping-key", "new.key"]);
    let (_, said) = shell.complaint(&["keys", "rotate", "ogedei", "--in-store"]);
    assert!(said.contains("[config.wrapping_key]; set KURULTAI_WRAPPING_KEY_FILE"), "{said}");
    assert!(out(&shell, "old.key", &["keys", "rotate", "ogedei", "--in-store"]).contains("in the store"));
    out(&shell, "old.key", &["messages", "send", "jochi", "greeting", "1", "--as", "ogedei"]);
    assert_eq!(
        shell.error(&["messages", "send", "jochi", "greeting", "--as", "ogedei"]).1,
        "config.identity"
    );
    let new = shell.path("new.key").display().to_string();
    assert_eq!(refusal(&shell, "none.key", &["keys", "rewrap", "--to", &new]), "config.key");
    assert!(
        out(&shell, "old.key", &["keys", "rewrap", "--to", &new]).starts_with("1 secret wrapped with wrap-")
    );
    out(&shell, "new.key", &["messages", "send", "jochi", "greeting", "2", "--as", "ogedei"]);
    let late = ["messages", "send", "jochi", "greeting", "3", "--as", "ogedei"];
    assert_eq!(refusal(&shell, "old.key", &late), "config.wrapping_key");
    assert!(shell.out(&["keys", "list"]).contains("wrap-"));
    assert_eq!(shell.json(&["messages", "unread", "jochi"])["count"], 2);
}

#[test]
fn rows_come_from_stdin() {
    let shell = Shell::new();
    shell.out(&["keys", "wrapping-key", "team.key"]);
    let rows = format!(
        r#"[{{"agent_id": "Temüjin", "key_id": "temüjin-001", "secret_key": "{SECRET}"}}, {{"key_id": "x", "secret_key": "{SECRET}"}}]"#
    );
    let file = shell.path("team.key").display().to_string();
    let import = |args: &[&str], input: &str| {
        let mut command = shell.command(&[&["keys", "import"], args].concat());
        command.env("KURULTAI_WRAPPING_KEY_FILE", &file).stdin(std::process::Stdio::piped());
        command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
        let mut child = command.spawn().expect("the program starts");
        std::io::Write::write_all(&mut child.stdin.take().expect("a pipe"), input.as_bytes())
            .expect("it reads");
        let output = child.wait_with_output().expect("it ends");
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8(said).expect("text");
        assert!(!said.contains("c0ffee"), "{said}");
        said
    };
    assert!(import(&["--stdin", "--dry-run"], &rows).starts_with("1 key would be imported\n"));
    let said = import(&["--stdin"], &rows);
    assert!(said.starts_with("1 key imported\n  temüjin-001 of temujin  active\n"), "{said}");
    assert!(said.contains("x of nobody  not: "), "{said}");
    assert!(import(&["--stdin"], &rows).contains("key.known"));
    assert!(import(&["--stdin"], SECRET).contains("a JSON array of objects"));
    assert!(import(&[], "").starts_with("0 keys imported"));
    let listed = shell.json(&["keys", "list"]);
    assert_eq!(
        (listed[0]["key_id"].as_str(), listed[0]["algorithm"].as_str()),
        (Some("temüjin-001"), Some("HMAC-SHA256"))
    );
    // Where a path is expected, what is none is not repeated.
    for args in [["keys", "rewrap", "--to", SECRET], ["keys", "add", "jochi", SECRET]] {
        let output = run(&shell, "team.key", &args);
        let said = String::from_utf8([output.stdout, output.stderr].concat()).expect("text");
        assert!(!output.status.success() && !said.contains("c0ffee"), "{said}");
    }
}

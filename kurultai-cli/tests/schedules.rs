//! `kurultai schedules`.

mod shell;

use shell::Shell;

#[test]
fn schedules_are_put_listed_run_and_removed() {
    let shell = Shell::new();
    assert_eq!(shell.out(&["schedules", "list"]), "nothing is scheduled\n");
    let put = ["schedules", "put", "nightly", "report", r#"{"n": 1}"#, "--cron", "30 2 * * *"];
    let more = ["--timezone", "Europe/Berlin", "--jitter", "10m", "--priority", "P1", "--max-runtime", "1h"];
    let put = shell.json(&[&put[..], &more[..]].concat());
    assert_eq!(
        (&put["cron"], &put["jitter"], &put["payload"]["n"]),
        (&"30 2 * * *".into(), &600.0.into(), &1.into())
    );
    assert_eq!(put["task_fields"], serde_json::json!({"priority": "P1", "max_runtime": 3600.0}));
    assert_eq!(put["upcoming"].as_array().map(Vec::len), Some(3));
    let often = ["schedules", "put", "look", "look", "--every", "5m", "--start", "2040-01-01T00:00:00Z"];
    let shown = shell.out(&[&often[..], &["--catch-up", "all"]].concat());
    assert!(shown.starts_with("look  every 5 min 0 s\n"), "{shown}");
    assert!(shown.contains("2040-01-01 00:00:00Z  2040-01-01 00:05:00Z  2040-01-01 00:10:00Z"), "{shown}");
    assert!(shown.contains("missed: all  overlap: allow"), "{shown}");

    let listed = shell.out(&["schedules", "list"]);
    let lines: Vec<&str> = listed.lines().collect();
    assert_eq!(lines.len(), 7, "{listed}");
    assert!(lines[1].starts_with("look ") && lines[1].ends_with("2040-01-01 00:00:00Z"), "{listed}");
    assert!(
        lines[3].ends_with("2040-01-01 00:10:00Z") && lines[4].contains("30 2 * * * Europe/Berlin"),
        "{listed}"
    );

    let task = shell.out(&["schedules", "run", "nightly"]);
    assert_eq!(shell.json(&["tasks", "show", task.trim()])["priority"], "P1");
    assert_eq!(
        shell.json(&["schedules", "run", "nightly"]),
        serde_json::json!({"id": task.trim(), "deduplicated": true})
    );
    assert_eq!(shell.json(&["schedules", "get", "nightly"])["last_task"], task.trim());
    assert_eq!(shell.json(&["schedules", "pause", "nightly"])["next_due"], serde_json::Value::Null);
    assert!(shell.out(&["schedules", "list"]).lines().last().is_some_and(|line| line.ends_with("paused")));
    assert_eq!(shell.json(&["schedules", "unpause", "nightly"])["next_due"], put["next_due"]);
    assert_eq!(shell.out(&["schedules", "remove", "nightly"]), "nightly is removed\n");
    assert_eq!(shell.json(&["schedules", "list"]).as_array().map(Vec::len), Some(1));
}

#[test]
fn a_wrong_schedule_is_refused() {
    let shell = Shell::new();
    let refused = |args: &[&str]| shell.error(&[&["schedules", "put", "x", "y"], args].concat());
    let (_, said) =
        shell.complaint(&["schedules", "put", "x", "y", "--every", "1h", "--start", "2027-01-01T00:00:00"]);
    assert!(said.contains("offset") && said.contains("2026-03-01T09:00:00Z"), "{said}");
    assert_eq!(refused(&["--every", "1h", "--expires", "0s"]), (2, "input.invalid".to_owned()));
    let as_said = |code: &str| (2, code.to_owned());
    assert_eq!(refused(&[]), as_said("input.usage"));
    assert_eq!(refused(&["--every", "5m", "--cron", "0 9 * * *"]), as_said("input.usage"));
    assert_eq!(refused(&["--every", "5"]), as_said("input.usage"));
    assert_eq!(refused(&["--every", "5m", "--catch-up", "some"]), as_said("input.usage"));
    assert_eq!(refused(&["--every", "500ms"]), as_said("input.invalid"));
    assert_eq!(refused(&["--cron", "0 25 * * *"]), as_said("input.invalid"));
    assert_eq!(refused(&["--cron", "0 9 * * *", "--timezone", "Mars"]), as_said("input.invalid"));
    for command in ["get", "pause", "unpause", "run", "remove"] {
        assert_eq!(shell.error(&["schedules", command, "x"]), (3, "schedule.not_found".to_owned()));
    }
}

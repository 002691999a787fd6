//! `kurultai events` and `kurultai subscriptions`.

mod shell;

use serde_json::json;
use shell::Shell;

#[test]
fn events_are_published_and_consumed() {
    let shell = Shell::new();
    assert_eq!(shell.out(&["subscriptions", "list"]), "there are no subscriptions\n");
    let put = ["subscriptions", "put", "announcer", "deploy.**", "--agent", "jochi", "--quiet", "0s"];
    let put = shell.json(&put);
    assert_eq!(
        (&put["name"], &put["cursor"], &put["paused"]),
        (&json!("announcer"), &json!(0), &json!(false))
    );

    let publish = ["events", "publish", "deploy.done", r#"{"version": 7}"#, "--key", "deploy-7"];
    assert_eq!(shell.out(&publish), "1\n");
    assert_eq!(shell.json(&publish), json!({"seq": 1, "deduplicated": true}));
    assert_eq!(shell.out(&["events", "publish", "lunch", "--source", "temujin"]), "2\n");
    assert_eq!(shell.out(&["events", "publish", "deploy.failed", "--cause", "1"]), "3\n");
    let tail = shell.out(&["events", "tail", "--topic", "deploy.*"]);
    assert_eq!(tail.lines().count(), 2, "{tail}");
    assert!(tail.contains(r#"{"version": 7}"#), "{tail}");

    let listed = shell.out(&["subscriptions", "list", "--agent", "jochi"]);
    assert!(
        listed.lines().nth(1).is_some_and(|line| line.contains('3') && line.ends_with("waits")),
        "{listed}"
    );
    assert!(shell.out(&["status"]).contains("announcer"));
    let first = shell.out(&["subscriptions", "consume", "announcer", "--max", "1"]);
    assert!(first.contains("deploy.done") && first.lines().count() == 1, "{first}");
    let rest = shell.out(&["subscriptions", "consume", "announcer"]);
    assert!(rest.contains("deploy.failed") && rest.lines().count() == 1, "{rest}");
    assert_eq!(shell.out(&["subscriptions", "consume", "announcer"]), "");
    assert_eq!(shell.json(&["status"])["subscriptions"][0]["lag"], 0);

    assert_eq!(shell.json(&["subscriptions", "rewind", "announcer", "--after", "0"])["lag"], 3);
    assert_eq!(shell.json(&["subscriptions", "pause", "announcer"])["paused"], true);
    assert_eq!(shell.out(&["subscriptions", "consume", "announcer"]), "");
    let shown = shell.out(&["subscriptions", "unpause", "announcer"]);
    assert!(shown.contains("waits") && shown.contains("behind event 0, 3 to look at"), "{shown}");
    assert_eq!(shell.out(&["subscriptions", "dead", "announcer"]), "every event was acknowledged\n");
    assert_eq!(shell.out(&["subscriptions", "remove", "announcer"]), "announcer is removed\n");
}

#[test]
fn what_is_wrong_is_refused() {
    let shell = Shell::new();
    let refused = |args: &[&str]| shell.error(args);
    assert_eq!(refused(&["events", "publish", "task.done"]), (2, "input.invalid".to_owned()));
    assert_eq!(refused(&["events", "publish", "x", "no json"]), (2, "input.payload".to_owned()));
    assert_eq!(
        refused(&["subscriptions", "put", "x", "y", "--where", "{}"]),
        (2, "input.invalid".to_owned())
    );
    let both = ["subscriptions", "rewind", "x", "--after", "1", "--since", "2026-03-01T09:00:00Z"];
    assert_eq!(refused(&both), (2, "input.usage".to_owned()));
    assert_eq!(refused(&["subscriptions", "consume", "x"]).1, "subscription.not_found");
}

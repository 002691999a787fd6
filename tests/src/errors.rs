//! What every bad input gets: its code, a sentence that names the field, and no change.

use crate::{
    cases,
    fixture::{Team, code, task},
};
use kurultai_core::{
    Error, Json, Kind,
    agents::NewAgent,
    tasks::{Claim, Failure, NewTask, Priority, Usage, WaitFor},
};
use serde_json::{Value, json};
use std::time::Duration;

fn nested(depth: usize) -> Value {
    (0..depth).fold(json!(1), |inner, _| json!([inner]))
}

cases![
    bad_tasks_are_refused_and_change_nothing,
    what_just_fits_is_taken,
    bad_claims_and_finishes_are_refused,
    hostile_strings_are_read_back_unchanged,
];

async fn bad_tasks_are_refused_and_change_nothing(team: Team) {
    let bad: Vec<(&str, &str, NewTask)> = vec![
        ("input.invalid", "type", NewTask::new("")),
        ("input.invalid", "type", NewTask::new("x".repeat(129))),
        ("input.invalid", "title", task(&"x".repeat(1_001))),
        ("input.invalid", "priority_weight", task("x").priority_weight(1.5)),
        ("input.invalid", "priority_weight", task("x").priority_weight(f64::NAN)),
        ("input.invalid", "assigned_to", task("x").assigned_to("x'}) DETACH DELETE n //")),
        ("input.invalid", "assigned_to", task("x").assigned_to("Temüjin")),
        ("input.invalid", "delegated_by", task("x").delegated_by("x".repeat(300))),
        ("input.invalid", "requires", task("x").requires([""])),
        ("input.invalid", "requires", task("x").requires((0..65).map(|i| i.to_string()))),
        ("input.invalid", "unique_key", task("x").unique_key("")),
        ("input.invalid", "delay", task("x").delay(Duration::MAX)),
        ("input.invalid", "max_attempts", task("x").max_attempts(0)),
        ("input.invalid", "wait_for", task("x").wait_for(WaitFor::Quorum(0))),
        ("input.payload", "payload", task("x").payload(nested(65))),
        ("input.payload", "payload", task("x").payload(json!("x".repeat(1 << 20)))),
    ];
    for (expected, field, new) in bad {
        let error = team.k.tasks().enqueue(new).await.unwrap_err();
        assert_eq!(error.code(), expected, "{error}");
        assert!(error.message().contains(field), "{error}");
        assert!(!error.retryable());
    }
    assert_eq!(team.k.events().last_seq().await.unwrap(), 0);
}

async fn what_just_fits_is_taken(team: Team) {
    let payload = json!("x".repeat((1 << 20) - 2));
    let id = team.add(task("big").payload(payload.clone())).await;
    assert_eq!(team.get(&id).await.payload.value(), payload);
    let id = team.add(task("deep").payload(nested(64))).await;
    assert_eq!(team.get(&id).await.payload.value(), nested(64));
}

async fn bad_claims_and_finishes_are_refused(team: Team) {
    team.agent("temujin", &[]).await;
    team.add(task("one")).await;
    let tasks = team.k.tasks();
    let invalid = ["Temüjin", "", "x'}) DETACH DELETE n //", "-x", "A"];
    for agent in invalid {
        assert_eq!(code(tasks.claim(Claim::new(agent)).await), "input.invalid", "{agent:?}");
        assert_eq!(code(team.k.agents().register(NewAgent::new(agent)).await), "input.invalid", "{agent:?}");
    }
    assert_eq!(code(tasks.claim(Claim::new("temujin").max(0)).await), "input.invalid");
    assert_eq!(code(tasks.claim(Claim::new("temujin").max(1_001)).await), "input.invalid");
    assert_eq!(code(tasks.claim(Claim::new("temujin").lease(Duration::ZERO)).await), "input.invalid");
    let lease = team.claim_one("temujin").await.lease;
    assert_eq!(code(tasks.progress(&lease, 1.1).await), "input.invalid");
    assert_eq!(code(tasks.progress(&lease, f64::NAN).await), "input.invalid");
    assert_eq!(code(tasks.extend(&lease, Duration::from_secs(100_000)).await), "input.invalid");
    assert_eq!(code(tasks.complete(&lease, nested(70)).await), "input.payload");
    let costly = Usage { cost: f64::INFINITY, ..Usage::default() };
    let failure = Failure { usage: Some(costly), ..Failure::new("x") };
    assert_eq!(code(tasks.fail(&lease, failure).await), "input.invalid");
    tasks.complete(&lease, json!("still mine")).await.unwrap();
    assert_eq!(code(team.k.agents().register(NewAgent::new("x").max_concurrent(0)).await), "input.invalid");
}

async fn hostile_strings_are_read_back_unchanged(team: Team) {
    let hostile = hostile_strings();
    assert_eq!(hostile.len(), 500);
    team.k.agents().register(NewAgent::new("temujin").capabilities(["all"])).await.unwrap();
    let new = |text: &String| {
        NewTask::new(text)
            .title(text)
            .description(text)
            .payload(json!({text.as_str(): text}))
            .unique_key(text)
            .prefers([text])
    };
    let tasks: Vec<NewTask> = hostile.iter().map(new).collect();
    let ids: Vec<String> =
        team.k.tasks().enqueue_many(tasks).await.unwrap().into_iter().map(|e| e.id).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    for (text, got) in hostile.iter().zip(team.k.tasks().get_many(&ids).await.unwrap()) {
        let got = got.unwrap();
        assert_eq!((&got.task_type, &got.title, &got.description), (text, text, text));
        assert_eq!((got.unique_key.as_ref(), &got.preferred_capabilities[0]), (Some(text), text));
        assert_eq!(got.payload.value(), json!({text.as_str(): text}));
    }
    for claimed in team.claim("temujin", 500).await {
        let text = claimed.task_type.clone();
        team.k.tasks().checkpoint(&claimed.lease, json!(text)).await.unwrap();
        team.k.tasks().fail(&claimed.lease, Failure::fatal(&text)).await.unwrap();
        let dead = team.get(&claimed.id).await;
        assert_eq!((dead.error_message.as_ref(), &dead.errors[0].error), (Some(&text), &text));
        assert_eq!(dead.checkpoint.unwrap().value(), json!(text));
    }
    let names: Vec<String> = hostile.iter().take(200).cloned().collect();
    let agent =
        NewAgent::new("odd").display_name(&names[7]).capabilities(names.clone()).aliases(names.clone());
    team.k.agents().register(agent).await.unwrap();
    let got = team.k.agents().get("odd").await.unwrap();
    assert_eq!(
        (got.capabilities, got.aliases, got.display_name),
        (names.clone(), names.clone(), names[7].clone())
    );
}

fn hostile_strings() -> Vec<String> {
    let seeds = [
        "'",
        "\"",
        "`",
        "\\",
        "$",
        "{}",
        "$ns",
        "'; drop table task; --",
        "x'}) DETACH DELETE n //",
        "\u{0}",
        "a\u{0}b",
        "\n",
        "\r\n",
        "\t",
        "\u{1b}[31m",
        "\u{202e}abc",
        "\u{200b}",
        "\u{feff}",
        "Temüjin",
        "Temu\u{308}jin",
        "蒙古",
        "🐎",
        "👨‍👩‍👧‍👦",
        "\u{10ffff}",
        "ﬀ",
        "İ",
        "ß",
        "%s%n",
        "../../etc/passwd",
        "<script>",
        "null",
        "NaN",
        "true",
        "[]",
        "{\"a\":1}",
        "1e999",
        "-0",
        " leading",
        "trailing ",
        "\u{7f}",
        "\u{80}",
        "\u{85}",
        "\u{2028}",
        "\\u0000",
        "\\ud800",
        "%00",
        "/* */",
        "--",
        "#",
        "?1",
    ];
    let mut all: Vec<String> = seeds.iter().map(|s| (*s).to_owned()).collect();
    for i in 0.. {
        if all.len() >= 500 {
            break;
        }
        let (a, b) = (seeds[i % seeds.len()], seeds[(i * 7 + i / seeds.len() + 1) % seeds.len()]);
        let text = format!("{a}{i}{b}");
        if !all.contains(&text) {
            all.push(text);
        }
    }
    all
}

#[test]
fn words_are_read_as_the_contract_says() {
    for (word, priority) in [
        ("P0", Priority::P0),
        ("critical", Priority::P0),
        ("urgent", Priority::P0),
        ("High", Priority::P1),
        ("normal", Priority::P2),
        ("medium", Priority::P2),
        ("low", Priority::P3),
        ("backlog", Priority::P3),
    ] {
        assert_eq!(word.parse::<Priority>().unwrap(), priority);
    }
    let error = "sometime".parse::<Priority>().unwrap_err();
    assert_eq!(error.code(), "input.invalid");
    assert!(error.message().contains("sometime") && error.message().contains("P0"), "{error}");
}

#[test]
fn a_payload_that_is_too_deep_is_named_by_its_path() {
    let error = Json::of(&json!({"a": [0, {"b": nested(70)}]})).unwrap_err();
    assert_eq!(error.code(), "input.payload");
    assert!(error.message().contains("$.a[1].b[0]"), "{error}");
    assert_eq!(code(Json::text("{\"a\": NaN}")), "input.payload");
    assert_eq!(code(Json::text("")), "input.payload");
}

#[test]
fn every_kind_says_whether_to_repeat() {
    let retryable: Vec<Kind> =
        Kind::ALL.into_iter().filter(|kind| Error::new(*kind, "x.y", "z").retryable()).collect();
    assert_eq!(retryable, [Kind::Unavailable, Kind::OutcomeUnknown, Kind::Limited, Kind::TimedOut]);
}

//! What burns: who is told, how often, and when it is over.

use crate::{
    cases,
    fixture::{Team, code, task},
};
use kurultai_core::{
    Kurultai,
    agents::{Watch, Watcher},
    events::{Alert, AlertState, EventFilter, Severity},
    tasks::{Failure, Priority},
};
use serde_json::json;

cases![
    a_death_is_told_and_so_is_a_return,
    several_that_fall_silent_at_once_are_an_alert_and_no_death,
    the_depth_of_the_queue_has_two_steps_and_a_band,
    dead_letters_are_told_and_those_of_p0_are_critical,
    forgeries_burn_until_they_end,
    of_two_watchers_one_tells_people,
    what_was_told_is_known_after_a_restart,
    the_worst_comes_first,
    nobody_is_told_of_another_team,
];

const TEAM: [&str; 4] = ["jochi", "kublai", "mongke", "temujin"];

fn watcher(k: &Kurultai) -> Watcher {
    k.agents().watcher(Watch::default()).unwrap()
}

/// With this threshold.
async fn deep(team: &Team, least: u64) -> Kurultai {
    team.reopen(|config| config.queue_depth_alert(least)).await
}

async fn check(watcher: &mut Watcher) -> Vec<(String, Severity, AlertState)> {
    let alerts = watcher.check().await.unwrap().alerts;
    alerts.into_iter().map(|alert| (alert.key, alert.severity, alert.state)).collect()
}

fn raised(key: &str, severity: Severity) -> (String, Severity, AlertState) {
    (key.to_owned(), severity, AlertState::Raised)
}

fn cleared(key: &str, severity: Severity) -> (String, Severity, AlertState) {
    (key.to_owned(), severity, AlertState::Cleared)
}

/// The log's word of alerts: topic and key.
async fn told(team: &Team) -> Vec<(String, String)> {
    let filter = EventFilter { topic: Some("alert.*".into()), ..EventFilter::default() };
    let events = team.k.events().read(filter).await.unwrap();
    let key = |payload: serde_json::Value| payload["key"].as_str().unwrap().to_owned();
    events.into_iter().map(|event| (event.topic, key(event.payload.unwrap().value()))).collect()
}

async fn burning(team: &Team) -> Vec<Alert> {
    team.k.events().alerts().await.unwrap()
}

/// Looks every ten seconds for so long, while these agents beat.
async fn watch(
    team: &Team,
    watcher: &mut Watcher,
    alive: &[&str],
    seconds: u64,
) -> Vec<(String, Severity, AlertState)> {
    let mut told = vec![];
    for _ in 0..seconds / 10 {
        team.seconds(10);
        team.k.agents().beat_many(alive, false).await.unwrap();
        told.extend(check(watcher).await);
    }
    told
}

async fn a_death_is_told_and_so_is_a_return(team: Team) {
    for agent in TEAM {
        team.agent(agent, &[]).await;
    }
    team.k.agents().beat_many(&TEAM, false).await.unwrap();
    let mut watcher = watcher(&team.k);
    assert_eq!(watch(&team, &mut watcher, &TEAM[..3], 120).await, []);
    let died = watch(&team, &mut watcher, &TEAM[..3], 200).await;
    assert_eq!(died, [raised("agent.dead:temujin", Severity::Critical)], "once");
    let [alert] = &burning(&team).await[..] else { panic!("one burns") };
    assert_eq!(alert.text, "temujin is dead: nothing has been heard of it");
    assert_eq!((alert.state, alert.cleared_at), (AlertState::Raised, None));
    let back = watch(&team, &mut watcher, &TEAM, 20).await;
    assert_eq!(back, [cleared("agent.dead:temujin", Severity::Critical)]);
    assert_eq!(burning(&team).await, []);
    let key = || "agent.dead:temujin".to_owned();
    assert_eq!(told(&team).await, [("alert.raised".to_owned(), key()), ("alert.cleared".to_owned(), key())]);
}

async fn several_that_fall_silent_at_once_are_an_alert_and_no_death(team: Team) {
    for agent in TEAM {
        team.agent(agent, &[]).await;
    }
    team.k.agents().beat_many(&TEAM, false).await.unwrap();
    let mut watcher = watcher(&team.k);
    watch(&team, &mut watcher, &TEAM, 60).await;
    let silent = watch(&team, &mut watcher, &TEAM[..1], 200).await;
    assert_eq!(silent, [raised("agent.silent", Severity::Critical)]);
    // Who begins to look now knows nothing of it, and does not say that it is over.
    let young = team.reopen(|config| config).await;
    assert_eq!(check(&mut self::watcher(&young)).await, []);
    assert_eq!(watch(&team, &mut watcher, &TEAM, 20).await, [cleared("agent.silent", Severity::Critical)]);
}

async fn the_depth_of_the_queue_has_two_steps_and_a_band(team: Team) {
    let k = deep(&team, 10).await;
    let mut watcher = watcher(&k);
    team.agent("temujin", &[]).await;
    let add = async |count: usize| {
        let tasks = (0..count).map(|n| task(&n.to_string())).collect();
        team.k.tasks().enqueue_many(tasks).await.unwrap();
    };
    let take = async |count: usize| {
        team.k.agents().beat("temujin").await.unwrap();
        for held in team.claim("temujin", count).await {
            team.complete(&held).await;
        }
    };
    let depth = |severity| vec![raised("queue.depth", severity)];
    add(9).await;
    assert_eq!(check(&mut watcher).await, []);
    add(1).await;
    assert_eq!(check(&mut watcher).await, depth(Severity::Warning));
    assert_eq!(burning(&team).await[0].text, "10 tasks wait to be claimed");
    take(2).await;
    assert_eq!(check(&mut watcher).await, [], "eight are in the band");
    add(12).await;
    assert_eq!(check(&mut watcher).await, depth(Severity::Critical));
    take(3).await;
    assert_eq!(check(&mut watcher).await, []);
    take(2).await;
    assert_eq!(check(&mut watcher).await, [], "that it burns less waits for the cool-down");
    team.seconds(300);
    assert_eq!(check(&mut watcher).await, depth(Severity::Warning));
    take(8).await;
    assert_eq!(check(&mut watcher).await, [cleared("queue.depth", Severity::Warning)]);
    add(3).await;
    assert_eq!(check(&mut watcher).await, [], "it flickers");
    team.seconds(300);
    assert_eq!(check(&mut watcher).await, depth(Severity::Warning));
    let mut off = self::watcher(&deep(&team, 0).await);
    assert_eq!(check(&mut off).await, [cleared("queue.depth", Severity::Warning)], "0 is none");
}

async fn dead_letters_are_told_and_those_of_p0_are_critical(team: Team) {
    team.agent("temujin", &[]).await;
    let mut watcher = watcher(&team.k);
    let fail = async |task| {
        let id = team.add(task).await;
        let held = team.claim_one("temujin").await;
        team.k.tasks().fail(&held.lease, Failure::fatal("never")).await.unwrap();
        id
    };
    let first = fail(task("one")).await;
    assert_eq!(check(&mut watcher).await, [raised("tasks.dead_letters", Severity::Warning)]);
    let second = fail(task("two")).await;
    assert_eq!(check(&mut watcher).await, []);
    team.seconds(300);
    team.k.agents().beat("temujin").await.unwrap();
    let told = watcher.check().await.unwrap().alerts;
    assert_eq!(
        told.iter().map(|alert| alert.text.as_str()).collect::<Vec<_>>(),
        ["2 tasks are dead letters"]
    );
    let third = fail(task("three").priority(Priority::P0)).await;
    assert_eq!(check(&mut watcher).await, [raised("tasks.dead_letters", Severity::Critical)]);
    assert_eq!(burning(&team).await[0].text, "3 tasks are dead letters, 1 of P0");
    team.k.tasks().discard(&first).await.unwrap();
    team.k.tasks().requeue(&second).await.unwrap();
    team.k.tasks().discard(&third).await.unwrap();
    assert_eq!(check(&mut watcher).await, [cleared("tasks.dead_letters", Severity::Critical)]);
}

async fn forgeries_burn_until_they_end(team: Team) {
    let mut watcher = watcher(&team.k);
    let forge = async |count: usize| {
        for _ in 0..count {
            assert_eq!(code(team.k.messages().accept("no token").await), "sig.malformed");
        }
    };
    forge(11).await;
    let key = "security.signature";
    let [alert] = &burning(&team).await[..] else { panic!("it burns before anybody watches") };
    assert_eq!((alert.key.as_str(), alert.severity), (key, Severity::Critical));
    assert!(alert.text.ends_with("were refused: sig.malformed"), "{}", alert.text);
    assert_eq!(check(&mut watcher).await, []);
    team.seconds(60);
    assert_eq!(check(&mut watcher).await, [], "in the minute before");
    forge(20).await;
    team.seconds(60);
    assert_eq!(check(&mut watcher).await, []);
    team.seconds(60);
    assert_eq!(check(&mut watcher).await, [cleared(key, Severity::Critical)]);
    forge(20).await;
    assert_eq!(burning(&team).await, [], "the cool-down");
    team.seconds(120);
    forge(20).await;
    assert_eq!(burning(&team).await.len(), 1);
}

async fn of_two_watchers_one_tells_people(team: Team) {
    let (mut first, second) = (self::watcher(&deep(&team, 3).await), deep(&team, 3).await);
    let mut second = watcher(&second);
    team.k.tasks().enqueue_many((0..3).map(|n| task(&n.to_string())).collect()).await.unwrap();
    let (one, other) = tokio::join!(check(&mut first), check(&mut second));
    assert_eq!([one, other].concat(), [raised("queue.depth", Severity::Warning)]);
    for task in team.k.tasks().list(Default::default()).await.unwrap().tasks {
        team.k.tasks().cancel(&task.id, None).await.unwrap();
    }
    let (one, other) = tokio::join!(check(&mut first), check(&mut second));
    assert_eq!([one, other].concat(), [cleared("queue.depth", Severity::Warning)]);
    assert_eq!(told(&team).await.len(), 2);
}

async fn what_was_told_is_known_after_a_restart(team: Team) {
    team.k.tasks().enqueue_many((0..3).map(|n| task(&n.to_string())).collect()).await.unwrap();
    assert_eq!(check(&mut watcher(&deep(&team, 3).await)).await.len(), 1);
    team.seconds(600);
    assert_eq!(check(&mut watcher(&deep(&team, 3).await)).await, []);
    assert_eq!(check(&mut watcher(&deep(&team, 9).await)).await, [cleared("queue.depth", Severity::Warning)]);
}

async fn the_worst_comes_first(team: Team) {
    team.agent("temujin", &[]).await;
    let mut watcher = watcher(&deep(&team, 1).await);
    let id = team.add(task("one")).await;
    check(&mut watcher).await;
    let held = team.claim_one("temujin").await;
    team.k.tasks().fail(&held.lease, Failure::fatal("never")).await.unwrap();
    team.add(task("two")).await;
    check(&mut watcher).await;
    let keys = async || -> Vec<String> { burning(&team).await.into_iter().map(|alert| alert.key).collect() };
    assert_eq!(keys().await, ["queue.depth", "tasks.dead_letters"], "the oldest");
    team.k.tasks().requeue(&id).await.unwrap();
    team.k.tasks().reprioritize(&id, Some(Priority::P0), None).await.unwrap();
    let held = team.claim_one("temujin").await;
    team.k.tasks().fail(&held.lease, Failure::fatal("never")).await.unwrap();
    check(&mut watcher).await;
    assert_eq!(keys().await, ["tasks.dead_letters", "queue.depth"]);
    let events = team.k.events();
    let filter = EventFilter { topic: Some("alert.raised".into()), ..EventFilter::default() };
    let last = events.read(filter).await.unwrap().events.pop().unwrap();
    let told = json!({"severity": "critical", "key": "tasks.dead_letters", "text": "a task is a dead letter, of P0"});
    assert_eq!((last.source, last.task_id, last.payload.unwrap().value()), (None, None, told));
}

async fn nobody_is_told_of_another_team(team: Team) {
    let config = Team::config(&team.url, &format!("{}-b", team.namespace), &team.clock);
    let other = Kurultai::open_with(config.queue_depth_alert(1)).await.unwrap();
    team.add(task("one")).await;
    assert_eq!(check(&mut watcher(&other)).await, []);
    other.tasks().enqueue(task("one")).await.unwrap();
    assert_eq!(check(&mut watcher(&other)).await.len(), 1);
    assert_eq!((burning(&team).await, other.events().alerts().await.unwrap().len()), (vec![], 1));
}

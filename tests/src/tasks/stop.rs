//! The emergency stop.

use crate::{
    cases,
    fixture::{Team, task},
};
use kurultai_core::{
    events::EventFilter,
    tasks::{Failure, Filter, NewTask, Signal, Status},
};
use serde_json::json;
use std::time::Duration;

cases![
    fifty_holders_are_all_asked_and_nothing_is_claimed,
    thousands_of_holders_are_asked_in_a_few_transactions,
    what_becomes_of_what_is_held,
    a_stop_that_is_there_keeps_its_reason_and_asks_the_rest,
    a_stop_is_a_pause_of_everything,
    it_asks_as_a_cancel_does,
];

async fn asked(team: &Team) -> Vec<(Option<String>, serde_json::Value)> {
    let filter = EventFilter { topic: Some("task.cancel_requested".into()), ..EventFilter::default() };
    let events = team.k.events().read(filter).await.unwrap();
    events.into_iter().map(|e| (e.task_id, e.payload.unwrap().value())).collect()
}

async fn fifty_holders_are_all_asked_and_nothing_is_claimed(team: Team) {
    let tasks = (0..60).map(|n| task(&n.to_string())).collect();
    team.k.tasks().enqueue_many(tasks).await.unwrap();
    let mut held = vec![];
    for n in 0..50 {
        team.agent(&format!("a{n}"), &[]).await;
        held.push(team.claim_one(&format!("a{n}")).await);
    }
    assert_eq!(team.k.tasks().stop_all("the bill is on fire").await.unwrap(), 50);
    for n in 0..50 {
        assert!(team.claim(&format!("a{n}"), 9).await.is_empty());
    }
    let mut told: Vec<_> = asked(&team).await;
    told.sort_by(|a, b| a.0.cmp(&b.0));
    let mut ids: Vec<String> = held.iter().map(|held| held.id.clone()).collect();
    ids.sort();
    assert_eq!(told.iter().map(|(id, _)| id.clone().unwrap()).collect::<Vec<_>>(), ids);
    for (_, payload) in told {
        assert_eq!(payload, json!({"attempt": 1, "reason": "the bill is on fire"}));
    }
    for held in &held {
        let extended = team.k.tasks().extend(&held.lease, Duration::from_secs(30)).await.unwrap();
        assert_eq!(
            (extended.signal, extended.reason.as_deref()),
            (Signal::Cancel, Some("the bill is on fire"))
        );
        assert_eq!(team.k.tasks().release(&held.lease).await.unwrap().status, Status::Cancelled);
    }
    let stats = team.k.tasks().stats().await.unwrap();
    assert_eq!(stats.by_status, [(Status::Pending, 10), (Status::Cancelled, 50)].into());
}

async fn thousands_of_holders_are_asked_in_a_few_transactions(team: Team) {
    team.agent("temujin", &[]).await;
    for _ in 0..2 {
        team.k.tasks().enqueue_many((0..1_100).map(|n| task(&n.to_string())).collect()).await.unwrap();
        assert_eq!(team.claim("temujin", 1_000).await.len(), 1_000);
    }
    assert_eq!(team.claim("temujin", 1_000).await.len(), 200);
    let before = team.k.statements();
    assert_eq!(team.k.tasks().stop_all("x").await.unwrap(), 2_200);
    let sent = team.k.statements() - before;
    if team.k.store_name() == "neo4j" {
        assert_eq!(sent, 3, "a thousand each");
    }
    assert_eq!(asked(&team).await.len(), 1_000, "a page of the log");
    assert_eq!(team.k.tasks().stop_all("x").await.unwrap(), 0);
}

async fn what_becomes_of_what_is_held(team: Team) {
    team.agent("temujin", &[]).await;
    team.k.tasks().enqueue_many((0..5).map(|n| task(&n.to_string())).collect()).await.unwrap();
    let held = team.claim("temujin", 4).await;
    team.k.tasks().stop_all("x").await.unwrap();
    let tasks = team.k.tasks();
    let ended = [
        tasks.complete(&held[0].lease, json!(1)).await.unwrap().status,
        tasks.fail(&held[1].lease, Failure::new("broken")).await.unwrap().status,
        tasks.snooze(&held[2].lease, Duration::from_secs(60)).await.unwrap().status,
    ];
    assert_eq!(ended, [Status::Completed, Status::Cancelled, Status::Cancelled]);
    team.seconds(31);
    team.k.maintain().await.unwrap();
    assert_eq!(team.status(&held[3].id).await, Status::Cancelled, "its lease ran out");
    tasks.start_all().await.unwrap();
    let cancelled = Filter { status: Some(Status::Cancelled), ..Filter::default() };
    assert_eq!(tasks.requeue_many(cancelled).await.unwrap(), 3);
    assert_eq!(team.claim("temujin", 9).await.len(), 4, "these and the one that waited");
}

async fn a_stop_that_is_there_keeps_its_reason_and_asks_the_rest(team: Team) {
    team.agent("temujin", &[]).await;
    let tasks = team.k.tasks();
    tasks.enqueue_many((0..2).map(|n| task(&n.to_string())).collect()).await.unwrap();
    let since = team.clock.now();
    assert_eq!(tasks.stop_all("first").await.unwrap(), 0, "nobody holds anything");
    team.seconds(5);
    assert_eq!(tasks.stop_all("second").await.unwrap(), 0);
    let stopped = tasks.stats().await.unwrap().stopped.unwrap();
    assert_eq!((stopped.reason.as_str(), stopped.at), ("first", since));
    tasks.start_all().await.unwrap();
    tasks.start_all().await.unwrap();
    assert_eq!(team.claim("temujin", 2).await.len(), 2);
    assert_eq!(tasks.stop_all("third").await.unwrap(), 2);
    let filter = EventFilter { topic: Some("tasks.*".into()), ..EventFilter::default() };
    let events = team.k.events().read(filter).await.unwrap().into_iter();
    let told: Vec<_> = events.map(|e| (e.topic, e.payload.map(|p| p.value()))).collect();
    let stopped = |reason: &str| ("tasks.stopped".to_owned(), Some(json!({"reason": reason})));
    assert_eq!(told, [stopped("first"), ("tasks.started".to_owned(), None), stopped("third")]);
}

async fn a_stop_is_a_pause_of_everything(team: Team) {
    team.agent("temujin", &[]).await;
    let tasks = team.k.tasks();
    tasks.enqueue(NewTask::new("deploy")).await.unwrap();
    tasks.pause(Some("deploy")).await.unwrap();
    tasks.pause(None).await.unwrap();
    assert_eq!(tasks.stats().await.unwrap().stopped, None);
    tasks.stop_all("x").await.unwrap();
    tasks.pause(None).await.unwrap();
    let stats = tasks.stats().await.unwrap();
    let mut paused = stats.paused;
    paused.sort();
    assert_eq!((paused, stats.stopped.unwrap().reason.as_str()), (vec![String::new(), "deploy".into()], "x"));
    tasks.unpause(None).await.unwrap();
    let stats = tasks.stats().await.unwrap();
    assert_eq!((stats.paused, stats.stopped), (vec!["deploy".to_owned()], None));
    tasks.stop_all("y").await.unwrap();
    tasks.start_all().await.unwrap();
    assert_eq!(tasks.stats().await.unwrap().paused, ["deploy"]);
    assert!(team.claim("temujin", 1).await.is_empty(), "its type is paused by itself");
}

/// The store repeats the rule of a cancellation: the same task, asked either way, is the same.
async fn it_asks_as_a_cancel_does(team: Team) {
    team.agent("temujin", &[]).await;
    let tasks = team.k.tasks();
    let ids: Vec<String> = vec![team.add(task("cancelled")).await, team.add(task("stopped")).await];
    let held = team.claim("temujin", 2).await;
    // A suspension that was asked for gives way.
    for id in &ids {
        tasks.suspend(id).await.unwrap();
    }
    tasks.cancel(&ids[0], Some("why")).await.unwrap();
    assert_eq!(tasks.stop_all("why").await.unwrap(), 1, "the first was asked before");
    let of = async |n: usize| {
        let events = team.k.events();
        let filter = EventFilter { task_id: Some(ids[n].clone()), ..EventFilter::default() };
        let log: Vec<_> = events.read(filter).await.unwrap().into_iter().collect();
        let last = log.last().unwrap().clone();
        let signal = tasks.extend(&held[n].lease, Duration::from_secs(60)).await.unwrap();
        let told = (last.topic, last.source, last.task_type, last.payload, signal.signal, signal.reason);
        (told, tasks.release(&held[n].lease).await.unwrap().status)
    };
    assert_eq!(of(0).await, of(1).await);
}

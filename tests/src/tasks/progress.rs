//! Progress as events.

use crate::{
    cases,
    fixture::{Team, task},
};
use kurultai_core::{
    events::{Event, EventFilter},
    tasks::{Extend, NewTask},
};
use serde_json::json;
use std::time::Duration;

cases![
    a_progress_is_an_event_the_first_and_the_last,
    many_tell_their_progress_at_once,
    events_are_found_by_the_type_of_their_task,
];

async fn told(team: &Team, topic: &str) -> Vec<Event> {
    let filter = EventFilter { topic: Some(topic.into()), ..EventFilter::default() };
    team.k.events().read(filter).await.unwrap().events
}

async fn a_progress_is_an_event_the_first_and_the_last(team: Team) {
    team.agent("temujin", &[]).await;
    let id = team.add(task("one").correlation_id("chain")).await;
    let lease = team.claim_one("temujin").await.lease;
    let tasks = team.k.tasks();
    for progress in [0.1, 0.2, 0.3, 0.4] {
        tasks.progress(&lease, progress).await.unwrap();
        assert_eq!(team.get(&id).await.progress, Some(progress), "each is stored at once");
    }
    let filter = EventFilter {
        topic: Some("task.progress".into()),
        after_seq: told(&team, "task.progress").await[0].seq,
        wait: Duration::from_secs(20),
        ..EventFilter::default()
    };
    let last = team.k.events().read(filter).await.unwrap().events;
    assert_eq!(last.len(), 1);
    let events = told(&team, "task.progress").await;
    let payloads: Vec<_> = events.iter().map(|e| e.payload.as_ref().unwrap().value()).collect();
    assert_eq!(payloads, [json!({"progress": 0.1}), json!({"progress": 0.4})]);
    for event in &events {
        assert_eq!((event.source.as_deref(), event.task_id.as_deref()), (Some("temujin"), Some(id.as_str())));
        assert_eq!(event.task_type.as_deref(), Some("review"));
        assert_eq!(event.correlation_id.as_deref(), Some("chain"));
    }
    // What has ended says no more.
    tasks.progress(&lease, 0.9).await.unwrap();
    tasks.complete(&lease, json!(1)).await.unwrap();
    tokio::time::sleep(Duration::from_millis(700)).await;
    assert_eq!(told(&team, "task.progress").await.len(), 2);
    let all = team.k.events().read(EventFilter::default()).await.unwrap().events;
    assert_eq!(all.iter().map(|e| e.seq).collect::<Vec<_>>(), (1..=all.len() as i64).collect::<Vec<_>>());
}

async fn many_tell_their_progress_at_once(team: Team) {
    team.agent("temujin", &[]).await;
    let new = (0..50).map(|i| task(&i.to_string())).collect();
    team.k.tasks().enqueue_many(new).await.unwrap();
    let claimed = team.claim("temujin", 50).await;
    let tasks = team.k.tasks();
    let calls = claimed.iter().flat_map(|task| [(task, Some(0.5)), (task, None)]).map(|(task, progress)| {
        let ttl = Some(Duration::from_secs(60));
        tasks.renew(Extend { ttl, progress, ..Extend::new(task.lease.clone()) })
    });
    futures::future::join_all(calls).await.into_iter().for_each(|told| drop(told.unwrap()));
    assert_eq!(told(&team, "task.progress").await.len(), 50);
}

async fn events_are_found_by_the_type_of_their_task(team: Team) {
    team.agent("temujin", &[]).await;
    team.add(NewTask::new("code")).await;
    team.add(NewTask::new("review")).await;
    let of = async |kind: &str| {
        let filter = EventFilter { task_type: Some(kind.into()), ..EventFilter::default() };
        team.k.events().read(filter).await.unwrap().events
    };
    assert_eq!(of("code").await.len(), 1);
    for claimed in team.claim("temujin", 2).await {
        team.complete(&claimed).await;
    }
    for kind in ["code", "review"] {
        let events = of(kind).await;
        let topics: Vec<&str> = events.iter().map(|event| event.topic.as_str()).collect();
        assert_eq!(topics, ["task.enqueued", "task.claimed", "task.completed"]);
        assert!(events.iter().all(|event| event.task_type.as_deref() == Some(kind)));
    }
    assert!(of("nothing").await.is_empty());
    let filter = EventFilter { task_type: Some("code".into()), after_seq: 0, ..EventFilter::default() };
    assert_eq!(team.k.events().follow(filter).unwrap().next().await.unwrap().len(), 3);
}

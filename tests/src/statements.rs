//! How many statements each operation sends, so that nobody adds one unseen.

use crate::{
    cases,
    fixture::{Team, task},
};
use kurultai_core::{
    agents::{AgentUpdate, Thresholds},
    events::{Consume, NewEvent, NewSubscription},
    schedules::NewSchedule,
    tasks::{Failure, Filter, NewTask, TaskUpdate},
};
use serde_json::json;
use std::time::Duration;

cases![each_operation_sends_what_it_should_and_no_more,];

async fn each_operation_sends_what_it_should_and_no_more(team: Team) {
    let sqlite = team.k.store_name() == "sqlite";
    team.agent("temujin", &[]).await;
    // Routes and agents are learned by the first calls.
    team.add(task("warm")).await;
    team.complete(&team.claim_one("temujin").await).await;
    let mut sent = Vec::new();
    for i in 0..4 {
        team.add(task(&i.to_string())).await;
    }
    let before = team.k.statements();
    team.add(task("one more")).await;
    sent.push(("enqueue", count(&team, before)));
    let before = team.k.statements();
    let claimed = team.claim("temujin", 5).await;
    sent.push(("claim", count(&team, before)));
    let before = team.k.statements();
    team.k.tasks().extend(&claimed[0].lease, Duration::from_secs(60)).await.unwrap();
    sent.push(("extend", count(&team, before)));
    let before = team.k.statements();
    team.k.tasks().complete(&claimed[0].lease, json!(1)).await.unwrap();
    sent.push(("complete", count(&team, before)));
    let before = team.k.statements();
    team.k.tasks().fail(&claimed[1].lease, Failure::new("x")).await.unwrap();
    sent.push(("fail", count(&team, before)));
    let before = team.k.statements();
    team.k.tasks().cancel(&claimed[2].id, None).await.unwrap();
    sent.push(("cancel", count(&team, before)));
    let waits = team.add(task("waits")).await;
    let before = team.k.statements();
    team.k.tasks().update(&waits, TaskUpdate::new().title("renamed")).await.unwrap();
    sent.push(("update", count(&team, before)));
    let before = team.k.statements();
    team.k.tasks().assign(&waits, None, None).await.unwrap();
    sent.push(("nothing to change", count(&team, before)));
    let before = team.k.statements();
    team.k.agents().beat_many(&["temujin", "nobody"], false).await.unwrap();
    sent.push(("beat", count(&team, before)));
    let before = team.k.statements();
    team.k.agents().health(None, Thresholds::default()).await.unwrap();
    sent.push(("health", count(&team, before)));
    let before = team.k.statements();
    team.k.agents().update("temujin", AgentUpdate::new().add("x")).await.unwrap();
    sent.push(("update of an agent", count(&team, before)));
    let before = team.k.statements();
    let look = NewSchedule::new("look", NewTask::new("review")).every(Duration::from_secs(60));
    team.k.schedules().put(look).await.unwrap();
    sent.push(("put of a schedule", count(&team, before)));
    let before = team.k.statements();
    team.k.schedules().run_now("look").await.unwrap();
    sent.push(("run now", count(&team, before)));
    let events = team.k.events();
    events.subscribe(NewSubscription::new("s", "deploy.*")).await.unwrap();
    let before = team.k.statements();
    events.publish(NewEvent::new("deploy.done").key("7")).await.unwrap();
    sent.push(("publish", count(&team, before)));
    let before = team.k.statements();
    let batch = events.consume(Consume::new("s")).await.unwrap();
    sent.push(("consume", count(&team, before)));
    let before = team.k.statements();
    batch.ack().await.unwrap();
    sent.push(("ack of events", count(&team, before)));
    let expected = if sqlite {
        // A holder is told why, so a cancellation writes that too.
        [
            ("enqueue", 5),
            ("claim", 10),
            ("extend", 4),
            ("complete", 6),
            ("fail", 6),
            ("cancel", 7),
            ("update", 8),
            ("nothing to change", 2),
            ("beat", 1),
            ("health", 3),
            ("update of an agent", 2),
            ("put of a schedule", 5),
            ("run now", 9),
            ("publish", 4),
            ("consume", 10),
            ("ack of events", 5),
        ]
    } else {
        [
            ("enqueue", 1),
            ("claim", 1),
            ("extend", 1),
            ("complete", 1),
            ("fail", 2),
            ("cancel", 2),
            ("update", 4),
            ("nothing to change", 2),
            ("beat", 1),
            ("health", 1),
            ("update of an agent", 2),
            ("put of a schedule", 2),
            ("run now", 2),
            ("publish", 1),
            ("consume", 3),
            ("ack of events", 2),
        ]
    };
    assert_eq!(sent, expected);
}

/// The plans: with many tasks over and many blocked, no hot statement reads a row that it does not need.
#[tokio::test]
async fn hot_statements_seek_and_never_scan_or_sort() {
    let team = Team::sqlite().await;
    team.agent("temujin", &["a", "b"]).await;
    for i in 0..300 {
        let first = task(&i.to_string()).requires(["a"]);
        let second = task("second").depends_on([&first.id]).requires(["b"]);
        team.k.tasks().enqueue_many(vec![first, second]).await.unwrap();
    }
    for claimed in team.claim("temujin", 100).await {
        team.complete(&claimed).await;
    }
    let before = team.k.scans();
    let none = |what: &str| assert_eq!(team.k.scans() - before, 0, "{what}");
    team.add(task("plain")).await;
    none("enqueue");
    let claimed = team.claim("temujin", 20).await;
    none("claim");
    team.k.tasks().extend(&claimed[0].lease, Duration::from_secs(60)).await.unwrap();
    none("extend");
    team.complete(&claimed[0]).await;
    none("complete");
    team.k.tasks().fail(&claimed[1].lease, Failure::new("x")).await.unwrap();
    none("fail");
    team.k.tasks().release(&claimed[2].lease).await.unwrap();
    none("release");
    team.k.tasks().cancel(&claimed[3].id, None).await.unwrap();
    none("cancel");
    team.k.tasks().get(&claimed[4].id).await.unwrap();
    none("get");
    team.k.agents().beat_many(&["temujin", "nobody"], false).await.unwrap();
    none("beat");
    team.k.agents().health(None, Thresholds::default()).await.unwrap();
    none("health");
    let child = team.add(task("child").parent(&claimed[4].id)).await;
    none("a child");
    let children = Filter { parent_id: Some(claimed[4].id.clone()), ..Filter::default() };
    assert_eq!(team.k.tasks().list(children).await.unwrap().tasks[0].id, child);
    assert!(team.k.scans() - before <= 1, "children are found by the index, and sorted");
    let events = team.k.events();
    events.subscribe(NewSubscription::new("s", "deploy.*")).await.unwrap();
    let before = team.k.scans();
    let none = |what: &str| assert_eq!(team.k.scans() - before, 0, "{what}");
    let first = events.publish(NewEvent::new("deploy.begun")).await.unwrap();
    events.publish(NewEvent::new("deploy.done").key("7").cause(first.seq)).await.unwrap();
    none("publish");
    let batch = events.consume(Consume::new("s")).await.unwrap();
    assert_eq!(batch.events.len(), 2);
    none("consume");
    batch.ack().await.unwrap();
    none("ack of events");
    let before = team.k.scans();
    for i in 0..30 {
        let often =
            NewSchedule::new(i.to_string(), NewTask::new("review")).every(Duration::from_secs(60 + i));
        team.k.schedules().put(often).await.unwrap();
    }
    team.k.schedules().run_now("7").await.unwrap();
    assert_eq!(team.k.scans() - before, 0, "schedules");
    team.k.tasks().stats().await.unwrap();
    assert!(team.k.scans() > before, "the counter itself works");
}

fn count(team: &Team, before: u64) -> u64 {
    team.k.statements() - before
}

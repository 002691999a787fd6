use crate::{
    cases,
    fixture::{Team, code, task},
};
use kurultai_core::{
    Json,
    events::EventFilter,
    tasks::{Claim, Expiry, NewTask, Priority, Status, TaskUpdate},
};
use serde_json::json;
use std::time::Duration;

cases![
    what_is_named_changes_and_nothing_else,
    what_is_so_already_is_no_change,
    a_task_keeps_its_age_when_its_priority_changes,
    a_prerequisite_is_never_less_urgent_than_what_waits_for_it,
    what_a_task_waits_for_rises_with_it,
    an_assigned_task_is_for_its_agent_alone,
    a_start_is_moved,
    an_end_is_moved,
    a_time_out_counts_from_the_new_start,
    what_waits_for_others_is_changed_too,
    what_is_held_or_over_is_not_changed,
    what_cannot_be_is_refused,
    a_waiting_claim_elsewhere_hears_of_it,
    two_who_change_it_at_once_do_not_undo_each_other,
];

/// The payloads of a task's events with this topic.
async fn told(team: &Team, id: &str, topic: &str) -> Vec<serde_json::Value> {
    let filter =
        EventFilter { task_id: Some(id.to_owned()), topic: Some(topic.into()), ..Default::default() };
    let events = team.k.events().read(filter).await.unwrap().events;
    events.iter().map(|event| event.payload.as_ref().map(Json::value).unwrap_or_default()).collect()
}

async fn what_is_named_changes_and_nothing_else(team: Team) {
    let id = team.add(task("old").description("long").payload(json!({"n": 1})).unique_key("key")).await;
    let before = team.get(&id).await;
    team.seconds(1);
    let update = TaskUpdate::new().title("new").payload(json!({"n": 2}));
    let after = team.k.tasks().update(&id, update).await.unwrap();
    assert_eq!((after.title.as_str(), after.payload.value()), ("new", json!({"n": 2})));
    assert!(after.updated_at > before.updated_at);
    let mut expected = before.clone();
    (expected.title, expected.payload) = (after.title.clone(), after.payload.clone());
    expected.updated_at = after.updated_at;
    assert_eq!(after, expected);
    assert_eq!(after, team.get(&id).await);
    assert_eq!(told(&team, &id, "task.updated").await, [json!({"fields": ["title", "payload"]})]);
    let again = |n: i32| task("new").payload(json!({ "n": n })).unique_key("key");
    assert_eq!(team.k.tasks().enqueue(again(2)).await.unwrap().id, id);
    assert_eq!(code(team.k.tasks().enqueue(again(1)).await), "task.conflict");
    let empty = team.k.tasks().update(&id, TaskUpdate::new().title("").description("")).await.unwrap();
    assert_eq!((empty.title.as_str(), empty.description.as_str()), ("", ""));
}

async fn what_is_so_already_is_no_change(team: Team) {
    let id = team.add(task("one").assigned_to("temujin")).await;
    let tasks = team.k.tasks();
    let before = team.get(&id).await;
    team.seconds(1);
    tasks.update(&id, TaskUpdate::new().title("one").run_at(None)).await.unwrap();
    tasks.reprioritize(&id, Some(Priority::P2), Some(0.5)).await.unwrap();
    assert_eq!(tasks.assign(&id, Some("temujin"), Some("kublai")).await.unwrap(), before);
    assert_eq!(team.topics(&id).await, ["task.enqueued"]);
}

async fn a_task_keeps_its_age_when_its_priority_changes(team: Team) {
    team.agent("temujin", &[]).await;
    let mut ids = vec![];
    for name in ["a", "b", "c", "d"] {
        ids.push(team.add(task(name)).await);
    }
    let tasks = team.k.tasks();
    let raised = tasks.reprioritize(&ids[3], Some(Priority::P0), None).await.unwrap();
    assert_eq!((raised.priority, raised.priority_weight), (Priority::P0, 0.5));
    tasks.reprioritize(&ids[0], Some(Priority::P3), Some(0.9)).await.unwrap();
    tasks.reprioritize(&ids[2], None, Some(0.6)).await.unwrap();
    let at = |priority: &str, weight: f64| json!({"priority": priority, "priority_weight": weight});
    assert_eq!(
        told(&team, &ids[0], "task.reprioritized").await,
        [json!({"from": at("P2", 0.5), "to": at("P3", 0.9)})]
    );
    // Away and back: it stands where it stood.
    tasks.update(&ids[1], TaskUpdate::new().priority(Priority::P1)).await.unwrap();
    tasks.update(&ids[1], TaskUpdate::new().priority(Priority::P2).priority_weight(0.6)).await.unwrap();
    assert_eq!(team.claim_ids("temujin", 9).await, [3, 1, 2, 0].map(|place: usize| ids[place].clone()));
}

async fn a_prerequisite_is_never_less_urgent_than_what_waits_for_it(team: Team) {
    team.agent("temujin", &[]).await;
    let first = team.add(task("first").priority(Priority::P1)).await;
    let waits = team.add(task("waits").priority(Priority::P0).depends_on([&first])).await;
    let other = team.add(task("other").priority(Priority::P1)).await;
    let tasks = team.k.tasks();
    let lowered = tasks.reprioritize(&first, Some(Priority::P3), None).await.unwrap();
    assert_eq!(lowered.priority, Priority::P3);
    assert_eq!(team.claim_ids("temujin", 1).await, [&first[..]]);
    let lease = tasks.claim(Claim::new("temujin")).await.unwrap().remove(0).lease;
    assert_eq!(lease.task_id, other);
    // Nobody urgent waits for it any more, so the next change lowers it.
    let first = team.add(task("first").priority(Priority::P1)).await;
    let urgent = team.add(task("urgent").priority(Priority::P0).depends_on([&first])).await;
    tasks.cancel(&urgent, None).await.unwrap();
    tasks.cancel(&waits, None).await.unwrap();
    let other = team.add(task("other").priority(Priority::P1)).await;
    tasks.reprioritize(&first, Some(Priority::P3), None).await.unwrap();
    assert_eq!(team.claim_ids("temujin", 9).await, [other, first]);
}

async fn what_a_task_waits_for_rises_with_it(team: Team) {
    team.agent("temujin", &[]).await;
    let other = team.add(task("other").priority(Priority::P1)).await;
    let first = team.add(task("first")).await;
    let second = team.add(task("second").depends_on([&first])).await;
    let third = team.add(task("third").depends_on([&second])).await;
    team.k.tasks().reprioritize(&third, Some(Priority::P0), None).await.unwrap();
    let claimed = team.claim("temujin", 1).await;
    assert_eq!(claimed[0].id, first);
    team.complete(&claimed[0]).await;
    assert_eq!(team.claim_ids("temujin", 9).await, [second, other]);
}

async fn an_assigned_task_is_for_its_agent_alone(team: Team) {
    team.agent("temujin", &["rust"]).await;
    team.agent("jochi", &["rust"]).await;
    let tasks = team.k.tasks();
    let id = team.add(task("one").requires(["rust"])).await;
    let given = tasks.assign(&id, Some("jochi"), Some("kublai")).await.unwrap();
    assert_eq!(given.assigned_to.as_deref(), Some("jochi"));
    assert!(team.claim("temujin", 1).await.is_empty());
    let held = team.claim_one("jochi").await;
    tasks.release(&held.lease).await.unwrap();
    tasks.assign(&id, None, None).await.unwrap();
    assert_eq!(team.claim_ids("temujin", 1).await, [&id[..]]);
    assert_eq!(
        told(&team, &id, "task.assigned").await,
        [
            json!({"from": null, "to": "jochi", "by": "kublai"}),
            json!({"from": "jochi", "to": null, "by": null})
        ]
    );
    let filter = EventFilter { source: Some("kublai".into()), ..Default::default() };
    assert_eq!(team.k.events().read(filter).await.unwrap().events.len(), 1);
    // Blocked ones too, with no claim key to move.
    let first = team.add(task("first")).await;
    let second = team.add(task("second").depends_on([&first])).await;
    tasks.assign(&second, Some("jochi"), None).await.unwrap();
    team.complete(&team.claim_one("temujin").await).await;
    assert!(team.claim("temujin", 1).await.is_empty());
    assert_eq!(team.claim_ids("jochi", 1).await, [second]);
}

async fn a_start_is_moved(team: Team) {
    team.agent("temujin", &[]).await;
    let tasks = team.k.tasks();
    let id = team.add(task("one").expiry(Expiry::After(Duration::from_secs(60)))).await;
    let start = team.clock.now() + Duration::from_secs(100);
    let moved = tasks.update(&id, TaskUpdate::new().run_at(start)).await.unwrap();
    assert_eq!((moved.status, moved.run_at), (Status::Pending, Some(start)));
    assert!(team.claim("temujin", 1).await.is_empty());
    assert_eq!(team.k.tasks().explain(&id).await.unwrap().status, Status::Pending);
    team.seconds(99);
    team.k.maintain().await.unwrap();
    assert_eq!(team.status(&id).await, Status::Pending, "its time-out counts from the start");
    team.seconds(1);
    assert_eq!(team.claim_ids("temujin", 1).await, [&id[..]]);
    let later = team.add(task("later").delay(Duration::from_secs(1_000))).await;
    let now = tasks.update(&later, TaskUpdate::new().run_at(None)).await.unwrap();
    assert_eq!(now.run_at, Some(team.clock.now()));
    assert_eq!(team.claim_ids("temujin", 1).await, [&later[..]]);
    assert_eq!(told(&team, &later, "task.updated").await, [json!({"fields": ["run_at"]})]);
}

async fn an_end_is_moved(team: Team) {
    let tasks = team.k.tasks();
    let minute = |name: &str| task(name).expiry(Expiry::After(Duration::from_secs(60)));
    // Of one range, as they are made together.
    let all: Vec<NewTask> = ["stays", "later", "never", "sooner"].map(minute).into_iter().collect();
    let ids: Vec<String> = tasks.enqueue_many(all).await.unwrap().into_iter().map(|e| e.id).collect();
    let at = |seconds: u64| team.clock.now() + Duration::from_secs(seconds);
    tasks.update(&ids[1], TaskUpdate::new().expires_at(at(100))).await.unwrap();
    let never = tasks.update(&ids[2], TaskUpdate::new().expires_at(None)).await.unwrap();
    assert_eq!(never.expires_at, None);
    tasks.update(&ids[3], TaskUpdate::new().expires_at(at(10))).await.unwrap();
    let standing = async |expected: [Status; 4]| {
        team.k.maintain().await.unwrap();
        let found = tasks.get_many(&ids.iter().map(String::as_str).collect::<Vec<_>>()).await.unwrap();
        assert_eq!(found.into_iter().map(|task| task.unwrap().status).collect::<Vec<_>>(), expected);
    };
    use Status::{Expired, Pending};
    team.seconds(11);
    standing([Pending, Pending, Pending, Expired]).await;
    team.seconds(50);
    standing([Expired, Pending, Pending, Expired]).await;
    team.seconds(40);
    standing([Expired, Expired, Pending, Expired]).await;
    let gone = tasks.update(&ids[2], TaskUpdate::new().expires_at(at(0))).await.unwrap();
    assert_eq!(gone.status, Expired, "what follows has followed");
}

async fn a_time_out_counts_from_the_new_start(team: Team) {
    let id = team
        .add(task("one").expiry(Expiry::After(Duration::from_secs(60))).delay(Duration::from_secs(100)))
        .await;
    let moved = team.k.tasks().update(&id, TaskUpdate::new().run_at(None)).await.unwrap();
    assert_eq!(moved.expires_at, Some(team.clock.now() + Duration::from_secs(60)));
    team.seconds(61);
    team.k.maintain().await.unwrap();
    assert_eq!(team.status(&id).await, Status::Expired);
}

async fn what_waits_for_others_is_changed_too(team: Team) {
    team.agent("temujin", &[]).await;
    let tasks = team.k.tasks();
    let first = team.add(task("first")).await;
    let [later, soon] = ["later", "soon"].map(|name| task(name).depends_on([&first]));
    let (later, soon) = (team.add(later).await, team.add(soon).await);
    let start = team.clock.now() + Duration::from_secs(50);
    let moved = tasks.update(&later, TaskUpdate::new().run_at(start)).await.unwrap();
    assert_eq!((moved.status, moved.run_at), (Status::Blocked, Some(start)));
    let end = team.clock.now() + Duration::from_secs(20);
    tasks.update(&soon, TaskUpdate::new().expires_at(end)).await.unwrap();
    tasks.suspend(&later).await.unwrap();
    tasks.update(&later, TaskUpdate::new().title("renamed").priority(Priority::P0)).await.unwrap();
    assert_eq!(team.status(&later).await, Status::Suspended);
    team.complete(&team.claim_one("temujin").await).await;
    assert_eq!(team.status(&soon).await, Status::Pending);
    team.seconds(21);
    team.k.maintain().await.unwrap();
    assert_eq!(team.status(&soon).await, Status::Expired);
    tasks.resume(&later).await.unwrap();
    assert!(team.claim("temujin", 9).await.is_empty());
    team.seconds(50);
    assert_eq!(team.claim_one("temujin").await.title, "renamed");
}

async fn what_is_held_or_over_is_not_changed(team: Team) {
    team.agent("temujin", &[]).await;
    let tasks = team.k.tasks();
    let id = team.add(task("one")).await;
    let held = team.claim_one("temujin").await;
    let update = TaskUpdate::new().title("two");
    assert_eq!(code(tasks.update(&id, update.clone()).await), "task.state");
    assert_eq!(code(tasks.assign(&id, None, None).await), "task.state");
    team.complete(&held).await;
    assert_eq!(code(tasks.update(&id, update.clone()).await), "task.state");
    assert_eq!(code(tasks.reprioritize(&id, Some(Priority::P0), None).await), "task.state");
    assert_eq!(code(tasks.update("nothing", update).await), "task.not_found");
}

async fn what_cannot_be_is_refused(team: Team) {
    let tasks = team.k.tasks();
    let id = team.add(task("one")).await;
    let long = "x".repeat(1_001);
    let far = "9999-12-31T00:00:00Z".parse::<chrono::DateTime<chrono::Utc>>().unwrap();
    for update in [
        TaskUpdate::new(),
        TaskUpdate::new().title(long),
        TaskUpdate::new().description("x".repeat(65_537)),
        TaskUpdate::new().priority_weight(1.5),
        TaskUpdate::new().run_at(far),
        TaskUpdate::new().assigned_to(Some("No Agent")),
    ] {
        assert_eq!(code(tasks.update(&id, update).await), "input.invalid");
    }
    assert_eq!(code(tasks.reprioritize(&id, None, None).await), "input.invalid");
    assert_eq!(code(tasks.assign(&id, None, Some("No Agent")).await), "input.invalid");
    let big = TaskUpdate::new().payload(json!("x".repeat(1 << 20)));
    assert_eq!(code(tasks.update(&id, big).await), "input.payload");
    assert_eq!(team.topics(&id).await, ["task.enqueued"]);
}

async fn a_waiting_claim_elsewhere_hears_of_it(team: Team) {
    team.agent("temujin", &[]).await;
    let tasks = team.reopen(|config| config).await.tasks();
    let assigned = team.add(task("assigned").assigned_to("jochi")).await;
    let later = team.add(task("later").delay(Duration::from_secs(1_000))).await;
    for (id, update) in
        [(assigned, TaskUpdate::new().assigned_to(Some("temujin"))), (later, TaskUpdate::new().run_at(None))]
    {
        let tasks = tasks.clone();
        let waiting =
            tokio::spawn(
                async move { tasks.claim(Claim::new("temujin").wait(Duration::from_secs(60))).await },
            );
        tokio::time::sleep(Duration::from_millis(200)).await;
        team.k.tasks().update(&id, update).await.unwrap();
        let claimed =
            tokio::time::timeout(Duration::from_secs(20), waiting).await.expect("long before the wait ends");
        assert_eq!(claimed.unwrap().unwrap()[0].id, id);
    }
}

async fn two_who_change_it_at_once_do_not_undo_each_other(team: Team) {
    team.agent("temujin", &[]).await;
    let id = team.add(task("0").priority(Priority::P3)).await;
    let (ours, theirs) = (team.k.tasks(), team.reopen(|config| config).await.tasks());
    let change = |i: i32| {
        let (tasks, id) = (if i % 2 == 0 { &ours } else { &theirs }, &id);
        async move {
            let weight = f64::from(i) / 21.0;
            match i % 4 {
                0 => tasks.update(id, TaskUpdate::new().title("new")).await,
                1 => tasks.update(id, TaskUpdate::new().description(i.to_string())).await,
                2 => tasks.reprioritize(id, None, Some(weight)).await,
                _ => tasks.reprioritize(id, Some(Priority::P0), None).await,
            }
        }
    };
    for changed in futures::future::join_all((0..20).map(change)).await {
        changed.unwrap();
    }
    let task = team.get(&id).await;
    assert_eq!((task.title.as_str(), task.priority), ("new", Priority::P0));
    assert!(!task.description.is_empty() && task.priority_weight != 0.5);
    assert_eq!(told(&team, &id, "task.updated").await.len(), 6, "the title once, the description each time");
    assert_eq!(team.claim_ids("temujin", 1).await, [id]);
}

use crate::{
    cases,
    fixture::{Team, code, task},
};
use kurultai_core::{
    events::EventFilter,
    tasks::{Cancel, Failure, Filter, NewTask, OnPrerequisiteFailure, Signal, Status, WaitFor},
};
use std::time::Duration;

cases![
    a_tree_is_cancelled_from_the_top_down,
    what_is_finished_in_a_tree_is_passed_over,
    whoever_holds_a_part_of_a_tree_is_asked,
    all_tasks_that_match_are_cancelled,
    all_tasks_that_match_are_requeued,
    many_are_done_in_portions,
    a_filter_that_says_nothing_is_refused,
    a_task_is_found_by_its_key,
];

fn of_type(task_type: &str) -> Filter {
    Filter { task_type: Some(task_type.into()), ..Filter::default() }
}

async fn a_tree_is_cancelled_from_the_top_down(team: Team) {
    // It would complete as soon as its children have ended, in whatever way.
    let root = team.add(task("root").on_prerequisite_failure(OnPrerequisiteFailure::Continue)).await;
    let child = team.add(task("child").parent(&root)).await;
    let below = team.add(task("below").parent(&child)).await;
    let beside = team.add(task("beside").parent(&root)).await;
    let other = team.add(task("other")).await;
    let tree = Cancel::new().reason("no longer").children(true);
    assert_eq!(team.k.tasks().cancel(&root, tree.clone()).await.unwrap(), Status::Cancelled);
    for id in [&root, &child, &below, &beside] {
        assert_eq!(team.status(id).await, Status::Cancelled, "{id}");
        let filter = EventFilter { task_id: Some(id.clone()), ..Default::default() };
        let last = team.k.events().read(filter).await.unwrap().events.pop().unwrap();
        assert_eq!(last.topic, "task.cancelled");
        assert_eq!(last.payload.unwrap().value()["reason"], "no longer");
    }
    assert_eq!(team.status(&other).await, Status::Pending);
    assert_eq!(team.k.tasks().cancel(&root, tree.clone()).await.unwrap(), Status::Cancelled);
    assert_eq!(team.topics(&below).await, ["task.enqueued", "task.cancelled"]);
    assert_eq!(code(team.k.tasks().cancel("nothing", tree).await), "task.not_found");
}

async fn what_is_finished_in_a_tree_is_passed_over(team: Team) {
    team.agent("temujin", &[]).await;
    let root = team.add(task("root").wait_for(WaitFor::Any)).await;
    let wins = team.add(task("wins").parent(&root)).await;
    let loses = team.add(task("loses").parent(&root)).await;
    team.complete(&team.claim_one("temujin").await).await;
    assert_eq!(team.status(&root).await, Status::Completed);
    assert_eq!(code(team.k.tasks().cancel(&root, "too late").await), "task.state");
    let tree = Cancel::new().children(true);
    assert_eq!(team.k.tasks().cancel(&root, tree).await.unwrap(), Status::Completed);
    assert_eq!(team.status(&wins).await, Status::Completed);
    assert_eq!(team.status(&loses).await, Status::Cancelled);
}

async fn whoever_holds_a_part_of_a_tree_is_asked(team: Team) {
    team.agent("temujin", &[]).await;
    let root = team.add(task("root")).await;
    let held = team.add(task("held").parent(&root)).await;
    let lease = team.claim_one("temujin").await.lease;
    team.k.tasks().cancel(&root, Cancel::new().children(true)).await.unwrap();
    assert_eq!((team.status(&root).await, team.status(&held).await), (Status::Cancelled, Status::InProgress));
    let told = team.k.tasks().extend(&lease, Duration::from_secs(9)).await.unwrap();
    assert_eq!(told.signal, Signal::Cancel);
}

async fn all_tasks_that_match_are_cancelled(team: Team) {
    team.agent("temujin", &[]).await;
    let tasks = team.k.tasks();
    let done = team.add(NewTask::new("old")).await;
    team.complete(&team.claim_one("temujin").await).await;
    let held = team.add(NewTask::new("old")).await;
    team.claim_one("temujin").await;
    let waits = team.add(NewTask::new("old").depends_on([&held])).await;
    let blocked = team.add(NewTask::new("new").on_prerequisite_failure(OnPrerequisiteFailure::Cancel)).await;
    tasks.add_dependency(&blocked, &waits).await.unwrap();
    assert_eq!(tasks.cancel_many(of_type("old"), Some("replaced")).await.unwrap(), 2);
    assert_eq!(tasks.cancel_many(of_type("old"), None).await.unwrap(), 0);
    assert_eq!(team.topics(&held).await.last().unwrap(), "task.cancel_requested");
    assert_eq!((team.status(&done).await, team.status(&waits).await), (Status::Completed, Status::Cancelled));
    assert_eq!(team.status(&blocked).await, Status::Cancelled, "what follows has followed");
    let pending = Filter { status: Some(Status::Pending), ..of_type("new") };
    assert_eq!(tasks.cancel_many(pending, None).await.unwrap(), 0);
}

async fn all_tasks_that_match_are_requeued(team: Team) {
    team.agent("temujin", &[]).await;
    let tasks = team.k.tasks();
    let dead = Filter { status: Some(Status::DeadLetter), ..Filter::default() };
    for (task_type, key) in [("a", None), ("a", Some("key")), ("b", None)] {
        let mut new = NewTask::new(task_type);
        new.unique_key = key.map(str::to_owned);
        team.add(new).await;
        let lease = team.claim_one("temujin").await.lease;
        tasks.fail(&lease, Failure::fatal("never")).await.unwrap();
    }
    let later = team.add(NewTask::new("a").unique_key("key")).await;
    assert_eq!(tasks.requeue_many(Filter { task_type: Some("a".into()), ..dead.clone() }).await.unwrap(), 1);
    assert_eq!(team.claim("temujin", 9).await.len(), 2, "the requeued one and the later one");
    assert_eq!(team.status(&later).await, Status::InProgress);
    assert_eq!(tasks.requeue_many(dead.clone()).await.unwrap(), 1);
    assert_eq!(tasks.requeue_many(dead).await.unwrap(), 0, "the key's former owner stays");
}

async fn many_are_done_in_portions(team: Team) {
    let tasks = team.k.tasks();
    let parent = team.add(task("parent")).await;
    let all = (0..450).map(|i| task(&i.to_string()).parent(&parent)).collect();
    tasks.enqueue_many(all).await.unwrap();
    let below = || Filter { parent_id: Some(parent.clone()), limit: 3, ..Filter::default() };
    assert_eq!(tasks.cancel_many(below(), None).await.unwrap(), 450);
    assert_eq!(tasks.requeue_many(below()).await.unwrap(), 450);
    tasks.cancel(&parent, Cancel::new().children(true)).await.unwrap();
    let stats = tasks.stats().await.unwrap();
    assert_eq!(stats.by_status.into_iter().collect::<Vec<_>>(), [(Status::Cancelled, 451)]);
}

async fn a_filter_that_says_nothing_is_refused(team: Team) {
    let id = team.add(task("one")).await;
    let cursor = Filter { cursor: Some("a".into()), ..of_type("review") };
    for filter in [Filter::default(), Filter { limit: 5, ..Filter::default() }, cursor] {
        assert_eq!(code(team.k.tasks().cancel_many(filter.clone(), None).await), "input.invalid");
        assert_eq!(code(team.k.tasks().requeue_many(filter).await), "input.invalid");
    }
    assert_eq!(team.status(&id).await, Status::Pending);
}

async fn a_task_is_found_by_its_key(team: Team) {
    let tasks = team.k.tasks();
    let other = team.add(task("other").unique_key("another")).await;
    let id = team.add(task("one").unique_key("nightly").depends_on([&other])).await;
    let found = tasks.find("nightly").await.unwrap().unwrap();
    assert_eq!((&found.id, &found), (&id, &team.get(&id).await));
    assert_eq!(found.depends_on, [other]);
    assert_eq!(tasks.find("weekly").await.unwrap(), None);
    tasks.cancel(&id, None).await.unwrap();
    assert_eq!(tasks.find("nightly").await.unwrap().unwrap().status, Status::Cancelled);
    let next = team.add(task("one").unique_key("nightly")).await;
    assert_eq!(tasks.find("nightly").await.unwrap().unwrap().id, next);
    assert_eq!(code(tasks.find("").await), "input.invalid");
}

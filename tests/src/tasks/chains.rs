//! What a task has of the tasks above it: a correlation id, a depth, who gave it on.

use crate::{
    cases,
    fixture::{Team, code, task},
};
use kurultai_core::{
    Config, Kurultai,
    config::Retention,
    events::EventFilter,
    tasks::{Claim, Dependency, DependencyType, Failure, NewTask, TaskUpdate},
};
use std::time::Duration;

cases![
    children_have_the_correlation_id_of_the_first,
    every_event_of_a_task_has_its_correlation_id,
    events_keep_it_when_their_task_is_removed,
    a_repetition_is_a_parent_like_any_other,
    nothing_is_deeper_than_allowed,
    nobody_gets_back_what_he_gave_on,
    an_assignment_gives_nothing_back_either,
    who_plans_for_itself_gives_nothing_back,
];

async fn correlation(team: &Team, id: &str) -> String {
    team.get(id).await.correlation_id
}

async fn children_have_the_correlation_id_of_the_first(team: Team) {
    let first = team.add(task("plan")).await;
    let second = team.add(task("part").parent(&first)).await;
    let third = task("part").parent(&second);
    let fourth = task("part").parent(&third.id);
    let named = task("part").parent(&third.id).correlation_id("order-17");
    let below = task("part").parent(&named.id);
    let ids = [&third, &fourth, &named, &below].map(|task| task.id.clone());
    // Also where a child is said before its parent.
    team.k.tasks().enqueue_many(vec![below, fourth, named, third]).await.unwrap();
    let expected = [first.clone(), first.clone(), "order-17".into(), "order-17".into()];
    for (id, expected) in ids.iter().zip(expected) {
        assert_eq!(correlation(&team, id).await, expected);
    }
    assert_eq!(correlation(&team, &first).await, first);
    team.agent("temujin", &[]).await;
    for claimed in team.k.tasks().claim(Claim::new("temujin").max(10)).await.unwrap() {
        assert_eq!(claimed.correlation_id, correlation(&team, &claimed.id).await);
    }
    assert_eq!(code(team.k.tasks().enqueue(task("x").correlation_id("")).await), "input.invalid");
    assert_eq!(
        code(team.k.tasks().enqueue(task("x").correlation_id("x".repeat(129))).await),
        "input.invalid"
    );
}

async fn every_event_of_a_task_has_its_correlation_id(team: Team) {
    team.agent("temujin", &[]).await;
    let tasks = team.k.tasks();
    let named = |kind: &str| task(kind).correlation_id("chain");
    let before = team.add(named("before").max_attempts(1)).await;
    let after = team.add(named("after").depends_on([&before])).await;
    let other = team.add(named("other")).await;
    tasks.add_dependency(&other, Dependency::new(&after, DependencyType::Blocks)).await.unwrap();
    let claimed = team.claim_one("temujin").await;
    tasks.complete(&claimed.lease, serde_json::json!(1)).await.unwrap();
    let claimed = team.claim_one("temujin").await;
    tasks.fail(&claimed.lease, Failure::new("no")).await.unwrap();
    tasks.suspend(&after).await.unwrap();
    tasks.cancel(&other, None).await.unwrap();
    let lone = team.add(task("lone")).await;
    let events = team.k.events().read(EventFilter::default()).await.unwrap().events;
    assert!(events.len() >= 11, "{events:?}");
    for event in events {
        let expected = event.task_id.clone().map(|id| if id == lone { id } else { "chain".to_owned() });
        assert_eq!(event.correlation_id, expected, "{}", event.topic);
    }
}

async fn events_keep_it_when_their_task_is_removed(team: Team) {
    let keep = |config: Config| {
        config.retention(Retention { tasks: Some(Duration::from_secs(60)), ..Retention::default() })
    };
    let k = team.reopen(keep).await;
    let first = NewTask::new("x").correlation_id("chain");
    let second = NewTask::new("x");
    let (first, second) = (k.tasks().enqueue(first).await.unwrap(), k.tasks().enqueue(second).await.unwrap());
    for id in [&first.id, &second.id] {
        k.tasks().cancel(id, None).await.unwrap();
    }
    team.seconds(120);
    k.maintain().await.unwrap();
    assert_eq!(code(k.tasks().get(&first.id).await), "task.not_found");
    for (id, expected) in [(&first.id, "chain"), (&second.id, second.id.as_str())] {
        let filter = EventFilter { task_id: Some(id.clone()), ..EventFilter::default() };
        let events = k.events().read(filter).await.unwrap().events;
        assert_eq!(events.len(), 2);
        assert!(events.iter().all(|event| event.correlation_id.as_deref() == Some(expected)), "{events:?}");
    }
}

async fn a_repetition_is_a_parent_like_any_other(team: Team) {
    let first = team.add(task("plan").correlation_id("chain")).await;
    let keyed = || task("part").unique_key("only").parent(&first);
    team.add(keyed()).await;
    let again = keyed();
    let child = task("part").parent(&again.id);
    let id = child.id.clone();
    team.k.tasks().enqueue_many(vec![again, child]).await.unwrap();
    assert_eq!(correlation(&team, &id).await, "chain");
}

async fn nothing_is_deeper_than_allowed(team: Team) {
    let mut last = team.add(task("x")).await;
    for _ in 0..10 {
        last = team.add(task("x").parent(&last)).await;
    }
    let refused = team.k.tasks().enqueue(task("x").parent(&last)).await;
    assert_eq!(code(refused), "task.too_deep");

    let mut batch = vec![task("x")];
    for _ in 0..11 {
        batch.push(task("x").parent(&batch.last().unwrap().id));
    }
    batch.reverse();
    assert_eq!(code(team.k.tasks().enqueue_many(batch.clone()).await), "task.too_deep");
    team.k.tasks().enqueue_many(batch.split_off(1)).await.unwrap();

    let shallow: Kurultai = team.reopen(|config| config.max_depth(1)).await;
    let first = shallow.tasks().enqueue(task("x")).await.unwrap().id;
    let second = shallow.tasks().enqueue(task("x").parent(&first)).await.unwrap().id;
    let refused = shallow.tasks().enqueue(task("x").parent(&second)).await.unwrap_err();
    assert_eq!(
        (refused.code(), refused.to_string().contains("max_depth")),
        ("task.too_deep", true),
        "{refused}"
    );
}

async fn nobody_gets_back_what_he_gave_on(team: Team) {
    let given = |kind: &str, by: &str, to: &str| NewTask::new(kind).delegated_by(by).assigned_to(to);
    let first = team.add(given("review", "kublai", "jochi")).await;
    let back = team.k.tasks().enqueue(given("review", "jochi", "kublai").parent(&first)).await.unwrap_err();
    assert_eq!(back.code(), "task.delegation_cycle");
    assert!(back.to_string().contains("kublai -> jochi -> kublai"), "{back}");
    // Also on the way over others, in one batch.
    let second = given("review", "jochi", "temujin").parent(&first);
    let third = given("review", "temujin", "kublai").parent(&second.id);
    let back = team.k.tasks().enqueue_many(vec![third, second.clone()]).await.unwrap_err();
    assert!(back.to_string().contains("kublai -> jochi -> temujin -> kublai"), "{back}");
    let second = team.add(second).await;
    team.add(given("question", "temujin", "kublai").parent(&second)).await;
    team.add(given("review", "temujin", "chagatai").parent(&second)).await;
}

async fn an_assignment_gives_nothing_back_either(team: Team) {
    let given = |kind: &str, by: &str, to: &str| NewTask::new(kind).delegated_by(by).assigned_to(to);
    let tasks = team.k.tasks();
    let first = team.add(given("review", "kublai", "jochi")).await;
    let second = team.add(given("review", "jochi", "temujin").parent(&first)).await;
    let third = team.add(given("review", "temujin", "chagatai").parent(&second)).await;
    let back = tasks.assign(&third, Some("kublai"), None).await.unwrap_err();
    assert_eq!(back.code(), "task.delegation_cycle");
    assert!(back.to_string().contains("kublai -> jochi -> temujin -> kublai"), "{back}");
    let back = tasks.update(&third, TaskUpdate::new().assigned_to(Some("jochi"))).await.unwrap_err();
    assert!(back.to_string().contains("jochi -> temujin -> jochi"), "{back}");
    assert_eq!(team.get(&third).await.assigned_to.as_deref(), Some("chagatai"));
    // To somebody else, to who gives it on now, and to anybody.
    for agent in [Some("ogedei"), Some("temujin"), None] {
        assert_eq!(tasks.assign(&third, agent, None).await.unwrap().assigned_to.as_deref(), agent);
    }
    // Another kind of work, and work that nobody gave on.
    let other = team.add(given("question", "temujin", "chagatai").parent(&second)).await;
    tasks.assign(&other, Some("kublai"), None).await.unwrap();
    let own = team.add(task("review").parent(&third)).await;
    tasks.assign(&own, Some("kublai"), None).await.unwrap();
}

async fn who_plans_for_itself_gives_nothing_back(team: Team) {
    let own = || task("plan").delegated_by("kublai").assigned_to("kublai");
    let first = team.add(own()).await;
    team.add(own().parent(&first)).await;
}

use crate::{
    cases,
    fixture::{Team, code, task},
};
use kurultai_core::{
    agents::NewAgent,
    tasks::{Claim, NewTask, Priority, Status},
};
use std::time::Duration;

cases![
    the_most_urgent_of_many_types_comes_first,
    the_most_urgent_comes_first,
    a_claim_gives_everything_a_worker_needs,
    an_agent_needs_every_required_capability,
    an_assigned_task_is_for_its_agent_alone,
    who_joins_later_takes_older_tasks,
    only_the_types_that_the_caller_names,
    among_equals_preference_decides_before_age,
    nobody_holds_more_than_max_concurrent,
    a_limit_that_comes_later_counts_what_is_held,
    concurrent_claims_of_one_agent_share_its_room,
    different_agents_in_one_batch_never_share_a_task,
    an_unknown_agent_is_told_the_nearest_name,
    a_draining_agent_gets_nothing_new,
    a_waiting_claim_returns_when_work_arrives,
    a_waiting_claim_hears_of_other_processes,
    a_waiting_claim_hears_of_each_capability_that_comes_elsewhere,
    a_claim_that_nobody_waits_for_any_more_is_given_back,
    a_waiting_claim_hears_of_the_close,
    an_empty_queue_answers_at_once,
];

async fn the_most_urgent_of_many_types_comes_first(team: Team) {
    team.agent("temujin", &["rust"]).await;
    team.agent("jochi", &[]).await;
    // As many types as leave their routes behind, and some that live.
    let swept = (0..400).map(|i| NewTask::new(format!("gone {i}"))).collect();
    for gone in team.k.tasks().enqueue_many(swept).await.unwrap() {
        team.k.tasks().cancel(&gone.id, None).await.unwrap();
    }
    assert!(team.claim("temujin", 5).await.is_empty());
    let mut ids = Vec::new();
    for i in 0..90 {
        let priority = Priority::ALL[3 - i % 4];
        let new = NewTask::new(format!("type {i}")).priority(priority);
        ids.push((
            priority,
            usize::from(i % 8 != 1),
            i,
            team.add(if i % 8 == 1 { new.prefers(["rust"]) } else { new }).await,
        ));
    }
    ids.sort();
    let mut ids = ids.into_iter().map(|(.., id)| id);
    assert_eq!(team.claim_ids("temujin", 3).await, ids.by_ref().take(3).collect::<Vec<_>>());
    assert_eq!(team.claim_ids("temujin", 40).await, ids.by_ref().take(40).collect::<Vec<_>>());
    let (a, b) = futures::join!(team.claim_ids("temujin", 20), team.claim_ids("temujin", 20));
    let mut both: Vec<String> = a.into_iter().chain(b).collect();
    let mut rest: Vec<String> = ids.by_ref().take(40).collect();
    both.sort();
    rest.sort();
    assert_eq!(both, rest);
    assert_eq!(team.claim("jochi", 90).await.len(), 7);
}

async fn the_most_urgent_comes_first(team: Team) {
    team.agent("temujin", &[]).await;
    let mut expected = Vec::new();
    for (title, priority, weight) in [
        ("p3", Priority::P3, 1.0),
        ("p2 young", Priority::P2, 0.5),
        ("p0", Priority::P0, 0.0),
        ("p2 light", Priority::P2, 0.2),
        ("p1", Priority::P1, 0.5),
        ("p2 heavy", Priority::P2, 0.9),
        ("p2 younger", Priority::P2, 0.5),
    ] {
        expected.push((title, team.add(task(title).priority(priority).priority_weight(weight)).await));
    }
    let order = ["p0", "p1", "p2 heavy", "p2 young", "p2 younger", "p2 light", "p3"];
    let first: Vec<String> = team.claim("temujin", 3).await.into_iter().map(|c| c.title).collect();
    assert_eq!(first, order[..3]);
    let rest: Vec<String> = team.claim("temujin", 9).await.into_iter().map(|c| c.title).collect();
    assert_eq!(rest, order[3..]);
    assert!(team.claim("temujin", 1).await.is_empty());
}

async fn a_claim_gives_everything_a_worker_needs(team: Team) {
    team.agent("temujin", &[]).await;
    let parent = team.add(task("parent")).await;
    let id = team
        .add(
            task("child")
                .description("do it")
                .parent(&parent)
                .delegated_by("kublai")
                .payload(serde_json::json!({"pr": 42}))
                .priority(Priority::P1),
        )
        .await;
    let got = team.claim_one("temujin").await;
    assert_eq!((&got.id, got.title.as_str(), got.description.as_str()), (&id, "child", "do it"));
    assert_eq!(got.payload.value(), serde_json::json!({"pr": 42}));
    assert_eq!((got.priority, got.attempt, got.max_attempts), (Priority::P1, 1, 3));
    assert_eq!(
        (got.parent_id.as_deref(), got.delegated_by.as_deref()),
        (Some(parent.as_str()), Some("kublai"))
    );
    assert_eq!((got.lease.task_id.as_str(), got.lease.version, got.lease.attempt), (id.as_str(), 1, 1));
    assert_eq!(got.lease.expires_at, team.clock.now() + Duration::from_secs(30));
    let held = team.get(&id).await;
    assert_eq!((held.status, held.claimed_by.as_deref()), (Status::InProgress, Some("temujin")));
    assert_eq!(
        (held.claimed_at, held.lease_expires_at),
        (Some(team.clock.now()), Some(got.lease.expires_at))
    );
    assert_eq!(team.topics(&id).await, ["task.enqueued", "task.claimed"]);
    let agent = team.k.agents().get("temujin").await.unwrap();
    assert_eq!((agent.last_heartbeat, agent.current_load), (Some(team.clock.now()), 1));
}

async fn an_agent_needs_every_required_capability(team: Team) {
    team.agent("jochi", &["analysis", "testing"]).await;
    team.agent("temujin", &["development"]).await;
    let both = team.add(task("both").requires(["testing", "analysis"])).await;
    let develop = team.add(task("develop").requires(["development"])).await;
    let any = team.add(task("any")).await;
    team.add(task("odd").requires(["development", "testing"])).await;
    assert_eq!(team.claim_ids("temujin", 9).await, [develop, any]);
    assert_eq!(team.claim_ids("jochi", 9).await, [both]);
}

async fn an_assigned_task_is_for_its_agent_alone(team: Team) {
    team.agent("jochi", &[]).await;
    team.agent("temujin", &[]).await;
    let id = team.add(task("mine").assigned_to("temujin")).await;
    assert!(team.claim("jochi", 9).await.is_empty());
    assert_eq!(team.claim_ids("temujin", 9).await, [id]);
}

async fn who_joins_later_takes_older_tasks(team: Team) {
    team.agent("temujin", &[]).await;
    let id = team.add(task("old").requires(["rust"])).await;
    assert!(team.claim("temujin", 1).await.is_empty());
    team.agent("temujin", &["rust"]).await;
    assert_eq!(team.claim_ids("temujin", 1).await, [id]);
}

async fn only_the_types_that_the_caller_names(team: Team) {
    team.agent("temujin", &[]).await;
    team.add(NewTask::new("code")).await;
    let docs = team.add(NewTask::new("docs")).await;
    let claim = Claim::new("temujin").max(9).types(["docs", "ops"]);
    let claimed = team.k.tasks().claim(claim).await.unwrap();
    assert_eq!(claimed.iter().map(|c| &c.id).collect::<Vec<_>>(), [&docs]);
    assert!(
        team.k.tasks().claim(Claim::new("temujin").types(Vec::<String>::new())).await.unwrap().is_empty()
    );
}

async fn among_equals_preference_decides_before_age(team: Team) {
    team.agent("temujin", &["rust"]).await;
    let old = team.add(task("old")).await;
    let fitting = team.add(task("fitting").prefers(["rust"])).await;
    let urgent = team.add(task("urgent").priority(Priority::P1)).await;
    assert_eq!(team.claim_ids("temujin", 9).await, [urgent, fitting, old]);
}

async fn nobody_holds_more_than_max_concurrent(team: Team) {
    team.k.agents().register(NewAgent::new("temujin").max_concurrent(2)).await.unwrap();
    for i in 0..5 {
        team.add(task(&i.to_string())).await;
    }
    let first = team.claim("temujin", 9).await;
    assert_eq!(first.len(), 2);
    assert!(team.claim("temujin", 9).await.is_empty());
    team.complete(&first[0]).await;
    assert_eq!(team.claim("temujin", 9).await.len(), 1);
    let calls = (0..8).map(|_| team.claim("temujin", 3));
    assert_eq!(futures::future::join_all(calls).await.concat().len(), 0);
    team.seconds(31);
    team.k.maintain().await.unwrap();
    assert_eq!(team.k.agents().get("temujin").await.unwrap().current_load, 0);
    assert_eq!(team.claim("temujin", 9).await.len(), 2);
}

async fn a_limit_that_comes_later_counts_what_is_held(team: Team) {
    team.agent("temujin", &[]).await;
    for i in 0..5 {
        team.add(task(&i.to_string())).await;
    }
    let held = team.claim("temujin", 3).await;
    assert_eq!(team.k.agents().get("temujin").await.unwrap().current_load, 3);
    team.k.agents().register(NewAgent::new("temujin").max_concurrent(3)).await.unwrap();
    assert!(team.claim("temujin", 1).await.is_empty());
    team.complete(&held[0]).await;
    assert_eq!(team.claim("temujin", 9).await.len(), 1);
    assert_eq!(team.k.agents().get("temujin").await.unwrap().current_load, 3);
}

async fn concurrent_claims_of_one_agent_share_its_room(team: Team) {
    team.k.agents().register(NewAgent::new("temujin").max_concurrent(3)).await.unwrap();
    for i in 0..9 {
        team.add(task(&i.to_string())).await;
    }
    let calls = (0..9).map(|_| team.claim("temujin", 1));
    assert_eq!(futures::future::join_all(calls).await.concat().len(), 3);
}

async fn different_agents_in_one_batch_never_share_a_task(team: Team) {
    for agent in ["a", "b", "c", "d"] {
        team.agent(agent, &[agent]).await;
        team.add(task(agent).requires([agent])).await;
    }
    for i in 0..20 {
        team.add(task(&i.to_string())).await;
    }
    let calls = ["a", "b", "c", "d", "a", "b", "c", "d"].map(|agent| team.claim(agent, 3));
    let claimed = futures::future::join_all(calls).await.concat();
    let ids: std::collections::HashSet<&str> = claimed.iter().map(|c| c.id.as_str()).collect();
    assert_eq!((claimed.len(), ids.len()), (24, 24));
}

async fn an_unknown_agent_is_told_the_nearest_name(team: Team) {
    team.agent("temujin", &[]).await;
    let error = team.k.tasks().claim(Claim::new("temujim")).await.unwrap_err();
    assert_eq!(error.code(), "agent.not_found");
    assert!(error.message().contains("\"temujin\""), "{error}");
    team.add(task("left alone")).await;
    let tasks = team.k.tasks();
    let (bad, good) = tokio::join!(tasks.claim(Claim::new("nobody")), team.claim("temujin", 1));
    assert_eq!((code(bad), good.len()), ("agent.not_found", 1));
}

async fn a_draining_agent_gets_nothing_new(team: Team) {
    team.agent("temujin", &[]).await;
    let id = team.add(task("one")).await;
    team.k.agents().drain("temujin").await.unwrap();
    assert!(team.claim("temujin", 1).await.is_empty());
    team.agent("temujin", &[]).await;
    assert_eq!(team.claim_ids("temujin", 1).await, [id]);
}

async fn a_waiting_claim_returns_when_work_arrives(team: Team) {
    team.agent("temujin", &[]).await;
    let tasks = team.k.tasks();
    let waiting =
        tokio::spawn(async move { tasks.claim(Claim::new("temujin").wait(Duration::from_secs(60))).await });
    tokio::time::sleep(Duration::from_millis(100)).await;
    let id = team.add(task("news")).await;
    let claimed =
        tokio::time::timeout(Duration::from_secs(20), waiting).await.expect("long before the wait ends");
    assert_eq!(claimed.unwrap().unwrap()[0].id, id);
}

async fn a_waiting_claim_hears_of_other_processes(team: Team) {
    team.agent("temujin", &[]).await;
    let tasks = team.reopen(|config| config).await.tasks();
    let waiting =
        tokio::spawn(async move { tasks.claim(Claim::new("temujin").wait(Duration::from_secs(60))).await });
    tokio::time::sleep(Duration::from_millis(200)).await;
    let id = team.add(task("news")).await;
    let claimed =
        tokio::time::timeout(Duration::from_secs(20), waiting).await.expect("long before the wait ends");
    assert_eq!(claimed.unwrap().unwrap()[0].id, id);
}

async fn a_waiting_claim_hears_of_each_capability_that_comes_elsewhere(team: Team) {
    team.agent("temujin", &[]).await;
    let tasks = team.reopen(|config| config).await.tasks();
    let id = team.add(task("hard").requires(["a", "b"])).await;
    let waiting =
        tokio::spawn(async move { tasks.claim(Claim::new("temujin").wait(Duration::from_secs(60))).await });
    for capabilities in [&["a"][..], &["b"], &["a", "b"]] {
        tokio::time::sleep(Duration::from_millis(700)).await;
        team.agent("temujin", capabilities).await;
    }
    let claimed =
        tokio::time::timeout(Duration::from_secs(20), waiting).await.expect("long before the wait ends");
    assert_eq!(claimed.unwrap().unwrap()[0].id, id);
}

async fn a_claim_that_nobody_waits_for_any_more_is_given_back(team: Team) {
    team.agent("temujin", &[]).await;
    for i in 0..40 {
        team.add(task(&i.to_string())).await;
    }
    for round in 0..40u32 {
        let call = team.claim("temujin", 1);
        let patience = Duration::from_micros(u64::from(round) * 37);
        drop(tokio::time::timeout(patience, call).await);
    }
    let mut left = 1;
    for _ in 0..200 {
        tokio::time::sleep(Duration::from_millis(20)).await;
        let stats = team.k.tasks().stats().await.unwrap();
        left = stats.by_status.get(&Status::InProgress).copied().unwrap_or(0) as usize;
        let claimed = team
            .k
            .events()
            .read(kurultai_core::events::EventFilter {
                topic: Some("task.claimed".into()),
                ..Default::default()
            })
            .await
            .unwrap()
            .events
            .len();
        let released = team
            .k
            .events()
            .read(kurultai_core::events::EventFilter {
                topic: Some("task.released".into()),
                ..Default::default()
            })
            .await
            .unwrap()
            .events
            .len();
        if claimed - released == left {
            break;
        }
    }
    let stats = team.k.tasks().stats().await.unwrap();
    assert_eq!(stats.by_status.values().sum::<u64>(), 40);
    assert_eq!(left as u64 + stats.by_status.get(&Status::Pending).copied().unwrap_or(0), 40);
}

async fn a_waiting_claim_hears_of_the_close(team: Team) {
    team.agent("temujin", &[]).await;
    let waiting = tokio::spawn({
        let tasks = team.k.tasks();
        async move { tasks.claim(Claim::new("temujin").wait(Duration::from_secs(600))).await }
    });
    tokio::time::sleep(Duration::from_millis(200)).await;
    let close = tokio::time::timeout(Duration::from_secs(30), team.k.clone().close());
    close.await.expect("nobody waits for the end of the wait");
    assert_eq!(code(waiting.await.unwrap()), "store.closed");
}

async fn an_empty_queue_answers_at_once(team: Team) {
    team.agent("temujin", &[]).await;
    assert!(team.claim("temujin", 5).await.is_empty());
}

use crate::{
    cases,
    fixture::{Team, code, task},
};
use kurultai_core::tasks::{Dependency, DependencyType, Failure, OnPrerequisiteFailure, Priority, Status};
use serde_json::json;

cases![
    a_dependent_starts_when_the_last_prerequisite_is_done,
    prerequisites_that_are_done_do_not_block,
    what_feeds_into_a_task_does_not_block_it,
    an_edge_can_be_added_later,
    a_later_edge_that_closes_a_cycle_is_refused_and_named,
    of_two_edges_that_would_close_a_cycle_one_is_refused,
    a_dead_prerequisite_blocks_for_good_by_default,
    a_dead_prerequisite_cancels_whom_it_should_and_those_behind,
    continue_waits_for_the_rest,
    a_new_task_behind_a_dead_one_follows_its_policy,
    a_prerequisite_is_as_urgent_as_what_waits_for_it,
    urgency_is_inherited_within_a_batch_and_over_later_edges,
];

async fn a_dependent_starts_when_the_last_prerequisite_is_done(team: Team) {
    team.agent("temujin", &[]).await;
    let (a, b) = (team.add(task("a")).await, team.add(task("b")).await);
    let both = team.add(task("both").depends_on([&a, &b])).await;
    let then = team.add(task("then").depends_on([&both])).await;
    let claimed = team.claim("temujin", 9).await;
    assert_eq!(claimed.iter().map(|c| &c.id).collect::<Vec<_>>(), [&a, &b]);
    team.complete(&claimed[0]).await;
    assert_eq!(team.status(&both).await, Status::Blocked);
    team.complete(&claimed[1]).await;
    let third = team.claim("temujin", 9).await;
    assert_eq!(third.iter().map(|c| &c.id).collect::<Vec<_>>(), [&both]);
    let results: Vec<_> = third[0]
        .prerequisites
        .iter()
        .map(|p| (p.id.clone(), p.status, p.results.clone().unwrap().value()))
        .collect();
    assert_eq!(
        results,
        [(a, Status::Completed, json!({"of": "a"})), (b, Status::Completed, json!({"of": "b"}))]
    );
    team.complete(&third[0]).await;
    assert_eq!(team.topics(&then).await, ["task.enqueued", "task.unblocked"]);
}

async fn prerequisites_that_are_done_do_not_block(team: Team) {
    team.agent("temujin", &[]).await;
    let a = team.add(task("a")).await;
    team.complete(&team.claim_one("temujin").await).await;
    let b = team.add(task("b").depends_on([&a])).await;
    assert_eq!(team.claim_ids("temujin", 9).await, [b]);
}

async fn what_feeds_into_a_task_does_not_block_it(team: Team) {
    team.agent("temujin", &[]).await;
    let (a, x) = (team.add(task("a")).await, team.add(task("x")).await);
    team.complete(&team.claim_one("temujin").await).await;
    let feeds = Dependency::new(&a, DependencyType::FeedsInto);
    let open = Dependency::new(&x, DependencyType::FeedsInto);
    let aside = Dependency::new(&x, DependencyType::ParallelOk);
    let b = team.add(task("b").priority(Priority::P1).depends_on([feeds, open])).await;
    let c = team.add(task("c").priority(Priority::P1).depends_on([aside])).await;
    let claimed = team.claim("temujin", 2).await;
    assert_eq!(claimed.iter().map(|c| &c.id).collect::<Vec<_>>(), [&b, &c]);
    assert_eq!(claimed[0].prerequisites.len(), 2);
    assert_eq!(
        claimed[0].prerequisites.iter().find(|p| p.id == a).unwrap().results.as_ref().unwrap().value(),
        json!({"of": "a"})
    );
    assert!(claimed[1].prerequisites.is_empty());
}

async fn an_edge_can_be_added_later(team: Team) {
    team.agent("temujin", &[]).await;
    let (a, b) = (team.add(task("a")).await, team.add(task("b").priority(Priority::P0)).await);
    team.k.tasks().add_dependency(&b, &a).await.unwrap();
    assert_eq!((team.status(&b).await, team.get(&b).await.depends_on), (Status::Blocked, vec![a.clone()]));
    let first = team.claim_one("temujin").await;
    assert_eq!(first.id, a);
    team.complete(&first).await;
    assert_eq!(team.claim_one("temujin").await.id, b);
    assert_eq!(code(team.k.tasks().add_dependency(&b, &a).await), "task.state");
    assert_eq!(code(team.k.tasks().add_dependency("nobody", &a).await), "task.not_found");
    let c = team.add(task("c")).await;
    assert_eq!(code(team.k.tasks().add_dependency(&c, "nobody").await), "task.dependency_unknown");
}

async fn a_later_edge_that_closes_a_cycle_is_refused_and_named(team: Team) {
    let a = team.add(task("a")).await;
    let b = team.add(task("b").depends_on([&a])).await;
    let c = team.add(task("c").depends_on([&b])).await;
    let error = team.k.tasks().add_dependency(&a, &c).await.unwrap_err();
    assert_eq!(error.code(), "task.dependency_cycle");
    assert!([&a, &b, &c].iter().all(|id| error.message().contains(id.as_str())), "{error}");
    assert_eq!(code(team.k.tasks().add_dependency(&a, &a).await), "task.dependency_cycle");
    let parent = team.add(task("parent")).await;
    let child = team.add(task("child").parent(&parent)).await;
    assert_eq!(code(team.k.tasks().add_dependency(&child, &parent).await), "task.dependency_cycle");
}

async fn of_two_edges_that_would_close_a_cycle_one_is_refused(team: Team) {
    for _ in 0..10 {
        let (a, b) = (team.add(task("a")).await, team.add(task("b")).await);
        let tasks = team.k.tasks();
        let (one, other) =
            tokio::join!(tasks.add_dependency(&a, b.as_str()), tasks.add_dependency(&b, a.as_str()));
        assert!(one.is_ok() != other.is_ok(), "{one:?} {other:?}");
    }
}

async fn a_dead_prerequisite_blocks_for_good_by_default(team: Team) {
    team.agent("temujin", &[]).await;
    let a = team.add(task("a")).await;
    let b = team.add(task("b").depends_on([&a])).await;
    let lease = team.claim_one("temujin").await.lease;
    team.k.tasks().fail(&lease, Failure::fatal("broken")).await.unwrap();
    team.k.maintain().await.unwrap();
    assert_eq!(team.status(&b).await, Status::Blocked);
    team.k.tasks().requeue(&a).await.unwrap();
    team.complete(&team.claim_one("temujin").await).await;
    assert_eq!(team.claim_one("temujin").await.id, b);
}

async fn a_dead_prerequisite_cancels_whom_it_should_and_those_behind(team: Team) {
    team.agent("temujin", &[]).await;
    let a = team.add(task("a")).await;
    let cancel = |title: &str| task(title).on_prerequisite_failure(OnPrerequisiteFailure::Cancel);
    let b = team.add(cancel("b").depends_on([&a])).await;
    let c = team.add(cancel("c").depends_on([&b])).await;
    let d =
        team.add(task("d").depends_on([&c]).on_prerequisite_failure(OnPrerequisiteFailure::Continue)).await;
    let lease = team.claim_one("temujin").await.lease;
    team.k.tasks().fail(&lease, Failure::fatal("broken")).await.unwrap();
    assert_eq!((team.status(&b).await, team.status(&c).await), (Status::Cancelled, Status::Cancelled));
    assert_eq!(team.claim_ids("temujin", 9).await, [d]);
}

async fn continue_waits_for_the_rest(team: Team) {
    team.agent("temujin", &[]).await;
    let (a, b) = (team.add(task("a")).await, team.add(task("b")).await);
    let c = team
        .add(task("c").depends_on([&a, &b]).on_prerequisite_failure(OnPrerequisiteFailure::Continue))
        .await;
    team.k.tasks().cancel(&a, None).await.unwrap();
    assert_eq!(team.status(&c).await, Status::Blocked);
    team.complete(&team.claim_one("temujin").await).await;
    assert_eq!(team.claim_ids("temujin", 9).await, [c]);
}

async fn a_new_task_behind_a_dead_one_follows_its_policy(team: Team) {
    let a = team.add(task("a")).await;
    team.k.tasks().cancel(&a, None).await.unwrap();
    let policy = |policy| task("b").depends_on([&a]).on_prerequisite_failure(policy);
    let block = team.add(policy(OnPrerequisiteFailure::Block)).await;
    let cancel = team.add(policy(OnPrerequisiteFailure::Cancel)).await;
    let resume = team.add(policy(OnPrerequisiteFailure::Continue)).await;
    assert_eq!(team.status(&block).await, Status::Blocked);
    assert_eq!(team.status(&cancel).await, Status::Cancelled);
    assert_eq!(team.status(&resume).await, Status::Pending);
}

async fn a_prerequisite_is_as_urgent_as_what_waits_for_it(team: Team) {
    team.agent("temujin", &[]).await;
    team.add(task("p1").priority(Priority::P1)).await;
    let root = team.add(task("root").priority(Priority::P3)).await;
    let middle = team.add(task("middle").priority(Priority::P3).depends_on([&root])).await;
    team.add(task("urgent").priority(Priority::P0).depends_on([&middle])).await;
    let order = ["root", "middle", "urgent", "p1"];
    for title in order {
        let claimed = team.claim_one("temujin").await;
        assert_eq!(claimed.title, title);
        team.complete(&claimed).await;
    }
    assert_eq!(team.get(&root).await.priority, Priority::P3, "what its author said is kept");
}

async fn urgency_is_inherited_within_a_batch_and_over_later_edges(team: Team) {
    team.agent("temujin", &[]).await;
    team.add(task("p1").priority(Priority::P1)).await;
    team.seconds(1);
    let low = task("low").priority(Priority::P3);
    let high = task("high").priority(Priority::P0).depends_on([&low.id]);
    team.k.tasks().enqueue_many(vec![high, low]).await.unwrap();
    assert_eq!(team.claim_one("temujin").await.title, "low");
    let late = team.add(task("late").priority(Priority::P3)).await;
    let wants = team.add(task("wants").priority(Priority::P0)).await;
    team.k.tasks().add_dependency(&wants, &late).await.unwrap();
    assert_eq!(team.claim_one("temujin").await.title, "late");
}

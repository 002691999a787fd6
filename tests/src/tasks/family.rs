use crate::{
    cases,
    fixture::{Team, code, task},
};
use kurultai_core::tasks::{Failure, OnPrerequisiteFailure, Status, WaitFor};
use serde_json::json;

cases![
    a_parent_completes_with_its_last_child,
    a_parent_completes_once_however_many_look,
    a_parent_may_wait_for_any_or_for_a_quorum,
    children_that_come_later_hold_their_parent,
    a_worker_that_makes_children_completes_when_they_do,
    a_parent_that_was_told_to_stop_does_not_wait_for_its_children,
    a_parent_that_was_told_to_stop_ends_one_way,
    a_dead_child_follows_the_parents_policy,
];

async fn a_parent_completes_with_its_last_child(team: Team) {
    team.agent("temujin", &[]).await;
    let parent = task("parent");
    let grand = task("grand");
    let parent = parent.parent(&grand.id);
    let children = [task("one").parent(&parent.id), task("two").parent(&parent.id)];
    let (grand_id, id) = (grand.id.clone(), parent.id.clone());
    let after = task("after").depends_on([&grand.id]);
    let [one, two] = children;
    team.k.tasks().enqueue_many(vec![grand, parent, one, two, after]).await.unwrap();
    let claimed = team.claim("temujin", 9).await;
    assert_eq!(claimed.iter().map(|c| c.title.as_str()).collect::<Vec<_>>(), ["one", "two"]);
    team.complete(&claimed[0]).await;
    assert_eq!(team.status(&id).await, Status::Blocked);
    team.complete(&claimed[1]).await;
    assert_eq!(
        (team.status(&id).await, team.status(&grand_id).await),
        (Status::Completed, Status::Completed)
    );
    assert_eq!(team.topics(&id).await, ["task.enqueued", "task.completed"]);
    assert_eq!(team.claim_one("temujin").await.title, "after");
}

async fn a_parent_completes_once_however_many_look(team: Team) {
    team.agent("temujin", &[]).await;
    let parent = task("parent");
    let id = parent.id.clone();
    let children = (0..30).map(|i| task(&i.to_string()).parent(&id)).collect::<Vec<_>>();
    team.k.tasks().enqueue_many([vec![parent], children].concat()).await.unwrap();
    let claimed = team.claim("temujin", 30).await;
    let tasks = team.k.tasks();
    let ends = claimed.iter().map(|c| tasks.complete(&c.lease, json!(1)));
    let looks = (0..30).map(|_| team.k.maintain());
    let (ends, looks) = tokio::join!(futures::future::join_all(ends), futures::future::join_all(looks));
    assert!(ends.into_iter().all(|end| end.is_ok()) && looks.into_iter().all(|look| look.is_ok()));
    assert_eq!(team.topics(&id).await, ["task.enqueued", "task.completed"]);
}

async fn a_parent_may_wait_for_any_or_for_a_quorum(team: Team) {
    team.agent("temujin", &[]).await;
    for (wait_for, needed) in [(WaitFor::Any, 1), (WaitFor::Quorum(2), 2), (WaitFor::All, 3)] {
        let parent = task("parent").wait_for(wait_for);
        let id = parent.id.clone();
        let children = (0..3).map(|i| task(&i.to_string()).parent(&id)).collect::<Vec<_>>();
        team.k.tasks().enqueue_many([vec![parent], children].concat()).await.unwrap();
        for done in 1..=3 {
            team.complete(&team.claim_one("temujin").await).await;
            let expected = if done >= needed { Status::Completed } else { Status::Blocked };
            assert_eq!(team.status(&id).await, expected, "{wait_for:?} after {done}");
        }
    }
}

async fn children_that_come_later_hold_their_parent(team: Team) {
    team.agent("temujin", &[]).await;
    let parent = team.add(task("parent")).await;
    team.add(task("child").parent(&parent)).await;
    let claimed = team.claim("temujin", 9).await;
    assert_eq!(claimed.iter().map(|c| c.title.as_str()).collect::<Vec<_>>(), ["child"]);
    team.complete(&claimed[0]).await;
    assert_eq!(team.status(&parent).await, Status::Completed);
    assert_eq!(code(team.k.tasks().enqueue(task("late").parent(&parent)).await), "task.conflict");
}

async fn a_worker_that_makes_children_completes_when_they_do(team: Team) {
    team.agent("temujin", &[]).await;
    let id = team.add(task("parent")).await;
    let lease = team.claim_one("temujin").await.lease;
    team.add(task("child").parent(&id)).await;
    let finished = team.k.tasks().complete(&lease, json!("split")).await.unwrap();
    assert_eq!(finished.status, Status::Blocked);
    assert!(team.k.tasks().complete(&lease, json!("split")).await.unwrap().repeated);
    team.complete(&team.claim_one("temujin").await).await;
    let got = team.get(&id).await;
    assert_eq!((got.status, got.results.unwrap().value()), (Status::Completed, json!("split")));
}

async fn a_parent_that_was_told_to_stop_does_not_wait_for_its_children(team: Team) {
    team.agent("temujin", &[]).await;
    for ended in [Status::Cancelled, Status::Suspended] {
        let id = team.add(task("parent")).await;
        let lease = team.claim_one("temujin").await.lease;
        team.add(task("child").parent(&id)).await;
        match ended {
            Status::Cancelled => team.k.tasks().cancel(&id, None).await.unwrap(),
            _ => team.k.tasks().suspend(&id).await.unwrap(),
        };
        assert_eq!(team.k.tasks().complete(&lease, json!("split")).await.unwrap().status, ended);
        assert!(team.k.tasks().complete(&lease, json!("split")).await.unwrap().repeated);
        team.complete(&team.claim_one("temujin").await).await;
        assert_eq!(team.status(&id).await, ended);
        assert_eq!(team.get(&id).await.results.unwrap().value(), json!("split"));
    }
}

async fn a_parent_that_was_told_to_stop_ends_one_way(team: Team) {
    team.agent("temujin", &[]).await;
    for (ended, completes) in [
        (Status::Cancelled, true),
        (Status::Cancelled, false),
        (Status::Suspended, true),
        (Status::Suspended, false),
    ] {
        let id = team.add(task("parent")).await;
        let lease = team.claim_one("temujin").await.lease;
        let child = team.add(task("child").parent(&id)).await;
        let tasks = team.k.tasks();
        match ended {
            Status::Cancelled => tasks.cancel(&id, None).await.unwrap(),
            _ => tasks.suspend(&id).await.unwrap(),
        };
        let complete = || tasks.complete(&lease, json!("split"));
        let fail = || tasks.fail(&lease, Failure::new("broken"));
        let (first, again, other) = match completes {
            true => (complete().await, complete().await, fail().await),
            false => (fail().await, fail().await, complete().await),
        };
        let (first, again) = (first.unwrap(), again.unwrap());
        assert_eq!((first.status, first.repeated), (ended, false));
        assert_eq!((again.status, again.repeated), (ended, true));
        assert_eq!(code(other), "lease.lost", "{ended}, {completes}");
        let got = team.get(&id).await;
        assert_eq!((got.results.is_some(), got.errors.len()), (completes, usize::from(!completes)));
        tasks.cancel(&child, None).await.unwrap();
    }
}

async fn a_dead_child_follows_the_parents_policy(team: Team) {
    team.agent("temujin", &[]).await;
    for (policy, expected) in [
        (OnPrerequisiteFailure::Block, Status::Blocked),
        (OnPrerequisiteFailure::Cancel, Status::Cancelled),
        (OnPrerequisiteFailure::Continue, Status::Completed),
    ] {
        let parent = task("parent").on_prerequisite_failure(policy);
        let id = parent.id.clone();
        let children = vec![parent, task("dies").parent(&id), task("lives").parent(&id)];
        team.k.tasks().enqueue_many(children).await.unwrap();
        let claimed = team.claim("temujin", 2).await;
        team.k.tasks().complete(&claimed[1].lease, json!(1)).await.unwrap();
        team.k.tasks().fail(&claimed[0].lease, Failure::fatal("broken")).await.unwrap();
        assert_eq!(team.status(&id).await, expected, "{policy}");
    }
}

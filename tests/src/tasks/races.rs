//! Two calls about one task at the same moment: whatever was answered holds afterwards.

use crate::{
    cases,
    fixture::{Team, steady, task},
};
use futures::join;
use kurultai_core::{
    Config, Tasks,
    config::Retention,
    tasks::{Claim, Claimed, Failure, NewTask, Status},
};
use serde_json::json;
use std::time::Duration;

const ROUNDS: usize = 100;

/// The team as two processes see it: calls of one are often in one batch.
async fn two_processes(team: &Team) -> (Tasks, Tasks) {
    team.agent("temujin", &[]).await;
    (team.k.tasks(), team.reopen(|config| config).await.tasks())
}

async fn held(team: &Team) -> Claimed {
    team.k.tasks().enqueue(task("one").retry(steady()).max_attempts(9)).await.unwrap();
    team.claim_one("temujin").await
}

async fn nobody_gets_it(team: &Team) {
    team.seconds(5);
    assert!(team.claim("temujin", 1).await.is_empty(), "what was stopped is given out again");
}

fn failure() -> Failure {
    Failure::new("boom").retry_after(Duration::ZERO)
}

cases![
    a_cancel_holds_against_a_failure,
    a_cancel_holds_against_a_release,
    a_suspension_holds_against_a_failure,
    a_suspension_holds_against_a_release,
    a_cancel_and_a_completion_never_leave_the_task_open,
    a_parent_is_not_resumed_past_a_new_child,
    a_parent_does_not_complete_past_a_new_child,
    what_a_new_task_waits_for_is_not_removed_under_it,
];

async fn a_cancel_holds_against_a_failure(team: Team) {
    let (here, there) = two_processes(&team).await;
    for round in 0..ROUNDS {
        let held = held(&team).await;
        let (said, failed) = join!(there.cancel(&held.id, None), here.fail(&held.lease, failure()));
        said.unwrap();
        failed.unwrap();
        assert_eq!(team.status(&held.id).await, Status::Cancelled, "round {round}");
    }
    nobody_gets_it(&team).await;
}

async fn a_cancel_holds_against_a_release(team: Team) {
    let (here, there) = two_processes(&team).await;
    for round in 0..ROUNDS {
        let held = held(&team).await;
        let (said, released) = join!(there.cancel(&held.id, None), here.release(&held.lease));
        said.unwrap();
        released.unwrap();
        assert_eq!(team.status(&held.id).await, Status::Cancelled, "round {round}");
    }
    nobody_gets_it(&team).await;
}

async fn a_suspension_holds_against_a_failure(team: Team) {
    let (here, there) = two_processes(&team).await;
    for round in 0..ROUNDS {
        let held = held(&team).await;
        let (said, failed) = join!(there.suspend(&held.id), here.fail(&held.lease, failure()));
        said.unwrap();
        failed.unwrap();
        assert_eq!(team.status(&held.id).await, Status::Suspended, "round {round}");
    }
    nobody_gets_it(&team).await;
}

async fn a_suspension_holds_against_a_release(team: Team) {
    let (here, there) = two_processes(&team).await;
    for round in 0..ROUNDS {
        let held = held(&team).await;
        let (said, released) = join!(there.suspend(&held.id), here.release(&held.lease));
        said.unwrap();
        released.unwrap();
        assert_eq!(team.status(&held.id).await, Status::Suspended, "round {round}");
    }
    nobody_gets_it(&team).await;
}

/// Work that was done counts; it is one or the other.
async fn a_cancel_and_a_completion_never_leave_the_task_open(team: Team) {
    let (here, there) = two_processes(&team).await;
    for round in 0..ROUNDS {
        let held = held(&team).await;
        let (said, done) = join!(there.cancel(&held.id, None), here.complete(&held.lease, json!(1)));
        assert_eq!(done.unwrap().status, Status::Completed, "round {round}");
        assert!(said.is_ok() || said.unwrap_err().code() == "task.state", "round {round}");
        assert_eq!(team.status(&held.id).await, Status::Completed, "round {round}");
    }
    nobody_gets_it(&team).await;
}

async fn a_parent_is_not_resumed_past_a_new_child(team: Team) {
    let (here, there) = two_processes(&team).await;
    for round in 0..ROUNDS {
        let parent = here.enqueue(task("parent")).await.unwrap().id;
        here.suspend(&parent).await.unwrap();
        let (resumed, child) =
            join!(here.resume(&parent), there.enqueue(NewTask::new("below").parent(&parent)));
        resumed.unwrap();
        child.unwrap();
        assert_eq!(team.status(&parent).await, Status::Blocked, "round {round}");
    }
    let types = Claim::new("temujin").types(["review"]).max(ROUNDS);
    assert!(here.claim(types).await.unwrap().is_empty(), "a parent whose child is not done");
}

async fn a_parent_does_not_complete_past_a_new_child(team: Team) {
    let (here, there) = two_processes(&team).await;
    for round in 0..ROUNDS {
        let parent = held(&team).await;
        let child = there.enqueue(NewTask::new("below").parent(&parent.id));
        let (done, child) = join!(here.complete(&parent.lease, json!(1)), child);
        let done = done.unwrap().status;
        match child {
            Ok(_) => assert_eq!(
                (done, team.status(&parent.id).await),
                (Status::Blocked, Status::Blocked),
                "round {round}"
            ),
            Err(refused) => {
                assert_eq!((done, refused.code()), (Status::Completed, "task.conflict"), "round {round}");
            }
        }
    }
}

/// Retention removes it, or the new task waits for it; its edge never just disappears.
async fn what_a_new_task_waits_for_is_not_removed_under_it(team: Team) {
    let day = Duration::from_secs(86_400);
    let sweeper = team
        .reopen(|config: Config| {
            config.retention(Retention { tasks: Some(day), ..Retention::default() }).aging(None)
        })
        .await;
    let here = team.k.tasks();
    team.agent("temujin", &[]).await;
    for round in 0..ROUNDS {
        let first = held(&team).await;
        team.complete(&first).await;
        team.seconds(2 * 86_400);
        let next = NewTask::new("next").depends_on([&first.id]);
        let id = next.id.clone();
        let (added, swept) = join!(here.enqueue(next), sweeper.maintain());
        swept.unwrap();
        match added {
            Ok(_) => assert_eq!(team.get(&id).await.depends_on, [first.id], "round {round}"),
            Err(refused) => assert_eq!(refused.code(), "task.dependency_unknown", "round {round}"),
        }
        here.cancel(&id, None).await.ok();
    }
}

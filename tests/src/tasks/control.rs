use crate::{
    cases,
    fixture::{Team, code, task},
};
use kurultai_core::tasks::{Failure, NewTask, Signal, Status};
use serde_json::json;
use std::time::Duration;

cases![
    a_queued_task_is_cancelled_at_once,
    the_holder_of_a_cancelled_task_learns_it,
    who_is_told_twice_is_told_once,
    a_cancelled_task_that_fails_or_lapses_is_not_tried_again,
    work_that_was_done_before_the_cancel_arrived_counts,
    a_suspended_task_waits_to_be_resumed,
    a_suspended_task_resumes_behind_its_prerequisites,
    a_paused_type_is_not_given_out,
    the_emergency_stop_stops_everything,
    a_suspension_gives_no_attempts_beyond_the_last,
];

async fn a_queued_task_is_cancelled_at_once(team: Team) {
    team.agent("temujin", &[]).await;
    let id = team.add(task("one")).await;
    assert_eq!(team.k.tasks().cancel(&id, Some("not needed")).await.unwrap(), Status::Cancelled);
    assert_eq!(team.k.tasks().cancel(&id, None).await.unwrap(), Status::Cancelled);
    assert!(team.claim("temujin", 1).await.is_empty());
    assert_eq!(team.topics(&id).await, ["task.enqueued", "task.cancelled"]);
    assert_eq!(code(team.k.tasks().cancel("nothing", None).await), "task.not_found");
}

async fn the_holder_of_a_cancelled_task_learns_it(team: Team) {
    team.agent("temujin", &[]).await;
    let id = team.add(task("one")).await;
    let lease = team.claim_one("temujin").await.lease;
    assert_eq!(team.k.tasks().cancel(&id, None).await.unwrap(), Status::InProgress);
    assert_eq!(team.k.tasks().progress(&lease, 0.5).await.unwrap().signal, Signal::Cancel);
    assert_eq!(team.k.tasks().release(&lease).await.unwrap().status, Status::Cancelled);
}

async fn who_is_told_twice_is_told_once(team: Team) {
    team.agent("temujin", &[]).await;
    let id = team.add(task("one")).await;
    team.claim_one("temujin").await;
    let tasks = team.k.tasks();
    for _ in 0..2 {
        assert_eq!(tasks.suspend(&id).await.unwrap(), Status::InProgress);
    }
    for _ in 0..2 {
        assert_eq!(tasks.cancel(&id, None).await.unwrap(), Status::InProgress);
    }
    // A cancellation goes before a suspension.
    assert_eq!(tasks.suspend(&id).await.unwrap(), Status::InProgress);
    let told = ["task.enqueued", "task.claimed", "task.suspend_requested", "task.cancel_requested"];
    assert_eq!(team.topics(&id).await, told);
}

async fn a_cancelled_task_that_fails_or_lapses_is_not_tried_again(team: Team) {
    team.agent("temujin", &[]).await;
    let (failing, lapsing) = (team.add(task("failing")).await, team.add(task("lapsing")).await);
    let leases = team.claim("temujin", 2).await;
    for id in [&failing, &lapsing] {
        team.k.tasks().cancel(id, None).await.unwrap();
    }
    team.k.tasks().fail(&leases[0].lease, Failure::new("stopped")).await.unwrap();
    let again = team.k.tasks().fail(&leases[0].lease, Failure::new("stopped")).await.unwrap();
    assert_eq!((again.status, again.repeated), (Status::Cancelled, true));
    team.seconds(31);
    team.k.maintain().await.unwrap();
    assert_eq!(
        (team.status(&failing).await, team.status(&lapsing).await),
        (Status::Cancelled, Status::Cancelled)
    );
}

async fn work_that_was_done_before_the_cancel_arrived_counts(team: Team) {
    team.agent("temujin", &[]).await;
    let id = team.add(task("one")).await;
    let lease = team.claim_one("temujin").await.lease;
    team.k.tasks().cancel(&id, None).await.unwrap();
    assert_eq!(team.k.tasks().complete(&lease, json!(1)).await.unwrap().status, Status::Completed);
    assert_eq!(code(team.k.tasks().cancel(&id, None).await), "task.state");
}

async fn a_suspended_task_waits_to_be_resumed(team: Team) {
    team.agent("temujin", &[]).await;
    let id = team.add(task("one")).await;
    assert_eq!(team.k.tasks().suspend(&id).await.unwrap(), Status::Suspended);
    assert!(team.claim("temujin", 1).await.is_empty());
    assert_eq!(team.k.tasks().resume(&id).await.unwrap(), Status::Pending);
    let lease = team.claim_one("temujin").await.lease;
    assert_eq!(team.k.tasks().suspend(&id).await.unwrap(), Status::InProgress);
    assert_eq!(team.k.tasks().extend(&lease, Duration::from_secs(9)).await.unwrap().signal, Signal::Suspend);
    assert_eq!(team.k.tasks().release(&lease).await.unwrap().status, Status::Suspended);
    team.k.tasks().resume(&id).await.unwrap();
    team.complete(&team.claim_one("temujin").await).await;
    assert_eq!(code(team.k.tasks().suspend(&id).await), "task.state");
    assert_eq!(code(team.k.tasks().resume(&id).await), "task.state");
    assert_eq!(code(team.k.tasks().requeue(&id).await), "task.state");
}

async fn a_suspended_task_resumes_behind_its_prerequisites(team: Team) {
    team.agent("temujin", &[]).await;
    let first = team.add(task("first")).await;
    let second = team.add(task("second").depends_on([&first])).await;
    team.k.tasks().suspend(&second).await.unwrap();
    team.complete(&team.claim_one("temujin").await).await;
    assert!(team.claim("temujin", 1).await.is_empty());
    assert_eq!(team.k.tasks().resume(&second).await.unwrap(), Status::Pending);
    assert_eq!(team.claim_one("temujin").await.id, second);
}

async fn a_paused_type_is_not_given_out(team: Team) {
    team.agent("temujin", &[]).await;
    let code_task = team.add(NewTask::new("code")).await;
    let docs = team.add(NewTask::new("docs")).await;
    team.k.tasks().pause(Some("code")).await.unwrap();
    assert_eq!(team.claim_ids("temujin", 9).await, [docs]);
    assert_eq!(team.k.tasks().stats().await.unwrap().paused, ["code"]);
    team.k.tasks().unpause(Some("code")).await.unwrap();
    assert_eq!(team.claim_ids("temujin", 9).await, [code_task]);
}

async fn the_emergency_stop_stops_everything(team: Team) {
    team.agent("temujin", &[]).await;
    team.add(task("one")).await;
    let waiting = team.add(task("two")).await;
    let lease = team.claim_one("temujin").await.lease;
    team.k.tasks().pause(None).await.unwrap();
    assert!(team.claim("temujin", 9).await.is_empty());
    assert_eq!(team.k.tasks().extend(&lease, Duration::from_secs(9)).await.unwrap().signal, Signal::Pause);
    team.k.tasks().complete(&lease, json!(1)).await.unwrap();
    team.k.tasks().unpause(None).await.unwrap();
    assert_eq!(team.claim_ids("temujin", 9).await, [waiting]);
}

async fn a_suspension_gives_no_attempts_beyond_the_last(team: Team) {
    team.agent("temujin", &[]).await;
    for failure in [Failure::new("once more"), Failure::fatal("never")] {
        let id = team.add(task("one").max_attempts(1)).await;
        let lease = team.claim_one("temujin").await.lease;
        team.k.tasks().suspend(&id).await.unwrap();
        let ended = team.k.tasks().fail(&lease, failure).await.unwrap();
        assert_eq!(ended.status, Status::DeadLetter);
        assert_eq!(code(team.k.tasks().resume(&id).await), "task.state");
    }
}

//! Attempts that are put off.

use crate::{
    cases,
    fixture::{Team, code, task},
};
use kurultai_core::{
    config::TaskDefaults,
    tasks::{Expiry, Failure, Finish, Outcome, Status},
};
use serde_json::json;
use std::time::Duration;

cases![
    a_snoozed_task_waits_and_keeps_its_attempts,
    the_hundred_and_first_snooze_is_a_failure,
    a_team_says_how_often_it_may_be_put_off,
    a_claimer_sees_how_often_it_was_put_off,
    a_snoozed_task_expires_meanwhile,
    what_was_asked_for_comes_before_a_snooze,
    snoozes_are_one_of_many_ends,
];

const MINUTE: Duration = Duration::from_secs(60);

async fn a_snoozed_task_waits_and_keeps_its_attempts(team: Team) {
    team.agent("temujin", &[]).await;
    let id = team.add(task("one").max_attempts(2)).await;
    let lease = team.claim_one("temujin").await.lease;
    team.k.tasks().fail(&lease, Failure::new("once").retry_after(Duration::ZERO)).await.unwrap();
    for snoozes in 1..=3 {
        let claimed = team.claim_one("temujin").await;
        assert_eq!(claimed.attempt, 2);
        let finished = team.k.tasks().snooze(&claimed.lease, MINUTE).await.unwrap();
        let until = team.clock.now() + MINUTE;
        assert_eq!(
            (finished.status, finished.run_at, finished.failed),
            (Status::Pending, Some(until), false)
        );
        assert_eq!(code(team.k.tasks().snooze(&claimed.lease, MINUTE).await), "lease.lost");
        let got = team.get(&id).await;
        assert_eq!((got.snoozes, got.attempts, got.run_at, got.errors.len()), (snoozes, 1, Some(until), 1));
        assert!(team.claim_ids("temujin", 1).await.is_empty());
        team.seconds(60);
    }
    assert_eq!(team.topics(&id).await.iter().filter(|topic| *topic == "task.snoozed").count(), 3);
    let events = team.k.events().read(Default::default()).await.unwrap().events;
    let last = events.iter().rev().find(|event| event.topic == "task.snoozed").unwrap();
    let payload = last.payload.as_ref().unwrap().value();
    assert_eq!(payload["snoozes"], json!(3));
    assert_eq!(payload["until"].as_str().unwrap().parse(), Ok(team.get(&id).await.run_at.unwrap()));
}

async fn the_hundred_and_first_snooze_is_a_failure(team: Team) {
    team.agent("temujin", &[]).await;
    let id = team.add(task("one").max_attempts(1).expiry(Expiry::Never)).await;
    for _ in 0..100 {
        let lease = team.claim_one("temujin").await.lease;
        assert!(!team.k.tasks().snooze(&lease, Duration::ZERO).await.unwrap().failed);
    }
    let lease = team.claim_one("temujin").await.lease;
    let finished = team.k.tasks().snooze(&lease, Duration::ZERO).await.unwrap();
    assert_eq!((finished.status, finished.failed), (Status::DeadLetter, true));
    let got = team.get(&id).await;
    assert!(got.errors[0].error.contains("100 came before it"), "{:?}", got.errors);
    assert_eq!((got.snoozes, got.attempts), (100, 1));
    team.k.tasks().requeue(&id).await.unwrap();
    assert_eq!(team.get(&id).await.snoozes, 0, "fresh attempts have fresh snoozes");
}

async fn a_team_says_how_often_it_may_be_put_off(team: Team) {
    team.agent("temujin", &[]).await;
    let id = team.add(task("one").max_attempts(1)).await;
    let strict = team
        .reopen(|config| {
            let defaults = config.defaults().clone();
            config.task_defaults(TaskDefaults { max_snoozes: 1, ..defaults })
        })
        .await;
    let lease = team.claim_one("temujin").await.lease;
    assert!(!strict.tasks().snooze(&lease, Duration::ZERO).await.unwrap().failed);
    let lease = team.claim_one("temujin").await.lease;
    let finished = strict.tasks().snooze(&lease, Duration::ZERO).await.unwrap();
    assert_eq!((finished.status, finished.failed), (Status::DeadLetter, true));
    assert!(team.get(&id).await.errors[0].error.contains("1 came before it"));
}

async fn a_claimer_sees_how_often_it_was_put_off(team: Team) {
    team.agent("temujin", &[]).await;
    let id = team.add(task("one")).await;
    for snoozes in 0..3 {
        let claimed = team.claim_one("temujin").await;
        assert_eq!(claimed.snoozes, snoozes);
        team.k.tasks().snooze(&claimed.lease, Duration::ZERO).await.unwrap();
    }
    let claimed = team.claim_one("temujin").await;
    team.k.tasks().fail(&claimed.lease, Failure::fatal("no")).await.unwrap();
    team.k.tasks().requeue(&id).await.unwrap();
    assert_eq!(team.claim_one("temujin").await.snoozes, 0, "fresh attempts have fresh snoozes");
}

async fn a_snoozed_task_expires_meanwhile(team: Team) {
    team.agent("temujin", &[]).await;
    let at = team.clock.now() + MINUTE;
    let id = team.add(task("one").expiry(Expiry::At(at))).await;
    let lease = team.claim_one("temujin").await.lease;
    team.k.tasks().snooze(&lease, 2 * MINUTE).await.unwrap();
    team.seconds(61);
    team.k.maintain().await.unwrap();
    assert_eq!(team.status(&id).await, Status::Expired);
}

async fn what_was_asked_for_comes_before_a_snooze(team: Team) {
    team.agent("temujin", &[]).await;
    let (one, two) = (team.add(task("one")).await, team.add(task("two")).await);
    let claimed = team.claim("temujin", 2).await;
    team.k.tasks().cancel(&one, Some("no need")).await.unwrap();
    team.k.tasks().suspend(&two).await.unwrap();
    let extended = team.k.tasks().extend(&claimed[0].lease, MINUTE).await.unwrap();
    assert_eq!(extended.reason.as_deref(), Some("no need"));
    for (claimed, status) in claimed.iter().zip([Status::Cancelled, Status::Suspended]) {
        let finished = team.k.tasks().snooze(&claimed.lease, MINUTE).await.unwrap();
        assert_eq!((finished.status, finished.run_at), (status, None));
        assert_eq!(team.get(&claimed.id).await.snoozes, 0, "it was not put off");
    }
}

async fn snoozes_are_one_of_many_ends(team: Team) {
    team.agent("temujin", &[]).await;
    for title in ["one", "two", "three"] {
        team.add(task(title)).await;
    }
    let leases: Vec<_> = team.claim("temujin", 3).await.into_iter().map(|claimed| claimed.lease).collect();
    let outcomes = [
        Outcome::Complete { results: json!(1).into(), usage: None },
        Outcome::Snooze { after: MINUTE },
        Outcome::Release,
    ];
    let finishes =
        leases.into_iter().zip(outcomes).map(|(lease, outcome)| Finish { lease, outcome }).collect();
    let each = team.k.tasks().finish_many(finishes).await.unwrap();
    let snoozed = each.into_iter().map(|answer| answer.unwrap().run_at == Some(team.clock.now() + MINUTE));
    assert_eq!(snoozed.collect::<Vec<_>>(), [false, true, false]);
}

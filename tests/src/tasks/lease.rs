use crate::{
    cases,
    fixture::{Team, code, steady, task},
};
use kurultai_core::tasks::{Claim, Failure, FailureKind, Lease, RetryPolicy, Signal, Status};
use serde_json::json;
use std::time::Duration;

cases![
    a_stale_lease_finishes_nothing,
    a_lapsed_lease_counts_as_a_failed_attempt,
    a_first_lapse_returns_at_once_and_the_next_ones_back_off,
    extend_keeps_a_lease_and_never_shortens_it,
    progress_and_checkpoints_last,
    a_lease_can_be_held_as_a_string,
    a_longer_lease_is_given_when_asked_for,
    a_lease_of_another_task_is_lost,
];

async fn a_stale_lease_finishes_nothing(team: Team) {
    team.agent("temujin", &[]).await;
    team.agent("jochi", &[]).await;
    let now = RetryPolicy { base: Duration::ZERO, ..steady() };
    let id = team.add(task("one").retry(now)).await;
    let stale = team.claim_one("temujin").await.lease;
    team.seconds(31);
    let tasks = team.k.tasks();
    assert_eq!(
        code(tasks.complete(&stale, json!("late")).await),
        "lease.lost",
        "it ran out, even if nobody looked"
    );
    let fresh = team.claim_one("jochi").await;
    assert_eq!(fresh.id, id);
    assert!(fresh.lease.version > stale.version);
    let error = tasks.complete(&stale, json!("stale")).await.unwrap_err();
    assert_eq!(error.code(), "lease.lost");
    assert!(error.message().contains("now held by jochi"), "{error}");
    assert_eq!(code(tasks.fail(&stale, Failure::new("stale")).await), "lease.lost");
    assert_eq!(code(tasks.release(&stale).await), "lease.lost");
    assert_eq!(code(tasks.extend(&stale, Duration::from_secs(30)).await), "lease.lost");
    assert_eq!(code(tasks.progress(&stale, 0.5).await), "lease.lost");
    assert_eq!(code(tasks.checkpoint(&stale, json!(1)).await), "lease.lost");
    tasks.complete(&fresh.lease, json!("fresh")).await.unwrap();
    let got = team.get(&id).await;
    assert_eq!((got.results.unwrap().value(), got.claimed_by.as_deref()), (json!("fresh"), Some("jochi")));
}

async fn a_lapsed_lease_counts_as_a_failed_attempt(team: Team) {
    team.agent("temujin", &[]).await;
    let id = team.add(task("one").retry(steady()).max_attempts(2)).await;
    team.claim_one("temujin").await;
    team.seconds(31);
    team.k.maintain().await.unwrap();
    let got = team.get(&id).await;
    assert_eq!((got.status, got.attempts, got.errors.len(), got.claimed_by), (Status::Pending, 1, 1, None));
    assert_eq!((got.errors[0].kind, got.errors[0].error.contains("temujin")), (FailureKind::Lapsed, true));
    assert_eq!(team.topics(&id).await, ["task.enqueued", "task.claimed", "task.lapsed"]);
    team.claim_one("temujin").await;
    team.seconds(31);
    team.k.maintain().await.unwrap();
    assert_eq!(team.status(&id).await, Status::DeadLetter);
    assert_eq!(team.topics(&id).await[3..], ["task.claimed", "task.dead_letter"]);
}

async fn a_first_lapse_returns_at_once_and_the_next_ones_back_off(team: Team) {
    team.agent("temujin", &[]).await;
    team.agent("jochi", &[]).await;
    let id = team.add(task("one").retry(steady()).max_attempts(5)).await;
    // A failure of another kind is no lapse.
    let failed = team.claim_one("temujin").await;
    let failure = Failure::new("\"kind\":\"lapsed\"").retry_after(Duration::ZERO);
    team.k.tasks().fail(&failed.lease, failure).await.unwrap();
    team.claim_one("temujin").await;
    team.seconds(31);
    let again = team.claim_one("jochi").await;
    assert_eq!((again.id.as_str(), again.attempt), (id.as_str(), 3), "at once, to whoever is there");
    team.seconds(31);
    assert!(team.claim("temujin", 1).await.is_empty(), "a task that kills its holders waits");
    assert_eq!(team.get(&id).await.run_at, Some(team.clock.now() + Duration::from_secs(240)));
    team.seconds(241);
    team.claim_one("temujin").await;
    let kinds: Vec<FailureKind> = team.get(&id).await.errors.iter().map(|error| error.kind).collect();
    assert_eq!(kinds, [FailureKind::Failed, FailureKind::Lapsed, FailureKind::Lapsed]);
}

async fn extend_keeps_a_lease_and_never_shortens_it(team: Team) {
    team.agent("temujin", &[]).await;
    let id = team.add(task("one")).await;
    let lease = team.claim_one("temujin").await.lease;
    team.seconds(20);
    let extended = team.k.tasks().extend(&lease, Duration::from_secs(30)).await.unwrap();
    assert_eq!(extended.signal, Signal::Continue);
    assert_eq!(extended.lease.expires_at, team.clock.now() + Duration::from_secs(30));
    assert_eq!(team.k.agents().get("temujin").await.unwrap().last_heartbeat, Some(team.clock.now()));
    team.seconds(20);
    let same = team.k.tasks().extend(&lease, Duration::from_secs(1)).await.unwrap();
    assert_eq!(same.lease.expires_at, extended.lease.expires_at);
    team.k.maintain().await.unwrap();
    assert_eq!(team.status(&id).await, Status::InProgress);
    team.k.tasks().complete(&lease, json!(1)).await.unwrap();
}

async fn progress_and_checkpoints_last(team: Team) {
    team.agent("temujin", &[]).await;
    let id = team.add(task("one")).await;
    let lease = team.claim_one("temujin").await.lease;
    team.k.tasks().progress(&lease, 0.25).await.unwrap();
    team.k.tasks().checkpoint(&lease, json!([1, 2])).await.unwrap();
    team.k.tasks().progress(&lease, 0.5).await.unwrap();
    let got = team.get(&id).await;
    assert_eq!((got.progress, got.checkpoint.unwrap().value()), (Some(0.5), json!([1, 2])));
    team.k.tasks().release(&lease).await.unwrap();
    assert_eq!(team.claim_one("temujin").await.checkpoint.unwrap().value(), json!([1, 2]));
}

async fn a_lease_can_be_held_as_a_string(team: Team) {
    team.agent("temujin", &[]).await;
    team.add(task("one")).await;
    let lease = team.claim_one("temujin").await.lease;
    let text = lease.to_string();
    assert_eq!(text.parse::<Lease>().unwrap(), lease);
    team.k.tasks().complete(&text.parse().unwrap(), json!(1)).await.unwrap();
    assert_eq!(code("nonsense".parse::<Lease>()), "input.invalid");
}

async fn a_longer_lease_is_given_when_asked_for(team: Team) {
    team.agent("temujin", &[]).await;
    team.add(task("one")).await;
    let claim = Claim::new("temujin").lease(Duration::from_secs(600));
    let lease = team.k.tasks().claim(claim).await.unwrap().remove(0).lease;
    assert_eq!(lease.expires_at, team.clock.now() + Duration::from_secs(600));
    let progressed = team.k.tasks().progress(&lease, 0.1).await.unwrap();
    assert_eq!(progressed.lease.expires_at, lease.expires_at);
}

async fn a_lease_of_another_task_is_lost(team: Team) {
    team.agent("temujin", &[]).await;
    team.add(task("one")).await;
    let other = team.add(task("two")).await;
    let lease = team.claim_one("temujin").await.lease;
    let forged = Lease { task_id: other.clone(), ..lease.clone() };
    assert_eq!(code(team.k.tasks().complete(&forged, json!(1)).await), "lease.lost");
    let nowhere = Lease { task_id: "nowhere".into(), ..lease };
    assert_eq!(code(team.k.tasks().complete(&nowhere, json!(1)).await), "task.not_found");
    assert_eq!(code(team.k.tasks().extend(&nowhere, Duration::from_secs(1)).await), "task.not_found");
    assert_eq!(team.status(&other).await, Status::Pending);
}

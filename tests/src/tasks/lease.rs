use crate::{
    cases,
    fixture::{Team, code, steady, task},
};
use kurultai_core::{
    agents::{Health, Thresholds},
    events::EventFilter,
    tasks::{Claim, Extend, Failure, FailureKind, Handler, Lease, NewTask, RetryPolicy, Signal, Status},
};
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
    no_lease_lasts_longer_than_the_task_may_take,
    an_attempt_that_takes_too_long_has_failed,
    a_lease_that_ran_out_before_has_lapsed,
    a_task_that_kills_all_its_holders_is_poison,
    the_renewal_of_a_silent_handler_is_no_sign_of_work,
    a_stall_of_an_earlier_claim_says_nothing,
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

fn short() -> NewTask {
    task("short").max_runtime(Duration::from_secs(60)).retry(steady())
}

async fn no_lease_lasts_longer_than_the_task_may_take(team: Team) {
    team.agent("temujin", &[]).await;
    let id = team.add(short()).await;
    team.add(task("other")).await;
    assert_eq!(team.get(&id).await.max_runtime, Some(Duration::from_secs(60)));
    let claimed_at = team.clock.now();
    let end = claimed_at + Duration::from_secs(60);
    // Beside one that has no such limit.
    let long = Claim::new("temujin").max(2).lease(Duration::from_secs(600));
    let both = team.k.tasks().claim(long).await.unwrap();
    let limits: Vec<_> = both.iter().map(|claimed| (claimed.max_runtime, claimed.lease.expires_at)).collect();
    let minute = Some(Duration::from_secs(60));
    assert_eq!(limits, [(minute, end), (None, claimed_at + Duration::from_secs(600))]);
    assert_eq!(team.get(&id).await.lease_expires_at, Some(end));
    team.k.tasks().release(&both[0].lease).await.unwrap();

    let lease = team.claim_one("temujin").await.lease;
    let expected = [(20, 50), (20, 60), (19, 60)];
    let mut passed = 0;
    for (seconds, until) in expected {
        team.seconds(seconds);
        passed += seconds;
        let extended = team.k.tasks().extend(&lease, Duration::from_secs(30)).await.unwrap();
        let until = claimed_at + Duration::from_secs(until);
        assert_eq!(extended.lease.expires_at, until, "after {passed} s");
        assert_eq!(team.get(&id).await.lease_expires_at, Some(until));
    }
    team.k.tasks().complete(&lease, json!(1)).await.unwrap();
    let without = team.k.tasks().extend(&both[1].lease, Duration::from_secs(900)).await.unwrap();
    assert_eq!(without.lease.expires_at, team.clock.now() + Duration::from_secs(900));
}

async fn an_attempt_that_takes_too_long_has_failed(team: Team) {
    team.agent("temujin", &[]).await;
    team.agent("jochi", &[]).await;
    let id = team.add(short().max_attempts(2)).await;
    let claim = async |agent: &str| {
        let claim = Claim::new(agent).lease(Duration::from_secs(600));
        team.k.tasks().claim(claim).await.unwrap().remove(0).lease
    };
    let lease = claim("temujin").await;
    team.seconds(60);
    assert_eq!(code(team.k.tasks().extend(&lease, Duration::from_secs(60)).await), "lease.lost");
    assert_eq!(code(team.k.tasks().complete(&lease, json!(1)).await), "lease.lost");
    team.k.maintain().await.unwrap();
    let got = team.get(&id).await;
    assert_eq!((got.status, got.errors[0].kind), (Status::Pending, FailureKind::MaxRuntime));
    assert!(got.errors[0].error.contains("60 s"), "{}", got.errors[0].error);
    assert_eq!(got.run_at, Some(team.clock.now() + Duration::from_secs(60)), "as after any failure");
    assert_eq!(team.topics(&id).await, ["task.enqueued", "task.claimed", "task.failed"]);
    // Each attempt has its own span.
    team.seconds(61);
    let lease = claim("jochi").await;
    assert_eq!(lease.expires_at, team.clock.now() + Duration::from_secs(60));
    team.seconds(61);
    team.k.maintain().await.unwrap();
    let got = team.get(&id).await;
    assert_eq!((got.status, got.errors[1].kind), (Status::DeadLetter, FailureKind::MaxRuntime));
    assert_ne!(reason(&team, &id).await, "poison");
}

/// Whenever somebody looks.
async fn a_lease_that_ran_out_before_has_lapsed(team: Team) {
    team.agent("temujin", &[]).await;
    let id = team.add(short()).await;
    team.claim_one("temujin").await;
    team.seconds(200);
    team.k.maintain().await.unwrap();
    assert_eq!(team.get(&id).await.errors[0].kind, FailureKind::Lapsed);
}

/// What the last event of the task gives as its reason.
async fn reason(team: &Team, id: &str) -> String {
    let filter = EventFilter { task_id: Some(id.to_owned()), ..Default::default() };
    let last = team.k.events().read(filter).await.unwrap().events.pop().unwrap();
    let payload = last.payload.unwrap().value();
    assert_eq!(payload["attempt"], team.get(id).await.attempts);
    payload["reason"].as_str().unwrap().to_owned()
}

async fn a_task_that_kills_all_its_holders_is_poison(team: Team) {
    team.agent("temujin", &[]).await;
    let poison = team.add(task("poison").max_attempts(2).retry(steady())).await;
    for _ in 0..2 {
        team.claim_one("temujin").await;
        team.seconds(31);
        team.k.maintain().await.unwrap();
    }
    assert_eq!(team.status(&poison).await, Status::DeadLetter);
    assert_eq!(team.topics(&poison).await.last().unwrap(), "task.dead_letter");
    assert_eq!(reason(&team, &poison).await, "poison");
    // What failed once as well is not.
    let other = team.add(task("other").max_attempts(2).retry(steady())).await;
    let failure = Failure::new("no").retry_after(Duration::ZERO);
    let lease = team.claim_one("temujin").await.lease;
    team.k.tasks().fail(&lease, failure).await.unwrap();
    team.claim_one("temujin").await;
    team.seconds(31);
    team.k.maintain().await.unwrap();
    assert_eq!(team.status(&other).await, Status::DeadLetter);
    assert!(reason(&team, &other).await.contains("held by temujin"));
}

async fn say(team: &Team, lease: &Lease, handler: Handler) -> Lease {
    let extend = Extend { ttl: Some(Duration::from_secs(600)), handler, ..Extend::new(lease.clone()) };
    team.k.tasks().renew(extend).await.unwrap().lease
}

async fn state(team: &Team) -> (Health, String) {
    let health = team.k.agents().health(Some("temujin"), Thresholds::default()).await.unwrap().remove(0);
    (health.state, health.reason)
}

/// Of each `agent.stuck` who, which task and for how long.
async fn stuck(team: &Team) -> Vec<(Option<String>, Option<String>, serde_json::Value)> {
    let all = team.k.events().read(EventFilter::default()).await.unwrap().events;
    let stuck = all.into_iter().filter(|event| event.topic == "agent.stuck");
    stuck.map(|event| (event.source, event.task_id, event.payload.unwrap().value())).collect()
}

async fn the_renewal_of_a_silent_handler_is_no_sign_of_work(team: Team) {
    team.agent("temujin", &[]).await;
    let id = team.add(task("hangs")).await;
    let lease = team.claim_one("temujin").await.lease;
    let lease = say(&team, &lease, Handler::Works).await;
    let worked = async || team.k.agents().get("temujin").await.unwrap().last_heartbeat;
    let before = worked().await;
    for _ in 0..3 {
        team.seconds(60);
        team.k.agents().beat("temujin").await.unwrap();
        let silent = team.clock.now() - before.unwrap() + chrono::TimeDelta::milliseconds(500);
        let renewed = say(&team, &lease, Handler::Stalled(silent.to_std().unwrap())).await;
        assert_eq!(renewed.expires_at, team.clock.now() + Duration::from_secs(600), "it is renewed");
        assert_eq!(worked().await, before);
        let (state, reason) = state(&team).await;
        assert_eq!(state, Health::Stuck);
        assert!(reason.contains(&id) && reason.contains("(review)"), "{reason}");
    }
    let event = |silent: f64| (Some("temujin".to_owned()), Some(id.clone()), json!({"silent_for": silent}));
    assert_eq!(stuck(&team).await, [event(60.5)], "once");
    assert!(state(&team).await.1.contains("180 s") || state(&team).await.1.contains("3 min"));
    say(&team, &lease, Handler::Resumed).await;
    assert_eq!((worked().await, state(&team).await.0), (Some(team.clock.now()), Health::Alive));
    // It is silent again.
    say(&team, &lease, Handler::Stalled(Duration::from_secs(700))).await;
    assert_eq!((stuck(&team).await, state(&team).await.0), (vec![event(60.5), event(700.0)], Health::Stuck));
    team.k.tasks().complete(&lease, json!(1)).await.unwrap();
    assert_eq!(state(&team).await.0, Health::Idle);
}

async fn a_stall_of_an_earlier_claim_says_nothing(team: Team) {
    team.agent("temujin", &[]).await;
    let id = team.add(task("hangs")).await;
    let lease = team.claim_one("temujin").await.lease;
    say(&team, &lease, Handler::Stalled(Duration::from_secs(700))).await;
    team.k.tasks().release(&lease).await.unwrap();
    let lease = team.claim_one("temujin").await.lease;
    assert_eq!(state(&team).await.0, Health::Alive);
    say(&team, &lease, Handler::Stalled(Duration::from_secs(800))).await;
    assert_eq!((stuck(&team).await.len(), state(&team).await.0), (2, Health::Stuck));
    assert_eq!(team.topics(&id).await.iter().filter(|topic| *topic == "agent.stuck").count(), 2);
}

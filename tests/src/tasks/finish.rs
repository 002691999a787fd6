use crate::{
    cases,
    fixture::{Team, code, steady, task},
};
use kurultai_core::{
    config::TaskDefaults,
    tasks::{Failure, Finish, Outcome, RetryPolicy, Status, Usage},
};
use serde_json::json;
use std::time::Duration;

cases![
    a_team_may_have_a_back_off_of_its_own,
    complete_stores_results_and_usage,
    a_repeated_complete_is_answered_like_the_first,
    two_finishes_at_once_count_once,
    many_finishes_have_an_answer_each,
    a_failed_attempt_is_tried_again_after_its_back_off,
    retry_after_replaces_the_back_off,
    a_dead_letter_keeps_what_was_achieved_and_can_be_requeued,
    a_dead_letter_can_be_given_up,
    a_release_does_not_count_as_an_attempt,
    refused_results_are_called_results,
    a_long_error_keeps_its_end,
];

async fn complete_stores_results_and_usage(team: Team) {
    team.agent("temujin", &[]).await;
    let id = team.add(task("one")).await;
    let claimed = team.claim_one("temujin").await;
    team.seconds(7);
    let usage = Usage { tokens: 1200, cost: 0.5, seconds: 7.25 };
    let outcome = Outcome::Complete { results: json!({"ok": true}).into(), usage: Some(usage) };
    let finished = team.k.tasks().finish(&claimed.lease, outcome).await.unwrap();
    assert_eq!((finished.status, finished.repeated), (Status::Completed, false));
    let got = team.get(&id).await;
    assert_eq!(got.results.unwrap().value(), json!({"ok": true}));
    assert_eq!((got.usage, got.completed_at), (Some(usage), Some(team.clock.now())));
    assert_eq!((got.claimed_by.as_deref(), got.lease_expires_at), (Some("temujin"), None));
    assert_eq!(team.topics(&id).await, ["task.enqueued", "task.claimed", "task.completed"]);
    assert_eq!(team.k.agents().get("temujin").await.unwrap().last_heartbeat, Some(team.clock.now()));
}

async fn a_repeated_complete_is_answered_like_the_first(team: Team) {
    team.agent("temujin", &[]).await;
    let id = team.add(task("one")).await;
    let claimed = team.claim_one("temujin").await;
    team.k.tasks().complete(&claimed.lease, json!(1)).await.unwrap();
    let again = team.k.tasks().complete(&claimed.lease, json!(2)).await.unwrap();
    assert_eq!((again.status, again.repeated), (Status::Completed, true));
    assert_eq!(team.get(&id).await.results.unwrap().value(), json!(1));
    assert_eq!(team.topics(&id).await.len(), 3);
    assert_eq!(code(team.k.tasks().fail(&claimed.lease, Failure::new("no")).await), "lease.lost");
    assert_eq!(code(team.k.tasks().release(&claimed.lease).await), "lease.lost");
}

async fn two_finishes_at_once_count_once(team: Team) {
    team.agent("temujin", &[]).await;
    let id = team.add(task("one")).await;
    let lease = team.claim_one("temujin").await.lease;
    let tasks = team.k.tasks();
    let calls = (0..8).map(|i| tasks.complete(&lease, json!(i)));
    let answers: Vec<_> = futures::future::join_all(calls).await.into_iter().map(|a| a.unwrap()).collect();
    assert_eq!(answers.iter().filter(|a| !a.repeated).count(), 1);
    assert_eq!(team.topics(&id).await, ["task.enqueued", "task.claimed", "task.completed"]);
}

async fn many_finishes_have_an_answer_each(team: Team) {
    team.agent("temujin", &[]).await;
    for i in 0..6 {
        team.add(task(&i.to_string()).retry(steady())).await;
    }
    let claimed = team.claim("temujin", 6).await;
    team.k.tasks().release(&claimed[0].lease).await.unwrap();
    let outcomes = [
        Outcome::Complete { results: json!(0).into(), usage: None },
        Outcome::Complete { results: json!(1).into(), usage: None },
        Outcome::Fail(Failure::new("try again")),
        Outcome::Fail(Failure::fatal("never")),
        Outcome::Release,
    ];
    let finishes =
        claimed.iter().zip(outcomes).map(|(c, outcome)| Finish { lease: c.lease.clone(), outcome });
    let answers = team.k.tasks().finish_many(finishes.collect()).await.unwrap();
    assert_eq!(answers[0].as_ref().unwrap_err().code(), "lease.lost");
    let statuses: Vec<Status> = answers[1..].iter().map(|a| a.as_ref().unwrap().status).collect();
    assert_eq!(statuses, [Status::Completed, Status::Pending, Status::DeadLetter, Status::Pending]);
}

async fn a_failed_attempt_is_tried_again_after_its_back_off(team: Team) {
    team.agent("temujin", &[]).await;
    let id = team.add(task("one").retry(steady())).await;
    for (attempt, pause) in [(1, 60), (2, 120)] {
        let claimed = team.claim_one("temujin").await;
        assert_eq!(claimed.attempt, attempt);
        let failed =
            team.k.tasks().fail(&claimed.lease, Failure::new(format!("no {attempt}"))).await.unwrap();
        assert_eq!(failed.status, Status::Pending);
        assert_eq!(team.get(&id).await.run_at, Some(team.clock.now() + Duration::from_secs(pause)));
        team.seconds(pause - 1);
        assert!(team.claim("temujin", 1).await.is_empty());
        team.seconds(2);
    }
    let claimed = team.claim_one("temujin").await;
    let failed = team.k.tasks().fail(&claimed.lease, Failure::new("no 3")).await.unwrap();
    assert_eq!(failed.status, Status::DeadLetter);
    let again = team.k.tasks().fail(&claimed.lease, Failure::new("no 3")).await.unwrap();
    assert!(again.repeated);
    let got = team.get(&id).await;
    assert_eq!(got.error_message.as_deref(), Some("no 3"));
    let errors: Vec<(u32, &str, Option<&str>)> =
        got.errors.iter().map(|e| (e.attempt, e.error.as_str(), e.agent.as_deref())).collect();
    let who = Some("temujin");
    assert_eq!(errors, [(1, "no 1", who), (2, "no 2", who), (3, "no 3", who)]);
    assert_eq!(team.topics(&id).await.iter().filter(|t| *t == "task.failed").count(), 2);
}

async fn retry_after_replaces_the_back_off(team: Team) {
    team.agent("temujin", &[]).await;
    let id = team.add(task("one")).await;
    let claimed = team.claim_one("temujin").await;
    let failure = Failure::new("rate limit").retry_after(Duration::from_secs(5));
    team.k.tasks().fail(&claimed.lease, failure).await.unwrap();
    assert_eq!(team.get(&id).await.run_at, Some(team.clock.now() + Duration::from_secs(5)));
    let claimed_again = {
        team.seconds(6);
        team.claim_one("temujin").await
    };
    assert_eq!((claimed_again.attempt, claimed_again.lease.version), (2, 2));
}

async fn a_dead_letter_keeps_what_was_achieved_and_can_be_requeued(team: Team) {
    team.agent("temujin", &[]).await;
    let id = team.add(task("one")).await;
    let claimed = team.claim_one("temujin").await;
    team.k.tasks().checkpoint(&claimed.lease, json!({"page": 7})).await.unwrap();
    let failure = Failure { results: Some(json!("half").into()), ..Failure::fatal("broken") };
    team.k.tasks().fail(&claimed.lease, failure).await.unwrap();
    let dead = team.k.tasks().dead_letters(Default::default()).await.unwrap().tasks;
    assert_eq!(dead.len(), 1);
    assert_eq!(dead[0].results.as_ref().unwrap().value(), json!("half"));
    assert_eq!(dead[0].checkpoint.as_ref().unwrap().value(), json!({"page": 7}));
    assert_eq!(team.k.tasks().requeue(&id).await.unwrap(), Status::Pending);
    let again = team.claim_one("temujin").await;
    assert_eq!((again.attempt, again.lease.version), (1, 2));
    assert_eq!(again.checkpoint.as_ref().unwrap().value(), json!({"page": 7}));
    assert_eq!(team.get(&id).await.errors.len(), 1);
    assert_eq!(code(team.k.tasks().complete(&claimed.lease, json!(null)).await), "lease.lost");
}

async fn a_dead_letter_can_be_given_up(team: Team) {
    team.agent("temujin", &[]).await;
    let id = team.add(task("one")).await;
    let claimed = team.claim_one("temujin").await;
    assert_eq!(code(team.k.tasks().discard(&id).await), "task.state");
    team.k.tasks().fail(&claimed.lease, Failure::fatal("broken")).await.unwrap();
    assert_eq!(team.k.tasks().discard(&id).await.unwrap(), Status::Cancelled);
    assert_eq!(team.topics(&id).await.last().unwrap(), "task.discarded");
}

async fn a_release_does_not_count_as_an_attempt(team: Team) {
    team.agent("temujin", &[]).await;
    let id = team.add(task("one").max_attempts(1)).await;
    let first = team.claim_one("temujin").await;
    assert_eq!(team.k.tasks().release(&first.lease).await.unwrap().status, Status::Pending);
    let second = team.claim_one("temujin").await;
    assert_eq!((&second.id, second.attempt, second.lease.version), (&id, 1, 2));
    assert_eq!(code(team.k.tasks().release(&first.lease).await), "lease.lost");
}

async fn refused_results_are_called_results(team: Team) {
    team.agent("temujin", &[]).await;
    team.add(task("one")).await;
    let lease = team.claim_one("temujin").await.lease;
    let deep = (0..65).fold(json!(1), |inner, _| json!({"a": inner}));
    let error = team.k.tasks().complete(&lease, deep.clone()).await.unwrap_err();
    assert!(error.code() == "input.payload" && error.message().starts_with("results at $.a.a"), "{error}");
    let failure = Failure { results: Some(deep.clone().into()), ..Failure::new("no") };
    let error = team.k.tasks().fail(&lease, failure).await.unwrap_err();
    assert!(error.message().starts_with("results at $"), "{error}");
    let error = team.k.tasks().checkpoint(&lease, deep).await.unwrap_err();
    assert!(error.message().starts_with("checkpoint at $"), "{error}");
}

async fn a_long_error_keeps_its_end(team: Team) {
    team.agent("temujin", &[]).await;
    let id = team.add(task("one")).await;
    let claimed = team.claim_one("temujin").await;
    let error = format!("{}ü the cause", "x".repeat(40_000));
    team.k.tasks().fail(&claimed.lease, Failure::fatal(error)).await.unwrap();
    let kept = team.get(&id).await.error_message.unwrap();
    assert!(kept.len() <= 16 * 1024 + 3 && kept.ends_with("ü the cause"), "{}", kept.len());
}

async fn a_team_may_have_a_back_off_of_its_own(team: Team) {
    let retry = RetryPolicy { base: Duration::from_secs(7), cap: Duration::from_secs(7), jitter: false };
    let k = team
        .reopen(|config| {
            let defaults = config.defaults().clone();
            config.task_defaults(TaskDefaults { retry, ..defaults })
        })
        .await;
    team.agent("temujin", &[]).await;
    let own = k.tasks().enqueue(task("own").retry(steady())).await.unwrap().id;
    let usual = k.tasks().enqueue(task("usual")).await.unwrap().id;
    for claimed in team.claim("temujin", 2).await {
        team.k.tasks().fail(&claimed.lease, Failure::new("no")).await.unwrap();
    }
    let pause = async |id: &str| (team.get(id).await.run_at.unwrap() - team.clock.now()).num_seconds();
    assert_eq!((pause(&own).await, pause(&usual).await), (60, 7));
}

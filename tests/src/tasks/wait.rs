//! Waiting for a task's end.

use crate::{
    cases,
    fixture::{Team, code, task},
};
use futures::future::join_all;
use kurultai_core::tasks::{Claimed, Expiry, Failure};
use serde_json::json;
use std::{error::Error, time::Duration};
use tokio::{
    spawn,
    time::{sleep, timeout},
};

cases![
    a_wait_ends_with_its_task,
    a_call_answers_with_the_results,
    what_ends_badly_is_an_error_that_says_how,
    what_does_not_end_in_time_goes_on,
    an_end_in_another_process_is_heard_of,
    ten_thousand_who_wait_are_served_by_one_reader,
];

const LONG: Duration = Duration::from_secs(30);

async fn a_wait_ends_with_its_task(team: Team) {
    team.agent("temujin", &[]).await;
    let id = team.add(task("one")).await;
    let waiting = spawn({
        let (tasks, id) = (team.k.tasks(), id.clone());
        async move { tasks.wait_for(&id, LONG).await }
    });
    sleep(Duration::from_millis(50)).await;
    let claimed = team.claim_one("temujin").await;
    team.k.tasks().progress(&claimed.lease, 0.5).await.unwrap();
    team.complete(&claimed).await;
    let done = waiting.await.unwrap().unwrap();
    assert_eq!((done.id.as_str(), done.results), (id.as_str(), Some(json!({"of": "one"}).into())));
    // What is over already is no wait.
    assert_eq!(team.k.tasks().wait_for(&id, Duration::ZERO).await.unwrap().id, id);
    assert_eq!(code(team.k.tasks().wait_for("nobody", LONG).await), "task.not_found");
}

async fn a_call_answers_with_the_results(team: Team) {
    team.agent("temujin", &[]).await;
    let call = spawn({
        let tasks = team.k.tasks();
        async move { tasks.call(task("one"), LONG).await }
    });
    let claimed = loop {
        match team.claim("temujin", 1).await.pop() {
            Some(claimed) => break claimed,
            None => sleep(Duration::from_millis(5)).await,
        }
    };
    team.k.tasks().complete(&claimed.lease, json!([1, 2])).await.unwrap();
    assert_eq!(call.await.unwrap().unwrap().value(), json!([1, 2]));
}

async fn what_ends_badly_is_an_error_that_says_how(team: Team) {
    team.agent("temujin", &[]).await;
    let tasks = team.k.tasks();
    let dead = team.add(task("dead")).await;
    let claimed = team.claim_one("temujin").await;
    let trace = "Traceback\n  line 1\nKeyError: 'pr'\n";
    tasks.fail(&claimed.lease, Failure::fatal(trace)).await.unwrap();
    let gone = team.add(task("gone")).await;
    tasks.cancel(&gone, Some("not needed")).await.unwrap();
    let late = team.add(task("late").expiry(Expiry::After(Duration::from_secs(60)))).await;
    team.seconds(120);
    team.k.maintain().await.unwrap();
    for (id, status, why) in
        [(dead, "dead_letter", Some(trace)), (gone, "cancelled", None), (late, "expired", None)]
    {
        let error = timeout(LONG, tasks.wait_for(&id, LONG)).await.unwrap().unwrap_err();
        assert_eq!((error.code(), error.retryable()), ("task.failed", false));
        assert_eq!(error.task_id(), Some(id.as_str()));
        assert!(error.message().contains(&format!("is {status}")), "{error}");
        assert_eq!(error.source().map(ToString::to_string).as_deref(), why, "{status}");
        assert!(why.is_none() || error.message().ends_with("KeyError: 'pr'"), "{error}");
    }
}

async fn what_does_not_end_in_time_goes_on(team: Team) {
    let id = team.add(task("one")).await;
    let error = team.k.tasks().wait_for(&id, Duration::from_millis(80)).await.unwrap_err();
    assert_eq!((error.code(), error.retryable()), ("task.timeout", true));
    assert!(error.task_id().is_some());
    assert!(error.message().contains("wait again"), "{error}");
    assert_eq!(team.get(&id).await.attempts, 0);
}

async fn an_end_in_another_process_is_heard_of(team: Team) {
    team.agent("temujin", &[]).await;
    let there = team.reopen(|config| config).await;
    for round in 0..20 {
        let id = team.add(task(&round.to_string())).await;
        let (tasks, waited) = (there.tasks(), id.clone());
        let waiting = spawn(async move { tasks.wait_for(&waited, LONG).await });
        // Also while the other is about to wait.
        sleep(Duration::from_micros(fastrand::u64(..3_000))).await;
        team.complete(&team.claim_one("temujin").await).await;
        let heard = timeout(LONG, waiting).await.unwrap_or_else(|_| panic!("round {round} was not heard of"));
        assert_eq!(heard.unwrap().unwrap().id, id);
    }
}

async fn ten_thousand_who_wait_are_served_by_one_reader(team: Team) {
    const MANY: usize = 10_000;
    team.agent("temujin", &[]).await;
    let tasks = (0..MANY).map(|i| task(&i.to_string())).collect();
    let ids: Vec<String> =
        team.k.tasks().enqueue_many(tasks).await.unwrap().into_iter().map(|task| task.id).collect();
    let before = team.k.statements();
    let waiting: Vec<_> = ids
        .into_iter()
        .map(|id| {
            let tasks = team.k.tasks();
            spawn(async move { tasks.wait_for(&id, LONG).await })
        })
        .collect();
    sleep(Duration::from_millis(300)).await;
    let waiting_costs = team.k.statements() - before;
    for _ in 0..MANY / 100 {
        let claimed = team.claim("temujin", 100).await;
        let complete = async |task: &Claimed| team.k.tasks().complete(&task.lease, json!(1)).await.map(drop);
        join_all(claimed.iter().map(complete)).await.into_iter().for_each(Result::unwrap);
    }
    for done in join_all(waiting).await {
        done.unwrap().unwrap();
    }
    // Some hundred looks for ten thousand tasks, fewer the less the machine has to do, and what the reader asks meanwhile.
    assert!(waiting_costs < 1_000, "{waiting_costs} statements");
}

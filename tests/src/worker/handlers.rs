//! Handlers: how they may end, and what becomes of their tasks.

use super::{LONG, eventually, prompt, soon, worker};
use crate::{
    cases,
    fixture::{Team, code, steady, task},
};
use kurultai_core::{
    Error,
    tasks::{FailureKind, Status, Task, Usage},
    worker::{Agent, BoxError, Context, Limits, Reject, Retry, Stop},
};
use serde_json::{Value, json};
use std::{convert::Infallible, fmt, future::pending, time::Duration};
use tokio::{sync::mpsc, time::sleep};

/// Runs the worker until the task is of this status.
async fn until(team: &Team, id: &str, status: Status, worker: Agent) -> Task {
    soon(worker.run_until(&team.k, team.becomes(id, status))).await.unwrap();
    team.get(id).await
}

/// The first error of a task that is handled once.
async fn fails(team: &Team, status: Status, worker: Agent) -> (u32, String) {
    let id = team.add(task("one").retry(steady()).payload(json!({"n": 1}))).await;
    let seen = until(team, &id, status, worker).await;
    (seen.attempts, seen.errors[0].error.clone())
}

/// Until the one task that is there has failed and waits for its next attempt.
async fn fails_once(team: &Team, worker: Agent) -> Task {
    let id = team.add(task("one").retry(steady()).payload(json!({"n": 1}))).await;
    let failed = eventually(|| async { !team.get(&id).await.errors.is_empty() });
    soon(worker.run_until(&team.k, failed)).await.unwrap();
    team.get(&id).await
}

#[derive(Debug)]
struct Outer(Retry);

impl fmt::Display for Outer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the call failed")
    }
}

impl std::error::Error for Outer {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}

#[derive(Debug, thiserror::Error)]
#[error("wrapped")]
struct Wrapped(#[source] BoxError);

async fn sum(ctx: Context, numbers: Vec<i64>) -> Result<Value, Error> {
    ctx.progress(0.5).await?;
    ctx.usage(Usage { tokens: 7, ..Usage::default() });
    Ok(json!({"sum": numbers.iter().sum::<i64>()}))
}

cases![
    what_a_handler_returns_is_stored,
    each_type_has_its_handler_and_all_run_at_once,
    an_error_is_tried_again_and_told_with_its_causes,
    any_error_backs_off_as_the_task_says,
    a_rejected_task_is_a_dead_letter_at_once,
    a_payload_of_another_type_is_rejected,
    retries_are_limited_by_the_handler_too,
    a_handler_that_takes_too_long_fails,
    a_panic_is_a_failure,
    results_that_cannot_be_stored_are_not_made_again,
    a_time_out_that_leaves_no_time_is_refused,
    a_handler_that_never_awaits_is_timed_out_all_the_same,
    an_error_whose_text_panics_is_a_failure,
    a_pause_beyond_any_clock_is_ten_years,
    the_outermost_wish_counts,
    a_refused_usage_is_dropped_and_the_results_stay,
    a_store_that_is_closed_ends_its_worker,
    a_cancelled_task_drops_its_handler,
    a_drain_lets_handlers_end_and_releases_those_that_do_not,
    workers_that_come_and_go_lose_nothing_and_do_nothing_twice,
    a_worker_without_handlers_is_refused,
];

async fn what_a_handler_returns_is_stored(team: Team) {
    let id = team.add(task("one").payload(json!([1, 2, 3]))).await;
    let other = team.add(kurultai_core::tasks::NewTask::new("other")).await;
    let done = until(&team, &id, Status::Completed, worker().task("review", sum)).await;
    assert_eq!((done.results.unwrap().value(), done.usage.unwrap().tokens), (json!({"sum": 6}), 7));
    assert_eq!(team.status(&other).await, Status::Pending, "a type that it has no handler for");
}

async fn each_type_has_its_handler_and_all_run_at_once(team: Team) {
    let (a, b) = (kurultai_core::tasks::NewTask::new("a"), kurultai_core::tasks::NewTask::new("b"));
    let (a, b) = (team.add(a).await, team.add(b).await);
    // Each waits for the other, so both must be running.
    let barrier = std::sync::Arc::new(tokio::sync::Barrier::new(2));
    let handler = |name: &'static str| {
        let barrier = barrier.clone();
        move |_: Context, (): ()| {
            let barrier = barrier.clone();
            async move {
                barrier.wait().await;
                Ok::<_, Infallible>(name)
            }
        }
    };
    let both = async {
        tokio::join!(team.becomes(&a, Status::Completed), team.becomes(&b, Status::Completed));
    };
    let worker = worker().concurrency(2).task("a", handler("a")).task("b", handler("b"));
    assert_eq!(soon(worker.run_until(&team.k, both)).await.unwrap(), 2);
    assert_eq!(team.get(&a).await.results.unwrap().value(), json!("a"));
    assert_eq!(team.get(&b).await.results.unwrap().value(), json!("b"));
}

async fn an_error_is_tried_again_and_told_with_its_causes(team: Team) {
    let failing =
        |_: Context, _: Value| async { Err::<(), _>(Outer(Retry::after(Duration::from_secs(7), "busy"))) };
    let got = fails_once(&team, worker().task("review", failing)).await;
    assert_eq!((got.status, got.errors[0].error.as_str()), (Status::Pending, "the call failed: busy"));
    assert_eq!(got.run_at, Some(team.clock.now() + Duration::from_secs(7)), "as the cause asked for");
}

async fn any_error_backs_off_as_the_task_says(team: Team) {
    let failing = |_: Context, _: Value| async { Err::<(), BoxError>("out of luck".into()) };
    let got = fails_once(&team, worker().task("review", failing)).await;
    assert_eq!((got.status, got.errors[0].error.as_str()), (Status::Pending, "out of luck"));
    assert_eq!(got.run_at, Some(team.clock.now() + steady().base));
}

async fn a_rejected_task_is_a_dead_letter_at_once(team: Team) {
    let failing = |_: Context, _: Value| async { Err::<(), _>(Reject::new("it contradicts itself")) };
    let failed = fails(&team, Status::DeadLetter, worker().task("review", failing)).await;
    assert_eq!(failed, (1, "it contradicts itself".to_owned()));
}

async fn a_payload_of_another_type_is_rejected(team: Team) {
    let (attempts, error) = fails(&team, Status::DeadLetter, worker().task("review", sum)).await;
    assert_eq!(attempts, 1);
    assert!(error.contains("input.payload") && error.contains("sequence"), "{error}");
}

async fn retries_are_limited_by_the_handler_too(team: Team) {
    let id = team.add(prompt("one").max_attempts(5)).await;
    let failing = |_: Context, _: Value| async { Err::<(), BoxError>("no".into()) };
    let got = until(
        &team,
        &id,
        Status::DeadLetter,
        worker().task_with("review", Limits::default().retries(1), failing),
    )
    .await;
    assert_eq!((got.attempts, got.errors.len()), (2, 2), "one try and one retry");
}

async fn a_handler_that_takes_too_long_fails(team: Team) {
    let limits = Limits::default().timeout(Duration::from_millis(20));
    let endless = |_: Context, _: Value| async { pending::<Result<(), Infallible>>().await };
    let got = fails_once(&team, worker().task_with("review", limits, endless)).await;
    assert_eq!((got.status, got.errors[0].error.as_str()), (Status::Pending, "timed out after 0.02 s"));
    assert_eq!((got.errors[0].kind, got.attempts), (FailureKind::Timeout, 1));
}

async fn a_panic_is_a_failure(team: Team) {
    #[expect(unreachable_code, reason = "a handler's type needs a return")]
    let panicking = |_: Context, payload: Value| async move {
        panic!("cannot do {payload}");
        Ok::<(), Infallible>(())
    };
    let got = fails_once(&team, worker().task("review", panicking)).await;
    assert_eq!(
        (got.status, got.errors[0].error.as_str()),
        (Status::Pending, "panicked: cannot do {\"n\":1}")
    );
}

async fn results_that_cannot_be_stored_are_not_made_again(team: Team) {
    let large =
        |_: Context, _: Value| async { Ok::<_, Infallible>("x".repeat(kurultai_core::json::MAX_BYTES)) };
    let (attempts, error) = fails(&team, Status::DeadLetter, worker().task("review", large)).await;
    assert_eq!(attempts, 1);
    assert!(
        error.starts_with("results at $: 1048578 bytes") && error.contains("requeue the task"),
        "{error}"
    );
}

async fn a_time_out_that_leaves_no_time_is_refused(team: Team) {
    let limits = Limits::default().timeout(Duration::ZERO);
    let never = worker().task_with("review", limits, sum).run_until(&team.k, sleep(LONG)).await;
    let error = never.unwrap_err();
    assert_eq!((error.code(), error.message().contains("the timeout of review")), ("input.invalid", true));
}

#[expect(clippy::disallowed_methods, reason = "a handler that blocks its thread is the case")]
async fn a_handler_that_never_awaits_is_timed_out_all_the_same(team: Team) {
    let id = team.add(prompt("one").max_attempts(1)).await;
    let (tell, mut told) = mpsc::unbounded_channel();
    let blocking = move |ctx: Context, _: Value| {
        let tell = tell.clone();
        async move {
            for _ in 0..6_000 {
                if ctx.stop().is_some() {
                    break;
                }
                std::thread::sleep(Duration::from_millis(5));
            }
            // The time-out is stored by now or soon; this comes after it.
            tell.send(ctx.stop()).unwrap();
            Ok::<_, Infallible>("late")
        }
    };
    let limits = Limits::default().timeout(Duration::from_millis(200));
    let got = until(&team, &id, Status::DeadLetter, worker().task_with("review", limits, blocking)).await;
    assert_eq!(soon(told.recv()).await, Some(Some(Stop::Timeout)));
    assert_eq!((got.results, got.errors[0].kind), (None, FailureKind::Timeout));
    assert_eq!(got.errors.len(), 1, "the late result is no second end");
}

async fn an_error_whose_text_panics_is_a_failure(team: Team) {
    #[derive(Debug)]
    struct Wordless;
    impl fmt::Display for Wordless {
        fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
            panic!("no words")
        }
    }
    impl std::error::Error for Wordless {}
    let failing = |_: Context, _: Value| async { Err::<(), _>(Wordless) };
    let got = fails_once(&team, worker().task("review", failing)).await;
    assert_eq!((got.attempts, got.errors[0].error.as_str()), (1, "panicked: no words"));
}

async fn a_pause_beyond_any_clock_is_ten_years(team: Team) {
    let failing = |_: Context, _: Value| async { Err::<(), _>(Retry::after(Duration::MAX, "never")) };
    let got = fails_once(&team, worker().task("review", failing)).await;
    let ten_years = Duration::from_secs(10 * 365 * 86_400);
    assert_eq!((got.attempts, got.run_at), (1, Some(team.clock.now() + ten_years)));
}

async fn the_outermost_wish_counts(team: Team) {
    let failing = |_: Context, _: Value| async {
        Err::<(), _>(Wrapped(Box::new(Retry::after(Duration::from_secs(5), "busy"))))
    };
    let got = fails_once(&team, worker().task("review", failing)).await;
    assert_eq!((got.status, got.run_at), (Status::Pending, Some(team.clock.now() + Duration::from_secs(5))));
    let rejects =
        |_: Context, _: Value| async { Err::<(), _>(Wrapped(Box::new(Reject::new("no such thing")))) };
    let (attempts, error) = fails(&team, Status::DeadLetter, worker().task("review", rejects)).await;
    assert_eq!((attempts, error.as_str()), (1, "wrapped: no such thing"));
}

async fn a_refused_usage_is_dropped_and_the_results_stay(team: Team) {
    let id = team.add(task("one").payload(json!(null))).await;
    let spends = |ctx: Context, (): ()| async move {
        ctx.usage(Usage { tokens: 3, cost: 0.5, seconds: 1.0 });
        ctx.usage(Usage { cost: f64::NAN, ..Usage::default() });
        ctx.usage(Usage { seconds: -1.0, ..Usage::default() });
        Ok::<_, Infallible>("done")
    };
    let got = until(&team, &id, Status::Completed, worker().task("review", spends)).await;
    assert_eq!((got.results.unwrap().value(), got.usage.unwrap().tokens), (json!("done"), 3));
}

async fn a_store_that_is_closed_ends_its_worker(team: Team) {
    let k = team.reopen(|config| config).await;
    let same = k.clone();
    let (running, closing) = (worker().task("review", sum).run_until(&k, sleep(LONG * 10)), async {
        eventually(|| async { !team.k.agents().list().await.unwrap().is_empty() }).await;
        same.close().await;
    });
    assert_eq!(soon(async { tokio::join!(running, closing) }).await.0.unwrap(), 0);
}

async fn a_cancelled_task_drops_its_handler(team: Team) {
    let id = team.add(task("one")).await;
    let (tell, mut told) = mpsc::unbounded_channel();
    let working = move |_: Context, _: Value| {
        // Dropped with the handler's future.
        let dropped = Told(tell.clone(), "dropped");
        async move {
            dropped.0.send("started").unwrap();
            pending::<Result<(), Infallible>>().await
        }
    };
    let stop = async {
        assert_eq!(soon(told.recv()).await, Some("started"));
        team.k.tasks().cancel(&id, None).await.unwrap();
        assert_eq!(soon(told.recv()).await, Some("dropped"));
        team.becomes(&id, Status::Cancelled).await;
    };
    assert_eq!(soon(worker().task("review", working).run_until(&team.k, stop)).await.unwrap(), 0);
}

async fn a_drain_lets_handlers_end_and_releases_those_that_do_not(team: Team) {
    let (quick, slow) = (team.add(task("quick")).await, team.add(task("slow")).await);
    let (tell, mut told) = mpsc::unbounded_channel();
    let (go, gone) = tokio::sync::watch::channel(false);
    let working = move |ctx: Context, _: Value| {
        let (tell, mut gone) = (tell.clone(), gone.clone());
        async move {
            tell.send(()).unwrap();
            gone.wait_for(|go| *go).await.unwrap();
            if ctx.task.title == "slow" {
                pending::<()>().await;
            }
            Ok::<_, Infallible>(())
        }
    };
    let stop = async {
        soon(told.recv()).await;
        soon(told.recv()).await;
        // Both go on only when the drain has begun.
        tokio::spawn(async move { go.send(true) });
    };
    let worker = worker().concurrency(2).grace(Duration::from_secs(2)).task("review", working);
    assert_eq!(soon(worker.run_until(&team.k, stop)).await.unwrap(), 1);
    assert_eq!((team.status(&quick).await, team.status(&slow).await), (Status::Completed, Status::Pending));
    assert_eq!(team.get(&slow).await.attempts, 0);
}

async fn workers_that_come_and_go_lose_nothing_and_do_nothing_twice(team: Team) {
    let tasks: Vec<_> = (0..150).map(|n| prompt(&n.to_string()).payload(json!(n))).collect();
    team.k.tasks().enqueue_many(tasks).await.unwrap();
    let finished = || async { team.count("task.completed").await == 150 };
    let comes_and_goes = |agent: &'static str| {
        let team = &team;
        async move {
            while !finished().await {
                let handler = |_: Context, n: u64| async move {
                    sleep(Duration::from_millis(fastrand::u64(0..8))).await;
                    Ok::<_, Infallible>(n)
                };
                let grace = Duration::from_millis(fastrand::u64(0..6));
                let worker = Agent::new(agent).concurrency(5).grace(grace).task("review", handler);
                let leaves = sleep(Duration::from_millis(fastrand::u64(0..60)));
                worker.run_until(&team.k, leaves).await.unwrap();
            }
        }
    };
    soon(futures::future::join_all(["temujin", "jochi", "mongke"].map(comes_and_goes))).await;
    let stats = team.k.tasks().stats().await.unwrap();
    assert_eq!(stats.by_status, [(Status::Completed, 150)].into());
    assert_eq!((team.count("task.completed").await, team.count("task.failed").await), (150, 0));
}

async fn a_worker_without_handlers_is_refused(team: Team) {
    assert_eq!(code(worker().run_until(&team.k, sleep(LONG)).await), "input.invalid");
    assert_eq!(
        code(worker().task("review", sum).start(&team.k).await),
        "input.invalid",
        "it would call none"
    );
}

struct Told(mpsc::UnboundedSender<&'static str>, &'static str);

impl Drop for Told {
    fn drop(&mut self) {
        self.0.send(self.1).unwrap_or_default();
    }
}

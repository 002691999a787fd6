//! Pulling jobs: places, batches, leases, stops.

use super::{LEASE, LONG, eventually, next, prompt, soon, worker};
use crate::{
    cases,
    fixture::{Team, code, task},
};
use kurultai_core::{
    tasks::{Claim, Failure, FailureKind, Status, Usage},
    worker::{Ended, Limits, Stop, Wish},
};
use serde_json::json;
use std::time::Duration;
use tokio::time::timeout;

cases![
    no_more_than_its_places_are_claimed_and_in_one_batch,
    jobs_come_in_the_order_of_the_queue_and_only_of_its_types,
    work_that_comes_later_is_claimed_at_once,
    a_job_knows_its_task_and_what_it_costs,
    leases_are_renewed_while_jobs_run,
    a_lost_lease_stops_the_job_and_it_ends_nothing,
    a_cancelled_task_stops_its_job_and_is_cancelled_when_it_goes,
    a_suspended_task_stops_its_job_at_its_next_word,
    a_pause_lets_running_jobs_end,
    a_dropped_job_is_released_and_does_not_count_as_an_attempt,
    a_refused_result_leaves_the_job_to_be_failed,
    a_job_ends_as_its_handler_ended,
    a_job_that_takes_too_long_is_ended_by_its_worker,
    a_job_that_ends_in_time_is_not_timed_out,
    a_dropped_next_loses_no_job,
    many_may_pull_at_once,
    what_no_repetition_mends_ends_the_pull,
    a_worker_that_vanishes_leaves_its_task_to_its_lease,
];

async fn no_more_than_its_places_are_claimed_and_in_one_batch(team: Team) {
    for i in 0..6 {
        team.add(prompt(&i.to_string())).await;
    }
    let jobs = worker().concurrency(4).start(&team.k).await.unwrap();
    let first = next(&jobs).await;
    assert_eq!(team.k.agents().get("temujin").await.unwrap().current_load, 4, "all free places in one claim");
    let mut held = vec![next(&jobs).await, next(&jobs).await, next(&jobs).await];
    assert!(timeout(Duration::from_millis(200), jobs.next()).await.is_err(), "a fifth job for four places");
    first.complete(json!(1), None).await.unwrap();
    held.push(next(&jobs).await);
    drop(held.remove(0));
    held.push(next(&jobs).await);
    assert_eq!(team.count("task.claimed").await, 6);
    for job in held {
        job.complete(json!(1), None).await.unwrap();
    }
    // The one that was dropped comes again.
    next(&jobs).await.complete(json!(1), None).await.unwrap();
    assert_eq!(team.k.tasks().stats().await.unwrap().by_status, [(Status::Completed, 6)].into());
}

async fn jobs_come_in_the_order_of_the_queue_and_only_of_its_types(team: Team) {
    team.add(kurultai_core::tasks::NewTask::new("other")).await;
    team.add(task("second")).await;
    team.add(task("first").priority(kurultai_core::tasks::Priority::P0)).await;
    let jobs = worker().types(["review"]).concurrency(3).start(&team.k).await.unwrap();
    let titles = [next(&jobs).await.task.title.clone(), next(&jobs).await.task.title.clone()];
    assert_eq!(titles, ["first", "second"]);
}

async fn work_that_comes_later_is_claimed_at_once(team: Team) {
    let jobs = worker().wait(LONG * 10).start(&team.k).await.unwrap();
    let (job, id) = tokio::join!(next(&jobs), team.add(task("late")));
    assert_eq!(job.task.id, id);
}

async fn a_job_knows_its_task_and_what_it_costs(team: Team) {
    let first = prompt("first").payload(json!({"n": 1}));
    let id = team.add(first).await;
    team.add(prompt("second").depends_on([&id])).await;
    let jobs = worker().start(&team.k).await.unwrap();
    let job = next(&jobs).await;
    assert_eq!(job.task.payload.value(), json!({"n": 1}));
    assert_eq!((job.attempt(), job.fencing_token(), job.stop()), (1, 1, None));
    let key = job.idempotency_key();
    job.checkpoint(json!("half")).await.unwrap();
    job.fail(Failure::new("again")).await.unwrap();
    let again = next(&jobs).await;
    assert_eq!((again.attempt(), again.fencing_token()), (2, 2));
    assert_eq!(again.idempotency_key(), key, "the same for every attempt");
    assert_eq!(again.task.checkpoint.as_ref().unwrap().value(), json!("half"));
    again.usage(Usage { tokens: 5, ..Usage::default() });
    assert!(!again.complete(json!({"n": 2}), None).await.unwrap().repeated);
    assert!(again.complete(json!({"n": 2}), None).await.unwrap().repeated, "the answer was lost, say");
    assert_eq!(team.get(&id).await.usage.unwrap().tokens, 5);
    let second = next(&jobs).await;
    assert_ne!(second.idempotency_key(), key);
    assert_eq!(second.prerequisites()[0].results.as_ref().unwrap().value(), json!({"n": 2}));
    second.release().await.unwrap();
}

async fn leases_are_renewed_while_jobs_run(team: Team) {
    team.add(task("one")).await;
    team.add(task("two")).await;
    let jobs = worker().concurrency(2).start(&team.k).await.unwrap();
    let (one, two) = (next(&jobs).await, next(&jobs).await);
    team.seconds(2);
    let renewed = team.clock.now() + LEASE;
    eventually(|| async { one.lease().expires_at == renewed && two.lease().expires_at == renewed }).await;
    assert_eq!(team.k.agents().get("temujin").await.unwrap().last_heartbeat, Some(team.clock.now()));
    assert_eq!((one.stop(), two.stop()), (None, None));
}

async fn a_lost_lease_stops_the_job_and_it_ends_nothing(team: Team) {
    team.agent("jochi", &[]).await;
    let id = team.add(prompt("one")).await;
    let jobs = worker().start(&team.k).await.unwrap();
    let job = next(&jobs).await;
    jobs.drain();
    team.seconds(7);
    let taken = team.claim_one("jochi").await;
    assert_eq!(soon(job.stopped()).await, Stop::Lost);
    assert_eq!(code(job.complete(json!("stale"), None).await), "lease.lost");
    drop(job);
    assert_eq!(soon(jobs.finished()).await, 0);
    team.complete(&taken).await;
    assert_eq!(team.get(&id).await.claimed_by.as_deref(), Some("jochi"));
}

async fn a_cancelled_task_stops_its_job_and_is_cancelled_when_it_goes(team: Team) {
    let id = team.add(task("one")).await;
    let jobs = worker().start(&team.k).await.unwrap();
    let job = next(&jobs).await;
    team.k.tasks().cancel(&id, Some("changed our mind")).await.unwrap();
    assert_eq!(soon(job.stopped()).await, Stop::Cancelled);
    assert_eq!(team.status(&id).await, Status::InProgress, "the holder decides when");
    drop(job);
    team.becomes(&id, Status::Cancelled).await;
}

async fn a_suspended_task_stops_its_job_at_its_next_word(team: Team) {
    let id = team.add(task("one")).await;
    // Renewed so seldom that only the progress can tell.
    let jobs = worker().lease(LONG * 10).start(&team.k).await.unwrap();
    let job = next(&jobs).await;
    team.k.tasks().suspend(&id).await.unwrap();
    job.progress(0.5).await.unwrap();
    assert_eq!(job.stop(), Some(Stop::Suspended));
    assert_eq!(soon(job.stopped()).await, Stop::Suspended);
    job.release().await.unwrap();
    assert_eq!(team.status(&id).await, Status::Suspended);
}

async fn a_pause_lets_running_jobs_end(team: Team) {
    team.add(task("one")).await;
    let jobs = worker().start(&team.k).await.unwrap();
    let job = next(&jobs).await;
    team.k.tasks().pause(None).await.unwrap();
    job.progress(0.5).await.unwrap();
    assert_eq!(job.stop(), None);
    job.complete(json!(1), None).await.unwrap();
}

async fn a_dropped_job_is_released_and_does_not_count_as_an_attempt(team: Team) {
    let id = team.add(prompt("one")).await;
    let jobs = worker().start(&team.k).await.unwrap();
    let job = next(&jobs).await;
    // Where no runtime is, as a garbage collector may do it.
    std::thread::spawn(move || drop(job)).join().unwrap();
    let again = next(&jobs).await;
    assert_eq!((again.task.id.as_str(), again.attempt(), again.fencing_token()), (id.as_str(), 1, 2));
}

async fn a_refused_result_leaves_the_job_to_be_failed(team: Team) {
    let id = team.add(prompt("one").max_attempts(1)).await;
    let jobs = worker().start(&team.k).await.unwrap();
    let job = next(&jobs).await;
    let deep = (0..65).fold(json!(1), |inner, _| json!([inner]));
    assert_eq!(code(job.complete(deep, None).await), "input.payload");
    assert!(!job.ended());
    job.fail(Failure::new("its result was too deep")).await.unwrap();
    assert_eq!(team.status(&id).await, Status::DeadLetter);
}

async fn a_job_ends_as_its_handler_ended(team: Team) {
    let jobs = worker().concurrency(4).start(&team.k).await.unwrap();
    for (ended, status, attempts) in [
        (Ended::Returned(json!([1]).into()), Status::Completed, 1),
        (Ended::Unstorable("results at $: no JSON".into()), Status::DeadLetter, 1),
        (
            Ended::Raised { error: "no".into(), wish: Some(Wish::Reject { why: "no".into() }) },
            Status::DeadLetter,
            1,
        ),
        (
            Ended::Raised { error: "no".into(), wish: Some(Wish::Retry { after: Some(-1.0) }) },
            Status::Completed,
            2,
        ),
    ] {
        let id = team.add(prompt("one").max_attempts(2)).await;
        let job = next(&jobs).await;
        job.limit(Limits::default());
        assert_eq!(job.end(ended).await.unwrap().id, id);
        assert!(job.ended());
        if !team.status(&id).await.is_finished() {
            next(&jobs).await.end(Ended::Returned(json!(null).into())).await.unwrap();
        }
        let got = team.get(&id).await;
        assert_eq!((got.status, got.attempts), (status, attempts), "{:?}", got.errors);
    }
}

async fn a_job_that_takes_too_long_is_ended_by_its_worker(team: Team) {
    let id = team.add(prompt("one").max_attempts(1)).await;
    let jobs = worker().start(&team.k).await.unwrap();
    let job = next(&jobs).await;
    job.usage(Usage { tokens: 9, ..Usage::default() });
    job.limit(Limits::default().timeout(Duration::from_millis(30)));
    assert_eq!(soon(job.stopped()).await, Stop::Timeout);
    // Nobody but the worker has done anything.
    team.becomes(&id, Status::DeadLetter).await;
    let got = team.get(&id).await;
    assert_eq!(
        (got.errors[0].kind, got.errors[0].error.as_str()),
        (FailureKind::Timeout, "timed out after 0.03 s")
    );
    assert_eq!(got.usage.unwrap().tokens, 9);
    let second = team.add(prompt("two")).await;
    let place = timeout(Duration::from_millis(200), jobs.next()).await;
    assert!(place.is_err(), "its place is its own until it is heard of: the handler may run still");
    assert_eq!(code(job.complete(json!("late"), None).await), "lease.lost");
    assert_eq!(code(job.end(Ended::Returned(json!("late").into())).await), "lease.lost");
    assert_eq!(team.get(&id).await.results, None);
    assert_eq!(next(&jobs).await.task.id, second);
}

async fn a_job_that_ends_in_time_is_not_timed_out(team: Team) {
    let jobs = worker().concurrency(20).start(&team.k).await.unwrap();
    let tasks = (0..60).map(|i| prompt(&i.to_string()).max_attempts(1)).collect();
    let ids = team.k.tasks().enqueue_many(tasks).await.unwrap();
    let (mut completed, mut late) = (0, 0);
    for _ in 0..60 {
        let job = next(&jobs).await;
        // About as long as the end itself takes.
        job.limit(Limits::default().timeout(Duration::from_micros(fastrand::u64(1..4_000))));
        match job.end(Ended::Returned(json!(1).into())).await {
            Ok(_) => completed += 1,
            Err(error) => {
                assert_eq!(error.code(), "lease.lost");
                late += 1;
            }
        }
    }
    let ids: Vec<&str> = ids.iter().map(|added| added.id.as_str()).collect();
    let tasks = team.k.tasks().get_many(&ids).await.unwrap();
    let of = |status| tasks.iter().flatten().filter(|task| task.status == status).count();
    assert_eq!((of(Status::Completed), of(Status::DeadLetter)), (completed, late), "each ended once");
}

async fn a_dropped_next_loses_no_job(team: Team) {
    let jobs = worker().concurrency(8).start(&team.k).await.unwrap();
    let tasks = (0..60).map(|i| prompt(&i.to_string())).collect();
    team.k.tasks().enqueue_many(tasks).await.unwrap();
    let mut done = 0;
    while done < 60 {
        let pull = timeout(Duration::from_micros(fastrand::u64(0..2_000)), jobs.next());
        if let Ok(job) = pull.await {
            job.unwrap().expect("not drained").complete(json!(1), None).await.unwrap();
            done += 1;
        }
    }
    assert_eq!((team.count("task.claimed").await, team.count("task.completed").await), (60, 60));
}

async fn many_may_pull_at_once(team: Team) {
    let tasks = (0..40).map(|i| prompt(&i.to_string())).collect();
    team.k.tasks().enqueue_many(tasks).await.unwrap();
    let jobs = worker().concurrency(4).start(&team.k).await.unwrap();
    let pull = || async {
        while team.count("task.completed").await < 40 {
            if let Ok(job) = timeout(Duration::from_millis(100), jobs.next()).await {
                let load = team.k.agents().get("temujin").await.unwrap().current_load;
                assert!(load <= 4, "{load} jobs for four places");
                job.unwrap().expect("not drained").complete(json!(1), None).await.unwrap();
            }
        }
    };
    soon(futures::future::join_all((0..6).map(|_| pull()))).await;
    assert_eq!((team.count("task.claimed").await, team.count("task.completed").await), (40, 40));
}

async fn what_no_repetition_mends_ends_the_pull(team: Team) {
    let jobs = worker().wait(Duration::from_millis(50)).start(&team.k).await.unwrap();
    team.k.agents().deregister("temujin", true).await.unwrap();
    assert_eq!(code(soon(jobs.next()).await), "agent.not_found");
    assert!(soon(jobs.next()).await.unwrap().is_none());
    assert_eq!(soon(jobs.finished()).await, 0);
}

async fn a_worker_that_vanishes_leaves_its_task_to_its_lease(team: Team) {
    team.agent("jochi", &[]).await;
    let id = team.add(prompt("one")).await;
    let jobs = worker().start(&team.k).await.unwrap();
    let job = next(&jobs).await;
    jobs.vanish();
    drop(job);
    assert!(team.k.tasks().claim(Claim::new("jochi")).await.unwrap().is_empty());
    team.seconds(7);
    assert_eq!(team.claim_ids("jochi", 1).await, [id]);
}

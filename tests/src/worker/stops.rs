//! How soon a job hears that it is to stop, and what a handler reaches besides its task.

use super::{LONG, eventually, next, prompt, soon, worker};
use crate::{
    cases,
    fixture::{Team, task},
};
use kurultai_core::{
    tasks::{NewTask, Status, WaitFor},
    worker::{Agent, Context, Job, Stop},
};
use serde_json::json;
use std::{convert::Infallible, time::Duration};
use tokio::time::{sleep, timeout};

cases![
    a_cancellation_is_heard_at_once_with_its_reason,
    a_cancellation_by_another_process_is_heard_soon,
    a_suspension_is_heard_at_once_and_a_lasting_job_goes_on,
    what_is_asked_while_nobody_listens_is_heard_too,
    a_drain_is_heard_when_it_begins,
    a_handler_reaches_its_team_and_enqueues_parts,
];

/// Renewed so seldom that the renewals tell nothing in time.
fn seldom() -> Agent {
    worker().lease(2 * LONG)
}

async fn stopped_within(seconds: u64, job: &Job) -> Stop {
    timeout(Duration::from_secs(seconds), job.stopped()).await.expect("it should have heard it by now")
}

/// Longer than what ends before it would be stopped.
async fn a_while() {
    sleep(Duration::from_millis(600)).await;
}

async fn a_cancellation_is_heard_at_once_with_its_reason(team: Team) {
    let jobs = seldom().concurrency(2).start(&team.k).await.unwrap();
    for (reason, wait) in [(Some("changed our mind"), true), (None, true), (Some("at once"), false)] {
        let id = team.add(task("one")).await;
        let job = next(&jobs).await;
        if wait {
            a_while().await;
        }
        assert_eq!((job.stop(), job.stop_reason()), (None, None));
        team.k.tasks().cancel(&id, reason).await.unwrap();
        assert_eq!(stopped_within(2, &job).await, Stop::Cancelled);
        assert_eq!(job.stop_reason().as_deref(), reason);
        drop(job);
        team.becomes(&id, Status::Cancelled).await;
    }
}

async fn a_cancellation_by_another_process_is_heard_soon(team: Team) {
    let other = team.reopen(|config| config).await;
    let jobs = seldom().start(&team.k).await.unwrap();
    let id = team.add(task("one")).await;
    let job = next(&jobs).await;
    a_while().await;
    other.tasks().cancel(&id, Some("from elsewhere")).await.unwrap();
    assert_eq!(stopped_within(4, &job).await, Stop::Cancelled);
    assert_eq!(job.stop_reason().as_deref(), Some("from elsewhere"));
}

async fn a_suspension_is_heard_at_once_and_a_lasting_job_goes_on(team: Team) {
    let jobs = seldom().concurrency(2).start(&team.k).await.unwrap();
    let (one, two) = (team.add(prompt("one")).await, team.add(prompt("two")).await);
    let (first, second) = (next(&jobs).await, next(&jobs).await);
    a_while().await;
    team.k.tasks().suspend(&one).await.unwrap();
    assert_eq!(stopped_within(2, &first).await, Stop::Suspended);
    assert_eq!((first.task.id.as_str(), first.stop_reason(), second.stop()), (one.as_str(), None, None));
    first.release().await.unwrap();
    second.complete(json!(1), None).await.unwrap();
    assert_eq!(team.status(&two).await, Status::Completed);
}

/// Work that comes and goes lets the listening begin and end again.
async fn what_is_asked_while_nobody_listens_is_heard_too(team: Team) {
    let jobs = seldom().start(&team.k).await.unwrap();
    for round in 0..3 {
        let id = team.add(prompt(&round.to_string())).await;
        let job = next(&jobs).await;
        a_while().await;
        job.complete(json!(round), None).await.unwrap();
        a_while().await;
        assert_eq!(team.status(&id).await, Status::Completed);
        let id = team.add(prompt("stopped")).await;
        let job = next(&jobs).await;
        team.k.tasks().cancel(&id, None).await.unwrap();
        assert_eq!(stopped_within(2, &job).await, Stop::Cancelled);
    }
}

async fn a_drain_is_heard_when_it_begins(team: Team) {
    team.add(task("one")).await;
    let jobs = seldom().grace(LONG).start(&team.k).await.unwrap();
    let job = next(&jobs).await;
    let context = job.context();
    assert!(!context.is_draining());
    let ended = async {
        soon(context.draining()).await;
        assert!(context.is_draining() && context.stop().is_none(), "its grace has only begun");
        job.complete(json!("the end of what could be done"), None).await.unwrap();
    };
    assert_eq!(tokio::join!(soon(jobs.finished()), ended).0, 0);
}

async fn a_handler_reaches_its_team_and_enqueues_parts(team: Team) {
    let agent = worker().task("plan", async |ctx: Context, (): ()| {
        let part = ctx.enqueue(NewTask::new("part").delegated_by("somebody")).await.unwrap();
        ctx.enqueue(NewTask::new("part").parent("elsewhere")).await.unwrap();
        assert_eq!(ctx.team().tasks().get(&part.id).await.unwrap().status, Status::Pending);
        Ok::<_, Infallible>(part.id)
    });
    let plan = NewTask::new("plan").payload(json!(null)).correlation_id("q3").wait_for(WaitFor::All);
    let id = team.add(plan).await;
    let k = &team.k;
    let planned = eventually(|| async { team.status(&id).await == Status::Blocked });
    soon(agent.run_until(k, planned)).await.unwrap();
    let filter = kurultai_core::tasks::Filter { parent_id: Some(id), ..Default::default() };
    let parts = k.tasks().list(filter).await.unwrap().tasks;
    let mut by: Vec<_> = parts.iter().map(|part| part.delegated_by.as_deref().unwrap()).collect();
    by.sort_unstable();
    assert_eq!(by, ["somebody", "temujin"]);
    assert!(parts.iter().all(|part| part.correlation_id == "q3"));
}

//! What an agent tells of its attempts.

use super::{eventually, next, prompt, soon, worker};
use crate::{cases, fixture::Team};
use kurultai_core::{
    tasks::{Failure, Status},
    worker::{End, Ended, Limits, Report, Stop, Wish},
};
use serde_json::json;
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

cases![each_attempt_is_told_once_with_what_follows, a_lost_lease_is_told_by_who_had_it,];

/// What an agent has told.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<Report>>>);

impl Told {
    fn listener(&self) -> impl Fn(&Report) + Send + Sync + 'static {
        let told = self.0.clone();
        move |report| told.lock().unwrap().push(report.clone())
    }

    fn take(&self) -> Vec<Report> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

async fn each_attempt_is_told_once_with_what_follows(team: Team) {
    let told = Told::default();
    let jobs = worker().on_report(told.listener()).start(&team.k).await.unwrap();
    let id = team.add(prompt("one").max_attempts(3)).await;
    let job = next(&jobs).await;
    let stack = "Error: boom\n    at review (review.js:7:3)\n    at async work (agent.js:1:1)".to_owned();
    job.end(Ended::Raised { error: stack.clone(), wish: Some(Wish::Retry { after: Some(0.0) }) })
        .await
        .unwrap();
    let [report] = &told.take()[..] else { panic!("one report") };
    let (status, run_at) = (Some(Status::Pending), team.get(&id).await.run_at);
    assert_eq!(report.end, End::Failed { error: stack, status, run_at });
    let line = report.to_string();
    let begin = format!("task {id} of type \"review\", attempt 1 of 3 failed: Error: boom; again at ");
    assert!(line.starts_with(&begin), "{line}");

    let job = next(&jobs).await;
    job.limit(Limits::default().timeout(Duration::from_millis(30)).retries(0));
    assert_eq!(soon(job.stopped()).await, Stop::Timeout);
    drop(job);
    // The store has it before who waits for its answer.
    eventually(|| async { !told.0.lock().unwrap().is_empty() }).await;
    assert_eq!(team.status(&id).await, Status::DeadLetter);
    let late = told.take();
    assert!(
        late[0].to_string().ends_with("failed: timed out after 0.03 s; it is dead_letter now"),
        "{}",
        late[0]
    );

    team.add(prompt("two")).await;
    let job = next(&jobs).await;
    job.fail(Failure::new("again").retry_after(Duration::ZERO)).await.unwrap();
    assert!(matches!(told.take()[0].end, End::Failed { .. }));
    let job = next(&jobs).await;
    job.complete(json!(1), None).await.unwrap();
    job.complete(json!(1), None).await.unwrap();
    let ends: Vec<End> = told.take().into_iter().map(|report| report.end).collect();
    assert_eq!(ends, [End::Completed], "a repetition is no attempt");
}

async fn a_lost_lease_is_told_by_who_had_it(team: Team) {
    team.agent("jochi", &[]).await;
    let told = Told::default();
    let jobs = worker().on_report(told.listener()).start(&team.k).await.unwrap();
    team.add(prompt("one")).await;
    let job = next(&jobs).await;
    jobs.drain();
    team.seconds(7);
    team.claim_one("jochi").await;
    assert_eq!(soon(job.stopped()).await, Stop::Lost);
    assert!(job.complete(json!(1), None).await.is_err());
    let [report] = &told.take()[..] else { panic!("one report") };
    assert!(matches!(report.end, End::Failed { status: None, run_at: None, .. }), "{report}");
}

//! G2: workers stopped with SIGSTOP for longer than their lease. When they go on they believe that they still hold
//! their task, and try to complete it.

use super::{
    Arena, Report, Result, arena,
    staff::{Job, Member, Staff},
};
use kurultai_core::{Kurultai, tasks::Status};
use std::{path::Path, time::Duration};
use tokio::time::sleep;

const WORKERS: usize = 3;
const JOB: Job = Job { work: Duration::from_millis(40), lease: Duration::from_millis(600), max: 1 };
/// Tasks for one stop: enough that nobody is idle meanwhile.
const TASKS: usize = 80;

pub async fn run(program: &Path, arena: &Arena, stops: usize) -> Result<Report> {
    let kurultai = arena.open().await?;
    let mut staff = Staff::new(program, arena);
    let workers = (0..WORKERS).map(|_| staff.worker(JOB)).collect::<Result<Vec<_>>>()?;
    staff.until("the workers", |ledger| ledger.ready.len() == WORKERS).await?;
    for stop in 0..stops {
        arena::fill(&kurultai, TASKS).await?;
        stop_one(&staff, &kurultai, &workers[stop % WORKERS]).await?;
    }
    staff.until("the rest", |ledger| ledger.done.len() >= stops * TASKS).await?;
    for worker in workers {
        worker.dismiss().await?;
    }
    staff.check()?;
    let report = Report::of(&kurultai, &staff.all_heard(), JOB.lease).await;
    kurultai.close().await;
    arena.check_integrity()?;
    Ok(Report { stops, ..report? })
}

/// Stops a worker that holds a task, until somebody else has it.
async fn stop_one(staff: &Staff, kurultai: &Kurultai, worker: &Member) -> Result {
    let held = |ledger: &super::staff::Ledger| ledger.took.get(&worker.name).cloned();
    let before = held(&staff.ledger());
    staff.until("a claim", |ledger| held(ledger) != before).await?;
    worker.signal("STOP").await?;
    // After the signal, so that it cannot be an older one.
    let Some((task, version)) = held(&staff.ledger()) else { return Err("a worker took nothing".into()) };
    // It may be stopped in the midst of a transaction, which nobody can pass: then it goes on sooner.
    for _ in 0..100 {
        let now = kurultai.tasks().get(&task).await?;
        if now.lease_version > version || now.status == Status::Completed {
            break;
        }
        sleep(Duration::from_millis(50)).await;
    }
    worker.signal("CONT").await?;
    let known = |ledger: &super::staff::Ledger| {
        ledger.refused.contains(&(task.clone(), version)) || ledger.done.contains_key(&task)
    };
    staff.until("the stopped worker's answer", known).await
}

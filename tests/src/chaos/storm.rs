//! Many claimers, nobody killed.

use super::{
    Arena, Report, Result, arena,
    staff::{Job, Ledger, Staff},
};
use futures::future::try_join_all;
use kurultai_core::{Kurultai, agents::NewAgent, tasks::Claim};
use std::{path::Path, time::Duration};

const LEASE: Duration = Duration::from_secs(60);

/// Processes that claim while the tasks come in.
pub async fn processes(program: &Path, arena: &Arena, processes: usize, tasks: usize) -> Result<Report> {
    let kurultai = arena.open().await?;
    let mut staff = Staff::new(program, arena);
    let job = Job { work: Duration::ZERO, lease: LEASE, max: 8 };
    let members = (0..processes).map(|_| staff.worker(job)).collect::<Result<Vec<_>>>()?;
    staff.until("the workers", |ledger| ledger.ready.len() == processes).await?;
    arena::fill(&kurultai, tasks).await?;
    staff.until("the tasks", |ledger| ledger.done.len() >= tasks).await?;
    for member in members {
        member.dismiss().await?;
    }
    staff.check()?;
    let report = Report::of(&kurultai, &staff.all_heard(), LEASE).await;
    kurultai.close().await;
    arena.check_integrity()?;
    report
}

/// Claimers of one process.
pub async fn claimers(arena: &Arena, claimers: usize, tasks: usize) -> Result<Report> {
    let kurultai = arena.open().await?;
    arena::fill(&kurultai, tasks).await?;
    let agents = (0..claimers).map(|n| NewAgent::new(format!("claimer-{n}")));
    kurultai.agents().register_many(agents.collect()).await?;
    let each = (0..claimers).map(|n| {
        let kurultai = kurultai.clone();
        async move { tokio::spawn(async move { empty(&kurultai, &format!("claimer-{n}")).await }).await? }
    });
    try_join_all(each).await?;
    let report = Report::of(&kurultai, &Ledger::default(), LEASE).await;
    kurultai.close().await;
    arena.check_integrity()?;
    report
}

/// Claims and completes until nothing is left.
async fn empty(kurultai: &Kurultai, agent: &str) -> Result {
    loop {
        let claim = Claim::new(agent).max(fastrand::usize(1..=4)).lease(LEASE);
        let claimed = kurultai.tasks().claim(claim).await?;
        if claimed.is_empty() {
            return Ok(());
        }
        for task in claimed {
            kurultai.tasks().complete(&task.lease, serde_json::json!({"by": agent})).await?;
        }
    }
}

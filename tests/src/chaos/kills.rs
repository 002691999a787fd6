//! G1: workers and enqueuers killed with SIGKILL at random moments, and replaced.

use super::{
    Arena, Report, Result,
    staff::{Job, Ledger, Member, Staff},
};
use kurultai_core::{Kurultai, tasks::Status};
use std::{path::Path, time::Duration};
use tokio::time::sleep;

const WORKERS: usize = 4;
const JOB: Job = Job { work: Duration::from_millis(4), lease: Duration::from_secs(1), max: 3 };
/// Between two calls of an enqueuer, on the average: about as fast as the workers are.
const PAUSE: Duration = Duration::from_millis(30);

pub(super) struct Run<'a> {
    staff: Staff,
    workers: Vec<Member>,
    enqueuer: Option<Member>,
    tasks: usize,
    kurultai: &'a Kurultai,
}

/// Kills `kills` processes, spread over the time that at least `tasks` tasks take.
pub async fn run(program: &Path, arena: &Arena, kills: usize, tasks: usize) -> Result<Report> {
    let kurultai = arena.open().await?;
    let mut run = Run::begin(program, arena, &kurultai, tasks)?;
    for kill in 1..=kills {
        run.comes_to(kill, kills).await?;
        run.kill_one().await?;
    }
    let report = run.finish().await;
    kurultai.close().await;
    arena.check_integrity()?;
    Ok(Report { kills, ..report? })
}

impl<'a> Run<'a> {
    pub(super) fn begin(program: &Path, arena: &Arena, kurultai: &'a Kurultai, tasks: usize) -> Result<Self> {
        let mut staff = Staff::new(program, arena);
        let workers = (0..WORKERS).map(|_| staff.worker(JOB)).collect::<Result<_>>()?;
        let enqueuer = Some(staff.enqueuer(tasks, PAUSE)?);
        Ok(Run { staff, workers, enqueuer, tasks, kurultai })
    }

    /// A random moment after that share of the work.
    pub(super) async fn comes_to(&self, kill: usize, kills: usize) -> Result {
        // Each kill may swallow the word of one completion.
        let share = self.tasks.saturating_sub(kills) * kill / (kills + 1);
        // Somebody must be there to take over: a replacement on Neo4j needs longer than the next kill would let it live.
        let at_work =
            |ledger: &Ledger| self.workers.iter().filter(|w| ledger.ready.contains(&w.name)).count();
        let so_far = |ledger: &Ledger| ledger.done.len() >= share && at_work(ledger) > WORKERS / 2;
        self.staff.until("work", so_far).await?;
        sleep(Duration::from_millis(20).mul_f64(fastrand::f64())).await;
        Ok(())
    }

    /// Kills somebody at random and hires a replacement.
    async fn kill_one(&mut self) -> Result {
        let is_enqueuers_turn = fastrand::usize(..=WORKERS) == 0;
        match self.enqueuer.take_if(|_| is_enqueuers_turn) {
            Some(victim) => {
                victim.kill().await?;
                self.enqueue_rest()?;
            }
            None => {
                let victim = self.workers.swap_remove(fastrand::usize(..self.workers.len()));
                self.workers.push(self.staff.worker(JOB)?);
                victim.kill().await?;
            }
        }
        self.staff.check()
    }

    fn enqueue_rest(&mut self) -> Result {
        let left = self.tasks.saturating_sub(self.staff.ledger().added.len());
        if left > 0 {
            self.enqueuer = Some(self.staff.enqueuer(left, PAUSE)?);
        }
        Ok(())
    }

    /// Lets the last workers do what is left, then counts.
    pub(super) async fn finish(mut self) -> Result<Report> {
        if let Some(enqueuer) = self.enqueuer.take() {
            self.staff.until("the enqueuer", |ledger| ledger.added.len() >= self.tasks).await?;
            enqueuer.end().await?;
        }
        let (mut last, mut quiet) = (0, 0);
        loop {
            self.staff.check()?;
            let by_status = self.kurultai.tasks().stats().await?.by_status;
            let completed = by_status.get(&Status::Completed).copied().unwrap_or(0);
            if by_status.values().sum::<u64>() == completed {
                break;
            }
            quiet = if completed == last { quiet + 1 } else { 0 };
            last = completed;
            if quiet > 600 {
                return Err(format!("nothing moves any more: {by_status:?}").into());
            }
            sleep(Duration::from_millis(100)).await;
        }
        for worker in self.workers.drain(..) {
            worker.kill().await?;
        }
        self.staff.check()?;
        Report::of(self.kurultai, &self.staff.all_heard(), JOB.lease).await
    }
}

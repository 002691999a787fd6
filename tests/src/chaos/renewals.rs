//! How long a renewal of a role takes while tasks are enqueued in bulk: a third of the lease is the most that it may.

use super::{Arena, Result, arena};
use futures::future::try_join_all;
use kurultai_core::{
    Kurultai,
    agents::{Lead, Leadership, NewAgent},
    clock::monotonic,
};
use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::time::sleep;

/// How many callers enqueue at once, and how many tasks each call has.
const CALLERS: usize = 4;
const BATCH: usize = 1_000;
/// So many roles are renewed all the time, each this long after its last renewal: far more often than a team does, for
/// the sake of the figures.
const ROLES: usize = 16;
const PAUSE: Duration = Duration::from_millis(20);

/// What was measured.
#[derive(Debug)]
pub struct Renewals {
    pub store: &'static str,
    /// In order.
    pub took: Vec<Duration>,
    pub tasks: usize,
    pub lost: bool,
}

/// Enqueues at least so many tasks, and renews roles all the time.
pub async fn run(arena: &Arena, tasks: usize) -> Result<Renewals> {
    let kurultai = arena.open().await?;
    kurultai.agents().register(NewAgent::new("kublai")).await?;
    let mut held = vec![];
    for n in 0..ROLES {
        held.push(kurultai.agents().lead(&format!("router-{n}"), "kublai", Lead::default()).await?);
    }
    let (over, added) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let callers: Vec<_> = (0..CALLERS)
        .map(|_| tokio::spawn(enqueue(kurultai.clone(), tasks, added.clone(), over.clone())))
        .collect();
    let renewals = try_join_all(held.iter().map(|held| renew(held, &over))).await?;
    for caller in callers {
        caller.await??;
    }
    let mut took = renewals.concat();
    took.sort_unstable();
    let lost = held.iter().any(|held| !held.is_valid());
    let renewals = Renewals { store: kurultai.store_name(), took, tasks: added.load(Ordering::SeqCst), lost };
    kurultai.close().await;
    Ok(renewals)
}

async fn renew(held: &Leadership, over: &AtomicBool) -> Result<Vec<Duration>> {
    let mut took = vec![];
    while !over.load(Ordering::SeqCst) {
        sleep(PAUSE.mul_f64(0.5 + fastrand::f64())).await;
        let begun = monotonic();
        held.renew().await?;
        took.push(begun.elapsed());
    }
    Ok(took)
}

async fn enqueue(kurultai: Kurultai, tasks: usize, added: Arc<AtomicUsize>, over: Arc<AtomicBool>) -> Result {
    while added.load(Ordering::SeqCst) < tasks {
        let batch = (0..BATCH).map(|_| arena::task()).collect();
        added.fetch_add(kurultai.tasks().enqueue_many(batch).await?.len(), Ordering::SeqCst);
    }
    over.store(true, Ordering::SeqCst);
    Ok(())
}

impl Renewals {
    fn at(&self, share: f64) -> Duration {
        let place = (self.took.len() as f64 * share) as usize;
        self.took.get(place.min(self.took.len().saturating_sub(1))).copied().unwrap_or_default()
    }

    /// The slowest of a hundred takes a third of the lease at most, and the role was never lost.
    pub fn check(&self) -> Result {
        let most = Lead::default().ttl / 3;
        if self.lost || self.at(0.99) > most { Err(format!("{self}").into()) } else { Ok(()) }
    }
}

impl fmt::Display for Renewals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = |share| self.at(share).as_secs_f64() * 1e3;
        write!(
            f,
            "renewals {}: {} of {ROLES} roles while {} tasks were enqueued, p50 {:.1} ms, p99 {:.1} ms, max {:.1} ms; lost {}",
            self.store,
            self.took.len(),
            self.tasks,
            millis(0.5),
            millis(0.99),
            millis(1.0),
            self.lost,
        )
    }
}

//! Who waits is told. Of this process's own commits each waiting claim hears at once; what others wrote and what comes
//! due, one loop a process looks for, with one statement for everybody who waits.

use crate::{
    clock::monotonic,
    config::Config,
    events::LogReader,
    store::{Store, Wanted},
    team::Team,
};
use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::{
    sync::{Notify, watch},
    time::{sleep, timeout_at},
};

/// How often the loop looks where nothing hints at a change.
const TICK: Duration = Duration::from_secs(1);
/// At each of so many ticks it does what looks at many tasks.
const TICKS_A_MINUTE: u32 = 60;
/// A commit of which only a part can be seen is whole in a moment.
const MOMENT: Duration = Duration::from_millis(5);
/// How many events one statement draws edges from: a claim waits for it no longer than for another batch.
pub(crate) const PORTION: usize = 100;
/// How many such statements the loop sends at each tick.
const PORTIONS: usize = 5;

pub(crate) struct News {
    /// Counts the moments at which there may be new work.
    work: watch::Sender<u64>,
    /// What those who wait for work would take, and how many of each there are.
    claims: Mutex<HashMap<Wanted, usize>>,
    /// Somebody has begun to wait for work, for example: what was committed before is looked for once more.
    look: AtomicBool,
    /// Wakes the loop.
    bell: Notify,
    closed: AtomicBool,
    active: Mutex<Instant>,
}

impl News {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(News {
            work: watch::Sender::new(0),
            claims: Mutex::default(),
            look: AtomicBool::new(false),
            bell: Notify::new(),
            closed: AtomicBool::new(false),
            active: Mutex::new(monotonic()),
        })
    }

    /// There may be new work for who waits in this process.
    pub(crate) fn announce(&self) {
        *lock(&self.active) = monotonic();
        self.work.send_modify(|count| *count += 1);
    }

    /// There are events to hand on.
    pub(crate) fn ring(&self) {
        self.bell.notify_one();
    }

    /// There is something to look for at once.
    pub(crate) fn look_soon(&self) {
        self.look.store(true, Ordering::SeqCst);
        self.ring();
    }

    /// Who waits hears of it, and the loop ends.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        self.announce();
        self.ring();
    }

    fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }

    /// Waits for work for at most `wait`, counted from now. What is announced from now on is not missed.
    pub(crate) fn waiting(
        self: &Arc<Self>,
        wanted: impl FnOnce() -> Wanted,
        wait: Duration,
    ) -> Option<Waiting> {
        let wait = wait.min(Duration::from_secs(86_400));
        (!wait.is_zero()).then(|| Waiting {
            news: self.clone(),
            seen: self.work.subscribe(),
            deadline: monotonic() + wait,
            wanted: wanted(),
            counted: false,
        })
    }

    fn claims(&self) -> Vec<Wanted> {
        lock(&self.claims).keys().cloned().collect()
    }

    /// For how long nothing has happened that concerns this process.
    fn quiet(&self) -> Duration {
        lock(&self.active).elapsed()
    }
}

/// A claim that waits for work.
pub(crate) struct Waiting {
    news: Arc<News>,
    seen: watch::Receiver<u64>,
    deadline: Instant,
    wanted: Wanted,
    counted: bool,
}

impl Waiting {
    pub(crate) fn is_over(&self) -> bool {
        monotonic() >= self.deadline
    }

    /// Waits until it is worth claiming again; false where the time is over. Cancel safe.
    pub(crate) async fn come(&mut self) -> bool {
        if self.is_over() {
            return false;
        }
        if !std::mem::replace(&mut self.counted, true) {
            *lock(&self.news.claims).entry(self.wanted.clone()).or_default() += 1;
            self.news.look_soon();
        }
        drop(timeout_at(self.deadline.into(), self.seen.changed()).await);
        true
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if !self.counted {
            return;
        }
        let mut claims = lock(&self.news.claims);
        if let Some(count) = claims.get_mut(&self.wanted) {
            *count -= 1;
            if *count == 0 {
                claims.remove(&self.wanted);
            }
        }
    }
}

/// What the loop remembers from one look to the next.
struct Watcher {
    news: Arc<News>,
    reader: Arc<LogReader>,
    store: Arc<dyn Store>,
    background: bool,
    /// What could be claimed when those who wait were last woken for it. They could not have it, or have it.
    woken_for: Option<(i64, (usize, i64))>,
    ticked: Instant,
    ticks: u32,
}

/// Ends when the team is dropped or closed.
pub(crate) fn watch(team: &Arc<Team>, config: &Config) {
    let watcher = Watcher {
        news: team.news.clone(),
        reader: team.reader.clone(),
        store: team.store.clone(),
        background: config.background,
        woken_for: None,
        ticked: monotonic(),
        ticks: 0,
    };
    tokio::spawn(watcher.run(Arc::downgrade(team)));
}

impl Watcher {
    async fn run(mut self, team: Weak<Team>) {
        loop {
            while !self.background && !self.somebody_waits() {
                self.news.bell.notified().await;
                if self.news.is_closed() {
                    return;
                }
            }
            // Before the look: what is written after it makes `changed` return.
            let version = self.store.version().await.ok();
            let next = match team.upgrade() {
                Some(team) if !self.news.is_closed() => self.look(&team).await,
                _ => return,
            };
            self.rest(version, next).await;
        }
    }

    fn somebody_waits(&self) -> bool {
        !lock(&self.news.claims).is_empty() || self.reader.is_wanted()
    }

    /// One look at the store, and what follows from it. Returns when the next one is due at the latest.
    async fn look(&mut self, team: &Team) -> Duration {
        self.news.look.store(false, Ordering::SeqCst);
        let looked = async {
            let pulse = self.store.pulse(&self.news.claims()).await?;
            let is_torn =
                self.reader.lacks(pulse.event_seq) && self.reader.read_on(&*self.store).await? == Some(true);
            Ok::<_, crate::Error>((pulse, is_torn))
        };
        let (pulse, is_torn) = match looked.await {
            Ok(seen) => seen,
            Err(error) => {
                team.complain(&error, "the store cannot be watched");
                return TICK;
            }
        };
        if let Some(ready) = pulse.ready
            && self.woken_for.replace((pulse.event_seq, ready)) != Some((pulse.event_seq, ready))
        {
            self.news.announce();
        }
        let mut next = if is_torn { MOMENT } else { TICK };
        match pulse.due {
            Some(due) if due.is_zero() => match team.settle_some().await {
                Ok(settled) if settled.progressed => next = Duration::ZERO,
                Ok(_) => {}
                Err(error) => team.complain(&error, "overdue work stays for the next pass"),
            },
            Some(due) => next = next.min(due),
            None => {}
        }
        if self.background && self.ticked.elapsed() >= TICK {
            self.ticked = monotonic();
            self.tick(team, pulse.linked).await;
        }
        next
    }

    async fn tick(&mut self, team: &Team, linked: bool) {
        self.ticks += 1;
        let kept = async {
            if self.ticks.is_multiple_of(TICKS_A_MINUTE) {
                team.keep().await?;
            }
            if linked { Ok(()) } else { team.link(PORTIONS).await }
        };
        if let Err(error) = kept.await {
            team.complain(&error, "maintenance failed; the next pass tries again");
        }
    }

    /// Until somebody may have written, somebody begins to wait, or the time is over. Hands on meanwhile what is written
    /// in this process.
    async fn rest(&mut self, version: Option<i64>, next: Duration) {
        let waits = self.somebody_waits();
        let span = if waits { next } else { next.min(TICK).mul_f64(0.9 + fastrand::f64() / 5.0) };
        let over = sleep(span);
        let changed = async || match version {
            Some(version) => self.store.changed(version, self.news.quiet()).await,
            None => std::future::pending().await,
        };
        let changing = changed();
        tokio::pin!(over, changing);
        loop {
            tokio::select! {
                () = self.news.bell.notified() => {
                    let has_come = !waits && self.somebody_waits();
                    if has_come || self.news.look.load(Ordering::SeqCst) || self.news.is_closed() {
                        return;
                    }
                    match self.reader.read_on(&*self.store).await {
                        Ok(Some(true)) => {
                            sleep(MOMENT).await;
                            self.news.ring();
                        }
                        Ok(_) => {}
                        Err(_) => return,
                    }
                    // For those who wait for events that was the look.
                    if self.news.claims().is_empty() {
                        changing.set(changed());
                    }
                }
                () = &mut changing, if waits => return,
                () = &mut over => return,
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for News {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("News")
    }
}

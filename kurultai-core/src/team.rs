//! What the handles of one opened store share: the coalescers, the news of work, the maintenance.

use crate::{
    batch::{Batch, Coalescer},
    calls::Calls,
    clock::monotonic,
    config::Config,
    error::{Error, Result},
    store::Store,
    tasks::{
        Claimed, Enqueued, Extended, Finish, Finished, NewTask, Outcome, Status,
        queue::{Answers, ClaimRequest, Extend, Facts},
        rules::{self, Action},
    },
};
use futures::future::BoxFuture;
use std::{
    collections::HashSet,
    fmt,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::{sync::watch, time::sleep};

/// How many due tasks one pass settles.
const PASS: usize = 500;
/// From how many events one statement draws edges: a claim waits for it no longer than for another batch.
const PORTION: usize = 100;
/// How many of them the background draws at each tick.
const PORTIONS: usize = 5;
/// Whoever waits hears of new work first, and reads and writes alone for as long.
const COURTESY: Duration = Duration::from_millis(1);
/// How often the background looks after the queue.
const TICK: Duration = Duration::from_secs(1);

pub(crate) struct Team {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) config: Config,
    /// What changes something; `close` waits for it.
    pub(crate) calls: Calls,
    pub(crate) enqueue: Arc<Coalescer<Vec<NewTask>, Vec<Enqueued>>>,
    pub(crate) claim: Arc<Coalescer<ClaimRequest, Given>>,
    pub(crate) extend: Arc<Coalescer<Extend, Extended>>,
    pub(crate) finish: Arc<Coalescer<Vec<Finish>, Vec<Result<Finished>>>>,
    /// Counts the moments at which there may be new work.
    news: watch::Sender<u64>,
    /// Counts the moments at which there may be new events, which are more.
    log: watch::Sender<u64>,
    waiting: AtomicUsize,
    polling: AtomicBool,
}

impl Team {
    pub(crate) fn new(store: Arc<dyn Store>, config: Config) -> Arc<Self> {
        let limit = store.batch_limit();
        let team = Arc::new_cyclic(|weak: &Weak<Team>| Team {
            enqueue: coalesce(weak, limit, Vec::len, |team, units| Box::pin(team.run_enqueue(units))),
            claim: coalesce(weak, limit, |_| 1, |team, requests| Box::pin(team.run_claim(requests))),
            extend: coalesce(weak, limit, |_| 1, |team, requests| Box::pin(team.run_extend(requests))),
            finish: coalesce(weak, limit, Vec::len, |team, units| Box::pin(team.run_finish(units))),
            news: watch::Sender::new(0),
            log: watch::Sender::new(0),
            waiting: AtomicUsize::new(0),
            polling: AtomicBool::new(false),
            store,
            config,
            calls: Calls::default(),
        });
        if team.config.background {
            tokio::spawn(background(Arc::downgrade(&team)));
        }
        team
    }

    async fn run_enqueue(self: Arc<Self>, units: Batch<Vec<NewTask>>) -> Result<Vec<Result<Vec<Enqueued>>>> {
        let Answers { each, overdue } = self.store.enqueue(units).await?;
        self.after(overdue).await;
        Ok(each)
    }

    async fn run_claim(self: Arc<Self>, requests: Batch<ClaimRequest>) -> Result<Vec<Result<Given>>> {
        let Answers { each, overdue } = self.store.claim(requests).await?;
        if overdue {
            self.after(true).await;
        }
        if each.iter().flatten().any(|claimed| !claimed.is_empty()) {
            self.log.send_modify(|count| *count += 1);
        }
        let given = |claimed| Given { claimed, settled: overdue, team: Arc::downgrade(&self) };
        Ok(each.into_iter().map(|answer| answer.map(given)).collect())
    }

    async fn run_extend(self: Arc<Self>, requests: Batch<Extend>) -> Result<Vec<Result<Extended>>> {
        Ok(self.store.extend(requests).await?.each)
    }

    /// A batch in which a task is named twice goes to the store in rounds.
    async fn run_finish(
        self: Arc<Self>,
        units: Batch<Vec<Finish>>,
    ) -> Result<Vec<Result<Vec<Result<Finished>>>>> {
        let rounds = Arc::new(Mutex::new(Rounds::default()));
        let first = rounds.clone();
        let mut round = units.map(move |units| {
            let mut rounds = first.lock().unwrap_or_else(PoisonError::into_inner);
            *rounds = Rounds::of(units);
            rounds.next()
        });
        loop {
            let Answers { each, overdue } = self.store.finish(round).await?;
            self.after(overdue).await;
            let mut rounds = rounds.lock().unwrap_or_else(PoisonError::into_inner);
            rounds.answer(each);
            let next = rounds.next();
            if next.is_empty() {
                return Ok(std::mem::take(&mut *rounds).answers());
            }
            round = Batch::of(next);
        }
    }

    /// Follows up on a write: what is overdue is settled before the writer gets its answer. What fails here is
    /// still due, so the next pass does it.
    async fn after(&self, overdue: bool) {
        if overdue && let Err(error) = self.settle().await {
            tracing::warn!(%error, "overdue work stays for the next pass");
        }
        self.announce();
    }

    /// Looks at every task that is due until none is left.
    pub(crate) async fn settle(&self) -> Result<()> {
        loop {
            let due = self.store.due(PASS).await?;
            if due.ids.is_empty() {
                return Ok(());
            }
            let facts = self.store.facts(due.ids).await?;
            let mut changes = Vec::new();
            for facts in facts.iter().flatten() {
                changes.extend(rules::decide(&Action::Settle, facts, fastrand::f64())?);
            }
            if changes.is_empty() {
                return Ok(());
            }
            self.store.apply(changes).await?;
            self.announce();
        }
    }

    /// Reads, decides and applies until the fence holds.
    pub(crate) async fn act(&self, id: &str, action: Action) -> Result<Status> {
        let _call = self.calls.begin()?;
        loop {
            let facts = self.facts(id).await?;
            let Some(change) = rules::decide(&action, &facts, fastrand::f64())? else {
                return Ok(facts.status);
            };
            let status = change.status;
            let applied = self.store.apply(vec![change]).await?;
            if applied.held.first() == Some(&true) {
                self.after(applied.overdue).await;
                return if applied.overdue { Ok(self.facts(id).await?.status) } else { Ok(status) };
            }
        }
    }

    pub(crate) async fn facts(&self, id: &str) -> Result<Facts> {
        let facts = self.store.facts(vec![id.to_owned()]).await?.pop().flatten();
        facts.ok_or_else(|| Error::task_not_found(id))
    }

    pub(crate) async fn maintain(&self) -> Result<()> {
        self.look_after_all().await?;
        self.link(usize::MAX).await
    }

    async fn link(&self, portions: usize) -> Result<()> {
        for _ in 0..portions {
            if self.store.link(PORTION).await? < PORTION {
                break;
            }
        }
        Ok(())
    }

    /// What may look at many tasks.
    async fn look_after_all(&self) -> Result<()> {
        self.settle().await?;
        if let Some(span) = self.config.aging {
            self.store.age(span, PASS).await?;
        }
        self.sweep().await
    }

    async fn sweep(&self) -> Result<()> {
        let keep = &self.config.retention;
        if keep.tasks.is_some() || keep.events.is_some() {
            while self.store.sweep(keep.tasks, keep.events, PASS).await? == PASS {}
        }
        Ok(())
    }

    /// There may be new work in this process.
    pub(crate) fn announce(&self) {
        self.news.send_modify(|count| *count += 1);
        self.log.send_modify(|count| *count += 1);
    }

    /// News of work for at most `wait`.
    pub(crate) fn news(self: &Arc<Self>, wait: Duration) -> News {
        self.listen(&self.news, wait)
    }

    /// News of events for at most `wait`.
    pub(crate) fn news_of_events(self: &Arc<Self>, wait: Duration) -> News {
        self.listen(&self.log, wait)
    }

    fn listen(self: &Arc<Self>, to: &watch::Sender<u64>, wait: Duration) -> News {
        News((!wait.is_zero()).then(|| Listener {
            team: self.clone(),
            seen: to.subscribe(),
            deadline: monotonic() + wait.min(Duration::from_secs(86_400)),
            counted: false,
        }))
    }

    /// One poller a process, only while somebody waits: what other processes wrote, and what comes due.
    async fn poll(self: Arc<Self>) {
        let mut seen = self.store.changed().await.unwrap_or_default();
        let mut news = self.news.subscribe();
        while self.waiting.load(Ordering::SeqCst) > 0 {
            let next = match self.store.due(1).await {
                Ok(due) if due.ids.is_empty() => due.next.unwrap_or(TICK).min(TICK),
                Ok(_) => match self.settle().await {
                    Ok(()) => continue,
                    Err(_) => TICK,
                },
                Err(_) => TICK,
            };
            let (mut pause, most) = self.store.poll().unwrap_or((TICK, TICK));
            let mut left = next.max(Duration::from_millis(1));
            while !left.is_zero() && self.waiting.load(Ordering::SeqCst) > 0 {
                let step = left.min(pause.mul_f64(0.75 + fastrand::f64() / 2.0));
                tokio::select! {
                    () = sleep(step) => {}
                    _ = news.changed() => {
                        sleep(COURTESY).await;
                        news.mark_unchanged();
                        break;
                    }
                }
                left = left.saturating_sub(step);
                pause = (pause * 2).min(most);
                if let Ok(now) = self.store.changed().await
                    && now != seen
                {
                    seen = now;
                    self.announce();
                    break;
                }
            }
        }
        self.polling.store(false, Ordering::SeqCst);
        // Somebody may have begun to wait while this poller was ending.
        self.ensure_poller();
    }

    fn ensure_poller(self: &Arc<Self>) {
        if self.waiting.load(Ordering::SeqCst) > 0 && !self.polling.swap(true, Ordering::SeqCst) {
            let poll: BoxFuture<'static, ()> = Box::pin(self.clone().poll());
            tokio::spawn(poll);
        }
    }
}

fn coalesce<Q: Send + 'static, A: Send + 'static>(
    team: &Weak<Team>,
    limit: usize,
    weigh: fn(&Q) -> usize,
    run: impl Fn(Arc<Team>, Batch<Q>) -> BoxFuture<'static, Result<Vec<Result<A>>>> + Send + Sync + 'static,
) -> Arc<Coalescer<Q, A>> {
    let team = team.clone();
    Coalescer::new(limit, weigh, move |requests| match team.upgrade() {
        Some(team) => run(team, requests),
        None => Box::pin(async { Err(Error::closed()) }),
    })
}

/// The finishes of many callers, such that no round names a task twice.
#[derive(Default)]
struct Rounds {
    open: Vec<(usize, usize, Finish)>,
    asked: Vec<(usize, usize)>,
    answers: Vec<Vec<Option<Result<Finished>>>>,
}

impl Rounds {
    fn of(units: Vec<Vec<Finish>>) -> Self {
        let answers = units.iter().map(|unit| unit.iter().map(|_| None).collect()).collect();
        let placed = |(u, unit): (usize, Vec<Finish>)| {
            unit.into_iter().enumerate().map(move |(i, finish)| (u, i, finish))
        };
        Rounds { open: units.into_iter().enumerate().flat_map(placed).collect(), asked: vec![], answers }
    }

    fn next(&mut self) -> Vec<Finish> {
        let mut named: HashSet<&str> = HashSet::with_capacity(self.open.len());
        let first: Vec<bool> =
            self.open.iter().map(|(.., finish)| named.insert(&finish.lease.task_id)).collect();
        let mut round = Vec::with_capacity(self.open.len());
        for ((unit, index, finish), first) in std::mem::take(&mut self.open).into_iter().zip(first) {
            if first {
                self.asked.push((unit, index));
                round.push(finish);
            } else {
                self.open.push((unit, index, finish));
            }
        }
        round
    }

    fn answer(&mut self, each: Vec<Result<Finished>>) {
        for ((unit, index), answer) in std::mem::take(&mut self.asked).into_iter().zip(each) {
            self.answers[unit][index] = Some(answer);
        }
    }

    fn answers(self) -> Vec<Result<Vec<Result<Finished>>>> {
        let unanswered = || Err(Error::internal("a finish without an answer"));
        let unit = |unit: Vec<Option<Result<Finished>>>| {
            Ok(unit.into_iter().map(|answer| answer.unwrap_or_else(unanswered)).collect())
        };
        self.answers.into_iter().map(unit).collect()
    }
}

/// Settles and draws some edges at each tick; the rest of the maintenance, which may look at many tasks, at each
/// sixtieth.
async fn background(team: Weak<Team>) {
    for tick in 1u64.. {
        sleep(TICK.mul_f64(0.9 + fastrand::f64() / 5.0)).await;
        let Some(team) = team.upgrade() else { return };
        let settled = if tick % 60 == 0 { team.look_after_all().await } else { team.settle().await };
        let linked = team.link(PORTIONS).await;
        if let Err(error) = settled.and(linked) {
            tracing::warn!(%error, "maintenance failed; the next pass tries again");
        }
    }
}

/// Waits for news of work or of events. What came after it was made is never missed.
pub(crate) struct News(Option<Listener>);

/// Only who may wait has one: most callers do not, and it is not free.
struct Listener {
    team: Arc<Team>,
    seen: watch::Receiver<u64>,
    deadline: Instant,
    counted: bool,
}

impl News {
    /// Waits until it is worth looking again; false where the time is over.
    pub(crate) async fn come(&mut self) -> bool {
        let Some(Listener { team, seen, deadline, counted }) = &mut self.0 else { return false };
        let left = deadline.saturating_duration_since(monotonic());
        if left.is_zero() {
            return false;
        }
        if !std::mem::replace(counted, true) {
            team.waiting.fetch_add(1, Ordering::SeqCst);
        }
        team.ensure_poller();
        drop(tokio::time::timeout(left, seen.changed()).await);
        true
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if self.counted {
            self.team.waiting.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

/// Tasks on their way to a claimer. If it has gone, they go back.
pub(crate) struct Given {
    claimed: Vec<Claimed>,
    /// Work of the store was overdue and is done now, so another claim may get more.
    pub(crate) settled: bool,
    team: Weak<Team>,
}

impl Given {
    pub(crate) fn take(mut self) -> Vec<Claimed> {
        std::mem::take(&mut self.claimed)
    }
}

impl Drop for Given {
    fn drop(&mut self) {
        let claimed = std::mem::take(&mut self.claimed);
        let (Some(team), Ok(runtime)) = (self.team.upgrade(), tokio::runtime::Handle::try_current()) else {
            return;
        };
        if claimed.is_empty() {
            return;
        }
        runtime.spawn(async move {
            let release = |c: Claimed| Finish { lease: c.lease, outcome: Outcome::Release };
            if let Err(error) = team.finish.call(claimed.into_iter().map(release).collect()).await {
                tracing::warn!(%error, "a dropped claim returns when its lease ends");
            }
        });
    }
}

impl fmt::Debug for Team {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Team").field("config", &self.config).finish_non_exhaustive()
    }
}

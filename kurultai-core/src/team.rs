//! What the handles of one opened store share: the coalescers, the news of work, the maintenance.

use crate::{
    batch::{Coalescer, Turn},
    config::Config,
    error::{Error, Kind, Result},
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
        Arc, Weak,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{sync::watch, time::sleep};

/// How many due tasks one pass settles.
const PASS: usize = 500;
/// How often the background looks after the queue.
const TICK: Duration = Duration::from_secs(1);

pub(crate) struct Team {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) config: Config,
    pub(crate) enqueue: Arc<Coalescer<Vec<NewTask>, Vec<Enqueued>>>,
    pub(crate) claim: Arc<Coalescer<ClaimRequest, Given>>,
    pub(crate) extend: Arc<Coalescer<Extend, Extended>>,
    pub(crate) finish: Arc<Coalescer<Vec<Finish>, Vec<Result<Finished>>>>,
    /// Counts the moments at which there may be new work.
    news: watch::Sender<u64>,
    waiting: AtomicUsize,
    polling: AtomicBool,
}

impl Team {
    pub(crate) fn new(store: Arc<dyn Store>, config: Config) -> Arc<Self> {
        let batch = (store.batch_limit(), store.takes_turns().then(Turn::default));
        let team = Arc::new_cyclic(|weak: &Weak<Team>| Team {
            enqueue: coalesce(weak, &batch, |team, units| {
                Box::pin(async move { team.run_enqueue(units).await })
            }),
            claim: coalesce(weak, &batch, |team, requests| {
                Box::pin(async move { team.run_claim(requests).await })
            }),
            extend: coalesce(weak, &batch, |team, requests| {
                Box::pin(async move { team.run_extend(requests).await })
            }),
            finish: coalesce(weak, &batch, |team, units| {
                Box::pin(async move { team.run_finish(units).await })
            }),
            news: watch::Sender::new(0),
            waiting: AtomicUsize::new(0),
            polling: AtomicBool::new(false),
            store,
            config,
        });
        if team.config.background {
            tokio::spawn(background(Arc::downgrade(&team)));
        }
        team
    }

    async fn run_enqueue(&self, units: Vec<Vec<NewTask>>) -> Result<Vec<Result<Vec<Enqueued>>>> {
        let Answers { each, overdue } = self.store.enqueue(units).await?;
        self.after(overdue).await;
        Ok(each)
    }

    async fn run_claim(self: Arc<Self>, requests: Vec<ClaimRequest>) -> Result<Vec<Result<Given>>> {
        let Answers { mut each, overdue } = self.store.claim(requests.clone()).await?;
        if overdue {
            self.after(true).await;
            let empty = |answer: &Result<Vec<Claimed>>| matches!(answer, Ok(claimed) if claimed.is_empty());
            let hungry: Vec<usize> = (0..each.len()).filter(|i| empty(&each[*i])).collect();
            if !hungry.is_empty() {
                let again = self.store.claim(hungry.iter().map(|i| requests[*i].clone()).collect()).await?;
                for (index, answer) in hungry.into_iter().zip(again.each) {
                    each[index] = answer;
                }
            }
        }
        let given = |claimed| Given { claimed, team: Arc::downgrade(&self) };
        Ok(each.into_iter().map(|answer| answer.map(given)).collect())
    }

    async fn run_extend(&self, requests: Vec<Extend>) -> Result<Vec<Result<Extended>>> {
        Ok(self.store.extend(requests).await?.each)
    }

    /// A batch in which a task is named twice goes to the store in rounds.
    async fn run_finish(&self, units: Vec<Vec<Finish>>) -> Result<Vec<Result<Vec<Result<Finished>>>>> {
        let mut answers: Vec<Vec<Option<Result<Finished>>>> =
            units.iter().map(|unit| unit.iter().map(|_| None).collect()).collect();
        let mut open: Vec<(usize, usize, Finish)> = units
            .into_iter()
            .enumerate()
            .flat_map(|(u, unit)| unit.into_iter().enumerate().map(move |(i, finish)| (u, i, finish)))
            .collect();
        while !open.is_empty() {
            let mut named = HashSet::new();
            let (round, later): (Vec<_>, Vec<_>) =
                open.into_iter().partition(|(_, _, finish)| named.insert(finish.lease.task_id.clone()));
            open = later;
            let places: Vec<(usize, usize)> = round.iter().map(|(u, i, _)| (*u, *i)).collect();
            let finishes = round.into_iter().map(|(_, _, finish)| finish).collect();
            let Answers { each, overdue } = self.store.finish(finishes).await?;
            self.after(overdue).await;
            for ((unit, index), answer) in places.into_iter().zip(each) {
                answers[unit][index] = Some(answer);
            }
        }
        let unanswered = || Err(Error::internal("a finish without an answer"));
        Ok(answers
            .into_iter()
            .map(|unit| Ok(unit.into_iter().map(|a| a.unwrap_or_else(unanswered)).collect()))
            .collect())
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
            self.store.apply(changes).await?;
            self.announce();
        }
    }

    /// Reads, decides and applies until the fence holds.
    pub(crate) async fn act(&self, id: &str, action: Action) -> Result<Status> {
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
    }

    pub(crate) fn news(self: &Arc<Self>) -> News {
        News { team: self.clone(), seen: self.news.subscribe(), counted: false }
    }

    /// One poller a process, only while somebody waits: what other processes wrote, and what comes due.
    async fn poll(self: Arc<Self>) {
        let mut seen = self.store.changed().await.unwrap_or_default();
        let mut news = self.news.subscribe();
        while self.waiting.load(Ordering::SeqCst) > 0 {
            let next = match self.store.due(1).await {
                Ok(due) if due.ids.is_empty() => due.next.unwrap_or(TICK).min(TICK),
                Ok(_) => {
                    self.after(true).await;
                    continue;
                }
                Err(_) => TICK,
            };
            let (mut pause, most) = self.store.poll().unwrap_or((TICK, TICK));
            let mut left = next.max(Duration::from_millis(1));
            while !left.is_zero() && self.waiting.load(Ordering::SeqCst) > 0 {
                let step = left.min(pause.mul_f64(0.75 + fastrand::f64() / 2.0));
                tokio::select! {
                    () = sleep(step) => {}
                    _ = news.changed() => break,
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
    (limit, turn): &(usize, Option<Turn>),
    run: impl Fn(Arc<Team>, Vec<Q>) -> BoxFuture<'static, Result<Vec<Result<A>>>> + Send + Sync + 'static,
) -> Arc<Coalescer<Q, A>> {
    let team = team.clone();
    Coalescer::new(*limit, turn.clone(), move |requests| match team.upgrade() {
        Some(team) => run(team, requests),
        None => Box::pin(async { Err(Error::new(Kind::Conflict, "store.closed", "this store was closed")) }),
    })
}

/// Settles at each tick; the rest of the maintenance, which may look at many tasks, at each sixtieth.
async fn background(team: Weak<Team>) {
    for tick in 1u64.. {
        sleep(TICK.mul_f64(0.9 + fastrand::f64() / 5.0)).await;
        let Some(team) = team.upgrade() else { return };
        let done = if tick % 60 == 0 { team.maintain().await } else { team.settle().await };
        if let Err(error) = done {
            tracing::warn!(%error, "maintenance failed; the next pass tries again");
        }
    }
}

/// Waits for news of work. What came after it was made is never missed.
pub(crate) struct News {
    team: Arc<Team>,
    seen: watch::Receiver<u64>,
    counted: bool,
}

impl News {
    pub(crate) async fn wait(&mut self, most: Duration) {
        if !std::mem::replace(&mut self.counted, true) {
            self.team.waiting.fetch_add(1, Ordering::SeqCst);
        }
        self.team.ensure_poller();
        drop(tokio::time::timeout(most, self.seen.changed()).await);
    }
}

impl Drop for News {
    fn drop(&mut self) {
        if self.counted {
            self.team.waiting.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

/// Tasks on their way to a claimer. If it has gone, they go back.
pub(crate) struct Given {
    claimed: Vec<Claimed>,
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

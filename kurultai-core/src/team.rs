//! What the handles of one opened store share: the coalescers, the settling, the maintenance.

use crate::{
    batch::{Batch, Coalescer},
    calls::Calls,
    clock::monotonic,
    config::Config,
    error::{Error, Result},
    events::LogReader,
    news::{self, News, PORTION},
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
    sync::{Arc, Mutex, PoisonError, Weak},
    time::{Duration, Instant},
};

/// How many due tasks one step settles: a claim waits for no more than that.
const STEP: usize = 200;
/// How many tasks or events one statement of the maintenance looks at.
const PASS: usize = 500;
/// What goes wrong again and again is said once in that time.
const COMPLAINTS: Duration = Duration::from_secs(1);

pub(crate) struct Team {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) config: Config,
    /// What changes something; `close` waits for it.
    pub(crate) calls: Calls,
    pub(crate) enqueue: Arc<Coalescer<Vec<NewTask>, Vec<Enqueued>>>,
    pub(crate) claim: Arc<Coalescer<ClaimRequest, Given>>,
    pub(crate) extend: Arc<Coalescer<Extend, Extended>>,
    pub(crate) finish: Arc<Coalescer<Vec<Finish>, Vec<Result<Finished>>>>,
    pub(crate) news: Arc<News>,
    pub(crate) reader: Arc<LogReader>,
    complained: Mutex<Option<Instant>>,
}

/// What one step of settling did.
pub(crate) struct Settled {
    /// It changed something, so another step may find more.
    pub(crate) progressed: bool,
    /// There was something that follows from a change that is done, and not only from the time.
    marked: bool,
}

impl Team {
    pub(crate) fn new(store: Arc<dyn Store>, config: Config) -> Arc<Self> {
        let limit = store.batch_limit();
        let team = Arc::new_cyclic(|weak: &Weak<Team>| Team {
            enqueue: coalesce(weak, limit, Vec::len, |team, units| Box::pin(team.run_enqueue(units))),
            claim: coalesce(weak, limit, |_| 1, |team, requests| Box::pin(team.run_claim(requests))),
            extend: coalesce(weak, limit, |_| 1, |team, requests| Box::pin(team.run_extend(requests))),
            finish: coalesce(weak, limit, Vec::len, |team, units| Box::pin(team.run_finish(units))),
            news: News::new(),
            reader: Arc::default(),
            complained: Mutex::default(),
            store,
            config,
            calls: Calls::default(),
        });
        news::watch(&team, &team.config);
        team
    }

    async fn run_enqueue(self: Arc<Self>, units: Batch<Vec<NewTask>>) -> Result<Vec<Result<Vec<Enqueued>>>> {
        let Answers { each, overdue } = self.store.enqueue(units).await?;
        self.after(overdue).await;
        Ok(each)
    }

    async fn run_claim(self: Arc<Self>, requests: Batch<ClaimRequest>) -> Result<Vec<Result<Given>>> {
        let Answers { each, overdue } = self.store.claim(requests).await?;
        let given = |answer: &Result<Vec<Claimed>>| answer.as_ref().is_ok_and(|claimed| !claimed.is_empty());
        if each.iter().any(given) {
            self.read_on();
        }
        // Whoever got something waits for none of it.
        let settled = overdue && !each.iter().all(given) && self.settle_what_follows().await;
        if overdue {
            self.news.look_soon();
        }
        let given = |claimed| Given { claimed, settled, team: Arc::downgrade(&self) };
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

    /// Follows up on a write: what follows from it is settled before the writer gets its answer. What fails here is
    /// still due, so the next pass does it.
    async fn after(&self, overdue: bool) {
        if overdue {
            self.settle_what_follows().await;
            self.news.look_soon();
        }
        self.announce();
    }

    /// Settles what follows from changes that are done, and of what has come due by time one step; the rest is for the
    /// background, since a backlog may take minutes. Returns whether anything was settled.
    async fn settle_what_follows(&self) -> bool {
        let mut progressed = false;
        loop {
            match self.settle_some().await {
                Ok(settled) => {
                    progressed |= settled.progressed;
                    if !settled.progressed || !settled.marked {
                        break;
                    }
                }
                Err(error) => {
                    self.complain(&error, "overdue work stays for the next pass");
                    break;
                }
            }
        }
        progressed
    }

    /// Looks at every task that is due until none is left.
    pub(crate) async fn settle(&self) -> Result<()> {
        while self.settle_some().await?.progressed {}
        Ok(())
    }

    /// Looks at the first tasks that are due.
    pub(crate) async fn settle_some(&self) -> Result<Settled> {
        let due = self.store.due(STEP).await?;
        let nothing = Settled { progressed: false, marked: due.marked };
        if due.ids.is_empty() {
            return Ok(nothing);
        }
        let facts = self.store.facts(due.ids).await?;
        let mut changes = Vec::new();
        for facts in facts.iter().flatten() {
            changes.extend(rules::decide(&Action::Settle, facts, fastrand::f64())?);
        }
        if changes.is_empty() {
            return Ok(nothing);
        }
        self.store.apply(changes).await?;
        self.announce();
        Ok(Settled { progressed: true, ..nothing })
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
        self.settle().await?;
        self.keep().await?;
        self.link(usize::MAX).await
    }

    pub(crate) async fn link(&self, portions: usize) -> Result<()> {
        for _ in 0..portions {
            if self.store.link(PORTION).await? < PORTION {
                break;
            }
        }
        Ok(())
    }

    /// Aging and retention, which may look at many tasks.
    pub(crate) async fn keep(&self) -> Result<()> {
        if let Some(span) = self.config.aging {
            self.store.age(span, PASS).await?;
        }
        let keep = &self.config.retention;
        if keep.tasks.is_some() || keep.events.is_some() {
            while self.store.sweep(keep.tasks, keep.events, PASS).await? == PASS {}
        }
        Ok(())
    }

    /// There may be new work in this process, and there are new events.
    pub(crate) fn announce(&self) {
        self.news.announce();
        self.read_on();
    }

    /// There are events that somebody may wait for.
    pub(crate) fn read_on(&self) {
        if self.reader.is_wanted() {
            self.news.ring();
        }
    }

    pub(crate) fn close(&self) {
        self.news.close();
        self.reader.close();
    }

    /// Warns, at most once a second.
    pub(crate) fn complain(&self, error: &Error, of: &str) {
        let mut last = self.complained.lock().unwrap_or_else(PoisonError::into_inner);
        if last.is_none_or(|last| last.elapsed() >= COMPLAINTS) {
            *last = Some(monotonic());
            tracing::warn!(%error, "{of}");
        }
    }
}

/// The loop that watches for it ends.
impl Drop for Team {
    fn drop(&mut self) {
        self.news.close();
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

//! Concurrent single calls become one batch: group commit on SQLite, UNWIND on Neo4j.
//!
//! There is no timer. A batch is open to further calls until the store takes it, so a lone caller waits for nobody,
//! and a gathering gathers by itself while the store is busy with the batch before. The store closes it: were it handed
//! closed batches, it would wait for their author between two transactions (a thread's wake-up of 50 us; 16 callers on
//! SQLite have 0.42 of the yardstick that way and 0.78 this way).

use crate::error::{Error, Result};
use futures::future::BoxFuture;
use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};
use tokio::sync::{Notify, oneshot};

/// Requests that the store takes when it is ready for them.
pub struct Batch<Q> {
    close: Box<dyn FnOnce() -> Vec<Q> + Send>,
    gathering: Arc<Gathering>,
}

impl<Q: Send + 'static> Batch<Q> {
    /// Requests that gather no further ones.
    pub fn of(requests: Vec<Q>) -> Self {
        let gathering = Arc::new(Gathering::default());
        gathering.grows_to(requests.len());
        Batch { close: Box::new(|| requests), gathering }
    }

    /// How many calls it has gathered so far.
    pub fn gathered(&self) -> usize {
        self.gathering.calls.load(SeqCst)
    }

    /// Waits for so many calls, without a limit of time.
    pub fn gather(&self, calls: usize) -> impl Future<Output = ()> + Send + use<Q> {
        let gathering = self.gathering.clone();
        async move {
            gathering.wanted.store(calls, SeqCst);
            if gathering.calls.load(SeqCst) < calls {
                gathering.enough.notified().await;
            }
        }
    }

    /// Takes the requests; calls that come later go into the next batch.
    pub fn close(self) -> Vec<Q> {
        (self.close)()
    }

    pub(crate) fn map<R>(self, change: impl FnOnce(Vec<Q>) -> Vec<R> + Send + 'static) -> Batch<R> {
        let close = self.close;
        Batch { close: Box::new(|| change(close())), gathering: self.gathering }
    }
}

impl<Q> fmt::Debug for Batch<Q> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Batch")
    }
}

/// The calls of a batch in numbers.
#[derive(Default)]
struct Gathering {
    calls: AtomicUsize,
    wanted: AtomicUsize,
    enough: Notify,
}

impl Gathering {
    fn grows_to(&self, calls: usize) {
        self.calls.store(calls, SeqCst);
        if calls == self.wanted.load(SeqCst) {
            self.enough.notify_one();
        }
    }
}

type Run<Q, A> = Box<dyn Fn(Batch<Q>) -> BoxFuture<'static, Result<Vec<Result<A>>>> + Send + Sync>;
type Reply<A> = oneshot::Sender<Result<A>>;

/// Gathers calls of one kind. Knows neither rooms nor stores.
pub(crate) struct Coalescer<Q, A> {
    run: Run<Q, A>,
    limit: usize,
    weigh: fn(&Q) -> usize,
    open: Mutex<Option<Arc<Open<Q, A>>>>,
}

/// A batch on its way: first it gathers requests, then it waits for their answers.
struct Open<Q, A> {
    gathered: Mutex<Gathered<Q, A>>,
    gathering: Arc<Gathering>,
}

struct Gathered<Q, A> {
    weight: usize,
    requests: Vec<Q>,
    replies: Vec<Reply<A>>,
    closed: bool,
}

impl<Q: Send + 'static, A: Send + 'static> Coalescer<Q, A> {
    /// `run` answers each request in order. A batch takes requests until they weigh `limit`, so that no large one makes
    /// many others wait.
    pub(crate) fn new(
        limit: usize,
        weigh: fn(&Q) -> usize,
        run: impl Fn(Batch<Q>) -> BoxFuture<'static, Result<Vec<Result<A>>>> + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Coalescer { run: Box::new(run), limit, weigh, open: Mutex::default() })
    }

    /// Joins the open batch or opens one. A caller that stops waiting leaves its request running; the answer is
    /// dropped.
    pub(crate) async fn call(&self, request: Q) -> Result<A> {
        let (reply, answer) = oneshot::channel();
        if let Some(opened) = self.join(request, reply) {
            let closing = opened.clone();
            let batch =
                Batch { close: Box::new(move || closing.close()), gathering: opened.gathering.clone() };
            tokio::spawn(answer_all(Ending(opened), (self.run)(batch)));
        }
        answer.await.unwrap_or_else(|_| Err(Error::internal("the batch of this call broke off; see the log")))
    }

    /// Returns the batch, if this is its first request.
    fn join(&self, request: Q, reply: Reply<A>) -> Option<Arc<Open<Q, A>>> {
        let weight = (self.weigh)(&request);
        let mut open = lock(&self.open);
        if let Some(open) = &*open {
            let mut gathered = lock(&open.gathered);
            if !gathered.closed && gathered.weight + weight <= self.limit {
                gathered.weight += weight;
                gathered.requests.push(request);
                gathered.replies.push(reply);
                open.gathering.grows_to(gathered.requests.len());
                return None;
            }
        }
        let gathered = Gathered { weight, requests: vec![request], replies: vec![reply], closed: false };
        let opened = Arc::new(Open { gathered: Mutex::new(gathered), gathering: Arc::default() });
        opened.gathering.grows_to(1);
        *open = Some(opened.clone());
        Some(opened)
    }
}

impl<Q, A> Open<Q, A> {
    fn close(&self) -> Vec<Q> {
        let mut gathered = lock(&self.gathered);
        gathered.closed = true;
        std::mem::take(&mut gathered.requests)
    }
}

/// However a batch ends, also by a panic or with its runtime, nobody may join it any more or wait for it.
struct Ending<Q, A>(Arc<Open<Q, A>>);

impl<Q, A> Ending<Q, A> {
    fn replies(&self) -> Vec<Reply<A>> {
        drop(self.0.close());
        std::mem::take(&mut lock(&self.0.gathered).replies)
    }
}

impl<Q, A> Drop for Ending<Q, A> {
    fn drop(&mut self) {
        drop(self.replies());
    }
}

async fn answer_all<Q, A>(ending: Ending<Q, A>, run: BoxFuture<'static, Result<Vec<Result<A>>>>) {
    let answers = run.await;
    let replies = ending.replies();
    match answers {
        Ok(answers) => {
            for (reply, answer) in replies.into_iter().zip(answers) {
                drop(reply.send(answer));
            }
        }
        Err(error) => {
            for reply in replies {
                drop(reply.send(Err(error.share())));
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<Q, A> fmt::Debug for Coalescer<Q, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Coalescer").field("limit", &self.limit).finish_non_exhaustive()
    }
}

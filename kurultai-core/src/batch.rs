//! Concurrent single calls become one batch: group commit on SQLite, UNWIND on Neo4j.
//!
//! There is no timer: a lone caller waits for nobody, and while one batch is under way the next gathers.

use crate::error::{Error, Result};
use futures::future::BoxFuture;
use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::sync::oneshot;

type Run<Q, A> = Box<dyn Fn(Vec<Q>) -> BoxFuture<'static, Result<Vec<Result<A>>>> + Send + Sync>;

/// Gathers calls of one kind. Knows neither rooms nor stores.
pub(crate) struct Coalescer<Q, A> {
    run: Run<Q, A>,
    limit: usize,
    turn: Option<Turn>,
    queue: Mutex<Queue<Q, A>>,
}

/// Whoever holds it sends the next batch. Where batches of all kinds go to one writer far away, a batch is closed
/// only when its turn has come, so that it is as large as can be.
pub(crate) type Turn = Arc<tokio::sync::Mutex<()>>;

/// How often a driver lets others run before it closes its batch: those whom the last batch answered join this one.
const ROOM_TO_JOIN: usize = 4;

struct Queue<Q, A> {
    waiting: VecDeque<(Q, oneshot::Sender<Result<A>>)>,
    driven: bool,
}

impl<Q: Send + 'static, A: Send + 'static> Coalescer<Q, A> {
    /// `run` answers each request in order; at most `limit` go into one batch.
    pub(crate) fn new(
        limit: usize,
        turn: Option<Turn>,
        run: impl Fn(Vec<Q>) -> BoxFuture<'static, Result<Vec<Result<A>>>> + Send + Sync + 'static,
    ) -> Arc<Self> {
        let queue = Mutex::new(Queue { waiting: VecDeque::new(), driven: false });
        Arc::new(Coalescer { run: Box::new(run), limit, turn, queue })
    }

    /// Joins the next batch. A caller that stops waiting leaves its request running; the answer is dropped.
    pub(crate) async fn call(self: &Arc<Self>, request: Q) -> Result<A> {
        let (reply, answer) = oneshot::channel();
        let drive = {
            let mut queue = self.lock();
            queue.waiting.push_back((request, reply));
            !std::mem::replace(&mut queue.driven, true)
        };
        if drive {
            tokio::spawn(Driver { coalescer: self.clone(), ended: false }.run());
        }
        answer.await.unwrap_or_else(|_| Err(Error::internal("the batch of this call broke off; see the log")))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Queue<Q, A>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Driver<Q: Send + 'static, A: Send + 'static> {
    coalescer: Arc<Coalescer<Q, A>>,
    ended: bool,
}

impl<Q: Send + 'static, A: Send + 'static> Driver<Q, A> {
    async fn run(mut self) {
        let coalescer = self.coalescer.clone();
        loop {
            let _turn = match &coalescer.turn {
                Some(turn) => {
                    let turn = turn.lock().await;
                    for _ in 0..ROOM_TO_JOIN {
                        tokio::task::yield_now().await;
                    }
                    Some(turn)
                }
                None => None,
            };
            let (requests, replies): (Vec<_>, Vec<_>) = {
                let mut queue = self.coalescer.lock();
                let count = queue.waiting.len().min(self.coalescer.limit);
                if count == 0 {
                    queue.driven = false;
                    self.ended = true;
                    return;
                }
                queue.waiting.drain(..count).unzip()
            };
            match (self.coalescer.run)(requests).await {
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
    }
}

/// A batch that panicked must not leave the next one waiting. A driver that is dropped otherwise goes with its
/// runtime, and so do those who wait.
impl<Q: Send + 'static, A: Send + 'static> Drop for Driver<Q, A> {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) if std::thread::panicking() => {
                drop(runtime.spawn(Driver { coalescer: self.coalescer.clone(), ended: false }.run()));
            }
            _ => self.coalescer.lock().driven = false,
        }
    }
}

impl<Q, A> fmt::Debug for Coalescer<Q, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Coalescer").field("limit", &self.limit).finish_non_exhaustive()
    }
}

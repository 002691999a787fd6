//! The calls of a binding that were woken and are not polled yet. A batch wakes many at once, so one task polls them
//! all: a thread is woken once for a crowd and not once for each of its calls.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::{runtime::Handle, task::yield_now};

/// A call that goes on in a runtime.
pub trait Resume: Send + Sync + 'static {
    /// Polls it, and hands its answer over where there is one. Must not panic.
    fn resume(self: Arc<Self>);
}

/// For a `static`.
pub struct ReadyQueue<C>(Mutex<Queue<C>>);

struct Queue<C> {
    calls: Vec<Arc<C>>,
    /// Whether the task is there that polls them.
    polled: bool,
}

impl<C: Resume> ReadyQueue<C> {
    pub const fn new() -> Self {
        ReadyQueue(Mutex::new(Queue { calls: Vec::new(), polled: false }))
    }

    pub fn push(&'static self, call: Arc<C>, runtime: &Handle) {
        let mut queue = self.queue();
        queue.calls.push(call);
        let polled = std::mem::replace(&mut queue.polled, true);
        drop(queue);
        if !polled {
            runtime.spawn(self.poll_all());
        }
    }

    async fn poll_all(&self) {
        while let Some(calls) = self.take() {
            calls.into_iter().for_each(Resume::resume);
            // Otherwise tokio, which gives each task a budget, would answer none of those that come now.
            yield_now().await;
        }
    }

    fn take(&self) -> Option<Vec<Arc<C>>> {
        let mut queue = self.queue();
        queue.polled = !queue.calls.is_empty();
        queue.polled.then(|| std::mem::take(&mut queue.calls))
    }

    fn queue(&self) -> MutexGuard<'_, Queue<C>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<C: Resume> Default for ReadyQueue<C> {
    fn default() -> Self {
        Self::new()
    }
}

impl<C> fmt::Debug for ReadyQueue<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ReadyQueue")
    }
}

//! The calls that were woken and are not polled yet. A batch wakes many at once, so one task polls them all: a thread is
//! woken once for a crowd and not once for each of its calls.

use crate::{lock, runtime::begun};
use std::sync::{Arc, Mutex};
use tokio::task::yield_now;

/// A call that goes on in the runtime.
pub(crate) trait Resume: Send + Sync {
    /// Polls it, and hands its outcome over where there is one. Must not panic.
    fn resume(self: Arc<Self>);
}

static QUEUE: Mutex<Queue> = Mutex::new(Queue { calls: Vec::new(), polled: false });

struct Queue {
    calls: Vec<Arc<dyn Resume>>,
    /// Whether the task is there that polls them.
    polled: bool,
}

pub(crate) fn push(call: Arc<dyn Resume>) {
    let mut queue = lock(&QUEUE);
    queue.calls.push(call);
    let polled = std::mem::replace(&mut queue.polled, true);
    drop(queue);
    if !polled {
        begun().spawn(poll_all());
    }
}

async fn poll_all() {
    while let Some(calls) = take() {
        calls.into_iter().for_each(Resume::resume);
        // Otherwise tokio, which gives each task a budget, would answer none of those that come now.
        yield_now().await;
    }
}

fn take() -> Option<Vec<Arc<dyn Resume>>> {
    let mut queue = lock(&QUEUE);
    queue.polled = !queue.calls.is_empty();
    queue.polled.then(|| std::mem::take(&mut queue.calls))
}

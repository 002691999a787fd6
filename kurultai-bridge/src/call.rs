use crate::{
    lock,
    ready_queue::{self, Resume},
    runtime::begun,
};
use kurultai_core::{Error, Result};
use std::{
    fmt,
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

/// What a call does.
pub type Work<T> = Pin<Box<dyn Future<Output = Result<T>> + Send>>;

/// Who hears of the end of a call.
pub trait Sink<T>: Send + Sync + Sized + 'static {
    /// The call has an outcome for [`Call::take`], unless it was cancelled meanwhile. Comes once, in a thread of the
    /// runtime, for a call that was not ready at once. Must not panic.
    fn ended(call: Arc<Call<T, Self>>);
}

/// A call that was not ready at once: its own waker. The runtime hears of it only when it is woken, which saves a
/// thread switch for each call of a crowd. Dropped, it is cancelled.
pub struct Call<T, S> {
    sink: S,
    progress: Mutex<Progress<T>>,
    woken: AtomicBool,
}

enum Progress<T> {
    Going(Work<T>),
    Ended(Result<T>),
    /// Its outcome is taken, or nobody wants it any more.
    Over,
}

/// What the first poll of a call brings.
#[derive(Debug)]
pub enum Started<T, S> {
    /// The outcome; the sink hears of nothing.
    Ended(Result<T>),
    /// It goes on in the runtime.
    Going(Arc<Call<T, S>>),
}

impl<T: Send + 'static, S: Sink<T>> Call<T, S> {
    /// Polls a call once, here.
    pub fn start(work: Work<T>, sink: S) -> Started<T, S> {
        let _inside = begun().enter();
        let progress = Mutex::new(Progress::Going(work));
        let call = Arc::new(Call { sink, progress, woken: AtomicBool::new(false) });
        let outcome = call.poll().and_then(|mut ended| ended.take());
        // Where there is none, another thread may have ended it by now, which the sink hears of.
        outcome.map_or(Started::Going(call), Started::Ended)
    }

    /// The outcome, where that brought it.
    fn poll(self: &Arc<Self>) -> Option<MutexGuard<'_, Progress<T>>> {
        // Before the poll: whoever wakes it from here on wants another one.
        self.woken.store(false, Ordering::Release);
        let mut progress = lock(&self.progress);
        let Progress::Going(work) = &mut *progress else { return None };
        let waker = Waker::from(self.clone());
        let Poll::Ready(outcome) = poll(work, &mut Context::from_waker(&waker)) else { return None };
        *progress = Progress::Ended(outcome);
        Some(progress)
    }
}

impl<T, S> Call<T, S> {
    /// Who hears of its end.
    pub fn sink(&self) -> &S {
        &self.sink
    }

    /// Whether it has ended or was cancelled; the sink may not have heard of it yet.
    pub fn is_over(&self) -> bool {
        !matches!(*lock(&self.progress), Progress::Going(_))
    }

    /// The outcome, once, where there is one.
    pub fn take(&self) -> Option<Result<T>> {
        lock(&self.progress).take()
    }

    /// Drops the call, or its outcome where nobody has taken it: inside the runtime, as what goes back needs it.
    pub fn cancel(&self) {
        let progress = std::mem::replace(&mut *lock(&self.progress), Progress::Over);
        progress.give_back();
    }
}

impl<T> Progress<T> {
    fn take(&mut self) -> Option<Result<T>> {
        match std::mem::replace(self, Progress::Over) {
            Progress::Ended(outcome) => Some(outcome),
            other => {
                *self = other;
                None
            }
        }
    }

    fn give_back(self) {
        if !matches!(self, Progress::Over) {
            let _inside = begun().enter();
            drop(self);
        }
    }
}

impl<T, S> Drop for Call<T, S> {
    fn drop(&mut self) {
        let progress = self.progress.get_mut().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(progress, Progress::Over).give_back();
    }
}

impl<T: Send + 'static, S: Sink<T>> Resume for Call<T, S> {
    fn resume(self: Arc<Self>) {
        if self.poll().is_some() {
            S::ended(self);
        }
    }
}

impl<T: Send + 'static, S: Sink<T>> Wake for Call<T, S> {
    fn wake(self: Arc<Self>) {
        if !self.woken.swap(true, Ordering::AcqRel) {
            ready_queue::push(self);
        }
    }
}

impl<T, S> fmt::Debug for Call<T, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call").field("over", &self.is_over()).finish_non_exhaustive()
    }
}

/// A poll whose panic ends the call as a defect, instead of leaving it waiting for ever.
pub fn poll<T>(work: &mut Work<T>, context: &mut Context<'_>) -> Poll<Result<T>> {
    let polled = catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(context)));
    polled.unwrap_or_else(|panic| Poll::Ready(Err(Error::defect(&*panic))))
}

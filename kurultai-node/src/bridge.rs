//! How an awaited call crosses: it is polled once where it was made, so that a call that is ready costs no thread
//! switch; what is not ready goes on in our runtime when it is woken. Answers gather in a queue, and only its first
//! wakes JavaScript.

use crate::failure::Failure;
use futures::FutureExt;
use kurultai_core::{
    Error, Result,
    ready_queue::{ReadyQueue, Resume},
};
use napi::{
    Env, Status,
    bindgen_prelude::{Either, FnArgs, Function},
    threadsafe_function::{ThreadsafeFunction, ThreadsafeFunctionCallMode},
};
use napi_derive::napi;
use std::{
    fmt,
    panic::AssertUnwindSafe,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};
use tokio::runtime::Runtime;

/// What a call gets: JSON text, or why not.
pub(crate) type Outcome = Either<String, Failure>;
/// The outcome where it is there at once; otherwise it comes through `settle`.
pub(crate) type Now = Option<Outcome>;
type Settled = FnArgs<(Vec<u32>, Vec<Outcome>)>;
type Settle = ThreadsafeFunction<(), (), Settled, Status, false, true>;

/// One runtime for the process, whatever number of environments (worker_threads) use it. It is never dropped:
/// a process that exits during work just ends.
pub(crate) fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        let threads = std::thread::available_parallelism().map_or(2, |n| n.get().min(4));
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        let built = builder.worker_threads(threads).thread_name("kurultai").enable_all().build();
        built.expect("no thread for kurultai's runtime")
    })
}

/// JSON text for JavaScript, and what to do when nobody is there to receive it.
pub(crate) struct Answer {
    text: String,
    undo: Option<Box<dyn FnOnce() + Send>>,
}

impl Answer {
    pub(crate) fn new(text: String) -> Self {
        Answer { text, undo: None }
    }

    /// Runs `undo` unless the answer is delivered.
    pub(crate) fn or_undo(mut self, undo: impl FnOnce() + Send + 'static) -> Self {
        self.undo = Some(Box::new(undo));
        self
    }

    fn deliver(mut self) -> String {
        self.undo = None;
        std::mem::take(&mut self.text)
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        if let Some(undo) = self.undo.take() {
            undo();
        }
    }
}

/// No string of V8 is longer; to make one anyway ends the process.
const LONGEST: usize = (1 << 29) - 24;

fn deliver(done: Result<Answer>) -> Outcome {
    match done {
        Ok(answer) if answer.text.len() > LONGEST => {
            let message = format!(
                "the answer has {} bytes, and a string of Node at most {LONGEST}; ask for fewer at once",
                answer.text.len()
            );
            Either::B((&Error::new(kurultai_core::Kind::Input, "input.invalid", message)).into())
        }
        Ok(answer) => Either::A(answer.deliver()),
        Err(error) => Either::B((&error).into()),
    }
}

/// The calls of one environment that are not answered yet.
#[derive(Default)]
struct Open {
    closed: bool,
    /// By their numbers, which are used again.
    running: Vec<Option<Arc<Running>>>,
    done: Vec<(u32, Result<Answer>)>,
}

impl Open {
    fn add(&mut self, running: Arc<Running>) {
        let place = running.call as usize;
        if self.running.len() <= place {
            self.running.resize_with(place + 1, || None);
        }
        self.running[place] = Some(running);
    }

    /// `None` where it is over or cancelled.
    fn remove(&mut self, call: u32) -> Option<Arc<Running>> {
        self.running.get_mut(call as usize)?.take()
    }

    /// The call itself, and not the next one of its number. False where it is cancelled.
    fn finish(&mut self, running: &Arc<Running>) -> bool {
        let place = self.running.get_mut(running.call as usize);
        place.and_then(|place| place.take_if(|there| Arc::ptr_eq(there, running))).is_some()
    }
}

pub(crate) struct Calls {
    open: Arc<Mutex<Open>>,
    settle: Mutex<Settle>,
}

impl fmt::Debug for Calls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let running = locked(&self.open).running.iter().flatten().count();
        f.debug_struct("Calls").field("running", &running).finish_non_exhaustive()
    }
}

/// Nothing here is left half done by a panic, so a poisoned lock is as good as any.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

type Work = Pin<Box<dyn Future<Output = Result<Answer>> + Send>>;

/// A call that was not ready at once: its own waker. The runtime hears of it only when it is woken, which saves a
/// thread switch for each call of a crowd.
struct Running {
    call: u32,
    calls: Arc<Calls>,
    /// Taken out when it has ended or is cancelled.
    work: Mutex<Option<Work>>,
    scheduled: AtomicBool,
}

static READY: ReadyQueue<Running> = ReadyQueue::new();

impl Wake for Running {
    fn wake(self: Arc<Self>) {
        if !self.scheduled.swap(true, Ordering::AcqRel) {
            READY.push(self, runtime().handle());
        }
    }
}

impl Resume for Running {
    fn resume(self: Arc<Self>) {
        // Before the poll: whoever wakes from here on wants another one.
        self.scheduled.store(false, Ordering::Release);
        if let Some(done) = self.poll() {
            self.calls.end(&self, done);
        }
    }
}

impl Running {
    /// The answer, once.
    fn poll(self: &Arc<Self>) -> Option<Result<Answer>> {
        let mut work = locked(&self.work);
        let waker = Waker::from(self.clone());
        match work.as_mut()?.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(done) => {
                *work = None;
                Some(done)
            }
            Poll::Pending => None,
        }
    }

    /// What it was given so far is given back by the drop, which may need the runtime.
    fn cancel(&self) {
        let _inside = runtime().enter();
        let work = locked(&self.work).take();
        drop(work);
    }
}

impl Calls {
    /// The outcome of a call that was refused before it began.
    pub(crate) fn refuse(error: &Error) -> Now {
        Some(Either::B(error.into()))
    }

    /// Polls `work` once; if it is not ready it goes on in the runtime and `settle` hears of it under this number.
    pub(crate) fn start<F>(self: &Arc<Self>, call: u32, work: F) -> Now
    where
        F: Future<Output = Result<Answer>> + Send + 'static,
    {
        let _inside = runtime().enter();
        let running = Arc::new(Running {
            call,
            calls: self.clone(),
            work: Mutex::new(Some(Box::pin(guarded(work)))),
            scheduled: AtomicBool::new(false),
        });
        // Known before it is polled: from the first poll on, any thread may end it.
        let mut open = locked(&self.open);
        if open.closed {
            return None;
        }
        open.add(running.clone());
        drop(open);
        let done = running.poll()?;
        locked(&self.open).remove(call);
        Some(deliver(done))
    }

    fn end(&self, running: &Arc<Running>, done: Result<Answer>) {
        let mut open = locked(&self.open);
        if !open.finish(running) {
            drop(open);
            return; // dropping the answer undoes it
        }
        open.done.push((running.call, done));
        let first = open.done.len() == 1;
        drop(open);
        if first {
            locked(&self.settle).call((), ThreadsafeFunctionCallMode::NonBlocking);
        }
    }

    #[expect(deprecated, reason = "the only safe way to a reference that follows the calls")]
    fn keep_alive(&self, env: &Env, alive: bool) -> napi::Result<()> {
        let mut settle = locked(&self.settle);
        if alive { settle.refer(env) } else { settle.unref(env) }
    }
}

/// A panic must end the call, not leave it waiting for ever.
fn guarded<F: Future<Output = Result<Answer>>>(work: F) -> impl Future<Output = Result<Answer>> {
    AssertUnwindSafe(work).catch_unwind().map(|done| done.unwrap_or_else(|panic| Err(Error::defect(&*panic))))
}

/// One for each environment.
#[napi]
#[derive(Debug)]
pub struct Bridge {
    pub(crate) calls: Arc<Calls>,
}

#[napi]
impl Bridge {
    /// `settle(numbers, outcomes)` is called with everything that has been answered since the last time.
    #[napi(constructor, catch_unwind)]
    pub fn new(env: Env, settle: Function<'_, Settled, ()>) -> napi::Result<Self> {
        let open = Arc::new(Mutex::new(Open::default()));
        let queue = open.clone();
        let settle = settle
            .build_threadsafe_function::<()>()
            .weak::<true>()
            .callee_handled::<false>()
            .build_callback(move |_| {
                let done = std::mem::take(&mut locked(&queue).done);
                let (calls, outcomes) = done.into_iter().map(|(call, done)| (call, deliver(done))).unzip();
                Ok(FnArgs::from((calls, outcomes)))
            })?;
        env.add_env_cleanup_hook(open.clone(), |open| {
            let mut open = locked(&open);
            open.closed = true;
            let lost = std::mem::take(&mut open.done);
            let running = std::mem::take(&mut open.running);
            drop(open);
            drop(lost); // undone, as nobody hears of it any more
            running.iter().flatten().for_each(|running| running.cancel());
        })?;
        Ok(Bridge { calls: Arc::new(Calls { open, settle: Mutex::new(settle) }) })
    }

    /// Drops a call. What it was given all the same is given back.
    #[napi(catch_unwind)]
    pub fn cancel(&self, call: u32) {
        let mut open = locked(&self.calls.open);
        let running = open.remove(call);
        let done = open.done.iter().position(|(done, _)| *done == call).map(|at| open.done.swap_remove(at));
        drop(open);
        if let Some(running) = running {
            running.cancel();
        }
        drop(done);
    }

    /// The same text back, from the runtime where `later`: what crossing costs by itself, for the benchmark. No text is
    /// a defect, for the tests.
    #[napi(catch_unwind)]
    pub fn echo(&self, call: u32, text: String, later: bool) -> Now {
        self.calls.start(call, async move {
            if later {
                tokio::task::yield_now().await;
            }
            assert!(!text.is_empty(), "nothing to echo");
            Ok(Answer::new(text))
        })
    }

    /// Whether Node stays alive for what is under way.
    #[napi(catch_unwind)]
    pub fn keep_alive(&self, env: Env, alive: bool) -> napi::Result<()> {
        self.calls.keep_alive(&env, alive)
    }
}

//! One call of the core, as something Python can await: polled once where it is awaited; what is not ready then goes
//! on in tokio and comes back through the loop's bridge. Under `run` it blocks instead.

use crate::{
    bridge::{Bridge, Queue},
    errors, logs,
    runtime::{self, Ours},
};
use kurultai_core::Error;
use pyo3::{exceptions::PyStopIteration, intern, prelude::*, sync::PyOnceLock};
use std::{
    cell::Cell,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Wake, Waker},
    thread::{self, Thread},
    time::Duration,
};
use tokio::task::AbortHandle;

/// How often a blocking call looks for signals, so that Ctrl-C ends it.
const SLICE: Duration = Duration::from_millis(50);

/// What a call gives back once somebody holds the GIL to take it. An answer that nobody takes is dropped: one that
/// stands for something (claimed tasks) gives it back then.
pub(crate) trait Answer: Send + 'static {
    fn give(self: Box<Self>, py: Python<'_>) -> PyResult<Py<PyAny>>;
}

static FUTURE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

type Outcome = Result<Box<dyn Answer>, Error>;
type Call = Pin<Box<dyn Future<Output = Outcome> + Send>>;

#[pyclass(frozen, module = "kurultai._native")]
pub(crate) struct Op(Ours<Mutex<Stage>>);

enum Stage {
    New(Call),
    Running { pending: Arc<Pending>, abort: AbortHandle },
    Over,
}

/// A call that runs in tokio: its outcome, and the future that stands for it in the loop.
pub(crate) struct Pending {
    queue: Arc<Queue>,
    outcome: Mutex<Slot>,
    /// Only touched under the GIL; whoever drops the call takes it out first.
    future: Mutex<Option<Py<PyAny>>>,
}

#[derive(Default)]
enum Slot {
    #[default]
    Empty,
    Full(Outcome),
    /// Nobody waits any more: what comes is dropped where it comes.
    Gone,
}

impl Op {
    pub(crate) fn new<T: Answer>(call: impl Future<Output = Result<T, Error>> + Send + 'static) -> Self {
        let call = async { call.await.map(|answer| Box::new(answer) as Box<dyn Answer>) };
        Op(Ours::new(Mutex::new(Stage::New(Box::pin(call)))))
    }

    fn start(&self, py: Python<'_>, mut call: Call) -> PyResult<Option<Py<PyAny>>> {
        let runtime = runtime::get(py)?;
        let inside = runtime.enter();
        if BLOCKING.get() {
            let outcome = block(py, &mut call);
            drop(call);
            return finished(py, outcome?);
        }
        if let Poll::Ready(outcome) = call.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return finished(py, outcome);
        }
        let bridge = Bridge::of_running_loop(py)?;
        let future = FUTURE.import(py, "asyncio", "Future")?.call0()?.unbind();
        let queue = bridge.get().queue().clone();
        let pending =
            Pending { queue, outcome: Mutex::default(), future: Mutex::new(Some(future.clone_ref(py))) };
        let pending = Arc::new(pending);
        let told = pending.clone();
        let running = runtime.spawn(async move {
            let outcome = call.await;
            if told.fill(outcome) {
                told.queue.push(told.clone());
            }
        });
        drop(inside);
        *lock(&self.0) = Stage::Running { pending, abort: running.abort_handle() };
        waiting(py, future).map(Some)
    }
}

#[pymethods]
impl Op {
    fn __await__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        if runtime::forked() {
            return Err(errors::forked(py));
        }
        let stage = std::mem::replace(&mut *lock(&self.0), Stage::Over);
        match stage {
            Stage::New(call) => self.start(py, call),
            Stage::Running { pending, abort } => {
                let slot = std::mem::take(&mut *lock(&pending.outcome));
                if let Slot::Full(outcome) = slot {
                    return finished(py, outcome);
                }
                let future = lock(&pending.future).as_ref().map(|future| future.clone_ref(py));
                *lock(&self.0) = Stage::Running { pending, abort };
                future.map(|future| waiting(py, future)).transpose()
            }
            Stage::Over => Ok(None),
        }
    }
}

/// A call that nobody awaits any more is dropped; what it was given meanwhile goes back.
impl Drop for Op {
    fn drop(&mut self) {
        if runtime::forked() {
            return;
        }
        let stage = std::mem::replace(&mut *lock(&self.0), Stage::Over);
        if let Stage::Running { pending, abort } = stage {
            drop(lock(&pending.future).take());
            let slot = std::mem::replace(&mut *lock(&pending.outcome), Slot::Gone);
            abort.abort();
            drop(slot);
        }
    }
}

impl Pending {
    /// False where nobody waits for it.
    fn fill(&self, outcome: Outcome) -> bool {
        let mut slot = lock(&self.outcome);
        if let Slot::Gone = *slot {
            return false;
        }
        *slot = Slot::Full(outcome);
        true
    }

    /// Lets the loop go on with whoever awaits this.
    pub(crate) fn wake(&self, py: Python<'_>) -> PyResult<()> {
        let future = lock(&self.future).take();
        let Some(future) = future else { return Ok(()) };
        match future.call_method1(py, intern!(py, "set_result"), (py.None(),)) {
            // It was cancelled meanwhile.
            Err(_) if future.call_method0(py, intern!(py, "done"))?.is_truthy(py)? => Ok(()),
            set => set.map(drop),
        }
    }
}

/// What asyncio wants to see of a future that a coroutine yields.
fn waiting(py: Python<'_>, future: Py<PyAny>) -> PyResult<Py<PyAny>> {
    future.setattr(py, intern!(py, "_asyncio_future_blocking"), true)?;
    Ok(future)
}

/// Ends the `await` with a value or an error.
fn finished(py: Python<'_>, outcome: Outcome) -> PyResult<Option<Py<PyAny>>> {
    match outcome {
        Ok(answer) => Err(PyStopIteration::new_err((answer.give(py)?,))),
        Err(error) => Err(errors::raised(py, error)),
    }
}

thread_local! {
    static BLOCKING: Cell<bool> = const { Cell::new(false) };
}

/// Runs a coroutine of this library to its end on this thread, without an event loop.
#[pyfunction]
fn run(py: Python<'_>, coroutine: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
    let before = BLOCKING.replace(true);
    let sent = coroutine.call_method1(intern!(py, "send"), (py.None(),));
    BLOCKING.set(before);
    let ended = match sent {
        Err(ended) if ended.is_instance_of::<PyStopIteration>(py) => ended,
        Err(error) => return Err(error),
        Ok(_) => {
            coroutine.call_method0("close")?;
            let message = "a blocking call cannot wait for an event loop";
            return Err(pyo3::exceptions::PyRuntimeError::new_err(message));
        }
    };
    logs::hand_over(py)?;
    ended.value(py).getattr(intern!(py, "value")).map(Bound::unbind)
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn block(py: Python<'_>, call: &mut Call) -> PyResult<Outcome> {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    loop {
        if let Poll::Ready(outcome) = call.as_mut().poll(&mut Context::from_waker(&waker)) {
            return Ok(outcome);
        }
        py.detach(|| thread::park_timeout(SLICE));
        py.check_signals()?;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(pyo3::wrap_pyfunction!(run, module)?)
}

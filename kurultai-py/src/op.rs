//! One call of the core, as something Python can await: what is not ready where it is awaited comes back through the
//! loop's bridge. Under `run` it blocks instead.

use crate::{
    bridge::{Bridge, Queue},
    errors, logs,
    runtime::{self, ForkSafe},
};
use futures::FutureExt;
use kurultai_bridge::{Call, Sink, Started, Work, lock, poll};
use kurultai_core::Result;
use pyo3::{
    exceptions::{PyStopIteration, asyncio::CancelledError},
    intern,
    prelude::*,
    types::PyDict,
};
use std::{
    cell::Cell,
    future::Future,
    sync::{Arc, Mutex},
    task::{Context, Poll, Wake, Waker},
    thread::{self, Thread},
    time::Duration,
};

/// How often a blocking call looks for signals, so that Ctrl-C ends it.
const SLICE: Duration = Duration::from_millis(50);

/// What a call gives back once somebody holds the GIL to take it. An answer that nobody takes is dropped: one that
/// stands for something (claimed tasks) gives it back then.
pub(crate) trait Answer: Send + 'static {
    fn give(self, py: Python<'_>) -> PyResult<Py<PyAny>>;
}

type Give = Box<dyn FnOnce(Python<'_>) -> PyResult<Py<PyAny>> + Send>;
type Outcome = Result<Give>;

/// While it runs it is what asyncio's tasks take for a future: something with `_asyncio_future_blocking`. A real future
/// costs a turn of the loop for each call; here a task goes on as soon as the bridge knows its answer.
#[pyclass(frozen, module = "kurultai._native")]
pub(crate) struct Op(ForkSafe<Mutex<Stage>>);

enum Stage {
    New(Work<Give>),
    Running(Running),
    Over,
}

struct Running {
    pending: Arc<Pending>,
    event_loop: Py<PyAny>,
    /// What `cancel` was given to say.
    cancelled: Option<Py<PyAny>>,
}

/// A call that was not ready at once.
pub(crate) type Pending = Call<Give, Told>;

/// Who waits for a call in its loop.
pub(crate) struct Told {
    queue: Arc<Queue>,
    /// Only touched under the GIL; whoever drops the call takes it out first.
    waiter: Mutex<Option<Waiter>>,
}

struct Waiter {
    op: Py<Op>,
    callback: Py<PyAny>,
    context: Py<PyAny>,
}

impl Op {
    pub(crate) fn new<T: Answer>(call: impl Future<Output = Result<T>> + Send + 'static) -> Self {
        let call =
            call.map(|outcome| outcome.map(|answer| Box::new(|py: Python<'_>| answer.give(py)) as Give));
        Op(ForkSafe::new(Mutex::new(Stage::New(Box::pin(call)))))
    }

    /// The outcome, where it is there at once.
    fn start(&self, py: Python<'_>, call: Work<Give>) -> PyResult<Option<Outcome>> {
        let runtime = runtime::get(py)?;
        if BLOCKING.get() {
            let _inside = runtime.enter();
            return block(py, call).map(Some);
        }
        let (event_loop, bridge) = Bridge::of_running_loop(py)?;
        let told = Told { queue: bridge.get().queue().clone(), waiter: Mutex::default() };
        match Call::start(call, told) {
            Started::Ended(outcome) => Ok(Some(outcome)),
            Started::Going(pending) => {
                *lock(&self.0) = Stage::Running(Running { pending, event_loop, cancelled: None });
                Ok(None)
            }
        }
    }

    fn with_running<T>(&self, look: impl FnOnce(&mut Running) -> T) -> Option<T> {
        match &mut *lock(&self.0) {
            Stage::Running(running) => Some(look(running)),
            Stage::New(_) | Stage::Over => None,
        }
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

    fn __next__(slf: &Bound<'_, Self>) -> PyResult<Option<Py<Self>>> {
        let (py, op) = (slf.py(), slf.get());
        if runtime::forked() {
            return Err(errors::forked(py));
        }
        let stage = std::mem::replace(&mut *lock(&op.0), Stage::Over);
        let outcome = match stage {
            Stage::New(call) => op.start(py, call)?,
            Stage::Running(running) => match running.pending.take() {
                None => {
                    *lock(&op.0) = Stage::Running(running);
                    None
                }
                outcome => outcome,
            },
            Stage::Over => return Ok(None),
        };
        match outcome {
            Some(outcome) => Err(ended(py, outcome)),
            None => Ok(Some(slf.clone().unbind())),
        }
    }

    #[getter(_asyncio_future_blocking)]
    fn blocking(&self) -> bool {
        true
    }

    /// A task says so that it has seen it.
    #[setter(_asyncio_future_blocking)]
    fn set_blocking(&self, _seen: bool) {}

    fn get_loop(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.with_running(|running| running.event_loop.clone_ref(py))
    }

    #[pyo3(signature = (callback, *, context))]
    fn add_done_callback(slf: Py<Self>, callback: Py<PyAny>, context: Py<PyAny>) {
        let Some(pending) = slf.get().with_running(|running| running.pending.clone()) else { return };
        *lock(&pending.sink().waiter) = Some(Waiter { op: slf, callback, context });
    }

    /// Whether the answer has come; the loop may not have heard of it yet.
    fn done(&self) -> bool {
        self.with_running(|running| running.pending.is_over()).unwrap_or(true)
    }

    /// False where the task goes on already.
    #[pyo3(signature = (msg = None))]
    fn cancel(&self, py: Python<'_>, msg: Option<Py<PyAny>>) -> PyResult<bool> {
        let taken = self.with_running(|running| {
            let waiter = lock(&running.pending.sink().waiter).take()?;
            running.pending.cancel();
            running.cancelled = Some(msg.unwrap_or_else(|| py.None()));
            Some((running.event_loop.clone_ref(py), waiter))
        });
        let Some((event_loop, Waiter { op, callback, context })) = taken.flatten() else { return Ok(false) };
        let options = PyDict::new(py);
        options.set_item(intern!(py, "context"), context)?;
        event_loop.bind(py).call_method(intern!(py, "call_soon"), (callback, op), Some(&options))?;
        Ok(true)
    }

    /// Nothing but whether it was cancelled: the answer itself is what `__next__` ends with.
    fn result(&self, py: Python<'_>) -> PyResult<()> {
        match self.with_running(|running| running.cancelled.take()).flatten() {
            None => Ok(()),
            Some(msg) if msg.is_none(py) => Err(CancelledError::new_err(())),
            Some(msg) => Err(CancelledError::new_err((msg,))),
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
        if let Stage::Running(running) = stage {
            drop(lock(&running.pending.sink().waiter).take());
            running.pending.cancel();
        }
    }
}

impl Sink<Give> for Told {
    fn ended(pending: Arc<Pending>) {
        pending.sink().queue.clone().push(pending);
    }
}

impl Told {
    /// Lets whoever awaits the call go on, unless it was cancelled meanwhile.
    pub(crate) fn tell(&self, py: Python<'_>) -> PyResult<()> {
        let Some(Waiter { op, callback, context }) = lock(&self.waiter).take() else { return Ok(()) };
        context.call_method1(py, intern!(py, "run"), (callback, op)).map(drop)
    }
}

/// What ends the `await`: a value or an error. No answer is a tuple, which StopIteration would take apart.
fn ended(py: Python<'_>, outcome: Outcome) -> PyErr {
    match outcome.map(|give| give(py)) {
        Ok(Ok(value)) => PyStopIteration::new_err(value),
        Ok(Err(error)) => error,
        Err(error) => errors::raised(py, error),
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

fn block(py: Python<'_>, mut call: Work<Give>) -> PyResult<Outcome> {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    loop {
        if let Poll::Ready(outcome) = poll(&mut call, &mut Context::from_waker(&waker)) {
            return Ok(outcome);
        }
        py.detach(|| thread::park_timeout(SLICE));
        py.check_signals()?;
        logs::hand_over(py)?;
    }
}

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(pyo3::wrap_pyfunction!(run, module)?)
}

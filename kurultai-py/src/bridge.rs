//! How completions come back to an event loop: one queue and one wake for each loop.
//!
//! What costs is waking a thread. Tokio threads push onto the queue, and only a push onto an empty queue wakes the
//! loop, which then takes all there is under one hold of the GIL. Tokio threads hold no Python object and never
//! wait for the GIL.

use crate::{
    bell::Bell,
    logs,
    op::Pending,
    runtime::{self, ForkSafe},
};
use kurultai_bridge::lock;
use pyo3::{prelude::*, sync::PyOnceLock};
use std::{
    cell::RefCell,
    collections::VecDeque,
    io::{self, Read},
    os::{fd::AsRawFd, unix::net::UnixStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

/// What one loop has to look at.
pub(crate) struct Queue {
    done: Mutex<Vec<Arc<Pending>>>,
    /// The loop is closed: what comes goes back.
    abandoned: AtomicBool,
    bell: Arc<Bell>,
}

impl Queue {
    pub(crate) fn push(&self, done: Arc<Pending>) {
        let mut queue = lock(&self.done);
        if self.abandoned.load(Ordering::Relaxed) {
            drop(queue);
            return done.cancel();
        }
        queue.push(done);
        let first = queue.len() == 1;
        drop(queue);
        if first {
            self.bell.ring();
        }
    }
}

/// The loop's end of a [`Queue`].
#[pyclass(frozen, module = "kurultai._native")]
pub(crate) struct Bridge {
    queue: ForkSafe<Arc<Queue>>,
    /// Taken from the queue and not told yet: a task may end the loop, or run a loop within it.
    untold: ForkSafe<Mutex<VecDeque<Arc<Pending>>>>,
    woken: UnixStream,
    /// Whether a thread reads `woken`, and not the loop.
    waits: AtomicBool,
}

thread_local! {
    /// The loop that this thread ran last, by a weak reference.
    static LAST: RefCell<Option<(Py<PyAny>, Py<Bridge>)>> = const { RefCell::new(None) };
}

static RUNNING_LOOP: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
/// `kurultai._loop.bridge(loop)`: the loop's bridge, made and attached where it has none yet.
static ATTACHED: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

impl Bridge {
    pub(crate) fn of_running_loop(py: Python<'_>) -> PyResult<(Py<PyAny>, Py<Bridge>)> {
        let running = RUNNING_LOOP.import(py, "asyncio", "get_running_loop")?.call0()?;
        let last = LAST.with_borrow(|last| {
            let (seen, bridge) = last.as_ref()?;
            seen.call0(py).is_ok_and(|seen| seen.is(&running)).then(|| bridge.clone_ref(py))
        });
        if let Some(bridge) = last {
            return Ok((running.unbind(), bridge));
        }
        let bridge: Py<Bridge> = ATTACHED
            .import(py, "kurultai._loop", "bridge")?
            .call1((&running,))?
            .cast_into::<Bridge>()?
            .unbind();
        let weak = py.import("weakref")?.call_method1("ref", (&running,))?.unbind();
        LAST.with_borrow_mut(|last| *last = Some((weak, bridge.clone_ref(py))));
        Ok((running.unbind(), bridge))
    }

    pub(crate) fn queue(&self) -> &Arc<Queue> {
        &self.queue
    }

    fn next_untold(&self) -> Option<Arc<Pending>> {
        lock(&self.untold).pop_front()
    }
}

#[pymethods]
impl Bridge {
    #[new]
    fn new() -> PyResult<Self> {
        let (woken, wake) = UnixStream::pair()?;
        woken.set_nonblocking(true)?;
        wake.set_nonblocking(true)?;
        let bell = Arc::new(Bell::new(wake));
        logs::wake_through(&bell);
        let queue = Arc::new(Queue { done: Mutex::default(), abandoned: AtomicBool::new(false), bell });
        let (queue, untold) = (ForkSafe::new(queue), ForkSafe::new(Mutex::default()));
        Ok(Bridge { queue, untold, woken, waits: AtomicBool::new(false) })
    }

    /// What the loop watches for reading.
    fn fileno(&self) -> i32 {
        self.woken.as_raw_fd()
    }

    /// Wakes whoever awaits what has come, and hands over the log.
    fn drain(&self, py: Python<'_>) -> PyResult<()> {
        if !self.waits.load(Ordering::Relaxed) {
            drop((&self.woken).read(&mut [0; 64]));
        }
        let done = std::mem::take(&mut *lock(&self.queue.done));
        lock(&self.untold).extend(done);
        while let Some(pending) = self.next_untold() {
            if let Err(error) = pending.sink().tell(py) {
                self.queue.bell.ring();
                return Err(error);
            }
        }
        logs::hand_over(py)
    }

    /// The loop is closed, so nobody hears of an answer any more: what a call was given goes back.
    fn abandon(&self) {
        if runtime::forked() {
            return;
        }
        let mut queue = lock(&self.queue.done);
        self.queue.abandoned.store(true, Ordering::Relaxed);
        let left = std::mem::take(&mut *queue);
        drop(queue);
        let untold = std::mem::take(&mut *lock(&self.untold));
        left.iter().chain(&untold).for_each(|pending| pending.cancel());
    }

    /// Blocks until there is something to drain; false where the loop is gone. For loops that cannot watch a
    /// descriptor.
    fn wait(&self, py: Python<'_>) -> PyResult<bool> {
        self.waits.store(true, Ordering::Relaxed);
        let waited = py.detach(|| {
            self.woken.set_nonblocking(false)?;
            (&self.woken).read(&mut [0; 64])
        });
        match waited {
            Ok(read) => Ok(read > 0),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(true),
            Err(error) => Err(error.into()),
        }
    }

    /// Ends [`wait`](Self::wait).
    fn close(&self) -> PyResult<()> {
        Ok(self.queue.bell.close()?)
    }
}

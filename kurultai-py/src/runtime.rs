//! The runtime of this process, whose threads never touch Python, and what a fork means for them.

use crate::errors;
use pyo3::{prelude::*, types::PyDict};
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::runtime::Runtime;

static FORKED: AtomicBool = AtomicBool::new(false);

/// The runtime, or `config.fork` in a child whose threads stayed behind in its parent.
pub(crate) fn get(py: Python<'_>) -> PyResult<&'static Runtime> {
    if forked() {
        return Err(errors::forked(py));
    }
    Ok(kurultai_bridge::runtime()?)
}

/// Whether what this process holds belongs to its parent's threads: then it may neither be used nor dropped,
/// since a lock may have been held while the process was copied.
pub(crate) fn forked() -> bool {
    FORKED.load(Ordering::Relaxed)
}

#[pyfunction]
fn after_fork() {
    FORKED.store(kurultai_bridge::has_runtime(), Ordering::Relaxed);
}

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    let os = py.import("os")?;
    if os.hasattr("register_at_fork")? {
        let options = PyDict::new(py);
        options.set_item("after_in_child", pyo3::wrap_pyfunction!(after_fork, module)?)?;
        os.call_method("register_at_fork", (), Some(&options))?;
    }
    Ok(())
}

/// Drops what it holds, but not in a forked child.
pub(crate) struct ForkSafe<T>(Option<T>);

impl<T> ForkSafe<T> {
    pub(crate) fn new(value: T) -> Self {
        ForkSafe(Some(value))
    }
}

impl<T> std::ops::Deref for ForkSafe<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0.as_ref().expect("only drop takes it")
    }
}

impl<T> Drop for ForkSafe<T> {
    fn drop(&mut self) {
        if forked() {
            std::mem::forget(self.0.take());
        }
    }
}

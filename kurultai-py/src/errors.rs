//! The core's errors as exceptions. Their classes are Python (`kurultai.errors`): below 3.12 the stable ABI cannot
//! subclass exceptions.

use kurultai_core::{Error, Kind};
use pyo3::{exceptions::PyTypeError, prelude::*, sync::PyOnceLock};

/// `kurultai.errors.from_core(kind, code, message, retryable, retry_after, cause, task_id)`.
static FROM_CORE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

/// A field of the core as Python's callers write it.
fn in_python(field: &str) -> String {
    let name = match field {
        "expiry" => "expires_in",
        "lifetime" => "ttl",
        "message type" => "type",
        "public key" => "public_key",
        same => same,
    };
    name.to_owned()
}

/// The exception as a value, for calls that answer each item.
pub(crate) fn value(py: Python<'_>, error: &Error) -> PyResult<Py<PyAny>> {
    let from_core = FROM_CORE.import(py, "kurultai.errors", "from_core")?;
    let retry_after = error.retry_after().map(|pause| pause.as_secs_f64());
    let message = error.message_in(in_python);
    let (kind, code, retryable) = (error.kind().as_str(), error.code(), error.retryable());
    let parts = (kind, code, message, retryable, retry_after, error.cause(), error.task_id());
    Ok(from_core.call1(parts)?.unbind())
}

pub(crate) fn raised(py: Python<'_>, error: Error) -> PyErr {
    match value(py, &error) {
        Ok(exception) => PyErr::from_value(exception.into_bound(py)),
        Err(broken) => broken,
    }
}

/// The same error with what it is of before it: a field, or a row of many.
pub(crate) fn of(py: Python<'_>, what: &str, error: &PyErr) -> PyErr {
    if error.is_instance_of::<PyTypeError>(py) {
        return PyTypeError::new_err(format!("{what}: {}", error.value(py)));
    }
    let of_ours = || -> PyResult<PyErr> {
        let prefixed = py.import("kurultai.errors")?.getattr("of")?.call1((what, error.value(py)))?;
        Ok(PyErr::from_value(prefixed))
    };
    of_ours().unwrap_or_else(|broken| broken)
}

pub(crate) trait Raise<T> {
    /// The core's error as an exception.
    fn raise(self, py: Python<'_>) -> PyResult<T>;
}

impl<T> Raise<T> for kurultai_core::Result<T> {
    fn raise(self, py: Python<'_>) -> PyResult<T> {
        self.map_err(|error| raised(py, error))
    }
}

pub(crate) fn forked(py: Python<'_>) -> PyErr {
    let message = "this process was forked from one that had opened kurultai, whose threads did not come along; \
                   start it with multiprocessing's spawn or forkserver, or fork before the first open";
    raised(py, Error::new(Kind::Config, "config.fork", message))
}

/// Every kind that the core has; a test wants a class for each.
#[pyfunction]
fn kinds() -> Vec<&'static str> {
    Kind::ALL.iter().map(|kind| kind.as_str()).collect()
}

/// Raises an error of this kind, as the core would: the test over all kinds uses it for those that need a broken
/// disk or a lost answer.
#[pyfunction]
fn provoke(py: Python<'_>, kind: &str) -> PyResult<()> {
    let kind = Kind::ALL.into_iter().find(|k| k.as_str() == kind);
    match kind {
        Some(kind) => Err(raised(py, Error::new(kind, "test.provoked", "as asked"))),
        None => Ok(()),
    }
}

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(pyo3::wrap_pyfunction!(kinds, module)?)?;
    module.add_function(pyo3::wrap_pyfunction!(provoke, module)?)
}

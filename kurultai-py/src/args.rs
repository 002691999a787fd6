//! What callers may write for a lease, an id, a span or a time.

use crate::{
    errors::{self, Raise},
    task_types::{Claimed, Enqueued, Lease, Task},
};
use chrono::{DateTime, Utc};
use kurultai_core::{Error, tasks};
use pyo3::{
    exceptions::PyTypeError,
    intern,
    prelude::*,
    types::{PyList, PyString},
};
use std::time::Duration;

/// A Claimed, a Lease, a handler's context, or the lease's one-string form.
pub(crate) struct LeaseArg(pub(crate) tasks::Lease);

impl<'py> FromPyObject<'_, 'py> for LeaseArg {
    type Error = PyErr;

    fn extract(value: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        if let Ok(claimed) = value.cast::<Claimed>() {
            return Ok(LeaseArg(claimed.get().inner.lease.clone()));
        }
        if let Ok(lease) = value.cast::<Lease>() {
            return Ok(LeaseArg(lease.get().inner.clone()));
        }
        if let Ok(text) = value.cast::<PyString>() {
            return text.to_str()?.parse().map(LeaseArg).raise(value.py());
        }
        let lease = value
            .getattr(intern!(value.py(), "lease"))
            .and_then(|l| Ok(l.cast::<Lease>()?.get().inner.clone()));
        lease
            .map(LeaseArg)
            .map_err(|_| wrong(value, "a claimed task, its lease, a handler's context, or a lease string"))
    }
}

/// A task's id, or something that has it.
pub(crate) struct TaskId(pub(crate) String);

impl<'py> FromPyObject<'_, 'py> for TaskId {
    type Error = PyErr;

    fn extract(value: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        if let Ok(text) = value.cast::<PyString>() {
            return Ok(TaskId(text.to_str()?.to_owned()));
        }
        if let Ok(task) = value.cast::<Enqueued>() {
            return Ok(TaskId(task.get().inner.id.clone()));
        }
        if let Ok(task) = value.cast::<Task>() {
            return Ok(TaskId(task.get().inner.id.clone()));
        }
        let id = value.getattr(intern!(value.py(), "id")).and_then(|id| id.extract());
        id.map(TaskId).map_err(|_| wrong(value, "a task or its id"))
    }
}

/// Seconds, or a timedelta.
#[derive(Clone, Copy)]
pub(crate) struct Span(pub(crate) Duration);

impl<'py> FromPyObject<'_, 'py> for Span {
    type Error = PyErr;

    fn extract(value: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        let py = value.py();
        let seconds = value.extract::<f64>().or_else(|_| {
            value.call_method0(intern!(py, "total_seconds")).and_then(|seconds| seconds.extract::<f64>())
        });
        let seconds = seconds.map_err(|_| wrong(value, "seconds or a timedelta"))?;
        if seconds == f64::INFINITY {
            return Ok(Span(Duration::MAX));
        }
        Duration::try_from_secs_f64(seconds)
            .map(Span)
            .map_err(|_| errors::raised(py, Error::invalid("a duration", seconds, "seconds, 0 or more")))
    }
}

/// An aware datetime.
pub(crate) struct Time(pub(crate) DateTime<Utc>);

impl<'py> FromPyObject<'_, 'py> for Time {
    type Error = PyErr;

    fn extract(value: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        let py = value.py();
        let offset = value.call_method0(intern!(py, "utcoffset")).map_err(|_| wrong(value, "a datetime"))?;
        if offset.is_none() {
            let shown = value.str()?;
            let allowed = "a datetime with a time zone, such as datetime.now(timezone.utc)";
            return Err(errors::raised(py, Error::invalid("a time", shown.to_string_lossy(), allowed)));
        }
        let zone = Utc.into_pyobject(py)?;
        let utc: DateTime<Utc> = value.call_method1(intern!(py, "astimezone"), (zone,))?.extract()?;
        Ok(Time(utc))
    }
}

/// A list of names; a single string would be a list of letters, which nobody means.
pub(crate) struct Names(pub(crate) Vec<String>);

impl<'py> FromPyObject<'_, 'py> for Names {
    type Error = PyErr;

    fn extract(value: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        if value.is_instance_of::<PyString>() {
            return Err(wrong(value, "a list of names, such as [\"development\"]"));
        }
        if let Ok(list) = value.cast::<PyList>() {
            return list.iter().map(|name| name.extract()).collect::<PyResult<_>>().map(Names);
        }
        value.try_iter()?.map(|name| name?.extract()).collect::<PyResult<_>>().map(Names)
    }
}

/// One of a closed set of words.
pub(crate) fn word<T: std::str::FromStr<Err = Error>>(
    py: Python<'_>,
    word: Option<&str>,
) -> PyResult<Option<T>> {
    word.map(|word| word.parse().raise(py)).transpose()
}

pub(crate) fn wrong(value: Borrowed<'_, '_, PyAny>, wanted: &str) -> PyErr {
    let shown =
        value.repr().map_or_else(|_| "?".to_owned(), |r| r.to_string_lossy().chars().take(80).collect());
    PyTypeError::new_err(format!("expected {wanted}, not {shown}"))
}

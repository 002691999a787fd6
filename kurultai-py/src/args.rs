//! What callers may write for a lease, an id, a span or a time.

use crate::{
    errors::{self, Raise},
    task_types::{Claimed, Enqueued, Lease, Task},
};
use chrono::{DateTime, Utc};
use kurultai_core::{Error, Kind, tasks};
use pyo3::{
    exceptions::{PyOverflowError, PyTypeError, PyUnicodeEncodeError},
    intern,
    prelude::*,
    types::{PyList, PyString},
};
use std::{ops::Deref, time::Duration};

/// A text. Half of a surrogate pair, which Python's may have, is in no text of ours.
pub(crate) struct Text(String);

impl<'py> FromPyObject<'_, 'py> for Text {
    type Error = PyErr;

    fn extract(value: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        match value.extract::<String>() {
            Ok(text) => Ok(Text(text)),
            Err(error) => Err(no_text(value, error)),
        }
    }
}

impl Deref for Text {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl From<Text> for String {
    fn from(text: Text) -> Self {
        text.0
    }
}

/// The same error, or `input.payload` where it is Python's of half of a surrogate pair.
pub(crate) fn no_text(value: Borrowed<'_, '_, PyAny>, error: PyErr) -> PyErr {
    let py = value.py();
    if !error.is_instance_of::<PyUnicodeEncodeError>(py) {
        return error;
    }
    let shown = value
        .repr()
        .map_or_else(|_| "it".to_owned(), |repr| repr.to_string_lossy().chars().take(80).collect());
    let why = format!("{shown} is no text: a lone surrogate has no UTF-8 form");
    errors::raised(py, Error::new(Kind::Input, "input.payload", why))
}

/// The same, which names the field.
pub(crate) fn no_text_of(field: &str, value: Borrowed<'_, '_, PyAny>, error: PyErr) -> PyErr {
    let py = value.py();
    match error.is_instance_of::<PyUnicodeEncodeError>(py) {
        true => errors::of(py, field, &no_text(value, error)),
        false => error,
    }
}

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
        if value.is_instance_of::<PyString>() {
            return value.extract::<Text>()?.parse().map(LeaseArg).raise(value.py());
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
        if value.is_instance_of::<PyString>() {
            return Ok(TaskId(value.extract::<Text>()?.into()));
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

/// Seconds, or a timedelta; whoever names it learns whether it is sound.
#[derive(Clone, Copy)]
pub(crate) struct Span(f64);

impl Span {
    /// Infinity is as long as can be.
    pub(crate) fn named(self, py: Python<'_>, field: &str) -> PyResult<Duration> {
        if self.0 == f64::INFINITY {
            return Ok(Duration::MAX);
        }
        let span = Duration::try_from_secs_f64(self.0);
        span.map_err(|_| errors::raised(py, Error::invalid(field, self.0, "seconds, 0 or more")))
    }
}

pub(crate) fn span(py: Python<'_>, field: &str, span: Option<Span>) -> PyResult<Option<Duration>> {
    span.map(|span| span.named(py, field)).transpose()
}

impl<'py> FromPyObject<'_, 'py> for Span {
    type Error = PyErr;

    fn extract(value: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        let py = value.py();
        let seconds = value.extract::<f64>().or_else(|_| {
            value.call_method0(intern!(py, "total_seconds")).and_then(|seconds| seconds.extract::<f64>())
        });
        seconds.map(Span).map_err(|_| wrong(value, "seconds or a timedelta"))
    }
}

/// A whole number; whoever names it learns whether it is sound.
#[derive(Clone, Copy)]
pub(crate) struct Count(i128);

impl Count {
    pub(crate) fn named<T: TryFrom<i128>>(self, py: Python<'_>, field: &str) -> PyResult<T> {
        let refused = |_| errors::raised(py, Error::invalid(field, self.0, "a whole number, 0 or more"));
        T::try_from(self.0).map_err(refused)
    }
}

pub(crate) fn count<T: TryFrom<i128>>(
    py: Python<'_>,
    field: &str,
    count: Option<Count>,
) -> PyResult<Option<T>> {
    count.map(|count| count.named(py, field)).transpose()
}

impl<'py> FromPyObject<'_, 'py> for Count {
    type Error = PyErr;

    fn extract(value: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        match value.extract::<i64>() {
            Ok(number) => Ok(Count(number.into())),
            // Too long for any count, in either direction.
            Err(error) if error.is_instance_of::<PyOverflowError>(value.py()) => {
                Ok(Count(if value.lt(0)? { i128::MIN } else { i128::MAX }))
            }
            Err(_) => Err(wrong(value, "a whole number")),
        }
    }
}

/// An aware datetime; whoever names it learns whether it is sound.
pub(crate) struct Time(Result<DateTime<Utc>, String>);

impl Time {
    pub(crate) fn named(self, py: Python<'_>, field: &str) -> PyResult<DateTime<Utc>> {
        let allowed =
            "a datetime with a time zone, such as datetime.now(timezone.utc), in the years 1 to 9999, UTC";
        self.0.map_err(|shown| errors::raised(py, Error::invalid(field, shown, allowed)))
    }
}

impl<'py> FromPyObject<'_, 'py> for Time {
    type Error = PyErr;

    fn extract(value: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        let py = value.py();
        let offset = value.call_method0(intern!(py, "utcoffset")).map_err(|_| wrong(value, "a datetime"))?;
        let shown = || value.str().map(|text| text.to_string_lossy().into_owned());
        if offset.is_none() {
            return Ok(Time(Err(shown()?)));
        }
        let zone = Utc.into_pyobject(py)?;
        match value.call_method1(intern!(py, "astimezone"), (zone,)) {
            Ok(utc) => Ok(Time(Ok(utc.extract()?))),
            // Its zone brings it before the first or after the last year.
            Err(error) if error.is_instance_of::<PyOverflowError>(py) => Ok(Time(Err(shown()?))),
            Err(error) => Err(error),
        }
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
            return list
                .iter()
                .map(|name| name.extract::<Text>().map(Into::into))
                .collect::<PyResult<_>>()
                .map(Names);
        }
        value
            .try_iter()?
            .map(|name| name?.extract::<Text>().map(Into::into))
            .collect::<PyResult<_>>()
            .map(Names)
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
    let forgotten = value.hasattr("cr_await").unwrap_or_default();
    let hint = if forgotten { "; await it first" } else { "" };
    PyTypeError::new_err(format!("expected {wanted}, not {shown}{hint}"))
}

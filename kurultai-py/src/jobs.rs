//! The agent's pull interface, for `kurultai.Agent`: handlers run in Python, everything else in the core.

use crate::{
    args::{Count, Span, count, span, word},
    errors::Raise,
    json,
    message_jobs::Incoming,
    messages::Unread,
    new_task::{self, retry_policy},
    op::{Answer, Op},
    options::options,
    runtime::ForkSafe,
    task_types::{Claimed, Lease},
    view::Show,
};
use kurultai_core::worker::{self, Ended, Limits, Wish};
use pyo3::{
    prelude::*,
    types::{PyDict, PyString},
};
use std::sync::Arc;

/// The jobs of one agent, as they come.
#[pyclass(frozen, module = "kurultai._native")]
pub(crate) struct Jobs(ForkSafe<Arc<worker::Jobs>>);

/// A claimed task and the right to end it. Dropped before its end, it is released.
#[pyclass(frozen, module = "kurultai._native")]
pub(crate) struct Job(ForkSafe<Arc<worker::Job>>);

/// A started agent on its way to Python.
pub(crate) struct Started(pub(crate) worker::Jobs);

impl Answer for Started {
    fn give(self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        Ok(Py::new(py, Jobs(ForkSafe::new(Arc::new(self.0))))?.into_any())
    }
}

impl Answer for worker::Job {
    fn give(self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        Ok(Py::new(py, Job(ForkSafe::new(Arc::new(self))))?.into_any())
    }
}

options! {
    LimitOptions { timeout: Span, retries: Count, retry: Py<PyAny>, stall_after: Span, on_stall: String }
}

impl LimitOptions {
    fn limits(self, py: Python<'_>) -> PyResult<Limits> {
        let LimitOptions { timeout, retries, retry, stall_after, on_stall } = self;
        Ok(Limits {
            timeout: span(py, "timeout", timeout)?,
            retries: count(py, "retries", retries)?,
            retry: retry.map(|retry| retry_policy(retry.bind(py))).transpose()?,
            stall_after: span(py, "stall_after", stall_after)?,
            on_stall: word(py, on_stall.as_deref())?,
        })
    }
}

/// Why a handler must stop, on its way to whoever runs it: once it arrives there, its loop is not blocked.
struct Stopped(worker::Context, worker::Stop);

impl Answer for Stopped {
    fn give(self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.0.take_up();
        self.1.show(py)
    }
}

#[pymethods]
impl Jobs {
    fn next(&self) -> Op {
        let jobs = self.0.clone();
        Op::new(async move { jobs.next().await })
    }

    fn next_message(&self) -> Op {
        let jobs = self.0.clone();
        Op::new(async move { jobs.next_message().await })
    }

    fn drain(&self) {
        self.0.drain();
    }

    fn finished(&self) -> Op {
        let jobs = self.0.clone();
        Op::new(async move { Ok(jobs.finished().await) })
    }
}

/// Whatever a handler looks at but its task is a sign of life; `task`, `ended` and `stopped` are for who runs it.
#[pymethods]
impl Job {
    #[getter]
    fn task(&self) -> Claimed {
        kurultai_core::tasks::Claimed::clone(&self.0.task).into()
    }

    /// The handler is alive.
    fn alive(&self) {
        self.0.alive();
    }

    #[getter]
    fn lease(&self) -> Lease {
        self.0.alive();
        self.0.lease().into()
    }

    #[getter]
    fn fencing_token(&self) -> i64 {
        self.0.alive();
        self.0.fencing_token()
    }

    #[getter]
    fn idempotency_key(&self) -> String {
        self.0.alive();
        self.0.idempotency_key()
    }

    #[getter]
    fn ended(&self) -> bool {
        self.0.ended()
    }

    #[getter]
    fn stop(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.0.stop().show(py)
    }

    #[getter]
    fn stop_reason(&self) -> Option<String> {
        self.0.alive();
        self.0.stop_reason()
    }

    #[getter]
    fn is_draining(&self) -> bool {
        self.0.alive();
        self.0.is_draining()
    }

    fn draining(&self) -> Op {
        self.0.alive();
        let context = self.0.context();
        Op::new(async move {
            context.draining().await;
            Ok(())
        })
    }

    fn stopped(&self) -> Op {
        let context = self.0.context();
        Op::new(async move {
            let why = context.stopped().await;
            Ok(Stopped(context, why))
        })
    }

    fn progress(&self, progress: f64) -> Op {
        let context = self.0.context();
        Op::new(async move { context.progress(progress).await })
    }

    fn checkpoint(&self, checkpoint: &Bound<'_, PyAny>, default: Option<&Bound<'_, PyAny>>) -> PyResult<Op> {
        let checkpoint = json::write_as("checkpoint", checkpoint, default)?;
        let context = self.0.context();
        Ok(Op::new(async move { context.checkpoint(checkpoint).await }))
    }

    #[getter]
    fn unread(&self) -> Unread {
        self.0.unread().into()
    }

    fn messages(&self, py: Python<'_>, options: &Bound<'_, PyDict>) -> PyResult<Incoming> {
        Incoming::of(py, &self.0, options)
    }

    fn usage(&self, usage: &Bound<'_, PyAny>) -> PyResult<()> {
        if let Some(usage) = new_task::usage(Some(usage))? {
            self.0.usage(usage);
        }
        Ok(())
    }

    /// What the attempt may take; its time counts from here.
    fn limit(&self, py: Python<'_>, limits: &Bound<'_, PyDict>) -> PyResult<()> {
        self.0.limit(LimitOptions::of(limits)?.limits(py)?);
        Ok(())
    }

    /// The handler returned. Fails with whatever goes wrong while its results are written: they are `unstorable` then.
    fn returned(&self, results: &Bound<'_, PyAny>, default: Option<&Bound<'_, PyAny>>) -> PyResult<Op> {
        Ok(self.end(Ended::Returned(json::write_as("results", results, default)?)))
    }

    fn unstorable(&self, why: &Bound<'_, PyString>) -> Op {
        self.end(Ended::Unstorable(why.to_string_lossy().into_owned()))
    }

    /// The handler raised; its `wish` is retry, reject or snooze. A snooze without seconds names no time; a reject has its
    /// own words apart from the error's.
    #[pyo3(signature = (error, wish=None, after=None, why=None))]
    fn raised(
        &self,
        error: &Bound<'_, PyString>,
        wish: Option<&str>,
        after: Option<f64>,
        why: Option<&Bound<'_, PyString>>,
    ) -> PyResult<Op> {
        Ok(self.end(ended(error, wish, after, why)?))
    }

    fn release(&self) -> Op {
        let job = self.0.clone();
        Op::new(async move { job.release().await })
    }
}

impl Job {
    fn end(&self, ended: Ended) -> Op {
        let job = self.0.clone();
        Op::new(async move { job.end(ended).await })
    }
}

/// What it means that a handler raised.
pub(crate) fn ended(
    error: &Bound<'_, PyString>,
    wish: Option<&str>,
    after: Option<f64>,
    why: Option<&Bound<'_, PyString>>,
) -> PyResult<Ended> {
    let wish = match wish {
        None => None,
        Some("retry") => Some(Wish::Retry { after }),
        Some("reject") => {
            let why = why.map(|why| why.to_string_lossy().into_owned()).unwrap_or_default();
            Some(Wish::Reject { why })
        }
        Some("snooze") => Some(Wish::Snooze { after: after.unwrap_or(f64::NAN) }),
        Some(other) => {
            return Err(kurultai_core::Error::invalid("wish", other, "retry, reject, snooze"))
                .raise(error.py());
        }
    };
    Ok(Ended::Raised { error: error.to_string_lossy().into_owned(), wish })
}

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Jobs>()?;
    module.add_class::<Job>()
}

//! The worker's pull interface, for `kurultai.Agent`: handlers run in Python, everything else in the core.

use crate::{
    args::Span,
    finish::failure,
    json, new_task,
    op::{Answer, Op},
    runtime::Ours,
    task_types::{Claimed, Lease},
    view::Show,
};
use kurultai_core::worker;
use pyo3::prelude::*;
use std::sync::Arc;

/// The jobs of one worker, as they come.
#[pyclass(frozen, module = "kurultai._native")]
pub(crate) struct Jobs(Ours<Arc<worker::Jobs>>);

/// A claimed task and the right to end it. Dropped before its end, it is released.
#[pyclass(frozen, module = "kurultai._native")]
pub(crate) struct Job(Ours<Arc<worker::Job>>);

/// A started worker on its way to Python.
pub(crate) struct Started(pub(crate) worker::Jobs);

impl Answer for Started {
    fn give(self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        Ok(Py::new(py, Jobs(Ours::new(Arc::new(self.0))))?.into_any())
    }
}

/// A job on its way to Python; the core releases it where nobody takes it.
struct Pulled(worker::Job);

impl Answer for Pulled {
    fn give(self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        Ok(Py::new(py, Job(Ours::new(Arc::new(self.0))))?.into_any())
    }
}

#[pymethods]
impl Jobs {
    fn next(&self) -> Op {
        let jobs = self.0.clone();
        Op::new(async move { Ok(jobs.next().await?.map(Pulled)) })
    }

    fn drain(&self) {
        self.0.drain();
    }

    fn finished(&self) -> Op {
        let jobs = self.0.clone();
        Op::new(async move { Ok(jobs.finished().await) })
    }
}

#[pymethods]
impl Job {
    #[getter]
    fn task(&self) -> Claimed {
        kurultai_core::Claimed::clone(&self.0.task).into()
    }

    #[getter]
    fn lease(&self) -> Lease {
        self.0.lease().into()
    }

    #[getter]
    fn fencing_token(&self) -> i64 {
        self.0.fencing_token()
    }

    #[getter]
    fn idempotency_key(&self) -> String {
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

    fn stopped(&self) -> Op {
        let context = self.0.context();
        Op::new(async move { Ok(context.stopped().await) })
    }

    fn progress(&self, progress: f64) -> Op {
        let context = self.0.context();
        Op::new(async move { context.progress(progress).await })
    }

    fn checkpoint(&self, checkpoint: &Bound<'_, PyAny>, default: Option<&Bound<'_, PyAny>>) -> PyResult<Op> {
        let checkpoint = json::write(checkpoint, default)?;
        let context = self.0.context();
        Ok(Op::new(async move { context.checkpoint(checkpoint).await }))
    }

    fn usage(&self, usage: &Bound<'_, PyAny>) -> PyResult<()> {
        if let Some(usage) = new_task::usage(Some(usage))? {
            self.0.usage(usage);
        }
        Ok(())
    }

    fn complete(&self, results: &Bound<'_, PyAny>, default: Option<&Bound<'_, PyAny>>) -> PyResult<Op> {
        let results = json::write(results, default)?;
        let job = self.0.clone();
        Ok(Op::new(async move { job.complete(results, None).await }))
    }

    fn fail(&self, error: &Bound<'_, PyAny>, retryable: bool, retry_after: Option<Span>) -> PyResult<Op> {
        let failure = failure(error, retryable, retry_after, None, None, None)?;
        let job = self.0.clone();
        Ok(Op::new(async move { job.fail(failure).await }))
    }

    fn release(&self) -> Op {
        let job = self.0.clone();
        Op::new(async move { job.release().await })
    }
}

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Jobs>()?;
    module.add_class::<Job>()
}

//! Messages for agents at work: those that their handlers get, and the inbox in the middle of a task.

use crate::{
    args::{Names, Span, Text, span},
    jobs::ended,
    messages::AgentMessage,
    new_task::retry_policy,
    op::{Answer, Op},
    options::options,
    runtime::ForkSafe,
    view::Show,
};
use kurultai_core::{
    Json,
    worker::{self, Ended, MessageLimits},
};
use pyo3::{
    prelude::*,
    types::{PyDict, PyString},
};
use std::sync::Arc;

/// A delivered message and the right to end its delivery. Dropped before its end, it is delivered again.
#[pyclass(frozen, module = "kurultai._native")]
pub(crate) struct MessageJob(ForkSafe<Arc<worker::MessageJob>>);

impl Answer for worker::MessageJob {
    fn give(self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        Ok(Py::new(py, MessageJob(ForkSafe::new(Arc::new(self))))?.into_any())
    }
}

options! {
    MessageLimitOptions { timeout: Span, retry: Py<PyAny> }
}

impl MessageLimitOptions {
    fn limits(self, py: Python<'_>) -> PyResult<MessageLimits> {
        let usual = MessageLimits::default();
        Ok(MessageLimits {
            timeout: span(py, "timeout", self.timeout)?.unwrap_or(usual.timeout),
            retry: self.retry.map_or(Ok(usual.retry), |retry| retry_policy(retry.bind(py)))?,
        })
    }
}

/// Why a handler must stop, on its way to whoever runs it.
struct Stopped(worker::MessageContext, worker::Stop);

impl Answer for Stopped {
    fn give(self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.0.take_up();
        self.1.show(py)
    }
}

#[pymethods]
impl MessageJob {
    #[getter]
    fn message(&self) -> AgentMessage {
        kurultai_core::messages::AgentMessage::clone(&self.0.message).into()
    }

    #[getter]
    fn stop(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.0.stop().show(py)
    }

    #[getter]
    fn is_draining(&self) -> bool {
        self.0.is_draining()
    }

    fn draining(&self) -> Op {
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

    fn reply(
        &self,
        r#type: Text,
        body: &Bound<'_, PyAny>,
        default: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Op> {
        let (context, body) = (self.0.context(), crate::json::write_as("body", body, default)?);
        Ok(Op::new(async move { context.reply_with(String::from(r#type), body).await }))
    }

    /// A handler begins: its time counts from here.
    fn limit(&self, py: Python<'_>, limits: &Bound<'_, PyDict>) -> PyResult<()> {
        self.0.begin(MessageLimitOptions::of(limits)?.limits(py)?);
        Ok(())
    }

    /// The handler returned; with what is for nobody.
    fn returned(&self) -> Op {
        self.end(Ended::Returned(Json::default()))
    }

    /// The handler raised, as of a [`Job`](crate::jobs::Job).
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
        Op::new(async move {
            job.give_back().await;
            Ok(())
        })
    }
}

impl MessageJob {
    fn end(&self, ended: Ended) -> Op {
        let job = self.0.clone();
        Op::new(async move { job.end(ended).await })
    }
}

options! {
    IncomingOptions { types: Names, wait: Span }
}

/// The messages for an agent in the middle of a task.
#[pyclass(frozen, module = "kurultai._native")]
pub(crate) struct Incoming(ForkSafe<Arc<worker::Incoming>>);

impl Incoming {
    pub(crate) fn of(
        py: Python<'_>,
        context: &worker::Context,
        options: &Bound<'_, PyDict>,
    ) -> PyResult<Self> {
        let IncomingOptions { types, wait } = IncomingOptions::of(options)?;
        let mut incoming = context.messages();
        if let Some(types) = types {
            incoming = incoming.types(types.0);
        }
        if let Some(wait) = span(py, "wait", wait)? {
            incoming = incoming.wait(wait);
        }
        Ok(Incoming(ForkSafe::new(Arc::new(incoming))))
    }
}

impl Answer for worker::IncomingGuard {
    fn give(self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.take().give(py)
    }
}

#[pymethods]
impl Incoming {
    fn next(&self) -> Op {
        let incoming = self.0.clone();
        Op::new(async move { incoming.next_guarded().await })
    }
}

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<MessageJob>()?;
    module.add_class::<Incoming>()
}

//! The room `events`.

use crate::{
    args::{Count, Span, TaskId, Text, Time, count, span},
    errors::Raise,
    op::{Answer, Op},
    options::options,
    runtime::ForkSafe,
    view::view,
};
use kurultai_core::{Events as CoreEvents, events, events::EventFilter};
use pyo3::{
    prelude::*,
    types::{PyDict, PyIterator, PyList},
};
use std::sync::Arc;
use tokio::sync::Mutex;

view! {
    /// Something that happened. `seq` grows in commit order within the namespace, without a gap.
    Event of events::Event { seq, topic, source, task_id, task_type, correlation_id, payload, created_at }

    fn __hash__(&self) -> u64 {
        self.inner.seq as u64
    }
}

view! {
    /// Something that somebody should look at. `key` says what it is about: `agent.dead:kublai`, `queue.depth`.
    Alert of events::Alert { key, severity, state, text, raised_at, cleared_at }
}

/// What a read has found, and from where to read on.
#[pyclass(frozen, get_all, module = "kurultai")]
pub(crate) struct EventPage {
    events: Py<PyList>,
    next: i64,
}

#[pymethods]
impl EventPage {
    fn __iter__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyIterator>> {
        self.events.bind(py).try_iter()
    }

    fn __len__(&self, py: Python<'_>) -> usize {
        self.events.bind(py).len()
    }

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
        crate::view::repr(slf.as_any(), &["events", "next"])
    }
}

impl Answer for events::EventPage {
    fn give(self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let events::EventPage { events, next } = self;
        let events = events.give(py)?.into_bound(py).cast_into::<PyList>()?.unbind();
        Ok(Py::new(py, EventPage { events, next })?.into_any())
    }
}

#[pyclass(frozen, module = "kurultai._native")]
pub(crate) struct Events(ForkSafe<CoreEvents>);

impl Events {
    pub(crate) fn new(core: CoreEvents) -> Self {
        Events(ForkSafe::new(core))
    }
}

/// A reader that goes on for ever.
#[pyclass(frozen, module = "kurultai._native")]
pub(crate) struct Follow(ForkSafe<Arc<Mutex<events::Follow>>>);

/// How many events it takes at once.
const PAGE: usize = 256;

#[pymethods]
impl Follow {
    fn next(&self) -> Op {
        let follow = self.0.clone();
        Op::new(async move { follow.lock().await.next().await })
    }
}

options! {
    FilterOptions {
        after_seq: i64, topic: String, source: String, task: TaskId, task_type as "type": String, since: Time, limit: Count, wait: Span,
    }
}

impl FilterOptions {
    fn filter(self, py: Python<'_>) -> PyResult<EventFilter> {
        let usual = EventFilter::default();
        Ok(EventFilter {
            after_seq: self.after_seq.unwrap_or(usual.after_seq),
            topic: self.topic,
            source: self.source,
            task_id: self.task.map(|task| task.0),
            task_type: self.task_type,
            since: self.since.map(|time| time.named(py, "since")).transpose()?,
            limit: count(py, "limit", self.limit)?.unwrap_or(usual.limit),
            wait: span(py, "wait", self.wait)?.unwrap_or(usual.wait),
        })
    }
}

#[pymethods]
impl Events {
    fn read(&self, py: Python<'_>, filter: &Bound<'_, PyDict>) -> PyResult<Op> {
        let filter = FilterOptions::of(filter)?.filter(py)?;
        let events = self.0.clone();
        Ok(Op::new(async move { events.read(filter).await }))
    }

    fn follow(&self, py: Python<'_>, filter: &Bound<'_, PyDict>) -> PyResult<Follow> {
        let filter = EventFilter { limit: PAGE, ..FilterOptions::of(filter)?.filter(py)? };
        let follow = self.0.follow(filter).raise(py)?;
        Ok(Follow(ForkSafe::new(Arc::new(Mutex::new(follow)))))
    }

    fn alerts(&self) -> Op {
        let events = self.0.clone();
        Op::new(async move { events.alerts().await })
    }

    fn last_seq(&self) -> Op {
        let events = self.0.clone();
        Op::new(async move { events.last_seq().await })
    }
}

/// Whether a topic fits a pattern: words between dots, `*` for one word, `**` for any number of words.
#[pyfunction]
fn matches(pattern: Text, topic: Text) -> bool {
    events::matches(&pattern, &topic)
}

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Event>()?;
    module.add_class::<EventPage>()?;
    module.add_class::<Alert>()?;
    module.add_class::<Events>()?;
    module.add_class::<Follow>()?;
    module.add_function(pyo3::wrap_pyfunction!(matches, module)?)
}

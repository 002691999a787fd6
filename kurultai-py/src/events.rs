//! The room `events`.

use crate::{
    args::{Count, Span, TaskId, Text, Time, count, span},
    errors::Raise,
    json,
    op::{Answer, Op},
    options::options,
    runtime::ForkSafe,
    view::view,
};
use kurultai_core::{
    Events as CoreEvents, events,
    events::{Consume, EventFilter, NewEvent, NewSubscription, Start},
};
use pyo3::{
    exceptions::PyTypeError,
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

view! {
    /// What became of an event that was published.
    Published of events::Published { seq, deduplicated }

    fn __hash__(&self) -> u64 {
        self.inner.seq as u64
    }
}

view! {
    /// A subscription as it stands. Spans are seconds.
    Subscription of events::Subscription {
        name, topic, agent, source, filter as "where", batch, quiet, paused, cursor, lag, held_until, tries, error, created_at,
        updated_at,
    }
}

view! {
    /// An event without which a subscription went on.
    DeadEvent of events::DeadEvent { seq, topic, tries, error, at }
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
pub(crate) struct Events {
    core: ForkSafe<CoreEvents>,
    /// The hook for what JSON has no form for.
    default: Option<Py<PyAny>>,
}

impl Events {
    pub(crate) fn new(core: CoreEvents, default: Option<Py<PyAny>>) -> Self {
        Events { core: ForkSafe::new(core), default }
    }

    fn new_event(&self, given: &Bound<'_, PyDict>) -> PyResult<NewEvent> {
        let py = given.py();
        let EventOptions { topic, payload, source, task, correlation_id, key, cause } =
            EventOptions::of(given)?;
        let topic = topic.ok_or_else(|| PyTypeError::new_err("an event needs 'topic'"))?;
        let default = self.default.as_ref().map(|default| default.bind(py));
        let payload = payload.map(|payload| json::write(payload.bind(py), default)).transpose()?;
        Ok(NewEvent { topic, payload, source, task_id: task.map(|task| task.0), correlation_id, key, cause })
    }
}

options! {
    EventOptions {
        topic: String, payload: Py<PyAny>, source: String, task: TaskId, correlation_id: String, key: String, cause: i64,
    }
}

/// The next events of a subscription, held until they are acknowledged or this is dropped.
#[pyclass(frozen, module = "kurultai._native")]
pub(crate) struct EventBatch {
    events: Py<PyList>,
    core: ForkSafe<Arc<events::EventBatch>>,
}

/// None where nothing came.
impl Answer for events::EventBatch {
    fn give(mut self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        if self.is_empty() {
            return Ok(py.None());
        }
        let events =
            std::mem::take(&mut self.events).give(py)?.into_bound(py).cast_into::<PyList>()?.unbind();
        Ok(Py::new(py, EventBatch { events, core: ForkSafe::new(Arc::new(self)) })?.into_any())
    }
}

#[pymethods]
impl EventBatch {
    #[getter]
    fn events(&self, py: Python<'_>) -> Py<PyList> {
        self.events.clone_ref(py)
    }

    fn ack(&self) -> Op {
        let batch = self.core.clone();
        Op::new(async move { batch.ack().await })
    }

    fn retry(&self, py: Python<'_>, error: String, after: Span) -> PyResult<Op> {
        let (batch, after) = (self.core.clone(), after.named(py, "after")?);
        Ok(Op::new(async move { batch.retry(&error, after).await }))
    }
}

/// The number of an event, or a time.
pub(crate) struct StartArg(Result<i64, Time>);

impl<'py> FromPyObject<'_, 'py> for StartArg {
    type Error = PyErr;

    fn extract(value: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        match value.extract::<i64>() {
            Ok(seq) => Ok(StartArg(Ok(seq))),
            Err(_) => value.extract().map(|time| StartArg(Err(time))),
        }
    }
}

fn start(py: Python<'_>, field: &str, start: Option<StartArg>) -> PyResult<Start> {
    Ok(match start {
        None => Start::Now,
        Some(StartArg(Ok(seq))) => Start::After(seq),
        Some(StartArg(Err(time))) => Start::Since(time.named(py, field)?),
    })
}

options! {
    SubscribeOptions {
        agent: String, source: String, filter as "where": Py<PyAny>, start: StartArg, batch: Span, quiet: Span,
    }
}

options! {
    ConsumeOptions { max: Count, wait: Span, hold: Span }
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
    fn publish(&self, event: &Bound<'_, PyDict>) -> PyResult<Op> {
        let (event, events) = (self.new_event(event)?, self.core.clone());
        Ok(Op::new(async move { events.publish(event).await }))
    }

    fn publish_many(&self, all: &Bound<'_, PyAny>) -> PyResult<Op> {
        let each = all.try_iter()?.map(|event| self.new_event(event?.cast()?));
        let (all, events) = (each.collect::<PyResult<Vec<_>>>()?, self.core.clone());
        Ok(Op::new(async move { events.publish_many(all).await }))
    }

    fn subscribe(
        &self,
        py: Python<'_>,
        name: String,
        topic: String,
        options: &Bound<'_, PyDict>,
    ) -> PyResult<Op> {
        let given = SubscribeOptions::of(options)?;
        let subscription = NewSubscription {
            agent: given.agent,
            source: given.source,
            filter: given.filter.map(|filter| json::write(filter.bind(py), None)).transpose()?,
            start: start(py, "start", given.start)?,
            batch: span(py, "batch", given.batch)?.unwrap_or_default(),
            quiet: span(py, "quiet", given.quiet)?.unwrap_or_default(),
            ..NewSubscription::new(name, topic)
        };
        let events = self.core.clone();
        Ok(Op::new(async move { events.subscribe(subscription).await }))
    }

    fn consume(&self, py: Python<'_>, name: String, options: &Bound<'_, PyDict>) -> PyResult<Op> {
        let given = ConsumeOptions::of(options)?;
        let usual = Consume::new(name);
        let consume = Consume {
            max: count(py, "max", given.max)?.unwrap_or(usual.max),
            wait: span(py, "wait", given.wait)?.unwrap_or(usual.wait),
            hold: span(py, "hold", given.hold)?.unwrap_or(usual.hold),
            name: usual.name,
        };
        let events = self.core.clone();
        Ok(Op::new(async move { events.consume(consume).await }))
    }

    fn subscriptions(&self, agent: Option<String>) -> Op {
        let events = self.core.clone();
        Op::new(async move { events.subscriptions(agent.as_deref()).await })
    }

    fn pause(&self, name: String) -> Op {
        let events = self.core.clone();
        Op::new(async move { events.pause(&name).await })
    }

    fn unpause(&self, name: String) -> Op {
        let events = self.core.clone();
        Op::new(async move { events.unpause(&name).await })
    }

    fn rewind(&self, py: Python<'_>, name: String, to: Option<StartArg>) -> PyResult<Op> {
        let (to, events) = (start(py, "to", to)?, self.core.clone());
        Ok(Op::new(async move { events.rewind(&name, to).await }))
    }

    fn unsubscribe(&self, name: String) -> Op {
        let events = self.core.clone();
        Op::new(async move { events.unsubscribe(&name).await })
    }

    fn dead(&self, name: String) -> Op {
        let events = self.core.clone();
        Op::new(async move { events.dead(&name).await })
    }

    fn read(&self, py: Python<'_>, filter: &Bound<'_, PyDict>) -> PyResult<Op> {
        let filter = FilterOptions::of(filter)?.filter(py)?;
        let events = self.core.clone();
        Ok(Op::new(async move { events.read(filter).await }))
    }

    fn follow(&self, py: Python<'_>, filter: &Bound<'_, PyDict>) -> PyResult<Follow> {
        let filter = EventFilter { limit: PAGE, ..FilterOptions::of(filter)?.filter(py)? };
        let follow = self.core.follow(filter).raise(py)?;
        Ok(Follow(ForkSafe::new(Arc::new(Mutex::new(follow)))))
    }

    fn alerts(&self) -> Op {
        let events = self.core.clone();
        Op::new(async move { events.alerts().await })
    }

    fn last_seq(&self) -> Op {
        let events = self.core.clone();
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
    module.add_class::<Published>()?;
    module.add_class::<Subscription>()?;
    module.add_class::<DeadEvent>()?;
    module.add_class::<EventBatch>()?;
    module.add_class::<Alert>()?;
    module.add_class::<Events>()?;
    module.add_class::<Follow>()?;
    module.add_function(pyo3::wrap_pyfunction!(matches, module)?)
}

//! What the room `tasks` answers with.

use crate::{
    args::Text,
    errors::Raise,
    op::Answer,
    view::{Show, view},
};
use kurultai_core::{tasks, tasks::Reason as CoreReason};
use pyo3::{
    prelude::*,
    types::{PyDict, PyIterator, PyList},
};
use std::{
    collections::hash_map::DefaultHasher,
    hash::{Hash, Hasher},
};

pub(crate) fn hash(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

view! {
    /// The right to finish a task. `version` only grows, also over a requeue: pass it to other systems as the
    /// fencing token. `str(lease)` is its one-string form, which every call takes in its place.
    Lease of tasks::Lease { task_id, claim_id, version, attempt, expires_at }

    #[staticmethod]
    fn parse(py: Python<'_>, text: Text) -> PyResult<Self> {
        text.parse::<tasks::Lease>().raise(py).map(Self::from)
    }

    fn __str__(&self) -> String {
        self.inner.to_string()
    }

    fn __hash__(&self) -> u64 {
        hash(&self.inner)
    }
}

view! {
    /// A task as its claimer gets it.
    Claimed of tasks::Claimed {
        id, task_type as "type", title, description, payload, priority, attempt, max_attempts, max_runtime, snoozes,
        delegated_by, parent_id, correlation_id, checkpoint, prerequisites, lease,
    }

    fn __hash__(&self) -> u64 {
        hash(&self.inner.lease)
    }
}

view! {
    /// A task that this one waited for, or that feeds it, with its results; they are `omitted` where those of the claim
    /// have more than 16 MiB without them, and `get` has them.
    Prerequisite of tasks::Prerequisite { id, dependency_type, status, results, omitted }
}

view! {
    /// The whole task.
    Task of tasks::Task {
        id, task_type as "type", title, description, status, priority, priority_weight, payload,
        required_capabilities, preferred_capabilities, assigned_to, delegated_by, parent_id, correlation_id,
        unique_key, depends_on, run_at, expires_at, attempts, max_attempts, max_runtime, snoozes, claimed_by, claimed_at, lease_version, lease_expires_at,
        progress, checkpoint, results, error_message, errors, usage, created_at, updated_at, completed_at,
    }

    fn __hash__(&self) -> u64 {
        hash(&self.inner.id)
    }
}

view! {
    /// One failed attempt.
    TaskError of tasks::TaskError { attempt, agent, kind, error, at }
}

view! {
    /// The id of a task that was added, or was there already.
    Enqueued of tasks::Enqueued { id, deduplicated }

    fn __str__(&self) -> &str {
        &self.inner.id
    }

    fn __hash__(&self) -> u64 {
        hash(&self.inner.id)
    }
}

view! {
    /// How a task stands after a finish; `repeated` where the same lease had ended it so before; what is stored is the first.
    Finished of tasks::Finished { id, status, repeated, run_at, failed }
}

view! {
    /// What a holder learns when it extends its lease: `signal` is continue, cancel, suspend or pause.
    Extended of tasks::Extended { lease, signal, reason, unread }
}

/// A page of a list; give `next` as the cursor for the next one.
#[pyclass(frozen, get_all, module = "kurultai")]
pub(crate) struct Page {
    tasks: Py<PyList>,
    next: Option<String>,
}

#[pymethods]
impl Page {
    fn __iter__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyIterator>> {
        self.tasks.bind(py).try_iter()
    }

    fn __len__(&self, py: Python<'_>) -> usize {
        self.tasks.bind(py).len()
    }

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
        crate::view::repr(slf.as_any(), &["tasks", "next"])
    }
}

impl Answer for tasks::Page {
    fn give(self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let tasks::Page { tasks, next } = self;
        let tasks = tasks.give(py)?.into_bound(py).cast_into::<PyList>()?.unbind();
        Ok(Py::new(py, Page { tasks, next })?.into_any())
    }
}

view! {
    /// How many tasks stand where, and how long they wait and run.
    Stats of tasks::Stats { by_status, oldest_pending_seconds, wait_seconds, run_seconds, expired_last_day, paused, stopped }
}

view! {
    /// An emergency stop: why, and since when.
    EmergencyStop of tasks::EmergencyStop { reason, at }
}

view! {
    /// Of spans, in seconds.
    Percentiles of tasks::Percentiles { p50, p95, p99 }
}

view! {
    /// What was taken over; after a dry run, what would be.
    Adoption of tasks::Adoption { dry_run, tasks, agents, by_status, findings }
}

view! {
    /// Something that happened to nodes in the same way, with the first five of them.
    Finding of tasks::Finding { kind, what, count, examples }
}

view! {
    /// What work has cost.
    Usage of tasks::Usage { tokens, cost, seconds }

    #[new]
    #[pyo3(signature = (*, tokens = 0, cost = 0.0, seconds = 0.0))]
    fn new(tokens: u64, cost: f64, seconds: f64) -> Self {
        tasks::Usage { tokens, cost, seconds }.into()
    }
}

view! {
    /// Why a task is not claimed; no reasons where somebody alive can claim it now.
    Explanation of tasks::Explanation { id, status, reasons, candidates }

    fn __str__(&self) -> String {
        let tasks::Explanation { id, status, reasons, candidates } = &self.inner;
        let why: Vec<String> = reasons.iter().map(ToString::to_string).collect();
        if why.is_empty() {
            format!("{id} is {status} and can be claimed by {}, where they handle its type", candidates.join(", "))
        } else {
            format!("{id} is {status}: {}", why.join("; "))
        }
    }
}

/// One reason why a task is not claimed. `str(reason)` says it in a sentence.
#[pyclass(frozen, module = "kurultai")]
pub(crate) struct Reason(CoreReason);

#[pymethods]
impl Reason {
    /// held, blocked_by, scheduled, paused, ...
    #[getter]
    fn reason(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        Ok(self.fields(py)?.get_item("reason")?.map(Bound::unbind))
    }

    /// What the sentence names: `{"by": "temujin", "until": ..}`.
    #[getter]
    fn details(&self, py: Python<'_>) -> PyResult<Py<PyDict>> {
        let fields = self.fields(py)?;
        fields.del_item("reason")?;
        Ok(fields.unbind())
    }

    /// `reason`, what the sentence names, and the sentence as `text`.
    fn to_dict(&self, py: Python<'_>) -> PyResult<Py<PyDict>> {
        let fields = self.fields(py)?;
        fields.set_item("text", self.0.to_string())?;
        Ok(fields.unbind())
    }

    fn __str__(&self) -> String {
        self.0.to_string()
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        Ok(format!("Reason({})", self.fields(py)?.repr()?.to_string_lossy()))
    }

    fn __eq__(&self, other: &Bound<'_, PyAny>) -> bool {
        other.cast::<Self>().is_ok_and(|other| other.get().0 == self.0)
    }
}

impl Reason {
    fn fields<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let json = kurultai_core::Json::of(&self.0).raise(py)?;
        Ok(json.show(py)?.into_bound(py).cast_into::<PyDict>()?)
    }
}

impl Show for CoreReason {
    fn annotation() -> String {
        "Reason".to_owned()
    }

    fn show(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        Ok(Py::new(py, Reason(self.clone()))?.into_any())
    }
}

impl Answer for tasks::ClaimGuard {
    fn give(self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.take().give(py)
    }
}

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Lease>()?;
    module.add_class::<Claimed>()?;
    module.add_class::<Prerequisite>()?;
    module.add_class::<Task>()?;
    module.add_class::<TaskError>()?;
    module.add_class::<Enqueued>()?;
    module.add_class::<Finished>()?;
    module.add_class::<Extended>()?;
    module.add_class::<Page>()?;
    module.add_class::<Stats>()?;
    module.add_class::<EmergencyStop>()?;
    module.add_class::<Percentiles>()?;
    module.add_class::<Adoption>()?;
    module.add_class::<Finding>()?;
    module.add_class::<Usage>()?;
    module.add_class::<Explanation>()?;
    module.add_class::<Reason>()
}

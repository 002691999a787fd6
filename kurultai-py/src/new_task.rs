//! What a caller can say of a task to enqueue, checked where it is written.

use crate::{
    args::{Names, Span, TaskId, Time, word, wrong},
    errors::{self, Raise},
    json,
    task_types::Usage,
};
use kurultai_core::{Error, tasks};
use pyo3::{
    PyClass, intern,
    prelude::*,
    types::{PyDict, PyString},
};

/// A task to enqueue. Its id is made here, so that other tasks of the same batch can depend on it and an enqueue
/// whose answer was lost can be repeated.
#[pyclass(frozen, module = "kurultai")]
pub(crate) struct NewTask {
    inner: tasks::NewTask,
}

#[pymethods]
impl NewTask {
    #[new]
    #[pyo3(signature = (
        r#type, payload = None, *, id = None, title = None, description = None, priority = None,
        priority_weight = None, requires = None, prefers = None, assigned_to = None, delegated_by = None,
        parent = None, depends_on = None, unique_key = None, run_at = None, delay = None, expires_at = None,
        expires_in = None, max_attempts = None, retry = None, wait_for = None, on_prerequisite_failure = None,
        default = None
    ))]
    #[expect(clippy::too_many_arguments, reason = "they are keywords in Python")]
    fn new(
        py: Python<'_>,
        r#type: String,
        payload: Option<&Bound<'_, PyAny>>,
        id: Option<String>,
        title: Option<String>,
        description: Option<String>,
        priority: Option<&str>,
        priority_weight: Option<f64>,
        requires: Option<Names>,
        prefers: Option<Names>,
        assigned_to: Option<String>,
        delegated_by: Option<String>,
        parent: Option<TaskId>,
        depends_on: Option<&Bound<'_, PyAny>>,
        unique_key: Option<String>,
        run_at: Option<Time>,
        delay: Option<Span>,
        expires_at: Option<Time>,
        expires_in: Option<Span>,
        max_attempts: Option<u32>,
        retry: Option<&Bound<'_, PyAny>>,
        wait_for: Option<&Bound<'_, PyAny>>,
        on_prerequisite_failure: Option<&str>,
        default: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        let either = |field: &str, other: &str| {
            errors::raised(py, Error::invalid(field, format!("beside {other}"), "one of the two"))
        };
        let mut task = tasks::NewTask::new(r#type);
        task.id = id.unwrap_or(task.id);
        task.title = title.unwrap_or_default();
        task.description = description.unwrap_or_default();
        if let Some(payload) = payload {
            task.payload = json::write(payload, default)?;
        }
        task.priority = word(py, priority)?.unwrap_or_default();
        task.priority_weight = priority_weight.unwrap_or(task.priority_weight);
        task.required_capabilities = requires.map_or_else(Vec::new, |names| names.0);
        task.preferred_capabilities = prefers.map_or_else(Vec::new, |names| names.0);
        task.assigned_to = assigned_to;
        task.delegated_by = delegated_by;
        task.parent_id = parent.map(|parent| parent.0);
        if let Some(edges) = depends_on {
            task.depends_on = dependencies(edges)?;
        }
        task.unique_key = unique_key;
        task.start = match (run_at, delay) {
            (None, None) => tasks::Start::Now,
            (Some(time), None) => tasks::Start::At(time.0),
            (None, Some(delay)) => tasks::Start::After(delay.0),
            (Some(_), Some(_)) => return Err(either("run_at", "delay")),
        };
        task.expiry = match (expires_at, expires_in) {
            (None, None) => tasks::Expiry::Default,
            (Some(time), None) => tasks::Expiry::At(time.0),
            (None, Some(Span(std::time::Duration::MAX))) => tasks::Expiry::Never,
            (None, Some(span)) => tasks::Expiry::After(span.0),
            (Some(_), Some(_)) => return Err(either("expires_at", "expires_in")),
        };
        task.max_attempts = max_attempts;
        task.retry = retry.map_or(Ok(task.retry), retry_policy)?;
        task.wait_for = wait_for.map_or(Ok(task.wait_for), wait_for_of)?;
        task.on_prerequisite_failure =
            word(py, on_prerequisite_failure)?.unwrap_or(task.on_prerequisite_failure);
        Ok(NewTask { inner: task })
    }

    #[getter]
    fn id(&self) -> &str {
        &self.inner.id
    }

    #[getter]
    fn r#type(&self) -> &str {
        &self.inner.task_type
    }

    fn __repr__(&self) -> String {
        let tasks::NewTask { id, task_type, payload, .. } = &self.inner;
        format!("NewTask({task_type:?}, {payload}, id={id:?})")
    }
}

/// A NewTask, or a dict of its fields.
pub(crate) fn new_task(
    value: &Bound<'_, PyAny>,
    default: Option<&Bound<'_, PyAny>>,
) -> PyResult<tasks::NewTask> {
    if let Ok(task) = value.cast::<NewTask>() {
        return Ok(task.get().inner.clone());
    }
    let py = value.py();
    let Ok(fields) = value.cast::<PyDict>() else {
        return Err(wrong(value.as_borrowed(), "a NewTask or a dict of its fields"));
    };
    let fields = fields.copy()?;
    if let Some(default) = default {
        fields.set_item(intern!(py, "default"), default)?;
    }
    let task = py.get_type::<NewTask>().call((), Some(&fields))?;
    Ok(task.cast::<NewTask>()?.get().inner.clone())
}

fn dependencies(edges: &Bound<'_, PyAny>) -> PyResult<Vec<tasks::Dependency>> {
    if edges.is_instance_of::<PyString>() {
        return Err(wrong(edges.as_borrowed(), "a list of tasks, ids or Dependency"));
    }
    edges.try_iter()?.map(|edge| dependency(&edge?)).collect()
}

/// A Dependency, or a task or id that blocks.
pub(crate) fn dependency(edge: &Bound<'_, PyAny>) -> PyResult<tasks::Dependency> {
    if edge.is_instance_of::<Dependency>() || edge.is_instance_of::<PyDict>() {
        return Ok(of_fields::<Dependency>(edge, "a Dependency")?.get().0.clone());
    }
    edge.extract::<TaskId>().map(|id| tasks::Dependency::from(id.0))
}

/// "all", "any", or how many.
fn wait_for_of(value: &Bound<'_, PyAny>) -> PyResult<tasks::WaitFor> {
    if let Ok(count) = value.extract::<u32>() {
        return Ok(tasks::WaitFor::Quorum(count));
    }
    match value.extract::<&str>() {
        Ok("all") => Ok(tasks::WaitFor::All),
        Ok("any") => Ok(tasks::WaitFor::Any),
        _ => {
            let error = Error::invalid("wait_for", value.str()?.to_string_lossy(), "all, any, or how many");
            Err(errors::raised(value.py(), error))
        }
    }
}

/// An edge to another task. `blocks`: this one waits; `feeds_into`: its results are handed over if they are there;
/// `parallel_ok`: for readers only.
#[pyclass(frozen, module = "kurultai")]
pub(crate) struct Dependency(tasks::Dependency);

#[pymethods]
impl Dependency {
    #[new]
    #[pyo3(signature = (prerequisite, r#type = "blocks", *, weight = None, detected_by = None))]
    fn new(
        py: Python<'_>,
        prerequisite: TaskId,
        r#type: &str,
        weight: Option<f64>,
        detected_by: Option<String>,
    ) -> PyResult<Self> {
        let dependency_type = r#type.parse().raise(py)?;
        let edge = tasks::Dependency { prerequisite: prerequisite.0, dependency_type, weight, detected_by };
        Ok(Dependency(edge))
    }

    fn __repr__(&self) -> String {
        let tasks::Dependency { prerequisite, dependency_type, weight: _, detected_by: _ } = &self.0;
        format!("Dependency({prerequisite:?}, {:?})", dependency_type.as_str())
    }
}

/// Back-off between attempts: `base` doubles each time up to `cap`; with `jitter`, which is the default, the wait is
/// drawn evenly from zero to that. Seconds or timedelta; 60 and 3600.
#[pyclass(frozen, module = "kurultai")]
pub(crate) struct RetryPolicy(tasks::RetryPolicy);

#[pymethods]
impl RetryPolicy {
    #[new]
    #[pyo3(signature = (*, base = None, cap = None, jitter = true))]
    fn new(base: Option<Span>, cap: Option<Span>, jitter: bool) -> Self {
        let usual = tasks::RetryPolicy::default();
        let (base, cap) = (base.map_or(usual.base, |s| s.0), cap.map_or(usual.cap, |s| s.0));
        RetryPolicy(tasks::RetryPolicy { base, cap, jitter })
    }

    fn __repr__(&self) -> String {
        let tasks::RetryPolicy { base, cap, jitter } = self.0;
        let jitter = if jitter { "True" } else { "False" };
        format!("RetryPolicy(base={}, cap={}, jitter={jitter})", base.as_secs_f64(), cap.as_secs_f64())
    }
}

/// A RetryPolicy, or a dict of its fields.
fn retry_policy(value: &Bound<'_, PyAny>) -> PyResult<tasks::RetryPolicy> {
    Ok(of_fields::<RetryPolicy>(value, "a RetryPolicy or a dict of base, cap and jitter")?.get().0)
}

/// A Usage, or a dict of its fields.
pub(crate) fn usage(value: Option<&Bound<'_, PyAny>>) -> PyResult<Option<tasks::Usage>> {
    let Some(value) = value else { return Ok(None) };
    let usage = of_fields::<Usage>(value, "a Usage or a dict of tokens, cost and seconds")?;
    Ok(Some(usage.get().inner))
}

/// An object of this class, or one made of a dict of its fields.
pub(crate) fn of_fields<'py, T: PyClass>(value: &Bound<'py, PyAny>, wanted: &str) -> PyResult<Bound<'py, T>> {
    if let Ok(made) = value.cast::<T>() {
        return Ok(made.clone());
    }
    let Ok(fields) = value.cast::<PyDict>() else { return Err(wrong(value.as_borrowed(), wanted)) };
    Ok(value.py().get_type::<T>().call((), Some(fields))?.cast_into::<T>()?)
}

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<NewTask>()?;
    module.add_class::<Dependency>()?;
    module.add_class::<RetryPolicy>()
}

//! What a caller can say of a task to enqueue, checked where it is written.

use crate::{
    args::{Count, Names, Span, TaskId, Text, Time, no_text, no_text_of, span, wrong},
    errors::{self, Raise},
    json,
    task_types::Usage,
};
use kurultai_core::{
    Error, tasks,
    tasks::{Expiry, Start},
};
use pyo3::{
    PyClass,
    exceptions::{PyRuntimeError, PyTypeError},
    prelude::*,
    types::{PyDict, PyString},
};
use std::time::Duration;

/// A task to enqueue. Its id is made here, so that other tasks of the same batch can depend on it and an enqueue
/// whose answer was lost can be repeated.
#[pyclass(frozen, module = "kurultai")]
pub(crate) struct NewTask {
    inner: tasks::NewTask,
}

#[pymethods]
impl NewTask {
    #[new]
    #[pyo3(signature = (r#type, payload = None, **fields), text_signature = "(type, payload=None, *, id=None, \
        title=None, description=None, priority=None, priority_weight=None, requires=None, prefers=None, \
        assigned_to=None, delegated_by=None, parent=None, correlation_id=None, depends_on=None, unique_key=None, run_at=None, delay=None, \
        expires_at=None, expires_in=None, max_attempts=None, max_runtime=None, retry=None, wait_for=None, \
        on_prerequisite_failure=None, default=None)")]
    fn new(
        r#type: Text,
        payload: Option<&Bound<'_, PyAny>>,
        fields: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Self> {
        let mut inner = tasks::NewTask::new(r#type);
        read(&mut inner, payload, fields, None)?;
        Ok(NewTask { inner })
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
    let Ok(fields) = value.cast::<PyDict>() else {
        return Err(wrong(value.as_borrowed(), "a NewTask or a dict of its fields"));
    };
    let mut task = tasks::NewTask::new(String::new());
    read(&mut task, None, Some(fields), default)?;
    Ok(task)
}

/// Of two dozen fields a task mostly says three, so these are looked at one by one; as arguments of a function all of
/// them would be.
fn read(
    task: &mut tasks::NewTask,
    payload: Option<&Bound<'_, PyAny>>,
    fields: Option<&Bound<'_, PyDict>>,
    default: Option<&Bound<'_, PyAny>>,
) -> PyResult<()> {
    let (mut payload, mut default) = (payload.cloned(), default.cloned());
    for entry in fields.map(json::entries).into_iter().flatten() {
        let (name, value) = entry.map_err(|json::Changed| {
            PyRuntimeError::new_err("the dict of a task's fields changed while it was read")
        })?;
        let text = name.cast::<PyString>()?.to_str();
        match text.map_err(|error| no_text(name.as_borrowed(), error))? {
            _ if value.is_none() => {}
            "payload" => payload = Some(value),
            "default" => default = Some(value),
            name => set(task, name, &value)?,
        }
    }
    if let Some(payload) = payload {
        task.payload = json::write(&payload, default.as_ref())?;
    }
    Ok(())
}

fn set(task: &mut tasks::NewTask, name: &str, value: &Bound<'_, PyAny>) -> PyResult<()> {
    let py = value.py();
    let one_of = |field: &str, other: &str| {
        Err(errors::raised(py, Error::invalid(field, format!("beside {other}"), "one of the two")))
    };
    match name {
        "type" => task.task_type = text(name, value)?,
        "id" => task.id = text(name, value)?,
        "title" => task.title = text(name, value)?,
        "description" => task.description = text(name, value)?,
        "priority" => task.priority = text::<&str>(name, value)?.parse().raise(py)?,
        "priority_weight" => task.priority_weight = field(name, value, "a number")?,
        "requires" => task.required_capabilities = field::<Names>(name, value, NAMES)?.0,
        "prefers" => task.preferred_capabilities = field::<Names>(name, value, NAMES)?.0,
        "assigned_to" => task.assigned_to = text(name, value)?,
        "delegated_by" => task.delegated_by = text(name, value)?,
        "correlation_id" => task.correlation_id = text(name, value)?,
        "parent" => task.parent_id = Some(field::<TaskId>(name, value, "a task or its id")?.0),
        "depends_on" => task.depends_on = dependencies(value)?,
        "unique_key" => task.unique_key = text(name, value)?,
        "run_at" | "delay" if !matches!(task.start, Start::Now) => return one_of("run_at", "delay"),
        "run_at" => task.start = Start::At(field::<Time>(name, value, TIME)?.named(py, name)?),
        "delay" => task.start = Start::After(field::<Span>(name, value, SPAN)?.named(py, name)?),
        "expires_at" | "expires_in" if !matches!(task.expiry, Expiry::Default) => {
            return one_of("expires_at", "expires_in");
        }
        "expires_at" => task.expiry = Expiry::At(field::<Time>(name, value, TIME)?.named(py, name)?),
        "expires_in" => {
            task.expiry = match field::<Span>(name, value, SPAN)?.named(py, name)? {
                Duration::MAX => Expiry::Never,
                span => Expiry::After(span),
            }
        }
        "max_attempts" => {
            task.max_attempts = Some(field::<Count>(name, value, "a whole number")?.named(py, name)?);
        }
        "max_runtime" => {
            let longest = field::<Span>(name, value, SPAN)?.named(py, name)?;
            task.max_runtime = Some(longest).filter(|longest| *longest != Duration::MAX);
        }
        "retry" => task.retry = Some(retry_policy(value)?),
        "wait_for" => task.wait_for = wait_for_of(value)?,
        "on_prerequisite_failure" => {
            task.on_prerequisite_failure = text::<&str>(name, value)?.parse().raise(py)?;
        }
        _ => return Err(PyTypeError::new_err(format!("a task has no field '{name}'"))),
    }
    Ok(())
}

const NAMES: &str = "a list of names, such as [\"development\"]";
const TIME: &str = "a datetime";
const SPAN: &str = "seconds or a timedelta";

fn field<'a, 'py, T: FromPyObject<'a, 'py>>(
    name: &str,
    value: &'a Bound<'py, PyAny>,
    wanted: &str,
) -> PyResult<T> {
    value.extract().map_err(|error: T::Error| {
        let (error, py): (PyErr, _) = (error.into(), value.py());
        if error.is_instance_of::<PyTypeError>(py) {
            errors::of(py, name, &wrong(value.as_borrowed(), wanted))
        } else {
            no_text_of(name, value.as_borrowed(), error)
        }
    })
}

fn text<'a, 'py, T: FromPyObject<'a, 'py>>(name: &str, value: &'a Bound<'py, PyAny>) -> PyResult<T> {
    field(name, value, "a str")
}

const EDGES: &str = "a list of tasks, ids or Dependency";

fn dependencies(edges: &Bound<'_, PyAny>) -> PyResult<Vec<tasks::Dependency>> {
    let refused = || errors::of(edges.py(), "depends_on", &wrong(edges.as_borrowed(), EDGES));
    if edges.is_instance_of::<PyString>() {
        return Err(refused());
    }
    edges.try_iter().map_err(|_| refused())?.map(|edge| dependency(&edge?)).collect()
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
    if let Ok(count) = value.extract::<Count>() {
        return count.named(value.py(), "wait_for").map(tasks::WaitFor::Quorum);
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
        detected_by: Option<Text>,
    ) -> PyResult<Self> {
        let detected_by = detected_by.map(Into::into);
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
    fn new(py: Python<'_>, base: Option<Span>, cap: Option<Span>, jitter: bool) -> PyResult<Self> {
        let usual = tasks::RetryPolicy::default();
        let base = span(py, "retry.base", base)?.unwrap_or(usual.base);
        let cap = span(py, "retry.cap", cap)?.unwrap_or(usual.cap);
        Ok(RetryPolicy(tasks::RetryPolicy { base, cap, jitter }))
    }

    fn __repr__(&self) -> String {
        let tasks::RetryPolicy { base, cap, jitter } = self.0;
        let jitter = if jitter { "True" } else { "False" };
        format!("RetryPolicy(base={}, cap={}, jitter={jitter})", base.as_secs_f64(), cap.as_secs_f64())
    }
}

/// A RetryPolicy, or a dict of its fields.
pub(crate) fn retry_policy(value: &Bound<'_, PyAny>) -> PyResult<tasks::RetryPolicy> {
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

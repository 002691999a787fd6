//! The room `tasks`: each method checks and converts what it was given, and returns the call to await.

use crate::{
    agents::UnderArg,
    args::{Count, LeaseArg, Names, Span, TaskId, Text, count, span, word},
    errors,
    finish::{FailOptions, FinishArg},
    json, new_task,
    op::Op,
    options::options,
    runtime::ForkSafe,
    update,
};
use kurultai_core::{
    Tasks as CoreTasks,
    tasks::{Cancel, Claim, Extend, Filter, Outcome},
};
use pyo3::{prelude::*, types::PyDict};

#[pyclass(frozen, module = "kurultai._native")]
pub(crate) struct Tasks {
    core: ForkSafe<CoreTasks>,
    /// The hook for what JSON has no form for.
    default: Option<Py<PyAny>>,
}

impl Tasks {
    pub(crate) fn new(core: CoreTasks, default: Option<Py<PyAny>>) -> Self {
        Tasks { core: ForkSafe::new(core), default }
    }

    fn default<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        self.default.as_ref().map(|default| default.bind(py).clone())
    }
}

options! {
    ClaimOptions { max: Count, types: Names, lease: Span, wait: Span, persistent: bool }
}

options! {
    RenewOptions { ttl: Span, progress: f64, checkpoint: Py<PyAny> }
}

options! {
    FilterOptions {
        status: String, task_type as "type": String, assigned_to: String, claimed_by: String, parent: TaskId,
        cursor: String, limit: Count,
    }
}

impl FilterOptions {
    fn filter(self, py: Python<'_>) -> PyResult<Filter> {
        let FilterOptions { status, task_type, assigned_to, claimed_by, parent, cursor, limit } = self;
        Ok(Filter {
            status: word(py, status.as_deref())?,
            task_type,
            assigned_to,
            claimed_by,
            parent_id: parent.map(|parent| parent.0),
            cursor,
            limit: count(py, "limit", limit)?.unwrap_or(Filter::default().limit),
        })
    }
}

/// An operation on the room, as something to await.
macro_rules! op {
    ($self:ident, $tasks:ident => $call:expr) => {{
        let $tasks = $self.core.clone();
        Op::new(async move { $call.await })
    }};
}

#[pymethods]
impl Tasks {
    /// For who holds a role.
    fn under(&self, py: Python<'_>, term: UnderArg) -> Self {
        Tasks {
            core: ForkSafe::new(self.core.under(term.0)),
            default: self.default.as_ref().map(|d| d.clone_ref(py)),
        }
    }

    fn enqueue(&self, py: Python<'_>, task: &Bound<'_, PyAny>) -> PyResult<Op> {
        let task = new_task::new_task(task, self.default(py).as_ref())?;
        Ok(op!(self, tasks => tasks.enqueue(task)))
    }

    fn enqueue_many(&self, py: Python<'_>, tasks: &Bound<'_, PyAny>) -> PyResult<Op> {
        let default = self.default(py);
        // What says how many it has may be wrong by any number.
        let mut all = Vec::with_capacity(tasks.len().unwrap_or_default().min(1000));
        for task in tasks.try_iter()? {
            let read = new_task::new_task(&task?, default.as_ref());
            all.push(read.map_err(|error| errors::of(py, &format!("task {}", all.len()), &error))?);
        }
        Ok(op!(self, tasks => tasks.enqueue_many(all)))
    }

    fn claim(&self, py: Python<'_>, agent: Text, options: &Bound<'_, PyDict>) -> PyResult<Op> {
        let ClaimOptions { max, types, lease, wait, persistent } = ClaimOptions::of(options)?;
        let claim = Claim {
            agent: agent.into(),
            max: count(py, "max", max)?.unwrap_or(1),
            types: types.map(|names| names.0),
            lease: span(py, "lease", lease)?,
            wait: span(py, "wait", wait)?.unwrap_or_default(),
            persistent: persistent.unwrap_or_default(),
        };
        Ok(op!(self, tasks => tasks.claim_guarded(claim)))
    }

    fn complete(
        &self,
        py: Python<'_>,
        task: LeaseArg,
        results: Option<&Bound<'_, PyAny>>,
        usage: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Op> {
        let results = json::write_results(results, self.default(py).as_ref())?.unwrap_or_default();
        let outcome = Outcome::Complete { results, usage: new_task::usage(usage)? };
        Ok(op!(self, tasks => tasks.finish(&task.0, outcome)))
    }

    fn fail(
        &self,
        py: Python<'_>,
        task: LeaseArg,
        error: &Bound<'_, PyAny>,
        options: &Bound<'_, PyDict>,
    ) -> PyResult<Op> {
        let failure = FailOptions::of(options)?.failure(error, self.default(py).as_ref())?;
        Ok(op!(self, tasks => tasks.fail(&task.0, failure)))
    }

    fn release(&self, task: LeaseArg) -> Op {
        op!(self, tasks => tasks.release(&task.0))
    }

    fn snooze(&self, py: Python<'_>, task: LeaseArg, after: Span) -> PyResult<Op> {
        let after = after.named(py, "after")?;
        Ok(op!(self, tasks => tasks.snooze(&task.0, after)))
    }

    fn finish(&self, finish: FinishArg) -> Op {
        op!(self, tasks => tasks.finish(&finish.0.lease, finish.0.outcome))
    }

    fn finish_many(&self, finishes: &Bound<'_, PyAny>) -> PyResult<Op> {
        let finishes = finishes.try_iter()?.map(|finish| Ok(finish?.extract::<FinishArg>()?.0));
        let finishes: Vec<_> = finishes.collect::<PyResult<_>>()?;
        Ok(op!(self, tasks => tasks.finish_many(finishes)))
    }

    fn complete_many(&self, py: Python<'_>, done: &Bound<'_, PyAny>) -> PyResult<Op> {
        let default = self.default(py);
        let finish = |pair: PyResult<Bound<'_, PyAny>>| {
            let (task, results): (LeaseArg, Bound<'_, PyAny>) = pair?.extract()?;
            let outcome = Outcome::Complete {
                results: json::write_as("results", &results, default.as_ref())?,
                usage: None,
            };
            Ok(kurultai_core::tasks::Finish { lease: task.0, outcome })
        };
        let finishes: Vec<_> = done.try_iter()?.map(finish).collect::<PyResult<_>>()?;
        Ok(op!(self, tasks => tasks.finish_many(finishes)))
    }

    fn renew(&self, py: Python<'_>, task: LeaseArg, options: &Bound<'_, PyDict>) -> PyResult<Op> {
        let RenewOptions { ttl, progress, checkpoint } = RenewOptions::of(options)?;
        let default = self.default(py);
        let written = |value: Py<PyAny>| json::write_as("checkpoint", value.bind(py), default.as_ref());
        let checkpoint = checkpoint.map(written).transpose()?;
        let ttl = span(py, "lease", ttl)?;
        let request = Extend { ttl, progress, checkpoint, ..Extend::new(task.0) };
        Ok(op!(self, tasks => tasks.renew(request)))
    }

    fn checkpoint(&self, py: Python<'_>, task: LeaseArg, checkpoint: &Bound<'_, PyAny>) -> PyResult<Op> {
        let checkpoint = json::write_as("checkpoint", checkpoint, self.default(py).as_ref())?;
        Ok(op!(self, tasks => tasks.checkpoint(&task.0, checkpoint)))
    }

    fn cancel(&self, task: TaskId, reason: Option<Text>, children: bool) -> Op {
        let reason = reason.map(Into::into);
        op!(self, tasks => tasks.cancel(&task.0, Cancel { reason, children }))
    }

    fn cancel_many(&self, py: Python<'_>, filter: &Bound<'_, PyDict>, reason: Option<Text>) -> PyResult<Op> {
        let filter = FilterOptions::of(filter)?.filter(py)?;
        Ok(op!(self, tasks => tasks.cancel_many(filter, reason.as_deref())))
    }

    fn update(&self, py: Python<'_>, task: TaskId, changes: &Bound<'_, PyDict>) -> PyResult<Op> {
        let update = update::update(py, changes, self.default(py).as_ref())?;
        Ok(op!(self, tasks => tasks.update(&task.0, update)))
    }

    fn reprioritize(
        &self,
        py: Python<'_>,
        task: TaskId,
        priority: Option<Text>,
        weight: Option<f64>,
    ) -> PyResult<Op> {
        let priority = word(py, priority.as_deref())?;
        Ok(op!(self, tasks => tasks.reprioritize(&task.0, priority, weight)))
    }

    fn assign(&self, task: TaskId, agent: Option<Text>, by: Option<Text>) -> Op {
        op!(self, tasks => tasks.assign(&task.0, agent.as_deref(), by.as_deref()))
    }

    fn suspend(&self, task: TaskId) -> Op {
        op!(self, tasks => tasks.suspend(&task.0))
    }

    fn resume(&self, task: TaskId) -> Op {
        op!(self, tasks => tasks.resume(&task.0))
    }

    fn requeue(&self, task: TaskId) -> Op {
        op!(self, tasks => tasks.requeue(&task.0))
    }

    fn requeue_many(&self, py: Python<'_>, filter: &Bound<'_, PyDict>) -> PyResult<Op> {
        let filter = FilterOptions::of(filter)?.filter(py)?;
        Ok(op!(self, tasks => tasks.requeue_many(filter)))
    }

    fn discard(&self, task: TaskId) -> Op {
        op!(self, tasks => tasks.discard(&task.0))
    }

    fn pause(&self, r#type: Option<Text>) -> Op {
        op!(self, tasks => tasks.pause(r#type.as_deref()))
    }

    fn unpause(&self, r#type: Option<Text>) -> Op {
        op!(self, tasks => tasks.unpause(r#type.as_deref()))
    }

    fn stop_all(&self, reason: Text) -> Op {
        op!(self, tasks => tasks.stop_all(&reason))
    }

    fn start_all(&self) -> Op {
        op!(self, tasks => tasks.start_all())
    }

    fn add_dependency(&self, task: TaskId, on: &Bound<'_, PyAny>) -> PyResult<Op> {
        let dependency = new_task::dependency(on)?;
        Ok(op!(self, tasks => tasks.add_dependency(&task.0, dependency)))
    }

    fn get(&self, task: TaskId) -> Op {
        op!(self, tasks => tasks.get(&task.0))
    }

    fn wait_for(&self, py: Python<'_>, task: TaskId, timeout: Span) -> PyResult<Op> {
        let timeout = timeout.named(py, "timeout")?;
        Ok(op!(self, tasks => tasks.wait_for(&task.0, timeout)))
    }

    fn get_many(&self, tasks: Vec<TaskId>) -> Op {
        let core = self.core.clone();
        Op::new(async move {
            let ids: Vec<&str> = tasks.iter().map(|task| task.0.as_str()).collect();
            core.get_many(&ids).await
        })
    }

    fn find(&self, unique_key: Text) -> Op {
        op!(self, tasks => tasks.find(&unique_key))
    }

    fn list(&self, py: Python<'_>, filter: &Bound<'_, PyDict>) -> PyResult<Op> {
        let filter = FilterOptions::of(filter)?.filter(py)?;
        Ok(op!(self, tasks => tasks.list(filter)))
    }

    fn stats(&self) -> Op {
        op!(self, tasks => tasks.stats())
    }

    fn explain(&self, task: TaskId) -> Op {
        op!(self, tasks => tasks.explain(&task.0))
    }
}

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Tasks>()
}

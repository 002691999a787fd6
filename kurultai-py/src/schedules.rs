//! The room `schedules`.

use crate::{
    args::{Span, Text, Time, span, word},
    new_task::new_task,
    op::Op,
    options::options,
    runtime::ForkSafe,
    view::view,
};
use kurultai_core::{Schedules as CoreSchedules, schedules, schedules::NewSchedule};
use pyo3::{prelude::*, types::PyDict};

view! {
    /// A schedule as it stands. Spans are seconds.
    Schedule of schedules::Schedule {
        name, task_type as "type", payload, task_fields, every, cron, timezone, start, catch_up, overlap, jitter, paused,
        next_due, upcoming, last_due, last_task, last_skipped, created_at, updated_at,
    }
}

options! {
    ScheduleOptions {
        every: Span, cron: String, timezone: String, catch_up: String, overlap: String, jitter: Span, start: Time,
    }
}

#[pyclass(frozen, module = "kurultai._native")]
pub(crate) struct Schedules {
    core: ForkSafe<CoreSchedules>,
    /// The hook for what JSON has no form for.
    default: Option<Py<PyAny>>,
}

impl Schedules {
    pub(crate) fn new(core: CoreSchedules, default: Option<Py<PyAny>>) -> Self {
        Schedules { core: ForkSafe::new(core), default }
    }
}

#[pymethods]
impl Schedules {
    fn put(
        &self,
        py: Python<'_>,
        name: Text,
        task: &Bound<'_, PyAny>,
        options: &Bound<'_, PyDict>,
    ) -> PyResult<Op> {
        let default = self.default.as_ref().map(|default| default.bind(py));
        let mut schedule = NewSchedule::new(name, new_task(task, default)?);
        let given = ScheduleOptions::of(options)?;
        schedule.every = span(py, "every", given.every)?;
        schedule.cron = given.cron;
        if let Some(timezone) = given.timezone {
            schedule.timezone = timezone;
        }
        if let Some(catch_up) = word(py, given.catch_up.as_deref())? {
            schedule.catch_up = catch_up;
        }
        schedule.overlap = word(py, given.overlap.as_deref())?;
        if let Some(jitter) = span(py, "jitter", given.jitter)? {
            schedule.jitter = jitter;
        }
        schedule.start = given.start.map(|start| start.named(py, "start")).transpose()?;
        let schedules = self.core.clone();
        Ok(Op::new(async move { schedules.put(schedule).await }))
    }

    fn list(&self) -> Op {
        let schedules = self.core.clone();
        Op::new(async move { schedules.list().await })
    }

    fn get(&self, name: Text) -> Op {
        let schedules = self.core.clone();
        Op::new(async move { schedules.get(&name).await })
    }

    fn pause(&self, name: Text) -> Op {
        let schedules = self.core.clone();
        Op::new(async move { schedules.pause(&name).await })
    }

    fn unpause(&self, name: Text) -> Op {
        let schedules = self.core.clone();
        Op::new(async move { schedules.unpause(&name).await })
    }

    fn remove(&self, name: Text) -> Op {
        let schedules = self.core.clone();
        Op::new(async move { schedules.remove(&name).await })
    }

    fn run_now(&self, name: Text) -> Op {
        let schedules = self.core.clone();
        Op::new(async move { schedules.run_now(&name).await })
    }
}

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Schedule>()?;
    module.add_class::<Schedules>()
}

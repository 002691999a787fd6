//! What to change of a task. A field that is not in the dict stays; None means at once, never, anybody.

use crate::{
    args::Time,
    errors::Raise,
    json,
    options::{each_given, field},
};
use kurultai_core::tasks::TaskUpdate;
use pyo3::{prelude::*, types::PyDict};

pub(crate) fn update(
    py: Python<'_>,
    changes: &Bound<'_, PyDict>,
    default: Option<&Bound<'_, PyAny>>,
) -> PyResult<TaskUpdate> {
    let mut update = TaskUpdate::new();
    each_given(changes, |name, value| {
        let time = || field::<Option<Time>>(name, value)?.map(|at| at.named(py, name)).transpose();
        match name {
            "title" => update.title = Some(field(name, value)?),
            "description" => update.description = Some(field(name, value)?),
            "payload" => update.payload = Some(json::write(value, default)?),
            "priority" => update.priority = Some(field::<String>(name, value)?.parse().raise(py)?),
            "priority_weight" => update.priority_weight = Some(field(name, value)?),
            "run_at" => update.run_at = Some(time()?),
            "expires_at" => update.expires_at = Some(time()?),
            "assigned_to" => update.assigned_to = Some(field(name, value)?),
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    Ok(update)
}

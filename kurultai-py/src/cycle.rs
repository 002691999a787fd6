//! What a cycle has done and found.

use crate::{args::Names, view::view};
use kurultai_core::cycle;
use pyo3::prelude::*;

view! {
    /// What a cycle has done and found. `asleep`: agents with work that sleep; `woken`: those whom `wake` was called for.
    CycleReport of cycle::CycleReport {
        agent, term, text, attention, delegated, stuck, asleep, woken, stale, alerts, inbox, tasks,
    }

    /// With those whom the caller has woken.
    fn with_woken(&self, woken: Names) -> Self {
        self.inner.clone().with_woken(woken.0).into()
    }
}

view! {
    /// A task that was given to an agent, with a message that tells it; `assigned` now, or before.
    Delegated of cycle::Delegated { task, to, assigned }
}

view! {
    /// A task, as a report names it.
    Item of cycle::Item { id, task_type as "type", title, status, required_capabilities }
}

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<CycleReport>()?;
    module.add_class::<Delegated>()?;
    module.add_class::<Item>()
}

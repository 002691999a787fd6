//! What the benchmark measures the bridge with: calls that cost the core nothing.

use crate::op::Op;
use chrono::{DateTime, Utc};
use kurultai_core::{
    Json,
    tasks::{Claimed, Lease, Priority},
};
use pyo3::prelude::*;

/// A call that is ready at once.
#[pyfunction]
fn ready() -> Op {
    Op::new(async { Ok(()) })
}

/// A call that goes to a thread of tokio and back.
#[pyfunction]
fn hop() -> Op {
    Op::new(async {
        tokio::task::yield_now().await;
        Ok(())
    })
}

/// A ready claim of so many tasks: what a batch costs on its way out.
#[pyfunction]
fn sample(count: usize, payload: String) -> Op {
    let id = kurultai_core::ids::new_id();
    let lease = Lease {
        task_id: id.clone(),
        claim_id: id.clone(),
        version: 1,
        attempt: 1,
        expires_at: DateTime::<Utc>::UNIX_EPOCH,
    };
    let task = Claimed {
        id: id.clone(),
        task_type: "review".to_owned(),
        title: String::new(),
        description: String::new(),
        payload: Json::stored(payload),
        priority: Priority::P1,
        attempt: 1,
        max_attempts: 3,
        max_runtime: None,
        snoozes: 0,
        delegated_by: None,
        parent_id: None,
        correlation_id: id,
        checkpoint: None,
        prerequisites: vec![],
        lease,
    };
    let tasks = vec![task; count];
    Op::new(async move { Ok(tasks) })
}

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(pyo3::wrap_pyfunction!(ready, module)?)?;
    module.add_function(pyo3::wrap_pyfunction!(hop, module)?)?;
    module.add_function(pyo3::wrap_pyfunction!(sample, module)?)
}

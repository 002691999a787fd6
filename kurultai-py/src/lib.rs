//! The native part of the Python package `kurultai`. Its public face is Python: kurultai-py/python/kurultai.
//!
//! Reading order: [`runtime`], [`op`] (one call of the core as something to await) and [`bridge`] (how its answer
//! comes back), then [`json`], [`errors`], [`view`] (results), [`args`] (parameters) and [`options`], then a file for each
//! room.

mod agents;
mod args;
mod bell;
mod bench;
mod bridge;
mod client;
mod copies;
mod cycle;
mod errors;
mod events;
mod finish;
mod jobs;
mod json;
mod keys;
mod legacy;
mod logs;
mod message_jobs;
mod messages;
mod new_task;
mod op;
mod options;
mod runtime;
mod schedules;
mod task_types;
mod tasks;
mod tokens;
mod update;
mod view;

use pyo3::prelude::*;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[pymodule]
fn _native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add_class::<op::Op>()?;
    module.add_class::<bridge::Bridge>()?;
    runtime::register(module)?;
    logs::register(module)?;
    op::register(module)?;
    errors::register(module)?;
    client::register(module)?;
    copies::register(module)?;
    cycle::register(module)?;
    task_types::register(module)?;
    new_task::register(module)?;
    finish::register(module)?;
    tasks::register(module)?;
    agents::register(module)?;
    schedules::register(module)?;
    events::register(module)?;
    jobs::register(module)?;
    messages::register(module)?;
    message_jobs::register(module)?;
    keys::register(module)?;
    tokens::register(module)?;
    legacy::register(module)?;
    bench::register(module)
}

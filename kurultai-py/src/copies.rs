//! Results as plain values, and on their way to another process.

use crate::op::Answer;
use kurultai_core::{agents, cycle, events, messages, schedules, tasks};
use pyo3::{
    exceptions::PyValueError,
    prelude::*,
    sync::PyOnceLock,
    types::{PyDict, PyList},
};

/// A result that was pickled.
#[pyfunction]
fn restore(py: Python<'_>, kind: &str, text: &str) -> PyResult<Py<PyAny>> {
    macro_rules! read {
        ($($name:literal is $core:path),+ $(,)?) => {
            match kind {
                $($name => serde_json::from_str::<$core>(text).map_err(unreadable)?.give(py),)+
                _ => Err(PyValueError::new_err(format!("there is no result called {kind:?}"))),
            }
        };
    }
    read! {
        "Lease" is tasks::Lease, "Claimed" is tasks::Claimed, "Prerequisite" is tasks::Prerequisite,
        "Task" is tasks::Task, "TaskError" is tasks::TaskError, "Enqueued" is tasks::Enqueued,
        "Finished" is tasks::Finished, "Extended" is tasks::Extended, "Stats" is tasks::Stats, "EmergencyStop" is tasks::EmergencyStop,
        "Percentiles" is tasks::Percentiles, "Adoption" is tasks::Adoption, "Finding" is tasks::Finding,
        "Usage" is tasks::Usage, "Explanation" is tasks::Explanation, "AgentInfo" is agents::AgentInfo,
        "AgentHealth" is agents::AgentHealth, "RoleLease" is agents::RoleLease,
        "FailoverEvent" is agents::FailoverEvent, "Schedule" is schedules::Schedule, "Event" is events::Event, "Published" is events::Published,
        "Subscription" is events::Subscription, "DeadEvent" is events::DeadEvent,
        "Alert" is events::Alert, "CycleReport" is cycle::CycleReport,
        "Delegated" is cycle::Delegated, "Item" is cycle::Item, "NamespaceInfo" is kurultai_core::NamespaceInfo,
        "Check" is kurultai_core::Check, "AgentMessage" is messages::AgentMessage, "Signer" is messages::Signer,
        "Receipt" is messages::Receipt, "Sent" is messages::Sent, "Settled" is messages::Settled,
        "Unread" is messages::Unread, "AgentKey" is messages::AgentKey, "SkippedKey" is messages::SkippedKey,
        "ImportedKeys" is messages::ImportedKeys, "VerifiedMessage" is crate::tokens::Said,
    }
}

pub(crate) fn restorer(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    static RESTORE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    RESTORE.import(py, "kurultai._native", "restore").cloned()
}

pub(crate) fn unreadable(error: serde_json::Error) -> PyErr {
    PyValueError::new_err(error.to_string())
}

pub(crate) fn to_dict(object: &Bound<'_, PyAny>, fields: &[&str]) -> PyResult<Py<PyDict>> {
    let dict = PyDict::new(object.py());
    for field in fields {
        dict.set_item(field, plain(&object.getattr(*field)?)?)?;
    }
    Ok(dict.unbind())
}

/// Without any class of ours.
fn plain<'py>(value: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    if value.get_type().name()? == "Lease" {
        return Ok(value.str()?.into_any());
    }
    if let Ok(list) = value.cast::<PyList>() {
        let items: Vec<_> = list.iter().map(|item| plain(&item)).collect::<PyResult<_>>()?;
        return Ok(PyList::new(value.py(), items)?.into_any());
    }
    if value.hasattr("to_dict")? { value.call_method0("to_dict") } else { Ok(value.clone()) }
}

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(pyo3::wrap_pyfunction!(restore, module)?)
}

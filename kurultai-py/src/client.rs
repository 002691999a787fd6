//! `open`: one team's shared picture.

use crate::{
    agents::Agents,
    args::{Count, Names, Span, Time, count, span},
    errors::Raise,
    events::Events,
    jobs::Started,
    op::{Answer, Op},
    runtime::ForkSafe,
    tasks::Tasks,
};
use kurultai_core::{
    Clock, Config, Kurultai as Core, ManualClock as CoreClock,
    config::{Retention, TaskDefaults},
    tasks::AdoptOptions,
    worker::Agent,
};
use pyo3::prelude::*;
use std::time::Duration;

#[pyclass(frozen, module = "kurultai._native")]
pub(crate) struct Kurultai {
    core: ForkSafe<Core>,
    default: Option<Py<PyAny>>,
}

/// An opened team on its way to Python.
struct Opened(Core);

impl Answer for Opened {
    fn give(self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        Ok(Py::new(py, Kurultai { core: ForkSafe::new(self.0), default: None })?.into_any())
    }
}

/// Infinity is never.
fn never(py: Python<'_>, field: &str, given: Option<Span>) -> PyResult<Option<Duration>> {
    Ok(span(py, field, given)?.filter(|span| *span != Duration::MAX))
}

#[pyfunction]
#[expect(clippy::too_many_arguments, reason = "they are keywords in Python")]
fn open(
    py: Python<'_>,
    url: Option<&str>,
    namespace: Option<&str>,
    migrate: bool,
    background: bool,
    max_attempts: Option<Count>,
    timeout: Option<Span>,
    lease: Option<Span>,
    keep_tasks: Option<Span>,
    keep_events: Option<Span>,
    aging: Option<Span>,
    clock: Option<&Bound<'_, ManualClock>>,
) -> PyResult<Op> {
    let mut config = url.map_or_else(Config::from_env, Config::new).raise(py)?;
    if let Some(namespace) = namespace {
        config = config.namespace(namespace).raise(py)?;
    }
    let TaskDefaults { max_attempts: attempts, timeout: wait, lease: usual } = config.defaults().clone();
    let config = config
        .migrate(migrate)
        .background(background)
        .clock(clock.map_or(Clock::Store, |clock| Clock::Manual(clock.get().0.clone())))
        .retention(Retention {
            tasks: never(py, "retention.tasks", keep_tasks)?,
            events: never(py, "retention.events", keep_events)?,
        })
        .task_defaults(TaskDefaults {
            max_attempts: count(py, "task_defaults.max_attempts", max_attempts)?.unwrap_or(attempts),
            timeout: if timeout.is_some() { never(py, "task_defaults.timeout", timeout)? } else { wait },
            lease: span(py, "task_defaults.lease", lease)?.unwrap_or(usual),
        });
    let config = if aging.is_some() { config.aging(never(py, "aging", aging)?) } else { config };
    Ok(Op::new(async { Core::open_with(config).await.map(Opened) }))
}

#[pymethods]
impl Kurultai {
    #[getter(default)]
    fn hook(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.default.as_ref().map(|default| default.clone_ref(py))
    }

    /// The same team with a hook for what JSON has no form for.
    fn with_default(&self, default: Py<PyAny>) -> Self {
        Kurultai { core: ForkSafe::new(self.core.clone()), default: Some(default) }
    }

    #[getter]
    fn tasks(&self, py: Python<'_>) -> Tasks {
        Tasks::new(self.core.tasks(), self.default.as_ref().map(|default| default.clone_ref(py)))
    }

    #[getter]
    fn agents(&self) -> Agents {
        Agents::new(self.core.agents())
    }

    #[getter]
    fn events(&self) -> Events {
        Events::new(self.core.events())
    }

    #[getter]
    fn namespace(&self) -> &str {
        self.core.namespace()
    }

    #[getter]
    fn store_name(&self) -> &'static str {
        self.core.store_name()
    }

    #[getter]
    fn statements(&self) -> u64 {
        self.core.statements()
    }

    fn maintain(&self) -> Op {
        let core = self.core.clone();
        Op::new(async move { core.maintain().await })
    }

    fn adopt(
        &self,
        dry_run: bool,
        labels: Option<Names>,
        ids: Option<Names>,
        types: Option<Names>,
        statuses: Option<Names>,
    ) -> Op {
        let [labels, ids, types, statuses] =
            [labels, ids, types, statuses].map(|names| names.map(|names| names.0));
        let options = AdoptOptions { dry_run, labels, ids, types, statuses };
        let core = self.core.clone();
        Op::new(async move { core.adopt(options).await })
    }

    /// Registers an agent and begins to claim for it.
    #[expect(clippy::too_many_arguments, reason = "they are keywords in Python")]
    fn start(
        &self,
        py: Python<'_>,
        agent: String,
        types: Option<Names>,
        capabilities: Option<Names>,
        aliases: Option<Names>,
        display_name: Option<String>,
        role: Option<String>,
        concurrency: Count,
        max_concurrent: Option<Count>,
        lease: Option<Span>,
        wait: Option<Span>,
        grace: Option<Span>,
        heartbeat: Option<Span>,
    ) -> PyResult<Op> {
        let mut agent = Agent::new(agent).concurrency(concurrency.named(py, "concurrency")?);
        if let Some(types) = types {
            agent = agent.types(types.0);
        }
        if let Some(capabilities) = capabilities {
            agent = agent.capabilities(capabilities.0);
        }
        if let Some(aliases) = aliases {
            agent = agent.aliases(aliases.0);
        }
        if let Some(name) = display_name {
            agent = agent.display_name(name);
        }
        if let Some(role) = role {
            agent = agent.role(role);
        }
        if let Some(most) = count(py, "max_concurrent", max_concurrent)? {
            agent = agent.max_concurrent(most);
        }
        if let Some(lease) = span(py, "lease", lease)? {
            agent = agent.lease(lease);
        }
        if let Some(wait) = span(py, "wait", wait)? {
            agent = agent.wait(wait);
        }
        if let Some(grace) = span(py, "grace", grace)? {
            agent = agent.grace(grace);
        }
        if let Some(heartbeat) = span(py, "heartbeat", heartbeat)? {
            agent = agent.heartbeat(heartbeat);
        }
        let core = self.core.clone();
        Ok(Op::new(async move { agent.start(&core).await.map(Started) }))
    }

    fn close(&self) -> Op {
        let core = self.core.clone();
        Op::new(async move {
            core.close().await;
            Ok(())
        })
    }
}

/// A clock that moves only when told, for tests: give it to `open(clock=...)`.
#[pyclass(frozen, module = "kurultai")]
pub(crate) struct ManualClock(CoreClock);

#[pymethods]
impl ManualClock {
    #[new]
    fn new(py: Python<'_>, at: Time) -> PyResult<Self> {
        at.named(py, "at").map(|at| ManualClock(CoreClock::at(at)))
    }

    /// Seconds or a timedelta.
    fn advance(&self, py: Python<'_>, by: Span) -> PyResult<()> {
        self.0.advance(by.named(py, "by")?);
        Ok(())
    }

    fn now(&self) -> chrono::DateTime<chrono::Utc> {
        self.0.now()
    }
}

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Kurultai>()?;
    module.add_class::<ManualClock>()?;
    module.add_function(pyo3::wrap_pyfunction!(open, module)?)
}

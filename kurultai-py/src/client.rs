//! `open`: one team's shared picture.

use crate::{
    agents::{Agents, thresholds},
    args::{Count, Names, Span, Text, Time, count, span, word},
    errors::Raise,
    events::Events,
    jobs::Started,
    json,
    keys::{Identities, Keys, WrappingKeys},
    messages::Messages,
    new_task::retry_policy,
    op::{Answer, Op},
    options::options,
    runtime::ForkSafe,
    schedules::Schedules,
    tasks::Tasks,
    view::view,
};
use kurultai_core::{
    Clock, Config, Kurultai as Core, ManualClock as CoreClock, Verify,
    config::{Retention, TaskDefaults},
    tasks::AdoptOptions,
    worker::Agent,
};
use pyo3::{prelude::*, types::PyDict};
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

options! {
    VerifyOptions { strict: bool, dead_after: Span, stuck_after: Span }
}

/// Infinity is never.
fn never(py: Python<'_>, field: &str, given: Option<Span>) -> PyResult<Option<Duration>> {
    Ok(span(py, field, given)?.filter(|span| *span != Duration::MAX))
}

options! {
    OpenOptions {
        namespace: String, migrate: bool, background: bool, task_defaults: TaskDefaultsOptions,
        retention: RetentionOptions, aging: Span, max_depth: Count, clock: Py<ManualClock>,
        identity: Identities, wrapping_key: WrappingKeys, min_version: Count,
    }
}

options! {
    TaskDefaultsOptions { max_attempts: Count, max_snoozes: Count, expires_in: Span, lease: Span, retry: Py<PyAny> }
}

options! {
    RetentionOptions { tasks: Span, events: Span, messages: Span }
}

impl OpenOptions {
    fn config(self, py: Python<'_>, url: Option<&str>) -> PyResult<Config> {
        let OpenOptions {
            namespace,
            migrate,
            background,
            task_defaults,
            retention,
            aging,
            max_depth,
            clock,
            identity,
            wrapping_key,
            min_version,
        } = self;
        let mut config = url.map_or_else(Config::from_env, Config::new).raise(py)?;
        if let Some(namespace) = namespace {
            config = config.namespace(&namespace).raise(py)?;
        }
        if let Some(migrate) = migrate {
            config = config.migrate(migrate);
        }
        if let Some(background) = background {
            config = config.background(background);
        }
        if let Some(given) = task_defaults {
            let usual = config.defaults().clone();
            config = config.task_defaults(TaskDefaults {
                max_attempts: count(py, "task_defaults.max_attempts", given.max_attempts)?
                    .unwrap_or(usual.max_attempts),
                max_snoozes: count(py, "task_defaults.max_snoozes", given.max_snoozes)?
                    .unwrap_or(usual.max_snoozes),
                expires_in: match given.expires_in {
                    None => usual.expires_in,
                    given => never(py, "task_defaults.expires_in", given)?,
                },
                lease: span(py, "task_defaults.lease", given.lease)?.unwrap_or(usual.lease),
                retry: match given.retry {
                    Some(retry) => retry_policy(retry.bind(py))?,
                    None => usual.retry,
                },
            });
        }
        if let Some(RetentionOptions { tasks, events, messages }) = retention {
            config = config.retention(Retention {
                tasks: never(py, "retention.tasks", tasks)?,
                events: never(py, "retention.events", events)?,
                messages: never(py, "retention.messages", messages)?,
            });
        }
        if aging.is_some() {
            config = config.aging(never(py, "aging", aging)?);
        }
        if let Some(most) = count(py, "max_depth", max_depth)? {
            config = config.max_depth(most);
        }
        if let Some(clock) = clock {
            config = config.clock(Clock::Manual(clock.get().0.clone()));
        }
        if let Some(version) = count::<u32>(py, "min_version", min_version)? {
            config = config.min_version(u8::try_from(version).unwrap_or(u8::MAX)).raise(py)?;
        }
        for key in wrapping_key.map_or_else(Vec::new, |keys| keys.0) {
            config = config.wrapping_key(key);
        }
        let identities = identity.map_or_else(Vec::new, |identities| identities.0);
        Ok(identities.into_iter().fold(config, Config::identity))
    }
}

view! {
    /// A team of a database, and how much it has there.
    NamespaceInfo of kurultai_core::NamespaceInfo { name, tasks, agents }
}

view! {
    /// What one check has found.
    Check of kurultai_core::Check { check, ok, text }
}

#[pyfunction]
fn open(py: Python<'_>, url: Option<Text>, options: &Bound<'_, PyDict>) -> PyResult<Op> {
    let config = OpenOptions::of(options)?.config(py, url.as_deref())?;
    Ok(Op::new(async { Core::open_with(config).await.map(Opened) }))
}

options! {
    AdoptFields { dry_run: bool, labels: Names, ids: Names, types: Names, statuses: Names }
}

options! {
    AgentSettings {
        types: Names, messages: Names, message_timeout: Span, capabilities: Names, aliases: Names, display_name: String, role: String, metadata: Py<PyAny>,
        concurrency: Count,
        max_concurrent: Count, lease: Span, wait: Span, grace: Span, heartbeat: Span, stall_after: Span,
        on_stall: String,
    }
}

impl AgentSettings {
    fn agent(self, py: Python<'_>, id: String) -> PyResult<Agent> {
        let mut agent = Agent::new(id);
        if let Some(most) = count(py, "concurrency", self.concurrency)? {
            agent = agent.concurrency(most);
        }
        if let Some(types) = self.types {
            agent = agent.types(types.0);
        }
        if let Some(messages) = self.messages {
            agent = agent.messages(messages.0);
        }
        if let Some(longest) = span(py, "message_timeout", self.message_timeout)? {
            agent = agent.message_timeout(longest);
        }
        if let Some(capabilities) = self.capabilities {
            agent = agent.capabilities(capabilities.0);
        }
        if let Some(aliases) = self.aliases {
            agent = agent.aliases(aliases.0);
        }
        if let Some(name) = self.display_name {
            agent = agent.display_name(name);
        }
        if let Some(role) = self.role {
            agent = agent.role(role);
        }
        if let Some(metadata) = self.metadata {
            agent = agent.metadata(json::write(metadata.bind(py), None)?);
        }
        if let Some(most) = count(py, "max_concurrent", self.max_concurrent)? {
            agent = agent.max_concurrent(most);
        }
        if let Some(lease) = span(py, "lease", self.lease)? {
            agent = agent.lease(lease);
        }
        if let Some(wait) = span(py, "wait", self.wait)? {
            agent = agent.wait(wait);
        }
        if let Some(grace) = span(py, "grace", self.grace)? {
            agent = agent.grace(grace);
        }
        if let Some(heartbeat) = span(py, "heartbeat", self.heartbeat)? {
            agent = agent.heartbeat(heartbeat);
        }
        if let Some(silence) = span(py, "stall_after", self.stall_after)? {
            agent = agent.stall_after(silence);
        }
        if let Some(then) = word(py, self.on_stall.as_deref())? {
            agent = agent.on_stall(then);
        }
        Ok(agent)
    }
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
    fn events(&self, py: Python<'_>) -> Events {
        Events::new(self.core.events(), self.default.as_ref().map(|default| default.clone_ref(py)))
    }

    #[getter]
    fn schedules(&self, py: Python<'_>) -> Schedules {
        Schedules::new(self.core.schedules(), self.default.as_ref().map(|default| default.clone_ref(py)))
    }

    #[getter]
    fn messages(&self, py: Python<'_>) -> Messages {
        Messages::new(self.core.messages(), self.default.as_ref().map(|default| default.clone_ref(py)))
    }

    #[getter]
    fn keys(&self) -> Keys {
        Keys::new(self.core.keys())
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

    fn adopt(&self, options: &Bound<'_, PyDict>) -> PyResult<Op> {
        let AdoptFields { dry_run, labels, ids, types, statuses } = AdoptFields::of(options)?;
        let [labels, ids, types, statuses] =
            [labels, ids, types, statuses].map(|names| names.map(|names| names.0));
        let options = AdoptOptions { dry_run: dry_run.unwrap_or_default(), labels, ids, types, statuses };
        let core = self.core.clone();
        Ok(Op::new(async move { core.adopt(options).await }))
    }

    fn cycle(&self, agent: Text) -> Op {
        let core = self.core.clone();
        Op::new(async move { core.cycle(&agent).await })
    }

    fn namespaces(&self) -> Op {
        let core = self.core.clone();
        Op::new(async move { core.namespaces().await })
    }

    fn delete_namespace(&self, name: Text) -> Op {
        let core = self.core.clone();
        Op::new(async move { core.delete_namespace(&name).await })
    }

    fn verify(&self, py: Python<'_>, options: &Bound<'_, PyDict>) -> PyResult<Op> {
        let VerifyOptions { strict, dead_after, stuck_after } = VerifyOptions::of(options)?;
        let thresholds = thresholds(py, dead_after, stuck_after)?;
        let verify = Verify { strict: strict.unwrap_or_default(), thresholds };
        let core = self.core.clone();
        Ok(Op::new(async move { core.verify(verify).await }))
    }

    /// Registers an agent and begins to claim for it.
    fn start(&self, py: Python<'_>, agent: Text, settings: &Bound<'_, PyDict>) -> PyResult<Op> {
        let agent = AgentSettings::of(settings)?.agent(py, agent.into())?;
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
    module.add_class::<NamespaceInfo>()?;
    module.add_class::<Check>()?;
    module.add_function(pyo3::wrap_pyfunction!(open, module)?)
}

//! The room `agents`.

use crate::{
    args::{Count, Names, Span, Text, Time, count, span, wrong},
    errors::Raise,
    json,
    new_task::of_fields,
    op::{Answer, Op},
    options::{each_given, field, options},
    runtime::ForkSafe,
    view::view,
};
use kurultai_core::{
    Agents as CoreAgents, Json, agents,
    agents::{AgentUpdate, HandBack, Lead, NewAgent as CoreNewAgent, Thresholds, Watch},
};
use pyo3::{prelude::*, types::PyDict};
use std::{collections::BTreeMap, sync::Arc};
use tokio::sync::Mutex;

view! {
    /// An agent as the registry knows it. `current_load` is how many live leases it holds now.
    AgentInfo of agents::AgentInfo {
        id, display_name, role, aliases, capabilities, status, max_concurrent, current_load, infra_heartbeat,
        last_heartbeat, created_at, metadata,
    }

    /// Whether a claim may give it anything.
    #[getter]
    fn has_room(&self) -> bool {
        self.inner.has_room()
    }
}

view! {
    /// How one agent fares, as far as this process can tell. Ages are seconds.
    AgentHealth of agents::AgentHealth {
        agent, state, reason, infra_age, functional_age, holds, oldest_claim_age, leads, dead_at, watched_for,
    }
}

view! {
    /// Who holds a role, under which term, and until when. The term only grows.
    RoleLease of agents::RoleLease { role, holder, instance, term, expires_at }
}

view! {
    /// A role went from one agent to another.
    FailoverEvent of agents::FailoverEvent {
        id, role, from_agent, to_agent, term, reason, triggered_by, activated_at, deactivated_at, status,
    }
}

/// A RoleLease, or what has one as its `lease`.
pub(crate) struct UnderArg(pub(crate) agents::Term);

impl<'py> FromPyObject<'_, 'py> for UnderArg {
    type Error = PyErr;

    fn extract(value: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        let term = |lease: &Bound<'_, RoleLease>| UnderArg(agents::Term::from(&lease.get().inner));
        if let Ok(lease) = value.cast::<RoleLease>() {
            return Ok(term(&lease));
        }
        let lease = value.getattr(pyo3::intern!(value.py(), "lease"));
        let found = lease.and_then(|lease| Ok(term(lease.cast::<RoleLease>()?)));
        found.map_err(|_| wrong(value, "a role that is held, or its lease"))
    }
}

/// A role that is held here until it is handed back, dropped or lost.
#[pyclass(frozen, module = "kurultai._native")]
pub(crate) struct Leadership(ForkSafe<Arc<agents::Leadership>>);

impl Answer for agents::Leadership {
    fn give(self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        Ok(Py::new(py, Leadership(ForkSafe::new(Arc::new(self))))?.into_any())
    }
}

#[pymethods]
impl Leadership {
    #[getter]
    fn lease(&self) -> RoleLease {
        self.0.lease().into()
    }

    fn is_valid(&self) -> bool {
        self.0.is_valid()
    }

    fn lost(&self) -> Op {
        let held = self.0.clone();
        Op::new(async move {
            held.lost().await;
            Ok(())
        })
    }

    fn hand_back(&self, options: &Bound<'_, PyDict>) -> PyResult<Op> {
        let (held, how) = (self.0.clone(), HandBackOptions::of(options)?.how());
        Ok(Op::new(async move { held.hand_back(how).await }))
    }
}

options! {
    LeadOptions { ttl: Span, wait: Span, reason: String }
}

impl LeadOptions {
    fn lead(self, py: Python<'_>) -> PyResult<Lead> {
        let usual = Lead::default();
        Ok(Lead {
            ttl: span(py, "ttl", self.ttl)?.unwrap_or(usual.ttl),
            wait: span(py, "wait", self.wait)?.unwrap_or(usual.wait),
            reason: self.reason,
        })
    }
}

options! {
    HandBackOptions { to: String, reason: String }
}

impl HandBackOptions {
    fn how(self) -> HandBack {
        HandBack { to: self.to, reason: self.reason }
    }
}

options! {
    HealthOptions { dead_after: Span, stuck_after: Span }
}

options! {
    WatchOptions { every: Span, dead_after: Span, stuck_after: Span, agent: String, roles: BTreeMap<String, Names> }
}

options! {
    FailoverOptions { active: bool, since: Time }
}

pub(crate) fn thresholds(
    py: Python<'_>,
    dead_after: Option<Span>,
    stuck_after: Option<Span>,
) -> PyResult<Thresholds> {
    let usual = Thresholds::default();
    Ok(Thresholds {
        dead_after: span(py, "dead_after", dead_after)?.unwrap_or(usual.dead_after),
        stuck_after: span(py, "stuck_after", stuck_after)?.unwrap_or(usual.stuck_after),
    })
}

/// What is not in the dict stays; None for the metadata is none.
fn update(changes: &Bound<'_, PyDict>) -> PyResult<AgentUpdate> {
    let mut update = AgentUpdate::new();
    each_given(changes, |name, value| {
        match name {
            "add" => update.add = field::<Option<Names>>(name, value)?.map_or_else(Vec::new, |names| names.0),
            "remove" => {
                update.remove = field::<Option<Names>>(name, value)?.map_or_else(Vec::new, |names| names.0);
            }
            "metadata" => update.metadata = Some(json::write_as("metadata", value, None)?),
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    Ok(update)
}

/// An agent to register.
#[pyclass(frozen, module = "kurultai")]
pub(crate) struct NewAgent(CoreNewAgent);

#[pymethods]
impl NewAgent {
    #[new]
    #[expect(clippy::too_many_arguments, reason = "they are keywords")]
    #[pyo3(signature = (
        id, *, display_name = None, role = None, aliases = None, capabilities = None, max_concurrent = None,
        metadata = None
    ))]
    fn new(
        py: Python<'_>,
        id: Text,
        display_name: Option<Text>,
        role: Option<Text>,
        aliases: Option<Names>,
        capabilities: Option<Names>,
        max_concurrent: Option<Count>,
        metadata: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        let max_concurrent = count(py, "max_concurrent", max_concurrent)?;
        let names = |names: Option<Names>| names.map_or_else(Vec::new, |names| names.0);
        let (aliases, capabilities) = (names(aliases), names(capabilities));
        let metadata =
            metadata.map_or_else(|| Ok(Json::default()), |metadata| json::write(metadata, None))?;
        let (id, display_name, role) = (id.into(), display_name.map(Into::into), role.map(Into::into));
        Ok(NewAgent(CoreNewAgent { id, display_name, role, aliases, capabilities, max_concurrent, metadata }))
    }

    #[getter]
    fn id(&self) -> &str {
        &self.0.id
    }

    fn __repr__(&self) -> String {
        let CoreNewAgent { id, capabilities, .. } = &self.0;
        format!("NewAgent({id:?}, capabilities={capabilities:?})")
    }
}

#[pyclass(frozen, module = "kurultai._native")]
pub(crate) struct Agents(ForkSafe<CoreAgents>);

impl Agents {
    pub(crate) fn new(core: CoreAgents) -> Self {
        Agents(ForkSafe::new(core))
    }
}

#[pymethods]
impl Agents {
    fn register_many(&self, agents: &Bound<'_, PyAny>) -> PyResult<Op> {
        let all: Vec<CoreNewAgent> =
            agents.try_iter()?.map(|agent| new_agent(&agent?)).collect::<PyResult<_>>()?;
        let agents = self.0.clone();
        Ok(Op::new(async move { agents.register_many(all).await }))
    }

    fn beat(&self, agent: Text) -> Op {
        let agents = self.0.clone();
        Op::new(async move { agents.beat(&agent).await })
    }

    fn beat_many(&self, names: Names, create: bool) -> Op {
        let agents = self.0.clone();
        Op::new(async move {
            let names: Vec<&str> = names.0.iter().map(String::as_str).collect();
            agents.beat_many(&names, create).await
        })
    }

    /// Of all, or of one.
    fn health(&self, py: Python<'_>, agent: Option<Text>, options: &Bound<'_, PyDict>) -> PyResult<Op> {
        let HealthOptions { dead_after, stuck_after } = HealthOptions::of(options)?;
        let thresholds = thresholds(py, dead_after, stuck_after)?;
        let agents = self.0.clone();
        Ok(Op::new(async move { agents.health(agent.as_deref(), thresholds).await }))
    }

    fn watcher(&self, py: Python<'_>, options: &Bound<'_, PyDict>) -> PyResult<Watcher> {
        let WatchOptions { every, dead_after, stuck_after, agent, roles } = WatchOptions::of(options)?;
        let usual = Watch::default();
        let watch = Watch {
            every: span(py, "every", every)?.unwrap_or(usual.every),
            thresholds: thresholds(py, dead_after, stuck_after)?,
            agent,
            roles: roles.unwrap_or_default().into_iter().map(|(role, names)| (role, names.0)).collect(),
        };
        let watcher = self.0.watcher(watch).raise(py)?;
        Ok(Watcher(ForkSafe::new(Arc::new(Mutex::new(watcher)))))
    }

    fn failovers(&self, py: Python<'_>, options: &Bound<'_, PyDict>) -> PyResult<Op> {
        let FailoverOptions { active, since } = FailoverOptions::of(options)?;
        let since = since.map(|time| time.named(py, "since")).transpose()?;
        let agents = self.0.clone();
        Ok(Op::new(async move { agents.failovers(active, since).await }))
    }

    fn lead(&self, py: Python<'_>, role: Text, agent: Text, options: &Bound<'_, PyDict>) -> PyResult<Op> {
        let (agents, lead) = (self.0.clone(), LeadOptions::of(options)?.lead(py)?);
        Ok(Op::new(async move { agents.lead(&role, &agent, lead).await }))
    }

    fn leader(&self, role: Text) -> Op {
        let agents = self.0.clone();
        Op::new(async move { agents.leader(&role).await })
    }

    fn hand_back(&self, role: Text, agent: Text, options: &Bound<'_, PyDict>) -> PyResult<Op> {
        let (agents, how) = (self.0.clone(), HandBackOptions::of(options)?.how());
        Ok(Op::new(async move { agents.hand_back(&role, &agent, how).await }))
    }

    fn get(&self, name: Text) -> Op {
        let agents = self.0.clone();
        Op::new(async move { agents.get(&name).await })
    }

    fn list(&self) -> Op {
        let agents = self.0.clone();
        Op::new(async move { agents.list().await })
    }

    fn with_capability(&self, capability: Text) -> Op {
        let agents = self.0.clone();
        Op::new(async move { agents.with_capability(&capability).await })
    }

    fn drain(&self, agent: Text) -> Op {
        let agents = self.0.clone();
        Op::new(async move { agents.drain(&agent).await })
    }

    fn update(&self, agent: Text, changes: &Bound<'_, PyDict>) -> PyResult<Op> {
        let (agents, update) = (self.0.clone(), update(changes)?);
        Ok(Op::new(async move { agents.update(&agent, update).await }))
    }

    fn deregister(&self, agent: Text, force: bool) -> Op {
        let agents = self.0.clone();
        Op::new(async move { agents.deregister(&agent, force).await })
    }
}

/// One who watches the team.
#[pyclass(frozen, module = "kurultai._native")]
pub(crate) struct Watcher(ForkSafe<Arc<Mutex<agents::Watcher>>>);

#[pymethods]
impl Watcher {
    /// Ends where something is raised or cleared, or where it fails.
    fn next_alerts(&self) -> Op {
        let watcher = self.0.clone();
        Op::new(async move { watcher.lock().await.next_alerts().await })
    }
}

/// A NewAgent, or a dict of its fields.
fn new_agent(value: &Bound<'_, PyAny>) -> PyResult<CoreNewAgent> {
    Ok(of_fields::<NewAgent>(value, "a NewAgent or a dict of its fields")?.get().0.clone())
}

/// The six agents of the first team, to register as they are.
#[pyfunction]
fn council() -> Vec<NewAgent> {
    agents::council().into_iter().map(NewAgent).collect()
}

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<AgentInfo>()?;
    module.add_class::<AgentHealth>()?;
    module.add_class::<RoleLease>()?;
    module.add_class::<FailoverEvent>()?;
    module.add_class::<Leadership>()?;
    module.add_class::<NewAgent>()?;
    module.add_class::<Agents>()?;
    module.add_class::<Watcher>()?;
    module.add_function(pyo3::wrap_pyfunction!(council, module)?)
}

//! Who is there: the registry. Types, the store's contract, the handle, the rules.

use crate::{
    clock::Micros,
    error::{Error, Result},
    ids::{self, check_agent, check_text},
    team::Team,
    words::words,
};
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde::Serialize;
use std::sync::Arc;
use tracing::instrument;

/// An agent is dead after this much silence.
pub const DEAD_AFTER_SECONDS: i64 = 120;

words! {
    /// What an agent says of itself; its health is computed, never stored.
    AgentStatus, "agent status" {
        Active = "active",
        Busy = "busy",
        Idle = "idle",
        Offline = "offline",
        /// Finishes what it holds and is given nothing new.
        Draining = "draining",
    }
}

/// An agent to register.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct NewAgent {
    /// `[a-z0-9][a-z0-9_-]{0,63}`
    pub id: String,
    /// Any name; the id where none is given.
    pub display_name: Option<String>,
    pub role: Option<String>,
    pub aliases: Vec<String>,
    pub capabilities: Vec<String>,
    /// How many tasks it may hold at once; `None` for any number.
    pub max_concurrent: Option<u32>,
}

impl NewAgent {
    pub fn new(id: impl Into<String>) -> Self {
        NewAgent { id: id.into(), ..NewAgent::default() }
    }

    pub fn display_name(mut self, name: impl Into<String>) -> Self {
        self.display_name = Some(name.into());
        self
    }

    pub fn capabilities<S: Into<String>>(mut self, capabilities: impl IntoIterator<Item = S>) -> Self {
        self.capabilities = capabilities.into_iter().map(Into::into).collect();
        self
    }

    pub fn aliases<S: Into<String>>(mut self, aliases: impl IntoIterator<Item = S>) -> Self {
        self.aliases = aliases.into_iter().map(Into::into).collect();
        self
    }

    pub fn max_concurrent(mut self, most: u32) -> Self {
        self.max_concurrent = Some(most);
        self
    }

    fn check(&self) -> Result<()> {
        check_agent("id", &self.id)?;
        for (field, text) in [("display_name", &self.display_name), ("role", &self.role)] {
            text.as_deref().map_or(Ok(()), |text| check_text(field, text, 256))?;
        }
        for (field, names) in [("aliases", &self.aliases), ("capabilities", &self.capabilities)] {
            if names.len() > 256 {
                return Err(Error::invalid(field, format!("{} names", names.len()), "at most 256 names"));
            }
            names.iter().try_for_each(|name| check_text(field, name, 128))?;
        }
        match self.max_concurrent {
            Some(0) => {
                Err(Error::invalid("max_concurrent", 0, "1 or more, or nothing; drain an agent to stop it"))
            }
            _ => Ok(()),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Agent {
    pub id: String,
    pub display_name: String,
    pub role: Option<String>,
    pub aliases: Vec<String>,
    pub capabilities: Vec<String>,
    pub status: AgentStatus,
    pub max_concurrent: Option<u32>,
    /// How many live leases it holds now.
    pub current_load: u32,
    /// The last sign that its process runs.
    pub infra_heartbeat: Option<DateTime<Utc>>,
    /// The last sign that it works: claim, extend, progress, complete, fail.
    pub last_heartbeat: Option<DateTime<Utc>>,
    pub created_at: DateTime<Utc>,
}

impl Agent {
    /// Whether either heartbeat is younger than two minutes.
    pub fn is_alive(&self, now: Micros) -> bool {
        let last = self.infra_heartbeat.max(self.last_heartbeat).unwrap_or(self.created_at);
        self.status != AgentStatus::Offline && now - last.timestamp_micros() <= DEAD_AFTER_SECONDS * 1_000_000
    }

    /// Whether a claim may give it anything.
    pub fn has_room(&self) -> bool {
        self.room() > 0
    }

    pub(crate) fn room(&self) -> usize {
        match (self.status, self.max_concurrent) {
            (AgentStatus::Draining | AgentStatus::Offline, _) => 0,
            (_, None) => usize::MAX,
            (_, Some(most)) => most.saturating_sub(self.current_load) as usize,
        }
    }
}

/// The store's contract for agents.
#[async_trait]
pub trait HeartbeatWriter: Send + Sync {
    /// Adds or updates each; an update keeps heartbeats and clears `draining` and `offline`. Registering is a
    /// sign of life.
    async fn register(&self, agents: Vec<NewAgent>) -> Result<()>;

    /// All agents, in the order of their ids.
    async fn agents(&self) -> Result<Vec<Agent>>;

    /// A sign that each agent's process runs, in one statement. Returns the ids that are registered.
    async fn beat(&self, agents: Vec<String>) -> Result<Vec<String>>;

    /// Returns whether there is such an agent.
    async fn set_status(&self, agent: &str, status: AgentStatus) -> Result<bool>;

    /// Returns whether there was such an agent.
    async fn deregister(&self, agent: &str) -> Result<bool>;
}

/// The registry of one team. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Agents {
    team: Arc<Team>,
}

impl Agents {
    pub(crate) fn new(team: Arc<Team>) -> Self {
        Agents { team }
    }

    /// Adds an agent or brings its entry up to date. Errors: `input.invalid`.
    pub async fn register(&self, agent: NewAgent) -> Result<()> {
        self.register_many(vec![agent]).await
    }

    #[instrument(level = "debug", skip_all, fields(count = agents.len()))]
    pub async fn register_many(&self, agents: Vec<NewAgent>) -> Result<()> {
        let many = agents.len() > 1;
        for (index, agent) in agents.iter().enumerate() {
            agent.check().map_err(|error| if many { error.of_row("agent", index) } else { error })?;
        }
        let _call = self.team.calls.begin()?;
        self.team.store.register(agents).await?;
        self.team.announce();
        Ok(())
    }

    /// The infrastructure heartbeat: a sign that the agent's process runs, even while it works on nothing. A
    /// worker writes it by itself every 30 s. Errors: `agent.not_found`. Cancel safe.
    pub async fn beat(&self, agent: &str) -> Result<()> {
        let unknown = self.beat_many(&[agent]).await?;
        self.known(agent, unknown.is_empty()).await
    }

    /// The heartbeats of many agents in one statement, as a sidecar writes them. Returns the ids that are not
    /// registered; the others have their beat. Errors: `input.invalid`. Cancel safe.
    #[instrument(level = "debug", skip_all, fields(count = agents.len()))]
    pub async fn beat_many(&self, agents: &[&str]) -> Result<Vec<String>> {
        agents.iter().try_for_each(|agent| check_agent("agent", agent))?;
        if agents.is_empty() {
            return Ok(vec![]);
        }
        let _call = self.team.calls.begin()?;
        let beaten = self.team.store.beat(agents.iter().map(|agent| (*agent).to_owned()).collect()).await?;
        let unknown = agents.iter().filter(|agent| !beaten.iter().any(|id| id == *agent));
        Ok(unknown.map(|agent| (*agent).to_owned()).collect())
    }

    /// By id, name or alias. What is written exactly so comes first; otherwise they are compared without case and
    /// without the accents of Latin, Greek and Cyrillic letters (`Temüjin` = `temujin`).
    /// Errors: `agent.not_found`, with the nearest name.
    pub async fn get(&self, name: &str) -> Result<Agent> {
        find(self.list().await?, name)
    }

    #[instrument(level = "debug", skip_all)]
    pub async fn list(&self) -> Result<Vec<Agent>> {
        self.team.store.agents().await
    }

    /// The agents that have a capability.
    pub async fn with_capability(&self, capability: &str) -> Result<Vec<Agent>> {
        let mut agents = self.list().await?;
        agents.retain(|agent| agent.capabilities.iter().any(|c| c == capability));
        Ok(agents)
    }

    /// Lets an agent finish what it holds and gives it nothing new; `register` ends it.
    /// Errors: `agent.not_found`.
    #[instrument(level = "debug", skip(self))]
    pub async fn drain(&self, agent: &str) -> Result<()> {
        let _call = self.team.calls.begin()?;
        self.known(agent, self.team.store.set_status(agent, AgentStatus::Draining).await?).await
    }

    /// Removes an agent. Its leases run out by themselves. Errors: `agent.not_found`.
    #[instrument(level = "debug", skip(self))]
    pub async fn deregister(&self, agent: &str) -> Result<()> {
        let _call = self.team.calls.begin()?;
        self.known(agent, self.team.store.deregister(agent).await?).await
    }

    async fn known(&self, agent: &str, found: bool) -> Result<()> {
        if found { Ok(()) } else { Err(not_found(agent, &self.list().await?)) }
    }
}

fn find(agents: Vec<Agent>, name: &str) -> Result<Agent> {
    let folded = ids::fold(name);
    let called =
        |a: &Agent, is: &dyn Fn(&str) -> bool| is(&a.display_name) || a.aliases.iter().any(|x| is(x));
    let by_id = agents.iter().position(|a| a.id == name);
    let exact = || agents.iter().position(|a| called(a, &|own| ids::is_same_name(own, name)));
    let alike = || agents.iter().position(|a| a.id == folded || called(a, &|own| ids::fold(own) == folded));
    match by_id.or_else(exact).or_else(alike) {
        Some(at) => Ok(agents.into_iter().nth(at).expect("just found")),
        None => Err(not_found(name, &agents)),
    }
}

/// `agent.not_found`, with the nearest id or name.
pub(crate) fn not_found(name: &str, agents: &[Agent]) -> Error {
    let folded = ids::fold(name);
    let names = agents.iter().flat_map(|a| {
        let all = [&a.id, &a.display_name].into_iter().chain(&a.aliases);
        all.map(|n| (strsim::jaro_winkler(&ids::fold(n), &folded), a.id.as_str()))
    });
    let nearest = names.filter(|(score, _)| *score > 0.8).max_by(|a, b| a.0.total_cmp(&b.0));
    Error::agent_not_found(name, nearest.map(|(_, id)| id))
}

/// The six agents of the first team: a preset, never a constant of the core.
pub fn council() -> Vec<NewAgent> {
    let agent = |id: &str, name: &str, alias: &str, role: &str, capabilities: &[&str]| NewAgent {
        role: Some(role.to_owned()),
        ..NewAgent::new(id).display_name(name).aliases([alias]).capabilities(capabilities.iter().copied())
    };
    vec![
        agent("kublai", "Kublai", "main", "router", &["orchestration", "routing", "synthesis"]),
        agent("mongke", "Möngke", "researcher", "research", &["research", "web_search", "api_analysis"]),
        agent("chagatai", "Chagatai", "writer", "writing", &["writing", "documentation", "content"]),
        agent("temujin", "Temüjin", "developer", "development", &["development", "coding", "implementation"]),
        agent("jochi", "Jochi", "analyst", "analysis", &["analysis", "security", "testing", "audit"]),
        agent("ogedei", "Ögedei", "ops", "operations", &["operations", "monitoring", "health_check"]),
    ]
}

//! What users call: `kurultai.agents()`.

use super::{
    alerts::Alarms,
    beats::{AtWork, Beating, Beats},
    belongings::Belongings,
    contract::{Beat, Deregistered, HeartbeatWriter},
    failovers::{FailoverEvent, Trigger},
    health::{AgentHealth, Thresholds},
    leadership::{HandBack, Lead, Leadership, acquire},
    names::{find, not_found},
    observer::Observer,
    roles::{self, RoleLease},
    types::{AgentInfo, AgentStatus, AgentUpdate, NewAgent},
    watch::{Watch, Watcher},
};
use crate::{
    check,
    clock::{machine_now, monotonic},
    error::{Error, Result},
    ids,
    session::Session,
    upkeep::FollowUp,
};
use chrono::{DateTime, TimeDelta, Utc};
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};
use tokio::time::sleep;
use tracing::instrument;

/// How often an agent beats that holds a role here.
const BEAT: Duration = Duration::from_secs(30);
/// How often who waits for a role looks whether it is free, at most.
const AGAIN: Duration = Duration::from_secs(1);

/// The registry of one team, and how its agents fare. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Agents {
    pub(super) registry: Arc<dyn HeartbeatWriter>,
    pub(super) session: Arc<Session>,
    pub(super) follow_up: Arc<dyn FollowUp>,
    belongings: Arc<dyn Belongings>,
    pub(super) alarms: Arc<dyn Alarms>,
    beats: Arc<Beats>,
    observer: Arc<Mutex<Observer>>,
}

impl Agents {
    pub(crate) fn new(
        registry: Arc<dyn HeartbeatWriter>,
        session: Arc<Session>,
        follow_up: Arc<dyn FollowUp>,
        belongings: Arc<dyn Belongings>,
        alarms: Arc<dyn Alarms>,
    ) -> Self {
        let beats = Beats::new(registry.clone(), session.clone());
        Agents { registry, session, follow_up, belongings, alarms, beats, observer: Arc::default() }
    }

    /// Adds an agent or brings its entry up to date. Errors: `input.invalid`.
    pub async fn register(&self, agent: NewAgent) -> Result<()> {
        self.register_many(vec![agent]).await
    }

    /// Adds or updates many in one transaction, all or none. Errors: `input.invalid`, which names the row.
    #[instrument(level = "debug", skip_all, fields(count = agents.len()))]
    pub async fn register_many(&self, agents: Vec<NewAgent>) -> Result<()> {
        let many = agents.len() > 1;
        for (index, agent) in agents.iter().enumerate() {
            agent.check().map_err(|error| if many { error.of_row("agent", index) } else { error })?;
        }
        let _call = self.session.calls.begin()?;
        self.registry.register(agents).await?;
        self.session.news.announce();
        Ok(())
    }

    /// The infrastructure heartbeat: a sign that the agent's process runs, even while it works on nothing. A
    /// running [`Agent`](crate::Agent) writes it by itself every 30 s. Errors: `agent.not_found`. Cancel safe.
    pub async fn beat(&self, agent: &str) -> Result<()> {
        let unknown = self.beat_many(&[agent], false).await?;
        self.known(agent, unknown.is_empty()).await
    }

    /// The heartbeats of many agents in one statement, as a sidecar writes them. Names are folded to ids (`Temüjin` is
    /// `temujin`); with `create`, those that are unknown are registered under the name given. Returns the names that are
    /// not registered; the others have their beat. Errors: `input.invalid`. Cancel safe.
    #[instrument(level = "debug", skip_all, fields(count = agents.len()))]
    pub async fn beat_many(&self, agents: &[&str], create: bool) -> Result<Vec<String>> {
        self.write_beats(agents, create, false).await
    }

    pub(super) async fn write_beats(&self, agents: &[&str], create: bool, last: bool) -> Result<Vec<String>> {
        let beat = |name: &&str| {
            Ok(Beat { agent: ids::agent(name)?, create: create.then(|| (*name).to_owned()), last })
        };
        let beats = agents.iter().map(beat).collect::<Result<Vec<Beat>>>()?;
        if beats.is_empty() {
            return Ok(vec![]);
        }
        let ids: Vec<String> = beats.iter().map(|beat| beat.agent.clone()).collect();
        let _call = self.session.calls.begin()?;
        let beaten = self.registry.beat(&self.session.instance, beats).await?;
        let unknown = agents.iter().zip(&ids).filter(|(_, id)| !beaten.contains(id));
        Ok(unknown.map(|(name, _)| (*name).to_owned()).collect())
    }

    /// How each agent fares, in the order of their ids, or one of them: `alive`, `idle`, `stuck`, `dead` or `unknown`, and
    /// why. Computed when it is read, by one read of the store, and never stored; it declares nobody dead. The silence of
    /// an agent makes it `dead` where this handle has seen it all the time, by calls that lie no more than a quarter of
    /// `dead_after` apart, or where a watcher has declared it; otherwise it is `unknown`, with the ages.
    /// Errors: `agent.not_found`, `input.invalid`. Cancel safe.
    #[instrument(level = "debug", skip(self))]
    pub async fn health(&self, agent: Option<&str>, thresholds: Thresholds) -> Result<Vec<AgentHealth>> {
        thresholds.check()?;
        let signs = self.registry.signs().await?;
        let at = self.session.config.clock.stopwatch();
        let mut health = {
            let mut observer = self.observer.lock().unwrap_or_else(PoisonError::into_inner);
            observer.look(&signs, at, thresholds.dead_after / 4, thresholds);
            observer.health(&signs, thresholds)
        };
        if let Some(agent) = agent {
            let id = ids::fold(agent);
            health.retain(|health| health.agent == id);
            if health.is_empty() {
                return Err(not_found(agent, &self.list().await?));
            }
        }
        Ok(health)
    }

    /// Watches the team until the store is closed or the call is dropped: declares agents dead, which puts their tasks
    /// back into the queue at once, and recovered. What it finds are events, `agent.dead` and `agent.recovered`, and lines
    /// in the log. It raises and clears the team's alerts too, once however many watch: the log has them, as events
    /// `alert.raised` and `alert.cleared`, and [`Events::alerts`](crate::Events::alerts). An agent is declared dead only where it is silent for longer than `dead_after` by the store's clock,
    /// this watcher has seen no sign of it for as long by its own stopwatch, the store answered it all the time, and
    /// not more than half of a team of three or more fell silent at once. Any number may watch one team.
    ///
    /// With [`Watch::agent`], one of the team's watches declares at a time, the one that holds the role `watcher`. With
    /// [`Watch::role`] each of the candidates runs a watch: the first of them that lives takes the role when nobody holds it,
    /// because its holder was declared dead, or has let it lapse or handed it back; and once the first in the list has given
    /// three signs of life the role goes back to it. What waits for an agent that is dead or draining, because it was
    /// assigned to it, is anybody's. Its end hands back what it holds. The watch's agent has its heartbeats meanwhile.
    ///
    /// Errors: `input.invalid`, `store.closed`; a store out of reach is waited for. Cancel safe.
    pub async fn watch(&self, watch: Watch) -> Result<()> {
        self.watcher(watch)?.run().await
    }

    /// The same step by step, for who wants to see what each check finds. Errors: `input.invalid`.
    pub fn watcher(&self, watch: Watch) -> Result<Watcher> {
        Watcher::new(self.clone(), watch)
    }

    /// Holds a role for an agent, which one agent of the team at a time does: renewed, with the agent's heartbeats, until it
    /// is handed back, dropped or lost, or the store is closed. Who holds it is told by [`leader`](Self::leader), and each
    /// change of its holder by the event `role.changed`. This opened store gets the role that it holds already once more.
    /// A role is not an agent's `role`, which is a word about it.
    ///
    /// Errors: `input.invalid`; `agent.not_found`; `role.held`, which names the holder and until when, where it is not free
    /// within `wait`. Cancel safe: what a dropped call has taken ends with its lease.
    #[instrument(level = "debug", skip(self, lead))]
    pub async fn lead(&self, role: &str, agent: &str, lead: Lead) -> Result<Leadership> {
        self.take(role, agent, &lead, Some(Trigger::Manual)).await
    }

    pub(super) async fn take(
        &self,
        role: &str,
        agent: &str,
        lead: &Lead,
        failover: Option<Trigger>,
    ) -> Result<Leadership> {
        let change = acquire(role, agent, lead, &self.session.instance, failover);
        change.check()?;
        let deadline = monotonic() + lead.wait.min(Duration::from_secs(86_400));
        loop {
            let call = self.session.agents.begin()?;
            let asked_at = self.session.config.clock.stopwatch();
            match self.registry.role(change.clone()).await {
                Ok(lease) => {
                    let (at_work, kept) = (self.at_work(agent, BEAT), self.session.agents.go_on());
                    drop(call);
                    self.session.news.announce_events();
                    let lease = (lease, lead.ttl, asked_at);
                    return Ok(Leadership::begin(&self.registry, &self.session, lease, (at_work, kept)));
                }
                Err(error) if error.code() == "role.held" && monotonic() < deadline => {
                    drop(call);
                    self.vacant(role, agent, deadline).await?;
                }
                Err(error) if error.code() == "agent.not_found" => {
                    return Err(not_found(agent, &self.list().await?));
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Until the agent may be given the role, or the time is over.
    async fn vacant(&self, role: &str, agent: &str, deadline: Instant) -> Result<()> {
        while monotonic() < deadline {
            let left = deadline.saturating_duration_since(monotonic());
            sleep(AGAIN.mul_f64(0.5 + fastrand::f64() / 2.0).min(left)).await;
            let _call = self.session.agents.begin()?;
            let roles = self.registry.roles().await?;
            if roles.roles.iter().all(|known| known.role != role || known.is_free_for(agent, roles.now)) {
                break;
            }
        }
        Ok(())
    }

    /// Who holds a role, and until when; `None` where nobody does. Errors: `input.invalid`. Cancel safe.
    #[instrument(level = "debug", skip(self))]
    pub async fn leader(&self, role: &str) -> Result<Option<RoleLease>> {
        roles::name(role)?;
        let roles = self.registry.roles().await?;
        Ok(roles.roles.iter().find(|known| known.role == role).and_then(|known| known.lease(roles.now)))
    }

    /// Takes a role from the agent that holds it, in whatever process: that one learns it at its next renewal, and what it
    /// writes under its term is refused from now on. With [`HandBack::to`] nobody but that agent may take the role in the
    /// next 30 seconds. The answer is the lease as it ended; where the agent was the last to hold the role and nobody does
    /// now, nothing happens.
    ///
    /// Errors: `input.invalid`; `agent.not_found`, also of [`HandBack::to`]; `role.held`, naming the holder, where another
    /// agent holds it; `role.not_found` where nobody does and the agent was not the last, or nobody ever has. Cancel safe: a
    /// dropped call may still hand it back.
    #[instrument(level = "debug", skip(self, how))]
    pub async fn hand_back(&self, role: &str, agent: &str, how: HandBack) -> Result<RoleLease> {
        how.clone().change(role, agent, None).check()?;
        let _call = self.session.calls.begin()?;
        let agents = self.registry.agents().await?;
        let change = how.known(&agents)?.change(role, &find(&agents, agent)?.id, None);
        let lease = self.registry.role(change).await?;
        self.session.news.announce_events();
        Ok(lease)
    }

    /// When roles went from one agent to another, oldest first: all, or those that are active, as long as the role is not
    /// back, or those that are resolved; since a time or from the beginning. Errors: `input.invalid`. Cancel safe.
    #[instrument(level = "debug", skip(self))]
    pub async fn failovers(
        &self,
        active: Option<bool>,
        since: Option<DateTime<Utc>>,
    ) -> Result<Vec<FailoverEvent>> {
        since.map_or(Ok(()), check::since)?;
        self.registry.failovers(active, since).await
    }

    /// By id, name or alias. What is written exactly so comes first; otherwise they are compared without case and
    /// without the accents of Latin, Greek and Cyrillic letters (`Temüjin` = `temujin`).
    /// Errors: `agent.not_found`, with the nearest name.
    pub async fn get(&self, name: &str) -> Result<AgentInfo> {
        find(&self.list().await?, name).cloned()
    }

    /// All agents, in the order of their ids.
    #[instrument(level = "debug", skip_all)]
    pub async fn list(&self) -> Result<Vec<AgentInfo>> {
        self.registry.agents().await
    }

    /// The agents that have a capability.
    pub async fn with_capability(&self, capability: &str) -> Result<Vec<AgentInfo>> {
        let mut agents = self.list().await?;
        agents.retain(|agent| agent.capabilities.iter().any(|c| c == capability));
        Ok(agents)
    }

    /// Lets an agent finish what it holds and gives it nothing new; `register` ends it.
    /// Errors: `agent.not_found`.
    #[instrument(level = "debug", skip(self))]
    pub async fn drain(&self, agent: &str) -> Result<()> {
        let _call = self.session.calls.begin()?;
        self.known(agent, self.registry.set_status(agent, AgentStatus::Draining).await?).await
    }

    /// What an agent has learned and lost: capabilities that it has from now on and those that it has no more, and its
    /// metadata. Other capabilities stay as they are, also where two change them at once.
    /// Errors: `agent.not_found`, `input.invalid`. Cancel safe.
    #[instrument(level = "debug", skip(self, update))]
    pub async fn update(&self, agent: &str, update: AgentUpdate) -> Result<()> {
        update.check()?;
        let _call = self.session.calls.begin()?;
        self.known(agent, self.registry.update(agent, update).await?).await?;
        self.session.news.announce();
        Ok(())
    }

    /// Removes an agent. With `force` also one that holds tasks, which are in the queue again, or roles, which are free, or has
    /// keys, which are revoked, or unread messages, which wait until they expire.
    /// Errors: `agent.not_found`; `agent.in_use`, naming what it has. Cancel safe: a dropped call may still remove it, and
    /// a repetition with `force` revokes its keys all the same.
    #[instrument(level = "debug", skip(self))]
    pub async fn deregister(&self, agent: &str, force: bool) -> Result<()> {
        check::agent("agent", agent)?;
        let _call = self.session.calls.begin()?;
        let has = if force { vec![] } else { self.belongings.of(agent).await? };
        if !has.is_empty() {
            let found = self.registry.agents().await?.iter().any(|known| known.id == agent);
            self.known(agent, found).await?;
            return Err(in_use(agent, &has));
        }
        let Deregistered { found, holds, leads } = self.registry.deregister(agent, force).await?;
        if force {
            self.belongings.gone(agent).await?;
        }
        self.known(agent, found).await?;
        if !force && (!holds.is_empty() || !leads.is_empty()) {
            let roles = leads.iter().map(|role| format!("role {role:?}"));
            return Err(in_use(agent, &holds.into_iter().chain(roles).collect::<Vec<_>>()));
        }
        self.follow_up.after(!holds.is_empty()).await;
        Ok(())
    }

    pub(crate) async fn clock_difference(&self) -> Result<TimeDelta> {
        let begun = machine_now();
        let there = self.registry.signs().await?.now;
        Ok(TimeDelta::microseconds(there - i64::midpoint(begun, machine_now())))
    }

    /// The agent works in this process from now on; its beats are written with those of the others.
    /// The agent lives as long as this is kept, and has stopped when it is dropped or the store is closed. It beats every 30 s,
    /// or every `at_most`.
    pub(super) fn beating(&self, agent: &str, at_most: Duration) -> Result<Beating> {
        let _call = self.session.agents.begin()?;
        let (at_work, kept) = (self.at_work(agent, BEAT.min(at_most)), self.session.agents.go_on());
        Ok(Beating::begin(self.session.clone(), at_work, kept))
    }

    pub(crate) fn at_work(&self, agent: &str, interval: Duration) -> AtWork {
        self.beats.join(agent, interval)
    }

    async fn known(&self, agent: &str, found: bool) -> Result<()> {
        if found { Ok(()) } else { Err(not_found(agent, &self.list().await?)) }
    }
}

fn in_use(agent: &str, what: &[String]) -> Error {
    let what = what.join(", ");
    let message = format!("agent {agent:?} has {what} and was not removed: drain it and wait, or force it");
    Error::conflict("agent.in_use", message)
}

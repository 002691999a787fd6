//! The loop that declares the dead, and sees to it that somebody leads.

use super::{
    alerts::{self, Place},
    beats::Beating,
    failovers::Trigger,
    handle::Agents,
    health::{AgentHealth, Health, Thresholds},
    leadership::{HandBack, Lead, Leadership},
    observer::{Judgement, Observer},
    roles::{self, Term},
    signs::{Declared, Sign, Signs},
    succession::{Move, Succession},
};
use crate::{
    check,
    clock::monotonic,
    error::{Error, Kind, Result},
    events::{Alert, AlertState, Severity, alerts::Observations},
};
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    time::{Duration, Instant},
};
use tokio::time::sleep_until;

/// The role of whoever declares the dead, where the watches of a team have agents.
pub const WATCHER: &str = "watcher";

/// How to watch a team.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watch {
    /// The time from one check to the next, at most half of `dead_after`. Default 10 s.
    pub every: Duration,
    /// From which silence on an agent is dead. A death is found within that and one check.
    pub thresholds: Thresholds,
    /// The agent that watches. One watch of a team at a time, which holds the role `watcher`, then declares.
    pub agent: Option<String>,
    /// The roles that are to be held, each with its candidates, the first of whom it belongs to.
    pub roles: BTreeMap<String, Vec<String>>,
}

impl Default for Watch {
    fn default() -> Self {
        Watch {
            every: Duration::from_secs(10),
            thresholds: Thresholds::default(),
            agent: None,
            roles: BTreeMap::new(),
        }
    }
}

impl Watch {
    /// A check every so often.
    pub fn every(mut self, every: Duration) -> Self {
        self.every = every;
        self
    }

    /// Dead and stuck from these silences on.
    pub fn thresholds(mut self, thresholds: Thresholds) -> Self {
        self.thresholds = thresholds;
        self
    }

    /// The agent that watches.
    pub fn agent(mut self, agent: impl Into<String>) -> Self {
        self.agent = Some(agent.into());
        self
    }

    /// A role that is to be held by the first of these candidates that can. Each of them runs a watch.
    pub fn role<S: Into<String>>(mut self, role: &str, candidates: impl IntoIterator<Item = S>) -> Self {
        self.roles.insert(role.to_owned(), candidates.into_iter().map(Into::into).collect());
        self
    }

    /// For how long it may get no answer before no silence counts that began before. A store that is away for that long
    /// makes everybody silent.
    fn patience(&self) -> Duration {
        (self.every * 2).max(self.thresholds.dead_after / 4)
    }

    fn check(&self) -> Result<()> {
        let Watch { every, thresholds, agent, roles } = self;
        thresholds.check()?;
        if every.is_zero() || *every > thresholds.dead_after / 2 {
            let allowed = "more than zero and at most half of dead_after";
            return Err(Error::invalid("every", format!("{} s", every.as_secs_f64()), allowed));
        }
        agent.as_deref().map_or(Ok(()), |agent| check::agent("agent", agent))?;
        for (role, candidates) in roles {
            roles::name(role)?;
            candidates.iter().try_for_each(|candidate| check::agent("candidate", candidate))?;
            let unique: HashSet<&String> = candidates.iter().collect();
            if role == WATCHER || candidates.is_empty() || unique.len() < candidates.len() {
                let given = format!("{role}={}", candidates.join(","));
                return Err(Error::invalid(
                    "roles",
                    given,
                    "another role than watcher, and each candidate once",
                ));
            }
        }
        let is_candidate = |agent: &String| roles.values().flatten().any(|candidate| candidate == agent);
        if !roles.is_empty() && !agent.as_ref().is_some_and(is_candidate) {
            let given = agent.as_deref().unwrap_or_default();
            return Err(Error::invalid("agent", given, "one of the candidates, for whom this watch is run"));
        }
        Ok(())
    }

    /// Until whoever declares is replaced: well before anybody is dead.
    fn ttl(&self) -> Duration {
        (self.thresholds.dead_after / 3).min(Lead::default().ttl).max(Duration::from_millis(300))
    }
}

/// What one check has found.
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub struct Watched {
    /// Those that it has declared dead; their tasks are in the queue again.
    pub dead: Vec<String>,
    /// Those that it has declared recovered.
    pub recovered: Vec<String>,
    /// Those that have fallen silent at once, more than half of a team of three or more: more likely this watcher or
    /// the store was cut off, so nobody of them is declared dead.
    pub suspects: Vec<String>,
    /// The roles that it has taken.
    pub took: Vec<String>,
    /// The roles that it has handed back to whom they belong.
    pub handed_back: Vec<String>,
    /// The roles that it holds.
    pub leads: Vec<String>,
    /// The roles of which fewer than two candidates live: nobody would take them over.
    pub alone: Vec<String>,
    /// How many waiting tasks it has taken from agents that are dead or draining, to which they were assigned.
    pub released: usize,
    /// How each agent fares.
    pub health: Vec<AgentHealth>,
    /// What this check has raised and cleared, which nobody else is told: of several watchers one tells people.
    pub alerts: Vec<Alert>,
}

/// One who watches a team. What it has seen is its own: a silence counts from when it began to look. Dropped, it hands
/// back the roles that it holds.
#[derive(Debug)]
pub struct Watcher {
    agents: Agents,
    watch: Watch,
    observer: Observer,
    /// When to check next.
    next: Instant,
    /// Those that were logged last, and the roles.
    suspects: Vec<String>,
    alone: Vec<String>,
    /// The role of who declares.
    office: Option<Leadership>,
    successions: Vec<Succession>,
    held: HashMap<String, Leadership>,
    /// Those whose assigned tasks are free already.
    released: HashSet<String>,
    /// The heartbeats of its agent, from the first turn of the loop on.
    beating: Option<Beating>,
}

impl Watcher {
    pub(super) fn new(agents: Agents, watch: Watch) -> Result<Self> {
        watch.check()?;
        let succession =
            |(role, candidates): (&String, &Vec<String>)| Succession::new(role.clone(), candidates.clone());
        Ok(Watcher {
            agents,
            successions: watch.roles.iter().map(succession).collect(),
            watch,
            observer: Observer::default(),
            office: None,
            held: HashMap::new(),
            released: HashSet::new(),
            beating: None,
            next: monotonic(),
            suspects: vec![],
            alone: vec![],
        })
    }

    /// Looks at everybody once and declares who is dead or has recovered; takes the roles that its agent is to hold, and
    /// hands back those that the first can hold again. Call it every `every`.
    ///
    /// Errors: what the store says; a look that failed counts as a gap. Cancel safe: a dropped call may still have
    /// declared somebody.
    pub async fn check(&mut self) -> Result<Watched> {
        let session = self.agents.session.clone();
        let _call = session.calls.begin()?;
        self.renew().await?;
        self.take_office().await?;
        let signs = self.agents.registry.signs().await?;
        let thresholds = self.watch.thresholds;
        let at = session.config.clock.stopwatch();
        self.observer.look(&signs, at, self.watch.patience(), thresholds);
        let health = self.observer.health(&signs, thresholds);
        let Judgement { verdicts, suspects } = self.observer.judge(&signs, thresholds);
        let mut watched = Watched { suspects, health, ..Watched::default() };
        self.succeed(&signs, &mut watched).await?;
        if self.watch.agent.is_none() || self.office.is_some() {
            let declared = match verdicts.is_empty() {
                true => Declared::default(),
                false => self.agents.registry.declare(verdicts, self.under()).await?,
            };
            let places = self.places(&signs, &watched);
            let Watched { suspects, health, .. } = &watched;
            let seen = alerts::observations(&signs, &declared, suspects, health, &places, thresholds);
            if !declared.dead.is_empty() || !declared.recovered.is_empty() {
                self.agents.follow_up.after(declared.overdue).await;
            }
            (watched.dead, watched.recovered) = (declared.dead, declared.recovered);
            watched.alerts = self.tell(seen).await;
            watched.released = self.release(&signs, &watched).await;
        }
        Ok(watched)
    }

    /// So that it is certain what is held at this check.
    async fn renew(&mut self) -> Result<()> {
        for role in self.held.keys().cloned().collect::<Vec<_>>() {
            if !still_held(&self.held[&role]).await? {
                self.held.remove(&role);
            }
        }
        if let Some(office) = &self.office
            && !still_held(office).await?
        {
            self.office = None;
        }
        Ok(())
    }

    /// The term under which its agent holds a role here; `None` where it does not. For writes that are to count only while
    /// it does.
    pub fn term(&self, role: &str) -> Option<Term> {
        self.held.get(role).map(Leadership::term)
    }

    /// The term under which it declares.
    fn under(&self) -> Option<Term> {
        self.office.as_ref().map(Leadership::term)
    }

    /// Where the watch has an agent, one of the team declares: who holds the role.
    async fn take_office(&mut self) -> Result<()> {
        let Some(agent) = self.watch.agent.clone() else { return Ok(()) };
        if self.office.is_none() {
            self.office = self.take(WATCHER, &agent, Lead::default().ttl(self.watch.ttl()), None).await?;
        }
        Ok(())
    }

    /// `None` where somebody else was quicker.
    async fn take(
        &self,
        role: &str,
        agent: &str,
        lead: Lead,
        failover: Option<Trigger>,
    ) -> Result<Option<Leadership>> {
        match self.agents.take(role, agent, &lead, failover).await {
            Ok(held) => Ok(Some(held)),
            Err(error) if error.code() == "role.held" => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// What waits for those that are dead or draining is anybody's, once. What fails is done at the next check.
    async fn release(&mut self, signs: &Signs, watched: &Watched) -> usize {
        let gone = |sign: &&Sign| {
            let dead = sign.is_dead() || watched.dead.contains(&sign.agent);
            (dead && !watched.recovered.contains(&sign.agent)) || sign.draining
        };
        let gone: HashSet<String> = signs.agents.iter().filter(gone).map(|sign| sign.agent.clone()).collect();
        self.released.retain(|agent| gone.contains(agent));
        let mut released = 0;
        for agent in gone {
            if self.released.contains(&agent) {
                continue;
            }
            match self.agents.follow_up.unassign(&agent, self.watch.agent.as_deref(), self.under()).await {
                Ok(count) => {
                    released += count;
                    self.released.insert(agent);
                }
                Err(error) => self.agents.session.news.complain(&error, "tasks stay assigned to the dead"),
            }
        }
        released
    }

    async fn succeed(&mut self, signs: &Signs, watched: &mut Watched) -> Result<()> {
        let Some(me) = self.watch.agent.clone() else { return Ok(()) };
        let alive = |agent: &str| {
            let health = watched.health.iter().find(|health| health.agent == agent)?;
            let sign = signs.agents.iter().find(|sign| sign.agent == agent)?;
            let lives = matches!(health.state, Health::Alive | Health::Idle | Health::Stuck);
            // Who was just registered has not shown that it runs, but for the one who watches here.
            (lives && !sign.draining && (sign.sequence > 0 || agent == me)).then_some(sign.sequence)
        };
        let mut moves = vec![];
        for succession in &mut self.successions {
            let role = signs.roles.iter().find(|role| role.role == succession.role);
            let held = self.held.contains_key(&succession.role);
            moves.push((
                succession.role.clone(),
                succession.candidates[0].clone(),
                succession.look(&me, role, signs.now, held, alive),
            ));
            if succession.candidates.iter().filter(|candidate| alive(candidate).is_some()).count() < 2 {
                watched.alone.push(succession.role.clone());
            }
        }
        // Who drains leads no longer.
        let drains = signs.agents.iter().any(|sign| sign.agent == me && sign.draining);
        for (role, first, step) in moves {
            match step {
                _ if drains => drop(self.held.remove(&role)),
                Move::Stay => {}
                Move::Take { failover, reason } => {
                    let lead = Lead::default().ttl(self.watch.ttl()).reason(reason);
                    if let Some(held) = self.take(&role, &me, lead, failover).await? {
                        self.held.insert(role.clone(), held);
                        watched.took.push(role);
                    }
                }
                Move::HandBack => {
                    let Some(held) = self.held.remove(&role) else { continue };
                    let how = HandBack::default().to(&first).reason(format!("{first} is back"));
                    held.hand_back(how).await?;
                    watched.handed_back.push(role);
                }
            }
        }
        watched.leads = self.held.keys().cloned().collect();
        watched.leads.sort_unstable();
        Ok(())
    }

    /// How the roles stand after this check.
    fn places(&self, signs: &Signs, watched: &Watched) -> Vec<Place> {
        let place = |Succession { role, candidates, .. }: &Succession| {
            let known = signs.roles.iter().find(|known| known.role == *role);
            let holder = match () {
                () if watched.leads.contains(role) => self.watch.agent.clone(),
                () if watched.handed_back.contains(role) => None,
                () => known.and_then(|known| known.lease(signs.now)).map(|lease| lease.holder),
            };
            let (role, first) = (role.clone(), candidates[0].clone());
            Place { is_alone: watched.alone.contains(&role), role, first, holder }
        };
        self.successions.iter().map(place).collect()
    }

    /// Who was declared dead stays so, whether or not people can be told.
    async fn tell(&self, seen: Observations) -> Vec<Alert> {
        let news = &self.agents.session.news;
        let alerts = self.agents.alarms.tell(seen).await.unwrap_or_else(|error| {
            news.complain(&error, "what burns cannot be told");
            vec![]
        });
        if !alerts.is_empty() {
            news.announce_events();
        }
        alerts
    }

    /// Checks every `every` until something is raised or cleared, and returns that: for who tells people. What else it has
    /// found is said in the log. The watch's agent has its heartbeats meanwhile, until this is dropped.
    ///
    /// Errors: `store.closed`; a store out of reach is waited for. Cancel safe, but for what a check that was under way
    /// has told.
    pub async fn next_alerts(&mut self) -> Result<Vec<Alert>> {
        if self.beating.is_none()
            && let Some(agent) = &self.watch.agent
        {
            self.beating = Some(self.agents.beating(agent, self.watch.thresholds.dead_after / 4)?);
        }
        loop {
            sleep_until(self.next.into()).await;
            self.next = (self.next + self.watch.every).max(monotonic());
            match self.check().await {
                Err(error) if error.kind() == Kind::Closed => return Err(error),
                Err(error) => self.agents.session.news.complain(&error, "the agents cannot be watched"),
                Ok(watched) => {
                    self.log(&watched);
                    if !watched.alerts.is_empty() {
                        return Ok(watched.alerts);
                    }
                }
            }
        }
    }

    fn log(&mut self, watched: &Watched) {
        for agent in &watched.dead {
            tracing::warn!(agent, "an agent is declared dead: what it held is in the queue again");
        }
        for agent in &watched.recovered {
            tracing::info!(agent, "an agent that was declared dead lives");
        }
        if watched.suspects != self.suspects {
            self.suspects.clone_from(&watched.suspects);
            if !self.suspects.is_empty() {
                tracing::warn!(
                    suspects = ?self.suspects,
                    "several agents have fallen silent at once; none of them is declared dead: is this watcher or their \
                     store cut off?"
                );
            }
        }
        for role in &watched.took {
            tracing::warn!(role, "the role is held here");
        }
        for role in &watched.handed_back {
            tracing::info!(role, "the role goes back to whom it belongs");
        }
        if watched.released > 0 {
            tracing::info!(
                tasks = watched.released,
                "waiting tasks of dead or draining agents are anybody's"
            );
        }
        if watched.alone != self.alone {
            self.alone.clone_from(&watched.alone);
            if !self.alone.is_empty() {
                tracing::warn!(roles = ?self.alone, "fewer than two candidates live: nobody would take over");
            }
        }
        for Alert { key, severity, state, text, .. } in &watched.alerts {
            match (state, severity) {
                (AlertState::Cleared, _) => tracing::info!(key, "alert cleared: {text}"),
                (_, Severity::Critical) => tracing::error!(key, "alert: {text}"),
                _ => tracing::warn!(key, "alert: {text}"),
            }
        }
    }

    /// Checks until the store is closed.
    pub(super) async fn run(mut self) -> Result<()> {
        loop {
            self.next_alerts().await?;
        }
    }
}

async fn still_held(held: &Leadership) -> Result<bool> {
    match held.renew().await {
        Ok(()) => Ok(held.is_valid()),
        Err(error) if error.kind() == Kind::LeaseLost => Ok(false),
        Err(error) => Err(error),
    }
}

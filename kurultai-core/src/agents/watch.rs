//! The loop that declares the dead.

use super::{
    alerts::{self, Alarms},
    contract::HeartbeatWriter,
    health::{AgentHealth, Thresholds},
    observer::{Judgement, Observer},
    signs::Declared,
};
use crate::{
    clock::monotonic,
    error::{Error, Kind, Result},
    events::{Alert, AlertState, Severity, alerts::Observations},
    session::Session,
    upkeep::FollowUp,
};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::time::sleep_until;

/// How to watch a team.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Watch {
    /// The time from one check to the next, at most half of `dead_after`. Default 10 s.
    pub every: Duration,
    /// From which silence on an agent is dead. A death is found within that and one check.
    pub thresholds: Thresholds,
}

impl Default for Watch {
    fn default() -> Self {
        Watch { every: Duration::from_secs(10), thresholds: Thresholds::default() }
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

    /// For how long it may get no answer before no silence counts that began before. A store that is away for that long
    /// makes everybody silent.
    fn patience(&self) -> Duration {
        (self.every * 2).max(self.thresholds.dead_after / 4)
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
    /// How each agent fares.
    pub health: Vec<AgentHealth>,
    /// What this check has raised and cleared, which nobody else is told: of several watchers one tells people.
    pub alerts: Vec<Alert>,
}

/// One who watches a team. What it has seen is its own: a silence counts from when it began to look.
#[derive(Debug)]
pub struct Watcher {
    registry: Arc<dyn HeartbeatWriter>,
    session: Arc<Session>,
    follow_up: Arc<dyn FollowUp>,
    watch: Watch,
    observer: Observer,
    alarms: Arc<dyn Alarms>,
    /// When to check next.
    next: Instant,
    /// Those that were logged last.
    suspects: Vec<String>,
}

impl Watcher {
    pub(super) fn new(
        registry: Arc<dyn HeartbeatWriter>,
        session: Arc<Session>,
        follow_up: Arc<dyn FollowUp>,
        alarms: Arc<dyn Alarms>,
        watch: Watch,
    ) -> Result<Self> {
        let Watch { every, thresholds } = watch;
        thresholds.check()?;
        if every.is_zero() || every > thresholds.dead_after / 2 {
            let allowed = "more than zero and at most half of dead_after";
            return Err(Error::invalid("every", format!("{} s", every.as_secs_f64()), allowed));
        }
        let (observer, next) = (Observer::default(), monotonic());
        Ok(Watcher { registry, session, follow_up, watch, observer, alarms, next, suspects: vec![] })
    }

    /// Looks at everybody once and declares who is dead or has recovered. Call it every `every`.
    ///
    /// Errors: what the store says; a look that failed counts as a gap. Cancel safe: a dropped call may still have
    /// declared somebody.
    pub async fn check(&mut self) -> Result<Watched> {
        let _call = self.session.calls.begin()?;
        let signs = self.registry.signs().await?;
        let thresholds = self.watch.thresholds;
        let at = self.session.config.clock.stopwatch();
        self.observer.look(&signs, at, self.watch.patience(), thresholds);
        let Judgement { verdicts, suspects } = self.observer.judge(&signs, thresholds);
        let declared = match verdicts.is_empty() {
            true => Declared::default(),
            false => self.registry.declare(verdicts, None).await?,
        };
        if !declared.dead.is_empty() || !declared.recovered.is_empty() {
            self.follow_up.after(declared.overdue).await;
        }
        let health = self.observer.health(&signs, thresholds);
        let seen = alerts::observations(&signs, &declared, &suspects, &health, thresholds);
        let alerts = self.tell(seen).await;
        let Declared { dead, recovered, .. } = declared;
        Ok(Watched { dead, recovered, suspects, health, alerts })
    }

    /// Who was declared dead stays so, whether or not people can be told.
    async fn tell(&self, seen: Observations) -> Vec<Alert> {
        let alerts = self.alarms.tell(seen).await.unwrap_or_else(|error| {
            self.session.news.complain(&error, "what burns cannot be told");
            vec![]
        });
        if !alerts.is_empty() {
            self.session.news.announce_events();
        }
        alerts
    }

    /// Checks every `every` until something is raised or cleared, and returns that: for who tells people. What else it has
    /// found is said in the log.
    ///
    /// Errors: `store.closed`; a store out of reach is waited for. Cancel safe, but for what a check that was under way
    /// has told.
    pub async fn next_alerts(&mut self) -> Result<Vec<Alert>> {
        loop {
            sleep_until(self.next.into()).await;
            self.next = (self.next + self.watch.every).max(monotonic());
            match self.check().await {
                Err(error) if error.kind() == Kind::Closed => return Err(error),
                Err(error) => self.session.news.complain(&error, "the agents cannot be watched"),
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

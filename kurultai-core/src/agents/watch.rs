//! The loop that declares the dead.

use super::{
    contract::HeartbeatWriter,
    health::{AgentHealth, Thresholds},
    observer::{Judgement, Observer},
    signs::Declared,
};
use crate::{
    clock::monotonic,
    error::{Error, Kind, Result},
    session::Session,
    upkeep::FollowUp,
};
use std::{sync::Arc, time::Duration};
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
}

/// One who watches a team. What it has seen is its own: a silence counts from when it began to look.
#[derive(Debug)]
pub struct Watcher {
    registry: Arc<dyn HeartbeatWriter>,
    session: Arc<Session>,
    follow_up: Arc<dyn FollowUp>,
    watch: Watch,
    observer: Observer,
}

impl Watcher {
    pub(super) fn new(
        registry: Arc<dyn HeartbeatWriter>,
        session: Arc<Session>,
        follow_up: Arc<dyn FollowUp>,
        watch: Watch,
    ) -> Result<Self> {
        let Watch { every, thresholds } = watch;
        thresholds.check()?;
        if every.is_zero() || every > thresholds.dead_after / 2 {
            let allowed = "more than zero and at most half of dead_after";
            return Err(Error::invalid("every", format!("{} s", every.as_secs_f64()), allowed));
        }
        Ok(Watcher { registry, session, follow_up, watch, observer: Observer::default() })
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
        let Declared { dead, recovered, overdue } = match verdicts.is_empty() {
            true => Declared::default(),
            false => self.registry.declare(verdicts, None).await?,
        };
        if !dead.is_empty() || !recovered.is_empty() {
            self.follow_up.after(overdue).await;
        }
        Ok(Watched { dead, recovered, suspects, health: self.observer.health(&signs, thresholds) })
    }

    /// Checks until the store is closed, and says in the log what it has found.
    pub(super) async fn run(mut self) -> Result<()> {
        let (mut suspects, mut next) = (vec![], monotonic());
        loop {
            match self.check().await {
                Err(error) if error.kind() == Kind::Closed => return Err(error),
                Err(error) => self.session.news.complain(&error, "the agents cannot be watched"),
                Ok(watched) => {
                    for agent in &watched.dead {
                        tracing::warn!(
                            agent,
                            "an agent is declared dead: what it held is in the queue again"
                        );
                    }
                    for agent in &watched.recovered {
                        tracing::info!(agent, "an agent that was declared dead lives");
                    }
                    if watched.suspects != suspects {
                        suspects = watched.suspects;
                        if !suspects.is_empty() {
                            tracing::warn!(
                                ?suspects,
                                "several agents have fallen silent at once; none of them is declared dead: is this \
                                 watcher or their store cut off?"
                            );
                        }
                    }
                }
            }
            next = (next + self.watch.every).max(monotonic());
            sleep_until(next.into()).await;
        }
    }
}

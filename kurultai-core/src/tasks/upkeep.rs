//! What the background does for tasks.

use super::settle::Settling;
use crate::{
    agents::Term,
    config::Config,
    error::Result,
    store::Pulse,
    upkeep::{FollowUp, TICK, Upkeep},
};
use async_trait::async_trait;
use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};
use tracing::instrument;

/// How many tasks or events one statement of the maintenance looks at.
const PASS: usize = 500;
/// How many events one statement draws edges from: a claim waits for it no longer than for another batch.
const PORTION: usize = 100;
/// How many such statements the background sends at each tick.
const PORTIONS: usize = 5;

#[derive(Debug)]
pub(crate) struct TaskUpkeep {
    settling: Settling,
    config: Config,
    /// The newest event and what could be claimed when those who wait were last woken: they could not have it, or have
    /// it.
    woken_for: Mutex<Option<(i64, (usize, i64))>>,
}

impl TaskUpkeep {
    pub(crate) fn new(settling: Settling, config: Config) -> Self {
        TaskUpkeep { settling, config, woken_for: Mutex::default() }
    }

    /// Everything that the background does, to its end.
    #[instrument(level = "debug", skip_all)]
    pub(crate) async fn maintain(&self) -> Result<()> {
        self.settling.settle().await?;
        self.keep().await?;
        self.draw_edges(usize::MAX).await
    }

    async fn draw_edges(&self, portions: usize) -> Result<()> {
        for _ in 0..portions {
            if self.settling.queue.draw_edges(PORTION).await? < PORTION {
                break;
            }
        }
        Ok(())
    }

    fn is_news(&self, seen: (i64, (usize, i64))) -> bool {
        self.woken_for.lock().unwrap_or_else(PoisonError::into_inner).replace(seen) != Some(seen)
    }
}

#[async_trait]
impl Upkeep for TaskUpkeep {
    async fn look(&self, pulse: &Pulse) -> Result<Duration> {
        if let Some(ready) = pulse.ready
            && self.is_news((pulse.event_seq, ready))
        {
            self.settling.news.announce_work();
        }
        match pulse.due {
            Some(due) if due.is_zero() => match self.settling.step().await {
                Ok(step) if step.progressed => Ok(Duration::ZERO),
                Ok(_) => Ok(TICK),
                Err(error) => {
                    self.settling.complain(&error);
                    Ok(TICK)
                }
            },
            Some(due) => Ok(due),
            None => Ok(TICK),
        }
    }

    async fn tick(&self, pulse: &Pulse) -> Result<()> {
        if pulse.linked { Ok(()) } else { self.draw_edges(PORTIONS).await }
    }

    /// Aging and retention, which may look at many tasks.
    async fn keep(&self) -> Result<()> {
        let queue = &self.settling.queue;
        if let Some(span) = self.config.aging {
            queue.age(span, PASS).await?;
        }
        let keep = &self.config.retention;
        if keep.tasks.is_some() || keep.events.is_some() {
            while queue.sweep(keep.tasks, keep.events, PASS).await? == PASS {}
        }
        Ok(())
    }
}

#[async_trait]
impl FollowUp for TaskUpkeep {
    async fn after(&self, overdue: bool) {
        self.settling.after(overdue).await;
    }

    async fn unassign(&self, agent: &str, by: Option<&str>, under: Option<Term>) -> Result<usize> {
        self.settling.unassign(agent, by, under.as_ref()).await
    }
}

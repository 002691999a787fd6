//! What the background does for schedules: it enqueues what is due.

use super::{
    contract::{Schedules, Tick, Timetable},
    rules,
};
use crate::{
    config::TaskDefaults,
    error::Result,
    news::News,
    store::Pulse,
    upkeep::{TICK, Upkeep},
};
use async_trait::async_trait;
use std::{sync::Arc, time::Duration};
use tracing::instrument;

/// How many schedules one look takes.
const PASS: usize = 100;
/// How much one transaction enqueues: tasks, and bytes of their payloads.
const TASKS: usize = 200;
const BYTES: usize = 1 << 20;

#[derive(Debug)]
pub(crate) struct ScheduleUpkeep {
    timetable: Arc<dyn Timetable>,
    news: Arc<News>,
    defaults: TaskDefaults,
}

impl ScheduleUpkeep {
    pub(crate) fn new(timetable: Arc<dyn Timetable>, news: Arc<News>, defaults: TaskDefaults) -> Arc<Self> {
        Arc::new(ScheduleUpkeep { timetable, news, defaults })
    }

    /// Enqueues everything that is due.
    #[instrument(level = "debug", skip_all)]
    pub(crate) async fn maintain(&self) -> Result<()> {
        while self.step().await? {}
        Ok(())
    }

    /// Moves the schedules that are due, or leaves them to whoever was quicker. Returns whether to look again.
    async fn step(&self) -> Result<bool> {
        let Schedules { now, entries } = self.timetable.due(PASS).await?;
        let mut ticks = vec![];
        for (entry, busy) in entries {
            match rules::tick(&entry, busy, now, &self.defaults) {
                Ok(tick) => ticks.extend(tick),
                // It stays due, and keeps nobody from the others.
                Err(error) => self.news.complain(&error, "a schedule cannot be read"),
            }
        }
        let progressed = !ticks.is_empty();
        for ticks in portions(ticks) {
            let enqueues = ticks.iter().any(|tick| !tick.tasks.is_empty());
            if self.timetable.tick(ticks).await? && enqueues {
                self.news.announce();
            }
        }
        Ok(progressed)
    }
}

/// Of which each is a transaction.
fn portions(ticks: Vec<Tick>) -> Vec<Vec<Tick>> {
    let (mut portions, mut filled): (Vec<Vec<Tick>>, (usize, usize)) = (vec![], (0, 0));
    for tick in ticks {
        let bytes: usize = tick.tasks.iter().map(|task| task.payload.as_str().len()).sum();
        filled = (filled.0 + tick.tasks.len(), filled.1 + bytes);
        match portions.last_mut() {
            Some(portion) if filled.0 <= TASKS && filled.1 <= BYTES => portion.push(tick),
            _ => {
                filled = (tick.tasks.len(), bytes);
                portions.push(vec![tick]);
            }
        }
    }
    portions
}

#[async_trait]
impl Upkeep for ScheduleUpkeep {
    async fn look(&self, pulse: &Pulse) -> Result<Duration> {
        match pulse.schedule_due {
            Some(due) if due.is_zero() => match self.step().await {
                Ok(true) => Ok(Duration::ZERO),
                Ok(false) => Ok(TICK),
                Err(error) => {
                    self.news.complain(&error, "schedules that are due stay for the next pass");
                    Ok(TICK)
                }
            },
            Some(due) => Ok(due),
            None => Ok(TICK),
        }
    }
}

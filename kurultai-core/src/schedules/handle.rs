//! What users call: `kurultai.schedules()`.

use super::{
    contract::{self, Entry, Timetable},
    rules,
    types::{NewSchedule, Schedule},
};
use crate::{
    clock::Micros,
    error::{Error, Result},
    session::Session,
    tasks::Enqueued,
};
use std::sync::Arc;
use tracing::instrument;

/// How often a change is decided anew, because the schedule moved meanwhile.
const ROUNDS: usize = 8;

/// What is due when. A schedule enqueues a task at its times and does nothing else; every process that has the store open
/// sees to it, and each time has its task once, whoever crashes. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Schedules {
    timetable: Arc<dyn Timetable>,
    session: Arc<Session>,
}

impl Schedules {
    pub(crate) fn new(timetable: Arc<dyn Timetable>, session: Arc<Session>) -> Self {
        Schedules { timetable, session }
    }

    /// Puts a schedule, in place of the one of its name. Programs put theirs whenever they start: where it is as it was,
    /// nothing changes; where its times are the same, what was missed is still caught up. A paused one stays paused.
    ///
    /// Errors: `input.invalid`, `input.payload`. After `store.outcome_unknown` repeat it. Cancel safe: a dropped call may
    /// still have put it.
    #[instrument(level = "debug", skip_all, fields(name = schedule.name))]
    pub async fn put(&self, schedule: NewSchedule) -> Result<Schedule> {
        schedule.check(&self.session.config.defaults)?;
        let name = schedule.name.clone();
        let put = |before: Option<&Entry>, now| schedule.clone().entry(before, now).map(Some);
        self.change(&name, put).await?.ok_or_else(|| Error::internal("a put without a schedule"))
    }

    /// All schedules, in the order of their names. Cancel safe.
    #[instrument(level = "debug", skip_all)]
    pub async fn list(&self) -> Result<Vec<Schedule>> {
        let contract::Schedules { now, entries } = self.timetable.schedules(None).await?;
        entries.into_iter().map(|(entry, _)| Schedule::of(entry, now)).collect()
    }

    /// Errors: `schedule.not_found`, with the nearest name. Cancel safe.
    #[instrument(level = "debug", skip(self))]
    pub async fn get(&self, name: &str) -> Result<Schedule> {
        let contract::Schedules { now, entries } = self.timetable.schedules(Some(name)).await?;
        match entries.into_iter().next() {
            Some((entry, _)) => Schedule::of(entry, now),
            None => Err(self.not_found(name).await),
        }
    }

    /// Lets it enqueue nothing until [`unpause`](Self::unpause), also where it is put again. Errors: `schedule.not_found`.
    /// Cancel safe: a dropped call may still pause it.
    pub async fn pause(&self, name: &str) -> Result<Schedule> {
        self.set_paused(name, true).await
    }

    /// Lets it enqueue again, from the next time on that is to come: what came while it was paused is not caught up.
    /// Errors: `schedule.not_found`. Cancel safe: a dropped call may still unpause it.
    pub async fn unpause(&self, name: &str) -> Result<Schedule> {
        self.set_paused(name, false).await
    }

    /// Removes it; its tasks stay. Errors: `schedule.not_found`. Cancel safe: a dropped call may still remove it.
    #[instrument(level = "debug", skip(self))]
    pub async fn remove(&self, name: &str) -> Result<()> {
        let _call = self.session.calls.begin()?;
        if self.timetable.remove(name).await? { Ok(()) } else { Err(self.not_found(name).await) }
    }

    /// Enqueues its task at once, also where it is paused; what is due when stays. Where it waits for its last task
    /// (`overlap` is `skip`), that one is the answer, marked `deduplicated`.
    ///
    /// Errors: `schedule.not_found`. Cancel safe: a dropped call may still have enqueued the task.
    #[instrument(level = "debug", skip(self))]
    pub async fn run_now(&self, name: &str) -> Result<Enqueued> {
        let _call = self.session.calls.begin()?;
        for _ in 0..ROUNDS {
            let entry = self.timetable.schedules(Some(name)).await?.entries.into_iter().next();
            let Some((entry, busy)) = entry else { return Err(self.not_found(name).await) };
            let tick = rules::run_now(&entry, busy, &self.session.config.defaults)?;
            let Some(tick) = tick else {
                return Ok(Enqueued { id: entry.last_task.unwrap_or_default(), deduplicated: true });
            };
            let id = tick.last_task.clone().unwrap_or_default();
            if self.timetable.tick(vec![tick]).await? {
                self.session.news.announce();
                return Ok(Enqueued { id, deduplicated: false });
            }
        }
        Err(changes_too_quickly(name))
    }

    #[instrument(level = "debug", skip(self))]
    async fn set_paused(&self, name: &str, paused: bool) -> Result<Schedule> {
        let changed = self.change(name, |before, now| match before {
            Some(entry) if entry.paused != paused => rules::paused(entry.clone(), paused, now).map(Some),
            same => Ok(same.cloned()),
        });
        match changed.await? {
            Some(schedule) => Ok(schedule),
            None => Err(self.not_found(name).await),
        }
    }

    /// Reads, decides and stores until the fence holds. `None` where that is what was decided.
    async fn change(
        &self,
        name: &str,
        decide: impl Fn(Option<&Entry>, Micros) -> Result<Option<Entry>> + Send,
    ) -> Result<Option<Schedule>> {
        let _call = self.session.calls.begin()?;
        for _ in 0..ROUNDS {
            let contract::Schedules { now, entries } = self.timetable.schedules(Some(name)).await?;
            let before = entries.into_iter().next().map(|(entry, _)| entry);
            let Some(mut entry) = decide(before.as_ref(), now)? else { return Ok(None) };
            if before.as_ref() == Some(&entry) {
                return Schedule::of(entry, now).map(Some);
            }
            let was = before.map(|before| before.revision);
            if was.is_some() {
                (entry.revision, entry.updated_at) = (entry.revision + 1, now);
            }
            if self.timetable.put(entry.clone(), was).await? {
                // It may be due before the loop looks again.
                self.session.news.look_soon();
                return Schedule::of(entry, now).map(Some);
            }
        }
        Err(changes_too_quickly(name))
    }

    async fn not_found(&self, name: &str) -> Error {
        match self.timetable.schedules(None).await {
            Ok(all) => rules::not_found(name, all.entries.iter().map(|(entry, _)| entry.name.as_str())),
            Err(error) => error,
        }
    }
}

fn changes_too_quickly(name: &str) -> Error {
    Error::unavailable(format!("schedule {name:?} changes too quickly"))
}

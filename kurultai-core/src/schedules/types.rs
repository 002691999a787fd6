use super::{contract::Entry, fields, rhythm::Rhythm, rules};
use crate::{
    check,
    clock::{Micros, duration, micros, time},
    config::TaskDefaults,
    error::{Error, Result},
    json::{Json, seconds},
    tasks::{self, NewTask},
    words::words,
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use std::time::Duration;

words! {
    /// What becomes of the times that passed while no process had the store open.
    CatchUp, "catch_up" {
        /// One task for all of them. The default.
        One = "one",
        /// None; the next one is the next time to come. What is less than a minute late counts as on time.
        Skip = "skip",
        /// A task for each, the oldest first.
        All = "all",
    }
}

words! {
    /// What becomes of a time that comes while the schedule's last task is unfinished.
    Overlap, "overlap" {
        /// It has no task, and is the schedule's `last_skipped`. The default.
        Skip = "skip",
        /// It has its task all the same.
        Allow = "allow",
    }
}

/// The shortest time from one due time to the next.
const SHORTEST: Duration = Duration::from_secs(1);
/// How many times to come a jitter is compared with.
const COMPARED: usize = 10;

/// A schedule to put: what to enqueue, and when.
///
/// ```
/// use kurultai_core::{schedules::NewSchedule, tasks::NewTask};
/// use std::time::Duration;
///
/// let report = NewTask::new("report").requires(["writing"]);
/// let weekly = NewSchedule::new("weekly report", report).cron("0 9 * * MON").timezone("Asia/Ulaanbaatar");
/// let often = NewSchedule::new("look", NewTask::new("look")).every(Duration::from_secs(300));
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct NewSchedule {
    /// Its name: 1 to 128 characters. A schedule of the same name is replaced.
    pub name: String,
    /// What each due time enqueues. It depends on no other task and has no start, id or unique key of its own.
    pub task: NewTask,
    /// From one due time to the next, at least 1 s. Either this or `cron`.
    pub every: Option<Duration>,
    /// Five fields, minute hour day month weekday, as in `0 9 * * MON`; or `@hourly`, `@daily`, `@weekly`, `@monthly`,
    /// `@yearly`. Where day and weekday are both given, either counts.
    pub cron: Option<String>,
    /// Whose wall clock `cron` is read by, an IANA name. Default `UTC`.
    pub timezone: String,
    /// It is not due before. What `every` counts from: it is due at `start`, one `every` later, and so on. Default, for
    /// `every`, when a schedule of this name was put first, which is itself not due.
    pub start: Option<DateTime<Utc>>,
    /// What becomes of missed times. Default `one`.
    pub catch_up: CatchUp,
    /// Whether it waits for its last task. Default `skip`; with `catch_up` `all`, where it would contradict it, `allow`.
    pub overlap: Option<Overlap>,
    /// By how much each task may come later than its time, so that not everything happens at nine: the same for every
    /// process and every look. Shorter than from one due time to the next. Default zero.
    pub jitter: Duration,
}

impl NewSchedule {
    /// Of this name, for this task; say when by [`every`](Self::every) or [`cron`](Self::cron).
    pub fn new(name: impl Into<String>, task: NewTask) -> Self {
        NewSchedule {
            name: name.into(),
            task,
            every: None,
            cron: None,
            timezone: "UTC".to_owned(),
            start: None,
            catch_up: CatchUp::One,
            overlap: None,
            jitter: Duration::ZERO,
        }
    }

    /// From one due time to the next.
    pub fn every(mut self, every: Duration) -> Self {
        self.every = Some(every);
        self
    }

    /// At the times that the pattern means: `0 9 * * MON`.
    pub fn cron(mut self, cron: impl Into<String>) -> Self {
        self.cron = Some(cron.into());
        self
    }

    /// Whose wall clock `cron` is read by: `Europe/Berlin`.
    pub fn timezone(mut self, name: impl Into<String>) -> Self {
        self.timezone = name.into();
        self
    }

    /// What `every` counts from; nothing is due before.
    pub fn start(mut self, at: DateTime<Utc>) -> Self {
        self.start = Some(at);
        self
    }

    /// What becomes of missed times.
    pub fn catch_up(mut self, catch_up: CatchUp) -> Self {
        self.catch_up = catch_up;
        self
    }

    /// Whether it waits for its last task.
    pub fn overlap(mut self, overlap: Overlap) -> Self {
        self.overlap = Some(overlap);
        self
    }

    /// By how much each task may come later than its time.
    pub fn jitter(mut self, most: Duration) -> Self {
        self.jitter = most;
        self
    }

    /// What is given: a wrong value is refused before anything is asked of the store.
    pub(super) fn check(&self, defaults: &TaskDefaults) -> Result<()> {
        check::text("name", &self.name, 128)?;
        match (&self.every, &self.cron) {
            (None, None) => return Err(Error::invalid("every", "", "a span, or cron instead")),
            (Some(_), Some(cron)) => {
                return Err(Error::invalid("cron", cron, "nothing where every is given"));
            }
            _ => {}
        }
        if let Some(every) = self.every {
            if every < SHORTEST {
                return Err(Error::invalid("every", format!("{} s", every.as_secs_f64()), "1 s or more"));
            }
            check::span("every", every)?;
            if self.timezone != "UTC" {
                let allowed = "UTC where every is given, which no clock change moves; cron for a time of day";
                return Err(Error::invalid("timezone", &self.timezone, allowed));
            }
        }
        if let Some(start) = self.start {
            check::time("start", start, check::LAST_START, "1970 to 9989")?;
        }
        if self.catch_up == CatchUp::All && self.overlap == Some(Overlap::Skip) {
            let allowed =
                "allow where catch_up is all: each time has its task, whether or not another is unfinished";
            return Err(Error::invalid("overlap", "skip", allowed));
        }
        check::span("jitter", self.jitter)?;
        fields::check(&self.task)?;
        tasks::check::new_task(&mut self.task.clone(), defaults)
    }

    /// As the store keeps it, in place of what is there under this name.
    pub(super) fn entry(self, before: Option<&Entry>, now: Micros) -> Result<Entry> {
        let first = before.map_or(now, |entry| entry.created_at);
        let rhythm = Rhythm {
            every: self.every.map(micros),
            start: self.start.map(|at| at.timestamp_micros()).or(self.every.map(|_| first)),
            cron: self.cron,
            timezone: self.timezone,
        };
        let times = rhythm.times()?;
        let jitter = micros(self.jitter);
        let mut due = times.next_after(now);
        if due.is_none() {
            let text = rhythm.cron.as_deref().unwrap_or_default();
            return Err(Error::invalid("cron", text, "a pattern that some day matches"));
        }
        for _ in 0..if jitter > 0 { COMPARED } else { 0 } {
            let Some((here, next)) = due.and_then(|here| Some((here, times.next_after(here)?))) else {
                break;
            };
            if jitter >= next - here {
                let is = format!("{} s", self.jitter.as_secs_f64());
                let allowed =
                    format!("less than the {} s from one time to the next", (next - here) / 1_000_000);
                return Err(Error::invalid("jitter", is, &allowed));
            }
            due = Some(next);
        }
        let usual = if self.catch_up == CatchUp::All { Overlap::Allow } else { Overlap::Skip };
        let mut entry = Entry {
            name: self.name,
            fields: fields::of(&self.task),
            task_type: self.task.task_type,
            payload: self.task.payload,
            catch_up: self.catch_up,
            overlap: self.overlap.unwrap_or(usual),
            jitter,
            paused: before.is_some_and(|entry| entry.paused),
            next_due: None,
            due_at: None,
            last_due: before.and_then(|entry| entry.last_due),
            last_task: before.and_then(|entry| entry.last_task.clone()),
            last_skipped: before.and_then(|entry| entry.last_skipped),
            revision: before.map_or(now, |entry| entry.revision),
            created_at: first,
            updated_at: before.map_or(now, |entry| entry.updated_at),
            rhythm,
        };
        match before.filter(|before| before.rhythm == entry.rhythm) {
            // What was missed is still due: programs put their schedules whenever they start.
            Some(before) => entry.move_to(before.next_due),
            None if entry.paused => {}
            None => entry.move_to(times.next_after(now)),
        }
        Ok(entry)
    }
}

/// A schedule as it stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Schedule {
    /// Its name.
    pub name: String,
    /// The type of its tasks.
    #[serde(rename = "type")]
    pub task_type: String,
    /// The payload of its tasks.
    pub payload: Json,
    /// What else each task is given, as it was put: `priority`, `requires` and so on; spans in seconds.
    pub task_fields: Json,
    /// From one due time to the next, where it goes by a span.
    #[serde(with = "seconds")]
    pub every: Option<Duration>,
    /// The pattern, where it goes by the wall clock.
    pub cron: Option<String>,
    /// Whose wall clock that is.
    pub timezone: String,
    /// What `every` counts from; nothing is due before.
    pub start: Option<DateTime<Utc>>,
    /// What becomes of missed times.
    pub catch_up: CatchUp,
    /// What becomes of a time that comes while its last task is unfinished.
    pub overlap: Overlap,
    /// By how much a task may come later than its time.
    #[serde(with = "whole_seconds")]
    pub jitter: Duration,
    /// Whether it enqueues nothing until it is unpaused.
    pub paused: bool,
    /// The time that is due next, which may have come already; `None` while it is paused.
    pub next_due: Option<DateTime<Utc>>,
    /// The next three times, the first of which is `next_due`; none while it is paused.
    pub upcoming: Vec<DateTime<Utc>>,
    /// The last time that had a task.
    pub last_due: Option<DateTime<Utc>>,
    /// The task that it enqueued last, also by [`run_now`](super::Schedules::run_now).
    pub last_task: Option<String>,
    /// The last time that had none: the task before was unfinished, or `catch_up` is `skip`.
    pub last_skipped: Option<DateTime<Utc>>,
    /// When a schedule of this name was put first.
    pub created_at: DateTime<Utc>,
    /// When somebody last changed it.
    pub updated_at: DateTime<Utc>,
}

/// [`seconds`] of a span that is always there.
mod whole_seconds {
    use super::seconds;
    use serde::{Deserializer, Serializer};
    use std::time::Duration;

    pub(super) fn serialize<S: Serializer>(span: &Duration, to: S) -> Result<S::Ok, S::Error> {
        seconds::serialize(&Some(*span), to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        seconds::deserialize(from).map(Option::unwrap_or_default)
    }
}

impl Schedule {
    pub(super) fn of(entry: Entry, now: Micros) -> Result<Self> {
        let upcoming = rules::upcoming(&entry, now)?;
        let Entry { rhythm, .. } = entry;
        Ok(Schedule {
            name: entry.name,
            task_type: entry.task_type,
            payload: entry.payload,
            task_fields: entry.fields,
            every: rhythm.every.map(duration),
            cron: rhythm.cron,
            timezone: rhythm.timezone,
            start: rhythm.start.map(time),
            catch_up: entry.catch_up,
            overlap: entry.overlap,
            jitter: duration(entry.jitter),
            paused: entry.paused,
            next_due: entry.next_due.map(time),
            upcoming: upcoming.into_iter().map(time).collect(),
            last_due: entry.last_due.map(time),
            last_task: entry.last_task,
            last_skipped: entry.last_skipped.map(time),
            created_at: time(entry.created_at),
            updated_at: time(entry.updated_at),
        })
    }
}

//! The store's contract for schedules. What is decided of an entry is decided from one that was read, and stored where its
//! `revision` is still the same.

use super::{
    rhythm::Rhythm,
    rules,
    types::{CatchUp, Overlap},
};
use crate::{clock::Micros, error::Result, json::Json, store::Sealed, tasks::NewTask};
use async_trait::async_trait;
use std::fmt;

/// What a store does for schedules. Sealed: the library brings its stores.
#[async_trait]
pub trait Timetable: Sealed + fmt::Debug + Send + Sync {
    /// The schedule of this name, or all in the order of their names.
    async fn schedules(&self, name: Option<&str>) -> Result<Schedules>;

    /// Those whose `due_at` has come, the oldest first, at most `limit`.
    async fn due(&self, limit: usize) -> Result<Schedules>;

    /// Stores an entry where the one of its name still has the revision `was`; without one, where there is none. Returns
    /// whether it did.
    async fn put(&self, entry: Entry, was: Option<i64>) -> Result<bool>;

    /// Returns whether there was one.
    async fn remove(&self, name: &str) -> Result<bool>;

    /// Moves schedules and enqueues what they were moved for, all in one transaction, where every fence holds; otherwise
    /// nothing. A task whose unique key another one has is not added: that one is the task of its time. Returns whether
    /// it was done. No two ticks are of one schedule.
    async fn tick(&self, ticks: Vec<Tick>) -> Result<bool>;
}

/// Entries, read together.
#[derive(Debug)]
pub struct Schedules {
    /// The store's time when they were read.
    pub(crate) now: Micros,
    /// Each with whether its last task is unfinished.
    pub(crate) entries: Vec<(Entry, bool)>,
}

/// A schedule as it is stored. Times and spans are microseconds.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    pub(crate) name: String,
    pub(crate) task_type: String,
    pub(crate) payload: Json,
    /// What else its tasks are given, an object.
    pub(crate) fields: Json,
    pub(crate) rhythm: Rhythm,
    pub(crate) catch_up: CatchUp,
    pub(crate) overlap: Overlap,
    pub(crate) jitter: Micros,
    pub(crate) paused: bool,
    pub(crate) next_due: Option<Micros>,
    /// When the store looks at it: `next_due` and its jitter.
    pub(crate) due_at: Option<Micros>,
    pub(crate) last_due: Option<Micros>,
    pub(crate) last_task: Option<String>,
    pub(crate) last_skipped: Option<Micros>,
    /// Grows with each change, and begins with the time: no later schedule of the name has one that was there before.
    pub(crate) revision: i64,
    pub(crate) created_at: Micros,
    pub(crate) updated_at: Micros,
}

impl Entry {
    /// It is due next at that time.
    pub(crate) fn move_to(&mut self, due: Option<Micros>) {
        self.next_due = due;
        self.due_at = due.map(|due| due + rules::jitter(&self.name, due, self.jitter));
    }
}

/// A schedule moves on.
#[derive(Debug, Clone, PartialEq)]
pub struct Tick {
    pub(crate) name: String,
    /// The fence: the revision, and whether the last task was unfinished.
    pub(crate) revision: i64,
    pub(crate) busy: bool,
    /// What is enqueued; each has a unique key.
    pub(crate) tasks: Vec<NewTask>,
    pub(crate) next_due: Option<Micros>,
    pub(crate) due_at: Option<Micros>,
    /// `None` stays as it is, as of those that follow.
    pub(crate) last_due: Option<Micros>,
    pub(crate) last_skipped: Option<Micros>,
    pub(crate) last_task: Option<String>,
}

impl Tick {
    /// Without what is there already; `taken` has the keys and the ids of those tasks.
    pub(crate) fn without(mut self, taken: &[(String, String)]) -> Self {
        let twin = |task: &NewTask| {
            let key = task.unique_key.as_ref()?;
            taken.iter().find(|(known, _)| known == key).map(|(_, id)| id.clone())
        };
        if let Some(id) = self.tasks.last().and_then(twin) {
            self.last_task = Some(id);
        }
        self.tasks.retain(|task| twin(task).is_none());
        self
    }

    /// The keys of its tasks.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &str> {
        self.tasks.iter().filter_map(|task| task.unique_key.as_deref())
    }
}

//! What is made of the times that have passed. Pure.

use super::{
    contract::{Entry, Tick},
    fields,
    types::{CatchUp, Overlap},
};
use crate::{
    clock::{Micros, time},
    config::TaskDefaults,
    error::{Error, Kind, Result},
    ids,
    tasks::{self, NewTask},
};
use chrono::SecondsFormat;
use sha2::{Digest, Sha256};

/// What is no later than that is on time, and not missed.
const PUNCTUAL: Micros = 60_000_000;
/// How many tasks one tick enqueues of a schedule; what is left is due at once.
const MOST: usize = 100;
/// How many times to come are told.
const TOLD: usize = 3;

/// By how much the task of this time comes later: less than `most`, and always the same.
pub(super) fn jitter(name: &str, due: Micros, most: Micros) -> Micros {
    if most <= 0 {
        return 0;
    }
    let digest =
        Sha256::new().chain_update(name).chain_update([0]).chain_update(due.to_be_bytes()).finalize();
    let drawn = digest.iter().take(7).fold(0, |drawn: i64, byte| drawn << 8 | i64::from(*byte));
    drawn % most
}

/// The unique key of the task of a time.
pub(super) fn key(name: &str, due: Micros) -> String {
    format!("schedule:{name}:{}", time(due).to_rfc3339_opts(SecondsFormat::AutoSi, true))
}

/// How a schedule that is due moves on: its times up to now, oldest first, become tasks or are passed over.
pub(super) fn tick(entry: &Entry, busy: bool, now: Micros, defaults: &TaskDefaults) -> Result<Option<Tick>> {
    let comes = |due: Micros| due + jitter(&entry.name, due, entry.jitter) <= now;
    let Some(first) = entry.next_due.filter(|due| comes(*due)) else { return Ok(None) };
    let times = entry.rhythm.times()?;
    let mut dues = vec![first];
    if entry.catch_up == CatchUp::All {
        while dues.len() < MOST
            && let Some(next) = times.next_after(dues[dues.len() - 1]).filter(|due| comes(*due))
        {
            dues.push(next);
        }
    } else {
        // The jitter of the last one may still be ahead; then it is the one before.
        let mut last = times.last_until(first, now);
        if !comes(last) {
            last = times.last_until(first, last - 1);
        }
        dues = vec![last];
    }
    let last = dues[dues.len() - 1];
    let missed =
        entry.catch_up == CatchUp::Skip && now - last - jitter(&entry.name, last, entry.jitter) > PUNCTUAL;
    let skipped = missed || (busy && entry.overlap == Overlap::Skip);
    if skipped {
        dues.clear();
    }
    let keyed = dues.iter().map(|due| task(entry, key(&entry.name, *due), defaults));
    let tasks = keyed.collect::<Result<Vec<_>>>()?;
    let mut moved = entry.clone();
    moved.move_to(times.next_after(last));
    Ok(Some(Tick {
        name: moved.name,
        revision: entry.revision,
        busy,
        last_task: tasks.last().map(|task| task.id.clone()),
        tasks,
        next_due: moved.next_due,
        due_at: moved.due_at,
        last_due: (!skipped).then_some(last),
        last_skipped: skipped.then_some(last),
    }))
}

/// One task now, whatever is due. `None` where the schedule waits for its last one.
pub(super) fn run_now(entry: &Entry, busy: bool, defaults: &TaskDefaults) -> Result<Option<Tick>> {
    if busy && entry.overlap == Overlap::Skip {
        return Ok(None);
    }
    let mut task = task(entry, String::new(), defaults)?;
    task.unique_key = Some(format!("schedule:{}:now:{}", entry.name, task.id));
    Ok(Some(Tick {
        name: entry.name.clone(),
        revision: entry.revision,
        busy,
        last_task: Some(task.id.clone()),
        tasks: vec![task],
        next_due: entry.next_due,
        due_at: entry.due_at,
        last_due: None,
        last_skipped: None,
    }))
}

fn task(entry: &Entry, key: String, defaults: &TaskDefaults) -> Result<NewTask> {
    let mut task = fields::task(entry)?;
    tasks::check::new_task(&mut task, defaults)?;
    Ok(task.unique_key(key))
}

/// It enqueues nothing any more, or again. What came meanwhile is not caught up: somebody wanted that it has no task.
pub(super) fn paused(mut entry: Entry, paused: bool, now: Micros) -> Result<Entry> {
    entry.paused = paused;
    let next = if paused { None } else { entry.rhythm.times()?.next_after(now) };
    entry.move_to(next);
    Ok(entry)
}

/// The next times: the one that is due next, and those after it that are still to come.
pub(super) fn upcoming(entry: &Entry, now: Micros) -> Result<Vec<Micros>> {
    let times = entry.rhythm.times()?;
    let next = |here: &Micros| times.next_after((*here).max(now));
    Ok(std::iter::successors(entry.next_due, next).take(TOLD).collect())
}

/// `schedule.not_found`, with the nearest name.
pub(super) fn not_found<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Error {
    let hint = match ids::nearest(name, known.map(|known| (known, known))) {
        Some(near) => format!("did you mean {near:?}?"),
        None => "put it first".to_owned(),
    };
    Error::new(
        Kind::NotFound,
        "schedule.not_found",
        format!("no schedule {name:?} in this namespace; {hint}"),
    )
}

#[cfg(test)]
mod tests;

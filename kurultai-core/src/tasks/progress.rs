//! How often the progress of a task is an event: at most twice a second, and the last one always.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

const PAUSE: Duration = Duration::from_millis(500);
/// So many tasks are remembered before those are forgotten whose pause is over.
const MANY: usize = 1_024;

/// The tasks whose progress was told just now. A task has one holder, so a process knows all that is told of it.
#[derive(Debug, Default)]
pub(super) struct Pace(Mutex<HashMap<String, Told>>);

#[derive(Debug)]
struct Told {
    /// The last event.
    at: Instant,
    /// What has been told since, and waits for its event.
    latest: Option<f64>,
}

/// What is to be done about a progress.
#[derive(Debug, PartialEq)]
pub(super) enum Announce {
    Now,
    /// The first of those that wait: ask for the `latest` then.
    After(Duration),
    /// Another one waits already, and tells this instead.
    Waits,
}

impl Pace {
    pub(super) fn tell(&self, task: &str, progress: f64, now: Instant) -> Announce {
        let mut told = self.told();
        if told.len() >= MANY {
            told.retain(|_, told| told.latest.is_some() || now.duration_since(told.at) < PAUSE);
        }
        match told.get_mut(task) {
            Some(Told { at, latest }) if now.duration_since(*at) < PAUSE => {
                let waits = latest.replace(progress).is_some();
                if waits { Announce::Waits } else { Announce::After(PAUSE - now.duration_since(*at)) }
            }
            _ => {
                told.insert(task.to_owned(), Told { at: now, latest: None });
                Announce::Now
            }
        }
    }

    /// What is the event's now.
    pub(super) fn latest(&self, task: &str, now: Instant) -> Option<f64> {
        let mut told = self.told();
        let Told { at, latest } = told.get_mut(task)?;
        *at = now;
        latest.take()
    }

    fn told(&self) -> MutexGuard<'_, HashMap<String, Told>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::monotonic;

    #[test]
    fn the_first_and_the_last_are_told_and_no_more_than_two_a_second() {
        let (pace, start) = (Pace::default(), monotonic());
        let at = |ms| start + Duration::from_millis(ms);
        assert_eq!(pace.tell("a", 0.1, at(0)), Announce::Now);
        assert_eq!(pace.tell("b", 0.1, at(0)), Announce::Now);
        assert_eq!(pace.tell("a", 0.2, at(100)), Announce::After(Duration::from_millis(400)));
        assert_eq!(pace.tell("a", 0.3, at(200)), Announce::Waits);
        assert_eq!(pace.latest("a", at(500)), Some(0.3));
        assert_eq!(pace.tell("a", 0.4, at(600)), Announce::After(Duration::from_millis(400)));
        assert_eq!(pace.latest("a", at(1000)), Some(0.4));
        assert_eq!(pace.tell("a", 0.5, at(1600)), Announce::Now);
        for task in 0..2 * MANY as u64 {
            pace.tell(&task.to_string(), 0.5, at(1600 + task));
        }
        assert!(pace.told().len() <= MANY + 1, "those of long ago are forgotten");
    }
}

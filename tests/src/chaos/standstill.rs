//! When a process of a run did not run: somebody had stopped it, or the machine had no time for it. What took long then
//! says nothing about the library.

use super::Result;
use chrono::{DateTime, Utc};
use kurultai_core::clock::monotonic;
use std::{thread, time::Duration};

/// How often a process looks whether it runs, and how late it may be before that counts as a standstill.
const TICK: Duration = Duration::from_millis(10);
const LATE: Duration = Duration::from_millis(50);

/// Says `stood FROM TO`, in milliseconds since 1970, whenever this process has stood still. A thread of its own, so that
/// it sees the machine and not what the library does to its runtime.
#[expect(clippy::disallowed_methods, reason = "it is about real time, as the events' times are")]
pub(super) fn watch(say: impl Fn(&str) + Send + 'static) {
    thread::spawn(move || {
        loop {
            let begun = monotonic();
            thread::sleep(TICK);
            let passed = begun.elapsed();
            if passed > TICK + LATE {
                let now = Utc::now().timestamp_millis();
                say(&format!("stood {} {now}", now - passed.as_millis() as i64));
            }
        }
    });
}

/// Says of what is to be done every so often that it stood still while it was late.
#[derive(Debug, Default)]
pub(super) struct Late {
    /// When it is to be done next.
    due: Option<i64>,
}

impl Late {
    /// It is done now, and next after `every`.
    #[expect(clippy::disallowed_methods, reason = "it is about real time, as the events' times are")]
    pub(super) fn next(&mut self, every: Duration, say: impl Fn(&str) -> Result) -> Result {
        let now = Utc::now().timestamp_millis();
        let late = self.due.filter(|due| now - due > LATE.as_millis() as i64);
        self.due = Some(now + every.as_millis() as i64);
        late.map_or(Ok(()), |due| say(&format!("stood {due} {now}")))
    }
}

/// In milliseconds since 1970.
#[derive(Debug, Clone, Default)]
pub struct Standstills(Vec<(i64, i64)>);

impl Standstills {
    pub(super) fn add(&mut self, from: i64, to: i64) {
        self.0.push((from, to));
    }

    /// In order, and none within another.
    pub(super) fn merged(mut self) -> Self {
        self.0.sort_unstable();
        let mut merged: Vec<(i64, i64)> = Vec::with_capacity(self.0.len());
        for (from, to) in self.0 {
            match merged.last_mut() {
                Some(last) if from <= last.1 => last.1 = last.1.max(to),
                _ => merged.push((from, to)),
            }
        }
        Standstills(merged)
    }

    pub(super) fn total(&self) -> Duration {
        Duration::from_millis(self.0.iter().map(|(from, to)| to.abs_diff(*from)).sum())
    }

    /// From one moment to another, without the standstills. Only of merged ones.
    pub(super) fn running_time(&self, from: DateTime<Utc>, to: DateTime<Utc>) -> Duration {
        let (start, end) = (from.timestamp_millis(), to.timestamp_millis());
        let first = self.0.partition_point(|stood| stood.1 <= start);
        let within = self.0[first..].iter().take_while(|stood| stood.0 < end);
        let stood: u64 = within.map(|stood| stood.1.min(end).abs_diff(stood.0.max(start))).sum();
        (to - from).to_std().unwrap_or_default().saturating_sub(Duration::from_millis(stood))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn standstills_do_not_count() {
        let standstills =
            Standstills(vec![(300, 400), (900, 1_000), (100, 180), (150, 200), (110, 120)]).merged();
        let at = |millis| DateTime::from_timestamp_millis(millis).unwrap();
        let millis = |from, to| standstills.running_time(at(from), at(to)).as_millis();
        assert_eq!(millis(0, 100), 100, "before");
        assert_eq!(millis(150, 350), 100, "a part of two");
        assert_eq!(millis(50, 500), 250, "two whole ones");
        assert_eq!(millis(310, 390), 0, "nothing but a standstill");
        assert_eq!(standstills.total(), Duration::from_millis(300));
    }
}

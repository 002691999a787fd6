//! Which beginnings of the log the clock allows at a moment.

use super::record::Nanos;
use std::ops::RangeInclusive;

#[derive(Debug, Default)]
pub struct Clock {
    /// At this time somebody knew that the log was at least as long; in order, both growing.
    known: Vec<(Nanos, i64)>,
    /// The event of this number was begun at this time, so the log was shorter before; in order, both growing.
    begun: Vec<(Nanos, i64)>,
}

impl Clock {
    pub fn new(mut known: Vec<(Nanos, i64)>, mut begun: Vec<(Nanos, i64)>) -> Self {
        known.sort_unstable();
        let mut longest = 0;
        for (_, seq) in &mut known {
            longest = longest.max(*seq);
            *seq = longest;
        }
        begun.sort_unstable();
        let mut first = i64::MAX;
        for (_, seq) in begun.iter_mut().rev() {
            first = first.min(*seq);
            *seq = first;
        }
        Clock { known, begun }
    }

    /// How long the log was at least at this time.
    pub fn at_least(&self, at: Nanos) -> i64 {
        let count = self.known.partition_point(|(time, _)| *time <= at);
        count.checked_sub(1).map_or(0, |last| self.known[last].1)
    }

    /// How long it was at most.
    pub fn at_most(&self, at: Nanos) -> i64 {
        let before = self.begun.partition_point(|(time, _)| *time <= at);
        self.begun.get(before).map_or(i64::MAX, |(_, seq)| seq - 1)
    }

    /// How long it may have been between a call and its answer.
    pub fn between(&self, called: Nanos, answered: Nanos) -> RangeInclusive<i64> {
        self.at_least(called)..=self.at_most(answered)
    }

    /// When the event of this number was seen at the latest by somebody, and so had been committed.
    pub fn seen(&self, seq: i64) -> Option<Nanos> {
        let first = self.known.partition_point(|(_, known)| *known < seq);
        self.known.get(first).map(|(time, _)| *time)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_is_as_long_as_somebody_knew_and_no_longer_than_somebody_had_begun() {
        let clock = Clock::new(vec![(100, 7), (50, 3), (80, 2)], vec![(60, 8), (20, 4), (90, 6)]);
        assert_eq!([0, 50, 80, 99, 100].map(|at| clock.at_least(at)), [0, 3, 3, 3, 7]);
        assert_eq!([0, 20, 60, 90].map(|at| clock.at_most(at)), [3, 5, 5, i64::MAX]);
        assert_eq!(clock.between(55, 65), 3..=5);
        assert_eq!([1, 3, 4, 8].map(|seq| clock.seen(seq)), [Some(50), Some(50), Some(100), None]);
    }
}

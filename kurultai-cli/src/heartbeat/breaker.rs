//! The circuit breaker of the sidecar: a store that is down is left alone for a while. Pure.

use std::time::{Duration, Instant};

/// The pause, drawn anew each time within a tenth of it, so that a hundred sidecars do not return at once.
const PAUSE: Duration = Duration::from_secs(60);
const JITTER: f64 = 0.1;

#[derive(Debug)]
pub(super) struct Breaker {
    threshold: u32,
    /// Failures one after the other.
    failures: u32,
    /// Until when nothing is tried, while it is open. Then one probe decides.
    open_until: Option<Instant>,
}

/// What a failure makes of it.
#[derive(Debug, PartialEq)]
pub(super) enum Failed {
    /// The first so many of the threshold.
    Counted(u32),
    /// For so long nothing is tried.
    Opened(Duration),
}

impl Breaker {
    pub(super) fn new(threshold: u32) -> Self {
        Breaker { threshold: threshold.max(1), failures: 0, open_until: None }
    }

    /// How long to wait before something may be tried.
    pub(super) fn pause(&self, now: Instant) -> Duration {
        self.open_until.map_or(Duration::ZERO, |until| until.saturating_duration_since(now))
    }

    /// `draw` is a random number from 0 to 1. A probe that fails opens it again.
    pub(super) fn failed(&mut self, now: Instant, draw: f64) -> Failed {
        self.failures = self.failures.saturating_add(1);
        if self.failures < self.threshold {
            return Failed::Counted(self.failures);
        }
        let pause = PAUSE.mul_f64(1.0 - JITTER + 2.0 * JITTER * draw.clamp(0.0, 1.0));
        self.open_until = Some(now + pause);
        Failed::Opened(pause)
    }

    /// True where it was open.
    pub(super) fn succeeded(&mut self) -> bool {
        self.failures = 0;
        self.open_until.take().is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kurultai_core::clock::monotonic;

    #[test]
    fn breaker_opens_after_3() {
        let (mut breaker, now) = (Breaker::new(3), monotonic());
        assert_eq!(breaker.failed(now, 0.5), Failed::Counted(1));
        assert_eq!(breaker.failed(now, 0.5), Failed::Counted(2));
        assert_eq!(breaker.pause(now), Duration::ZERO);
        assert_eq!(breaker.failed(now, 0.5), Failed::Opened(PAUSE));
        assert_eq!(breaker.pause(now), PAUSE);
    }

    #[test]
    fn breaker_resets_after_60_s() {
        let (mut breaker, now) = (Breaker::new(3), monotonic());
        (0..3).for_each(|_| {
            breaker.failed(now, 0.5);
        });
        let second = Duration::from_secs(1);
        assert_eq!(breaker.pause(now + PAUSE - second), second);
        let later = now + PAUSE;
        assert_eq!(breaker.pause(later), Duration::ZERO);
        // One probe: its failure opens it again at once, its success closes it.
        assert_eq!(breaker.failed(later, 0.5), Failed::Opened(PAUSE));
        assert!(breaker.succeeded());
        assert!(!breaker.succeeded());
        assert_eq!(breaker.failed(later, 0.5), Failed::Counted(1));
    }

    #[test]
    fn a_success_forgets_the_failures_before() {
        let (mut breaker, now) = (Breaker::new(3), monotonic());
        for _ in 0..5 {
            breaker.failed(now, 0.5);
            breaker.failed(now, 0.5);
            breaker.succeeded();
        }
        assert_eq!(breaker.pause(now), Duration::ZERO);
    }

    #[test]
    fn pauses_lie_within_a_tenth() {
        for (draw, seconds) in [(0.0, 54), (1.0, 66), (7.0, 66)] {
            let mut breaker = Breaker::new(1);
            assert_eq!(breaker.failed(monotonic(), draw), Failed::Opened(Duration::from_secs(seconds)));
        }
    }
}

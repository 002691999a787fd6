//! What a handler's end means for its message: decided here for every language.

use crate::{
    error::{Error, Result, gist},
    messages::{MAX_DELIVERIES, contract::Ending, rules::REJECTED},
    tasks::{Outcome, RetryPolicy},
    worker::ended::{Ended, Limits, Wish},
};
use std::time::Duration;

/// How long the handler of a message may take, where it says nothing else: a minute.
pub const MESSAGE_TIMEOUT: Duration = Duration::from_secs(60);
const LONGEST: Duration = Duration::from_secs(12 * 3_600);
/// Beyond the longest time of a handler, until it has begun and its end is stored.
const MARGIN: Duration = Duration::from_secs(10);
/// The longest text that a sender is told.
const TOLD: usize = 1_000;

/// What the handler of a message may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MessageLimits {
    /// A handler that takes longer is stopped, and its message delivered again. Counted from when it begins; more than zero,
    /// at most 12 hours. Default 60 s: long work is a task.
    pub timeout: Duration,
    /// How long a message whose handler failed waits until it is delivered again, where the failure itself does not say.
    /// Default 5 s, doubled up to 60 s, with jitter.
    pub retry: RetryPolicy,
}

impl Default for MessageLimits {
    fn default() -> Self {
        let retry = RetryPolicy { base: Duration::from_secs(5), cap: Duration::from_secs(60), jitter: true };
        MessageLimits { timeout: MESSAGE_TIMEOUT, retry }
    }
}

impl MessageLimits {
    /// A handler may take so long.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// The pauses between deliveries.
    pub fn retry(mut self, retry: RetryPolicy) -> Self {
        self.retry = retry;
        self
    }
}

pub(in crate::worker) fn check(field: &str, timeout: Duration) -> Result<()> {
    if !timeout.is_zero() && timeout <= LONGEST {
        return Ok(());
    }
    let value = format!("{} s", timeout.as_secs_f64());
    Err(Error::invalid(field, value, "more than zero, at most 12 hours; what takes longer is a task"))
}

/// How long nobody else is given a message whose handler may take this long.
pub(super) fn visible(timeout: Duration) -> Duration {
    timeout + MARGIN
}

/// What the end of a handler makes of a delivery by its number.
pub(super) fn ending(ended: Ended, delivery: u32, limits: MessageLimits) -> Ending {
    // What it returned is for nobody: an answer is a message of its own.
    if let Ended::Returned(_) | Ended::Unstorable(_) = ended {
        return Ending::Acknowledge;
    }
    let limits = Limits::default().retries(MAX_DELIVERIES - 1).retry(limits.retry);
    let fail = |code: &str, text: &str| {
        let text = if text.trim().is_empty() { "its handler gave no reason" } else { text };
        let reason = text.chars().take(TOLD).collect();
        Ending::Fail { code: code.to_owned(), reason }
    };
    if let Ended::Raised { wish: Some(Wish::Reject { why }), .. } = &ended {
        return fail(REJECTED, why);
    }
    match ended.outcome(delivery, limits, None) {
        Outcome::Snooze { after } if delivery < MAX_DELIVERIES => Ending::Again(after),
        Outcome::Snooze { .. } => {
            fail("message.undeliverable", "put off by its handler until its last delivery")
        }
        Outcome::Fail(failure) if failure.retryable => Ending::Again(failure.retry_after.unwrap_or_default()),
        Outcome::Fail(failure) => fail("message.undeliverable", gist(&failure.error)),
        Outcome::Complete { .. } | Outcome::Release => Ending::Acknowledge,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raised(wish: Option<Wish>) -> Ended {
        Ended::Raised { error: "Traceback\nOSError: no".into(), wish }
    }

    fn reject(why: &str) -> Option<Wish> {
        Some(Wish::Reject { why: why.into() })
    }

    fn told(ending: Ending) -> String {
        match ending {
            Ending::Acknowledge => "acknowledged".to_owned(),
            Ending::Again(after) => format!("again after {} s", after.as_secs_f64()),
            Ending::Fail { code, reason } => format!("{code}: {reason}"),
            Ending::Back(_) => "back".to_owned(),
        }
    }

    #[test]
    fn each_end_has_one_meaning() {
        let steady =
            RetryPolicy { base: Duration::from_secs(5), cap: Duration::from_secs(15), jitter: false };
        let limits = MessageLimits::default().retry(steady);
        let seconds = Duration::from_secs;
        let table = [
            (Ended::Returned(serde_json::json!(1).into()), 5, "acknowledged"),
            (Ended::Unstorable("no JSON".into()), 1, "acknowledged"),
            (raised(None), 1, "again after 5 s"),
            (raised(None), 2, "again after 10 s"),
            (raised(None), 4, "again after 15 s"),
            (raised(None), 5, "message.undeliverable: OSError: no"),
            (Ended::TimedOut(seconds(60)), 1, "again after 5 s"),
            (Ended::TimedOut(seconds(60)), 5, "message.undeliverable: timed out after 60 s"),
            (raised(Some(Wish::Retry { after: Some(1.5) })), 4, "again after 1.5 s"),
            (raised(Some(Wish::Retry { after: Some(1.5) })), 5, "message.undeliverable: OSError: no"),
            (raised(Some(Wish::Snooze { after: 2.0 })), 1, "again after 2 s"),
            (raised(reject("not for me")), 1, "message.rejected: not for me"),
            (raised(reject(" ")), 5, "message.rejected: its handler gave no reason"),
        ];
        for (ended, delivery, expected) in table {
            assert_eq!(told(ending(ended.clone(), delivery, limits)), expected, "{ended:?} of {delivery}");
        }
        let endless = raised(reject(&"x".repeat(5_000)));
        assert_eq!(told(ending(endless, 1, limits)).len(), "message.rejected: ".len() + TOLD);
    }

    #[test]
    fn a_handler_has_some_time_and_not_all_of_it() {
        for (timeout, fits) in [(0, false), (1, true), (12 * 3_600, true), (12 * 3_600 + 1, false)] {
            assert_eq!(check("timeout", Duration::from_secs(timeout)).is_ok(), fits, "{timeout} s");
        }
    }
}

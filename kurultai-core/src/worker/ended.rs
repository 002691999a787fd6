//! What a handler's end means for its task: decided here for every language, which only say what happened.

use super::settings::OnStall;
use crate::{
    check,
    error::Error,
    json::Json,
    tasks::{Failure, FailureKind, Outcome, RetryPolicy, Usage, rules},
};
use std::time::Duration;

/// What the attempts of one handler may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Limits {
    /// An attempt that takes longer has failed: its lease ends, its handler is told to stop, and what it does later
    /// counts for nothing. Counted from when the handler begins. Default: as long as its lease is renewed.
    pub timeout: Option<Duration>,
    /// A failure is final after this many tries more than the first: 0 tries once. The task's own `max_attempts`
    /// holds as well. Default: that alone.
    pub retries: Option<u32>,
    /// How long a failed attempt of it waits for the next one, where the failure itself does not say. Default: as the
    /// task says.
    pub retry: Option<RetryPolicy>,
    /// For how long the handler may show no sign of life. Default: as its agent is told.
    pub stall_after: Option<Duration>,
    /// What becomes of the attempt then. Default: as its agent is told.
    pub on_stall: Option<OnStall>,
}

impl Limits {
    /// An attempt may take so long.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// So many tries more than the first.
    pub fn retries(mut self, retries: u32) -> Self {
        self.retries = Some(retries);
        self
    }

    /// The pauses between attempts.
    pub fn retry(mut self, retry: RetryPolicy) -> Self {
        self.retry = Some(retry);
        self
    }

    /// It may be silent for so long.
    pub fn stall_after(mut self, silence: Duration) -> Self {
        self.stall_after = Some(silence);
        self
    }

    /// What becomes of the attempt then.
    pub fn on_stall(mut self, then: OnStall) -> Self {
        self.on_stall = Some(then);
        self
    }
}

/// How a handler ended, in the words of no language. Whatever it is, it ends the attempt.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Ended {
    /// With results. Those that are too large or too deep are [`Unstorable`](Self::Unstorable).
    Returned(Json),
    /// With something that is no JSON: which place of it, and why. The work is done and another attempt would return
    /// the same, so the task goes to the dead letters.
    Unstorable(String),
    /// With an error, or by cancelling itself, or by an exit of its process: the text of the error and its causes, and
    /// what the handler wants. An attempt that wants nothing is tried again as its task says.
    Raised {
        /// The text of the error and its causes.
        error: String,
        /// What the handler wants.
        wish: Option<Wish>,
    },
    /// It did not end within this time.
    TimedOut(Duration),
    /// It showed no sign of life for this time, and was let go.
    Stalled(Duration),
    /// It did not end within the task's `max_runtime`.
    Overran(Duration),
}

/// The outermost `Retry`, `Reject` or `Snooze` among an error and its causes.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Wish {
    /// After this many seconds. A negative number is 0, more than ten years are ten years; nothing, and what is no
    /// finite number, is the back-off of the task's policy.
    Retry {
        /// In seconds; nothing leaves it to the back-off.
        after: Option<f64>,
    },
    /// No attempt will mend it.
    Reject {
        /// What it says itself, without what it is a cause of: the sender of a message is told this and nothing else.
        why: String,
    },
    /// It has not failed and is not done: after this many seconds, without an attempt that counts. A negative number is
    /// 0, more than ten years are ten years; with what is no finite number it has failed.
    Snooze {
        /// In seconds.
        after: f64,
    },
}

impl Ended {
    /// What this makes of an attempt by its number. No store refuses it: the texts are shortened, the pause is one.
    pub(super) fn outcome(self, attempt: u32, limits: Limits, usage: Option<Usage>) -> Outcome {
        let again = limits.retries.is_none_or(|retries| attempt <= retries);
        let failure = match self {
            Ended::Returned(results) => match results.check() {
                Ok(()) => return Outcome::Complete { results, usage },
                Err(refused) => unstorable(refused.about("results").message()),
            },
            Ended::Unstorable(why) => unstorable(&why),
            Ended::Raised { error, wish: Some(Wish::Snooze { after }) } => match span(after) {
                Some(after) => return Outcome::Snooze { after },
                None => Failure::new(format!("{error}; a Snooze of {after} s names no time")),
            },
            Ended::Raised { error, wish: Some(Wish::Reject { .. }) } => Failure::fatal(error),
            Ended::Raised { error, wish } => {
                let after = wish.and_then(|wish| if let Wish::Retry { after } = wish { after } else { None });
                Failure { retry_after: after.and_then(pause), ..Failure::new(error) }
            }
            Ended::TimedOut(limit) => Failure {
                kind: FailureKind::Timeout,
                ..Failure::new(format!("timed out after {} s", limit.as_secs_f64()))
            },
            Ended::Stalled(silence) => Failure {
                kind: FailureKind::Stalled,
                ..Failure::new(format!("the handler showed no sign of life for {} s", silence.as_secs()))
            },
            Ended::Overran(most) => Failure {
                kind: FailureKind::MaxRuntime,
                ..Failure::new(format!("longer at work than its max_runtime of {} s", most.as_secs_f64()))
            },
        };
        let policy = limits.retry.map(|policy| rules::backoff(policy, attempt, fastrand::f64()));
        let retry_after = failure.retry_after.or(policy);
        Outcome::Fail(Failure { retryable: failure.retryable && again, retry_after, usage, ..failure })
    }
}

fn unstorable(why: &str) -> Failure {
    Failure::fatal(format!(
        "{why}; the handler had done its work, so it is not run again: have it return what can be stored, then requeue the task"
    ))
}

/// `None` where the seconds are no time.
fn pause(seconds: f64) -> Option<Duration> {
    let pause = span(seconds);
    if pause.is_none() {
        tracing::warn!(seconds, "a Retry names no time; the back-off of the task's policy counts");
    }
    pause
}

/// `None` where the seconds are no time.
fn span(seconds: f64) -> Option<Duration> {
    let after =
        || Duration::try_from_secs_f64(seconds.max(0.0)).map_or(check::LONGEST, |s| s.min(check::LONGEST));
    seconds.is_finite().then(after)
}

/// The failure that is stored where a store refuses an end all the same.
pub(super) fn refused(error: &Error) -> Outcome {
    Outcome::Fail(Failure::fatal(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::{MAX_BYTES, MAX_DEPTH};

    const POLICY: Option<Duration> = None;
    const TEN_YEARS: Option<Duration> = Some(check::LONGEST);

    fn raised(wish: Option<Wish>) -> Ended {
        Ended::Raised { error: "no".into(), wish }
    }

    fn retry(after: f64) -> Ended {
        raised(Some(Wish::Retry { after: Some(after) }))
    }

    /// Text, kind, whether it is tried again, and after which pause.
    fn failed(ended: Ended, attempt: u32, limits: Limits) -> (String, FailureKind, bool, Option<Duration>) {
        match ended.outcome(attempt, limits, None) {
            Outcome::Fail(failure) => (failure.error, failure.kind, failure.retryable, failure.retry_after),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn each_end_has_one_meaning() {
        let seconds = |seconds| Some(Duration::from_secs_f64(seconds));
        let table = [
            ("an error", raised(None), "no", true, POLICY),
            ("a reject", raised(Some(Wish::Reject { why: "not this".into() })), "no", false, POLICY),
            ("a retry", raised(Some(Wish::Retry { after: None })), "no", true, POLICY),
            ("a pause", retry(2.5), "no", true, seconds(2.5)),
            ("no pause", retry(0.0), "no", true, seconds(0.0)),
            ("a negative pause", retry(-1.0), "no", true, seconds(0.0)),
            ("no number", retry(f64::NAN), "no", true, POLICY),
            ("for ever", retry(f64::INFINITY), "no", true, POLICY),
            ("since ever", retry(f64::NEG_INFINITY), "no", true, POLICY),
            ("eleven years", retry(11.0 * 365.0 * 86_400.0), "no", true, TEN_YEARS),
            ("beyond any clock", retry(1e300), "no", true, TEN_YEARS),
            (
                "no JSON",
                Ended::Unstorable("results at $.a: no JSON".into()),
                "results at $.a: no JSON; ",
                false,
                POLICY,
            ),
            ("late", Ended::TimedOut(Duration::from_millis(2500)), "timed out after 2.5 s", true, POLICY),
        ];
        for (what, ended, text, retryable, pause) in table {
            let kind = match ended {
                Ended::TimedOut(_) => FailureKind::Timeout,
                _ => FailureKind::Failed,
            };
            let got = failed(ended, 1, Limits::default());
            assert!(got.0.starts_with(text), "{what}: {}", got.0);
            assert_eq!((got.1, got.2, got.3), (kind, retryable, pause), "{what}");
        }
    }

    #[test]
    fn results_that_no_store_takes_are_no_results() {
        let deep = Json::stored(format!("{}{}", "[".repeat(MAX_DEPTH + 1), "]".repeat(MAX_DEPTH + 1)));
        let large = Json::stored(format!("\"{}\"", "x".repeat(MAX_BYTES)));
        for (results, what) in [(deep, "deeper than 64 levels"), (large, "at most 1048576 are allowed")] {
            let (text, kind, retryable, _) = failed(Ended::Returned(results), 1, Limits::default());
            assert!(text.starts_with("results at $") && text.contains(what), "{text}");
            assert_eq!((kind, retryable), (FailureKind::Failed, false));
        }
        let results = Json::stored("[1]");
        let usage = Some(Usage { tokens: 7, ..Usage::default() });
        let completed = Ended::Returned(results.clone()).outcome(9, Limits::default().retries(0), usage);
        assert_eq!(completed, Outcome::Complete { results, usage });
    }

    #[test]
    fn a_snooze_is_no_failure_unless_it_names_no_time() {
        let snooze = |after| raised(Some(Wish::Snooze { after }));
        let seconds = Duration::from_secs_f64;
        for (after, expected) in [(2.5, seconds(2.5)), (-1.0, seconds(0.0)), (1e300, check::LONGEST)] {
            let outcome = snooze(after).outcome(9, Limits::default().retries(0), None);
            assert_eq!(outcome, Outcome::Snooze { after: expected });
        }
        for after in [f64::NAN, f64::INFINITY] {
            let (text, _, retryable, pause) = failed(snooze(after), 1, Limits::default());
            assert!(retryable && pause == POLICY && text.ends_with("names no time"), "{text}");
        }
    }

    #[test]
    fn retries_limit_every_failure() {
        let once = Limits::default().retries(1);
        for ended in [raised(None), retry(1.0), Ended::TimedOut(Duration::from_secs(1))] {
            assert!(failed(ended.clone(), 1, once).2, "{ended:?}");
            assert!(!failed(ended.clone(), 2, once).2, "{ended:?}");
        }
    }

    #[test]
    fn a_handler_may_have_pauses_of_its_own() {
        let seconds = Duration::from_secs;
        let retry = RetryPolicy { base: seconds(3), cap: seconds(10), jitter: false };
        let own = Limits::default().retry(retry);
        for (attempt, pause) in [(1, 3), (2, 6), (3, 10)] {
            assert_eq!(failed(raised(None), attempt, own).3, Some(seconds(pause)));
        }
        assert_eq!(
            failed(super::tests::retry(1.0), 3, own).3,
            Some(seconds(1)),
            "the failure itself says more"
        );
    }
}

//! What the signs of an agent mean. Pure: computed when it is read, never stored.

use super::signs::Sign;
use crate::{
    check,
    clock::{Micros, micros, time},
    error::{Error, Result},
    json::seconds,
    words::words,
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::time::Duration;

words! {
    /// How an agent fares.
    #[non_exhaustive]
    Health, "health" {
        /// Its process runs, and it works.
        Alive = "alive",
        /// Its process runs, and it holds no task: that nothing is heard of its work is normal.
        Idle = "idle",
        /// Its process runs, and it holds a task that it does not seem to work on.
        Stuck = "stuck",
        /// Nothing has been heard of it for too long.
        Dead = "dead",
        /// Never heard of, stopped by itself, or watched too briefly to say.
        Unknown = "unknown",
    }
}

/// From which silence on an agent is called dead or stuck.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Thresholds {
    /// Without any sign: four missed heartbeats. Default 120 s.
    pub dead_after: Duration,
    /// Without a sign of work while it holds a task that it claimed as long ago. Default 90 s: nine renewals of a
    /// lease.
    pub stuck_after: Duration,
}

/// From which silence on an agent is dead, where nobody says otherwise.
pub(super) const DEAD_AFTER: Duration = Duration::from_secs(120);

impl Default for Thresholds {
    fn default() -> Self {
        Thresholds { dead_after: DEAD_AFTER, stuck_after: Duration::from_secs(90) }
    }
}

impl Thresholds {
    /// Dead after so long without any sign.
    pub fn dead_after(mut self, silence: Duration) -> Self {
        self.dead_after = silence;
        self
    }

    /// Stuck after so long without a sign of work.
    pub fn stuck_after(mut self, silence: Duration) -> Self {
        self.stuck_after = silence;
        self
    }

    pub(super) fn check(&self) -> Result<()> {
        for (field, span) in [("dead_after", self.dead_after), ("stuck_after", self.stuck_after)] {
            if span < Duration::from_secs(1) {
                return Err(Error::invalid(field, format!("{} s", span.as_secs_f64()), "1 s or more"));
            }
            check::span(field, span)?;
        }
        Ok(())
    }
}

/// How one agent fares, as far as this process can tell.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AgentHealth {
    /// Its id.
    pub agent: String,
    /// The state, in a word.
    pub state: Health,
    /// Why, in words.
    pub reason: String,
    /// The age of the last sign that its process runs.
    #[serde(with = "seconds")]
    pub infra_age: Option<Duration>,
    /// The age of the last sign that it works: claim, renewal, progress, completion, failure.
    #[serde(with = "seconds")]
    pub functional_age: Option<Duration>,
    /// How many tasks it holds.
    pub holds: u32,
    /// The age of the oldest claim among them.
    #[serde(with = "seconds")]
    pub oldest_claim_age: Option<Duration>,
    /// The roles that it holds.
    pub leads: Vec<String>,
    /// When a watcher declared it dead, unless it has been declared recovered since.
    pub dead_at: Option<DateTime<Utc>>,
    /// For how long this process has watched it without a gap; zero in the first call. Where that is less than the
    /// threshold, no silence makes it `dead` unless a watcher has declared it.
    #[serde(serialize_with = "whole", deserialize_with = "parts")]
    pub watched_for: Duration,
}

fn whole<S: Serializer>(span: &Duration, to: S) -> Result<S::Ok, S::Error> {
    seconds::serialize(&Some(*span), to)
}

fn parts<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    Ok(seconds::deserialize(from)?.unwrap_or_default())
}

/// `watched_for` is for how long somebody has watched without a gap, `unheard_for` for how long that somebody has seen
/// no new sign of it.
pub(super) fn health(
    sign: &Sign,
    now: Micros,
    thresholds: Thresholds,
    watched_for: Duration,
    unheard_for: Duration,
) -> AgentHealth {
    let age = |at: Option<Micros>| at.map(|at| Duration::from_micros((now - at).max(0) as u64));
    let (infra_age, functional_age, oldest_claim_age) =
        (age(sign.infra), age(sign.functional), age(sign.oldest_claim));
    let (state, reason) = state(sign, now, thresholds, watched_for, unheard_for);
    AgentHealth {
        agent: sign.agent.clone(),
        state,
        reason,
        infra_age,
        functional_age,
        holds: sign.holds,
        oldest_claim_age,
        leads: sign.leads.clone(),
        dead_at: sign.dead_at.map(time),
        watched_for,
    }
}

fn state(
    sign: &Sign,
    now: Micros,
    thresholds: Thresholds,
    watched_for: Duration,
    unheard_for: Duration,
) -> (Health, String) {
    let Thresholds { dead_after, stuck_after } = thresholds;
    let Some(last) = sign.last() else {
        return (Health::Unknown, "nothing has ever been heard of it".to_owned());
    };
    let silence = now - last;
    if sign.has_stopped() {
        return (Health::Unknown, format!("it stopped {} ago, as it said", span(silence)));
    }
    if let Some(at) = sign.dead_at.filter(|_| sign.is_dead()) {
        let (silent, declared) = (span(silence), span(now - at));
        return (Health::Dead, format!("silent for {silent}; declared dead {declared} ago"));
    }
    if silence > micros(dead_after) && !sign.has_started() {
        return (Health::Unknown, format!("registered {} ago, and not heard of since", span(silence)));
    }
    if silence > micros(dead_after) {
        let silent = format!("silent for {}", span(silence));
        if unheard_for > dead_after {
            return (Health::Dead, format!("{silent}, more than {}", span(micros(dead_after))));
        }
        let why =
            format!("{silent}; not watched for long enough to call it dead ({})", span(micros(watched_for)));
        return (Health::Unknown, why);
    }
    if let Some(stalled) = &sign.stalled {
        let silent = span(now - stalled.since);
        let (task, task_type) = (&stalled.task, &stalled.task_type);
        return (
            Health::Stuck,
            format!("the handler of task {task} ({task_type}) has been silent for {silent}"),
        );
    }
    let Some(oldest) = sign.oldest_claim else {
        let worked = sign
            .functional
            .map_or("it has not worked yet".to_owned(), |at| format!("worked {} ago", span(now - at)));
        return (Health::Idle, format!("holds no task; {worked}"));
    };
    let quiet = sign.functional.map_or(now - oldest, |at| now - at);
    let held = format!("holds {}, the oldest for {}", tasks(sign.holds), span(now - oldest));
    let state = if quiet.min(now - oldest) > micros(stuck_after) { Health::Stuck } else { Health::Alive };
    (state, format!("{held}; last sign of work {} ago", span(quiet)))
}

fn tasks(count: u32) -> String {
    if count == 1 { "1 task".to_owned() } else { format!("{count} tasks") }
}

/// A span as people say it: `95 s`, `12 min`, `3 h`, `2 d`.
fn span(micros: Micros) -> String {
    let seconds = micros.max(0) / 1_000_000;
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// Whether an agent is out of reach for who looks at the registry alone, as `explain` does.
pub(crate) fn is_silent(last: Option<DateTime<Utc>>, now: Micros) -> bool {
    let silence = last.map(|at| now - at.timestamp_micros());
    silence.is_none_or(|silence| silence > micros(Thresholds::default().dead_after))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agents::Stalled;

    const SECOND: Micros = 1_000_000;
    const NOW: Micros = 1_000_000 * SECOND;

    fn ago(seconds: i64) -> Option<Micros> {
        Some(NOW - seconds * SECOND)
    }

    fn seen(sign: Sign, unheard: u64) -> (Health, String) {
        let unheard = Duration::from_secs(unheard);
        let health = health(&sign, NOW, Thresholds::default(), unheard, unheard);
        (health.state, health.reason)
    }

    #[test]
    fn who_was_never_heard_of_is_unknown() {
        assert_eq!(seen(Sign::default(), 1_000).0, Health::Unknown);
    }

    #[test]
    fn idle_is_who_holds_nothing_however_long_it_has_not_worked() {
        let (state, reason) = seen(Sign { infra: ago(20), functional: ago(10_800), ..Sign::default() }, 0);
        assert_eq!((state, reason.as_str()), (Health::Idle, "holds no task; worked 3 h ago"));
    }

    #[test]
    fn stuck_needs_an_old_claim_and_silence() {
        let working = |claimed: i64, functional: i64| Sign {
            infra: ago(5),
            functional: ago(functional),
            holds: 1,
            oldest_claim: ago(claimed),
            ..Sign::default()
        };
        assert_eq!(seen(working(600, 91), 0).0, Health::Stuck);
        assert_eq!(seen(working(600, 90), 0).0, Health::Alive);
        // Claimed just now, after it had been idle: another program wrote that claim without a beat.
        assert_eq!(seen(working(1, 4_000), 0).0, Health::Alive);
    }

    #[test]
    fn a_stalled_handler_is_stuck_although_another_one_works() {
        let stalled = Stalled { task: "t1".into(), task_type: "review".into(), since: NOW - 700 * SECOND };
        let sign = Sign {
            infra: ago(5),
            functional: ago(1),
            holds: 2,
            oldest_claim: ago(800),
            stalled: Some(stalled),
            ..Sign::default()
        };
        let (state, reason) = seen(sign, 0);
        assert_eq!(state, Health::Stuck);
        assert_eq!(reason, "the handler of task t1 (review) has been silent for 11 min");
    }

    #[test]
    fn silence_is_death_only_for_who_has_watched_it() {
        let silent = Sign { infra: ago(121), sequence: 1, ..Sign::default() };
        assert_eq!(seen(silent.clone(), 0).0, Health::Unknown);
        assert_eq!(seen(silent.clone(), 120).0, Health::Unknown);
        assert_eq!(seen(silent.clone(), 121).0, Health::Dead);
        assert_eq!(seen(Sign { infra: ago(120), ..silent.clone() }, 500).0, Health::Idle);
        // Or where a watcher has said so, and nothing was heard since.
        assert_eq!(seen(Sign { dead_at: ago(0), ..silent.clone() }, 0).0, Health::Dead);
        assert_eq!(seen(Sign { dead_at: ago(300), infra: ago(10), ..silent }, 0).0, Health::Idle);
    }

    #[test]
    fn who_was_registered_alone_is_not_dead() {
        let (state, reason) = seen(Sign { infra: ago(600), ..Sign::default() }, 600);
        assert_eq!(
            (state, reason.as_str()),
            (Health::Unknown, "registered 10 min ago, and not heard of since")
        );
    }

    #[test]
    fn a_sign_of_work_is_a_sign_of_life() {
        let sign = Sign {
            infra: ago(4_000),
            functional: ago(10),
            holds: 1,
            oldest_claim: ago(60),
            ..Sign::default()
        };
        assert_eq!(seen(sign, 4_000).0, Health::Alive);
    }

    #[test]
    fn who_said_that_it_stops_is_not_dead() {
        let sign = Sign { infra: ago(4_000), stopped_at: ago(4_000), ..Sign::default() };
        let (state, reason) = seen(sign.clone(), 4_000);
        assert_eq!((state, reason.as_str()), (Health::Unknown, "it stopped 66 min ago, as it said"));
        assert_eq!(seen(Sign { functional: ago(3), ..sign }, 0).0, Health::Idle);
    }

    #[test]
    fn thresholds_are_refused_where_nobody_could_keep_them() {
        let second = Duration::from_secs(1);
        assert!(Thresholds::default().dead_after(second).stuck_after(second).check().is_ok());
        let error = Thresholds::default().stuck_after(Duration::ZERO).check().unwrap_err();
        assert_eq!(
            (error.code(), error.message()),
            ("input.invalid", "stuck_after is \"0 s\"; allowed: 1 s or more")
        );
    }
}

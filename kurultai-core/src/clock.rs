//! Time, in one place. Times are UTC; inside the library they are microseconds since 1970.

use chrono::{DateTime, FixedOffset, NaiveDateTime, TimeDelta, Utc};
use std::{
    sync::{
        Arc, LazyLock,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

/// Microseconds since 1970, UTC.
pub type Micros = i64;

/// A time as other programs write it: ISO text, which without an offset is UTC.
pub(crate) fn read_time(text: &str) -> Option<DateTime<Utc>> {
    if let Ok(zoned) = text.parse::<DateTime<FixedOffset>>() {
        return Some(zoned.to_utc());
    }
    let naive = ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f"];
    naive.iter().find_map(|form| NaiveDateTime::parse_from_str(text, form).ok()).map(|naive| naive.and_utc())
}

/// What the stores read for "now". The default is the store's own clock: on SQLite this machine's, on Neo4j
/// the server's. A manual clock is for tests.
#[derive(Debug, Clone, Default)]
pub enum Clock {
    /// This machine's clock on SQLite, the server's on Neo4j.
    #[default]
    Store,
    /// A clock that a test moves.
    Manual(ManualClock),
}

impl Clock {
    /// The manual time, or `None` where the store's own clock counts.
    pub(crate) fn manual(&self) -> Option<Micros> {
        match self {
            Clock::Store => None,
            Clock::Manual(clock) => Some(clock.micros.load(Ordering::SeqCst)),
        }
    }

    /// Now, where the store is this machine.
    pub(crate) fn now(&self) -> Micros {
        self.manual().unwrap_or_else(machine_now)
    }

    /// A count of microseconds that is never set: what an observer trusts of its own. Its zero means nothing.
    pub(crate) fn stopwatch(&self) -> Micros {
        match self {
            Clock::Store => {
                static ZERO: LazyLock<std::time::Instant> = LazyLock::new(monotonic);
                micros(ZERO.elapsed())
            }
            Clock::Manual(clock) => clock.micros.load(Ordering::SeqCst) - clock.ahead.load(Ordering::SeqCst),
        }
    }

    /// Which count of `ahead` this is; none where the machine has none that all its processes share.
    pub(crate) fn epoch(&self) -> Option<String> {
        match self {
            Clock::Store => machine_epoch(),
            Clock::Manual(_) => Some("manual".to_owned()),
        }
    }

    /// How far the time is ahead of a clock that is never set and stands while the machine sleeps. It changes when the
    /// time jumps.
    pub(crate) fn ahead(&self) -> Micros {
        match self {
            Clock::Store => machine_now() - machine_uptime(),
            Clock::Manual(clock) => clock.ahead.load(Ordering::SeqCst),
        }
    }
}

/// A clock that moves only when told; clones share the time.
#[derive(Debug, Clone)]
pub struct ManualClock {
    micros: Arc<AtomicI64>,
    ahead: Arc<AtomicI64>,
}

impl ManualClock {
    /// A clock that stands at this time.
    pub fn at(time: DateTime<Utc>) -> Self {
        ManualClock { micros: Arc::new(AtomicI64::new(time.timestamp_micros())), ahead: Arc::default() }
    }

    /// Lets time pass.
    pub fn advance(&self, by: Duration) {
        self.micros.fetch_add(micros(by), Ordering::SeqCst);
    }

    /// As when the machine's clock is set or the machine has slept: the time changes, and no time has passed.
    pub fn jump(&self, by: TimeDelta) {
        let by = by.num_microseconds().unwrap_or(0);
        self.ahead.fetch_add(by, Ordering::SeqCst);
        self.micros.fetch_add(by, Ordering::SeqCst);
    }

    /// The time at which it stands.
    pub fn now(&self) -> DateTime<Utc> {
        time(self.micros.load(Ordering::SeqCst))
    }
}

#[expect(clippy::disallowed_methods, reason = "the one place")]
pub(crate) fn machine_now() -> Micros {
    Utc::now().timestamp_micros()
}

/// Linux alone has a count since the start that stands in sleep and a name for each start.
#[cfg(all(target_os = "linux", feature = "sqlite"))]
fn machine_epoch() -> Option<String> {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok().map(|id| id.trim().to_owned())
}

#[cfg(all(target_os = "linux", feature = "sqlite"))]
fn machine_uptime() -> Micros {
    let time = nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC);
    time.map_or(0, |time| micros(time.into()))
}

#[cfg(not(all(target_os = "linux", feature = "sqlite")))]
fn machine_epoch() -> Option<String> {
    None
}

#[cfg(not(all(target_os = "linux", feature = "sqlite")))]
fn machine_uptime() -> Micros {
    0
}

/// A stopwatch for spans, renewals and time-outs.
#[expect(clippy::disallowed_methods, reason = "the one place")]
pub fn monotonic() -> std::time::Instant {
    std::time::Instant::now()
}

/// Blocks this thread: only for the SQLite writer, which has nothing else to do while another process writes.
#[expect(clippy::disallowed_methods, reason = "the one place")]
pub(crate) fn block(pause: Duration) {
    std::thread::sleep(pause);
}

/// A duration in microseconds; more than 290,000 years count as that.
pub(crate) fn micros(duration: Duration) -> Micros {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX / 4).min(i64::MAX / 4)
}

/// The duration of so many microseconds.
pub(crate) fn duration(micros: Micros) -> Duration {
    Duration::from_micros(micros.max(0).unsigned_abs())
}

pub(crate) fn time(micros: Micros) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(micros).unwrap_or(DateTime::<Utc>::MAX_UTC)
}

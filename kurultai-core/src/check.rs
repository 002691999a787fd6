//! What values may be, wherever they are given: texts, agents, times, spans. Every refusal names the field, the value and
//! what is allowed.

use crate::error::{Error, Result};
use chrono::{DateTime, Utc};
use std::time::Duration;

/// The longest span that a task may be given: ten years.
pub(crate) const LONGEST: Duration = Duration::from_secs(10 * 365 * 86_400);
const MOST_NAMES: usize = 64;
/// The first second of the year 10,000, which neither Python nor SQLite can write.
pub(crate) const LAST: i64 = 253_402_300_800;
/// What a span is still added to.
pub(crate) const LAST_START: i64 = 253_086_768_000;

/// Agent ids: `[a-z0-9][a-z0-9_-]{0,63}`.
pub(crate) fn agent(field: &str, id: &str) -> Result<()> {
    let first = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let fits =
        id.len() <= 64 && id.starts_with(first) && id.chars().all(|c| first(c) || c == '_' || c == '-');
    if fits { Ok(()) } else { Err(Error::invalid(field, id, "[a-z0-9][a-z0-9_-]{0,63}")) }
}

/// A text of 1 to `most` characters.
pub(crate) fn text(field: &str, text: &str, most: usize) -> Result<()> {
    let fits = |length: usize| (1..=most).contains(&length);
    // There are no more characters than bytes, which need not be counted.
    if fits(text.len()) || fits(text.chars().count()) {
        return Ok(());
    }
    let length = text.chars().count();
    let value = if length == 0 { String::new() } else { format!("{length} characters long") };
    Err(Error::invalid(field, value, &format!("1 to {most} characters")))
}

pub(crate) fn names(field: &str, names: &[String]) -> Result<()> {
    if names.len() > MOST_NAMES {
        return Err(Error::invalid(field, format!("{} names", names.len()), "at most 64 names"));
    }
    names.iter().try_for_each(|name| text(field, name, 128))
}

/// Shorter than 100 ms no renewal can keep up with; longer than a day nobody notices a death.
pub(crate) fn lease(ttl: Duration) -> Result<()> {
    held("lease", ttl)
}

/// How long somebody alone has something.
pub(crate) fn held(field: &str, ttl: Duration) -> Result<()> {
    let allowed = Duration::from_millis(100)..=Duration::from_secs(86_400);
    if allowed.contains(&ttl) {
        return Ok(());
    }
    Err(Error::invalid(field, format!("{} s", ttl.as_secs_f64()), "0.1 to 86,400 seconds"))
}

/// A time that every language and both stores hold.
pub(crate) fn time(field: &str, at: DateTime<Utc>, before: i64, allowed: &str) -> Result<()> {
    if (0..before).contains(&at.timestamp()) {
        return Ok(());
    }
    Err(Error::invalid(field, at.to_rfc3339(), &format!("a time of the years {allowed}, UTC")))
}

/// From when to look back at what happened.
pub(crate) fn since(at: DateTime<Utc>) -> Result<()> {
    time("since", at, LAST, "1970 to 9999")
}

pub(crate) fn span(field: &str, span: Duration) -> Result<()> {
    if span <= LONGEST {
        return Ok(());
    }
    Err(Error::invalid(field, format!("{} s", span.as_secs()), "at most ten years"))
}

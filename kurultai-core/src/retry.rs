//! When to try again what the store may do later.

use crate::error::Error;
use std::time::Duration;

const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(5);

/// The pause after so many failures in a row: what the store asks for, or else twice as long each time; never the same
/// for two callers.
pub(crate) fn pause(error: &Error, failures: u32) -> Duration {
    let doubled = (FIRST * (1 << failures.min(6))).min(LONGEST);
    error.retry_after().unwrap_or(doubled).mul_f64(0.75 + fastrand::f64() / 2.0)
}

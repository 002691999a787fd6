//! When to try again what the store may do later.

use crate::error::Error;
use std::time::Duration;
use tokio::time::sleep;

const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(5);

/// The pauses between the tries of one call, after so many failures in a row.
#[derive(Debug, Default)]
pub(crate) struct Backoff(u32);

impl Backoff {
    /// Waits as long as the store asks for, or else twice as long each time; never the same for two callers. Dropped, it
    /// is over at once.
    pub(crate) async fn wait(&mut self, error: &Error) {
        let doubled = (FIRST * (1 << self.0.min(6))).min(LONGEST);
        self.0 += 1;
        sleep(error.retry_after().unwrap_or(doubled).mul_f64(0.75 + fastrand::f64() / 2.0)).await;
    }

    /// The same for who has less time than the store asks for.
    pub(crate) async fn wait_at_most(&mut self, error: &Error, most: Duration) {
        drop(tokio::time::timeout(most, self.wait(error)).await);
    }
}

//! The emergency stop.

use super::handle::Tasks;
use crate::{check, error::Result};
use tracing::instrument;

/// How many holders one transaction asks: within a second it is over on either store.
const PORTION: usize = 1_000;

impl Tasks {
    /// The emergency stop: from now on nothing is given out, and every holder is asked to cancel. Nothing else changes:
    /// what waits goes on waiting and can be added to. What is held ends `cancelled` as after [`cancel`](Self::cancel):
    /// when its holder gives it back or fails, or when its lease runs out; what is completed before the holder has
    /// heard of it stays completed. An agent's handlers hear of it within a second or two, with the reason; other
    /// holders when they renew their lease. Returns how many holders it has asked; those that were asked before are not
    /// asked again, and a stop that is there already keeps its reason.
    ///
    /// The first transaction stops, and asks the first 1,000 holders; where there are more, others follow. Its events are
    /// `tasks.stopped` and, for each task, `task.cancel_requested`. `reason`: 1 to 1,000 characters.
    ///
    /// Errors: `input.invalid`. Cancel safe: a repetition goes on where a dropped call was.
    #[instrument(level = "debug", skip(self))]
    pub async fn stop_all(&self, reason: &str) -> Result<usize> {
        check::text("reason", reason, 1_000)?;
        let _call = self.session.calls.begin()?;
        let mut asked = 0;
        loop {
            let portion = self.queue.stop(reason, PORTION).await?;
            asked += portion;
            self.session.news.announce();
            if portion < PORTION {
                tracing::warn!(reason, asked, "everything is stopped: nothing is given out");
                return Ok(asked);
            }
        }
    }

    /// Gives out tasks again after [`stop_all`](Self::stop_all), or after a pause of everything; types that are paused
    /// by themselves stay so. Its event is `tasks.started`, where there was a stop. What was cancelled stays cancelled:
    /// [`requeue_many`](Self::requeue_many) brings it back. Cancel safe: a repetition does no harm.
    #[instrument(level = "debug", skip(self))]
    pub async fn start_all(&self) -> Result<()> {
        let _call = self.session.calls.begin()?;
        self.queue.start().await?;
        self.session.news.announce();
        Ok(())
    }
}

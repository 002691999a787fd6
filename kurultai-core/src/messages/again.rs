//! That messages are visible again is in no event; who waits in this process is told.

use std::{sync::Arc, time::Duration};
use tokio::{sync::watch, time::sleep};

/// How often an inbox that waits looks by itself, whoever has given something back.
pub(super) const LOOK: Duration = Duration::from_secs(10);

#[derive(Debug, Clone, Default)]
pub(super) struct Again(Arc<watch::Sender<u64>>);

impl Again {
    /// What is announced from now on is not missed.
    pub(super) fn listen(&self) -> watch::Receiver<u64> {
        self.0.subscribe()
    }

    pub(super) fn announce(&self) {
        self.0.send_modify(|count| *count += 1);
    }

    /// Announces it after this time, unless the inboxes look then anyway.
    pub(super) fn announce_after(&self, time: Duration) {
        if time.is_zero() {
            self.announce();
        } else if time < LOOK {
            let again = self.clone();
            tokio::spawn(async move {
                sleep(time).await;
                again.announce();
            });
        }
    }
}

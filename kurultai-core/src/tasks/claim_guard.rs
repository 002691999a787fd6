use super::{
    hot::Finishes,
    types::{Claimed, Finish, Outcome},
};
use crate::calls::OwnedCall;
use std::{fmt, ops::Deref, sync::Arc};
use tokio::runtime::Handle;

/// Claimed tasks on their way to a claimer. Dropped before they are taken, they go back.
pub struct ClaimGuard {
    claimed: Vec<Claimed>,
    /// Work of the store was overdue and is done now, so another claim may get more.
    pub(super) settled: bool,
    finish: Arc<Finishes>,
    /// Until it has reached a caller, or has gone back.
    under_way: Option<Arc<OwnedCall>>,
    /// It may be dropped on a thread that has no runtime.
    runtime: Handle,
}

impl ClaimGuard {
    pub(super) fn new(
        claimed: Vec<Claimed>,
        settled: bool,
        finish: Arc<Finishes>,
        under_way: Option<Arc<OwnedCall>>,
    ) -> Self {
        // With nothing in it nothing can go back, and whoever has it may wait for work.
        let under_way = under_way.filter(|_| !claimed.is_empty());
        ClaimGuard { claimed, settled, finish, under_way, runtime: Handle::current() }
    }

    /// A caller has it, whom no close waits for.
    pub(super) fn reached(mut self) -> Self {
        self.under_way = None;
        self
    }

    /// They have arrived.
    pub fn take(mut self) -> Vec<Claimed> {
        std::mem::take(&mut self.claimed)
    }
}

impl Deref for ClaimGuard {
    type Target = [Claimed];

    fn deref(&self) -> &[Claimed] {
        &self.claimed
    }
}

impl Drop for ClaimGuard {
    fn drop(&mut self) {
        let claimed = std::mem::take(&mut self.claimed);
        if claimed.is_empty() {
            return;
        }
        let (finish, under_way) = (self.finish.clone(), self.under_way.take());
        self.runtime.spawn(async move {
            let release = |claimed: Claimed| Finish { lease: claimed.lease, outcome: Outcome::Release };
            if let Err(error) = finish.call(claimed.into_iter().map(release).collect()).await {
                tracing::warn!(%error, "a dropped claim returns when its lease ends");
            }
            drop(under_way);
        });
    }
}

impl fmt::Debug for ClaimGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClaimGuard").field("claimed", &self.claimed.len()).finish_non_exhaustive()
    }
}

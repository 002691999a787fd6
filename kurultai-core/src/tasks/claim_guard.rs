use super::{
    hot::Finishes,
    types::{Claimed, Finish, Outcome},
};
use std::{fmt, sync::Arc};

/// Tasks on their way to a claimer. If it has gone, they go back.
pub(crate) struct ClaimGuard {
    claimed: Vec<Claimed>,
    /// Work of the store was overdue and is done now, so another claim may get more.
    pub(super) settled: bool,
    finish: Arc<Finishes>,
}

impl ClaimGuard {
    pub(super) fn new(claimed: Vec<Claimed>, settled: bool, finish: Arc<Finishes>) -> Self {
        ClaimGuard { claimed, settled, finish }
    }

    pub(super) fn take(mut self) -> Vec<Claimed> {
        std::mem::take(&mut self.claimed)
    }
}

impl Drop for ClaimGuard {
    fn drop(&mut self) {
        let claimed = std::mem::take(&mut self.claimed);
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        if claimed.is_empty() {
            return;
        }
        let finish = self.finish.clone();
        runtime.spawn(async move {
            let release = |claimed: Claimed| Finish { lease: claimed.lease, outcome: Outcome::Release };
            if let Err(error) = finish.call(claimed.into_iter().map(release).collect()).await {
                tracing::warn!(%error, "a dropped claim returns when its lease ends");
            }
        });
    }
}

impl fmt::Debug for ClaimGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClaimGuard").field("claimed", &self.claimed.len()).finish_non_exhaustive()
    }
}

//! The calls under way, for which `close` waits.

use crate::error::{Error, Result};
use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};
use tokio::sync::Notify;

/// Beside the number of calls: no further one begins.
const CLOSED: usize = 1 << (usize::BITS - 1);

#[derive(Default)]
pub(crate) struct Calls {
    /// How many are under way, and whether it is closed.
    state: AtomicUsize,
    /// Of a change that somebody waits for: it closes, or the last call has ended.
    changed: Notify,
}

/// Under way until it is dropped.
#[must_use]
pub(crate) struct Call<'a>(&'a Calls);

impl Calls {
    /// Fails with `store.closed`.
    pub(crate) fn begin(&self) -> Result<Call<'_>> {
        let before = self.state.fetch_add(1, SeqCst);
        let call = Call(self);
        if before & CLOSED == 0 { Ok(call) } else { Err(Error::closed()) }
    }

    /// For what a call has begun, and goes on where its caller has gone.
    pub(crate) fn go_on(self: &Arc<Self>) -> OwnedCall {
        self.state.fetch_add(1, SeqCst);
        OwnedCall(self.clone())
    }

    fn end(&self) {
        if self.state.fetch_sub(1, SeqCst) == CLOSED | 1 {
            self.changed.notify_waiters();
        }
    }

    /// Lets no call begin any more; true where none is under way.
    pub(crate) fn shut(&self) -> bool {
        let before = self.state.fetch_or(CLOSED, SeqCst);
        self.changed.notify_waiters();
        before & !CLOSED == 0
    }

    /// Lets no call begin any more and waits for those under way.
    pub(crate) async fn close(&self) {
        self.shut();
        self.until(|state| state == CLOSED).await;
    }

    /// Waits until it closes; calls may still be under way.
    pub(crate) async fn closing(&self) {
        self.until(|state| state & CLOSED != 0).await;
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.state.load(SeqCst) & CLOSED != 0
    }

    async fn until(&self, so: impl Fn(usize) -> bool) {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if so(self.state.load(SeqCst)) {
                return;
            }
            changed.await;
        }
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// Under way until it is dropped, whoever holds it.
#[must_use]
#[derive(Debug)]
pub(crate) struct OwnedCall(Arc<Calls>);

impl Drop for OwnedCall {
    fn drop(&mut self) {
        self.0.end();
    }
}

impl fmt::Debug for Calls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state.load(SeqCst);
        write!(f, "Calls({}, closed: {})", state & !CLOSED, state & CLOSED != 0)
    }
}

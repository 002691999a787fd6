//! Which calls run, so that a close can wait for them.

use crate::error::{Error, Result};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::Duration,
};
use tokio::{sync::watch, time::timeout};

#[derive(Debug, Clone, Default)]
pub(super) struct Running {
    closed: Arc<AtomicBool>,
    calls: Arc<watch::Sender<usize>>,
}

/// One of them, until it is dropped.
#[derive(Debug)]
pub(super) struct One(Arc<watch::Sender<usize>>);

impl Running {
    /// A new call.
    pub(super) fn begin(&self) -> Result<One> {
        let one = self.part();
        if self.closed.load(SeqCst) { Err(Error::closed()) } else { Ok(one) }
    }

    /// A part of a call that may outlive it.
    pub(super) fn part(&self) -> One {
        self.calls.send_modify(|calls| *calls += 1);
        One(self.calls.clone())
    }

    /// Lets no more begin and waits for those that run, but not for ever.
    pub(super) async fn close(&self, patience: Duration) {
        self.closed.store(true, SeqCst);
        timeout(patience, self.calls.subscribe().wait_for(|calls| *calls == 0)).await.ok();
    }
}

impl Drop for One {
    fn drop(&mut self) {
        self.0.send_modify(|calls| *calls -= 1);
    }
}

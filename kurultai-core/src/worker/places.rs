//! The places of an agent's loop: how much it works on at once.

use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

#[derive(Debug)]
pub(super) struct Places {
    slots: Arc<Semaphore>,
    count: usize,
}

impl Places {
    pub(super) fn new(count: usize) -> Self {
        Places { slots: Arc::new(Semaphore::new(count)), count }
    }

    /// Every free place, at least one.
    pub(super) async fn free(&self) -> OwnedSemaphorePermit {
        let mut slots = self.slots.clone().acquire_owned().await.expect("never closed");
        if let Ok(more) = self.slots.clone().try_acquire_many_owned(self.slots.available_permits() as u32) {
            slots.merge(more);
        }
        slots
    }

    /// Waits until no job takes up a place.
    pub(super) async fn idle(&self) {
        drop(self.slots.acquire_many(self.count as u32).await);
    }

    pub(super) fn are_free(&self) -> bool {
        self.slots.available_permits() == self.count
    }
}

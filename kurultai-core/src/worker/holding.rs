//! All that an agent's loop holds: tasks, or messages.

use super::attempt::{Attempt, lock};
use std::ops::Deref;
use std::sync::{Arc, Mutex};
use tokio::sync::watch;

pub(super) struct Holding<T> {
    held: Mutex<Vec<Arc<T>>>,
    taken: watch::Sender<()>,
}

impl<T> Default for Holding<T> {
    fn default() -> Self {
        Holding { held: Mutex::default(), taken: watch::Sender::default() }
    }
}

impl<T: Deref<Target = Arc<Attempt>>> Holding<T> {
    pub(super) fn add(&self, held: &Arc<T>) {
        let mut all = lock(&self.held);
        all.retain(|held| !held.over());
        all.push(held.clone());
        self.taken.send_replace(());
    }

    /// Those whose attempt goes on.
    pub(super) fn all(&self) -> Vec<Arc<T>> {
        let mut all = lock(&self.held);
        all.retain(|held| !held.over());
        all.clone()
    }

    /// Returns as soon as something is held.
    pub(super) async fn something(&self) {
        let mut taken = self.taken.subscribe();
        while self.all().is_empty() {
            // An error would mean that `self` is gone.
            drop(taken.changed().await);
        }
    }
}

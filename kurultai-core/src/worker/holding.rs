//! All tasks that an agent's loop holds.

use super::held::{Held, lock};
use std::sync::{Arc, Mutex};
use tokio::sync::watch;

#[derive(Default)]
pub(super) struct Holding {
    held: Mutex<Vec<Arc<Held>>>,
    taken: watch::Sender<()>,
}

impl Holding {
    pub(super) fn add(&self, held: &Arc<Held>) {
        let mut all = lock(&self.held);
        all.retain(|held| !held.over());
        all.push(held.clone());
        self.taken.send_replace(());
    }

    /// Those whose attempt goes on.
    pub(super) fn all(&self) -> Vec<Arc<Held>> {
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

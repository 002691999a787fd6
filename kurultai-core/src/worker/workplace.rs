//! Where an agent's jobs are done: its team, and how it works there.

use super::settings::Settings;
use crate::kurultai::Kurultai;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::{runtime::Handle, sync::watch};

pub(super) struct Workplace {
    pub(super) kurultai: Kurultai,
    pub(super) settings: Settings,
    /// Jobs may be dropped on a thread that has no runtime.
    pub(super) runtime: Handle,
    draining: watch::Sender<bool>,
    vanished: AtomicBool,
}

impl Workplace {
    pub(super) fn new(kurultai: &Kurultai, settings: Settings) -> Arc<Self> {
        Arc::new(Workplace {
            kurultai: kurultai.clone(),
            settings,
            runtime: Handle::current(),
            draining: watch::Sender::new(false),
            vanished: AtomicBool::new(false),
        })
    }

    /// How long a lease surely holds after it was asked for: its length without a margin for clocks that run apart.
    pub(super) fn trusted(&self) -> Duration {
        let lease = self.settings.lease;
        lease - (lease / 10).min(Duration::from_secs(2))
    }

    pub(super) fn drain(&self) {
        self.draining.send_replace(true);
    }

    pub(super) fn is_draining(&self) -> bool {
        *self.draining.borrow()
    }

    pub(super) async fn drained(&self) {
        // An error would mean that `self` is gone.
        drop(self.draining.subscribe().wait_for(|draining| *draining).await);
    }

    /// Nothing is stored from here any more, as if the process had been killed.
    pub(super) fn vanish(&self) {
        self.vanished.store(true, Ordering::SeqCst);
    }

    pub(super) fn vanished(&self) -> bool {
        self.vanished.load(Ordering::SeqCst)
    }

    /// Whether the store is about to be closed.
    pub(super) fn closing(&self) -> bool {
        self.kurultai.session().agents.is_closing()
    }
}

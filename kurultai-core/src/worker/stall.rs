//! Handlers that show no sign of life. That a lease is renewed says that the process runs, and nothing of the handler.

use super::{attempt::Stop, ended::Ended, held::Held, holding::Holding, settings::OnStall};
use std::{sync::Arc, time::Duration};
use tokio::time::sleep;

/// How often it looks at the least and at the most, while something is held.
const SELDOM: Duration = Duration::from_secs(1);
const OFTEN: Duration = Duration::from_millis(10);

/// For ever.
pub(super) async fn watch_signs(holding: &Holding<Held>) {
    loop {
        holding.something().await;
        let mut next = SELDOM;
        for held in holding.all() {
            let (stall_after, then) = held.stall_limit();
            let silence = held.silence();
            if silence < stall_after {
                next = next.min(stall_after - silence);
            } else if held.stalls() {
                held.at.runtime.clone().spawn(stalled(held, silence, then));
            }
        }
        sleep(next.max(OFTEN)).await;
    }
}

/// In a task of its own: the store may not answer.
async fn stalled(held: Arc<Held>, silence: Duration, then: OnStall) {
    match then {
        OnStall::Report => {
            held.at.settings.listener.stalled(&held.task, silence);
            held.renew().await;
        }
        OnStall::Release => held.cut_short(Stop::Stalled, Ended::Stalled(silence)).await,
    }
}

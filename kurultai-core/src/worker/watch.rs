//! Hearing at once that a held task is to stop, by the one reader of the log that a process has. The renewals tell it too,
//! if later.

use super::{
    held::{Held, is_closed},
    holding::Holding,
    workplace::Workplace,
};
use crate::{error::Result, events::Event};
use futures::future::join_all;
use std::{future::pending, sync::Arc, time::Duration};
use tokio::time::sleep;

/// What is held for less ends before it would be stopped, so that nobody reads the log for it.
const SHORT: Duration = Duration::from_millis(250);
/// How long it listens before it looks at everything again; a wait that ends by itself would read all of that again.
const TURN: Duration = Duration::from_secs(60);

const REQUESTS: &[&str] = &["task.cancel_requested", "task.suspend_requested"];

/// For ever.
pub(super) async fn watch(at: &Workplace, holding: &Holding<Held>) {
    loop {
        holding.something().await;
        sleep(SHORT).await;
        if long_held(holding).is_empty() {
            continue;
        }
        match listen(at, holding).await {
            Err(error) if is_closed(&error) => return pending().await,
            Err(error) => {
                tracing::debug!(%error, "that a task is to stop is heard later");
                sleep(TURN / 60).await;
            }
            Ok(()) => {}
        }
    }
}

/// As long as something is held for long.
async fn listen(at: &Workplace, holding: &Holding<Held>) -> Result<()> {
    let events = at.kurultai.events();
    // First: what happens after the look is behind it.
    let mut position = events.position().await?;
    let held = long_held(holding);
    for held in &held {
        held.first_look();
    }
    renew(held).await;
    let hearing = async {
        loop {
            let page = events.next_about(REQUESTS, position, TURN * 2).await?;
            position = page.next;
            renew(named(holding, &page.events)).await;
        }
    };
    // One that was asked to stop before it was held is in no event to come.
    let looking = async {
        loop {
            sleep(SHORT).await;
            let held = long_held(holding);
            if held.is_empty() {
                return;
            }
            renew(held.into_iter().filter(|held| held.first_look()).collect()).await;
        }
    };
    tokio::select! {
        ended = hearing => ended,
        () = looking => Ok(()),
        () = sleep(TURN) => Ok(()),
    }
}

fn long_held(holding: &Holding<Held>) -> Vec<Arc<Held>> {
    holding.all().into_iter().filter(|held| held.since.elapsed() >= SHORT).collect()
}

fn named(holding: &Holding<Held>, events: &[Event]) -> Vec<Arc<Held>> {
    let named = |held: &Arc<Held>| events.iter().any(|e| e.task_id.as_deref() == Some(&held.task.id));
    holding.all().into_iter().filter(named).collect()
}

/// The store says what its holder should do, and why.
async fn renew(held: Vec<Arc<Held>>) {
    join_all(held.iter().filter(|held| held.renewable()).map(|held| held.renew())).await;
}

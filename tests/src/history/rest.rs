//! What a run has left in the store.

use super::{check::Left, log::Event};
use crate::chaos::Result;
use kurultai_core::{Event as Logged, EventFilter, Filter, Kurultai, Status, Task};
use std::time::Duration;
use tokio::time::sleep;

/// The log and the tasks, once nothing moves any more.
pub(super) async fn rest(store: &Kurultai) -> Result<(Vec<Event>, Vec<Left>)> {
    loop {
        store.tasks().maintain().await?;
        let last = store.events().last_seq().await?;
        sleep(Duration::from_millis(300)).await;
        let (log, left) = (every_event(store).await?, every_task(store).await?);
        let held = left.iter().any(|task| task.status == Status::InProgress);
        if !held && store.events().last_seq().await? == last {
            return Ok((log, left));
        }
    }
}

async fn every_event(store: &Kurultai) -> Result<Vec<Event>> {
    let mut log: Vec<Event> = Vec::new();
    loop {
        let after_seq = log.last().map_or(0, |event| event.seq);
        let page =
            store.events().read(EventFilter { after_seq, limit: 1_000, ..EventFilter::default() }).await?;
        if page.is_empty() {
            return Ok(log);
        }
        log.extend(page.into_iter().map(|Logged { seq, topic, task_id: task, source, .. }| Event {
            seq,
            topic,
            task,
            source,
        }));
    }
}

async fn every_task(store: &Kurultai) -> Result<Vec<Left>> {
    let (mut left, mut filter) = (Vec::new(), Filter { limit: 1_000, ..Filter::default() });
    loop {
        let page = store.tasks().list(filter.clone()).await?;
        left.extend(page.tasks.into_iter().map(kept));
        match page.next {
            Some(next) => filter.cursor = Some(next),
            None => return Ok(left),
        }
    }
}

fn kept(task: Task) -> Left {
    let Task {
        id, status, lease_version: version, claimed_by, results, parent_id: parent, depends_on, ..
    } = task;
    let results = results.and_then(|results| results.value().as_u64());
    Left { id, status, version, claimed_by, results, parent, depends_on }
}

//! What a run has left in the store.

use super::{check::Left, log::Event};
use crate::chaos::Result;
use chrono::{DateTime, TimeDelta, Utc};
use kurultai_core::{
    Kurultai,
    events::{Event as Logged, EventFilter},
    tasks::{Filter, Status, Task},
};
use std::time::Duration;
use tokio::time::sleep;

/// A task that expires sooner than this after the last event is waited for.
const SOON: TimeDelta = TimeDelta::minutes(1);

/// The log and the tasks, once nothing moves any more.
pub(super) async fn rest(store: &Kurultai) -> Result<(Vec<Event>, Vec<Left>)> {
    loop {
        store.maintain().await?;
        let last = store.events().last_seq().await?;
        sleep(Duration::from_millis(300)).await;
        let (log, tasks) = (every_event(store).await?, every_task(store).await?);
        let newest = log.last().map(|event| event.created_at);
        let moves = tasks.iter().any(|task| moves(task, newest));
        if !moves && store.events().last_seq().await? == last {
            return Ok((log.into_iter().map(noted).collect(), tasks.into_iter().map(kept).collect()));
        }
    }
}

/// Whether time alone does something to it soon.
fn moves(task: &Task, newest: Option<DateTime<Utc>>) -> bool {
    let expires = || task.expires_at.zip(newest).is_some_and(|(at, newest)| at < newest + SOON);
    match task.status {
        Status::InProgress => true,
        Status::Pending | Status::Blocked => expires(),
        _ => false,
    }
}

fn noted(event: Logged) -> Event {
    let Logged { seq, topic, task_id: task, source, .. } = event;
    Event { seq, topic, task, source }
}

async fn every_event(store: &Kurultai) -> Result<Vec<Logged>> {
    let (mut log, mut after_seq) = (Vec::new(), 0);
    loop {
        let filter = EventFilter { after_seq, limit: 1_000, ..EventFilter::default() };
        let page = store.events().read(filter).await?;
        if page.events.is_empty() {
            return Ok(log);
        }
        after_seq = page.next;
        log.extend(page);
    }
}

async fn every_task(store: &Kurultai) -> Result<Vec<Task>> {
    let (mut tasks, mut filter) = (Vec::new(), Filter { limit: 1_000, ..Filter::default() });
    loop {
        let page = store.tasks().list(filter.clone()).await?;
        tasks.extend(page.tasks);
        match page.next {
            Some(next) => filter.cursor = Some(next),
            None => return Ok(tasks),
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

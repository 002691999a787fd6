//! Waiting for a task's end, by the one reader of the log that a process has.

use super::{
    contract::TaskQueue,
    types::{Status, Task},
};
use crate::{
    batch::Coalescer,
    clock::monotonic,
    error::{Error, Kind, Result, gist},
    events::Events,
    retry::Backoff,
};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::Mutex;

/// Beyond that a wait has no end.
const LONGEST: Duration = Duration::from_secs(10 * 366 * 86_400);

/// Returns the task when it is completed. An outage of the store does not end it before its time.
pub(super) async fn wait_for(looks: &Looks, events: &Events, id: &str, wait: Duration) -> Result<Task> {
    let deadline = monotonic() + wait.min(LONGEST);
    let mut backoff = Backoff::default();
    loop {
        match look_and_wait(looks, events, id, deadline).await {
            Err(error) if error.code() == "event.cursor_too_old" => {}
            Err(error) if error.kind() != Kind::TimedOut && error.retryable() && monotonic() < deadline => {
                events.complain(&error);
                backoff.wait(&error).await;
            }
            ended => return ended.and_then(completed),
        }
    }
}

const TIMED_OUT: &str = "task.timeout";

/// What those who wait see of their tasks: up to where the log was handed out before, and the task.
pub(super) type Looks = Coalescer<String, (i64, Option<Task>)>;

/// While one look is under way, the next one gathers.
pub(super) fn looks(queue: Arc<dyn TaskQueue>, events: Events) -> Arc<Looks> {
    let turn: Arc<Mutex<()>> = Arc::default();
    Coalescer::new(
        MOST,
        |_| 1,
        move |ids| {
            let (queue, events, turn) = (queue.clone(), events.clone(), turn.clone());
            Box::pin(async move {
                let _turn = turn.lock().await;
                let ids = ids.close();
                // First: what happens after the look is behind it.
                let position = events.position().await?;
                let tasks = queue.get(ids).await?;
                Ok(tasks.into_iter().map(|task| Ok((position, task))).collect())
            })
        },
    )
}

/// How many tasks one look reads, each with results of up to 1 MiB.
const MOST: usize = 100;

async fn look_and_wait(looks: &Looks, events: &Events, id: &str, deadline: Instant) -> Result<Task> {
    loop {
        let (mut after_seq, task) = looks.call(id.to_owned()).await?;
        let task = task.ok_or_else(|| Error::task_not_found(id))?;
        if task.status.is_finished() {
            return Ok(task);
        }
        loop {
            let wait = deadline.saturating_duration_since(monotonic());
            if wait.is_zero() {
                return Err(too_late(&task));
            }
            let page = events.next_of(id, after_seq, wait).await?;
            after_seq = page.next;
            if page.events.iter().any(|event| ENDS.contains(&event.topic.as_str())) {
                break;
            }
        }
    }
}

const ENDS: [&str; 5] =
    ["task.completed", "task.dead_letter", "task.cancelled", "task.expired", "task.discarded"];

/// What ended otherwise has no results to give.
fn completed(task: Task) -> Result<Task> {
    if task.status == Status::Completed {
        return Ok(task);
    }
    let Task { id, task_type, status, error_message, .. } = task;
    let why = error_message.unwrap_or_default();
    let last = gist(&why);
    let colon = if last.is_empty() { "" } else { ": " };
    let message = format!("task {id:?} of type {task_type:?} is {status}{colon}{last}");
    let failed = Error::new(Kind::Conflict, "task.failed", message).of_task(&id);
    Err(if why.is_empty() { failed } else { failed.caused_by(why) })
}

fn too_late(task: &Task) -> Error {
    let Task { id, task_type, .. } = task;
    let message =
        format!("task {id:?} of type {task_type:?} has not ended in time; it goes on, so wait again");
    Error::new(Kind::TimedOut, TIMED_OUT, message).of_task(id)
}

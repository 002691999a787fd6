//! What follows from a change and from the time: lapsed leases, time-outs, tasks whose prerequisites are done.

use super::{
    contract::{Facts, TaskQueue},
    rules::{self, Action},
    types::Status,
};
use crate::{
    error::{Error, Result},
    news::News,
};
use std::{collections::HashSet, sync::Arc};

/// How many due tasks one step settles: a claim waits for no more than that.
const STEP: usize = 200;

/// How many of the tasks that expire, and of their types, a warning names.
const NAMED: usize = 5;

/// Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Settling {
    pub(super) queue: Arc<dyn TaskQueue>,
    pub(super) news: Arc<News>,
}

/// What one step did.
pub(super) struct Step {
    /// It changed something, so another step may find more.
    pub(super) progressed: bool,
    /// There was something that follows from a change that is done, and not only from the time.
    marked: bool,
}

impl Settling {
    /// Follows up on a write: what follows from it is settled before the writer gets its answer. What fails here is
    /// still due, so the next pass does it.
    pub(super) async fn after(&self, overdue: bool) {
        if overdue {
            self.settle_marked().await;
            self.news.look_soon();
        }
        self.news.announce();
    }

    /// Settles what follows from changes that are done, and of what has come due by time one step; the rest is for the
    /// background, since a backlog may take minutes. Returns whether anything was settled.
    pub(super) async fn settle_marked(&self) -> bool {
        let mut progressed = false;
        loop {
            match self.step().await {
                Ok(step) => {
                    progressed |= step.progressed;
                    if !step.progressed || !step.marked {
                        break;
                    }
                }
                Err(error) => {
                    self.complain(&error);
                    break;
                }
            }
        }
        progressed
    }

    /// Looks at every task that is due until none is left.
    pub(super) async fn settle(&self) -> Result<()> {
        while self.step().await?.progressed {}
        Ok(())
    }

    /// Looks at the first tasks that are due.
    pub(super) async fn step(&self) -> Result<Step> {
        let due = self.queue.due(STEP).await?;
        let nothing = Step { progressed: false, marked: due.marked };
        if due.ids.is_empty() {
            return Ok(nothing);
        }
        let facts = self.queue.facts(due.ids).await?;
        let mut changes = Vec::new();
        for facts in facts.iter().flatten() {
            changes.extend(rules::decide(&Action::Settle, facts, fastrand::f64())?);
        }
        if changes.is_empty() {
            return Ok(nothing);
        }
        let ends: Vec<(Status, String)> = changes.iter().map(|c| (c.status, c.id.clone())).collect();
        let applied = self.queue.apply(changes).await?;
        let expired = ends
            .into_iter()
            .zip(applied.held)
            .filter(|((status, _), held)| *held && *status == Status::Expired);
        let ids: HashSet<String> = expired.map(|((_, id), _)| id).collect();
        tell_expired(facts.iter().flatten().filter(|task| ids.contains(&task.id)));
        self.news.announce();
        Ok(Step { progressed: true, ..nothing })
    }

    /// Reads, decides and applies until the fence holds. Returns what the task is then.
    pub(super) async fn act(&self, id: &str, action: Action) -> Result<Status> {
        loop {
            let facts = self.facts(id).await?;
            let Some(change) = rules::decide(&action, &facts, fastrand::f64())? else {
                return Ok(facts.status);
            };
            let status = change.status;
            let applied = self.queue.apply(vec![change]).await?;
            if applied.held.first() != Some(&true) {
                continue;
            }
            self.after(applied.overdue).await;
            if !applied.overdue {
                return Ok(status);
            }
            // It is done, whether or not the store can be asked what has followed.
            return Ok(self.facts(id).await.map_or(status, |facts| facts.status));
        }
    }

    pub(super) async fn facts(&self, id: &str) -> Result<Facts> {
        let facts = self.queue.facts(vec![id.to_owned()]).await?.pop().flatten();
        facts.ok_or_else(|| Error::task_not_found(id))
    }

    pub(super) fn complain(&self, error: &Error) {
        self.news.complain(error, "overdue work stays for the next pass");
    }
}

/// Nobody else hears of them.
fn tell_expired<'a>(expired: impl Iterator<Item = &'a Facts>) {
    let (mut count, mut first, mut types) = (0, Vec::new(), Vec::new());
    for task in expired {
        count += 1;
        if first.len() < NAMED {
            first.push(&task.id);
        }
        if types.len() < NAMED && !types.contains(&&task.task_type) {
            types.push(&task.task_type);
        }
    }
    if count > 0 {
        tracing::warn!(count, ?types, ?first, "tasks have expired: nobody claimed them in time");
    }
}

//! The same action on many tasks, in portions.

use super::{
    contract::Facts,
    requests::Filter,
    rules::{self, Action},
    settle::Settling,
    types::{Page, Status},
    update::{TaskUpdate, Told},
};
use crate::{
    agents::Term,
    error::{Error, Kind, Result},
};

/// How many tasks one transaction takes.
pub(super) const PORTION: usize = 200;

impl Settling {
    /// Cancels a task and all below it. From the top down, so that no parent completes because its children have ended.
    pub(super) async fn cancel_tree(&self, id: &str, cancel: &Action) -> Result<Status> {
        let tree = self.queue.tree(id).await?;
        if tree.is_empty() {
            return Err(Error::task_not_found(id));
        }
        for portion in tree.chunks(PORTION) {
            self.act_on(portion.to_vec(), cancel, |_| true).await?;
        }
        Ok(self.facts(id).await?.status)
    }

    /// Does it to those of the tasks that still match. Returns how many it changed.
    pub(super) async fn act_on_matching(
        &self,
        tasks: Vec<String>,
        action: &Action,
        filter: &Filter,
    ) -> Result<usize> {
        let fits = |facts: &Facts| {
            filter.status.is_none_or(|status| status == facts.status)
                && filter.claimed_by.as_ref().is_none_or(|agent| facts.claimed_by.as_ref() == Some(agent))
        };
        self.act_on(tasks, action, fits).await
    }

    /// Lets anybody have what waits and was assigned to an agent. Returns how many tasks that were.
    pub(super) async fn unassign(
        &self,
        agent: &str,
        by: Option<&str>,
        under: Option<&Term>,
    ) -> Result<usize> {
        let (mut count, free) = (0, TaskUpdate::new().assigned_to(None));
        for status in [Status::Pending, Status::Blocked] {
            let mut page = Filter {
                status: Some(status),
                assigned_to: Some(agent.to_owned()),
                limit: PORTION,
                ..Filter::default()
            };
            loop {
                let Page { tasks, next } = self.queue.list(page.clone()).await?;
                for task in tasks {
                    let told = Told::Assigned { by, from: Some(agent) };
                    match self.update(&task.id, &free, told, under).await {
                        Ok(task) => count += usize::from(task.assigned_to.is_none()),
                        // It has been claimed, or is over.
                        Err(error) if matches!(error.kind(), Kind::Conflict | Kind::NotFound) => {}
                        Err(error) => return Err(error),
                    }
                }
                page.cursor = next;
                if page.cursor.is_none() {
                    break;
                }
            }
        }
        Ok(count)
    }

    /// Reads, decides and applies until every fence holds; leaves out what refuses the action.
    async fn act_on(
        &self,
        mut tasks: Vec<String>,
        action: &Action,
        fits: impl Fn(&Facts) -> bool,
    ) -> Result<usize> {
        let mut changed = 0;
        while !tasks.is_empty() {
            let facts = self.queue.facts(tasks).await?;
            let mut changes = Vec::new();
            for facts in facts.iter().flatten().filter(|facts| fits(facts)) {
                match rules::decide(action, facts, fastrand::f64()) {
                    Ok(change) => changes.extend(change),
                    Err(error) if error.kind() == Kind::Conflict => {}
                    Err(error) => return Err(error),
                }
            }
            if changes.is_empty() {
                break;
            }
            tasks = changes.iter().map(|change| change.id.clone()).collect();
            let applied = self.queue.apply(changes).await?;
            changed += applied.held.iter().filter(|held| **held).count();
            self.after(applied.overdue).await;
            let mut held = applied.held.into_iter();
            tasks.retain(|_| held.next() != Some(true));
        }
        Ok(changed)
    }
}

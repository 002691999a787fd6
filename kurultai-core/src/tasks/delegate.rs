//! Giving tasks to agents, together with the messages that tell them.

use super::{
    contract::{Delegation, Facts, Rewrite},
    handle::Tasks,
    order::Route,
    types::{EmergencyStop, Status, Task},
};
use crate::{agents::Term, error::Result, messages::contract::Post};
use serde_json::json;

impl Tasks {
    /// The emergency stop, where there is one.
    pub(crate) async fn stopped(&self) -> Result<Option<EmergencyStop>> {
        Ok(self.queue.burden(1).await?.stopped)
    }

    /// Refuses what an enqueue would refuse: it would go back to who gave it on.
    pub(crate) async fn may_be_given(&self, task: &Task, agent: &str) -> Result<()> {
        self.settling.may_be_given(task, agent).await
    }

    /// In one transaction: of these tasks, each with its agent and, unless that was told before, a message, those that were
    /// delegated: where nobody has changed the task meanwhile, and nobody has told the agent of it. Fails with
    /// `role.stale_term` where the term is over.
    pub(crate) async fn delegate<'a>(
        &self,
        given: &'a [(Task, String, Option<Post>)],
        by: &str,
        under: &Term,
    ) -> Result<Vec<(&'a Task, &'a str)>> {
        let _call = self.session.calls.begin()?;
        let facts = self.queue.facts(given.iter().map(|(task, ..)| task.id.clone()).collect()).await?;
        let (mut which, mut delegations) = (vec![], vec![]);
        for ((task, to, post), facts) in given.iter().zip(facts) {
            // What is not to be claimed yet is nobody's yet, unless it was said whose it is.
            let is_due = |facts: &Facts| facts.claimable || task.assigned_to.is_some();
            let pending = facts.filter(|facts| facts.status == Status::Pending && is_due(facts));
            let Some(Facts { revision, .. }) = pending else { continue };
            let assign = task.assigned_to.is_none().then(|| assign(task, revision, to, by));
            delegations.push(Delegation { task: task.id.clone(), revision, assign, post: post.clone() });
            which.push((task, to.as_str()));
        }
        if delegations.is_empty() {
            return Ok(vec![]);
        }
        let held = self.queue.delegate(delegations, by, under).await?;
        self.session.news.announce();
        Ok(which.into_iter().zip(held).filter(|(_, held)| *held).map(|(given, _)| given).collect())
    }
}

fn assign(task: &Task, revision: i64, to: &str, by: &str) -> Rewrite {
    let route = Route {
        task_type: task.task_type.clone(),
        required: task.required_capabilities.clone(),
        preferred: task.preferred_capabilities.clone(),
        assigned_to: Some(to.to_owned()),
    };
    Rewrite {
        id: task.id.clone(),
        revision,
        title: None,
        description: None,
        payload: None,
        order: None,
        assigned_to: Some(Some(to.to_owned())),
        route: Some(route.key()),
        timing: None,
        topic: "task.assigned",
        source: Some(by.to_owned()),
        told: json!({"from": null, "to": to, "by": by}).to_string(),
        under: None,
    }
}

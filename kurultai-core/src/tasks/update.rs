//! Changes to a task that nobody holds: what may be asked for, and what becomes of it.

use super::{
    admit, check,
    contract::{Facts, Rewrite, Timing},
    order::Route,
    rules::{self, NOW},
    settle::Settling,
    types::{Priority, Status, Task},
};
use crate::{
    agents::Term,
    clock::Micros,
    error::{Error, Result},
    json::Json,
};
use chrono::{DateTime, Utc};
use serde_json::json;

/// What to change of a task; what is not given stays as it is.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct TaskUpdate {
    /// At most 1,000 characters.
    pub title: Option<String>,
    /// At most 65,536 characters.
    pub description: Option<String>,
    /// Any JSON, at most 1 MiB.
    pub payload: Option<Json>,
    /// How urgent it is.
    pub priority: Option<Priority>,
    /// Within its priority, 0 to 1.
    pub priority_weight: Option<f64>,
    /// When it may start; `Some(None)` is at once.
    pub run_at: Option<Option<DateTime<Utc>>>,
    /// When it expires, instead of any time-out; `Some(None)` is never.
    pub expires_at: Option<Option<DateTime<Utc>>>,
    /// The only agent that may claim it; `Some(None)` is anybody.
    pub assigned_to: Option<Option<String>>,
}

impl TaskUpdate {
    /// Changes nothing yet.
    pub fn new() -> Self {
        TaskUpdate::default()
    }

    /// A line for people.
    pub fn title(mut self, title: impl Into<String>) -> Self {
        self.title = Some(title.into());
        self
    }

    /// More for people.
    pub fn description(mut self, description: impl Into<String>) -> Self {
        self.description = Some(description.into());
        self
    }

    /// What its claimer is given.
    pub fn payload(mut self, payload: impl Into<Json>) -> Self {
        self.payload = Some(payload.into());
        self
    }

    /// How urgent it is.
    pub fn priority(mut self, priority: Priority) -> Self {
        self.priority = Some(priority);
        self
    }

    /// Within its priority, 0 to 1: the heavier comes first.
    pub fn priority_weight(mut self, weight: f64) -> Self {
        self.priority_weight = Some(weight);
        self
    }

    /// When it may start; `None` is at once.
    pub fn run_at(mut self, at: impl Into<Option<DateTime<Utc>>>) -> Self {
        self.run_at = Some(at.into());
        self
    }

    /// When it expires if nobody has claimed it; `None` is never.
    pub fn expires_at(mut self, at: impl Into<Option<DateTime<Utc>>>) -> Self {
        self.expires_at = Some(at.into());
        self
    }

    /// The only agent that may claim it; `None` is anybody.
    pub fn assigned_to(mut self, agent: Option<&str>) -> Self {
        self.assigned_to = Some(agent.map(str::to_owned));
        self
    }

    pub(super) fn check(&self) -> Result<()> {
        if *self == TaskUpdate::default() {
            return Err(Error::invalid("update", "nothing", "at least one field to change"));
        }
        self.title.as_deref().map_or(Ok(()), check::title)?;
        self.description.as_deref().map_or(Ok(()), check::description)?;
        self.payload.as_ref().map_or(Ok(()), Json::check)?;
        self.priority_weight.map_or(Ok(()), check::priority_weight)?;
        self.run_at.flatten().map_or(Ok(()), check::run_at)?;
        self.expires_at.flatten().map_or(Ok(()), check::expires_at)?;
        self.assigned_to.iter().flatten().try_for_each(|agent| check::agent("assigned_to", agent))
    }
}

/// What somebody did, as the log tells it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Told<'a> {
    Updated,
    Reprioritized,
    Assigned {
        by: Option<&'a str>,
        /// Only where it is still assigned to this agent.
        from: Option<&'a str>,
    },
}

/// `None` where it is so already.
fn decide(task: &Task, facts: &Facts, update: &TaskUpdate, told: Told<'_>) -> Result<Option<Rewrite>> {
    if facts.status == Status::InProgress || facts.status.is_finished() {
        let message = format!("task {} is {} and cannot be changed", facts.id, facts.status);
        return Err(Error::conflict("task.state", message));
    }
    if let Told::Assigned { from: Some(agent), .. } = told
        && task.assigned_to.as_deref() != Some(agent)
    {
        return Ok(None);
    }
    let title = update.title.clone().filter(|title| *title != task.title);
    let description = update.description.clone().filter(|text| *text != task.description);
    let payload = update.payload.clone().filter(|payload| *payload != task.payload);
    let priority = update.priority.unwrap_or(task.priority);
    let weight = update.priority_weight.unwrap_or(task.priority_weight);
    let assigned_to = update.assigned_to.clone().filter(|agent| *agent != task.assigned_to);
    let (run_at, expires_at) = (run_at(facts, update), expires_at(facts, update));
    let changed = [
        ("title", title.is_some()),
        ("description", description.is_some()),
        ("payload", payload.is_some()),
        ("priority", priority != task.priority),
        ("priority_weight", weight != task.priority_weight),
        ("run_at", run_at.is_some()),
        ("expires_at", expires_at.is_some()),
        ("assigned_to", assigned_to.is_some()),
    ];
    let fields: Vec<&str> = changed.iter().filter(|(_, is)| *is).map(|(field, _)| *field).collect();
    if fields.is_empty() {
        return Ok(None);
    }
    let place = |priority: Priority, weight: f64| json!({"priority": priority, "priority_weight": weight});
    let (topic, source, told) = match told {
        Told::Updated => ("task.updated", None, json!({"fields": fields})),
        Told::Reprioritized => {
            let (from, to) = (place(task.priority, task.priority_weight), place(priority, weight));
            ("task.reprioritized", None, json!({"from": from, "to": to}))
        }
        Told::Assigned { by, .. } => {
            let to = assigned_to.as_ref().unwrap_or(&task.assigned_to);
            ("task.assigned", by, json!({"from": task.assigned_to, "to": to, "by": by}))
        }
    };
    let route = assigned_to.clone().map(|assigned_to| Route {
        task_type: task.task_type.clone(),
        required: task.required_capabilities.clone(),
        preferred: task.preferred_capabilities.clone(),
        assigned_to,
    });
    Ok(Some(Rewrite {
        id: facts.id.clone(),
        revision: facts.revision,
        title,
        description,
        payload,
        order: (priority != task.priority || weight != task.priority_weight).then_some((priority, weight)),
        assigned_to,
        route: route.map(|route| route.key()),
        timing: (run_at.is_some() || expires_at.is_some()).then(|| timing(facts, run_at, expires_at)),
        topic,
        source: source.map(str::to_owned),
        told: told.to_string(),
        under: None,
    }))
}

/// Its new start. At once is since now, as for what was unblocked, so that its wait is measured from there.
fn run_at(facts: &Facts, update: &TaskUpdate) -> Option<Micros> {
    match update.run_at? {
        Some(at) => Some(at.timestamp_micros()).filter(|at| facts.run_at != Some(*at)),
        None => facts.run_at.filter(|at| *at > facts.now).map(|_| facts.now),
    }
}

/// Its new end. A span to wait counts as another one.
fn expires_at(facts: &Facts, update: &TaskUpdate) -> Option<Option<Micros>> {
    let at = update.expires_at?.map(|at| at.timestamp_micros());
    (facts.timeout.is_some() || facts.expires_at != at).then_some(at)
}

fn timing(facts: &Facts, run_at: Option<Micros>, expires_at: Option<Option<Micros>>) -> Timing {
    let run_at = run_at.or(facts.run_at);
    let timeout = if expires_at.is_some() { None } else { facts.timeout };
    let expires_at = expires_at.unwrap_or(facts.expires_at);
    let waiting = Timing { claimable: false, run_at, expires_at, timeout, due_at: None };
    match facts.status {
        Status::Pending => rules::waiting(facts.now, run_at, expires_at, timeout),
        // Whatever it was due for, the rule that looks at it then says when next.
        Status::Blocked => Timing { due_at: Some(NOW), ..waiting },
        _ => waiting,
    }
}

impl Settling {
    /// Reads, decides and writes until the fence holds.
    pub(super) async fn update(
        &self,
        id: &str,
        update: &TaskUpdate,
        told: Told<'_>,
        under: Option<&Term>,
    ) -> Result<Task> {
        loop {
            let facts = self.facts(id).await?;
            // After the facts: where it is another one by now, so is the revision.
            let task = self.queue.get(vec![id.to_owned()]).await?.pop().flatten();
            let task = task.ok_or_else(|| Error::task_not_found(id))?;
            let Some(rewrite) = decide(&task, &facts, update, told)? else { return Ok(task) };
            if let Some(Some(agent)) = &rewrite.assigned_to {
                self.may_be_given(&task, agent).await?;
            }
            let applied = self.queue.update(Rewrite { under: under.cloned(), ..rewrite }).await?;
            if applied.held.first() == Some(&true) {
                self.after(applied.overdue).await;
                let changed = self.queue.get(vec![id.to_owned()]).await?.pop().flatten();
                return changed.ok_or_else(|| Error::task_not_found(id));
            }
        }
    }

    /// Refuses what an enqueue would refuse: who gave it on would get it back. What this is judged by never changes.
    pub(super) async fn may_be_given(&self, task: &Task, agent: &str) -> Result<()> {
        let mut above: Vec<Task> = Vec::new();
        let given_on = task.delegated_by.as_deref().is_some_and(|by| by != agent);
        let mut next = task.parent_id.clone().filter(|_| given_on);
        while let Some(id) = next {
            let Some(parent) = self.queue.get(vec![id]).await?.pop().flatten() else { break };
            next = parent.parent_id.clone();
            above.push(parent);
        }
        admit::may_be_given(task, agent, &above)
    }
}

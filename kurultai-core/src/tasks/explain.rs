//! Why a task is not claimed. Pure.

use super::{contract::Facts, order::Route, types::*};
use crate::{
    agents::{AgentInfo, AgentStatus, is_silent},
    clock::time,
    error::gist,
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use std::fmt;

/// The answer of `tasks().explain(id)`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Explanation {
    /// Which task.
    pub id: String,
    /// Where it stands.
    pub status: Status,
    /// Empty where somebody alive can claim it now.
    pub reasons: Vec<Reason>,
    /// The agents alive that could claim it.
    pub candidates: Vec<String>,
}

/// One thing that keeps a task from being claimed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Reason {
    /// It has ended.
    Finished {
        /// As what.
        status: Status,
        /// The last line of its last error, where it is dead.
        error: Option<String>,
    },
    /// Somebody works on it.
    Held {
        /// Who.
        by: String,
        /// When the lease ends.
        until: DateTime<Utc>,
    },
    /// Somebody has suspended it: resume it.
    Suspended,
    /// Waits for these tasks, which stand so.
    BlockedBy {
        /// Each with where it stands.
        tasks: Vec<(String, Status)>,
    },
    /// A parent: completes with its children.
    WaitsForChildren {
        /// Each with where it stands.
        tasks: Vec<(String, Status)>,
    },
    /// Its last attempt failed; another one follows.
    Failed {
        /// Which one, from 1.
        attempt: u32,
        /// How many it may have.
        max_attempts: u32,
        /// The line of its error that says most.
        error: String,
        /// When it is tried again.
        run_at: DateTime<Utc>,
    },
    /// Its time has not come.
    Scheduled {
        /// When it comes.
        run_at: DateTime<Utc>,
    },
    /// An empty type is the whole namespace.
    Paused {
        /// The type; an empty one is the whole namespace.
        task_type: String,
    },
    /// Assigned to an agent that is not alive.
    AssigneeAbsent {
        /// Who it is assigned to.
        agent: String,
    },
    /// No agent alive has these.
    CapabilityMissing {
        /// Those that are missing.
        capabilities: Vec<String>,
    },
    /// Each is there, but nobody alive has all of them.
    NobodyHasAll {
        /// All that it requires.
        capabilities: Vec<String>,
    },
    /// No agent has given a sign of life lately.
    NobodyAlive,
    /// Everybody who could is full or draining.
    Busy {
        /// Those that could, and have no room.
        agents: Vec<String>,
    },
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |tasks: &[(String, Status)]| {
            tasks.iter().map(|(id, status)| format!("{id} ({status})")).collect::<Vec<_>>().join(", ")
        };
        match self {
            Reason::Finished { status, error: Some(error) } => write!(f, "it is {status}: {error}"),
            Reason::Finished { status, error: None } => write!(f, "it is {status}"),
            Reason::Held { by, until } => write!(f, "{by} holds it until {}", until.format("%F %T UTC")),
            Reason::Suspended => write!(f, "it is suspended; resume it"),
            Reason::BlockedBy { tasks } => write!(f, "it waits for {}", list(tasks)),
            Reason::WaitsForChildren { tasks } => write!(f, "it waits for its children {}", list(tasks)),
            Reason::Failed { attempt, max_attempts, error, run_at } => {
                let again = run_at.format("%F %T UTC");
                write!(f, "attempt {attempt} of {max_attempts} failed: {error}; again at {again}")
            }
            Reason::Scheduled { run_at } => write!(f, "it is scheduled for {}", run_at.format("%F %T UTC")),
            Reason::Paused { task_type } if task_type.is_empty() => {
                write!(f, "the whole namespace is paused")
            }
            Reason::Paused { task_type } => write!(f, "its type {task_type:?} is paused"),
            Reason::AssigneeAbsent { agent } => write!(f, "it is assigned to {agent}, who is not alive"),
            Reason::CapabilityMissing { capabilities } => {
                write!(f, "no agent alive has the capability {}", capabilities.join(", "))
            }
            Reason::NobodyHasAll { capabilities } => {
                write!(f, "no agent alive has all of {}", capabilities.join(", "))
            }
            Reason::NobodyAlive => write!(f, "no agent is alive"),
            Reason::Busy { agents } => {
                write!(f, "{} could, but hold all they may, or drain", agents.join(", "))
            }
        }
    }
}

pub(super) fn explain(
    task: &Task,
    facts: &Facts,
    prerequisites: &[Prerequisite],
    children: &[Prerequisite],
    paused: &[String],
    agents: &[AgentInfo],
) -> Explanation {
    let route = Route {
        task_type: task.task_type.clone(),
        required: task.required_capabilities.clone(),
        preferred: vec![],
        assigned_to: task.assigned_to.clone(),
    };
    let is_there = |a: &&AgentInfo| a.status != AgentStatus::Offline && !is_silent(a.last_sign(), facts.now);
    let alive: Vec<&AgentInfo> = agents.iter().filter(is_there).collect();
    let able: Vec<&&AgentInfo> =
        alive.iter().filter(|a| route.served_by(&a.id, &a.capabilities, None, &[]).is_some()).collect();
    let mut reasons = Vec::new();
    match facts.status {
        Status::InProgress => reasons.push(Reason::Held {
            by: facts.claimed_by.clone().unwrap_or_default(),
            until: facts.lease_expires_at.map(time).unwrap_or_default(),
        }),
        Status::Suspended | Status::PendingReview => reasons.push(Reason::Suspended),
        Status::Blocked => reasons.extend(waits(prerequisites, children)),
        Status::Pending => {
            reasons.extend(facts.run_at.filter(|at| *at > facts.now).map(|at| later(task, time(at))));
            let here = paused.iter().filter(|p| p.is_empty() || **p == task.task_type);
            reasons.extend(here.map(|p| Reason::Paused { task_type: p.clone() }));
            reasons.extend(absence(task, &alive, &able));
        }
        status => {
            let error = task.error_message.as_deref().filter(|_| status == Status::DeadLetter);
            reasons.push(Reason::Finished { status, error: error.map(gist).map(str::to_owned) });
        }
    }
    let candidates = able.iter().map(|a| a.id.clone()).collect();
    Explanation { id: task.id.clone(), status: facts.status, reasons, candidates }
}

/// Why its time has not come. What failed before the last claim is not what it waits for.
fn later(task: &Task, run_at: DateTime<Utc>) -> Reason {
    match task.errors.last().filter(|error| task.claimed_at.is_some_and(|at| at <= error.at)) {
        Some(TaskError { attempt, error, .. }) => Reason::Failed {
            attempt: *attempt,
            max_attempts: task.max_attempts,
            error: gist(error).to_owned(),
            run_at,
        },
        None => Reason::Scheduled { run_at },
    }
}

fn waits(prerequisites: &[Prerequisite], children: &[Prerequisite]) -> Vec<Reason> {
    let open = |tasks: &[Prerequisite]| -> Vec<(String, Status)> {
        let waits =
            |p: &&Prerequisite| p.dependency_type == DependencyType::Blocks && p.status != Status::Completed;
        tasks.iter().filter(waits).map(|p| (p.id.clone(), p.status)).collect()
    };
    let (before, below) = (open(prerequisites), open(children));
    let mut reasons = Vec::new();
    if !before.is_empty() {
        reasons.push(Reason::BlockedBy { tasks: before });
    }
    if !below.is_empty() {
        reasons.push(Reason::WaitsForChildren { tasks: below });
    }
    reasons
}

fn absence(task: &Task, alive: &[&AgentInfo], able: &[&&AgentInfo]) -> Option<Reason> {
    if able.iter().any(|a| a.has_room()) {
        return None;
    }
    if !able.is_empty() {
        return Some(Reason::Busy { agents: able.iter().map(|a| a.id.clone()).collect() });
    }
    if alive.is_empty() {
        return Some(Reason::NobodyAlive);
    }
    if let Some(agent) = &task.assigned_to
        && !alive.iter().any(|a| a.id == *agent)
    {
        return Some(Reason::AssigneeAbsent { agent: agent.clone() });
    }
    let required = &task.required_capabilities;
    let missing: Vec<String> =
        required.iter().filter(|c| !alive.iter().any(|a| a.capabilities.contains(c))).cloned().collect();
    Some(if missing.is_empty() {
        Reason::NobodyHasAll { capabilities: required.clone() }
    } else {
        Reason::CapabilityMissing { capabilities: missing }
    })
}

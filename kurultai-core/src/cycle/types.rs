//! What a cycle is asked, and what it has found.

use crate::{
    agents::AgentHealth,
    events::Alert,
    messages::Unread,
    tasks::{Status, Task},
    words::words,
};
use serde::{Deserialize, Serialize};

words! {
    /// Whether anybody has to look at what a cycle has found.
    Attention, "attention" {
        /// Nobody: a caller may skip its model call.
        Nothing = "nothing",
        /// There is work.
        Work = "work",
        /// Something critical burns.
        Alert = "alert",
    }
}

impl Attention {
    /// The exit code of `kurultai cycle --exit-code`.
    pub fn exit_code(self) -> u8 {
        match self {
            Attention::Nothing => 0,
            Attention::Work => 10,
            Attention::Alert => 20,
        }
    }
}

/// A task, as a report names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// Its id.
    pub id: String,
    /// What kind of work it is.
    #[serde(rename = "type")]
    pub task_type: String,
    /// A line for people.
    pub title: String,
    /// Where it stands.
    pub status: Status,
    /// What an agent must be able to do.
    pub required_capabilities: Vec<String>,
}

impl From<&Task> for Item {
    fn from(task: &Task) -> Self {
        Item {
            id: task.id.clone(),
            task_type: task.task_type.clone(),
            title: task.title.clone(),
            status: task.status,
            required_capabilities: task.required_capabilities.clone(),
        }
    }
}

/// A task that was given to an agent, with a message that tells it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delegated {
    /// What.
    pub task: Item,
    /// To whom.
    pub to: String,
    /// Whether it was assigned now; it may have been assigned before, without anybody telling the agent.
    pub assigned: bool,
}

/// What a cycle has done and found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CycleReport {
    /// Whose.
    pub agent: String,
    /// Under which term it routed; `None` where it is an agent's own view.
    pub term: Option<i64>,
    /// `HEARTBEAT_OK`, or what there is to do, or what burns and nothing else.
    pub text: String,
    /// Whether anybody has to look at it.
    pub attention: Attention,
    /// What was given to whom.
    pub delegated: Vec<Delegated>,
    /// What nobody can do who may be given it.
    pub stuck: Vec<Item>,
    /// Agents with work that sleep: whoever called the cycle wakes them.
    pub asleep: Vec<String>,
    /// Those that were woken.
    pub woken: Vec<String>,
    /// Agents that are stuck or dead.
    pub stale: Vec<AgentHealth>,
    /// What burns.
    pub alerts: Vec<Alert>,
    /// What waits in the agent's inbox.
    pub inbox: Unread,
    /// The agent's own tasks: what it holds, and what waits for it alone.
    pub tasks: Vec<Item>,
}

impl CycleReport {
    /// With those whom the caller has woken.
    pub fn with_woken(mut self, woken: Vec<String>) -> Self {
        self.woken = woken;
        self
    }
}

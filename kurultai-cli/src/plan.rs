//! Plans in JSON: what they look like, and `kurultai run`.

use crate::{
    output::{Done, say, say_json},
    text::clean,
};
use kurultai_core::{
    Error, Kind, Kurultai, Result,
    agents::{NewAgent, council},
    tasks::{Expiry, NewTask, Priority, RetryPolicy},
};
use serde::Deserialize;
use std::{
    collections::{HashMap, HashSet},
    path::Path,
};

/// A plan: who works, and what must be done after what.
#[derive(Debug, Deserialize)]
pub(crate) struct Plan {
    pub(crate) name: String,
    #[serde(default)]
    agents: Vec<Member>,
    tasks: Vec<Item>,
}

#[derive(Debug, Deserialize)]
struct Member {
    id: String,
    name: Option<String>,
    #[serde(default)]
    capabilities: Vec<String>,
}

/// A task, or with steps a module that is done when its steps are.
#[derive(Debug, Deserialize)]
struct Item {
    key: String,
    title: String,
    priority: Option<String>,
    owner: Option<String>,
    capability: Option<String>,
    #[serde(default)]
    hours: f64,
    #[serde(default)]
    depends_on: Vec<String>,
    #[serde(default)]
    files: Vec<String>,
    #[serde(default)]
    steps: Vec<String>,
}

/// Who may claim a task that has an owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Routing {
    /// The owner alone.
    Owner,
    /// Whoever has the owner's first capability, so that somebody can stand in.
    Capability,
}

const GAP: &str = include_str!("../../examples/backlog/kurultai-gap-plan.json");
const CODITECT: &str = include_str!("../../examples/backlog/coditect-roadmap.json");

fn wrong(message: String) -> Error {
    Error::new(Kind::Input, "input.plan", message)
}

impl Plan {
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let shown = path.display();
        let text = std::fs::read_to_string(path)
            .map_err(|e| wrong(format!("the plan {shown} cannot be read: {e}")))?;
        Plan::parse(&text).map_err(|e| wrong(format!("{shown} is no plan: {e}")))
    }

    /// `gap`, `coditect` or a file.
    pub(crate) fn named(name: &str) -> Result<Self> {
        let built_in = match name {
            "gap" => GAP,
            "coditect" => CODITECT,
            path => return Plan::read(Path::new(path)),
        };
        Plan::parse(built_in).map_err(|e| Error::internal(format!("the plan {name}: {e}")))
    }

    fn parse(text: &str) -> Result<Self, String> {
        let plan: Plan = serde_json::from_str(text).map_err(|e| e.to_string())?;
        let mut keys = HashSet::new();
        match plan.tasks.iter().find(|item| !keys.insert(&item.key)) {
            Some(twice) => Err(format!("the key {:?} is there twice", twice.key)),
            None => Ok(plan),
        }
    }

    /// The plan's agents.
    pub(crate) fn agents(&self) -> Vec<NewAgent> {
        let agent = |member: &Member| NewAgent {
            display_name: member.name.clone(),
            ..NewAgent::new(&member.id).capabilities(member.capabilities.iter().cloned())
        };
        self.agents.iter().map(agent).collect()
    }

    /// The plan's agents, or else the council of six, who share whatever the plan asks for.
    pub(crate) fn cast(&self) -> Vec<NewAgent> {
        if !self.agents.is_empty() {
            return self.agents();
        }
        let mut cast = council();
        let mut needed: Vec<&String> =
            self.tasks.iter().filter_map(|item| item.capability.as_ref()).collect();
        needed.sort();
        needed.dedup();
        for (turn, capability) in needed.into_iter().enumerate() {
            let takers: Vec<usize> = match capability.as_str() {
                "development" => vec![1, 2, 3, 4],
                "architecture" | "orchestration" => vec![0],
                "operations" => vec![5],
                _ => vec![turn % cast.len()],
            };
            for taker in takers {
                if !cast[taker].capabilities.contains(capability) {
                    cast[taker].capabilities.push(capability.clone());
                }
            }
        }
        cast
    }

    /// The plan as tasks of one batch. A second import of the same plan adds nothing.
    pub(crate) fn tasks(&self, routing: Routing, retry: RetryPolicy) -> Result<Vec<NewTask>> {
        let named = |task_type: &str, key: &str| NewTask {
            unique_key: Some(format!("{}/{key}", self.name)),
            expiry: Expiry::Never,
            retry: Some(retry),
            ..NewTask::new(task_type)
        };
        let heads: Vec<NewTask> = self.tasks.iter().map(|item| named(item.task_type(), &item.key)).collect();
        let ids: HashMap<&str, String> =
            self.tasks.iter().zip(&heads).map(|(item, task)| (item.key.as_str(), task.id.clone())).collect();
        let mut tasks = Vec::new();
        for (item, head) in self.tasks.iter().zip(heads) {
            let find = |key: &String| {
                let unknown =
                    || wrong(format!("{:?} depends on {key:?}, which the plan does not have", item.key));
                ids.get(key.as_str()).cloned().ok_or_else(unknown)
            };
            let depends_on: Vec<String> = item.depends_on.iter().map(find).collect::<Result<_>>()?;
            let priority: Priority = item.priority.as_deref().unwrap_or("P2").parse()?;
            let route = |task: NewTask| self.route(item, routing, task).priority(priority);
            let hours = item.hours / item.steps.len().max(1) as f64;
            for (number, step) in item.steps.iter().enumerate() {
                let key = format!("{}.s{}", item.key, number + 1);
                let task = named("step", &key)
                    .title(step)
                    .payload(serde_json::json!({"key": key, "hours": hours}))
                    .parent(&head.id)
                    .depends_on(depends_on.iter().cloned());
                tasks.push(route(task));
            }
            let payload = serde_json::json!({"key": item.key, "hours": item.hours, "files": item.files});
            tasks.push(route(head.title(&item.title).payload(payload).depends_on(depends_on)));
        }
        Ok(tasks)
    }

    fn route(&self, item: &Item, routing: Routing, task: NewTask) -> NewTask {
        let trade = |owner: &String| {
            let owner = self.agents.iter().find(|agent| agent.id == *owner)?;
            owner.capabilities.first().cloned()
        };
        let task = task.requires(item.capability.clone());
        match &item.owner {
            None => task,
            Some(owner) => match trade(owner).filter(|_| routing == Routing::Capability) {
                Some(trade) => task.requires([trade]),
                None => task.assigned_to(owner),
            },
        }
    }
}

impl Item {
    /// The routing words of the first team.
    fn task_type(&self) -> &'static str {
        match self.owner.as_deref() {
            _ if !self.steps.is_empty() => "module",
            Some("temujin") => "code",
            Some("mongke") => "research",
            Some("chagatai") => "docs",
            Some("jochi") => "analysis",
            Some("ogedei") => "ops",
            Some("kublai") => "orchestration",
            _ => "task",
        }
    }
}

#[derive(Debug, clap::Args)]
pub(crate) struct Run {
    /// A file, or gap or coditect for the plans that come with kurultai
    plan: String,
}

impl Run {
    pub(crate) async fn run(self, kurultai: &Kurultai, json: bool) -> Done {
        let plan = Plan::named(&self.plan)?;
        let tasks = plan.tasks(Routing::Owner, RetryPolicy::default())?;
        let there: HashSet<String> =
            kurultai.agents().list().await?.into_iter().map(|agent| agent.id).collect();
        let mut agents = plan.agents();
        agents.retain(|agent| !there.contains(&agent.id));
        let registered: Vec<String> = agents.iter().map(|agent| agent.id.clone()).collect();
        if !agents.is_empty() {
            kurultai.agents().register_many(agents).await?;
        }
        let enqueued = kurultai.tasks().enqueue_many(tasks).await?;
        let old = enqueued.iter().filter(|task| task.deduplicated).count();
        let new = enqueued.len() - old;
        if json {
            return say_json(&serde_json::json!({
                "plan": plan.name, "agents_registered": registered, "tasks_added": new, "tasks_there_already": old}));
        }
        say(format!("plan     {}", clean(&plan.name)))?;
        say(match (plan.agents.is_empty(), registered.is_empty()) {
            (true, _) => "agents   the plan names none; see `kurultai agents register`".to_owned(),
            (_, true) => "agents   were all there already".to_owned(),
            _ => format!("agents   registered {}", registered.join(", ")),
        })?;
        let there = if old > 0 { format!(", {old} were there already") } else { String::new() };
        say(format!("tasks    {new} added{there}"))
    }
}

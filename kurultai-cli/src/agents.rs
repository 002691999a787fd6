//! `kurultai agents`.

use crate::{
    output::{Done, number, say, say_all, say_json, table, text, whole},
    text::{ago, clean, natural, now, utc},
};
use chrono::{DateTime, Utc};
use kurultai_core::{
    Json, Kurultai,
    agents::{AgentInfo, AgentStatus, NewAgent, council},
};
use serde::Serialize;

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Add an agent, or bring its entry up to date
    Register(Register),
    /// Everybody
    List,
    /// One agent, by id, name or alias
    Show { name: String },
    /// A sign that these agents' processes run, as a sidecar gives every 30 seconds
    Beat {
        #[arg(required = true)]
        ids: Vec<String>,
    },
    /// Let it finish what it holds and give it nothing new; `register` ends it
    Drain { id: String },
    /// Remove it; its leases run out by themselves
    Deregister { id: String },
}

#[derive(Debug, clap::Args)]
pub(crate) struct Register {
    /// Small letters, digits, - and _
    #[arg(required_unless_present = "preset", conflicts_with = "preset")]
    id: Option<String>,
    /// A ready-made team
    #[arg(long, value_parser = ["council"])]
    preset: Option<String>,
    /// Any name, as Möngke
    #[arg(long)]
    name: Option<String>,
    #[arg(long)]
    role: Option<String>,
    #[arg(long, value_delimiter = ',')]
    capabilities: Vec<String>,
    #[arg(long, value_delimiter = ',')]
    aliases: Vec<String>,
    /// How many tasks it may hold at once
    #[arg(long, allow_negative_numbers = true, value_parser = natural::<u32>)]
    max_concurrent: Option<u32>,
    /// A JSON object of what the team wants to know of it beside
    #[arg(long, value_name = "JSON", conflicts_with = "preset")]
    metadata: Option<String>,
}

impl Command {
    pub(crate) async fn run(self, kurultai: &Kurultai, json: bool) -> Done {
        let agents = kurultai.agents();
        match self {
            Command::Register(register) => register.run(kurultai, json).await,
            Command::List => {
                let agents = agents.list().await?;
                if json {
                    return say_json(&seen(&agents));
                }
                if agents.is_empty() {
                    return say("no agent is registered");
                }
                say_all(&lines(&agents))
            }
            Command::Show { name } => {
                let agent = agents.get(&name).await?;
                if json {
                    return say_json(&Seen::new(&agent));
                }
                show(&agent)
            }
            Command::Beat { ids } => {
                let all: Vec<&str> = ids.iter().map(String::as_str).collect();
                if let Some(unknown) = agents.beat_many(&all).await?.first() {
                    // The others have their beat; this says who has none.
                    agents.beat(unknown).await?;
                }
                if json {
                    say_json(&serde_json::json!({"beaten": ids}))
                } else {
                    say(ids.join(", ") + " beat")
                }
            }
            Command::Drain { id } => {
                agents.drain(&id).await?;
                said(json, &id, "is draining")
            }
            Command::Deregister { id } => {
                agents.deregister(&id).await?;
                said(json, &id, "is removed")
            }
        }
    }
}

impl Register {
    async fn run(self, kurultai: &Kurultai, json: bool) -> Done {
        let mut agents = match self.id {
            Some(id) => vec![NewAgent {
                display_name: self.name,
                role: self.role,
                metadata: self.metadata.map(Json::text).transpose()?.unwrap_or_default(),
                ..NewAgent::new(id).capabilities(self.capabilities).aliases(self.aliases)
            }],
            None => council(),
        };
        for agent in &mut agents {
            agent.max_concurrent = self.max_concurrent;
        }
        let ids: Vec<String> = agents.iter().map(|agent| agent.id.clone()).collect();
        kurultai.agents().register_many(agents).await?;
        if json {
            return say_json(&serde_json::json!({"registered": ids}));
        }
        say(format!("registered {}", ids.join(", ")))
    }
}

fn said(json: bool, id: &str, what: &str) -> Done {
    if json {
        say_json(&serde_json::json!({"id": id, "done": what}))
    } else {
        say(format!("{} {what}", clean(id)))
    }
}

/// An agent with what is computed of it.
#[derive(Debug, Serialize)]
pub(crate) struct Seen<'a> {
    #[serde(flatten)]
    agent: &'a AgentInfo,
    alive: bool,
    state: &'static str,
}

impl<'a> Seen<'a> {
    fn new(agent: &'a AgentInfo) -> Self {
        Seen { agent, alive: agent.is_alive(now().timestamp_micros()), state: state(agent) }
    }
}

pub(crate) fn seen(agents: &[AgentInfo]) -> Vec<Seen<'_>> {
    agents.iter().map(Seen::new).collect()
}

/// One word for how it is.
fn state(agent: &AgentInfo) -> &'static str {
    match agent.status {
        AgentStatus::Offline => "offline",
        _ if !agent.is_alive(now().timestamp_micros()) => "dead",
        AgentStatus::Draining => "draining",
        _ if !agent.has_room() => "full",
        _ if agent.current_load > 0 => "working",
        _ => "idle",
    }
}

fn last_seen(agent: &AgentInfo) -> DateTime<Utc> {
    agent.infra_heartbeat.max(agent.last_heartbeat).unwrap_or(agent.created_at)
}

fn load(agent: &AgentInfo) -> String {
    let most = agent.max_concurrent.map_or("any".to_owned(), |most| most.to_string());
    format!("{}/{most}", agent.current_load)
}

pub(crate) fn lines(agents: &[AgentInfo]) -> Vec<String> {
    let columns = [
        text("AGENT"),
        text("NAME"),
        whole("STATE"),
        number("LOAD"),
        whole("LAST SIGN"),
        text("CAPABILITIES"),
    ];
    let now = now();
    let rows: Vec<Vec<String>> = agents
        .iter()
        .map(|agent| {
            vec![
                agent.id.clone(),
                agent.display_name.clone(),
                state(agent).to_owned(),
                load(agent),
                ago(last_seen(agent), now),
                agent.capabilities.join(", "),
            ]
        })
        .collect();
    table(&columns, &rows)
}

fn show(agent: &AgentInfo) -> Done {
    let or_none =
        |names: &[String]| if names.is_empty() { "none".to_owned() } else { clean(&names.join(", ")) };
    say(format!("{}  {}", agent.id, clean(&agent.display_name)))?;
    if let Some(role) = &agent.role {
        say(format!("  role          {}", clean(role)))?;
    }
    say(format!("  state         {}", state(agent)))?;
    say(format!("  load          {}", load(agent)))?;
    say(format!("  last sign     {}", ago(last_seen(agent), now())))?;
    say(format!("  capabilities  {}", or_none(&agent.capabilities)))?;
    say(format!("  aliases       {}", or_none(&agent.aliases)))?;
    if agent.metadata != Json::default() {
        say(format!("  metadata      {}", clean(agent.metadata.as_str())))?;
    }
    say(format!("  since         {}", utc(agent.created_at)))
}

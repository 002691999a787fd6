//! `kurultai agents`.

use crate::{
    output::{Done, number, say, say_all, say_json, table, text, whole, wrapped},
    roles,
    text::{ago, clean, natural, now, utc},
    watch::Silences,
};
use kurultai_core::{
    Error, Json, Kurultai, Result,
    agents::{AgentHealth, AgentInfo, AgentStatus, AgentUpdate, Health, NewAgent, Thresholds, council},
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
    /// How everybody fares: alive, idle, stuck, dead or unknown, and why
    Health {
        #[command(flatten)]
        silences: Silences,
    },
    /// What it has learned and lost
    Update(Update),
    /// A sign that these agents' processes run, once; `kurultai heartbeat` goes on
    Beat {
        #[arg(required = true)]
        ids: Vec<String>,
        /// Register those that are unknown
        #[arg(long)]
        create: bool,
    },
    /// Hold a role for it, which one agent at a time does, until this process is asked to end
    Lead(roles::Lead),
    /// Take a role from the agent that holds it
    HandBack(roles::HandBack),
    /// Who holds a role
    Leader { role: String },
    /// When roles went from one agent to another
    Failovers {
        /// Only those whose role is not back yet
        #[arg(long)]
        active: bool,
    },
    /// Let it finish what it holds and give it nothing new; `register` ends it
    Drain { id: String },
    /// Remove it, unless it holds tasks or roles
    Deregister {
        id: String,
        /// Also where it holds tasks, which are in the queue again, or roles, which are free
        #[arg(long)]
        force: bool,
    },
}

#[derive(Debug, clap::Args)]
pub(crate) struct Update {
    id: String,
    /// Capabilities that it has from now on
    #[arg(long, value_delimiter = ',')]
    add: Vec<String>,
    /// Capabilities that it has no more
    #[arg(long, value_delimiter = ',')]
    remove: Vec<String>,
    /// A JSON object instead of what was there
    #[arg(long, value_name = "JSON")]
    metadata: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Register {
    /// Small letters, digits, - and _
    #[arg(required_unless_present = "preset", conflicts_with = "preset")]
    id: Option<String>,
    /// A ready-made team
    #[arg(long, value_parser = ["council", "kurultai"])]
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
                let seen = seen(kurultai, Thresholds::default()).await?;
                if json {
                    return say_json(&seen);
                }
                if seen.is_empty() {
                    return say("no agent is registered");
                }
                say_all(&list(&seen))
            }
            Command::Show { name } => {
                let agent = agents.get(&name).await?;
                let mut health = agents.health(Some(&agent.id), Thresholds::default()).await?;
                let seen = Seen { agent, health: health.remove(0) };
                if json { say_json(&seen) } else { show(&seen) }
            }
            Command::Health { silences } => {
                let health = agents.health(None, silences.thresholds()).await?;
                if json { say_json(&health) } else { say_all(&reasons(&health)) }
            }
            Command::Update(Update { id, add, remove, metadata }) => {
                let metadata = metadata.map(object).transpose()?;
                agents.update(&id, AgentUpdate { add, remove, metadata }).await?;
                said(json, &id, "is updated")
            }
            Command::Beat { ids, create } => {
                let all: Vec<&str> = ids.iter().map(String::as_str).collect();
                if let Some(unknown) = agents.beat_many(&all, create).await?.first() {
                    // The others have their beat; this says who has none.
                    agents.beat(unknown).await?;
                }
                if json {
                    say_json(&serde_json::json!({"beaten": ids}))
                } else {
                    say(ids.join(", ") + " beat")
                }
            }
            Command::Lead(lead) => lead.run(kurultai, json).await,
            Command::HandBack(hand_back) => hand_back.run(kurultai, json).await,
            Command::Leader { role } => roles::leader(&role, kurultai, json).await,
            Command::Failovers { active } => roles::failovers(active, kurultai, json).await,
            Command::Drain { id } => {
                agents.drain(&id).await?;
                said(json, &id, "is draining")
            }
            Command::Deregister { id, force } => {
                agents.deregister(&id, force).await?;
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
                metadata: self.metadata.map(object).transpose()?.unwrap_or_default(),
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

/// Metadata; the library itself sees to how long it is.
fn object(text: String) -> Result<Json> {
    let json = Json::text(text).map_err(|error| error.about("metadata"))?;
    match json.as_str().trim() {
        "null" => Err(Error::invalid("metadata", "null", "a JSON object of at most 16384 bytes")),
        _ => Ok(json),
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
pub(crate) struct Seen {
    #[serde(flatten)]
    agent: AgentInfo,
    health: AgentHealth,
}

pub(crate) async fn seen(kurultai: &Kurultai, thresholds: Thresholds) -> Result<Vec<Seen>> {
    let agents = kurultai.agents().list().await?;
    let mut health = kurultai.agents().health(None, thresholds).await?;
    // Somebody may have come or gone between the two.
    let both = |agent: AgentInfo| {
        let at = health.iter().position(|health| health.agent == agent.id)?;
        Some(Seen { health: health.swap_remove(at), agent })
    };
    Ok(agents.into_iter().filter_map(both).collect())
}

impl Seen {
    /// One word for how it is.
    fn state(&self) -> &'static str {
        match (self.agent.status, self.health.state) {
            (AgentStatus::Offline, _) => "stopped",
            (AgentStatus::Draining, Health::Alive | Health::Idle) => "draining",
            (_, state) => state.as_str(),
        }
    }

    fn load(&self) -> String {
        let most = self.agent.max_concurrent.map_or("any".to_owned(), |most| most.to_string());
        format!("{}/{most}", self.agent.current_load)
    }

    fn last_sign(&self) -> String {
        let last = self.agent.infra_heartbeat.max(self.agent.last_heartbeat);
        last.map_or("never".to_owned(), |at| ago(at, now()))
    }
}

/// With what they can do.
fn list(seen: &[Seen]) -> Vec<String> {
    let columns = [
        text("AGENT"),
        text("NAME"),
        whole("STATE"),
        number("LOAD"),
        whole("LAST SIGN"),
        text("CAPABILITIES"),
    ];
    let row = |seen: &Seen| {
        let AgentInfo { id, display_name, capabilities, .. } = &seen.agent;
        let (state, capabilities) = (seen.state().to_owned(), capabilities.join(", "));
        vec![id.clone(), display_name.clone(), state, seen.load(), seen.last_sign(), capabilities]
    };
    table(&columns, &seen.iter().map(row).collect::<Vec<_>>())
}

/// With how they fare.
pub(crate) fn lines(seen: &[Seen]) -> Vec<String> {
    let columns = [text("AGENT"), whole("STATE"), number("LOAD"), whole("LAST SIGN"), wrapped("WHY")];
    let row = |seen: &Seen| {
        let state = seen.state().to_owned();
        vec![seen.agent.id.clone(), state, seen.load(), seen.last_sign(), seen.health.reason.clone()]
    };
    table(&columns, &seen.iter().map(row).collect::<Vec<_>>())
}

fn reasons(health: &[AgentHealth]) -> Vec<String> {
    let row = |h: &AgentHealth| vec![h.agent.clone(), h.state.to_string(), h.reason.clone()];
    table(&[text("AGENT"), whole("STATE"), wrapped("WHY")], &health.iter().map(row).collect::<Vec<_>>())
}

fn show(seen: &Seen) -> Done {
    let agent = &seen.agent;
    let or_none =
        |names: &[String]| if names.is_empty() { "none".to_owned() } else { clean(&names.join(", ")) };
    say(format!("{}  {}", agent.id, clean(&agent.display_name)))?;
    if let Some(role) = &agent.role {
        say(format!("  role          {}", clean(role)))?;
    }
    say(format!("  state         {}: {}", seen.state(), clean(&seen.health.reason)))?;
    say(format!("  load          {}", seen.load()))?;
    if !seen.health.leads.is_empty() {
        say(format!("  leads         {}", clean(&seen.health.leads.join(", "))))?;
    }
    say(format!("  last sign     {}", seen.last_sign()))?;
    say(format!("  capabilities  {}", or_none(&agent.capabilities)))?;
    say(format!("  aliases       {}", or_none(&agent.aliases)))?;
    if agent.metadata != Json::default() {
        say(format!("  metadata      {}", clean(agent.metadata.as_str())))?;
    }
    say(format!("  since         {}", utc(agent.created_at)))
}

//! The room `agents`: a method for each operation of the core's handle, in its order.

use crate::{
    answer::{Answer, answer},
    args::{json, maybe_date, maybe_millis, present, read, whole},
    bridge::{Calls, Now},
    numbered::Numbered,
    wire::{Led, text},
};
use futures::FutureExt;
use kurultai_core::{
    self as core, Error, Json, Kind, Result,
    agents::{self, AgentUpdate, HandBack, Lead, Leadership, NewAgent, Thresholds, Watch, Watcher},
    events::Alert,
};
use napi_derive::napi;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::{collections::BTreeMap, sync::Arc};
use tokio::sync::Mutex;

#[napi]
#[derive(Debug)]
pub struct Agents {
    calls: Arc<Calls>,
    agents: core::Agents,
    /// The roles that are held here.
    leading: Numbered<Leadership>,
    /// Each checked by one call at a time.
    watching: Numbered<Mutex<Watcher>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct NewAgentArgs {
    id: String,
    display_name: Option<String>,
    role: Option<String>,
    aliases: Option<Vec<String>>,
    capabilities: Option<Vec<String>>,
    max_concurrent: Option<f64>,
    metadata: Option<Box<RawValue>>,
}

impl NewAgentArgs {
    fn agent(self) -> Result<NewAgent> {
        Ok(NewAgent {
            id: self.id,
            display_name: self.display_name,
            role: self.role,
            aliases: self.aliases.unwrap_or_default(),
            capabilities: self.capabilities.unwrap_or_default(),
            max_concurrent: self.max_concurrent.map(|most| whole("maxConcurrent", most)).transpose()?,
            metadata: self.metadata.map_or_else(Json::default, json),
        })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BeatArgs {
    names: Vec<String>,
    create: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct HealthArgs {
    /// Absent: of all.
    agent: Option<String>,
    dead_after_ms: Option<f64>,
    stuck_after_ms: Option<f64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct WatchArgs {
    agent: Option<String>,
    roles: Option<BTreeMap<String, Vec<String>>>,
    every_ms: Option<f64>,
    dead_after_ms: Option<f64>,
    stuck_after_ms: Option<f64>,
}

impl WatchArgs {
    fn watch(self) -> Result<Watch> {
        let usual = Watch::default();
        Ok(Watch {
            every: maybe_millis("everyMs", self.every_ms)?.unwrap_or(usual.every),
            thresholds: thresholds(self.dead_after_ms, self.stuck_after_ms)?,
            agent: self.agent,
            roles: self.roles.unwrap_or_default(),
        })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FailoverArgs {
    active: Option<bool>,
    since: Option<f64>,
}

pub(crate) fn thresholds(dead_after_ms: Option<f64>, stuck_after_ms: Option<f64>) -> Result<Thresholds> {
    let usual = Thresholds::default();
    Ok(Thresholds {
        dead_after: maybe_millis("deadAfterMs", dead_after_ms)?.unwrap_or(usual.dead_after),
        stuck_after: maybe_millis("stuckAfterMs", stuck_after_ms)?.unwrap_or(usual.stuck_after),
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UpdateArgs {
    id: String,
    add: Option<Vec<String>>,
    remove: Option<Vec<String>>,
    #[serde(default, deserialize_with = "present")]
    metadata: Option<Option<Box<RawValue>>>,
}

impl UpdateArgs {
    fn update(self) -> AgentUpdate {
        AgentUpdate {
            add: self.add.unwrap_or_default(),
            remove: self.remove.unwrap_or_default(),
            metadata: self.metadata.map(|metadata| metadata.map_or_else(Json::default, json)),
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct LeadArgs {
    role: String,
    agent: String,
    ttl_ms: Option<f64>,
    wait_ms: Option<f64>,
    reason: Option<String>,
}

impl LeadArgs {
    fn lead(&self) -> Result<Lead> {
        let usual = Lead::default();
        Ok(Lead {
            ttl: maybe_millis("ttlMs", self.ttl_ms)?.unwrap_or(usual.ttl),
            wait: maybe_millis("waitMs", self.wait_ms)?.unwrap_or(usual.wait),
            reason: self.reason.clone(),
        })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HandBackArgs {
    role: String,
    agent: String,
    to: Option<String>,
    reason: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LetGoArgs {
    number: u32,
    to: Option<String>,
    reason: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DeregisterArgs {
    id: String,
    force: Option<bool>,
}

impl Agents {
    pub(crate) fn new(calls: Arc<Calls>, agents: core::Agents) -> Self {
        Agents { calls, agents, leading: Numbered::default(), watching: Numbered::default() }
    }
}

#[napi]
impl Agents {
    #[napi(catch_unwind)]
    pub fn register_many(&self, call: u32, args: String) -> Now {
        self.calls.run(call, &self.agents, &args, |agents, new: Vec<NewAgentArgs>| async move {
            let new = new.into_iter().map(NewAgentArgs::agent).collect::<Result<_>>()?;
            answer(&agents.register_many(new).await?)
        })
    }

    #[napi(catch_unwind)]
    pub fn beat_many(&self, call: u32, args: String) -> Now {
        self.calls.run(call, &self.agents, &args, |agents, args: BeatArgs| async move {
            let names: Vec<&str> = args.names.iter().map(String::as_str).collect();
            answer(&agents.beat_many(&names, args.create.unwrap_or_default()).await?)
        })
    }

    #[napi(catch_unwind)]
    pub fn beat(&self, call: u32, args: String) -> Now {
        self.calls.run(call, &self.agents, &args, |agents, id: String| async move {
            answer(&agents.beat(&id).await?)
        })
    }

    /// Of all, or of one.
    #[napi(catch_unwind)]
    pub fn health(&self, call: u32, args: String) -> Now {
        self.calls.run(call, &self.agents, &args, |agents, args: HealthArgs| async move {
            let thresholds = thresholds(args.dead_after_ms, args.stuck_after_ms)?;
            answer(&agents.health(args.agent.as_deref(), thresholds).await?)
        })
    }

    /// Watches the team; the answer is the number by which `next_alerts` knows it.
    #[napi(catch_unwind)]
    pub fn watcher(&self, call: u32, args: String) -> Now {
        let (agents, watching) = (self.agents.clone(), self.watching.clone());
        self.calls.start(call, async move {
            let watch = read::<WatchArgs>(&args)?.watch()?;
            let number = watching.number();
            watching.add(number, Mutex::new(agents.watcher(watch)?));
            answer(&number)
        })
    }

    /// The answer is the lease and the number by which the others know it. One that nobody receives is handed back.
    #[napi(catch_unwind)]
    pub fn lead(&self, call: u32, args: String) -> Now {
        let leading = self.leading.clone();
        self.calls.run(call, &self.agents, &args, |agents, args: LeadArgs| async move {
            let held = agents.lead(&args.role, &args.agent, args.lead()?).await?;
            // Those that were lost, and that nobody hands back.
            leading.retain(|held| held.lost().now_or_never().is_none());
            let number = leading.number();
            let text = text(&Led { number, lease: held.lease() });
            Ok(Answer::owning(text, move || leading.add(number, held)))
        })
    }

    /// As of the last renewal; `null` once it is no longer known here.
    #[napi(catch_unwind)]
    pub fn lease(&self, number: u32) -> Option<String> {
        self.leading.get(number).map(|held| text(&held.lease()))
    }

    #[napi(catch_unwind)]
    pub fn is_valid(&self, number: u32) -> bool {
        self.leading.get(number).is_some_and(|held| held.is_valid())
    }

    #[napi(catch_unwind)]
    pub fn lost(&self, call: u32, args: String) -> Now {
        let leading = self.leading.clone();
        self.calls.run(call, &self.agents, &args, |_, number: u32| async move {
            if let Some(held) = leading.get(number) {
                held.lost().await;
            }
            answer(&())
        })
    }

    #[napi(catch_unwind)]
    pub fn let_go(&self, call: u32, args: String) -> Now {
        let leading = self.leading.clone();
        self.calls.run(call, &self.agents, &args, |_, args: LetGoArgs| async move {
            let held = leading.get(args.number).ok_or_else(|| {
                let message = "this role is held no longer; nothing was stored";
                Error::new(Kind::LeaseLost, "role.stale_term", message)
            })?;
            let ended = held.hand_back(HandBack { to: args.to, reason: args.reason }).await?;
            Ok(Answer::owning(text(&ended), move || leading.forget(args.number)))
        })
    }

    #[napi(catch_unwind)]
    pub fn failovers(&self, call: u32, args: String) -> Now {
        self.calls.run(call, &self.agents, &args, |agents, args: FailoverArgs| async move {
            answer(&agents.failovers(args.active, maybe_date("since", args.since)?).await?)
        })
    }

    #[napi(catch_unwind)]
    pub fn leader(&self, call: u32, args: String) -> Now {
        self.calls.run(call, &self.agents, &args, |agents, role: String| async move {
            answer(&agents.leader(&role).await?)
        })
    }

    #[napi(catch_unwind)]
    pub fn hand_back(&self, call: u32, args: String) -> Now {
        self.calls.run(call, &self.agents, &args, |agents, args: HandBackArgs| async move {
            let how = HandBack { to: args.to, reason: args.reason };
            answer(&agents.hand_back(&args.role, &args.agent, how).await?)
        })
    }

    /// Ends where something is raised or cleared, or where it fails.
    #[napi(catch_unwind)]
    pub fn next_alerts(&self, call: u32, watcher: u32) -> Now {
        let watcher = self.watching.get(watcher);
        self.calls.start(call, async move {
            match watcher {
                Some(watcher) => answer(&watcher.lock().await.next_alerts().await?),
                None => answer(&Vec::<Alert>::new()),
            }
        })
    }

    #[napi(catch_unwind)]
    pub fn forget(&self, watcher: u32) {
        self.watching.forget(watcher);
    }

    #[napi(catch_unwind)]
    pub fn get(&self, call: u32, args: String) -> Now {
        self.calls.run(call, &self.agents, &args, |agents, name: String| async move {
            answer(&agents.get(&name).await?)
        })
    }

    #[napi(catch_unwind)]
    pub fn list(&self, call: u32, args: String) -> Now {
        self.calls.run(
            call,
            &self.agents,
            &args,
            |agents, (): ()| async move { answer(&agents.list().await?) },
        )
    }

    #[napi(catch_unwind)]
    pub fn with_capability(&self, call: u32, args: String) -> Now {
        self.calls.run(call, &self.agents, &args, |agents, capability: String| async move {
            answer(&agents.with_capability(&capability).await?)
        })
    }

    #[napi(catch_unwind)]
    pub fn drain(&self, call: u32, args: String) -> Now {
        self.calls.run(call, &self.agents, &args, |agents, id: String| async move {
            answer(&agents.drain(&id).await?)
        })
    }

    #[napi(catch_unwind)]
    pub fn update(&self, call: u32, args: String) -> Now {
        self.calls.run(call, &self.agents, &args, |agents, args: UpdateArgs| async move {
            let id = args.id.clone();
            answer(&agents.update(&id, args.update()).await?)
        })
    }

    #[napi(catch_unwind)]
    pub fn deregister(&self, call: u32, args: String) -> Now {
        self.calls.run(call, &self.agents, &args, |agents, args: DeregisterArgs| async move {
            answer(&agents.deregister(&args.id, args.force.unwrap_or_default()).await?)
        })
    }
}

/// The six agents of the first team, as `registerMany` takes them.
#[napi(catch_unwind)]
pub(crate) fn council() -> String {
    text(&agents::council())
}

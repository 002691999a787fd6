//! The room `agents`: a method for each operation of the core's handle, in its order.

use crate::{
    answer::{Answer, answer},
    args::{json, read, whole},
    bridge::{Calls, Now},
};
use kurultai_core::{self as core, Json, Result, agents::NewAgent};
use napi_derive::napi;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::value::RawValue;
use std::sync::Arc;

#[napi]
#[derive(Debug)]
pub struct Agents {
    calls: Arc<Calls>,
    agents: core::Agents,
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

impl Agents {
    pub(crate) fn new(calls: Arc<Calls>, agents: core::Agents) -> Self {
        Agents { calls, agents }
    }

    fn run<A, F>(
        &self,
        call: u32,
        args: String,
        work: impl FnOnce(core::Agents, A) -> F + Send + 'static,
    ) -> Now
    where
        A: DeserializeOwned + Send,
        F: Future<Output = Result<Answer>> + Send,
    {
        let agents = self.agents.clone();
        self.calls.start(call, async move { work(agents, read(&args)?).await })
    }
}

#[napi]
impl Agents {
    #[napi(catch_unwind)]
    pub fn register_many(&self, call: u32, args: String) -> Now {
        self.run(call, args, |agents, new: Vec<NewAgentArgs>| async move {
            let new = new.into_iter().map(NewAgentArgs::agent).collect::<Result<_>>()?;
            answer(&agents.register_many(new).await?)
        })
    }

    #[napi(catch_unwind)]
    pub fn beat_many(&self, call: u32, args: String) -> Now {
        self.run(call, args, |agents, ids: Vec<String>| async move {
            let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
            answer(&agents.beat_many(&ids).await?)
        })
    }

    #[napi(catch_unwind)]
    pub fn beat(&self, call: u32, args: String) -> Now {
        self.run(call, args, |agents, id: String| async move { answer(&agents.beat(&id).await?) })
    }

    #[napi(catch_unwind)]
    pub fn get(&self, call: u32, args: String) -> Now {
        self.run(call, args, |agents, name: String| async move { answer(&agents.get(&name).await?) })
    }

    #[napi(catch_unwind)]
    pub fn list(&self, call: u32, args: String) -> Now {
        self.run(call, args, |agents, (): ()| async move { answer(&agents.list().await?) })
    }

    #[napi(catch_unwind)]
    pub fn with_capability(&self, call: u32, args: String) -> Now {
        self.run(call, args, |agents, capability: String| async move {
            answer(&agents.with_capability(&capability).await?)
        })
    }

    #[napi(catch_unwind)]
    pub fn drain(&self, call: u32, args: String) -> Now {
        self.run(call, args, |agents, id: String| async move { answer(&agents.drain(&id).await?) })
    }

    #[napi(catch_unwind)]
    pub fn deregister(&self, call: u32, args: String) -> Now {
        self.run(call, args, |agents, id: String| async move { answer(&agents.deregister(&id).await?) })
    }
}

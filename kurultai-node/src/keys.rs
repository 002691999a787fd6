//! The room `keys`: a method for each operation of the core's handle, in its order.

use crate::{
    answer::{Answer, answer},
    bridge::{Calls, Now},
    identity::Identity,
    wire::text,
    wrapping_key::WrappingKey,
};
use kurultai_bridge::lock;
use kurultai_core::{
    self as core,
    messages::{Ed25519Key, KeyImport},
};
use napi_derive::napi;
use serde::Deserialize;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

#[napi]
#[derive(Debug)]
pub struct Keys {
    calls: Arc<Calls>,
    keys: core::messages::Keys,
    made: Arc<Mutex<Made>>,
}

/// New keys that JavaScript has not taken yet, by number: an answer is text, and a secret is none.
#[derive(Debug, Default)]
struct Made {
    last: u32,
    all: HashMap<u32, Ed25519Key>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct AddArgs {
    agent: String,
    public_key: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RevokeArgs {
    agent: String,
    key_id: String,
    reason: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ImportArgs {
    /// JSON text.
    rows: Option<String>,
    agents: Option<Vec<String>>,
    dry_run: Option<bool>,
}

impl Keys {
    pub(crate) fn new(calls: Arc<Calls>, keys: core::messages::Keys) -> Self {
        Keys { calls, keys, made: Arc::default() }
    }
}

#[napi]
impl Keys {
    /// Of an agent, or of all.
    #[napi(catch_unwind)]
    pub fn list(&self, call: u32, args: String) -> Now {
        self.calls.run(call, &self.keys, &args, |keys, agent: Option<String>| async move {
            answer(&keys.list(agent.as_deref()).await?)
        })
    }

    /// The number by which `take` knows the key. Where nobody receives it, the secret is wiped.
    #[napi(catch_unwind)]
    pub fn rotate(&self, call: u32, args: String) -> Now {
        let made = self.made.clone();
        self.calls.run(call, &self.keys, &args, |keys, agent: String| async move {
            let key = keys.rotate(&agent).await?;
            let number = {
                let mut made = lock(&made);
                made.last = made.last.wrapping_add(1);
                made.last
            };
            Ok(Answer::owning(text(&number), move || drop(lock(&made).all.insert(number, key))))
        })
    }

    /// The key of this number, once.
    #[napi(catch_unwind)]
    pub fn take(&self, number: u32) -> Option<Identity> {
        lock(&self.made).all.remove(&number).map(Identity::new)
    }

    #[napi(catch_unwind)]
    pub fn rotate_in_store(&self, call: u32, args: String) -> Now {
        self.calls.run(call, &self.keys, &args, |keys, agent: String| async move {
            answer(&keys.rotate_in_store(&agent).await?)
        })
    }

    #[napi(catch_unwind)]
    pub fn rewrap(&self, call: u32, to: &WrappingKey) -> Now {
        let (keys, to) = (self.keys.clone(), to.key.clone());
        self.calls.start(call, async move { answer(&keys.rewrap(to).await?) })
    }

    #[napi(catch_unwind)]
    pub fn import_rows(&self, call: u32, args: String) -> Now {
        self.calls.run(call, &self.keys, &args, |keys, args: ImportArgs| async move {
            let ImportArgs { rows, agents, dry_run } = args;
            let import =
                KeyImport { rows: rows.map(Into::into), agents, dry_run: dry_run.unwrap_or_default() };
            answer(&keys.import_rows(import).await?)
        })
    }

    #[napi(catch_unwind)]
    pub fn add(&self, call: u32, args: String) -> Now {
        self.calls.run(call, &self.keys, &args, |keys, args: AddArgs| async move {
            answer(&keys.add(&args.agent, &args.public_key).await?)
        })
    }

    #[napi(catch_unwind)]
    pub fn revoke(&self, call: u32, args: String) -> Now {
        self.calls.run(call, &self.keys, &args, |keys, args: RevokeArgs| async move {
            answer(&keys.revoke(&args.agent, &args.key_id, &args.reason).await?)
        })
    }
}

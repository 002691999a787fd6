//! The room `events`: a method for each operation of the core's handle, in its order.

use crate::{
    args::{maybe_date, millis, read, whole},
    bridge::{Calls, Now},
    wire::answer,
};
use kurultai_core::{self as core, EventFilter, Result};
use napi_derive::napi;
use serde::Deserialize;
use std::sync::Arc;

#[napi]
#[derive(Debug)]
pub struct Events {
    calls: Arc<Calls>,
    events: core::Events,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct EventFilterArgs {
    after_seq: Option<i64>,
    topic: Option<String>,
    source: Option<String>,
    task_id: Option<String>,
    since: Option<f64>,
    limit: Option<f64>,
    wait_ms: Option<f64>,
}

impl EventFilterArgs {
    fn filter(self) -> Result<EventFilter> {
        Ok(EventFilter {
            after_seq: self.after_seq.unwrap_or(0),
            topic: self.topic,
            source: self.source,
            task_id: self.task_id,
            since: maybe_date("since", self.since)?,
            limit: whole("limit", self.limit.unwrap_or(0.0))? as usize,
            wait: millis("waitMs", self.wait_ms.unwrap_or(0.0))?,
        })
    }
}

impl Events {
    pub(crate) fn new(calls: Arc<Calls>, events: core::Events) -> Self {
        Events { calls, events }
    }
}

#[napi]
impl Events {
    #[napi(catch_unwind)]
    pub fn read(&self, call: u32, args: String) -> Now {
        let events = self.events.clone();
        self.calls.start(call, async move {
            answer(&events.read(read::<EventFilterArgs>(&args)?.filter()?).await?)
        })
    }

    #[napi(catch_unwind)]
    pub fn last_seq(&self, call: u32) -> Now {
        let events = self.events.clone();
        self.calls.start(call, async move { answer(&events.last_seq().await?) })
    }
}

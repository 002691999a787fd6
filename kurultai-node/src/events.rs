//! The room `events`: a method for each operation of the core's handle, in its order.

use crate::{
    answer::answer,
    args::{maybe_date, maybe_millis, read, whole},
    bridge::{Calls, Now},
    numbered::Numbered,
};
use kurultai_core::{self as core, Result, events::EventFilter};
use napi_derive::napi;
use serde::Deserialize;
use std::sync::Arc;
use tokio::sync::Mutex;

#[napi]
#[derive(Debug)]
pub struct Events {
    calls: Arc<Calls>,
    events: core::Events,
    /// Each read by one call at a time.
    following: Numbered<Mutex<core::events::Follow>>,
}

/// How many events a follower takes at once.
const PAGE: usize = 256;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct EventFilterArgs {
    after_seq: Option<i64>,
    topic: Option<String>,
    source: Option<String>,
    task_id: Option<String>,
    #[serde(rename = "type")]
    task_type: Option<String>,
    since: Option<f64>,
    limit: Option<f64>,
    wait_ms: Option<f64>,
}

impl EventFilterArgs {
    fn filter(self) -> Result<EventFilter> {
        let usual = EventFilter::default();
        Ok(EventFilter {
            after_seq: self.after_seq.unwrap_or(usual.after_seq),
            topic: self.topic,
            source: self.source,
            task_id: self.task_id,
            task_type: self.task_type,
            since: maybe_date("since", self.since)?,
            limit: match self.limit {
                Some(limit) => whole("limit", limit)? as usize,
                None => usual.limit,
            },
            wait: maybe_millis("waitMs", self.wait_ms)?.unwrap_or(usual.wait),
        })
    }
}

impl Events {
    pub(crate) fn new(calls: Arc<Calls>, events: core::Events) -> Self {
        Events { calls, events, following: Numbered::default() }
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

    /// Follows the log; the answer is the number by which `next` knows it.
    #[napi(catch_unwind)]
    pub fn follow(&self, call: u32, args: String) -> Now {
        let (events, following) = (self.events.clone(), self.following.clone());
        self.calls.start(call, async move {
            let filter = EventFilter { limit: PAGE, ..read::<EventFilterArgs>(&args)?.filter()? };
            let number = following.number();
            following.add(number, Mutex::new(events.follow(filter)?));
            answer(&number)
        })
    }

    #[napi(catch_unwind)]
    pub fn next(&self, call: u32, follow: u32) -> Now {
        let follow = self.following.get(follow);
        self.calls.start(call, async move {
            match follow {
                Some(follow) => answer(&follow.lock().await.next().await?),
                None => answer(&Vec::<core::events::Event>::new()),
            }
        })
    }

    #[napi(catch_unwind)]
    pub fn forget(&self, follow: u32) {
        self.following.forget(follow);
    }

    #[napi(catch_unwind)]
    pub fn alerts(&self, call: u32) -> Now {
        let events = self.events.clone();
        self.calls.start(call, async move { answer(&events.alerts().await?) })
    }

    #[napi(catch_unwind)]
    pub fn last_seq(&self, call: u32) -> Now {
        let events = self.events.clone();
        self.calls.start(call, async move { answer(&events.last_seq().await?) })
    }
}

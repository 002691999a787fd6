//! The room `events`: a method for each operation of the core's handle, in its order.

use crate::{
    answer::{Answer, answer},
    args::{json, maybe_date, maybe_millis, millis, read, whole},
    bridge::{Calls, Now},
    numbered::Numbered,
    wire::{Consumed, text},
};
use kurultai_core::{
    self as core, Result,
    events::{Consume, EventBatch, EventFilter, NewEvent, NewSubscription, Start, Subscription},
};
use napi_derive::napi;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::sync::Arc;
use tokio::sync::Mutex;

#[napi]
#[derive(Debug)]
pub struct Events {
    calls: Arc<Calls>,
    events: core::Events,
    /// Each read by one call at a time.
    following: Numbered<Mutex<core::events::Follow>>,
    /// Each until JavaScript lets go of it.
    batches: Numbered<EventBatch>,
}

/// How many events a follower takes at once.
const PAGE: usize = 256;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct EventArgs {
    topic: String,
    payload: Option<Box<RawValue>>,
    source: Option<String>,
    task: Option<String>,
    correlation_id: Option<String>,
    key: Option<String>,
    cause: Option<i64>,
}

impl EventArgs {
    fn event(self) -> NewEvent {
        NewEvent {
            topic: self.topic,
            payload: self.payload.map(json),
            source: self.source,
            task_id: self.task,
            correlation_id: self.correlation_id,
            key: self.key,
            cause: self.cause,
        }
    }
}

/// The number of an event, a time in milliseconds, or now.
fn start(field: &str, after: Option<i64>, since: Option<f64>) -> Result<Start> {
    Ok(match (after, maybe_date(field, since)?) {
        (Some(seq), _) => Start::After(seq),
        (None, Some(at)) => Start::Since(at),
        (None, None) => Start::Now,
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct SubscribeArgs {
    name: String,
    topic: String,
    agent: Option<String>,
    source: Option<String>,
    #[serde(rename = "where")]
    filter: Option<Box<RawValue>>,
    after_seq: Option<i64>,
    since: Option<f64>,
    batch_ms: Option<f64>,
    quiet_ms: Option<f64>,
}

impl SubscribeArgs {
    fn subscription(self) -> Result<NewSubscription> {
        Ok(NewSubscription {
            name: self.name,
            topic: self.topic,
            agent: self.agent,
            source: self.source,
            filter: self.filter.map(json),
            start: start("start", self.after_seq, self.since)?,
            batch: maybe_millis("batchMs", self.batch_ms)?.unwrap_or_default(),
            quiet: maybe_millis("quietMs", self.quiet_ms)?.unwrap_or_default(),
        })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ConsumeArgs {
    name: String,
    max: Option<f64>,
    wait_ms: Option<f64>,
    hold_ms: Option<f64>,
}

impl ConsumeArgs {
    fn consume(self) -> Result<Consume> {
        let usual = Consume::new(self.name);
        Ok(Consume {
            max: self.max.map_or(Ok(usual.max), |max| whole("max", max).map(|max| max as usize))?,
            wait: maybe_millis("waitMs", self.wait_ms)?.unwrap_or(usual.wait),
            hold: maybe_millis("holdMs", self.hold_ms)?.unwrap_or(usual.hold),
            name: usual.name,
        })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RewindArgs {
    name: String,
    after_seq: Option<i64>,
    since: Option<f64>,
}

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
        Events { calls, events, following: Numbered::default(), batches: Numbered::default() }
    }
}

#[napi]
impl Events {
    #[napi(catch_unwind)]
    pub fn publish_many(&self, call: u32, args: String) -> Now {
        self.calls.run(call, &self.events, &args, |events, new: Vec<EventArgs>| async move {
            answer(&events.publish_many(new.into_iter().map(EventArgs::event).collect()).await?)
        })
    }

    #[napi(catch_unwind)]
    pub fn subscribe(&self, call: u32, args: String) -> Now {
        self.calls.run(call, &self.events, &args, |events, args: SubscribeArgs| async move {
            answer(&events.subscribe(args.subscription()?).await?)
        })
    }

    /// `null` where nothing came. A batch that JavaScript is not told of goes back.
    #[napi(catch_unwind)]
    pub fn consume(&self, call: u32, args: String) -> Now {
        let batches = self.batches.clone();
        self.calls.run(call, &self.events, &args, |events, args: ConsumeArgs| async move {
            let batch = events.consume(args.consume()?).await?;
            if batch.is_empty() {
                return answer(&None::<Subscription>);
            }
            let number = batches.number();
            let text = text(&Consumed { batch: number, events: &batch.events });
            Ok(Answer::owning(text, move || batches.add(number, batch)))
        })
    }

    #[napi(catch_unwind)]
    pub fn ack_batch(&self, call: u32, batch: u32) -> Now {
        let batch = self.batches.get(batch);
        self.calls.start(call, async move {
            if let Some(batch) = batch {
                batch.ack().await?;
            }
            answer(&())
        })
    }

    #[napi(catch_unwind)]
    pub fn retry_batch(&self, call: u32, batch: u32, error: String, after_ms: f64) -> Now {
        let batch = self.batches.get(batch);
        self.calls.start(call, async move {
            if let Some(batch) = batch {
                batch.retry(&error, millis("afterMs", after_ms)?).await?;
            }
            answer(&())
        })
    }

    #[napi(catch_unwind)]
    pub fn forget_batch(&self, batch: u32) {
        self.batches.forget(batch);
    }

    #[napi(catch_unwind)]
    pub fn subscriptions(&self, call: u32, args: String) -> Now {
        self.calls.run(call, &self.events, &args, |events, agent: Option<String>| async move {
            answer(&events.subscriptions(agent.as_deref()).await?)
        })
    }

    #[napi(catch_unwind)]
    pub fn pause(&self, call: u32, args: String) -> Now {
        self.calls.run(call, &self.events, &args, |events, name: String| async move {
            answer(&events.pause(&name).await?)
        })
    }

    #[napi(catch_unwind)]
    pub fn unpause(&self, call: u32, args: String) -> Now {
        self.calls.run(call, &self.events, &args, |events, name: String| async move {
            answer(&events.unpause(&name).await?)
        })
    }

    #[napi(catch_unwind)]
    pub fn rewind(&self, call: u32, args: String) -> Now {
        self.calls.run(call, &self.events, &args, |events, args: RewindArgs| async move {
            answer(&events.rewind(&args.name, start("to", args.after_seq, args.since)?).await?)
        })
    }

    #[napi(catch_unwind)]
    pub fn unsubscribe(&self, call: u32, args: String) -> Now {
        self.calls.run(call, &self.events, &args, |events, name: String| async move {
            answer(&events.unsubscribe(&name).await?)
        })
    }

    #[napi(catch_unwind)]
    pub fn dead(&self, call: u32, args: String) -> Now {
        self.calls.run(call, &self.events, &args, |events, name: String| async move {
            answer(&events.dead(&name).await?)
        })
    }

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

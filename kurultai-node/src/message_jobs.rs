//! Messages for agents at work: those that their handlers get, and the inbox in the middle of a task.

use crate::{
    answer::{Answer, answer},
    args::{json, maybe_millis, read},
    bridge::{Calls, Now},
    jobs::{Jobs, RaisedArgs, Started, Stopped, job, started},
    new_task::RetryArgs,
    numbered::Numbered,
    wire::{Wire, object, text},
};
use kurultai_core::{
    Json, Result,
    worker::{Ended, Incoming, MessageEnd, MessageJob, MessageLimits, MessageReport},
};
use napi_derive::napi;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::sync::Arc;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct MessageLimitArgs {
    timeout_ms: Option<f64>,
    retry: Option<RetryArgs>,
}

impl MessageLimitArgs {
    fn limits(self) -> Result<MessageLimits> {
        let usual = MessageLimits::default();
        Ok(MessageLimits {
            timeout: maybe_millis("timeoutMs", self.timeout_ms)?.unwrap_or(usual.timeout),
            retry: self.retry.map_or(Ok(usual.retry), RetryArgs::policy)?,
        })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReplyArgs {
    #[serde(rename = "type")]
    message_type: String,
    body: Box<RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct IncomingArgs {
    types: Option<Vec<String>>,
    wait_ms: Option<f64>,
}

/// The messages that an agent's handlers get. One at work is a number in JavaScript.
#[napi]
#[derive(Debug)]
pub struct MessageJobs {
    calls: Arc<Calls>,
    jobs: Started,
    table: Numbered<MessageJob>,
}

impl MessageJobs {
    fn end(&self, call: u32, number: u32, ended: Ended) -> Now {
        let table = self.table.clone();
        self.calls.start(call, async move { answer(&job(&table, number)?.end(ended).await?) })
    }
}

#[napi]
impl MessageJobs {
    /// The next message, or `null` once it drains. One that nobody receives goes back.
    #[napi(catch_unwind)]
    pub fn next(&self, call: u32) -> Now {
        let (jobs, table) = (self.jobs.clone(), self.table.clone());
        self.calls.start(call, async move {
            let Some(job) = started(&jobs)?.next_message().await? else { return answer(&()) };
            let number = table.number();
            let text = text(&Pulled { number, job: &job });
            Ok(Answer::owning(text, move || table.add(number, job)))
        })
    }

    /// Why the work on one must stop, as soon as it must.
    #[napi(catch_unwind)]
    pub fn stopped(&self, call: u32, number: u32) -> Now {
        let table = self.table.clone();
        self.calls.start(call, async move {
            let context = job(&table, number)?.context();
            let why = context.stopped().await;
            answer(&Stopped { why, reason: None })
        })
    }

    /// A handler begins: its time counts from here. It was checked when the handler was added.
    #[napi(catch_unwind)]
    pub fn begin(&self, number: u32, args: String) {
        let limits = read::<MessageLimitArgs>(&args).and_then(MessageLimitArgs::limits);
        if let (Ok(limits), Ok(job)) = (limits, job(&self.table, number)) {
            job.begin(limits);
        }
    }

    #[napi(catch_unwind)]
    pub fn reply(&self, call: u32, number: u32, args: String) -> Now {
        let table = self.table.clone();
        self.calls.start(call, async move {
            let ReplyArgs { message_type, body } = read(&args)?;
            answer(&job(&table, number)?.reply_with(message_type, json(body)).await?)
        })
    }

    /// The handler returned.
    #[napi(catch_unwind)]
    pub fn returned(&self, call: u32, number: u32) -> Now {
        self.end(call, number, Ended::Returned(Json::default()))
    }

    /// The handler threw, as of a task.
    #[napi(catch_unwind)]
    pub fn raised(&self, call: u32, number: u32, args: String) -> Now {
        match read::<RaisedArgs>(&args) {
            Ok(raised) => self.end(call, number, raised.ended()),
            Err(error) => Calls::refuse(&error),
        }
    }

    /// JavaScript is done with one; what has not ended goes back.
    #[napi(catch_unwind)]
    pub fn forget(&self, number: u32) {
        self.table.forget(number);
    }
}

#[napi]
impl Jobs {
    #[napi(catch_unwind)]
    pub fn message_jobs(&self) -> MessageJobs {
        let Jobs { calls, jobs, .. } = self;
        MessageJobs { calls: calls.clone(), jobs: jobs.clone(), table: Numbered::default() }
    }

    /// The inbox in the middle of a task, as a number.
    #[napi(catch_unwind)]
    pub fn messages(&self, call: u32, number: u32, args: String) -> Now {
        let (table, incoming) = (self.table.clone(), self.incoming.clone());
        self.calls.start(call, async move {
            let IncomingArgs { types, wait_ms } = read(&args)?;
            let mut messages: Incoming = job(&table, number)?.messages();
            if let Some(types) = types {
                messages = messages.types(types);
            }
            if let Some(wait) = maybe_millis("waitMs", wait_ms)? {
                messages = messages.wait(wait);
            }
            let number = incoming.number();
            Ok(Answer::owning(text(&number), move || incoming.add(number, messages)))
        })
    }

    /// The next message there, or `null`. One that nobody receives goes back.
    #[napi(catch_unwind)]
    pub fn next_incoming(&self, call: u32, number: u32) -> Now {
        let incoming = self.incoming.clone();
        self.calls.start(call, async move {
            let given = job(&incoming, number)?.next_guarded().await?;
            let text = text(&given.message());
            Ok(Answer::owning(text, || drop(given.take())))
        })
    }

    #[napi(catch_unwind)]
    pub fn forget_incoming(&self, number: u32) {
        self.incoming.forget(number);
    }
}

/// A message as its handler gets it.
struct Pulled<'a> {
    number: u32,
    job: &'a MessageJob,
}

impl Wire for Pulled<'_> {
    fn wire(&self, out: &mut Vec<u8>) {
        object(&[("job", &self.number), ("message", &*self.job.message)], out);
    }
}

/// Of one that has failed; the others are not told.
impl Wire for MessageReport {
    fn wire(&self, out: &mut Vec<u8>) {
        let MessageReport { message, end } = self;
        let (error, status, again) = match end {
            MessageEnd::Failed { error, status, again_after } => (Some(error), *status, *again_after),
            _ => (None, None, None),
        };
        let text = self.to_string();
        let fields: [(&str, &dyn Wire); 9] = [
            ("event", &"messageFailed"),
            ("text", &text),
            ("messageId", &message.id),
            ("type", &message.message_type),
            ("sender", &message.sender),
            ("delivery", &message.delivery),
            ("error", &error),
            ("status", &status),
            ("againMs", &again),
        ];
        object(&fields, out);
    }
}

//! The room `messages`: a method for each operation of the core's handle, in its order.

use crate::{
    answer::{Answer, answer},
    args::{json, maybe_millis, millis, whole},
    bridge::{Calls, Now},
    wire::text,
};
use kurultai_core::{
    self as core, Result,
    agents::Term,
    messages::{Accept, Inbox, MessageFilter, NewMessage, Receipt},
};
use napi_derive::napi;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::{sync::Arc, time::Duration};

#[napi]
#[derive(Debug)]
pub struct Messages {
    calls: Arc<Calls>,
    messages: core::messages::Messages,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct MessageArgs {
    to: String,
    #[serde(rename = "type")]
    message_type: String,
    body: Box<RawValue>,
    sender: Option<String>,
    task: Option<String>,
    reply_to: Option<String>,
    dedupe_key: Option<String>,
    ttl_ms: Option<f64>,
    urgent: Option<bool>,
}

impl MessageArgs {
    fn message(self) -> Result<NewMessage> {
        Ok(NewMessage {
            to: self.to,
            message_type: self.message_type,
            body: json(self.body),
            sender: self.sender,
            task_id: self.task,
            reply_to: self.reply_to,
            dedupe_key: self.dedupe_key,
            ttl: maybe_millis("ttlMs", self.ttl_ms)?,
            urgent: self.urgent.unwrap_or_default(),
        })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct InboxArgs {
    agent: Option<String>,
    max: Option<f64>,
    types: Option<Vec<String>>,
    wait_ms: Option<f64>,
    visible_ms: Option<f64>,
}

impl InboxArgs {
    fn inbox(self) -> Result<Inbox> {
        let usual = Inbox::default();
        Ok(Inbox {
            agent: self.agent,
            max: self.max.map_or(Ok(usual.max), |max| whole("max", max).map(|max| max as usize))?,
            types: self.types,
            wait: maybe_millis("waitMs", self.wait_ms)?.unwrap_or(usual.wait),
            visible: maybe_millis("visibleMs", self.visible_ms)?.unwrap_or(usual.visible),
        })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AcceptArgs {
    token: String,
    to: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RejectArgs {
    receipt: String,
    reason: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RetryArgs {
    receipt: String,
    after_ms: Option<f64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FilterArgs {
    to: Option<String>,
    from: Option<String>,
    limit: Option<f64>,
    cursor: Option<String>,
}

impl FilterArgs {
    fn filter(self) -> Result<MessageFilter> {
        let usual = MessageFilter::default().limit;
        let limit =
            self.limit.map_or(Ok(usual), |limit| whole("limit", limit).map(|limit| limit as usize))?;
        Ok(MessageFilter { to: self.to, from: self.from, limit, cursor: self.cursor })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct AskArgs {
    message: MessageArgs,
    /// Absent: as long as the core waits.
    timeout_ms: Option<f64>,
}

impl Messages {
    pub(crate) fn new(calls: Arc<Calls>, messages: core::messages::Messages) -> Self {
        Messages { calls, messages }
    }
}

#[napi]
impl Messages {
    /// For who holds a role.
    #[napi(catch_unwind)]
    pub fn under(&self, role: String, term: f64) -> Messages {
        let term = Term { role, number: term as i64 };
        Messages { calls: self.calls.clone(), messages: self.messages.under(term) }
    }

    #[napi(catch_unwind)]
    pub fn send_many(&self, call: u32, args: String) -> Now {
        self.calls.run(call, &self.messages, &args, |messages, new: Vec<MessageArgs>| async move {
            let new = new.into_iter().map(MessageArgs::message).collect::<Result<_>>()?;
            answer(&messages.send_many(new).await?)
        })
    }

    #[napi(catch_unwind)]
    pub fn accept(&self, call: u32, args: String) -> Now {
        self.calls.run(call, &self.messages, &args, |messages, args: AcceptArgs| async move {
            answer(&messages.accept(Accept { text: args.token, to: args.to }).await?)
        })
    }

    #[napi(catch_unwind)]
    pub fn inbox(&self, call: u32, args: String) -> Now {
        self.calls.run(call, &self.messages, &args, |messages, args: InboxArgs| async move {
            let given = messages.inbox_guarded(args.inbox()?).await?;
            let text = text(&given.to_vec());
            Ok(Answer::owning(text, || drop(given.take())))
        })
    }

    #[napi(catch_unwind)]
    pub fn ack(&self, call: u32, args: String) -> Now {
        self.calls.run(call, &self.messages, &args, |messages, receipts: Vec<String>| async move {
            let receipts: Vec<Receipt> = receipts.iter().map(|text| text.parse()).collect::<Result<_>>()?;
            answer(&messages.ack(&receipts).await?)
        })
    }

    #[napi(catch_unwind)]
    pub fn reject(&self, call: u32, args: String) -> Now {
        self.calls.run(call, &self.messages, &args, |messages, args: RejectArgs| async move {
            answer(&messages.reject(&args.receipt.parse()?, &args.reason).await?)
        })
    }

    #[napi(catch_unwind)]
    pub fn retry(&self, call: u32, args: String) -> Now {
        self.calls.run(call, &self.messages, &args, |messages, args: RetryArgs| async move {
            let after = millis("afterMs", args.after_ms.unwrap_or_default())?;
            answer(&messages.retry(&args.receipt.parse()?, after).await?)
        })
    }

    /// Of an agent, or of the handle's identity.
    #[napi(catch_unwind)]
    pub fn unread(&self, call: u32, args: String) -> Now {
        self.calls.run(call, &self.messages, &args, |messages, agent: Option<String>| async move {
            answer(&messages.unread(agent.as_deref()).await?)
        })
    }

    #[napi(catch_unwind)]
    pub fn thread(&self, call: u32, args: String) -> Now {
        self.calls.run(call, &self.messages, &args, |messages, id: String| async move {
            answer(&messages.thread(&id).await?)
        })
    }

    #[napi(catch_unwind)]
    pub fn list(&self, call: u32, args: String) -> Now {
        self.calls.run(call, &self.messages, &args, |messages, args: FilterArgs| async move {
            answer(&messages.list(args.filter()?).await?)
        })
    }

    #[napi(catch_unwind)]
    pub fn ask(&self, call: u32, args: String) -> Now {
        self.calls.run(call, &self.messages, &args, |messages, args: AskArgs| async move {
            let timeout = maybe_millis("timeoutMs", args.timeout_ms)?.unwrap_or(Duration::MAX);
            answer(&messages.ask(args.message.message()?, timeout).await?)
        })
    }
}

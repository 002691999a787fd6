//! One delivery of a message: what a handler may ask of it, and the right to end it.

use super::{ended::MessageLimits, held::HeldMessage};
use crate::{
    error::Result,
    json::Json,
    kurultai::Kurultai,
    messages::{AgentMessage, NewMessage, Sent, Settled},
    tasks::{Enqueued, NewTask},
    worker::{attempt::Stop, ended::Ended},
};
use std::{
    fmt,
    ops::Deref,
    sync::{Arc, atomic::Ordering},
};

/// What the handler of a message can ask and tell while it works. Cheap to clone; ends nothing.
#[derive(Clone)]
pub struct MessageContext {
    /// What was delivered, and who has said it.
    pub message: Arc<AgentMessage>,
    held: Arc<HeldMessage>,
}

/// A delivered message and the right to end its delivery. Nobody else is given it meanwhile. Dropped before its end, it is
/// delivered again at once; where it was dropped before [`begin`](Self::begin), it was never delivered. It takes up one of its
/// agent's places for messages until a call ends it or it is dropped.
pub struct MessageJob(MessageContext);

impl MessageJob {
    pub(super) fn new(held: Arc<HeldMessage>) -> Self {
        MessageJob(MessageContext { message: held.message.clone(), held })
    }

    /// A handler begins. Its time counts from this call, and the loop keeps it: when it is over the message is delivered again,
    /// [`stopped`](MessageContext::stopped) says [`Stop::Timeout`], and whatever ends the job later is `lease.lost`.
    pub fn begin(&self, limits: MessageLimits) {
        self.held.begin(limits);
    }

    /// Ends the delivery as the handler ended: it returned, and the message is acknowledged; it failed, and the message is
    /// delivered again after a pause, five times in all; or it rejected the message for good. Repeats what the store could not
    /// do, as long as nobody else is given the message.
    ///
    /// Errors: `lease.lost` (nothing was stored), or why the store could not. Cancel safe: a dropped call may still have
    /// ended it.
    pub async fn end(&self, ended: Ended) -> Result<Settled> {
        self.held.end(ended).await
    }

    /// Gives the message back, to be delivered again at once. Cancel safe: as [`end`](Self::end).
    pub async fn give_back(&self) {
        self.held.give_back().await;
    }

    /// For a handler, which may keep it; the right to end the delivery stays here.
    pub fn context(&self) -> MessageContext {
        self.0.clone()
    }
}

impl Deref for MessageJob {
    type Target = MessageContext;

    fn deref(&self) -> &MessageContext {
        &self.0
    }
}

impl Drop for MessageJob {
    fn drop(&mut self) {
        let held = self.held.clone();
        if held.at.vanished() {
            held.forget();
        }
        if held.over() || held.at.vanished() {
            held.leave();
        } else {
            let runtime = held.at.runtime.clone();
            runtime.spawn(async move { held.give_back().await });
        }
    }
}

impl MessageContext {
    /// Waits until the work must stop and says why. The first reason stays. Cancel safe.
    pub async fn stopped(&self) -> Stop {
        self.held.stopped().await
    }

    /// Why the work must stop, if it must: [`stopped`](Self::stopped) without waiting.
    pub fn stop(&self) -> Option<Stop> {
        self.held.look()
    }

    /// Who runs the handler knows that it must stop.
    #[doc(hidden)]
    pub fn take_up(&self) {
        self.held.take_up();
    }

    /// Whether a drain has begun: the agent is given no more messages, and what runs has its grace to end.
    pub fn is_draining(&self) -> bool {
        self.held.at.is_draining()
    }

    /// Waits until a drain begins. Cancel safe.
    pub async fn draining(&self) {
        self.held.at.drained().await;
    }

    /// The team that the agent works for.
    pub fn team(&self) -> &Kurultai {
        &self.held.at.kurultai
    }

    /// Answers the sender: a message of type `reply`, signed as this agent, about the same task. Whoever asked with
    /// [`Messages::ask`](crate::messages::Messages::ask) gets it as the answer. The n-th answer of a handler is sent once,
    /// however often its message is delivered.
    ///
    /// Errors: as [`Messages::send`](crate::messages::Messages::send); `config.identity` where the team was not opened with
    /// an identity of this agent. Cancel safe: a dropped call may still send.
    pub async fn reply(&self, body: impl Into<Json>) -> Result<Sent> {
        self.reply_with("reply", body).await
    }

    /// [`reply`](Self::reply) with a message of another type.
    pub async fn reply_with(&self, message_type: impl Into<String>, body: impl Into<Json>) -> Result<Sent> {
        let AgentMessage { id, sender, task_id, .. } = &*self.message;
        let nth = self.held.replies.fetch_add(1, Ordering::Relaxed) + 1;
        let answer = NewMessage {
            sender: Some(self.held.at.settings.agent.clone()),
            task_id: task_id.clone(),
            reply_to: Some(id.clone()),
            dedupe_key: Some(format!("reply:{id}:{nth}")),
            ..NewMessage::new(sender, message_type, body)
        };
        self.team().messages().send(answer).await
    }

    /// Enqueues a task, which is where long work belongs; unless it says otherwise it is delegated by this agent. A message may
    /// be delivered more than once: give the task a unique key. Errors and cancel safety as
    /// [`Tasks::enqueue`](crate::tasks::Tasks::enqueue).
    pub async fn enqueue(&self, mut task: NewTask) -> Result<Enqueued> {
        task.delegated_by.get_or_insert_with(|| self.held.at.settings.agent.clone());
        self.team().tasks().enqueue(task).await
    }
}

impl fmt::Debug for MessageContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MessageContext")
            .field("message", &self.message.id)
            .field("stop", &self.held.why())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for MessageJob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MessageJob")
            .field("message", &self.message.id)
            .field("seen", &self.held.is_seen())
            .finish_non_exhaustive()
    }
}

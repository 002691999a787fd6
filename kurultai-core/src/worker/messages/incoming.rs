//! The agent's inbox in the middle of a task.

use crate::{
    error::{Kind, Result},
    messages::{AgentMessage, Inbox, InboxGuard, Receipt},
    worker::{attempt::lock, job::Context},
};
use std::{
    fmt,
    sync::{Arc, Mutex},
    time::Duration,
};

/// The messages for an agent, one after the other, for a handler that looks after them while it works. Made by
/// [`Context::messages`].
///
/// Each is acknowledged by the call for the next one. The one with which the handler goes on to something else, or ends, is
/// not: it is delivered again after a minute, and so is one that took longer than that. What goes wrong with it is for its
/// reader to say: [`Messages::reject`](crate::messages::Messages::reject).
pub struct Incoming {
    context: Context,
    request: Inbox,
    /// What its reader has, and has not acknowledged.
    open: Arc<Mutex<Option<Receipt>>>,
}

impl Incoming {
    pub(in crate::worker) fn new(context: Context, agent: &str) -> Self {
        let request = Inbox { agent: Some(agent.to_owned()), max: 1, ..Inbox::default() };
        Incoming { context, request, open: Arc::default() }
    }

    /// Only these types. Default all; those for which the agent has handlers may go to these.
    pub fn types<S: Into<String>>(mut self, types: impl IntoIterator<Item = S>) -> Self {
        self.request.types = Some(types.into_iter().map(Into::into).collect());
        self
    }

    /// How long each call waits for a message where there is none. Default not at all.
    pub fn wait(mut self, wait: Duration) -> Self {
        self.request.wait = wait;
        self
    }

    /// Acknowledges the message before and returns the next one: urgent ones first, then the oldest. `None` where nothing has
    /// come in time, or the work must stop. A sign of life of the handler.
    ///
    /// Errors: as [`Messages::inbox`](crate::messages::Messages::inbox), and what the store says. Cancel safe: what a dropped
    /// call was given goes back at once; the message before may be acknowledged.
    pub async fn next(&self) -> Result<Option<AgentMessage>> {
        self.next_guarded().await.map(IncomingGuard::take)
    }

    /// [`next`](Self::next) for a binding, in which the way to the reader goes on after this call.
    pub async fn next_guarded(&self) -> Result<IncomingGuard> {
        let messages = self.context.team().messages();
        let before = lock(&self.open).clone();
        if let Some(receipt) = before {
            for settled in messages.ack(std::slice::from_ref(&receipt)).await? {
                match settled {
                    Err(error) if error.kind() == Kind::LeaseLost => {
                        tracing::warn!(%error, "a message that took too long may be handled again");
                    }
                    settled => drop(settled?),
                }
            }
            *lock(&self.open) = None;
        }
        let given = tokio::select! {
            given = messages.inbox_guarded(self.request.clone()) => Some(given?),
            _ = self.context.stopped() => None,
        };
        self.context.alive();
        Ok(IncomingGuard { given, open: self.open.clone() })
    }
}

/// One message at most, on its way to a reader. Dropped before it is taken, it goes back, and was never delivered.
#[derive(Debug)]
pub struct IncomingGuard {
    given: Option<InboxGuard>,
    open: Arc<Mutex<Option<Receipt>>>,
}

impl IncomingGuard {
    /// What it is.
    pub fn message(&self) -> Option<&AgentMessage> {
        self.given.as_ref()?.first()
    }

    /// It has arrived.
    pub fn take(self) -> Option<AgentMessage> {
        let message = self.given?.take().pop()?;
        *lock(&self.open) = Some(message.receipt());
        Some(message)
    }
}

impl fmt::Debug for Incoming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Incoming").field("request", &self.request).finish_non_exhaustive()
    }
}

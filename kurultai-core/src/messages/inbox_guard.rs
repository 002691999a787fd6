use super::{
    again::Again,
    contract::{Ending, Settle, Stored},
    hot::Settles,
    types::AgentMessage,
};
use crate::calls::OwnedCall;
use std::{fmt, ops::Deref, sync::Arc};
use tokio::runtime::Handle;

/// Messages on their way to a reader. Dropped before they are taken, they go back, and were never delivered.
pub struct InboxGuard {
    pub(super) stored: Vec<Stored>,
    /// Those whose signature holds.
    pub(super) messages: Vec<AgentMessage>,
    settle: Arc<Settles>,
    again: Again,
    /// Until it has reached a caller, or has gone back.
    under_way: Option<Arc<OwnedCall>>,
    /// It may be dropped on a thread that has no runtime.
    runtime: Handle,
}

impl InboxGuard {
    pub(super) fn new(
        stored: Vec<Stored>,
        settle: Arc<Settles>,
        again: Again,
        under_way: Arc<OwnedCall>,
    ) -> Self {
        // With nothing in it nothing can go back, and whoever has it may wait for more.
        let under_way = Some(under_way).filter(|_| !stored.is_empty());
        InboxGuard { stored, messages: vec![], settle, again, under_way, runtime: Handle::current() }
    }

    /// A caller has it, whom no close waits for.
    pub(super) fn reached(mut self) -> Self {
        self.under_way = None;
        self
    }

    /// They have arrived.
    pub fn take(mut self) -> Vec<AgentMessage> {
        self.stored.clear();
        std::mem::take(&mut self.messages)
    }
}

impl Deref for InboxGuard {
    type Target = [AgentMessage];

    fn deref(&self) -> &[AgentMessage] {
        &self.messages
    }
}

impl Drop for InboxGuard {
    fn drop(&mut self) {
        let stored = std::mem::take(&mut self.stored);
        if stored.is_empty() {
            return;
        }
        let (settle, again, under_way) = (self.settle.clone(), self.again.clone(), self.under_way.take());
        self.runtime.spawn(async move {
            let back = |Stored { id, delivery, fetch, .. }| Settle { id, delivery, ending: Ending::Back(fetch) };
            match settle.call(stored.into_iter().map(back).collect()).await {
                Ok(_) => again.announce(),
                Err(error) => tracing::warn!(%error, "messages that reached nobody return when their time is over"),
            }
            drop(under_way);
        });
    }
}

impl fmt::Debug for InboxGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InboxGuard").field("stored", &self.stored.len()).finish_non_exhaustive()
    }
}

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

    /// Each message by itself.
    pub(crate) fn each(mut self) -> Vec<InboxGuard> {
        let mut stored = std::mem::take(&mut self.stored);
        let of = |message: AgentMessage| InboxGuard {
            stored: stored.extract_if(.., |stored| stored.id == message.id).collect(),
            messages: vec![message],
            settle: self.settle.clone(),
            again: self.again.clone(),
            under_way: self.under_way.clone(),
            runtime: self.runtime.clone(),
        };
        std::mem::take(&mut self.messages).into_iter().map(of).collect()
    }

    /// They go back; cancel safe, since a dropped call goes on.
    pub(crate) async fn give_back(mut self) {
        if !self.stored.is_empty() {
            let back = self.back();
            drop(self.runtime.spawn(back).await);
        }
    }

    fn back(&mut self) -> impl Future<Output = ()> + Send + 'static {
        let stored = std::mem::take(&mut self.stored);
        let (settle, again, under_way) = (self.settle.clone(), self.again.clone(), self.under_way.take());
        async move {
            let back =
                |Stored { id, delivery, fetch, .. }| Settle { id, delivery, ending: Ending::Back(fetch) };
            match settle.call(stored.into_iter().map(back).collect()).await {
                Ok(_) => again.announce(),
                Err(error) => {
                    tracing::warn!(%error, "messages that reached nobody return when their time is over");
                }
            }
            drop(under_way);
        }
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
        if !self.stored.is_empty() {
            let back = self.back();
            self.runtime.spawn(back);
        }
    }
}

impl fmt::Debug for InboxGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InboxGuard").field("stored", &self.stored.len()).finish_non_exhaustive()
    }
}

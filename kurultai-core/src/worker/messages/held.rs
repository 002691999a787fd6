//! One message that an agent's loop holds: until a handler has it, it goes back as if it had never been delivered; from then
//! on a delivery ends as its handler does.

use super::{
    ended::{MessageLimits, ending},
    report::MessageEnd,
};
use crate::{
    clock::monotonic,
    error::{Error, Kind, Result},
    messages::{AgentMessage, InboxGuard, Settled, contract::Ending},
    retry::Backoff,
    worker::{
        attempt::{Attempt, Stop, Work, lock},
        ended::Ended,
        held::is_gone,
        workplace::Workplace,
    },
};
use std::{
    ops::Deref,
    sync::{Arc, Mutex, atomic::AtomicU32},
    time::{Duration, Instant},
};
use tokio::sync::OwnedSemaphorePermit;

pub(in crate::worker) struct HeldMessage {
    attempt: Arc<Attempt>,
    pub(super) message: Arc<AgentMessage>,
    /// Until a handler has it.
    given: Mutex<Option<InboxGuard>>,
    /// Until when surely nobody else is given it, by this machine's stopwatch.
    until: Instant,
    limits: Mutex<MessageLimits>,
    /// How many answers its handler has sent.
    pub(super) replies: AtomicU32,
}

impl Deref for HeldMessage {
    type Target = Arc<Attempt>;

    fn deref(&self) -> &Arc<Attempt> {
        &self.attempt
    }
}

impl HeldMessage {
    /// `given` is one message.
    pub(super) fn new(
        at: &Arc<Workplace>,
        given: InboxGuard,
        until: Instant,
        slot: OwnedSemaphorePermit,
    ) -> Option<Arc<Self>> {
        let message = Arc::new(given.first()?.clone());
        Some(Arc::new(HeldMessage {
            attempt: Attempt::new(at, Work::Message(message.clone()), slot),
            message,
            given: Mutex::new(Some(given)),
            until,
            limits: Mutex::default(),
            replies: AtomicU32::new(0),
        }))
    }

    /// A handler has it: its time counts from here.
    pub(super) fn begin(self: &Arc<Self>, limits: MessageLimits) {
        let Some(given) = lock(&self.given).take() else { return };
        drop(given.take());
        *lock(&self.limits) = limits;
        let left = self.until.saturating_duration_since(monotonic());
        let held = self.clone();
        self.set_alarm(limits.timeout.min(left), async move { held.cut_short(limits.timeout).await });
    }

    /// Its handler has had its time: the message is delivered again, unless the handler ends it just now.
    async fn cut_short(self: &Arc<Self>, time: Duration) {
        let turn = self.turn.lock().await;
        if self.over() || self.at.vanished() {
            return;
        }
        self.cut(Stop::Timeout);
        if let Err(error) = self.finish(Ended::TimedOut(time)).await {
            tracing::debug!(%error, message = self.message.id, "that its time is over was not stored");
        }
        self.let_go();
        drop(turn);
    }

    /// Ends the delivery as its handler ended, and gives back its place.
    pub(super) async fn end(&self, ended: Ended) -> Result<Settled> {
        let _turn = self.turn.lock().await;
        let settled = if self.over() || self.is_cut_short() {
            let id = &self.message.id;
            Err(Error::lease_lost(format!("this delivery of message {id} had ended; nothing was stored")))
        } else {
            self.finish(ended).await
        };
        self.let_go();
        self.leave();
        settled
    }

    /// To be delivered again at once. Where no handler had it, this delivery does not count.
    pub(in crate::worker) async fn give_back(&self) {
        let _turn = self.turn.lock().await;
        let unseen = lock(&self.given).take();
        if let Some(unseen) = unseen {
            unseen.give_back().await;
        } else if !self.over() && !self.at.vanished() {
            match self.settle(&Ending::Again(Duration::ZERO)).await {
                Ok(_) => self.at.settings.message_listener.tell(&self.message, MessageEnd::GivenBack),
                Err(error) => {
                    tracing::warn!(%error, message = self.message.id, "a message returns when its time is over");
                }
            }
        }
        self.let_go();
        self.leave();
    }

    /// A handler has it, or had.
    pub(super) fn is_seen(&self) -> bool {
        lock(&self.given).is_none()
    }

    /// Ends as a killed process does.
    pub(super) fn forget(&self) {
        if let Some(given) = lock(&self.given).take() {
            drop(given.take());
        }
    }

    async fn finish(&self, ended: Ended) -> Result<Settled> {
        let error = match &ended {
            Ended::Raised { error, .. } => error.clone(),
            Ended::TimedOut(time) => format!("timed out after {} s", time.as_secs_f64()),
            _ => String::new(),
        };
        let ending = ending(ended, self.message.delivery, *lock(&self.limits));
        let settled = self.settle(&ending).await;
        let failed = |status, again_after| MessageEnd::Failed { error, status, again_after };
        let end = match (&settled, &ending) {
            (Ok(_), Ending::Acknowledge) => MessageEnd::Acknowledged,
            (Ok(settled), Ending::Again(after)) => failed(Some(settled.status), Some(*after)),
            (Ok(settled), _) => failed(Some(settled.status), None),
            (Err(refused), _) if refused.kind() == Kind::LeaseLost => {
                MessageEnd::Failed { error: refused.message().to_owned(), status: None, again_after: None }
            }
            (Err(_), _) => return settled,
        };
        self.at.settings.message_listener.tell(&self.message, end);
        settled
    }

    /// What the store may do later is repeated while nobody else is given the message.
    async fn settle(&self, ending: &Ending) -> Result<Settled> {
        let (messages, receipt) = (self.at.kurultai.messages(), self.message.receipt());
        let mut backoff = Backoff::default();
        loop {
            match messages.settle_one(&receipt, ending).await {
                Err(error)
                    if error.retryable()
                        && !is_gone(&error)
                        && monotonic() < self.until
                        && !self.at.closing() =>
                {
                    tracing::warn!(%error, message = receipt.id, "the delivery was not ended; trying again");
                    backoff.wait(&error).await;
                }
                settled => return settled,
            }
        }
    }
}

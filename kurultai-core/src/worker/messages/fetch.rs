//! The loop that fetches an agent's messages.

use super::{ended::visible, held::HeldMessage, job::MessageJob};
use crate::{
    clock::monotonic,
    error::Result,
    messages::Inbox,
    retry::Backoff,
    worker::{held::is_closed, jobs::Shared, settings::Settings},
};
use std::sync::Arc;
use tokio::sync::mpsc;

/// Until an error that no repetition mends. What a dropped fetch was given goes back.
pub(in crate::worker) async fn fetch(
    shared: &Arc<Shared>,
    inbox: &mpsc::UnboundedSender<Result<MessageJob>>,
) {
    let Settings { agent, message_types, message_timeout, wait, .. } = &shared.at.settings;
    let (messages, visible) = (shared.at.kurultai.messages(), visible(*message_timeout));
    let mut backoff = Backoff::default();
    loop {
        let mut slots = tokio::select! {
            slots = shared.message_places.free() => slots,
            () = shared.at.kurultai.session().claims.closing() => return,
        };
        let request = Inbox {
            agent: Some(agent.clone()),
            max: slots.num_permits(),
            types: Some(message_types.clone()),
            wait: *wait,
            visible,
        };
        let given = tokio::select! {
            given = messages.guarded(request) => given,
            () = shared.at.kurultai.session().claims.closing() => return,
        };
        match given {
            Ok(given) => {
                backoff = Backoff::default();
                // It may have waited before; from now on nobody else is given them for at least the time of a handler.
                let until = monotonic() + *message_timeout;
                for message in given.each() {
                    let slot = slots.split(1).expect("no more messages than were asked for");
                    if let Some(held) = HeldMessage::new(&shared.at, message, until, slot) {
                        shared.messages.add(&held);
                        // A job that nobody can pull any more is dropped here, and so goes back.
                        drop(inbox.send(Ok(MessageJob::new(held))));
                    }
                }
            }
            Err(error) if is_closed(&error) => return,
            // What this process cannot open has been put off for a minute, for others.
            Err(error) if error.retryable() || error.code() == "config.wrapping_key" => {
                tracing::warn!(%error, agent, "messages are fetched later");
                backoff.wait(&error).await;
            }
            Err(error) => {
                drop(inbox.send(Err(error)));
                return;
            }
        }
    }
}

//! Functions for message types.

use super::{ended::MessageLimits, job::MessageContext};
use crate::{
    error::Result,
    worker::{
        builder::Agent,
        ended::{Ended, Wish},
        handlers::{BoxError, raised},
    },
};
use futures::future::BoxFuture;
use serde::de::DeserializeOwned;
use std::{
    collections::BTreeMap,
    fmt,
    future::{Future, ready},
    sync::Arc,
    time::Duration,
};

pub(in crate::worker) type Run = dyn Fn(MessageContext) -> BoxFuture<'static, Ended> + Send + Sync;

#[derive(Clone, Default)]
pub(in crate::worker) struct MessageHandlers(BTreeMap<String, (MessageLimits, Arc<Run>)>);

impl MessageHandlers {
    pub(in crate::worker) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(in crate::worker) fn types(&self) -> impl Iterator<Item = &String> {
        self.0.keys()
    }

    pub(in crate::worker) fn get(&self, message_type: &str) -> Option<&(MessageLimits, Arc<Run>)> {
        self.0.get(message_type)
    }

    /// That of the most patient one.
    pub(in crate::worker) fn longest(&self) -> Duration {
        self.0.values().map(|(limits, _)| limits.timeout).max().unwrap_or_default()
    }

    pub(in crate::worker) fn check(&self) -> Result<()> {
        self.0.iter().try_for_each(|(message_type, (limits, _))| {
            super::ended::check(&format!("the timeout of {message_type}"), limits.timeout)
        })
    }
}

impl Agent {
    /// The function for a message type: it gets a [`MessageContext`] and the body as a type of its own. When it returns, the
    /// message is acknowledged. Its error has the message delivered again after a pause, five times in all, and then it has
    /// failed; a [`Reject`](crate::worker::Reject) fails it at once and for good, and its sender hears why by the event
    /// `message.failed`: what the `Reject` says itself, also where it is the cause of another error; a [`Retry`](crate::worker::Retry) or a [`Snooze`](crate::worker::Snooze) say when it is delivered
    /// again. A panic is such an error, and a body that is not of its type is a `Reject`.
    ///
    /// It has a minute: then it is dropped where it awaits, and the message delivered again. Long work is a task
    /// ([`MessageContext::enqueue`]). Messages are handled beside tasks, as many at once as
    /// [`concurrency`](Agent::concurrency) says, in places of their own; each is delivered at least once, so that a handler
    /// may see one again. A second function for a type replaces the first.
    pub fn on_message<T, E, F>(
        self,
        message_type: impl Into<String>,
        handler: impl Fn(MessageContext, T) -> F + Send + Sync + 'static,
    ) -> Self
    where
        T: DeserializeOwned + Send,
        E: Into<BoxError>,
        F: Future<Output = Result<(), E>> + Send + 'static,
    {
        self.on_message_with(message_type, MessageLimits::default(), handler)
    }

    /// [`on_message`](Self::on_message) with a time and pauses of its own. While it runs nobody else is given its message: all
    /// messages of an agent are out of sight for the longest time of its handlers and 10 s more, also where its process dies
    /// meanwhile. A time of zero or of more than 12 hours is refused when the agent runs, with `input.invalid`.
    pub fn on_message_with<T, E, F>(
        mut self,
        message_type: impl Into<String>,
        limits: MessageLimits,
        handler: impl Fn(MessageContext, T) -> F + Send + Sync + 'static,
    ) -> Self
    where
        T: DeserializeOwned + Send,
        E: Into<BoxError>,
        F: Future<Output = Result<(), E>> + Send + 'static,
    {
        let run = move |context: MessageContext| -> BoxFuture<'static, Ended> {
            match context.message.body.get() {
                Ok(body) => {
                    let working = handler(context, body);
                    Box::pin(async move {
                        match working.await {
                            Ok(()) => Ended::Returned(serde_json::Value::Null.into()),
                            Err(error) => raised(&*error.into()),
                        }
                    })
                }
                Err(error) => {
                    let wish = Some(Wish::Reject { why: error.to_string() });
                    Box::pin(ready(Ended::Raised { error: error.to_string(), wish }))
                }
            }
        };
        self.message_handlers.0.insert(message_type.into(), (limits, Arc::new(run)));
        self
    }
}

impl fmt::Debug for MessageHandlers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map()
            .entries(self.0.iter().map(|(message_type, (limits, _))| (message_type, limits)))
            .finish()
    }
}

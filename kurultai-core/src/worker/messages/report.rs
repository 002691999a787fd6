//! What became of deliveries: a line in the log, and whoever wants to hear of it.

use crate::{
    error::gist,
    messages::{AgentMessage, MAX_DELIVERIES, MessageStatus},
};
use std::{fmt, sync::Arc, time::Duration};

/// What became of a delivery.
#[derive(Debug, Clone, PartialEq)]
pub struct MessageReport {
    /// The message, as it was delivered.
    pub message: Arc<AgentMessage>,
    /// How the delivery ended.
    pub end: MessageEnd,
}

/// How the delivery of a message to a handler ended.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum MessageEnd {
    /// Its handler has taken it in.
    Acknowledged,
    /// Its handler failed, took too long or rejected it; or somebody else has it now.
    Failed {
        /// The whole text of the error.
        error: String,
        /// How the message stands now; `None` where others decide.
        status: Option<MessageStatus>,
        /// After which time it is delivered again, where it is.
        again_after: Option<Duration>,
    },
    /// Given back, to be delivered again at once.
    GivenBack,
}

/// Who is told of each delivery.
#[derive(Clone, Default)]
pub(in crate::worker) struct MessageListener(Option<Arc<Hear>>);

type Hear = dyn Fn(&MessageReport) + Send + Sync;

impl MessageListener {
    pub(in crate::worker) fn new(listener: impl Fn(&MessageReport) + Send + Sync + 'static) -> Self {
        MessageListener(Some(Arc::new(listener)))
    }

    pub(super) fn tell(&self, message: &Arc<AgentMessage>, end: MessageEnd) {
        let report = MessageReport { message: message.clone(), end };
        if let MessageEnd::Failed { error, .. } = &report.end {
            tracing::warn!("{report}");
            if gist(error) != error {
                tracing::debug!("delivery {} of message {}: {error}", message.delivery, message.id);
            }
        }
        if let Some(listener) = &self.0 {
            listener(&report);
        }
    }
}

impl fmt::Display for MessageReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let AgentMessage { id, sender, message_type, delivery, .. } = &*self.message;
        write!(
            f,
            "message {id} of type {message_type:?} from {sender}, delivery {delivery} of {MAX_DELIVERIES}"
        )?;
        match &self.end {
            MessageEnd::Acknowledged => f.write_str(" acknowledged"),
            MessageEnd::GivenBack => f.write_str(" was given back"),
            MessageEnd::Failed { error, status, again_after } => {
                write!(f, " failed: {}; ", gist(error))?;
                match (status, again_after) {
                    (None, _) => f.write_str("others may have it now"),
                    (_, Some(after)) => write!(f, "again after {:.1} s", after.as_secs_f64()),
                    (Some(status), None) => write!(f, "it is {status} now"),
                }
            }
        }
    }
}

impl fmt::Debug for MessageListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "MessageListener(..)" } else { "None" })
    }
}

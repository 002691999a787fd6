//! An event that a user publishes, and the rules by which it comes in. Pure, and the same on both stores.

use super::topic;
use crate::{
    check,
    error::{Error, Kind, Result},
    json::Json,
};
use serde::{Deserialize, Serialize};

/// How many bytes of JSON the payload of a published event may have: 64 KiB.
pub const MAX_PAYLOAD: usize = 1 << 16;
/// How many events may have caused each other: one more is `event.loop`.
pub const MAX_CHAIN: u32 = 16;

/// An event to publish.
///
/// ```
/// use kurultai_core::events::NewEvent;
///
/// let done = NewEvent::new("deploy.done").payload(serde_json::json!({"version": 7})).source("temujin").key("deploy-7");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEvent {
    /// Words of letters, digits, `_` and `-` with dots between them, at most 128 bytes: `deploy.done`. What begins with
    /// `task.`, `tasks.`, `agent.`, `role.`, `alert.`, `message.` or `security.` is written by this library alone.
    pub topic: String,
    /// What the topic alone does not say: JSON, at most 64 KiB; `null` counts as nothing.
    pub payload: Option<Json>,
    /// The agent that it comes from.
    pub source: Option<String>,
    /// The task that it is about.
    pub task_id: Option<String>,
    /// What it belongs to. Default that of the event that caused it, else that of its task.
    pub correlation_id: Option<String>,
    /// 1 to 256 characters. A second event of this key is not published: the first one's number is the answer, for as long as
    /// retention keeps that.
    pub key: Option<String>,
    /// The number of the event in whose handling it is published.
    pub cause: Option<i64>,
}

impl NewEvent {
    /// Of this topic, and nothing else.
    pub fn new(topic: impl Into<String>) -> Self {
        NewEvent {
            topic: topic.into(),
            payload: None,
            source: None,
            task_id: None,
            correlation_id: None,
            key: None,
            cause: None,
        }
    }

    /// What the topic alone does not say.
    pub fn payload(mut self, payload: impl Into<Json>) -> Self {
        self.payload = Some(payload.into());
        self
    }

    /// The agent that it comes from.
    pub fn source(mut self, agent: impl Into<String>) -> Self {
        self.source = Some(agent.into());
        self
    }

    /// The task that it is about.
    pub fn task(mut self, id: impl Into<String>) -> Self {
        self.task_id = Some(id.into());
        self
    }

    /// What it belongs to.
    pub fn correlation_id(mut self, id: impl Into<String>) -> Self {
        self.correlation_id = Some(id.into());
        self
    }

    /// A second event of this key is not published.
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// The number of the event in whose handling it is published.
    pub fn cause(mut self, seq: i64) -> Self {
        self.cause = Some(seq);
        self
    }

    pub(super) fn check(&self) -> Result<()> {
        topic::check_published(&self.topic)?;
        if let Some(payload) = &self.payload {
            payload.check()?;
            let bytes = payload.as_str().len();
            if bytes > MAX_PAYLOAD {
                let why = format!(
                    "{bytes} bytes; an event may have {MAX_PAYLOAD}: publish a reference to the rest"
                );
                return Err(Error::payload("$", why));
            }
        }
        self.source.as_deref().map_or(Ok(()), |source| check::agent("source", source))?;
        for (field, text, most) in [
            ("task", &self.task_id, 128),
            ("correlation_id", &self.correlation_id, 128),
            ("key", &self.key, 256),
        ] {
            text.as_deref().map_or(Ok(()), |text| check::text(field, text, most))?;
        }
        match self.cause {
            Some(seq) if seq < 1 => Err(Error::invalid("cause", seq, "the seq of an event")),
            _ => Ok(()),
        }
    }
}

/// What became of an event that was published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Published {
    /// Its number in the log.
    pub seq: i64,
    /// One of its key was there already, and this is its number.
    pub deduplicated: bool,
}

/// A checked event on its way into the store.
#[derive(Debug, Clone)]
pub struct Publication {
    pub(crate) event: NewEvent,
    /// The correlation id of what an event causes that has none: the id of that event.
    pub(crate) began: Option<String>,
}

impl Publication {
    pub(super) fn of(mut event: NewEvent, namespace: &str) -> Self {
        // Not every language tells nothing from null.
        event.payload = event.payload.filter(|payload| payload.as_str() != "null");
        let began = event.cause.map(|seq| format!("{namespace}/{seq}"));
        Publication { event, began }
    }
}

/// What a store has of the event that caused another; nothing where retention has removed it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Cause {
    pub(crate) depth: Option<u32>,
    pub(crate) correlation_id: Option<String>,
}

impl Cause {
    /// What the store says of the event `seq`, whose newest event is `newest`.
    pub(crate) fn found(seq: i64, newest: i64, cause: Option<Cause>) -> Result<Cause> {
        if cause.is_none() && seq > newest {
            let message = format!("no event {seq} in this namespace, whose newest is {newest}");
            return Err(Error::new(Kind::NotFound, "event.not_found", message));
        }
        Ok(cause.unwrap_or_default())
    }

    /// How deep in the chain an event is that this one caused.
    pub(crate) fn next_depth(&self, topic: &str) -> Result<u32> {
        let depth = self.depth.unwrap_or(0) + 1;
        if depth <= MAX_CHAIN {
            return Ok(depth);
        }
        let message = format!(
            "event {topic:?} would be caused by {depth} others, one after the other, of which {MAX_CHAIN} are allowed; nothing was published: let a handler stop publishing what leads back to it"
        );
        Err(Error::conflict("event.loop", message))
    }
}

/// An event that has a key.
#[derive(Debug, Clone)]
pub(crate) struct Twin {
    pub(crate) seq: i64,
    pub(crate) topic: String,
    pub(crate) source: Option<String>,
    pub(crate) task_id: Option<String>,
    pub(crate) payload: Option<Json>,
}

impl Twin {
    pub(crate) fn of(seq: i64, event: &NewEvent) -> Self {
        let NewEvent { topic, payload, source, task_id, .. } = event.clone();
        Twin { seq, topic, source, task_id, payload }
    }

    /// What is answered to another of the same key, where that says the same. Fails with `event.conflict`.
    pub(crate) fn of_same(&self, event: &NewEvent) -> Result<Published> {
        let says_the_same = match (&self.payload, &event.payload) {
            (Some(one), Some(other)) => one.says_the_same(other),
            (one, other) => one.is_none() && other.is_none(),
        };
        let other = match () {
            () if self.topic != event.topic => "topic",
            () if self.source != event.source => "source",
            () if self.task_id != event.task_id => "task",
            () if !says_the_same => "payload",
            () => return Ok(Published { seq: self.seq, deduplicated: true }),
        };
        let key = event.key.as_deref().unwrap_or_default();
        let message = format!(
            "key {key:?} is that of event {}, which has another {other}; nothing was published",
            self.seq
        );
        Err(Error::conflict("event.conflict", message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn refused(event: NewEvent) -> (&'static str, String) {
        let error = event.check().unwrap_err();
        (error.code(), error.message().to_owned())
    }

    #[test]
    fn topics_are_words_with_dots_and_not_ours() {
        for fits in ["deploy", "deploy.done", "a.b-c.D_9", "tasking.done", &"x".repeat(128)] {
            NewEvent::new(fits).check().unwrap();
        }
        for wrong in ["", ".", "a.", ".a", "a..b", "a b", "a.*", "größe", "a/b", &"x".repeat(129)] {
            assert_eq!(refused(NewEvent::new(wrong)).0, "input.invalid", "{wrong:?}");
        }
        for ours in
            ["task.done", "tasks.stopped", "agent.think", "role", "alert.raised", "message.x", "security.x"]
        {
            let (code, message) = refused(NewEvent::new(ours));
            assert_eq!(code, "input.invalid", "{ours}");
            assert!(message.contains("security."), "{message}");
        }
    }

    #[test]
    fn a_payload_has_its_limit() {
        let text = "x".repeat(MAX_PAYLOAD - 2);
        NewEvent::new("a").payload(json!(text)).check().unwrap();
        assert_eq!(refused(NewEvent::new("a").payload(json!(text + "x"))).0, "input.payload");
        assert_eq!(refused(NewEvent::new("a").key("x".repeat(257))).0, "input.invalid");
        assert_eq!(refused(NewEvent::new("a").source("Ö")).0, "input.invalid");
        assert_eq!(refused(NewEvent::new("a").cause(0)).0, "input.invalid");
    }

    #[test]
    fn a_key_is_one_event() {
        let event = NewEvent::new("a").payload(json!({"n": 1, "m": 2})).source("jochi").key("k");
        let twin = Twin::of(7, &event);
        let same = NewEvent { payload: Some(Json::stored("{\"m\": 2, \"n\": 1.0}")), ..event.clone() };
        assert_eq!(twin.of_same(&same).unwrap(), Published { seq: 7, deduplicated: true });
        for other in [
            NewEvent { topic: "b".into(), ..event.clone() },
            NewEvent { payload: None, ..event.clone() },
            NewEvent { source: None, ..event.clone() },
            event.clone().task("t"),
        ] {
            assert_eq!(twin.of_same(&other).unwrap_err().code(), "event.conflict");
        }
    }

    #[test]
    fn a_chain_ends() {
        let at = |depth| Cause { depth, correlation_id: None };
        assert_eq!(at(None).next_depth("a").unwrap(), 1);
        assert_eq!(at(Some(MAX_CHAIN - 1)).next_depth("a").unwrap(), MAX_CHAIN);
        assert_eq!(at(Some(MAX_CHAIN)).next_depth("a").unwrap_err().code(), "event.loop");
        assert_eq!(Cause::found(3, 2, None).unwrap_err().code(), "event.not_found");
        assert_eq!(Cause::found(2, 2, None).unwrap(), at(None), "retention has removed it");
    }
}

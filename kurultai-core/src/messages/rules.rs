//! What becomes of a message. Pure, and the same on both stores.

use super::{
    contract::{Ending, Post, Settle},
    keys::AgentKey,
    types::{MAX_DELIVERIES, MAX_INBOX, MessageStatus, Recipient},
};
use crate::{
    agents::{AgentStatus, Thresholds},
    clock::{Micros, micros, time},
    error::{Error, Kind, Result},
    events::alerts::{Observation, Severity},
    json::Json,
};
use std::time::Duration;

/// What a store knows of a message whose delivery is to end.
#[derive(Debug, Clone)]
pub(crate) struct Facts {
    pub(crate) now: Micros,
    pub(crate) status: MessageStatus,
    pub(crate) delivery: u32,
    pub(crate) code: Option<String>,
}

/// How a message stands from now on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) status: MessageStatus,
    /// `None` where nobody is given it any more.
    pub(crate) visible_at: Option<Micros>,
    pub(crate) acked_at: Option<Micros>,
    pub(crate) code: Option<String>,
    pub(crate) reason: Option<String>,
    /// The delivery does not count.
    pub(crate) uncounted: bool,
}

/// The code of a message that its recipient has refused.
pub(crate) const REJECTED: &str = "message.rejected";

impl Change {
    /// Whether its dedupe key is another's from now on: it has left its inbox, and nobody has taken it in. Who refuses one has.
    pub(crate) fn frees_its_key(&self) -> bool {
        topic(self.status).is_some() && self.code.as_deref() != Some(REJECTED)
    }
}

/// `None` where it has ended so before. Fails with `lease.lost` where the message is no longer of that delivery.
pub(crate) fn settle(facts: &Facts, settle: &Settle) -> Result<Option<Change>> {
    use MessageStatus::{Acknowledged, Delivered, Failed, Pending};
    let ours = facts.delivery == settle.delivery;
    let repeated = match &settle.ending {
        Ending::Acknowledge => facts.status == Acknowledged,
        Ending::Fail { code, .. } => facts.status == Failed && facts.code.as_ref() == Some(code),
        Ending::Again(_) => facts.status == Pending,
        Ending::Back(_) => false,
    };
    if ours && repeated {
        return Ok(None);
    }
    if !ours || facts.status != Delivered {
        let why = if ours { format!("it is {}", facts.status) } else { "it was delivered again".to_owned() };
        let message = format!(
            "delivery {} of message {} is no longer valid: {why}; nothing was stored",
            settle.delivery, settle.id
        );
        return Err(Error::new(Kind::LeaseLost, "lease.lost", message));
    }
    Ok(Some(match &settle.ending {
        Ending::Acknowledge => Change { acked_at: Some(facts.now), ..ended(Acknowledged, None, None) },
        Ending::Fail { code, reason } => ended(Failed, Some(code.clone()), Some(reason.clone())),
        Ending::Again(after) => Change {
            visible_at: Some(facts.now.saturating_add(micros(*after))),
            ..ended(Pending, None, None)
        },
        Ending::Back(_) => {
            Change { visible_at: Some(facts.now), uncounted: true, ..ended(Pending, None, None) }
        }
    }))
}

/// How a recipient fares, by its status, when its last process said that it stops, and its last sign.
pub(crate) fn recipient(
    status: AgentStatus,
    stopped_at: Option<Micros>,
    heard_at: Option<Micros>,
    now: Micros,
) -> Recipient {
    let alive = heard_at.is_some_and(|at| now - at <= micros(Thresholds::default().dead_after));
    let stopped = stopped_at.is_some() && stopped_at >= heard_at;
    match status {
        AgentStatus::Draining => Recipient::Draining,
        AgentStatus::Offline => Recipient::Asleep,
        _ if alive && !stopped => Recipient::Alive,
        _ => Recipient::Asleep,
    }
}

/// Which event tells the sender that its message has left the inbox unread, where it has.
pub(crate) fn topic(status: MessageStatus) -> Option<&'static str> {
    match status {
        MessageStatus::Failed => Some("message.failed"),
        MessageStatus::Expired => Some("message.expired"),
        _ => None,
    }
}

/// Whether the key that the sender's row names is there and verifies.
pub(crate) fn holds(key: Option<&AgentKey>, post: &Post, now: Micros) -> Result<()> {
    key.ok_or_else(|| unknown_key(&post.sender, &post.key_id))?.check_verifying(time(now))
}

/// A dedupe key as the store has it: nobody's else keeps a message of this sender back. No agent's id has a colon, so it is
/// never the key of a delegation, `task:ID:AGENT`.
pub(crate) fn own_key(sender: &str, key: &str) -> String {
    format!("{sender}/{key}")
}

/// A message that has a dedupe key.
#[derive(Debug, Clone)]
pub(crate) struct Twin {
    pub(crate) id: String,
    pub(crate) sender: String,
    pub(crate) to: String,
    pub(crate) message_type: String,
    pub(crate) body: String,
}

impl Twin {
    pub(crate) fn of(post: &Post) -> Self {
        let Post { id, sender, to, message_type, body, .. } = post.clone();
        Twin { id, sender, to, message_type, body }
    }

    /// The id that is answered to another of the same dedupe key, where that says the same. Fails with `message.conflict`.
    pub(crate) fn of_same(&self, post: &Post) -> Result<String> {
        let Twin { id, sender, to, message_type, body } = self;
        let says_the_same = || Json::stored(body.as_str()).says_the_same(&Json::stored(post.body.as_str()));
        let other = match () {
            () if *sender != post.sender => "sender",
            () if *to != post.to => "recipient",
            () if *message_type != post.message_type => "type",
            () if !says_the_same() => "body",
            () => return Ok(id.clone()),
        };
        let key = post.dedupe_key.as_deref().unwrap_or_default();
        let key = key.strip_prefix(&own_key(&post.sender, "")).unwrap_or(key);
        let message = format!(
            "dedupe key {key:?} is that of message {id}, which has another {other}; nothing was sent"
        );
        Err(Error::conflict("message.conflict", message))
    }
}

/// The team knows no such key.
pub(crate) fn unknown_key(agent: &str, key_id: &str) -> Error {
    let message = format!("the team has no key {key_id:?} of agent {agent:?}; `keys.add` tells it");
    Error::new(Kind::Denied, "key.unknown", message)
}

/// Its time is over.
pub(crate) fn expired() -> Change {
    ended(MessageStatus::Expired, None, None)
}

/// It was delivered as often as a message is, and nobody has acknowledged it.
pub(crate) fn spent() -> Change {
    let reason = format!("delivered {MAX_DELIVERIES} times and never acknowledged");
    ended(MessageStatus::Failed, Some("message.undeliverable".to_owned()), Some(reason))
}

/// What becomes of a message whose time is over, where nobody has seen to it yet. Nobody is given it who asks at this time.
pub(crate) fn overdue(
    visible_at: Option<Micros>,
    expires_at: Micros,
    deliveries: u32,
    now: Micros,
) -> Option<Change> {
    match visible_at? {
        _ if expires_at <= now => Some(expired()),
        visible_at if deliveries >= MAX_DELIVERIES && visible_at <= now => Some(spent()),
        _ => None,
    }
}

fn ended(status: MessageStatus, code: Option<String>, reason: Option<String>) -> Change {
    Change { status, visible_at: None, acked_at: None, code, reason, uncounted: false }
}

/// What the event of a message that has left its inbox unread tells its sender.
pub(crate) fn left(id: &str, from: &str, code: Option<&str>, reason: Option<&str>) -> String {
    serde_json::json!({ "id": id, "from": from, "code": code, "reason": reason }).to_string()
}

/// Somebody else has changed keys at the same time.
pub(crate) fn changed_meanwhile(agent: &str) -> Error {
    let message =
        format!("the keys of agent {agent:?} were changed by somebody else meanwhile; nothing was stored");
    Error::conflict("key.conflict", message)
}

/// There is no such message.
pub(crate) fn not_found(id: &str) -> Error {
    Error::new(Kind::NotFound, "message.not_found", format!("there is no message {id:?}"))
}

/// Refusals are counted for so long: a minute.
pub(crate) const MINUTE: Micros = 60_000_000;

/// So many refusals of a sender for one reason within a minute are an alert; at most 10 are none.
pub(crate) const MANY_REFUSALS: u64 = 11;

/// The family of those alerts.
pub(crate) const FORGERIES: &str = "security.signature";

/// That alert.
pub(crate) fn forgeries(sender: &str, code: &str) -> Observation {
    let (key, who) = match sender {
        "" => (FORGERIES.to_owned(), "name no sender".to_owned()),
        _ => (format!("{FORGERIES}:{sender}"), format!("say they are from {sender}")),
    };
    let text = format!("more than 10 messages within a minute that {who} were refused: {code}");
    Observation::new(key, Severity::Critical, text)
}

/// It was admitted before.
pub(crate) fn replayed(id: &str) -> Error {
    let message = format!("message {id} was admitted before; a message counts once");
    Error::new(Kind::Denied, "sig.replayed", message)
}

/// Whether another message may wait for its recipient.
pub(crate) fn room(to: &str, waiting: usize) -> Result<()> {
    if waiting < MAX_INBOX {
        return Ok(());
    }
    let message = format!("{MAX_INBOX} messages wait for {to}, which is the most; it has to read some");
    Err(Error::new(Kind::Limited, "limit.inbox", message).after(Duration::from_secs(60)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(status: MessageStatus, delivery: u32) -> Facts {
        Facts { now: 1_000, status, delivery, code: None }
    }

    fn ack(delivery: u32) -> Settle {
        Settle { id: "m".into(), delivery, ending: Ending::Acknowledge }
    }

    #[test]
    fn an_acknowledgement_is_idempotent() {
        let change = settle(&facts(MessageStatus::Delivered, 2), &ack(2)).unwrap().unwrap();
        assert_eq!(
            (change.status, change.visible_at, change.acked_at),
            (MessageStatus::Acknowledged, None, Some(1_000))
        );
        assert_eq!(settle(&facts(MessageStatus::Acknowledged, 2), &ack(2)).unwrap(), None);
    }

    #[test]
    fn a_slow_reader_acknowledges_nothing_that_was_given_to_another() {
        for (status, delivery) in [
            (MessageStatus::Delivered, 3),
            (MessageStatus::Acknowledged, 3),
            (MessageStatus::Pending, 2),
            (MessageStatus::Failed, 2),
            (MessageStatus::Expired, 2),
        ] {
            let error = settle(&facts(status, delivery), &ack(2)).unwrap_err();
            assert_eq!(error.code(), "lease.lost", "{status}");
        }
    }

    #[test]
    fn what_nobody_has_taken_in_gives_up_its_dedupe_key() {
        let fail = |code: &str| ended(MessageStatus::Failed, Some(code.to_owned()), None);
        for (change, free) in [
            (expired(), true),
            (spent(), true),
            (fail("key.revoked"), true),
            (fail(REJECTED), false),
            (ended(MessageStatus::Acknowledged, None, None), false),
            (ended(MessageStatus::Pending, None, None), false),
        ] {
            assert_eq!(change.frees_its_key(), free, "{change:?}");
        }
    }

    #[test]
    fn what_is_over_is_so_before_anybody_sees_to_it() {
        let status = |visible_at, expires_at, deliveries| {
            overdue(visible_at, expires_at, deliveries, 1_000).map(|change| change.status)
        };
        for (visible_at, expires_at, deliveries, expected) in [
            (Some(0), 1_001, 4, None),
            (Some(0), 1_000, 0, Some(MessageStatus::Expired)),
            (Some(2_000), 1_000, 1, Some(MessageStatus::Expired)),
            (Some(1_000), 1_001, 5, Some(MessageStatus::Failed)),
            (Some(1_001), 2_000, 5, None),
            (None, 1_000, 5, None),
        ] {
            assert_eq!(status(visible_at, expires_at, deliveries), expected);
        }
    }

    #[test]
    fn what_goes_back_is_visible_later() {
        let again = Settle { ending: Ending::Again(Duration::from_secs(1)), ..ack(1) };
        let change = settle(&facts(MessageStatus::Delivered, 1), &again).unwrap().unwrap();
        assert_eq!((change.status, change.visible_at), (MessageStatus::Pending, Some(1_001_000)));
        assert!(!change.uncounted);
    }

    #[test]
    fn what_reached_nobody_does_not_count() {
        let back = Settle { ending: Ending::Back(None), ..ack(2) };
        let change = settle(&facts(MessageStatus::Delivered, 2), &back).unwrap().unwrap();
        assert_eq!((change.status, change.visible_at), (MessageStatus::Pending, Some(1_000)));
        assert!(change.uncounted);
        for (status, delivery) in [(MessageStatus::Pending, 1), (MessageStatus::Acknowledged, 2)] {
            assert_eq!(settle(&facts(status, delivery), &back).unwrap_err().code(), "lease.lost");
        }
    }
}

//! What users call: `kurultai.messages()`.

use super::{
    Identity,
    again::LOOK,
    contract::{Answer, Ending, Fetch, KeyStore, Mailbox, Part, Post, Settle, Settled, Stored, Which},
    draft,
    hot::Hot,
    inbox_guard::InboxGuard,
    opening,
    rules::{self, REJECTED},
    team,
    token::{self, Draft},
    types::{AgentMessage, Inbox, MessageFilter, MessagePage, NewMessage, Receipt, Sent, Unread},
    vault::Vault,
};
use crate::{
    agents::Term,
    check,
    clock::{monotonic, time},
    error::{Error, Kind, Result},
    events::{Event, Events},
    session::Session,
};
use futures::TryFutureExt;
use std::{
    collections::HashSet,
    sync::Arc,
    time::{Duration, Instant},
};
use tracing::instrument;

/// What may bring something into an inbox.
const RECEIVED: &[&str] = &["message.received", "role.changed"];

/// Signed messages between the agents of one team. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Messages {
    pub(super) mailbox: Arc<dyn Mailbox>,
    pub(super) keys: Arc<dyn KeyStore>,
    pub(super) vault: Arc<Vault>,
    hot: Arc<Hot>,
    events: Events,
    pub(super) session: Arc<Session>,
    under: Option<Term>,
}

impl Messages {
    pub(crate) fn new(
        mailbox: Arc<dyn Mailbox>,
        keys: Arc<dyn KeyStore>,
        vault: Arc<Vault>,
        events: Events,
        limit: usize,
        session: Arc<Session>,
    ) -> Self {
        let hot = Arc::new(Hot::new(&mailbox, &session.calls, limit));
        Messages { mailbox, keys, vault, hot, events, session, under: None }
    }

    /// The same for who acts as the holder of a role: what this handle sends is stored only where the role is still held
    /// under this term, which the store checks in the same transaction. Otherwise it is `role.stale_term`, and nothing was
    /// sent. Other operations go on as they are.
    pub fn under(&self, term: impl Into<Term>) -> Messages {
        Messages { under: Some(term.into()), ..self.clone() }
    }

    /// Signs a message with the handle's identity, or as an agent whose key the team keeps (`keys.rotate_in_store`) and that
    /// the message names as its sender, and puts it into its recipient's inbox, with an event `message.received`.
    ///
    /// Errors: `input.invalid`, `input.payload`; `config.identity` where the handle has no identity of the sender;
    /// `config.wrapping_key` where it lacks the key that opens the sender's;
    /// `key.unknown`, `key.revoked`, `key.expired` where the team does not know the key or no more; `message.conflict` where
    /// its sender has sent the dedupe key with another recipient, type or body; `limit.inbox` (retry) where
    /// 10,000 messages wait for the recipient. After `store.outcome_unknown` repeat it with a dedupe key. Cancel
    /// safe: a dropped call may still send.
    pub async fn send(&self, message: NewMessage) -> Result<Sent> {
        let mut sent = self.send_many(vec![message]).await?;
        sent.pop().ok_or_else(|| Error::internal("a message without an answer"))
    }

    /// Sends many, all in one transaction or none. Errors as [`send`](Self::send), which name the row.
    #[instrument(level = "debug", skip_all, fields(count = messages.len()))]
    pub async fn send_many(&self, messages: Vec<NewMessage>) -> Result<Vec<Sent>> {
        let many = messages.len() > 1;
        let (mut posts, mut kept) = (Vec::with_capacity(messages.len()), vec![]);
        for (index, message) in messages.into_iter().enumerate() {
            let signed = self.signed(message, &mut kept).await;
            posts.push(signed.map_err(|error| if many { error.of_row("message", index) } else { error })?);
        }
        if posts.is_empty() {
            return Ok(vec![]);
        }
        self.put(posts, self.under.clone()).await
    }

    /// Those of the dedupe keys that a message has: one that waits, or that somebody has taken in.
    pub(crate) async fn told(&self, dedupe_keys: Vec<String>) -> Result<HashSet<String>> {
        Ok(self.mailbox.told(dedupe_keys).await?.into_iter().collect())
    }

    /// Signed, on their way into the store. Their dedupe keys are the team's and not their sender's, so only what is stored
    /// under a term may have them. Errors as of [`send`](Self::send).
    pub(crate) async fn sealed(&self, messages: Vec<NewMessage>) -> Result<Vec<Post>> {
        let (mut posts, mut kept) = (Vec::with_capacity(messages.len()), vec![]);
        for message in messages {
            let dedupe_key = message.dedupe_key.clone();
            posts.push(Post { dedupe_key, ..self.signed(message, &mut kept).await? });
        }
        Ok(posts)
    }

    /// `kept` are identities that the store has given before.
    async fn signed(&self, message: NewMessage, kept: &mut Vec<Identity>) -> Result<Post> {
        let sender = message.sender.as_deref();
        let identity = match kept.iter().find(|identity| sender == Some(identity.agent())) {
            Some(identity) => identity.clone(),
            None => {
                let identity = self.signer(sender).await?;
                kept.push(identity.clone());
                identity
            }
        };
        draft::audience("to", &message.to)?;
        if let Some(key) = &message.dedupe_key {
            check::text("dedupe_key", key, 256)?;
        }
        let mut draft = Draft::new(
            identity.agent(),
            message.to,
            message.message_type,
            time(self.session.config.clock.now()),
        )
        .namespace(&self.session.config.namespace)
        .body(message.body);
        (draft.task, draft.reply_to, draft.lifetime) = (message.task_id, message.reply_to, message.ttl);
        let token = token::sign(&draft, identity.signer())?;
        let expires_at = draft.expires_at()?.timestamp_micros();
        let dedupe_key = message.dedupe_key.map(|key| rules::own_key(&draft.sender, &key));
        Ok(Post {
            id: draft.id,
            sender: draft.sender,
            key_id: identity.signer().key_id().to_owned(),
            to: draft.audience,
            message_type: draft.message_type,
            body: draft.body.as_str().to_owned(),
            task_id: draft.task,
            reply_to: draft.reply_to,
            dedupe_key,
            urgent: message.urgent,
            expires_at,
            token,
        })
    }

    /// What signs as this agent: an identity of the handle, or a key that the team keeps.
    async fn signer(&self, agent: Option<&str>) -> Result<Identity> {
        let lacks = match self.identity(agent) {
            Ok(identity) => return Ok(identity.clone()),
            Err(error) => error,
        };
        let Some(agent) = agent.filter(|_| !self.vault.is_empty()) else { return Err(lacks) };
        check::agent("sender", agent)?;
        let now = time(self.session.config.clock.now());
        team::identity(&*self.keys, &self.vault, agent, now).await?.ok_or(lacks)
    }

    /// The identity of this agent, or the only one.
    fn identity(&self, agent: Option<&str>) -> Result<&Identity> {
        let identities = &self.session.config.identities;
        let found = match (agent, identities.as_slice()) {
            (Some(agent), all) => all.iter().find(|identity| identity.agent() == agent),
            (None, [only]) => Some(only),
            (None, _) => None,
        };
        found.ok_or_else(|| {
            let message = match (agent, identities.len()) {
                (Some(agent), _) => {
                    format!("this handle cannot sign as {agent:?}; open the team with its identity, or with the wrapping key of a team that keeps it")
                }
                (None, 0) => "this handle has no identity to sign with; open the team with one".to_owned(),
                (None, count) => format!("this handle has {count} identities; say which is the sender"),
            };
            Error::new(Kind::Config, "config.identity", message)
        })
    }

    /// The agent whose inbox is meant: this one, or that of the only identity.
    fn whose(&self, agent: Option<&str>) -> Result<String> {
        let agent = match agent {
            Some(agent) => agent,
            None => self.identity(None)?.agent(),
        };
        check::agent("agent", agent)?;
        Ok(agent.to_owned())
    }

    pub(super) async fn put(&self, posts: Vec<Post>, under: Option<Term>) -> Result<Vec<Sent>> {
        let _call = self.session.calls.begin()?;
        let sent = match under {
            None => self.hot.put.call(posts).await?,
            Some(under) => self.mailbox.put_under(posts, under).await?,
        };
        self.session.news.announce_events();
        Ok(sent)
    }

    /// Messages for an agent and for the roles that it holds at this moment, urgent ones first, then the oldest. Nobody
    /// else is given them for `visible`; whoever has them acknowledges or rejects each within that time, else it is delivered again, five times in all. They are `max` at
    /// most, and no more once they have 16 MiB. What is no
    /// longer signed by a good key, or was delivered too often, leaves the inbox as `failed`, with an event for its
    /// sender. Where there is none it waits up to `wait` and returns as soon as one comes.
    ///
    /// Errors: `input.invalid`, `config.identity` where neither the request nor the handle says for whom;
    /// `config.wrapping_key` where there are only legacy envelopes that this handle lacks the wrapping key for. Cancel safe:
    /// what a dropped call was given goes back at once, and is not counted as delivered.
    pub async fn inbox(&self, request: Inbox) -> Result<Vec<AgentMessage>> {
        self.guarded(request).await.map(InboxGuard::take)
    }

    /// [`inbox`](Self::inbox) for a binding, in which the way to the reader goes on after this call.
    pub fn inbox_guarded(&self, request: Inbox) -> impl Future<Output = Result<InboxGuard>> + Send + '_ {
        self.guarded(request).map_ok(InboxGuard::reached)
    }

    /// A close waits for what it is given, until that is taken or has gone back.
    #[instrument(level = "debug", skip_all)]
    pub(crate) async fn guarded(&self, request: Inbox) -> Result<InboxGuard> {
        let agent = self.whose(request.agent.as_deref())?;
        if !(1..=1000).contains(&request.max) {
            return Err(Error::invalid("max", request.max, "1 to 1000"));
        }
        check::held("visible", request.visible)?;
        if let Some(types) = &request.types {
            check::names("types", types)?;
        }
        let deadline = monotonic() + request.wait.min(Duration::from_secs(86_400));
        let fetch =
            Fetch { agent, types: request.types, max: request.max, visible: request.visible, answer: None };
        self.fetch_until(fetch, deadline).await
    }

    async fn fetch_until(&self, fetch: Fetch, deadline: Instant) -> Result<InboxGuard> {
        let mut again = self.hot.again.listen();
        loop {
            // First: what comes after the fetch is behind it.
            let position = if monotonic() < deadline { self.events.position().await? } else { 0 };
            again.mark_unchanged();
            let given = self.fetch(fetch.clone()).await?;
            let nothing = given.stored.is_empty();
            if !given.is_empty() || (nothing && monotonic() >= deadline) {
                return Ok(given);
            }
            // Those that are no good have been failed.
            drop(given.take());
            if nothing {
                tokio::select! {
                    heard = self.hear(&fetch.agent, position, deadline) => heard?,
                    _ = again.changed() => {}
                }
            }
        }
    }

    fn opened(&self, stored: &Stored, audiences: &[String]) -> Result<AgentMessage> {
        opening::opened(stored, &self.session.config, &self.vault, audiences)
    }

    async fn fetch(&self, fetch: Fetch) -> Result<InboxGuard> {
        let _call = self.session.calls.begin()?;
        let mut given = self.hot.fetch.call(fetch).await?;
        let (mut bad, mut lacks) = (vec![], None);
        for stored in &given.stored {
            match self.opened(stored, std::slice::from_ref(&stored.to)) {
                Ok(message) => given.messages.push(message),
                // Not the message is wrong but this process: somebody else may open it.
                Err(error) if error.kind() == Kind::Config => {
                    bad.push(later(stored));
                    lacks.get_or_insert(error);
                }
                Err(error) => bad.push(failed(stored, &error)),
            }
        }
        if !bad.is_empty() {
            drop(self.hot.settle.call(bad).await?);
            self.session.news.announce_events();
        }
        match lacks {
            Some(error) if given.is_empty() => {
                // They have been put off.
                drop(given.take());
                Err(error)
            }
            _ => Ok(given),
        }
    }

    /// Until a message has come for the agent or for a role, or it has become its holder, or it is time to look again.
    async fn hear(&self, agent: &str, position: i64, deadline: Instant) -> Result<()> {
        let deadline = deadline.min(monotonic() + LOOK);
        let mut position = position;
        loop {
            let wait = deadline.saturating_duration_since(monotonic());
            if wait.is_zero() {
                return Ok(());
            }
            let page = self.events.next_about(RECEIVED, position, wait).await?;
            position = page.next;
            let concerns = |to: String| to == agent || to.starts_with("role:");
            if page.events.iter().any(|event| told(event, "to").is_some_and(concerns)) {
                return Ok(());
            }
        }
    }

    /// Says that messages were taken in. A repetition has the same answer, marked `repeated`. Each has its own answer:
    /// `lease.lost` where it was given to somebody else meanwhile or has left the inbox, `message.not_found`. Cancel
    /// safe: a dropped call may still acknowledge.
    #[instrument(level = "debug", skip_all, fields(count = receipts.len()))]
    pub async fn ack(&self, receipts: &[Receipt]) -> Result<Vec<Result<Settled>>> {
        self.settle(receipts, &Ending::Acknowledge).await
    }

    /// Refuses a message for good: it is `failed`, and its sender hears of it by the event `message.failed`. Errors as
    /// [`ack`](Self::ack), `input.invalid`.
    pub async fn reject(&self, receipt: &Receipt, reason: &str) -> Result<Settled> {
        check::text("reason", reason, 1_000)?;
        let ending = Ending::Fail { code: REJECTED.to_owned(), reason: reason.to_owned() };
        self.settle_one(receipt, &ending).await
    }

    /// Gives a message back, to be delivered again after this time; it counts as delivered. Errors as
    /// [`ack`](Self::ack).
    pub async fn retry(&self, receipt: &Receipt, after: Duration) -> Result<Settled> {
        check::span("after", after)?;
        self.settle_one(receipt, &Ending::Again(after)).await
    }

    pub(crate) async fn settle_one(&self, receipt: &Receipt, ending: &Ending) -> Result<Settled> {
        let mut settled = self.settle(std::slice::from_ref(receipt), ending).await?;
        settled.pop().unwrap_or_else(|| Err(Error::internal("a delivery without an answer")))
    }

    async fn settle(&self, receipts: &[Receipt], ending: &Ending) -> Result<Vec<Result<Settled>>> {
        if receipts.is_empty() {
            return Ok(vec![]);
        }
        let settle = |receipt: &Receipt| Settle {
            id: receipt.id.clone(),
            delivery: receipt.delivery,
            ending: ending.clone(),
        };
        let _call = self.session.calls.begin()?;
        let settled = self.hot.settle.call(receipts.iter().map(settle).collect()).await?;
        self.session.news.announce_events();
        if let Ending::Again(after) = ending {
            self.hot.again.announce_after(*after);
        }
        Ok(settled)
    }

    /// How many messages wait for an agent, or for the handle's identity, and for the roles that it holds. Errors: `config.identity`. Cancel safe.
    #[instrument(level = "debug", skip(self))]
    pub async fn unread(&self, agent: Option<&str>) -> Result<Unread> {
        self.mailbox.unread(&self.whose(agent)?).await
    }

    /// What was said in an exchange, in the order in which it came: the first 1,000 messages, or those that have 16 MiB.
    /// Errors: `input.invalid`. Cancel safe.
    #[instrument(level = "debug", skip(self))]
    pub async fn thread(&self, id: &str) -> Result<Vec<AgentMessage>> {
        check::text("id", id, 128)?;
        let part = self.mailbox.read(Which::Thread(id.to_owned()), None, 1_000).await?;
        Ok(self.seen(&part.stored))
    }

    /// Messages in about the order in which they were sent, however they stand, a page at a time; a page ends early where
    /// it has 16 MiB. Those whose signature no longer holds are left out. Errors: `input.invalid`. Cancel safe.
    #[instrument(level = "debug", skip_all)]
    pub async fn list(&self, filter: MessageFilter) -> Result<MessagePage> {
        if !(1..=1000).contains(&filter.limit) {
            return Err(Error::invalid("limit", filter.limit, "1 to 1000"));
        }
        let which = match (filter.to, filter.from) {
            (Some(to), None) => Which::To(vec![to]),
            (None, Some(from)) => Which::From(from),
            (None, None) => Which::All,
            (Some(_), Some(_)) => return Err(Error::invalid("from", "both", "either `to` or `from`")),
        };
        let Part { stored, more } = self.mailbox.read(which, filter.cursor, filter.limit).await?;
        let next = stored.last().filter(|_| more).map(|last| last.id.clone());
        Ok(MessagePage { messages: self.seen(&stored), next })
    }

    fn seen(&self, stored: &[Stored]) -> Vec<AgentMessage> {
        let open = |stored| match self.opened(stored, &[]) {
            Ok(message) => Some(message),
            Err(error) => {
                tracing::warn!(%error, id = stored.id, "a stored message is not shown");
                None
            }
        };
        stored.iter().filter_map(open).collect()
    }

    /// Sends a message and waits for the answer to it, which it acknowledges: a message that is signed as an answer to this one
    /// by the agent that was asked, or, where a role was asked, by the agent that was last given the message. What others
    /// answer stays in the inbox. Whoever reads the sender's inbox meanwhile may be given the answer instead.
    ///
    /// Errors: as [`send`](Self::send); `message.no_reply` (a retry waits for nothing that was sent before: give a
    /// dedupe key) where none comes in time. Cancel safe: the message may be sent, and its answer is in the inbox.
    #[instrument(level = "debug", skip_all)]
    pub async fn ask(&self, message: NewMessage, timeout: Duration) -> Result<AgentMessage> {
        let deadline = monotonic() + timeout.min(Duration::from_secs(86_400));
        let sender = self.signer(message.sender.as_deref()).await?.agent().to_owned();
        let to = message.to.clone();
        let from = Some(to.clone()).filter(|to| !to.starts_with("role:"));
        let sent = self.send(message).await?;
        let fetch = Fetch {
            agent: sender,
            types: None,
            max: 1,
            visible: Duration::from_secs(60),
            answer: Some(Answer { to: sent.id.clone(), from }),
        };
        let given = self.fetch_until(fetch, deadline).await?;
        for settled in self.ack(&given.iter().map(AgentMessage::receipt).collect::<Vec<_>>()).await? {
            settled?;
        }
        given.take().pop().ok_or_else(|| {
            let message = format!("{to} has not answered message {} in {} s", sent.id, timeout.as_secs_f64());
            Error::new(Kind::TimedOut, "message.no_reply", message)
        })
    }
}

fn failed(stored: &Stored, error: &Error) -> Settle {
    let ending = Ending::Fail { code: error.code().to_owned(), reason: error.message().to_owned() };
    Settle { id: stored.id.clone(), delivery: stored.delivery, ending }
}

fn later(stored: &Stored) -> Settle {
    let ending = Ending::Again(Duration::from_secs(60));
    Settle { id: stored.id.clone(), delivery: stored.delivery, ending }
}

fn told(event: &Event, name: &str) -> Option<String> {
    event.payload.as_ref()?.value().get(name)?.as_str().map(str::to_owned)
}

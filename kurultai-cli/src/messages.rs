//! `kurultai messages`: who said what. Whoever sends names a key file.

use crate::{
    output::{Done, remark, say, say_all, say_json, table, text, whole},
    service::terminated,
    stdin,
    text::{clean, count, duration, natural, quoted, utc, word},
};
use kurultai_core::{
    Config, Error, Json, Kind, Kurultai,
    events::{Event, EventFilter},
    messages::{Accept, AgentMessage, Identity, Inbox, MessageFilter, NewMessage, Receipt, Recipient},
};
use std::{path::PathBuf, time::Duration};

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Sign a message and put it into its recipient's inbox; prints its id
    Send(Box<Send>),
    /// Admit a token or a legacy envelope that came from outside, - for stdin; prints the message's id
    Accept {
        #[arg(value_parser = stdin::text)]
        token: String,
        /// For whom it must be; an envelope that names nobody needs it
        #[arg(long)]
        to: Option<String>,
    },
    /// Messages for an agent; prints each with a line `RECEIPT <string>`
    Inbox {
        agent: String,
        #[arg(long, default_value_t = 10, allow_negative_numbers = true, value_parser = natural::<usize>)]
        max: usize,
        /// Only these types
        #[arg(long, value_delimiter = ',')]
        types: Vec<String>,
        /// How long to wait for the first
        #[arg(long, allow_hyphen_values = true, value_parser = duration, default_value = "0s")]
        wait: Duration,
        /// How long nobody else is given them
        #[arg(long, allow_hyphen_values = true, value_parser = duration, default_value = "60s")]
        visible: Duration,
    },
    /// Say that messages were taken in
    Ack {
        #[arg(required = true, value_parser = word::<Receipt>)]
        receipts: Vec<Receipt>,
    },
    /// Refuse a message for good; its sender hears of it
    Reject {
        #[arg(value_parser = word::<Receipt>)]
        receipt: Receipt,
        #[arg(long)]
        reason: String,
    },
    /// How many messages wait for an agent
    Unread { agent: String },
    /// Everything that was said in an exchange
    Thread { id: String },
    /// Messages, however they stand
    List {
        #[arg(long)]
        to: Option<String>,
        #[arg(long, conflicts_with = "to")]
        from: Option<String>,
        #[arg(long, default_value_t = 100, allow_negative_numbers = true, value_parser = natural::<usize>)]
        limit: usize,
        /// What the page before ended with
        #[arg(long)]
        cursor: Option<String>,
    },
    /// Messages as they come, until interrupted; takes none out of its inbox; with --json one message a line
    Tail(Tail),
}

#[derive(Debug, clap::Args)]
pub(crate) struct Tail {
    /// Only to this agent or role
    #[arg(long)]
    to: Option<String>,
    /// Only from this agent
    #[arg(long)]
    from: Option<String>,
    /// Only of this type
    #[arg(long = "type", value_name = "TYPE")]
    message_type: Option<String>,
    /// Begin after the event of this number instead of now
    #[arg(long, allow_negative_numbers = true)]
    after: Option<i64>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Send {
    /// An agent's id, or role:NAME
    to: String,
    #[arg(value_name = "TYPE")]
    message_type: String,
    /// JSON, or - for stdin
    #[arg(value_parser = stdin::text, allow_negative_numbers = true)]
    body: Option<String>,
    /// The sender's key file
    #[arg(long, value_name = "FILE", required_unless_present_any = ["key_of", "sender"])]
    key: Option<PathBuf>,
    /// The sender, whose key is in the environment: AGENT_KEY_<ID>
    #[arg(long, value_name = "AGENT", conflicts_with = "key")]
    key_of: Option<String>,
    /// The sender, whose key the team keeps in its store; needs the wrapping key
    #[arg(long = "as", value_name = "AGENT", conflicts_with_all = ["key", "key_of"])]
    sender: Option<String>,
    /// The task that it is about
    #[arg(long, value_name = "ID")]
    task: Option<String>,
    /// The message that it answers
    #[arg(long, value_name = "ID")]
    reply_to: Option<String>,
    /// A second message of this key is not sent, unless the first was never read
    #[arg(long, value_name = "KEY")]
    dedupe_key: Option<String>,
    /// How long it may wait
    #[arg(long, allow_hyphen_values = true, value_parser = duration)]
    ttl: Option<Duration>,
    /// Before all that are not
    #[arg(long)]
    urgent: bool,
    /// Wait so long for the answer of whom it is for, and print it; who has answered is said on stderr
    #[arg(long, allow_hyphen_values = true, value_parser = duration)]
    ask: Option<Duration>,
}

impl Command {
    /// Who sends opens the team with a key.
    pub(crate) fn identified(&self, config: Config) -> kurultai_core::Result<Config> {
        let Command::Send(send) = self else { return Ok(config) };
        let identity = match (&send.key, &send.key_of) {
            (Some(path), _) => Identity::read(path)?,
            (None, Some(agent)) => Identity::from_env(agent)?,
            (None, None) => return Ok(config),
        };
        Ok(config.identity(identity))
    }

    pub(crate) async fn run(self, kurultai: &Kurultai, json: bool) -> Done {
        let messages = kurultai.messages();
        match self {
            Command::Send(send) => send.run(kurultai, json).await,
            Command::Accept { token, to } => {
                let sent = messages.accept(Accept { text: token, to }).await?;
                if json { say_json(&sent) } else { say(sent.id) }
            }
            Command::Inbox { agent, max, types, wait, visible } => {
                let types = (!types.is_empty()).then_some(types);
                let got = messages.inbox(Inbox { agent: Some(agent), max, types, wait, visible }).await?;
                if json {
                    let given = |message| serde_json::json!({"receipt": AgentMessage::receipt(message).to_string(), "message": message});
                    return say_json(&got.iter().map(given).collect::<Vec<_>>());
                }
                got.iter().try_for_each(given)
            }
            Command::Ack { receipts } => {
                let settled =
                    messages.ack(&receipts).await?.into_iter().collect::<Result<Vec<_>, Error>>()?;
                let said = count(settled.len(), "message");
                if json { say_json(&settled) } else { say(format!("{said} acknowledged")) }
            }
            Command::Reject { receipt, reason } => {
                let settled = messages.reject(&receipt, &reason).await?;
                if json {
                    say_json(&settled)
                } else {
                    say(format!("{} is {}", clean(&settled.id), settled.status))
                }
            }
            Command::Unread { agent } => {
                let unread = messages.unread(Some(&agent)).await?;
                if json {
                    say_json(&unread)
                } else {
                    say(format!("{} unread, {} urgent", unread.count, unread.urgent))
                }
            }
            Command::Thread { id } => listed(&messages.thread(&id).await?, None, json),
            Command::List { to, from, limit, cursor } => {
                let page = messages.list(MessageFilter { to, from, limit, cursor }).await?;
                if json { say_json(&page) } else { listed(&page.messages, page.next.as_deref(), false) }
            }
            // To be asked to end is how it ends.
            Command::Tail(tail) => tokio::select! {
                ended = tail.run(kurultai, json) => ended,
                _ = tokio::signal::ctrl_c() => Ok(()),
                () = terminated() => Ok(()),
            },
        }
    }
}

impl Tail {
    async fn run(self, kurultai: &Kurultai, json: bool) -> Done {
        let events = kurultai.events();
        let after_seq = match self.after {
            Some(after_seq) => after_seq,
            None => events.last_seq().await?,
        };
        let topic = Some("message.received".to_owned());
        let filter = EventFilter { topic, source: self.from, after_seq, ..EventFilter::default() };
        let mut follow = events.follow(filter)?;
        loop {
            for event in follow.next().await? {
                let is = |name, wanted: &Option<String>| wanted.is_none() || told(&event, name) == *wanted;
                let (true, true, Some(id)) =
                    (is("to", &self.to), is("type", &self.message_type), told(&event, "id"))
                else {
                    continue;
                };
                match received(kurultai, &id).await? {
                    Some(message) if json => say_json(&message)?,
                    Some(message) => say(line(&message))?,
                    None => remark(&format!(
                        "{} is not shown: its signature holds no more, or it is gone",
                        clean(&id)
                    )),
                }
            }
        }
    }
}

fn told(event: &Event, name: &str) -> Option<String> {
    Some(event.payload.as_ref()?.value().get(name)?.as_str()?.to_owned())
}

/// The message itself; its event has no body.
async fn received(kurultai: &Kurultai, id: &str) -> Result<Option<AgentMessage>, Error> {
    // Lists are in the order of the ids, and this sorts right before it.
    let before = id.get(..id.len().saturating_sub(1)).map(str::to_owned);
    let filter = MessageFilter { limit: 1, cursor: before, ..MessageFilter::default() };
    let page = kurultai.messages().list(filter).await?;
    Ok(page.messages.into_iter().find(|message| message.id == id))
}

fn line(message: &AgentMessage) -> String {
    let AgentMessage { sender, to, message_type, body, created_at, urgent, .. } = message;
    let urgent = if *urgent { "  urgent" } else { "" };
    let (sender, to, kind) = (clean(sender), quoted(to), quoted(message_type));
    format!("{}  {sender} -> {to}  {kind}{urgent}  {}", utc(*created_at), clean(body.as_str()))
}

impl Send {
    async fn run(self, kurultai: &Kurultai, json: bool) -> Done {
        let body = self.body.map_or(Ok(Json::default()), Json::text)?;
        let message = NewMessage {
            sender: self.sender,
            task_id: self.task,
            reply_to: self.reply_to,
            dedupe_key: self.dedupe_key,
            ttl: self.ttl,
            urgent: self.urgent,
            ..NewMessage::new(self.to, self.message_type, body)
        };
        let to = message.to.clone();
        if let Some(timeout) = self.ask {
            if !json {
                remark_if_unknown(kurultai, &to).await;
            }
            let answer = kurultai.messages().ask(message, timeout).await?;
            if json {
                return say_json(&answer);
            }
            let (agent, key) = (clean(&answer.verified.agent), clean(&answer.verified.key_id));
            remark(&format!("{agent} has answered, signed with {key}"));
            return say(clean(answer.body.as_str()));
        }
        let sent = kurultai.messages().send(message).await?;
        if json {
            return say_json(&sent);
        }
        if sent.recipient == Recipient::Unknown {
            remark_if_unknown(kurultai, &to).await;
        }
        say(sent.id)
    }
}

/// A message waits for an agent that is registered later as well; most often its name was mistyped.
async fn remark_if_unknown(kurultai: &Kurultai, to: &str) {
    if to.starts_with("role:") {
        return;
    }
    let Err(error) = kurultai.agents().get(to).await else { return };
    if error.kind() == Kind::NotFound {
        remark(&format!("{}; the message waits for it", clean(error.message())));
    }
}

fn given(message: &AgentMessage) -> Done {
    let urgent = if message.urgent { ", urgent" } else { "" };
    let (sender, key) = (clean(&message.verified.agent), clean(&message.verified.key_id));
    say(format!(
        "{}  {} from {sender}{urgent}, signed with {key}",
        clean(&message.id),
        quoted(&message.message_type)
    ))?;
    if let Some(task) = &message.task_id {
        say(format!("  task    {}", quoted(task)))?;
    }
    say(format!("  body    {}", clean(message.body.as_str())))?;
    say(format!("  RECEIPT {}", message.receipt()))
}

fn listed(messages: &[AgentMessage], next: Option<&str>, json: bool) -> Done {
    if json {
        return say_json(&messages);
    }
    if messages.is_empty() {
        return say("no message");
    }
    let row = |message: &AgentMessage| {
        vec![
            utc(message.created_at),
            message.sender.clone(),
            message.to.clone(),
            message.status.to_string(),
            quoted(&message.message_type),
            message.body.as_str().to_owned(),
        ]
    };
    let rows: Vec<Vec<String>> = messages.iter().map(row).collect();
    let columns = [whole("SENT"), whole("FROM"), whole("TO"), whole("STATUS"), text("TYPE"), text("BODY")];
    say_all(&table(&columns, &rows))?;
    next.map_or(Ok(()), |next| say(format!("there are more: --cursor {next}")))
}

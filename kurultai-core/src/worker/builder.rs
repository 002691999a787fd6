//! What an agent is told before it begins.

use super::{
    handlers::Handlers,
    held::is_closed,
    jobs::Jobs,
    messages::{self, MESSAGE_TIMEOUT, MessageHandlers, MessageListener, MessageReport},
    report::{Listener, Report},
    settings::{OnStall, Settings},
};
use crate::{
    agents::{AgentStatus, NewAgent},
    check, config,
    error::{Error, Result},
    json::Json,
    kurultai::Kurultai,
};
use std::time::Duration;

/// An agent at work: what it can do and how. Nothing happens before it [`run`](Self::run)s its handlers, or is
/// [`start`](Self::start)ed to have its jobs pulled.
///
/// ```no_run
/// # use kurultai_core::{Kurultai, Result, worker::{BoxError, Context, Agent}};
/// async fn review(ctx: Context, pr: u64) -> Result<String, BoxError> {
///     ctx.progress(0.5).await?;
///     Ok(format!("{pr} is fine"))
/// }
///
/// # async fn example() -> Result<()> {
/// let team = Kurultai::open("sqlite:team.db").await?;
/// Agent::new("temujin").capabilities(["development"]).concurrency(4).task("review", review).run(&team).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Agent {
    pub(super) settings: Settings,
    display_name: Option<String>,
    role: Option<String>,
    aliases: Option<Vec<String>>,
    capabilities: Option<Vec<String>>,
    max_concurrent: Option<u32>,
    metadata: Option<Json>,
    heartbeat: Option<Duration>,
    pub(super) handlers: Handlers,
    pub(super) message_handlers: MessageHandlers,
}

impl Agent {
    /// An agent of this id: one task at a time, of any type.
    pub fn new(agent: impl Into<String>) -> Self {
        Agent {
            settings: Settings {
                agent: agent.into(),
                concurrency: 1,
                types: None,
                message_types: vec![],
                message_timeout: MESSAGE_TIMEOUT,
                lease: Duration::from_secs(30),
                wait: Duration::from_secs(60),
                grace: Duration::from_secs(8),
                heartbeat: Duration::from_secs(30),
                stall_after: Duration::from_secs(600),
                on_stall: OnStall::Report,
                listener: Listener::default(),
                message_listener: MessageListener::default(),
            },
            display_name: None,
            role: None,
            aliases: None,
            capabilities: None,
            max_concurrent: None,
            metadata: None,
            heartbeat: None,
            handlers: Handlers::default(),
            message_handlers: MessageHandlers::default(),
        }
    }

    /// What it can do. Default: what the registry says of it already.
    pub fn capabilities<S: Into<String>>(mut self, capabilities: impl IntoIterator<Item = S>) -> Self {
        self.capabilities = Some(capabilities.into_iter().map(Into::into).collect());
        self
    }

    /// Default: what the registry says already, or else the id.
    pub fn display_name(mut self, name: impl Into<String>) -> Self {
        self.display_name = Some(name.into());
        self
    }

    /// Default: what the registry says already.
    pub fn role(mut self, role: impl Into<String>) -> Self {
        self.role = Some(role.into());
        self
    }

    /// Default: what the registry says already.
    pub fn aliases<S: Into<String>>(mut self, aliases: impl IntoIterator<Item = S>) -> Self {
        self.aliases = Some(aliases.into_iter().map(Into::into).collect());
        self
    }

    /// How many tasks the agent may hold in all its processes together. Default: what the registry says already.
    pub fn max_concurrent(mut self, most: u32) -> Self {
        self.max_concurrent = Some(most);
        self
    }

    /// A JSON object for its team. Default: what the registry says already.
    pub fn metadata(mut self, metadata: impl Into<Json>) -> Self {
        self.metadata = Some(metadata.into());
        self
    }

    /// How many tasks it holds in this process at once, 1 to 1,000, and as many messages beside them. Default 1: it does one
    /// task at a time unless it says that it can do more. See also [`max_concurrent`](Self::max_concurrent).
    pub fn concurrency(mut self, most: usize) -> Self {
        self.settings.concurrency = most;
        self
    }

    /// Only these task types. Default all. None of them: it claims nothing, which is for an agent that has
    /// [`messages`](Self::messages) to look after.
    pub fn types<S: Into<String>>(mut self, types: impl IntoIterator<Item = S>) -> Self {
        self.settings.types = Some(types.into_iter().map(Into::into).collect());
        self
    }

    /// It is also given the messages of these types that are for it, which are pulled by
    /// [`Jobs::next_message`](super::Jobs::next_message). Default none. [`on_message`](Self::on_message) is the same with a
    /// function.
    pub fn messages<S: Into<String>>(mut self, types: impl IntoIterator<Item = S>) -> Self {
        self.settings.message_types = types.into_iter().map(Into::into).collect();
        self
    }

    /// How long the most patient of their handlers may take: nobody else is given a message for so long and 10 s more. Default
    /// 60 s, at most 12 hours.
    pub fn message_timeout(mut self, longest: Duration) -> Self {
        self.settings.message_timeout = longest;
        self
    }

    /// Is told of each delivery of a message that has ended, beside the log, in which each failure is a warning. It must not
    /// block.
    pub fn on_message_report(mut self, listener: impl Fn(&MessageReport) + Send + Sync + 'static) -> Self {
        self.settings.message_listener = MessageListener::new(listener);
        self
    }

    /// How long it keeps its tasks when it falls silent. Default 30 s; renewed three times as often.
    pub fn lease(mut self, lease: Duration) -> Self {
        self.settings.lease = lease;
        self
    }

    /// How long one claim waits for work before the next is made. Default 60 s. Work that arrives ends it at once,
    /// and so does a drain.
    pub fn wait(mut self, wait: Duration) -> Self {
        self.settings.wait = wait;
        self
    }

    /// How long running jobs may go on after a drain before they are stopped and released. Default 8 s: container
    /// engines kill 10 s after they ask, and a release needs a moment too.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.settings.grace = grace;
        self
    }

    /// How often the agent says that its process runs. Default 30 s, or HEARTBEAT_INTERVAL (else
    /// AGENT_HEARTBEAT_SECONDS) in seconds. Agents of one process beat in one statement, as often as the most eager of
    /// them wants it.
    pub fn heartbeat(mut self, interval: Duration) -> Self {
        self.heartbeat = Some(interval);
        self
    }

    /// For how long a handler may show no sign of life: progress, a checkpoint, usage, [`alive`](super::Context::alive), any
    /// call on its context. Until then the renewals of its lease are signs of work of the agent. Default 10 minutes.
    pub fn stall_after(mut self, silence: Duration) -> Self {
        self.settings.stall_after = silence;
        self
    }

    /// What becomes of an attempt that is silent for longer. Default [`OnStall::Report`].
    pub fn on_stall(mut self, then: OnStall) -> Self {
        self.settings.on_stall = then;
        self
    }

    /// Is told of each attempt that has ended, beside the log, in which each failure is a warning. It is called where the
    /// attempt ends: it must not block.
    pub fn on_report(mut self, listener: impl Fn(&Report) + Send + Sync + 'static) -> Self {
        self.settings.listener = Listener::new(listener);
        self
    }

    /// Registers the agent, unless the registry says all of it already, and begins to claim. An agent that an
    /// operator drained is on duty again.
    ///
    /// Errors: `input.invalid`, `store.unavailable` and what else the store says.
    pub async fn start(mut self, kurultai: &Kurultai) -> Result<Jobs> {
        if !self.handlers.is_empty() || !self.message_handlers.is_empty() {
            return Err(Error::invalid("handlers", "given", "none for `start`; `run` calls handlers"));
        }
        self.settings.heartbeat = match self.heartbeat {
            Some(interval) => interval,
            None => config::heartbeat_interval()?,
        };
        self.check()?;
        let closed = kurultai.session().agents.is_closing();
        match self.enter(kurultai).await {
            // Meanwhile: then its loop ends as it does whenever the store is closed.
            Err(error) if is_closed(&error) && !closed => {}
            entered => entered?,
        }
        let Settings { agent, types, message_types, .. } = &self.settings;
        let types = types.as_ref().map_or("all".to_owned(), |types| types.join(", "));
        let messages = message_types.join(", ");
        let (store, namespace) = (kurultai.store_name(), kurultai.namespace());
        tracing::info!(agent, types, messages, store, namespace, "the agent has started");
        Ok(Jobs::start(kurultai, self.settings))
    }

    fn check(&self) -> Result<()> {
        let Settings { concurrency, types, message_types, message_timeout, .. } = &self.settings;
        let Settings { lease, wait, heartbeat, stall_after, .. } = &self.settings;
        if !(1..=1000).contains(concurrency) {
            return Err(Error::invalid("concurrency", concurrency, "1 to 1000"));
        }
        if types.as_ref().is_some_and(Vec::is_empty) && message_types.is_empty() {
            return Err(Error::invalid("types", "empty", "at least one type, or nothing for every type"));
        }
        messages::check("message_timeout", *message_timeout)?;
        check::names("messages", message_types)?;
        for (field, span) in [("wait", wait), ("heartbeat", heartbeat), ("stall_after", stall_after)] {
            if span.is_zero() {
                return Err(Error::invalid(
                    field,
                    "0 s",
                    "more than zero; without a pause it would never rest",
                ));
            }
        }
        check::lease(*lease)?;
        check::names("types", types.as_deref().unwrap_or_default())
    }

    async fn enter(&self, kurultai: &Kurultai) -> Result<()> {
        let agents = kurultai.agents();
        let known = agents.list().await?.into_iter().find(|agent| agent.id == self.settings.agent);
        let known = known.map(|agent| {
            let on_duty = !matches!(agent.status, AgentStatus::Draining | AgentStatus::Offline);
            let entry = NewAgent {
                id: agent.id,
                display_name: Some(agent.display_name),
                role: agent.role,
                aliases: agent.aliases,
                capabilities: agent.capabilities,
                max_concurrent: agent.max_concurrent,
                metadata: agent.metadata,
            };
            (entry, on_duty)
        });
        let (entry, on_duty) = known.unwrap_or_else(|| (NewAgent::new(&self.settings.agent), false));
        let wanted = NewAgent {
            id: entry.id.clone(),
            display_name: self.display_name.clone().or_else(|| entry.display_name.clone()),
            role: self.role.clone().or_else(|| entry.role.clone()),
            aliases: self.aliases.clone().unwrap_or_else(|| entry.aliases.clone()),
            capabilities: self.capabilities.clone().unwrap_or_else(|| entry.capabilities.clone()),
            max_concurrent: self.max_concurrent.or(entry.max_concurrent),
            metadata: self.metadata.clone().unwrap_or_else(|| entry.metadata.clone()),
        };
        if on_duty && wanted == entry { agents.beat(&wanted.id).await } else { agents.register(wanted).await }
    }
}

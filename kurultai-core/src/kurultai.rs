//! `Kurultai::open(url)`: one team's shared picture.

#[cfg(feature = "neo4j")]
use crate::neo4j::Neo4jStore;
#[cfg(feature = "sqlite")]
use crate::sqlite::SqliteStore;
use crate::{
    agents::{Agents, HeartbeatWriter},
    alarm::Alarm,
    check,
    config::{Config, Location},
    error::{Error, Result},
    events::{Events, LogReader, SubscriptionManager},
    messages::{KeyStore, Keys, Mail, Mailbox, MessageUpkeep, Messages, Vault},
    namespaces::NamespaceInfo,
    news::News,
    schedules::{ScheduleUpkeep, Schedules, Timetable},
    session::Session,
    store::Store,
    tasks::{AdoptOptions, Adoption, TaskQueue, TaskUpkeep, Tasks},
    upkeep,
};
use chrono::TimeDelta;
use std::sync::Arc;

/// One team on one store. Cheap to clone; needs a running tokio runtime.
#[derive(Debug, Clone)]
pub struct Kurultai {
    store: Arc<dyn Store>,
    tasks: Tasks,
    task_upkeep: Arc<TaskUpkeep>,
    agents: Agents,
    schedules: Schedules,
    schedule_upkeep: Arc<ScheduleUpkeep>,
    messages: Messages,
    message_upkeep: Arc<MessageUpkeep>,
    keys: Keys,
    events: Events,
    reader: Arc<LogReader>,
    session: Arc<Session>,
}

impl Kurultai {
    /// Opens a store and brings its schema up to date: `memory:`, `sqlite:PATH?durability=full|process` or
    /// `neo4j://user:password@host:7687/database`.
    ///
    /// Errors: `config.url`, `config.env`, `store.auth`, `store.unavailable` (retryable), `store.schema_newer`,
    /// `store.schema_conflict` (the file holds another program's things under our names), `store.read_only`, `store.tls` (only one side wants TLS, or the server's certificate is not trusted);
    /// of a wrapping key in the environment `config.key`, `key.permissions`, `key.weak`.
    pub async fn open(url: &str) -> Result<Self> {
        Kurultai::open_with(Config::new(url)?).await
    }

    /// Opens the store that KURULTAI_URL, or NEO4J_URI with NEO4J_USER and NEO4J_PASSWORD, name.
    pub async fn from_env() -> Result<Self> {
        Kurultai::open_with(Config::from_env()?).await
    }

    /// Opens the store that the configuration names. Errors as [`open`](Self::open).
    pub async fn open_with(config: Config) -> Result<Self> {
        let vault = Vault::of(&config)?;
        match &config.location {
            #[cfg(feature = "sqlite")]
            Location::Memory | Location::Sqlite { .. } => {
                let store = SqliteStore::open(&config).await?;
                Ok(Kurultai::on(Arc::new(store), vault, config))
            }
            #[cfg(feature = "neo4j")]
            Location::Neo4j(server) => {
                let store = Neo4jStore::open(&config, server).await?;
                Ok(Kurultai::on(Arc::new(store), vault, config))
            }
            #[cfg(not(all(feature = "sqlite", feature = "neo4j")))]
            _ => Err(crate::Error::config(
                "this program was built without that store: enable the feature `sqlite` or `neo4j` of kurultai-core",
            )),
        }
    }

    fn on<S>(store: Arc<S>, vault: Arc<Vault>, config: Config) -> Self
    where
        S: Store
            + TaskQueue
            + HeartbeatWriter
            + Timetable
            + Mailbox
            + KeyStore
            + SubscriptionManager
            + 'static,
    {
        let (news, background) = (News::new(), config.background);
        let session = Session::new(config, news.clone());
        let reader = LogReader::new(store.clone(), news.clone());
        let limit = store.batch_limit();
        let events = Events::new(store.clone(), reader.clone(), limit, session.clone());
        let (tasks, task_upkeep) =
            Tasks::new(store.clone(), store.clone(), events.clone(), limit, session.clone());
        let keys = Keys::new(store.clone(), vault.clone(), session.clone());
        let mail = Arc::new(Mail::new(store.clone(), keys.clone()));
        let message_upkeep =
            MessageUpkeep::new(store.clone(), news.clone(), session.config.retention.messages);
        let (tasks_of, mailbox, log) = (store.clone(), store.clone(), store.clone());
        let alarm =
            Arc::new(Alarm { tasks: tasks_of, mailbox, log, depth: session.config.queue_depth_alert });
        let schedule_upkeep =
            ScheduleUpkeep::new(store.clone(), news.clone(), session.config.defaults.clone());
        let rooms: Vec<Arc<dyn upkeep::Upkeep>> =
            vec![reader.clone(), task_upkeep.clone(), schedule_upkeep.clone(), message_upkeep.clone()];
        upkeep::start(news, store.clone(), rooms, background);
        Kurultai {
            tasks,
            agents: Agents::new(store.clone(), session.clone(), task_upkeep.clone(), mail, alarm),
            schedules: Schedules::new(store.clone(), session.clone()),
            schedule_upkeep,
            messages: Messages::new(
                store.clone(),
                store.clone(),
                vault,
                events.clone(),
                limit,
                session.clone(),
            ),
            message_upkeep,
            keys,
            events,
            task_upkeep,
            store,
            reader,
            session,
        }
    }

    /// What must be done.
    pub fn tasks(&self) -> Tasks {
        self.tasks.clone()
    }

    /// Who is there.
    pub fn agents(&self) -> Agents {
        self.agents.clone()
    }

    /// What is due when.
    pub fn schedules(&self) -> Schedules {
        self.schedules.clone()
    }

    /// Who said what.
    pub fn messages(&self) -> Messages {
        self.messages.clone()
    }

    /// By which keys the team knows its agents.
    pub fn keys(&self) -> Keys {
        self.keys.clone()
    }

    /// What happened.
    pub fn events(&self) -> Events {
        self.events.clone()
    }

    /// The team's name in its database.
    pub fn namespace(&self) -> &str {
        &self.session.config.namespace
    }

    /// `sqlite` or `neo4j`.
    pub fn store_name(&self) -> &'static str {
        self.store.name()
    }

    /// Statements that this process has sent to the store.
    pub fn statements(&self) -> u64 {
        self.store.statements().sent()
    }

    /// Kills this process, as SIGKILL does, at the n-th statement from now on: on SQLite when it has run, within its
    /// transaction; on Neo4j before it is sent.
    #[cfg(feature = "testing")]
    pub fn die_at_statement(&self, n: u64) {
        self.store.statements().die_at(n);
    }

    /// In debug builds on SQLite, rows read without an index and sorts so far: a test keeps the plans.
    #[cfg(feature = "testing")]
    pub fn scans(&self) -> u64 {
        self.store.scans()
    }

    /// What the background does: schedules that are due enqueue their tasks; about once a second lapsed leases return,
    /// overdue tasks expire and, on Neo4j, the edges CLAIMED and COMPLETED are drawn; about once a minute priorities age and
    /// old tasks and events are removed. Safe to call at any time, from any process.
    pub async fn maintain(&self) -> Result<()> {
        self.schedule_upkeep.maintain().await?;
        self.task_upkeep.maintain().await?;
        self.message_upkeep.maintain().await
    }

    /// Takes over tasks and agents that other programs wrote under the contract's names: on Neo4j, nodes labelled
    /// `Task` or `Agent` that have no `namespace`. What is read as what is a table in ADOPTING.md. Each node that is
    /// taken over has an event, `task.adopted` or `agent.adopted`, with what was changed as it was before. Repeating
    /// it changes nothing more. A file of SQLite has nothing to take over.
    ///
    /// Errors: `input.invalid`, `store.unavailable` where the other program changes the same nodes too quickly. What
    /// was taken over before an error stays so. Cancel safe: a repetition goes on where a dropped call was.
    pub async fn adopt(&self, options: AdoptOptions) -> Result<Adoption> {
        self.tasks.adopt(options).await
    }

    /// The namespaces of this database, in the order of their names, each with how many tasks and agents it has.
    pub async fn namespaces(&self) -> Result<Vec<NamespaceInfo>> {
        self.store.namespaces().await
    }

    /// Deletes another namespace of this database with everything in it, in portions; false where there is none of this
    /// name. Close whoever works in it first: a handle that still has it open is told `store.namespace_missing` by what
    /// it wants to write, and finds nothing; opening it again makes it anew.
    ///
    /// Errors: `input.invalid`, also for the namespace of this handle. Cancel safe: what a dropped call has deleted is
    /// gone, and a repetition goes on there.
    pub async fn delete_namespace(&self, name: &str) -> Result<bool> {
        check::agent("namespace", name)?;
        if name == self.namespace() {
            return Err(Error::invalid("namespace", name, "another one than that of the handle"));
        }
        let mut found = false;
        loop {
            let _call = self.session.calls.begin()?;
            match self.store.delete_some(name).await? {
                Some(0) => return Ok(true),
                Some(_) => found = true,
                None => return Ok(found),
            }
        }
    }

    pub(crate) async fn missing_schema(&self) -> Result<Vec<String>> {
        self.store.missing_schema().await
    }

    /// By how much the store's clock is ahead of this machine's, to within the time of an answer.
    pub(crate) async fn clock_difference(&self) -> Result<TimeDelta> {
        self.agents.clock_difference().await
    }

    /// Waits until what was sent is committed and lets go of the store. Later calls, and those that wait for work or
    /// for events, fail with `store.closed`. What was sent is what was polled once: a future that nobody has polled yet
    /// has not begun.
    ///
    /// Agents that work for this handle end as after a drain without grace: what they hold goes back, handlers at work are
    /// stopped with `drained`. Cancel safe: a close that was begun goes on where its call is dropped.
    pub async fn close(self) {
        // Before anything is waited for, so that what is called from here on is refused. Agents at work still have to
        // give back what they hold.
        self.session.claims.shut();
        if self.session.agents.shut() {
            self.session.calls.shut();
        }
        // In a task of its own, since it may stop the handler that asked for it.
        let closing = tokio::spawn(async move {
            let Session { claims, agents, calls, news, .. } = &*self.session;
            claims.close().await;
            // Those that wait for work learn it when they claim again.
            news.announce_work();
            agents.close().await;
            calls.close().await;
            self.events.give_back().await;
            self.store.close().await;
            news.close();
            self.reader.close();
        });
        if let Err(error) = closing.await {
            tracing::error!(%error, "the store was not closed");
        }
    }

    pub(crate) fn session(&self) -> &Session {
        &self.session
    }
}

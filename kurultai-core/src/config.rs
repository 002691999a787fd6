//! Where the store is and how the team wants it, in one place.

use crate::{
    check,
    clock::Clock,
    error::{Error, Kind, Result},
    messages::{Identity, wrap::WrappingKey},
    tasks::RetryPolicy,
};
use percent_encoding::percent_decode_str;
use std::{env, ffi::OsString, fmt, ops::RangeInclusive, path::PathBuf, sync::Arc, time::Duration};

/// How a team's store is opened. `Config::new(url)` has every default.
#[derive(Debug, Clone)]
pub struct Config {
    pub(crate) location: Location,
    pub(crate) namespace: String,
    pub(crate) clock: Clock,
    pub(crate) identities: Vec<Identity>,
    pub(crate) wrapping_keys: Vec<Arc<WrappingKey>>,
    pub(crate) min_version: u8,
    pub(crate) migrate: bool,
    pub(crate) background: bool,
    pub(crate) defaults: TaskDefaults,
    pub(crate) retention: Retention,
    pub(crate) aging: Option<Duration>,
    pub(crate) call_timeout: Duration,
    pub(crate) max_depth: u32,
    pub(crate) queue_depth_alert: u64,
}

/// What a task gets where its author says nothing.
#[derive(Debug, Clone)]
pub struct TaskDefaults {
    /// Attempts before the dead letters. Default 3, or TASK_QUEUE_MAX_RETRIES.
    pub max_attempts: u32,
    /// How often attempts at one task may be put off by a snooze: one more has failed. Counts where a snooze ends an
    /// attempt, and not where the task was enqueued. Default 100.
    pub max_snoozes: u32,
    /// How long a task may wait, counted from when it can be claimed. Default 30 minutes, or
    /// TASK_TIMEOUT_MINUTES; 0 there means for ever.
    pub expires_in: Option<Duration>,
    /// How long a claim lasts without renewal. Default 30 s.
    pub lease: Duration,
    /// How long a task waits between attempts. Default 60 s, doubled up to 1 h, full jitter.
    pub retry: RetryPolicy,
}

/// How long what is over is kept; `None` keeps it for ever, which is the default.
#[derive(Debug, Clone, Default)]
pub struct Retention {
    /// How long a finished task is kept; `None` for ever.
    pub tasks: Option<Duration>,
    /// How long an event is kept; `None` for ever. What a subscription that is not paused has yet to take is kept for up to
    /// twice as long.
    pub events: Option<Duration>,
    /// How long a message is kept that nobody waits for any more, counted from when its time was over: until then its
    /// token could be presented again. Refusals are kept for as long. `None` for ever.
    pub messages: Option<Duration>,
}

#[derive(Debug, Clone)]
pub(crate) enum Location {
    Memory,
    Sqlite { path: PathBuf, durability: Durability },
    Neo4j(Neo4j),
}

/// What an answer survives: `full` a power loss, `process` a crash of the program but not of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Durability {
    Full,
    Process,
}

#[derive(Clone)]
pub(crate) struct Neo4j {
    /// `neo4j://host:port` without any credential.
    pub(crate) uri: String,
    pub(crate) user: String,
    pub(crate) password: String,
    pub(crate) database: String,
}

impl fmt::Debug for Neo4j {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{} as {}", self.uri, self.database, self.user)
    }
}

impl Config {
    /// `memory:`, `sqlite:PATH?durability=full|process` or `neo4j://user:password@host:7687/database` (also `bolt`;
    /// with `+s` by TLS to a server whose certificate this machine trusts, with `+ssc` to any). User, password and
    /// database may be percent-encoded; what follows the last `@` is the host. Fails with `config.url`.
    pub fn new(url: &str) -> Result<Self> {
        Ok(Config {
            location: location(url)?,
            namespace: "default".to_owned(),
            clock: Clock::Store,
            identities: vec![],
            wrapping_keys: vec![],
            min_version: 1,
            migrate: true,
            background: true,
            defaults: TaskDefaults::from_env()?,
            retention: Retention::default(),
            aging: Some(Duration::from_secs(3600)),
            call_timeout: Duration::from_secs(30),
            max_depth: 10,
            queue_depth_alert: number("QUEUE_DEPTH_ALERT_THRESHOLD", 100)?,
        })
    }

    /// KURULTAI_URL, or else NEO4J_URI with NEO4J_USER and NEO4J_PASSWORD. A variable that is empty counts as not set.
    /// Fails with `config.url`, or with `config.env` where a variable cannot be read.
    pub fn from_env() -> Result<Self> {
        let url = match set("KURULTAI_URL")? {
            None => set("NEO4J_URI")?,
            url => url,
        };
        Config::new(&url.ok_or_else(|| {
            Error::config("no store is named: set KURULTAI_URL, for example to sqlite:team.db")
        })?)
    }

    /// The team. Two namespaces of one database never see each other. Default `default`.
    pub fn namespace(mut self, namespace: &str) -> Result<Self> {
        check::agent("namespace", namespace)?;
        namespace.clone_into(&mut self.namespace);
        Ok(self)
    }

    /// Whom this process speaks for: an agent, and what signs for it. Given several times, it may say each time who the
    /// sender is.
    pub fn identity(mut self, identity: impl Into<Identity>) -> Self {
        self.identities.push(identity.into());
        self
    }

    /// The key under which the team keeps secrets in its store. Given several times, the first wraps and each opens what it
    /// has wrapped. Default that of KURULTAI_WRAPPING_KEY, or of the file that KURULTAI_WRAPPING_KEY_FILE names.
    pub fn wrapping_key(mut self, key: impl Into<Arc<WrappingKey>>) -> Self {
        self.wrapping_keys.push(key.into());
        self
    }

    /// Which messages are taken: 1, the default, takes the legacy envelopes of older programs too, where the team keeps
    /// their keys; 2 refuses them with `sig.algorithm`, at `accept` and where they were admitted before. Fails with
    /// `input.invalid`.
    pub fn min_version(mut self, version: u8) -> Result<Self> {
        if !(1..=2).contains(&version) {
            return Err(Error::invalid("min_version", version, "1 or 2"));
        }
        self.min_version = version;
        Ok(self)
    }

    /// A clock that tests move.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Whether `open` brings the schema up to date. Default true; if false, `open` fails with
    /// `store.schema_older` where a step is missing.
    pub fn migrate(mut self, migrate: bool) -> Self {
        self.migrate = migrate;
        self
    }

    /// Whether this process by itself enqueues what schedules have due, returns lapsed leases and expires waiting tasks,
    /// about once a second, and ages priorities and removes what is old, about once a minute. Default true; without it, call `Kurultai::maintain`.
    pub fn background(mut self, background: bool) -> Self {
        self.background = background;
        self
    }

    /// What a task gets where its author says nothing.
    pub fn defaults(&self) -> &TaskDefaults {
        &self.defaults
    }

    /// What a task gets where its author says nothing.
    pub fn task_defaults(mut self, defaults: TaskDefaults) -> Self {
        self.defaults = defaults;
        self
    }

    /// How long finished tasks and events are kept. Default for ever.
    pub fn retention(mut self, retention: Retention) -> Self {
        self.retention = retention;
        self
    }

    /// A task rises one rank for each such span since it can be claimed; after a further one as P0 it comes before
    /// every weight, so that whatever can be claimed is served some day. Default 1 h; `None` for never.
    pub fn aging(mut self, aging: Option<Duration>) -> Self {
        self.aging = aging;
        self
    }

    /// How many tasks a task may have above it, counted over `parent_id`, so that agents who give work on and on are
    /// stopped: one more is `task.too_deep`. Default 10.
    pub fn max_depth(mut self, most: u32) -> Self {
        self.max_depth = most;
        self
    }

    /// From how many tasks on that wait to be claimed a watcher of this store raises an alert: a warning, and from twice
    /// as many on a critical one. It is over below four fifths of that. 0 for none. Default 100, or
    /// QUEUE_DEPTH_ALERT_THRESHOLD.
    pub fn queue_depth_alert(mut self, least: u64) -> Self {
        self.queue_depth_alert = least;
        self
    }

    /// How long a call waits for the store, over everything that it may have to wait for: another writer, a
    /// connection, repeated tries. Then it fails with `store.unavailable` where nothing was done, and with
    /// `store.outcome_unknown` where it may have been. Default 30 s. The time that a call waits for work or for events
    /// is its own.
    pub fn call_timeout(mut self, call_timeout: Duration) -> Self {
        self.call_timeout = call_timeout;
        self
    }
}

impl TaskDefaults {
    /// The defaults, as TASK_QUEUE_MAX_RETRIES and TASK_TIMEOUT_MINUTES change them. Fails with `config.env`.
    pub fn from_env() -> Result<Self> {
        let minutes = number("TASK_TIMEOUT_MINUTES", 30)?;
        Ok(TaskDefaults {
            max_attempts: number("TASK_QUEUE_MAX_RETRIES", 3)?.clamp(1, 1000) as u32,
            max_snoozes: 100,
            expires_in: (minutes > 0).then(|| Duration::from_secs(minutes * 60)),
            lease: Duration::from_secs(30),
            retry: RetryPolicy::default(),
        })
    }
}

/// A variable of the environment; an empty one is not set.
fn set(name: &str) -> Result<Option<String>> {
    match env::var_os(name).filter(|text| !text.is_empty()).map(OsString::into_string) {
        None => Ok(None),
        Some(Ok(text)) => Ok(Some(text)),
        Some(Err(_)) => Err(environment(format!("the environment variable {name} is no Unicode text"))),
    }
}

/// The longest time from one heartbeat to the next: a day.
pub const LONGEST_HEARTBEAT_INTERVAL: Duration = Duration::from_secs(86_400);

/// How often an agent says that its process runs: HEARTBEAT_INTERVAL in seconds, or else AGENT_HEARTBEAT_SECONDS;
/// 30 s where neither is set. Fails with `config.env`.
pub fn heartbeat_interval() -> Result<Duration> {
    for name in ["HEARTBEAT_INTERVAL", "AGENT_HEARTBEAT_SECONDS"] {
        if let Some(seconds) = whole(name, 1..=LONGEST_HEARTBEAT_INTERVAL.as_secs())? {
            return Ok(Duration::from_secs(seconds));
        }
    }
    Ok(Duration::from_secs(30))
}

/// A whole number from the environment; an empty variable is not set. Fails with `config.env`.
pub fn number(name: &str, default: u64) -> Result<u64> {
    Ok(whole(name, 0..=u32::MAX.into())?.unwrap_or(default))
}

fn whole(name: &str, allowed: RangeInclusive<u64>) -> Result<Option<u64>> {
    let Some(text) = set(name)? else { return Ok(None) };
    let number = text.trim().parse().ok().filter(|number| allowed.contains(number));
    number.map(Some).ok_or_else(|| {
        let (least, most) = (allowed.start(), allowed.end());
        environment(format!(
            "the environment variable {name} is {text:?}; allowed: a whole number from {least} to {most}"
        ))
    })
}

fn environment(message: String) -> Error {
    Error::new(Kind::Config, "config.env", message)
}

fn location(url: &str) -> Result<Location> {
    match url.split_once(':') {
        Some(("memory", "")) => Ok(Location::Memory),
        Some(("memory", _)) => {
            Err(Error::config("memory: takes nothing more; it is open in this process alone"))
        }
        Some(("sqlite", rest)) => sqlite(rest),
        Some((scheme, _)) if scheme.starts_with("neo4j") || scheme.starts_with("bolt") => neo4j(url),
        None => Err(Error::config("the store's URL has no scheme; for a file write sqlite: before its path")),
        // Not the URL itself: what looks like no URL may still hold a password.
        _ => Err(Error::config(
            "the store's URL has an unknown scheme; allowed: memory:, sqlite:PATH, neo4j://user:password@host:7687/database",
        )),
    }
}

fn sqlite(rest: &str) -> Result<Location> {
    let rest = rest.strip_prefix("//").unwrap_or(rest);
    let (path, options) = rest.split_once('?').unwrap_or((rest, ""));
    if path.is_empty() || path.contains('\0') {
        return Err(Error::config("sqlite: needs a path, for example sqlite:team.db"));
    }
    // As SQLite itself and other libraries call it.
    let in_memory = matches!(path, ":memory:" | "file::memory:");
    if path.starts_with("file:") && !in_memory {
        return Err(Error::config("sqlite: takes a path and no file: URI, for example sqlite:team.db"));
    }
    let mut durability = Durability::Full;
    for option in options.split('&').filter(|o| !o.is_empty()) {
        durability = match option {
            "durability=full" => Durability::Full,
            "durability=process" => Durability::Process,
            other => {
                return Err(Error::config(format!(
                    "unknown option {other:?}; allowed: durability=full|process"
                )));
            }
        };
    }
    Ok(if in_memory { Location::Memory } else { Location::Sqlite { path: path.into(), durability } })
}

#[cfg(not(feature = "neo4j"))]
fn neo4j(_: &str) -> Result<Location> {
    Err(Error::config("this program was built without Neo4j: enable the feature `neo4j` of kurultai-core"))
}

#[cfg(feature = "neo4j")]
fn neo4j(text: &str) -> Result<Location> {
    const SCHEMES: [&str; 6] = ["neo4j", "neo4j+s", "neo4j+ssc", "bolt", "bolt+s", "bolt+ssc"];
    let (scheme, rest) = text.split_once("://").unwrap_or((text, ""));
    let scheme = scheme.to_ascii_lowercase();
    // What was given is not shown: it may be a part of a password.
    if !SCHEMES.contains(&scheme.as_str()) {
        return Err(Error::config(format!(
            "a Neo4j URL begins with one of {} and then ://",
            SCHEMES.join(", ")
        )));
    }
    // A password may hold anything, also what ends a host elsewhere; a host holds no @.
    let (credentials, place) = rest.rsplit_once('@').unwrap_or(("", rest));
    let (user, password) = credentials.split_once(':').unwrap_or((credentials, ""));
    let url = url::Url::parse(&format!("{scheme}://{place}"))
        .map_err(|e| Error::config(format!("the Neo4j URL cannot be read: {e}")))?;
    let host = url.host_str().ok_or_else(|| Error::config("the Neo4j URL names no host"))?;
    let part = |given: &str, name: &str| {
        if given.is_empty() { set(name) } else { decode(given).map(Some) }
    };
    let database = url.path().trim_matches('/');
    Ok(Location::Neo4j(Neo4j {
        uri: format!("{scheme}://{host}:{}", url.port().unwrap_or(7687)),
        user: part(user, "NEO4J_USER")?.unwrap_or_else(|| "neo4j".to_owned()),
        password: part(password, "NEO4J_PASSWORD")?.unwrap_or_default(),
        database: if database.is_empty() { "neo4j".to_owned() } else { decode(database)? },
    }))
}

/// Percent-decoding and nothing else: `&` and `+` stay.
fn decode(text: &str) -> Result<String> {
    let decoded = percent_decode_str(text).decode_utf8();
    decoded.map(Into::into).map_err(|_| Error::config("a percent-encoded part of the Neo4j URL is no UTF-8"))
}

//! One error type. A [`Kind`] says what the caller should do; a dotted `code` says precisely what happened.

use std::{any::Any, error::Error as StdError, fmt, iter, sync::Arc, time::Duration};

/// A result whose error is this library's.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What the caller should do. Unless a kind says otherwise, nothing was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// The call is wrong: mend the named field.
    Input,
    /// The URL, the environment or the options are wrong.
    Config,
    /// No such task or agent in this namespace.
    NotFound,
    /// The thing exists but its state forbids this: read it again and decide.
    Conflict,
    /// Somebody else owns the task now: stop working on it.
    LeaseLost,
    /// The store did not do it and may do it later: repeat.
    Unavailable,
    /// It may have happened: repeat with the same id, unique key or lease, or look.
    OutcomeUnknown,
    /// An operator must act: disk, rights, schema.
    Storage,
    /// Refused: who we are, or who signed.
    Denied,
    /// A limit of the team is reached: repeat after `retry_after`.
    Limited,
    /// It did not come in time, and may still: wait again.
    TimedOut,
    /// The store was closed by this program: open it again.
    Closed,
    /// A defect of this library or of the database.
    Internal,
}

impl Kind {
    /// Every kind, in the order of their declaration.
    pub const ALL: [Kind; 13] = [
        Kind::Input,
        Kind::Config,
        Kind::NotFound,
        Kind::Conflict,
        Kind::LeaseLost,
        Kind::Unavailable,
        Kind::OutcomeUnknown,
        Kind::Storage,
        Kind::Denied,
        Kind::Limited,
        Kind::TimedOut,
        Kind::Closed,
        Kind::Internal,
    ];

    /// The word for it in every language: `lease_lost`.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Input => "input",
            Kind::Config => "config",
            Kind::NotFound => "not_found",
            Kind::Conflict => "conflict",
            Kind::LeaseLost => "lease_lost",
            Kind::Unavailable => "unavailable",
            Kind::OutcomeUnknown => "outcome_unknown",
            Kind::Storage => "storage",
            Kind::Denied => "denied",
            Kind::Limited => "limited",
            Kind::TimedOut => "timed_out",
            Kind::Closed => "closed",
            Kind::Internal => "internal",
        }
    }
}

type Source = Arc<dyn StdError + Send + Sync>;

/// `message` is one sentence that names the thing and the value; it never holds a password.
#[derive(thiserror::Error)]
#[error("{message} [{code}]")]
pub struct Error {
    kind: Kind,
    code: &'static str,
    message: String,
    retry_after: Option<Duration>,
    #[source]
    source: Option<Source>,
    /// Of `input.invalid`.
    wrong: Option<Box<Wrong>>,
    task_id: Option<Box<str>>,
}

/// What is wrong with a field of a call.
struct Wrong {
    field: String,
    value: String,
    allowed: String,
}

impl Error {
    /// An error that the caller words.
    pub fn new(kind: Kind, code: &'static str, message: impl Into<String>) -> Self {
        Error {
            kind,
            code,
            message: message.into(),
            retry_after: None,
            source: None,
            wrong: None,
            task_id: None,
        }
    }

    /// What the caller should do.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The dotted code, the same in every language: `lease.lost`, `store.unavailable`.
    pub fn code(&self) -> &'static str {
        self.code
    }

    /// One sentence that names the thing and the value; without the code.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Whether the same call may succeed later without any change by the caller.
    pub fn retryable(&self) -> bool {
        matches!(self.kind, Kind::Unavailable | Kind::OutcomeUnknown | Kind::Limited | Kind::TimedOut)
    }

    /// What the errors behind this one say, one after the other: for languages that cannot be given them.
    pub fn cause(&self) -> Option<String> {
        let first = self.source.as_ref().map(|source| &**source as &(dyn StdError + 'static));
        let causes: Vec<String> =
            iter::successors(first, |&error| error.source()).map(|e| e.to_string()).collect();
        (!causes.is_empty()).then(|| causes.join(": "))
    }

    /// How long to wait before the repetition, where the store knows.
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    /// The task that was waited for, of `task.failed` and `task.timeout`: so that whoever made it by a call can look at
    /// it, wait again or cancel it.
    pub fn task_id(&self) -> Option<&str> {
        self.task_id.as_deref()
    }

    pub(crate) fn of_task(mut self, id: &str) -> Self {
        self.task_id = Some(id.into());
        self
    }

    pub(crate) fn after(mut self, pause: Duration) -> Self {
        self.retry_after = Some(pause);
        self
    }

    pub(crate) fn caused_by(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(Arc::from(source.into()));
        self
    }

    /// A field of the call is wrong: names the field, the value and what is allowed.
    pub fn invalid(field: &str, value: impl fmt::Display, allowed: &str) -> Self {
        let value = value.to_string().chars().take(80).collect();
        let wrong = Wrong { field: field.to_owned(), value, allowed: allowed.to_owned() };
        let message = wrong.said_of(field);
        Error { wrong: Some(Box::new(wrong)), ..Error::new(Kind::Input, "input.invalid", message) }
    }

    /// The message, with the field as a language calls it.
    pub fn message_in(&self, name: impl FnOnce(&str) -> String) -> String {
        match &self.wrong {
            Some(wrong) => {
                let before = self.message.strip_suffix(&wrong.said_of(&wrong.field)).unwrap_or_default();
                format!("{before}{}", wrong.said_of(&name(&wrong.field)))
            }
            None => self.message.clone(),
        }
    }

    /// The same of one of many that a call names, counted from 0.
    pub fn of_row(mut self, what: &str, index: usize) -> Self {
        self.message = format!("{what} {index}: {}", self.message);
        self
    }

    /// A payload cannot be stored: names the place in it, as `$.items[3]`.
    pub fn payload(path: &str, why: impl fmt::Display) -> Self {
        Error::new(Kind::Input, "input.payload", format!("payload at {path}: {why}"))
    }

    /// The same of JSON that is no payload, but results or a checkpoint.
    pub fn about(mut self, what: &str) -> Self {
        if let Some(rest) = self.message.strip_prefix("payload at ") {
            self.message = format!("{what} at {rest}");
        }
        self
    }

    /// The URL, the environment or an option is wrong.
    pub fn config(message: impl Into<String>) -> Self {
        Error::new(Kind::Config, "config.url", message)
    }

    /// There is no such task.
    pub fn task_not_found(id: &str) -> Self {
        Error::new(Kind::NotFound, "task.not_found", format!("no task {id:?} in this namespace"))
    }

    /// There is no such agent; `nearest` is whom the name is most like.
    pub fn agent_not_found(id: &str, nearest: Option<&str>) -> Self {
        let hint = match nearest {
            Some(name) => format!("did you mean {name:?}?"),
            None => "register it first".to_owned(),
        };
        Error::new(Kind::NotFound, "agent.not_found", format!("no agent {id:?} in this namespace; {hint}"))
    }

    /// Somebody else may own the task now.
    pub fn lease_lost(message: impl Into<String>) -> Self {
        Error::new(Kind::LeaseLost, "lease.lost", message)
    }

    /// The state of the thing forbids it.
    pub fn conflict(code: &'static str, message: impl Into<String>) -> Self {
        Error::new(Kind::Conflict, code, message)
    }

    /// The store did not do it and may do it later.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Error::new(Kind::Unavailable, "store.unavailable", message).after(Duration::from_secs(1))
    }

    pub(crate) fn closed() -> Self {
        Error::new(Kind::Closed, "store.closed", "this store was closed")
    }

    /// A defect of this library or of the database.
    pub fn internal(message: impl Into<String>) -> Self {
        Error::new(Kind::Internal, "store.failed", message)
    }

    /// A panic of ours, caught.
    pub fn defect(panic: &(dyn Any + Send)) -> Self {
        Error::internal(format!("a defect of kurultai: {}", panic_text(panic)))
    }

    /// The same verdict for each caller of a batch.
    pub(crate) fn share(&self) -> Self {
        Error {
            kind: self.kind,
            code: self.code,
            message: self.message.clone(),
            retry_after: self.retry_after,
            source: self.source.clone(),
            wrong: None,
            task_id: self.task_id.clone(),
        }
    }
}

impl Wrong {
    fn said_of(&self, field: &str) -> String {
        format!("{field} is {:?}; allowed: {}", self.value, self.allowed)
    }
}

pub(crate) fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message")
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")?;
        match &self.source {
            Some(source) => write!(f, ": {source}"),
            None => Ok(()),
        }
    }
}
/// The line of an error's text that says most: the last one that is neither empty nor a frame of a stack, as JavaScript
/// has them behind the message.
pub(crate) fn gist(text: &str) -> &str {
    let lines = || text.lines().rev().map(str::trim).filter(|line| !line.is_empty());
    let frame = |line: &str| line.starts_with("at ") || line.starts_with('}');
    lines().find(|line| !frame(line)).or_else(|| lines().next()).unwrap_or_default()
}

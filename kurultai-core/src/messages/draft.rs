use super::strict;
use crate::{
    check,
    error::{Error, Result},
    ids,
    json::Json,
};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::value::RawValue;
use std::time::Duration;

/// The longest life of a control message, and its default: 5 minutes.
pub const CONTROL_LIFETIME: Duration = Duration::from_secs(300);
/// The longest life of a message about a task, whose type begins with `task_`, and its default: 24 hours.
pub const TASK_LIFETIME: Duration = Duration::from_secs(86_400);
/// The longest life of any message, and the default of those that are none of these: 7 days.
pub const LONGEST_LIFETIME: Duration = Duration::from_secs(7 * 86_400);

/// A message that is not signed yet. What its fields may be is checked when it is.
#[derive(Debug, Clone, PartialEq)]
pub struct Draft {
    /// A UUIDv7, under which the message is admitted once. Default a new one.
    pub id: String,
    /// The team. Default `default`.
    pub namespace: String,
    /// The agent that says it.
    pub sender: String,
    /// The agent that is told, or `role:NAME`: whoever holds that role when it is fetched.
    pub audience: String,
    /// 1 to 128 characters: `task_delegation`. `agent.*` and `control.*` are control messages.
    pub message_type: String,
    /// Any JSON. Default `null`.
    pub body: Json,
    /// The task that it is about.
    pub task: Option<String>,
    /// The message that it answers.
    pub reply_to: Option<String>,
    /// Lives no longer than a control message, whatever its type. The token does not say so, only how long it lives.
    pub control: bool,
    /// When it is signed; the token has whole seconds.
    pub issued_at: DateTime<Utc>,
    /// How long it is good for, in whole seconds; default the longest that its type allows.
    pub lifetime: Option<Duration>,
}

impl Draft {
    /// A message without body to the namespace `default`.
    pub fn new(
        sender: impl Into<String>,
        audience: impl Into<String>,
        message_type: impl Into<String>,
        issued_at: DateTime<Utc>,
    ) -> Self {
        Draft {
            id: ids::new_id(),
            namespace: "default".to_owned(),
            sender: sender.into(),
            audience: audience.into(),
            message_type: message_type.into(),
            body: Json::default(),
            task: None,
            reply_to: None,
            control: false,
            issued_at,
            lifetime: None,
        }
    }

    /// What it says.
    pub fn body(mut self, body: impl Into<Json>) -> Self {
        self.body = body.into();
        self
    }

    /// The team.
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = namespace.into();
        self
    }

    /// The task that it is about.
    pub fn task(mut self, id: impl Into<String>) -> Self {
        self.task = Some(id.into());
        self
    }

    /// The message that it answers.
    pub fn reply_to(mut self, id: impl Into<String>) -> Self {
        self.reply_to = Some(id.into());
        self
    }

    /// How long it is good for, in whole seconds.
    pub fn lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = Some(lifetime);
        self
    }

    /// Lives no longer than a control message.
    pub fn control(mut self) -> Self {
        self.control = true;
        self
    }

    pub(super) fn check(&self) -> Result<()> {
        check::agent("namespace", &self.namespace)?;
        check::agent("sender", &self.sender)?;
        audience("audience", &self.audience)?;
        message_type(&self.message_type)?;
        id(&self.id)?;
        [("task", &self.task), ("reply_to", &self.reply_to)].iter().try_for_each(|(field, text)| {
            text.as_deref().map_or(Ok(()), |text| check::text(field, text, 128))
        })?;
        check::time("issued_at", self.issued_at, check::LAST_START, "1970 to 9989")
    }

    /// The body as it was written.
    pub(super) fn document(&self) -> Result<&RawValue> {
        let wrong = |why: String| Error::payload("$", why).about("body");
        let raw: &RawValue = serde_json::from_str(self.body.as_str()).map_err(|e| wrong(e.to_string()))?;
        strict::document(raw).map_err(wrong)?;
        Ok(raw)
    }

    pub(super) fn expires_at(&self) -> Result<DateTime<Utc>> {
        let of_type = longest_lifetime(&self.message_type);
        let longest = if self.control { of_type.min(CONTROL_LIFETIME) } else { of_type };
        let lifetime = self.lifetime.unwrap_or(longest);
        if !(Duration::from_secs(1)..=longest).contains(&lifetime) {
            let allowed = format!("1 to {} seconds for {:?}", longest.as_secs(), self.message_type);
            return Err(Error::invalid("lifetime", format!("{} s", lifetime.as_secs_f64()), &allowed));
        }
        // `longest` is a week at most.
        Ok(self.issued_at + TimeDelta::seconds(lifetime.as_secs() as i64))
    }
}

/// How long a message of this type may live.
pub fn longest_lifetime(message_type: &str) -> Duration {
    let begins = |prefix| message_type.starts_with(prefix);
    match () {
        () if begins("agent.") || begins("control.") => CONTROL_LIFETIME,
        () if begins("task_") => TASK_LIFETIME,
        () => LONGEST_LIFETIME,
    }
}

pub(super) fn audience(field: &str, text: &str) -> Result<()> {
    match text.strip_prefix("role:") {
        Some(role) => check::text("role", role, 128),
        None => check::agent(field, text),
    }
}

pub(super) fn message_type(text: &str) -> Result<()> {
    check::text("message type", text, 128)
}

/// As [`ids::new_id`] writes them.
pub(super) fn id(text: &str) -> Result<()> {
    let read = uuid::Uuid::try_parse(text).ok().filter(|id| id.get_version_num() == 7);
    let fits = |id: uuid::Uuid| id.hyphenated().encode_lower(&mut uuid::Uuid::encode_buffer()) == text;
    if read.is_some_and(fits) { Ok(()) } else { Err(Error::invalid("id", text, "a UUIDv7 in lower case")) }
}

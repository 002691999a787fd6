//! The payload of a token: written from a draft, and read where the signature holds.

use super::{
    draft::{self, Draft, longest_lifetime},
    jws::malformed,
    strict::{self, Members, Strict, shown},
    token::{Expect, Token},
};
use crate::{
    check,
    error::{Error, Kind, Result},
};
use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use serde_json::value::RawValue;

const MEMBERS: [&str; 10] = ["aud", "body", "exp", "iat", "iss", "jti", "mt", "reply_to", "task", "tid"];

#[derive(Serialize)]
struct Payload<'a> {
    aud: &'a str,
    body: &'a RawValue,
    exp: i64,
    iat: i64,
    iss: &'a str,
    jti: &'a str,
    mt: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reply_to: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    task: Option<&'a str>,
    tid: &'a str,
}

pub(super) fn write(draft: &Draft) -> Result<String> {
    draft.check()?;
    let payload = Payload {
        aud: &draft.audience,
        body: draft.document()?,
        exp: draft.expires_at()?.timestamp(),
        iat: draft.issued_at.timestamp(),
        iss: &draft.sender,
        jti: &draft.id,
        mt: &draft.message_type,
        reply_to: draft.reply_to.as_deref(),
        task: draft.task.as_deref(),
        tid: &draft.namespace,
    };
    serde_json::to_string(&payload)
        .map_err(|e| Error::internal(format!("the payload cannot be written: {e}")))
}

pub(super) fn wrong_namespace(namespace: &str, expect: &Expect) -> Error {
    let message = format!("the message is for namespace {namespace:?}, not {:?}", expect.namespace);
    Error::new(Kind::Denied, "sig.wrong_namespace", message)
}

/// What a payload says before anything of it is believed: whose key to look for.
pub(super) struct Claimed<'a> {
    members: Members<'a>,
    pub(super) namespace: String,
    pub(super) sender: String,
}

impl<'a> Claimed<'a> {
    pub(super) fn read(payload: &'a [u8]) -> Result<Self> {
        let wrong = |why: String| malformed(format!("the payload: {why}"));
        let members = Members::read(payload).map_err(wrong)?;
        let agent = |name| {
            let id = members.text(name)?;
            check::agent(name, &id).map_err(|e| e.message().to_owned())?;
            Ok(id.into_owned())
        };
        let (namespace, sender) = (agent("tid").map_err(wrong)?, agent("iss").map_err(wrong)?);
        Ok(Claimed { members, namespace, sender })
    }

    /// Once the signature holds: what is said, if it is said to us, now and within the limits. `leeway` is how far the sender's
    /// clock may be ahead; `None` where that does not matter any more.
    pub(super) fn token(self, key_id: String, expect: &Expect, leeway: Option<TimeDelta>) -> Result<Token> {
        let said = Said::read(&self.members).map_err(|why| malformed(format!("the payload: {why}")))?;
        let id = shown(&said.id);
        if self.namespace != expect.namespace {
            return Err(wrong_namespace(&self.namespace, expect));
        }
        if !expect.audiences.is_empty() && !expect.audiences.contains(&said.audience) {
            let (to, ours) = (shown(&said.audience), expect.audiences.join(" or "));
            let message = format!("message {id:?} is for {to:?}, not {ours}");
            return Err(Error::new(Kind::Denied, "sig.wrong_audience", message));
        }
        said.check_times(expect.now, leeway)?;
        said.check_texts().map_err(|e| malformed(format!("the payload: {}", e.message())))?;
        let body = strict::document(said.body).map_err(|why| malformed(format!("the payload: {why}")))?;
        Ok(Token {
            id: said.id,
            namespace: self.namespace,
            sender: self.sender,
            key_id,
            audience: said.audience,
            message_type: said.message_type,
            body,
            task: said.task,
            reply_to: said.reply_to,
            issued_at: said.issued_at,
            expires_at: said.expires_at,
        })
    }
}

/// The members, each of its type.
struct Said<'a> {
    id: String,
    audience: String,
    message_type: String,
    body: &'a RawValue,
    task: Option<String>,
    reply_to: Option<String>,
    issued_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
}

impl<'a> Said<'a> {
    fn read(members: &Members<'a>) -> Strict<Self> {
        if let Some(name) = members.other_than(&MEMBERS) {
            return Err(format!("the member {:?} is none of {}", shown(name), MEMBERS.join(", ")));
        }
        let text = |name| members.text(name).map(Into::into);
        let maybe = |name| members.find(name).map(|_| text(name)).transpose();
        let time = |name| {
            let seconds = members.seconds(name)?;
            let time = DateTime::from_timestamp(seconds, 0).filter(|_| seconds < check::LAST);
            time.ok_or_else(|| format!("{name} is {seconds}, a time after the year 9999"))
        };
        Ok(Said {
            id: text("jti")?,
            audience: text("aud")?,
            message_type: text("mt")?,
            body: members.get("body")?,
            task: maybe("task")?,
            reply_to: maybe("reply_to")?,
            issued_at: time("iat")?,
            expires_at: time("exp")?,
        })
    }

    fn check_times(&self, now: DateTime<Utc>, leeway: Option<TimeDelta>) -> Result<()> {
        let (id, from, to) = (shown(&self.id), self.issued_at, self.expires_at);
        if leeway.is_some_and(|leeway| from.signed_duration_since(now) > leeway) {
            let message = format!("message {id:?} was signed at {from}, and it is {now}: a clock is wrong");
            return Err(Error::new(Kind::Denied, "sig.from_future", message));
        }
        if to <= now {
            return Err(Error::new(Kind::Denied, "sig.expired", format!("message {id:?} expired at {to}")));
        }
        let (lifetime, longest) = (to - from, longest_lifetime(&self.message_type).as_secs());
        if !(1..=longest as i64).contains(&lifetime.num_seconds()) {
            let (given, of) = (lifetime.num_seconds(), shown(&self.message_type));
            return Err(malformed(format!(
                "message {id:?} lives for {given} s; allowed: 1 to {longest} s for {of:?}"
            )));
        }
        Ok(())
    }

    fn check_texts(&self) -> Result<()> {
        draft::message_type(&self.message_type)?;
        draft::id(&self.id)?;
        draft::audience("audience", &self.audience)?;
        [("task", &self.task), ("reply_to", &self.reply_to)].iter().try_for_each(|(field, text)| {
            text.as_deref().map_or(Ok(()), |text| check::text(field, text, 128))
        })
    }
}

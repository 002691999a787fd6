//! A message and its seal, as they are written.

use super::{
    ALGORITHM, canonical::Object, envelope::Seal, key::LegacyKey, mac::Signature, text, timestamp,
    verified::Expect,
};
use crate::{
    error::{Error, Kind, Result},
    ids,
};
use chrono::{DateTime, Utc};
use std::borrow::Cow;

/// A message and what seals it. No key of the body begins with `_sig_`, so in the signed text these stand together, in the
/// middle of the body.
pub(super) struct Message<'a> {
    /// An object without the seal.
    body: String,
    /// Where the members of the seal go: behind the body's first ones.
    middle: usize,
    /// Whether there are members before it, and behind it.
    beside: [bool; 2],
    pub(super) signature: Option<&'a str>,
    pub(super) metadata: Option<&'a str>,
    delegate: Option<&'a str>,
    to: Option<&'a str>,
}

impl<'a> Message<'a> {
    pub(super) fn of(object: &'a Object) -> Result<Self, String> {
        let body = String::with_capacity(object.len());
        let [signature, metadata, delegate, to] = [None; 4];
        let mut message = Message { body, middle: 1, beside: [false; 2], signature, metadata, delegate, to };
        message.body.push('{');
        for (key, value, member) in object.members() {
            match key {
                "signature" => {
                    message.signature = Some(value);
                    continue;
                }
                "sig_metadata" => {
                    message.metadata = Some(value);
                    continue;
                }
                "delegate" => message.delegate = Some(value),
                "to" => message.to = Some(value),
                _ if key.starts_with("_sig_") => {
                    // It would take the place of what the signature covers.
                    return Err(format!("the message has a key {}, which is the envelope's", brief(key)));
                }
                _ => {}
            }
            message.add(member, text::compare(key, "_sig_").is_lt());
        }
        message.body.push('}');
        Ok(message)
    }

    /// They come in their order.
    fn add(&mut self, member: &str, is_before: bool) {
        if self.body.len() > 1 {
            self.body.push(',');
        }
        self.body.push_str(member);
        if is_before {
            self.middle = self.body.len();
        }
        self.beside[usize::from(!is_before)] = true;
    }

    pub(super) fn into_body(self) -> String {
        self.body
    }

    /// The envelope with this seal behind it.
    pub(super) fn with(&self, seal: &[&str]) -> String {
        let body = &self.body[..self.body.len() - 1];
        let comma = if self.beside == [false; 2] { "" } else { "," };
        [body, comma, &seal.join(","), "}"].concat()
    }

    /// The text that is signed, in parts. The three are as they are written, in quotes.
    pub(super) fn signed<'b>(&'b self, [agent, key_id, timestamp]: [&'b str; 3]) -> [&'b str; 10] {
        let (before, after) = self.body.split_at(self.middle);
        let [is_before, is_after] = self.beside;
        let comma = |is_there: bool| if is_there { "," } else { "" };
        // Where there are members on both sides, a comma stands there already.
        let after = if is_before && is_after { &after[1..] } else { after };
        let (left, right) = (comma(is_before), comma(is_after));
        let [first, second, third] = [r#""_sig_agent":"#, r#","_sig_key_id":"#, r#","_sig_ts":"#];
        [before, left, first, agent, second, key_id, third, timestamp, right, after]
    }

    pub(super) fn seal(&self, key: &LegacyKey, now: DateTime<Utc>) -> Result<Seal> {
        for (field, value) in [("agent_id", &key.agent_id), ("key_id", &key.key_id)] {
            if value.is_empty() {
                return Err(Error::invalid(field, value, "a name"));
            }
        }
        let secret = key.usable(now)?;
        let timestamp = timestamp::write(now);
        let [agent, key_id, time] = [&key.agent_id, &key.key_id, &timestamp].map(|text| text::quoted(text));
        let signature = Signature::of(secret, &self.signed([&agent, &key_id, &time]))?.digits();
        Ok(Seal { signature, timestamp })
    }

    pub(super) fn is_for(&self, expect: &Expect) -> Result<()> {
        for (field, value) in [("delegate", self.delegate), ("to", self.to)] {
            let Some(value) = value else { continue };
            let is_ours = match value.as_bytes().first() {
                // What is no Unicode text, or a list of something else, names nobody.
                Some(b'"') => {
                    plain(value).is_some_and(|name| expect.is_for([&*name])) || expect.audiences.is_empty()
                }
                Some(b'[') => {
                    let names: Vec<String> = serde_json::from_str(value).unwrap_or_default();
                    expect.is_for(names.iter().map(String::as_str))
                }
                _ => true,
            };
            if !is_ours {
                let name = brief(value);
                return Err(refused(
                    "sig.wrong_audience",
                    format!("{field} is {name}, which is not the receiver"),
                ));
            }
        }
        Ok(())
    }
}

/// What `sig_metadata` says.
pub(super) struct Metadata<'a> {
    /// Folded.
    pub(super) agent: String,
    pub(super) agent_as_sent: Cow<'a, str>,
    pub(super) key_id: Cow<'a, str>,
    pub(super) time: DateTime<Utc>,
    /// Agent, key id and time as they are written.
    pub(super) written: [&'a str; 3],
}

impl<'a> Metadata<'a> {
    pub(super) fn of(object: &'a Object) -> Result<Self> {
        let [mut agent, mut key_id, mut time, mut algorithm] = [const { None }; 4];
        for (key, value, _) in object.members() {
            let place = match key {
                "agent_id" => &mut agent,
                "key_id" => &mut key_id,
                "timestamp" => &mut time,
                "algorithm" => &mut algorithm,
                _ => return Err(malformed(format!("sig_metadata has an unknown key {}", brief(key)))),
            };
            let text = plain(value).filter(|text| !text.is_empty());
            let text = text.ok_or_else(|| malformed(format!("{key} of sig_metadata is no text")))?;
            *place = Some((text, value));
        }
        let missing = |key| move || malformed(format!("sig_metadata has no {key}"));
        let (agent, written_agent) = agent.ok_or_else(missing("agent_id"))?;
        let (key_id, written_key_id) = key_id.ok_or_else(missing("key_id"))?;
        let (time, written_time) = time.ok_or_else(missing("timestamp"))?;
        let (algorithm, _) = algorithm.ok_or_else(missing("algorithm"))?;
        let read = timestamp::read(&time).ok_or_else(|| {
            malformed(format!("timestamp {} is no ISO 8601 time with an offset", brief(&time)))
        })?;
        if algorithm != ALGORITHM {
            let message = format!("algorithm {} is not {ALGORITHM}", brief(&algorithm));
            return Err(refused("sig.algorithm", message));
        }
        Ok(Metadata {
            agent: ids::fold(&agent),
            agent_as_sent: agent,
            key_id,
            time: read,
            written: [written_agent, written_key_id, written_time],
        })
    }
}

/// A written value's text; `None` where it is none, or no Unicode text.
pub(super) fn plain(value: &str) -> Option<Cow<'_, str>> {
    let inside = value.strip_prefix('"')?.strip_suffix('"')?;
    if inside.contains('\\') { serde_json::from_str(value).ok().map(Cow::Owned) } else { Some(inside.into()) }
}

/// What a stranger sent, short enough for a log.
pub(super) fn brief(text: &str) -> String {
    format!("{:?}", text.chars().take(80).collect::<String>())
}

pub(super) fn refused(code: &'static str, message: impl Into<String>) -> Error {
    Error::new(Kind::Denied, code, message)
}

pub(super) fn malformed(why: impl ToString) -> Error {
    refused("sig.malformed", why.to_string())
}

//! JSON text that was checked once and is stored as it came.

mod same;
pub(crate) mod seconds;

use crate::error::{Error, Result};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Value, value::RawValue};
use std::{fmt, sync::Arc};

/// At most 1 MiB: a payload is a reference to work, not the work itself.
pub const MAX_BYTES: usize = 1 << 20;
/// At most 64 levels, so that every language can read it back without a deep stack.
pub const MAX_DEPTH: usize = 64;
/// At most 4,300 digits a number, since Python reads no longer integer.
pub const MAX_DIGITS: usize = 4300;

/// A JSON document as text. Kept as it was written: key order and number forms survive.
#[derive(Clone, PartialEq, Eq)]
pub struct Json(Arc<str>);

impl Json {
    /// Anything serde can write. Fails with `input.payload` where it is no JSON, too large or too deep.
    pub fn of<T: Serialize + ?Sized>(value: &T) -> Result<Self> {
        let json = Json(serde_json::to_string(value).map_err(|e| Error::payload("$", e))?.into());
        json.check()?;
        Ok(json)
    }

    /// JSON text from elsewhere. Fails with `input.payload` where it is no JSON, too large or too deep.
    pub fn text(text: impl Into<String>) -> Result<Self> {
        let json = Json(text.into().into());
        json.check()?;
        serde_json::from_str::<Value>(&json.0).map_err(|e| Error::payload("$", e))?;
        Ok(json)
    }

    pub(crate) fn check(&self) -> Result<()> {
        let bytes = self.0.len();
        if bytes > MAX_BYTES {
            return Err(Error::payload("$", format!("{bytes} bytes; at most {MAX_BYTES} are allowed")));
        }
        let refuse = |offset: usize, why: String| Err(Error::payload(&path_to(&self.0[..offset]), why));
        if let Some(offset) = too_deep(&self.0) {
            return refuse(offset, format!("deeper than {MAX_DEPTH} levels"));
        }
        match too_long_number(&self.0) {
            Some(offset) => refuse(offset, format!("a number of more than {MAX_DIGITS} digits")),
            None => Ok(()),
        }
    }

    /// Whether two documents say the same. Key order, white space and the spelling of texts do not count, and numbers
    /// are equal where they are the same decimal number: 1, 1.0 and 1e0 are, 2^64 + 1 and 2^64 + 2 are not.
    pub(crate) fn says_the_same(&self, other: &Json) -> bool {
        same::same(&self.0, &other.0)
    }

    /// Text that is known to be JSON: what this library or a binding wrote. Size and depth are checked when it is used.
    pub fn stored(text: impl Into<Arc<str>>) -> Self {
        Json(text.into())
    }

    /// The text as it is stored.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Read as a type of yours.
    pub fn get<T: DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_str(&self.0).map_err(|e| Error::payload("$", e))
    }

    /// Read as a tree. A number that neither 64 bits nor a double hold exactly becomes the nearest double, and one that
    /// no double reaches a string of its digits; [`as_str`](Self::as_str) has all of them. Text that another program
    /// stored and that is no JSON is given as a string.
    pub fn value(&self) -> Value {
        let read = serde_json::from_str(&self.0).ok().or_else(|| same::tree(&self.0));
        read.unwrap_or_else(|| Value::String(self.0.to_string()))
    }
}

impl Default for Json {
    fn default() -> Self {
        Json("null".into())
    }
}

impl From<Value> for Json {
    fn from(value: Value) -> Self {
        // Not `to_string()`, which writes piece by piece through a formatter.
        Json(serde_json::to_string(&value).unwrap_or_default().into())
    }
}

/// What serde has just read as JSON; the room's handle checks size and depth, as it does for a `Value`.
impl From<Box<RawValue>> for Json {
    fn from(raw: Box<RawValue>) -> Self {
        Json(raw.get().into())
    }
}

impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for Json {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match RawValue::from_string(self.0.to_string()) {
            Ok(raw) => raw.serialize(serializer),
            Err(_) => self.0.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Box::<RawValue>::deserialize(deserializer).map(Json::from)
    }
}

/// Where the text first goes deeper than allowed.
fn too_deep(text: &str) -> Option<usize> {
    // A level has two brackets; and most texts have few of them, whose count takes a fraction of the walk.
    if text.len() <= 2 * MAX_DEPTH
        || text.bytes().filter(|byte| matches!(byte, b'{' | b'[')).count() <= MAX_DEPTH
    {
        return None;
    }
    let mut depth = 0usize;
    outside_strings(text).find_map(|(offset, byte)| {
        match byte {
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        (depth > MAX_DEPTH).then_some(offset)
    })
}

/// Where the first number begins that has more digits than allowed.
fn too_long_number(text: &str) -> Option<usize> {
    // It would cover one of these places.
    if !text.as_bytes().iter().step_by(MAX_DIGITS).skip(1).any(u8::is_ascii_digit) {
        return None;
    }
    let mut run = 0;
    outside_strings(text).find_map(|(offset, byte)| {
        run = if byte.is_ascii_digit() { run + 1 } else { 0 };
        (run > MAX_DIGITS).then_some(offset + 1 - run)
    })
}

/// The bytes that are part of no string.
fn outside_strings(text: &str) -> impl Iterator<Item = (usize, u8)> {
    let (mut in_string, mut escaped) = (false, false);
    text.bytes().enumerate().filter(move |(_, byte)| {
        let inside = in_string;
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            _ => {}
        }
        !inside && *byte != b'"'
    })
}

/// The path of the place where `text` was cut off, as `$.a[0].b`.
fn path_to(text: &str) -> String {
    enum Level {
        Array(usize),
        Object(String),
    }
    let (mut levels, mut last, mut rest) = (Vec::new(), String::new(), text.char_indices());
    while let Some((at, c)) = rest.next() {
        match c {
            '"' => {
                let mut escaped = false;
                let end = rest.find(|(_, c)| {
                    let closes = *c == '"' && !escaped;
                    escaped = *c == '\\' && !escaped;
                    closes
                });
                last = text[at + 1..end.map_or(text.len(), |(end, _)| end)].to_owned();
            }
            ':' => {
                if let Some(Level::Object(key)) = levels.last_mut() {
                    *key = std::mem::take(&mut last);
                }
            }
            ',' => {
                if let Some(Level::Array(index)) = levels.last_mut() {
                    *index += 1;
                }
            }
            '[' => levels.push(Level::Array(0)),
            '{' => levels.push(Level::Object(String::new())),
            ']' | '}' => drop(levels.pop()),
            _ => {}
        }
    }
    let steps = levels.iter().map(|level| match level {
        Level::Array(index) => format!("[{index}]"),
        Level::Object(key) => format!(".{key}"),
    });
    std::iter::once("$".to_owned()).chain(steps).collect()
}

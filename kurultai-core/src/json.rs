//! JSON text that was checked once and is stored as it came.

use crate::error::{Error, Result};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Value, value::RawValue};
use std::{fmt, sync::Arc};

/// At most 1 MiB: a payload is a reference to work, not the work itself.
pub const MAX_BYTES: usize = 1 << 20;
/// At most 64 levels, so that every language can read it back without a deep stack.
pub const MAX_DEPTH: usize = 64;

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
        match too_deep(&self.0) {
            Some(offset) => {
                Err(Error::payload(&path_to(&self.0[..offset]), format!("deeper than {MAX_DEPTH} levels")))
            }
            None => Ok(()),
        }
    }

    /// Text that is known to be JSON: what this library or a binding wrote. Size and depth are checked when it is used.
    pub fn stored(text: impl Into<Arc<str>>) -> Self {
        Json(text.into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Read as a type of yours.
    pub fn get<T: DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_str(&self.0).map_err(|e| Error::payload("$", e))
    }

    /// Read as a tree; text that another program stored and that is no JSON is given as a string.
    pub fn value(&self) -> Value {
        serde_json::from_str(&self.0).unwrap_or_else(|_| Value::String(self.0.to_string()))
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
        Value::deserialize(deserializer).map(Json::from)
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
    let (mut depth, mut in_string, mut escaped) = (0usize, false, false);
    for (offset, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => {
                depth += 1;
                if depth > MAX_DEPTH {
                    return Some(offset);
                }
            }
            b'}' | b']' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    None
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

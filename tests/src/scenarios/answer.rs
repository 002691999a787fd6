//! What steps hand to each other, and whether an answer looks as it should.

use chrono::{DateTime, Utc};
use serde_json::Value;
use std::collections::BTreeMap;

/// What a run knows: its own text, for ids that no other run has, and the answers that steps kept.
pub(super) struct Known {
    pub(super) run: String,
    pub(super) kept: BTreeMap<String, Value>,
}

impl Known {
    /// `"$got.0.id"` becomes what was kept under `got`, `"#one"` this run's task id; `"$any"` stays.
    pub(super) fn resolve(&self, value: Value) -> Value {
        match value {
            Value::String(text) if text == "$any" => Value::String(text),
            Value::String(text) if text.starts_with('$') => self.kept(&text[1..]).clone(),
            Value::String(text) if text.starts_with('#') => format!("{}-{}", self.run, &text[1..]).into(),
            Value::Array(values) => values.into_iter().map(|value| self.resolve(value)).collect(),
            Value::Object(fields) => {
                fields.into_iter().map(|(key, value)| (key, self.resolve(value))).collect()
            }
            other => other,
        }
    }

    fn kept(&self, text: &str) -> &Value {
        let mut path = text.split('.');
        let mut found = self.kept.get(path.next().unwrap_or_default());
        for key in path {
            found = found.and_then(|value| match key.parse::<usize>() {
                Ok(index) => value.get(index),
                Err(_) => value.get(key),
            });
        }
        found.unwrap_or_else(|| panic!("${text} stands for nothing"))
    }
}

/// Says at which path and why the answer differs.
pub(super) fn fits(expected: &Value, answer: &Value, start: DateTime<Utc>) -> Result<(), String> {
    differs(expected, answer, start).map_or(Ok(()), |(path, why)| Err(format!("at ${path}: {why}")))
}

fn differs(expected: &Value, answer: &Value, start: DateTime<Utc>) -> Option<(String, String)> {
    let here = |why: String| Some((String::new(), why));
    let below = |key: String, found: Option<(String, String)>| found.map(|(path, why)| (key + &path, why));
    match (expected, answer) {
        (Value::String(any), answer) if any == "$any" => {
            if answer.is_null() {
                here("nothing there".to_owned())
            } else {
                None
            }
        }
        (Value::Object(fields), Value::Object(answer)) => fields.iter().find_map(|(key, expected)| {
            let answer = answer.get(key).unwrap_or(&Value::Null);
            below(format!(".{key}"), differs(expected, answer, start))
        }),
        (Value::Array(expected), Value::Array(answer)) if expected.len() == answer.len() => {
            let mut pairs = expected.iter().zip(answer).enumerate();
            pairs.find_map(|(index, (e, a))| below(format!(".{index}"), differs(e, a, start)))
        }
        (Value::Number(expected), answer) => {
            let wanted = expected.as_f64().unwrap_or(f64::NAN);
            let found = answer.as_f64().or_else(|| seconds(answer.as_str()?, start));
            match found {
                Some(found) if (found - wanted).abs() < 0.001 => None,
                found => here(format!("{wanted} expected, {found:?} found")),
            }
        }
        (expected, answer) if expected == answer => None,
        (expected, answer) => here(format!("{expected} expected, {answer} found")),
    }
}

/// A time as the seconds since the scenario began.
fn seconds(text: &str, start: DateTime<Utc>) -> Option<f64> {
    let time = DateTime::parse_from_rfc3339(text).ok()?;
    Some((time.timestamp_micros() - start.timestamp_micros()) as f64 / 1e6)
}

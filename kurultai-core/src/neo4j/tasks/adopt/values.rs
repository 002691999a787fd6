//! Values as other programs write them.

use crate::{
    clock::{Micros, read_time},
    neo4j::bolt::Cell,
};
use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, Utc};
use neo4rs::{BoltNull, BoltType};
use serde_json::{Number, Value};
use std::{collections::HashMap, ops::RangeInclusive};

/// A node's properties as they are.
pub(super) type Raw = HashMap<String, BoltType>;

pub(super) fn raw(value: BoltType) -> Raw {
    match value {
        BoltType::Map(map) => map.value.into_iter().map(|(key, value)| (key.value, value)).collect(),
        _ => Raw::new(),
    }
}

pub(super) const NOTHING: BoltType = BoltType::Null(BoltNull);

/// Whether nothing is said: null, an empty text, an empty list.
pub(super) fn is_empty(value: &BoltType) -> bool {
    match value {
        BoltType::Null(_) => true,
        BoltType::String(text) => text.value.trim().is_empty(),
        BoltType::List(list) => list.value.iter().all(is_empty),
        _ => false,
    }
}

/// Text as it is; anything else as JSON text.
pub(super) fn text(value: &BoltType) -> String {
    match value {
        BoltType::String(text) => text.value.clone(),
        other => json(other).to_string(),
    }
}

/// The value as a JSON document, which text may be already.
pub(super) fn document(value: &BoltType) -> String {
    match value {
        BoltType::String(text) if serde_json::from_str::<Value>(&text.value).is_ok() => text.value.clone(),
        other => json(other).to_string(),
    }
}

/// A list of texts in its order; one text is a JSON list or a list of one.
pub(super) fn list(value: &BoltType) -> Vec<String> {
    let mut texts = match value {
        BoltType::Null(_) => vec![],
        BoltType::List(list) => list.value.iter().filter(|value| !is_empty(value)).map(text).collect(),
        BoltType::String(one) => match serde_json::from_str::<Vec<Value>>(&one.value) {
            Ok(values) => {
                values.into_iter().map(|v| v.as_str().map_or(v.to_string(), str::to_owned)).collect()
            }
            Err(_) => vec![one.value.clone()],
        },
        other => vec![text(other)],
    };
    texts.iter_mut().for_each(|text| *text = text.trim().to_owned());
    texts.retain(|text| !text.is_empty());
    texts
}

pub(super) fn number(value: &BoltType) -> Option<i64> {
    match value {
        BoltType::Integer(number) => Some(number.value),
        BoltType::Float(number) if number.value.is_finite() => Some(number.value as i64),
        BoltType::String(text) => text.value.trim().parse().ok(),
        _ => None,
    }
}

pub(super) fn fraction(value: &BoltType) -> Option<f64> {
    let number = match value {
        BoltType::Integer(number) => number.value as f64,
        BoltType::Float(number) => number.value,
        BoltType::String(text) => text.value.trim().parse().ok()?,
        _ => return None,
    };
    (0.0..=1.0).contains(&number).then_some(number)
}

/// The years 1 to 9999: every language can show them.
const SHOWN: RangeInclusive<Micros> = -62_135_596_800_000_000..=253_402_300_799_999_999;

/// A native time, ISO text, or a number that counts seconds or less since 1970. Without a zone it is UTC.
pub(super) fn moment(value: &BoltType) -> Option<Micros> {
    at(value).filter(|at| SHOWN.contains(at))
}

fn at(value: &BoltType) -> Option<Micros> {
    match value {
        BoltType::Integer(number) => since_1970(number.value),
        BoltType::Float(number) if number.value.abs() < 1e11 => Some((number.value * 1e6) as i64),
        BoltType::Float(number) if number.value.is_finite() => since_1970(number.value as i64),
        BoltType::Date(date) => NaiveDate::try_from(date).ok().map(midnight),
        BoltType::String(text) => {
            let text = text.value.trim();
            let day = || text.parse::<NaiveDate>().ok().map(midnight);
            let counted = || text.parse::<f64>().ok().and_then(|number| at(&number.into()));
            read_time(text).map(|time| time.timestamp_micros()).or_else(day).or_else(counted)
        }
        other => DateTime::<Utc>::of(other.clone()).map(|time| time.timestamp_micros()),
    }
}

fn midnight(day: NaiveDate) -> Micros {
    day.and_time(NaiveTime::MIN).and_utc().timestamp_micros()
}

/// Its size tells what it counts: seconds until the year 5138, milliseconds and microseconds likewise.
fn since_1970(number: i64) -> Option<Micros> {
    const SECONDS: u64 = 100_000_000_000;
    match number.unsigned_abs() {
        size if size < SECONDS => number.checked_mul(1_000_000),
        size if size < SECONDS * 1_000 => number.checked_mul(1_000),
        size if size < SECONDS * 1_000_000 => Some(number),
        _ => Some(number / 1_000),
    }
}

/// For people and for the way back.
pub(super) fn json(value: &BoltType) -> Value {
    match value {
        BoltType::String(text) => Value::String(text.value.clone()),
        BoltType::Boolean(boolean) => Value::Bool(boolean.value),
        BoltType::Integer(number) => Value::Number(number.value.into()),
        BoltType::Float(number) => Number::from_f64(number.value)
            .map_or_else(|| Value::String(number.value.to_string()), Value::Number),
        BoltType::List(list) => Value::Array(list.value.iter().map(json).collect()),
        BoltType::Map(map) => map.value.iter().map(|(key, value)| (key.value.clone(), json(value))).collect(),
        BoltType::Bytes(bytes) => match std::str::from_utf8(&bytes.value) {
            Ok(text) => Value::String(text.to_owned()),
            Err(_) => bytes.value.iter().copied().collect(),
        },
        BoltType::Date(date) => NaiveDate::try_from(date).map_or(Value::Null, |day| day.to_string().into()),
        BoltType::LocalDateTime(time) => NaiveDateTime::try_from(time)
            .map_or(Value::Null, |time| time.format("%Y-%m-%dT%H:%M:%S%.f").to_string().into()),
        other => DateTime::<Utc>::of(other.clone()).map_or(Value::Null, |time| time.to_rfc3339().into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_every_form() {
        let expected = Some(1_767_607_200_000_000);
        for text in [
            "2026-01-05T10:00:00Z",
            "2026-01-05T10:00:00",
            "2026-01-05 10:00:00.000",
            "2026-01-05T12:00:00+02:00",
            "1767607200",
            " 1767607200.0 ",
        ] {
            assert_eq!(moment(&text.into()), expected, "{text}");
        }
        for number in [1_767_607_200, 1_767_607_200_000, 1_767_607_200_000_000, 1_767_607_200_000_000_000_i64]
        {
            assert_eq!(moment(&number.into()), expected, "{number}");
        }
        assert_eq!(moment(&1_767_607_200.0.into()), expected);
        assert_eq!(moment(&"2026-01-05".into()), Some(1_767_571_200_000_000));
        for odd in ["yesterday", "", "inf", "+10000-01-01T00:00:00Z"] {
            assert_eq!(moment(&odd.into()), None, "{odd:?}");
        }
        assert_eq!(moment(&f64::NAN.into()).or(moment(&true.into())), None);
    }

    #[test]
    fn lists_are_read_in_every_form() {
        let expected = ["b", "a"];
        let native: BoltType = vec!["b", " ", "a"].into();
        for value in [native, r#"["b", "a"]"#.into()] {
            assert_eq!(list(&value), expected);
        }
        assert_eq!(list(&"b".into()), ["b"]);
        assert_eq!(list(&7.into()), ["7"]);
        assert!(list(&NOTHING).is_empty() && list(&"".into()).is_empty() && list(&"[]".into()).is_empty());
    }

    #[test]
    fn a_document_is_json_whatever_it_was() {
        assert_eq!(document(&r#"{"a": 1}"#.into()), r#"{"a": 1}"#);
        assert_eq!(document(&"{'a': True}".into()), r#""{'a': True}""#);
        assert_eq!(document(&1.5.into()), "1.5");
        assert_eq!(document(&f64::NAN.into()), r#""NaN""#);
    }
}

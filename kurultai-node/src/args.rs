//! What comes in: arguments as JSON text, read into the core's types.

use chrono::{DateTime, Utc};
use kurultai_core::{
    Error, Json, Result,
    tasks::{Lease, Usage},
};
use serde::{Deserialize, Deserializer, de::DeserializeOwned};
use serde_json::value::RawValue;
use std::{str::FromStr, time::Duration};

pub(crate) fn read<T: DeserializeOwned>(args: &str) -> Result<T> {
    serde_json::from_str(args).map_err(|e| {
        let text = e.to_string();
        let what = text.split(" at line ").next().unwrap_or(&text);
        Error::new(kurultai_core::Kind::Input, "input.invalid", format!("arguments: {what}"))
    })
}

pub(crate) fn json(raw: Box<RawValue>) -> Json {
    Json::from(raw)
}

/// Milliseconds as a span of whole microseconds, which is what the stores keep.
pub(crate) fn millis(field: &str, ms: f64) -> Result<Duration> {
    if ms >= 0.0 && ms.is_finite() {
        return Ok(Duration::from_micros((ms * 1e3).round() as u64));
    }
    Err(Error::invalid(field, ms, "0 or more milliseconds"))
}

pub(crate) fn maybe_millis(field: &str, ms: Option<f64>) -> Result<Option<Duration>> {
    ms.map(|ms| millis(field, ms)).transpose()
}

pub(crate) fn date(field: &str, ms: f64) -> Result<DateTime<Utc>> {
    let micros = (ms * 1e3).round();
    // Beyond this a float no longer holds each millisecond, and no Date reaches it.
    let date = (micros.abs() < 8.64e18).then(|| DateTime::from_timestamp_micros(micros as i64)).flatten();
    date.ok_or_else(|| Error::invalid(field, ms, "a Date before the year 10,000"))
}

pub(crate) fn maybe_date(field: &str, ms: Option<f64>) -> Result<Option<DateTime<Utc>>> {
    ms.map(|ms| date(field, ms)).transpose()
}

/// A whole number of a field that the core keeps as one.
pub(crate) fn whole(field: &str, number: f64) -> Result<u32> {
    let fits = number.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(&number);
    if fits { Ok(number as u32) } else { Err(Error::invalid(field, number, "a whole number, 0 or more")) }
}

pub(crate) fn word<T: FromStr<Err = Error>>(word: Option<String>) -> Result<Option<T>> {
    word.map(|word| word.parse()).transpose()
}

/// The compact string of a lease.
#[derive(Deserialize)]
#[serde(transparent)]
pub(crate) struct Token(String);

impl Token {
    pub(crate) fn lease(&self) -> Result<Lease> {
        self.0.parse()
    }
}

/// `Usage`, every field of which may be left out.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct UsageArgs {
    tokens: Option<f64>,
    cost: Option<f64>,
    seconds: Option<f64>,
}

impl UsageArgs {
    pub(crate) fn usage(&self) -> Result<Usage> {
        let [tokens, cost, seconds] = [self.tokens, self.cost, self.seconds].map(Option::unwrap_or_default);
        if tokens.fract() != 0.0 || !(0.0..=9_007_199_254_740_991.0).contains(&tokens) {
            return Err(Error::invalid("usage.tokens", tokens, "a whole number, 0 or more"));
        }
        Ok(Usage { tokens: tokens as u64, cost, seconds })
    }
}

/// An absent field and `null` differ where `null` says "never".
pub(crate) fn present<'de, T, D>(deserializer: D) -> Result<Option<Option<T>>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    Option::deserialize(deserializer).map(Some)
}

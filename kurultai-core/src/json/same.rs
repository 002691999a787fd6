//! Documents compared and read where serde_json's tree would lose digits: a number is taken as it is written.

use serde::Deserialize;
use serde_json::{Map, Value, value::RawValue};
use std::collections::BTreeMap;

type Object<'a> = BTreeMap<String, &'a RawValue>;
type Array<'a> = Vec<&'a RawValue>;

/// Whether two texts say the same; of a key that is there twice, the last one counts.
pub(super) fn same(a: &str, b: &str) -> bool {
    let (a, b) = (a.trim_ascii(), b.trim_ascii());
    if a == b {
        return true;
    }
    match (a.as_bytes().first(), b.as_bytes().first()) {
        (Some(b'{'), Some(b'{')) => both::<Object<'_>>(a, b).is_some_and(|(a, b)| {
            let entries = a.iter().zip(&b);
            a.len() == b.len() && entries.into_iter().all(|((k, v), (l, w))| k == l && same(v.get(), w.get()))
        }),
        (Some(b'['), Some(b'[')) => both::<Array<'_>>(a, b).is_some_and(|(a, b)| {
            a.len() == b.len() && a.iter().zip(&b).all(|(v, w)| same(v.get(), w.get()))
        }),
        (Some(b'"'), Some(b'"')) => both::<String>(a, b).is_some_and(|(a, b)| a == b),
        (Some(b'-' | b'0'..=b'9'), Some(b'-' | b'0'..=b'9')) => {
            decimal(a).zip(decimal(b)).is_some_and(|(a, b)| a == b)
        }
        _ => false,
    }
}

fn both<'a, T: Deserialize<'a>>(a: &'a str, b: &'a str) -> Option<(T, T)> {
    Some((serde_json::from_str(a).ok()?, serde_json::from_str(b).ok()?))
}

/// Whether it is negative, its digits without zeros at either end, and the power of ten that they count.
type Decimal = (bool, String, i64);

/// `None` where the exponent itself is no 64-bit number.
fn decimal(text: &str) -> Option<Decimal> {
    let (negative, text) = text.strip_prefix('-').map_or((false, text), |text| (true, text));
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all = format!("{whole}{fraction}");
    let digits = all.trim_end_matches('0');
    let shift = i64::try_from(all.len() - digits.len()).ok()? - i64::try_from(fraction.len()).ok()?;
    let exponent = exponent.parse::<i64>().ok()?.checked_add(shift)?;
    match digits.trim_start_matches('0') {
        "" => Some((false, String::new(), 0)),
        digits => Some((negative, digits.to_owned(), exponent)),
    }
}

/// Like serde_json's tree, but a number that no double reaches is a string of its digits.
pub(super) fn tree(text: &str) -> Option<Value> {
    let inside = |raw: &RawValue| tree(raw.get());
    match text.trim_ascii().as_bytes().first()? {
        b'{' => {
            let object: Object<'_> = serde_json::from_str(text).ok()?;
            let entries = object.into_iter().map(|(key, value)| Some((key, inside(value)?)));
            entries.collect::<Option<Map<_, _>>>().map(Value::Object)
        }
        b'[' => {
            let array: Array<'_> = serde_json::from_str(text).ok()?;
            array.into_iter().map(inside).collect::<Option<_>>().map(Value::Array)
        }
        _ => {
            let digits = || serde_json::from_str::<&RawValue>(text).ok().map(|raw| raw.get().into());
            serde_json::from_str(text).ok().or_else(digits)
        }
    }
}

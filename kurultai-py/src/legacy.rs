//! The old envelope, of which the public face is Python's: `kurultai.legacy`.

use crate::{args::Text, errors::Raise};
use chrono::{DateTime, Utc};
use kurultai_core::{
    ids,
    messages::legacy::{self, Expect, LegacyKey},
};
use pyo3::prelude::*;

/// Agent, key id, secret, its end, whether it is revoked.
type Key = (String, String, String, Option<DateTime<Utc>>, bool);

fn key((agent, id, secret, expires_at, revoked): Key) -> LegacyKey {
    LegacyKey { expires_at, revoked, ..LegacyKey::new(agent, id, secret) }
}

/// The signature and the timestamp of a message's text.
#[pyfunction]
fn legacy_seal(py: Python<'_>, text: &str, by: Key, now: DateTime<Utc>) -> PyResult<(String, String)> {
    let seal = legacy::seal(text, &key(by), now).raise(py)?;
    Ok((seal.signature, seal.timestamp))
}

/// Raises what is wrong with an envelope's text. `by` is the key that the sender names, where there is one.
#[pyfunction]
fn legacy_verify(
    py: Python<'_>,
    text: &str,
    by: Option<Key>,
    audiences: Vec<String>,
    now: DateTime<Utc>,
) -> PyResult<()> {
    let keys: Vec<LegacyKey> = by.into_iter().map(key).collect();
    legacy::verify(text, &keys, &Expect { audiences, now }).map(drop).raise(py)
}

/// The form in which names are compared.
#[pyfunction]
fn fold(name: Text) -> String {
    ids::fold(&name)
}

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(pyo3::wrap_pyfunction!(legacy_seal, module)?)?;
    module.add_function(pyo3::wrap_pyfunction!(legacy_verify, module)?)?;
    module.add_function(pyo3::wrap_pyfunction!(fold, module)?)
}

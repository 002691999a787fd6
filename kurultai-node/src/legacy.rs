//! The old envelope, of which the public face is TypeScript's: `legacy`.

use crate::{
    args::{date, maybe_date, read},
    bridge::Outcome,
    failure::Failure,
};
use kurultai_core::{
    Result, ids,
    messages::legacy::{self, Expect, LegacyKey},
};
use napi::bindgen_prelude::Either;
use napi_derive::napi;
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct KeyArgs {
    agent_id: String,
    key_id: String,
    secret_key: String,
    expires_at: Option<f64>,
    revoked: bool,
}

impl KeyArgs {
    fn key(self) -> Result<LegacyKey> {
        let KeyArgs { agent_id, key_id, secret_key, expires_at, revoked } = self;
        let expires_at = maybe_date("expiresAt", expires_at)?;
        Ok(LegacyKey { expires_at, revoked, ..LegacyKey::new(agent_id, key_id, secret_key) })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct SealArgs {
    text: String,
    key: KeyArgs,
    at: f64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct VerifyArgs {
    text: String,
    /// The one that the sender names, where there is one.
    key: Option<KeyArgs>,
    /// Empty: for anybody.
    audiences: Vec<String>,
    at: f64,
}

/// The signature and the timestamp of a message's text, with a space between them.
#[napi(catch_unwind)]
pub(crate) fn legacy_seal(args: String) -> Outcome {
    match sealed(&args) {
        Ok(text) => Either::A(text),
        Err(error) => Either::B((&error).into()),
    }
}

fn sealed(args: &str) -> Result<String> {
    let SealArgs { text, key, at } = read(args)?;
    let seal = legacy::seal(&text, &key.key()?, date("at", at)?)?;
    Ok(format!("{} {}", seal.signature, seal.timestamp))
}

/// What is wrong with an envelope's text; `null` where nothing is.
#[napi(catch_unwind)]
pub(crate) fn legacy_verify(args: String) -> Option<Failure> {
    verified(&args).err().map(|error| (&error).into())
}

fn verified(args: &str) -> Result<()> {
    let VerifyArgs { text, key, audiences, at } = read(args)?;
    let keys: Vec<LegacyKey> = key.map(KeyArgs::key).transpose()?.into_iter().collect();
    legacy::verify(&text, &keys, &Expect { audiences, now: date("at", at)? }).map(drop)
}

/// The form in which names are compared.
#[napi(catch_unwind)]
pub(crate) fn fold(name: String) -> String {
    ids::fold(&name)
}

//! The key of a team's keys; the secret never crosses.

use crate::failure::Failure;
use kurultai_core::{Result, messages::wrap};
use napi::bindgen_prelude::Either;
use napi_derive::napi;
use std::sync::Arc;

#[napi]
#[derive(Debug, Clone)]
pub struct WrappingKey {
    pub(crate) key: Arc<wrap::WrappingKey>,
}

/// A wrapping key, or why not.
pub(crate) type MadeWrappingKey = Either<WrappingKey, Failure>;

#[napi]
impl WrappingKey {
    #[napi(catch_unwind)]
    pub fn id(&self) -> String {
        self.key.id().to_owned()
    }

    /// `null` where it is written.
    #[napi(catch_unwind)]
    pub fn write(&self, path: String) -> Option<Failure> {
        self.key.write(path).err().map(|error| (&error).into())
    }
}

fn made(key: Result<wrap::WrappingKey>) -> MadeWrappingKey {
    match key {
        Ok(key) => Either::A(WrappingKey { key: Arc::new(key) }),
        Err(error) => Either::B((&error).into()),
    }
}

#[napi(catch_unwind)]
pub(crate) fn wrapping_key_read(path: String) -> MadeWrappingKey {
    made(wrap::WrappingKey::read(path))
}

#[napi(catch_unwind)]
pub(crate) fn wrapping_key_generate() -> MadeWrappingKey {
    made(wrap::WrappingKey::generate())
}

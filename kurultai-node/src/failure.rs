//! An error of the core on its way to a JavaScript `KurultaiError`.

use kurultai_core::{Error, Kind};
use napi_derive::napi;

/// What the TypeScript layer builds its error from, so that the error has the caller's stack.
#[napi(object)]
#[derive(Debug)]
pub struct Failure {
    pub kind: String,
    pub code: String,
    pub message: String,
    pub retryable: bool,
    pub retry_after_ms: Option<f64>,
    pub cause: Option<String>,
    pub task_id: Option<String>,
}

impl From<&Error> for Failure {
    fn from(error: &Error) -> Self {
        Failure {
            kind: error.kind().as_str().to_owned(),
            code: error.code().to_owned(),
            message: error.message_in(in_node),
            retryable: error.retryable(),
            retry_after_ms: error.retry_after().map(|pause| pause.as_secs_f64() * 1e3),
            cause: error.cause(),
            task_id: error.task_id().map(str::to_owned),
        }
    }
}

/// A field of the core as Node's callers write it.
fn in_node(field: &str) -> String {
    let named = match field {
        "dead_after" => "dead_after_ms",
        "delay" => "delay_ms",
        "every" => "every_ms",
        "expiry" => "expires_in_ms",
        "jitter" => "jitter_ms",
        "lease" => "lease_ms",
        "lifetime" => "ttl_ms",
        "message type" => "type",
        "max_runtime" => "max_runtime_ms",
        "public key" => "public_key",
        "retry.base" => "retry.base_ms",
        "retry.cap" => "retry.cap_ms",
        "retry_after" => "retry_after_ms",
        "stall_after" => "stall_after_ms",
        "stuck_after" => "stuck_after_ms",
        "visible" => "visible_ms",
        named => named,
    };
    let mut words = named.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |all, word| {
        let (head, tail) = word.split_at(word.chars().next().map_or(0, char::len_utf8));
        all + &head.to_uppercase() + tail
    })
}

/// One failure of each kind that the core has: the tests hold the TypeScript classes against it.
#[napi(catch_unwind)]
pub(crate) fn one_failure_of_each_kind() -> Vec<Failure> {
    Kind::ALL.iter().map(|kind| (&Error::new(*kind, "test.kind", kind.as_str())).into()).collect()
}

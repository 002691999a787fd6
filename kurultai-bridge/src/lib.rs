//! What the bindings share: a call is polled once where it was made, goes on in a runtime of our own where it is not
//! ready then, and its outcome goes to a sink, which is the language's way to wake whoever waits.
//!
//! What stands behind an outcome (claimed tasks, a pulled job) is given back when it is dropped; so a call whose
//! outcome nobody takes gives it back, whether it is cancelled before it ends, after that, or merely forgotten.

#![deny(missing_docs)]

mod call;
mod ready_queue;
mod runtime;

pub use call::{Call, Sink, Started, Work, poll};
pub use runtime::{has_runtime, runtime};

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks what no panic leaves half done, so that a poisoned lock is as good as any.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

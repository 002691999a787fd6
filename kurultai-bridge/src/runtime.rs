use std::{io, sync::OnceLock, thread::available_parallelism};
use tokio::runtime::{Builder, Runtime};

/// Never dropped: a process that exits during work just ends.
static RUNTIME: OnceLock<Runtime> = OnceLock::new();

/// The runtime of this process, however many event loops use it; begun by the first who asks. Fails where the system
/// gives no thread.
#[inline]
pub fn runtime() -> io::Result<&'static Runtime> {
    RUNTIME.get().map_or_else(begin, Ok)
}

#[cold]
fn begin() -> io::Result<&'static Runtime> {
    let threads = available_parallelism().map_or(2, |n| n.get().clamp(2, 4));
    let mut builder = Builder::new_multi_thread();
    let built = builder.worker_threads(threads).thread_name("kurultai").enable_all().build()?;
    Ok(RUNTIME.get_or_init(|| built))
}

/// Whether the runtime has begun, and with it threads that a forked child does not have.
pub fn has_runtime() -> bool {
    RUNTIME.get().is_some()
}

pub(crate) fn begun() -> &'static Runtime {
    runtime().expect("no thread for kurultai's runtime")
}

//! What the programs share that go on until they are asked to end: the sidecar and the watcher.

use crate::output::{Done, Stop};
use kurultai_core::{Config, Error, Kind, Kurultai};
use std::time::Duration;
use tokio::time::sleep;

/// The longest wait for a store that is down at the start.
const LONGEST: Duration = Duration::from_secs(30);

/// Whether no waiting mends it.
fn is_bad_configuration(error: &Error) -> bool {
    matches!(error.kind(), Kind::Config | Kind::Denied | Kind::Input)
}

/// What is wrong with their options is a bad configuration, as what is wrong with their variables: whoever starts them
/// again and again sees by the one exit code that it is no use.
pub(crate) fn misconfigured(error: Error) -> Error {
    match error.kind() {
        Kind::Input => invalid(error.message()),
        _ => error,
    }
}

/// An option that is wrong.
pub(crate) fn invalid(message: impl Into<String>) -> Error {
    Error::new(Kind::Config, "config.invalid", message)
}

/// Waits for a store that is down; `tell` hears of each failure, and how long the pause after it is.
pub(crate) async fn opened(store: Config, mut tell: impl FnMut(&Error, Duration) -> Done) -> Done<Kurultai> {
    let mut pause = Duration::from_secs(1);
    loop {
        match Kurultai::open_with(store.clone()).await {
            Ok(kurultai) => return Ok(kurultai),
            Err(error) if is_bad_configuration(&error) => return Err(Stop::Failed(misconfigured(error))),
            Err(error) => tell(&error, pause)?,
        }
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST);
    }
}

/// SIGTERM; the program itself looks after Ctrl-C.
pub(crate) async fn terminated() {
    #[cfg(unix)]
    if let Ok(mut signal) = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
        signal.recv().await;
        return;
    }
    std::future::pending::<()>().await;
}

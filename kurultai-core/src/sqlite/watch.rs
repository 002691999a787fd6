//! Whether another process has written to the file. Shortly after something happened it looks every few milliseconds;
//! then the system's watch of the log file wakes it, and until then nothing does.

use super::files::beside;
use crate::clock::monotonic;
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher, event::ModifyKind};
use std::{
    fmt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    sync::Notify,
    time::{sleep, timeout},
};

/// Between two looks, at first and at the most.
const SOON: Duration = Duration::from_millis(1);
const LATER: Duration = Duration::from_millis(5);
/// After so much silence the system's watch takes over.
const QUIET: Duration = Duration::from_millis(50);
/// A commit can be seen a moment after its last write to the log: after the log was synced to the disk, for example.
const VISIBLE: Duration = Duration::from_millis(100);
/// Between two looks where the system tells nothing of the file: some network drives, too many watches.
const UNWATCHED: Duration = Duration::from_millis(50);
/// Between two looks beside the system's watch, which misses a log file that was made anew.
const SAFETY: Duration = Duration::from_millis(250);

/// The system's watch of one file.
pub(super) struct FileWatch {
    path: PathBuf,
    written: Arc<Notify>,
    /// Made when it is first wanted; `None` where the system has none for us.
    watcher: Mutex<Option<Option<RecommendedWatcher>>>,
}

impl FileWatch {
    /// Of the log of the database at `path`.
    pub(super) fn of_log(path: &Path) -> Self {
        FileWatch { path: beside(path, "-wal"), written: Arc::default(), watcher: Mutex::default() }
    }

    /// Tells of writes until the answer is dropped. `None` where the system cannot.
    fn begin(&self) -> Option<Armed<'_>> {
        let mut watcher = self.watcher.lock().unwrap_or_else(PoisonError::into_inner);
        let watcher = watcher.get_or_insert_with(|| {
            let written = self.written.clone();
            let made = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
                if event.is_ok_and(|event| matches!(event.kind, EventKind::Modify(ModifyKind::Data(_)))) {
                    written.notify_one();
                }
            });
            made.inspect_err(|error| tracing::debug!(%error, "the file is looked at every 50 ms instead"))
                .ok()
        });
        let begun = watcher.as_mut()?.watch(&self.path, RecursiveMode::NonRecursive);
        begun.is_ok().then(|| Armed(self))
    }
}

struct Armed<'a>(&'a FileWatch);

impl Drop for Armed<'_> {
    fn drop(&mut self) {
        let FileWatch { watcher, path, .. } = self.0;
        if let Some(Some(watcher)) = &mut *watcher.lock().unwrap_or_else(PoisonError::into_inner) {
            // The file may be gone.
            drop(watcher.unwatch(path));
        }
    }
}

impl FileWatch {
    /// Returns when `is_new` says so; `quiet` is for how long it has not. Cancel safe.
    pub(super) async fn changed(&self, is_new: impl Fn() -> bool, quiet: Duration) {
        let begun = monotonic();
        while quiet + begun.elapsed() < QUIET {
            sleep(((quiet + begun.elapsed()) / 2).clamp(SOON, LATER)).await;
            if is_new() {
                return;
            }
        }
        let Some(armed) = self.begin() else {
            while !is_new() {
                sleep(UNWATCHED.mul_f64(0.75 + fastrand::f64() / 2.0)).await;
            }
            return;
        };
        // Only now: what was written before the watch began tells nobody.
        while !is_new() {
            if timeout(SAFETY, self.written.notified()).await.is_ok() && visible(&is_new).await {
                break;
            }
        }
        drop(armed);
    }
}

/// Looks ever more rarely until a commit can be seen that was written just now.
async fn visible(is_new: &impl Fn() -> bool) -> bool {
    let (begun, mut pause) = (monotonic(), SOON / 4);
    while begun.elapsed() < VISIBLE {
        if is_new() {
            return true;
        }
        sleep(pause).await;
        pause = (pause * 2).min(VISIBLE / 4);
    }
    false
}

impl fmt::Debug for FileWatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileWatch").field("path", &self.path).finish_non_exhaustive()
    }
}

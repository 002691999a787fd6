//! Checkpoints beside the writer, in the class `process`. Moving the log's pages into the database waits for the disk
//! twice; the writer goes on meanwhile. In the class `full` each commit waits for the disk anyway, and would wait longer
//! beside a checkpoint: 4 x 100 cycles 0.75 of the yardstick without the thread, 0.64 with it.

use super::failed;
use crate::error::{Error, Result};
use rusqlite::{Connection, hooks::Wal};
use std::{sync::mpsc, thread::JoinHandle};

/// After so many pages (16 MiB) the thread moves them.
const STEP: i32 = 4_000;
/// At so many (64 MiB) the writer moves the rest itself, so that the log begins anew; SQLite does that only where
/// nobody writes. Few are left then. Without the thread, 128 callers lose about a tenth of their time to the disk.
pub(super) const MOST: i32 = 16_000;

/// Starts a thread with a connection of its own, which ends with the writer's.
pub(super) fn start(writer: &mut Connection, own: Connection) -> Result<JoinHandle<()>> {
    let (ask, asked) = mpsc::channel();
    let mut last = 0;
    let hook = move |wal: &mut Wal, pages: i32| {
        if pages < last {
            last = 0;
        }
        if pages >= MOST {
            // Busy while the thread is at it; then the next commit tries again.
            drop(wal.checkpoint());
        } else if pages >= last + STEP {
            last = pages;
            // The thread ends only with this hook.
            _ = ask.send(());
        }
        Ok(())
    };
    writer.wal_hook(Some(hook)).map_err(failed)?;
    std::thread::Builder::new()
        .name("kurultai-checkpoint".to_owned())
        .spawn(move || {
            while let Ok(()) = asked.recv() {
                if let Err(error) = own.execute_batch("pragma wal_checkpoint(passive)") {
                    tracing::debug!(%error, "the next checkpoint does the work of this one");
                }
            }
        })
        .map_err(|e| Error::internal("the checkpoints' thread could not be started").caused_by(e))
}

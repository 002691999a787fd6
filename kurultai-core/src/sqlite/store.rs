//! The engine: one thread writes, a few connections read. It knows no room.

use super::{
    readers::{Reader, Readers},
    tx::{Counts, Tx},
    watch::FileWatch,
    writer::{Begin, Writer},
};
use crate::{
    clock::Clock,
    config::{Config, Location},
    error::{Error, Result},
    extensions::Extensions,
};
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::runtime::Handle;

#[derive(Debug)]
pub(crate) struct SqliteStore {
    clock: Clock,
    pub(super) writer: Arc<Writer>,
    /// None where the database is in memory and only its writer sees it.
    readers: Option<Arc<Readers>>,
    pub(super) counts: Arc<Counts>,
    call_timeout: Duration,
    /// Of a file, which other processes may write to.
    pub(super) watch: Option<FileWatch>,
    /// What the rooms know when they only look.
    pub(super) memory: Arc<Mutex<Extensions>>,
}

impl SqliteStore {
    /// `begin` runs at the beginning of each transaction.
    pub(super) async fn start(config: &Config, begin: Begin) -> Result<Self> {
        let (mut config, counts) = (config.clone(), Arc::new(Counts::default()));
        let readers = match &mut config.location {
            Location::Sqlite { path, .. } => {
                // The working directory may be another one later.
                *path = std::path::absolute(&path)
                    .map_err(|e| Error::config("the working directory is gone").caused_by(e))?;
                if let Some(folder) = path.parent().filter(|folder| !folder.exists()) {
                    return Err(Error::config(format!("there is no folder {}", folder.display())));
                }
                Some(Arc::new(Readers::new()))
            }
            _ => None,
        };
        let watch = match &config.location {
            Location::Sqlite { path, .. } => Some(FileWatch::of_log(path)),
            _ => None,
        };
        let (clock, call_timeout) = (config.clock.clone(), config.call_timeout);
        let (theirs, counted) = (readers.clone(), counts.clone());
        let writer = Arc::new(blocking(move || Writer::start(config, theirs, counted, begin)).await?);
        Ok(SqliteStore { clock, writer, readers, counts, call_timeout, watch, memory: Arc::default() })
    }

    /// Runs a job in the writer's next transaction and answers after the commit.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Tx<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.writer.write(job).await
    }

    /// Runs a job that only reads, beside the writer.
    pub(super) async fn query<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Tx<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let Some(readers) = self.readers.clone() else { return self.write(job).await };
        let (writer, counts, now) = (self.writer.clone(), self.counts.clone(), self.clock.now());
        let read = async move {
            let turn = readers.turn().await?;
            let runtime = Handle::current();
            blocking(move || {
                let _turn = turn;
                let reader = current(&readers, || runtime.block_on(writer.write(|_| Ok(()))))?;
                reader.run(|connection| job(&Tx::new(connection, reader.ns, now, &counts, None)))
            })
            .await
        };
        let waited = self.call_timeout;
        tokio::time::timeout(waited, read)
            .await
            .unwrap_or_else(|_| Err(Error::unavailable(format!("the file could not be read for {waited:?}"))))
    }

    pub(super) fn data_version(&self) -> Result<i64> {
        let Some(readers) = &self.readers else { return Ok(0) };
        readers.version()?.ok_or_else(|| {
            self.writer.look();
            Error::unavailable("the files are opened anew")
        })
    }
}

/// A connection to the files that are there. Opening them anew is the writer's business.
fn current(readers: &Readers, reopen: impl Fn() -> Result<()>) -> Result<Reader<'_>> {
    for _ in 0..3 {
        if let Some(reader) = readers.take()? {
            return Ok(reader);
        }
        reopen()?;
    }
    Err(Error::unavailable("the files are replaced again and again"))
}

async fn blocking<T: Send + 'static>(job: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    let done = tokio::task::spawn_blocking(job).await;
    done.unwrap_or_else(|error| Err(Error::internal("a read broke off").caused_by(error)))
}

//! Which files a store has open, so that it notices when another program takes them away.
//!
//! POSIX locks belong to a process and a file: when another SQLite library in the process, or a mere copy of the file,
//! closes the same file, ours are gone as well. The next program takes itself for the only one and removes the log
//! under us; what we commit into it then is lost. So a store asks, before each transaction and after each commit,
//! whether the files at their paths are still those that it opened.

use crate::error::{Error, Kind};
use std::{
    fs::Metadata,
    path::{Path, PathBuf},
};

/// A file, whatever it is called. Windows lets nobody remove an open file, so there any file at the path is ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Id(u64, u64);

impl Id {
    pub(super) fn of(metadata: &Metadata) -> Self {
        #[cfg(unix)]
        {
            use std::os::unix::fs::MetadataExt;
            Id(metadata.dev(), metadata.ino())
        }
        #[cfg(not(unix))]
        {
            let _ = metadata;
            Id(0, 0)
        }
    }

    pub(super) fn at(path: &Path) -> Option<Self> {
        std::fs::metadata(path).ok().as_ref().map(Id::of)
    }
}

/// The database and its log.
#[derive(Debug)]
pub(super) struct Files {
    pub(super) database: PathBuf,
    pub(super) log: PathBuf,
    pub(super) database_id: Id,
    pub(super) log_id: Option<Id>,
}

pub(super) enum Look {
    /// With the length of the database in bytes.
    Ours(u64),
    /// The database is ours; its log was removed, and another may be there.
    OtherLog,
    /// The database was removed, moved or replaced. A log that lies there is not the new one's, so nobody can go on.
    Gone(Error),
}

impl Files {
    /// What lies at the paths now.
    pub(super) fn of(database: &Path) -> Result<Self, Error> {
        let log = beside(database, "-wal");
        let found = std::fs::metadata(database).map_err(|error| gone(database).caused_by(error))?;
        let log_id = Id::at(&log);
        Ok(Files { database: database.to_owned(), database_id: Id::of(&found), log_id, log })
    }

    pub(super) fn are_ours(&self) -> bool {
        matches!(self.look(), Look::Ours(_))
    }

    pub(super) fn look(&self) -> Look {
        let database = match std::fs::metadata(&self.database) {
            Ok(found) if Id::of(&found) == self.database_id => found,
            Ok(_) => return Look::Gone(gone(&self.database)),
            Err(error) => return Look::Gone(gone(&self.database).caused_by(error)),
        };
        if Id::at(&self.log) == self.log_id { Look::Ours(database.len()) } else { Look::OtherLog }
    }
}

/// SQLite's name for a file that goes with the database.
pub(super) fn beside(database: &Path, suffix: &str) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// `store.gone`
fn gone(database: &Path) -> Error {
    let message = format!(
        "the database file {} was removed, moved or replaced while it was open, and nothing is stored any more; put it \
         back, or close every store that has it open, remove its -wal and -shm files and open it anew",
        database.display()
    );
    Error::new(Kind::Storage, "store.gone", message)
}

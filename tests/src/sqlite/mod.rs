//! What only a file can suffer: other programs that open, copy, remove or lock it, a full disk, a power loss.

pub(crate) mod child;
mod close;
mod faults;
mod files;
mod jumps;
mod power;
mod schema;
mod waits;

use kurultai_core::{Config, Kurultai};
use std::{collections::BTreeSet, path::PathBuf, time::Duration};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

/// A file of a test's own.
struct Place {
    folder: TempDir,
}

impl Place {
    fn new() -> Self {
        Place { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("team.db")
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("team.db-wal")
    }

    fn url(&self) -> String {
        format!("sqlite:{}", self.path().display())
    }

    fn config(&self) -> Config {
        Config::new(&self.url()).unwrap().background(false)
    }

    async fn open(&self) -> Kurultai {
        Kurultai::open_with(self.config()).await.unwrap()
    }

    /// The ids of all tasks in the file, as another program sees them.
    fn tasks(&self) -> BTreeSet<String> {
        tasks(&rusqlite::Connection::open(self.path()).unwrap())
    }

    /// The files in this folder that this process has open.
    fn descriptors(&self) -> Vec<PathBuf> {
        let all = std::fs::read_dir("/proc/self/fd").unwrap();
        let files = all.filter_map(|entry| std::fs::read_link(entry.unwrap().path()).ok());
        files.filter(|file| file.starts_with(self.folder.path())).collect()
    }
}

fn tasks(connection: &rusqlite::Connection) -> BTreeSet<String> {
    let mut statement = connection.prepare("select id from task").unwrap();
    statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

/// What comes within seconds.
async fn until(what: &str, is_so: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !is_so() {
        assert!(Instant::now() < end, "{what} should have come");
        sleep(Duration::from_millis(50)).await;
    }
}

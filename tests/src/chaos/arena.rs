//! A store for one run: a fresh SQLite file, or a fresh namespace on the Neo4j server.

use super::Result;
use kurultai_core::{
    Config, Kurultai, ids,
    messages::Ed25519Key,
    tasks::{Expiry, NewTask, RetryPolicy},
};
use std::{path::PathBuf, time::Duration};
use tempfile::TempDir;

/// What a lapsed task waits at most before it can be claimed again.
pub const BACK_OFF: Duration = Duration::from_millis(50);

#[derive(Debug)]
pub struct Arena {
    pub url: String,
    pub namespace: String,
    file: Option<(TempDir, PathBuf)>,
}

impl Arena {
    pub fn sqlite() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("team.db");
        let url = format!("sqlite:{}", path.display());
        Ok(Arena { url, namespace: "default".to_owned(), file: Some((folder, path)) })
    }

    pub fn neo4j() -> Self {
        Arena::of_server(&super::neo4j_url())
    }

    pub fn of_server(url: &str) -> Self {
        let namespace = format!("chaos-{}", ids::new_id());
        Arena { url: url.to_owned(), namespace, file: None }
    }

    pub async fn open(&self) -> Result<Kurultai> {
        open(&self.url, &self.namespace).await
    }

    /// For whoever signs with this key.
    pub async fn open_as(&self, key: Ed25519Key) -> Result<Kurultai> {
        let config = Config::new(&self.url)?.namespace(&self.namespace)?.identity(key);
        Ok(Kurultai::open_with(config).await?)
    }

    /// Whether SQLite finds its file in order. Only after everybody has closed it.
    pub fn check_integrity(&self) -> Result {
        let Some((_, path)) = &self.file else { return Ok(()) };
        let connection = rusqlite::Connection::open(path)?;
        let verdict: String = connection.query_row("pragma integrity_check", [], |row| row.get(0))?;
        if verdict == "ok" { Ok(()) } else { Err(format!("integrity_check: {verdict}").into()) }
    }
}

pub async fn open(url: &str, namespace: &str) -> Result<Kurultai> {
    Ok(Kurultai::open_with(Config::new(url)?.namespace(namespace)?).await?)
}

/// A task that is tried until it is done.
pub fn task() -> NewTask {
    let retry = RetryPolicy { base: Duration::from_millis(10), cap: BACK_OFF, jitter: true };
    NewTask::new("storm").max_attempts(1000).retry(retry).expiry(Expiry::Never)
}

pub async fn fill(kurultai: &Kurultai, tasks: usize) -> Result {
    for start in (0..tasks).step_by(500) {
        let batch = (start..tasks.min(start + 500)).map(|_| task());
        kurultai.tasks().enqueue_many(batch.collect()).await?;
    }
    Ok(())
}

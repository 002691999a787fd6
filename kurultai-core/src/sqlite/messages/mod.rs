//! The statements of messages and of keys.

mod fetch;
mod keys;
mod put;
mod read;
mod refused;
mod settle;
mod shift;

pub(super) use put::put;
pub(super) use read::waiting;
pub(super) use shift::shift;

use super::{agents::check_term, store::SqliteStore};
use crate::{
    agents::Term,
    clock::micros,
    error::Result,
    messages::{AgentKey, KeyState, KeyStore, Mailbox, Sent, Unread, contract::*},
};
use async_trait::async_trait;
use std::{collections::HashSet, time::Duration};

#[async_trait]
impl Mailbox for SqliteStore {
    async fn put(&self, units: Batch<Vec<Post>>) -> Result<Vec<Result<Vec<Sent>>>> {
        self.write(move |tx| put::put(tx, units.close())).await
    }

    async fn put_under(&self, unit: Vec<Post>, under: Term) -> Result<Vec<Sent>> {
        self.write(move |tx| {
            check_term(tx, Some(&under))?;
            put::put(tx, vec![unit])?.pop().unwrap_or_else(|| Ok(vec![]))
        })
        .await
    }

    async fn fetch(&self, requests: Batch<Fetch>) -> Result<Vec<Result<Vec<Stored>>>> {
        self.write(move |tx| fetch::fetch(tx, &requests.close())).await
    }

    async fn settle(&self, units: Batch<Vec<Settle>>) -> Result<Vec<Result<Vec<Result<Settled>>>>> {
        self.write(move |tx| settle::settle(tx, &units.close())).await
    }

    async fn unread(&self, agent: &str) -> Result<Unread> {
        let agent = agent.to_owned();
        self.query(move |tx| read::unread(tx, &agent)).await
    }

    async fn read(&self, which: Which, after: Option<String>, limit: usize) -> Result<Part> {
        self.query(move |tx| read::read(tx, &which, after.as_deref(), limit)).await
    }

    async fn sweep(&self, limit: usize) -> Result<usize> {
        self.write(move |tx| settle::sweep(tx, limit)).await
    }

    async fn forget(&self, after: Duration, limit: usize) -> Result<usize> {
        self.write(move |tx| settle::forget(tx, tx.now.saturating_sub(micros(after)), limit)).await
    }

    async fn refused(&self, refusal: Refusal) -> Result<u64> {
        self.write(move |tx| refused::refused(tx, &refusal)).await
    }

    async fn told(&self, dedupe_keys: Vec<String>) -> Result<Vec<String>> {
        self.query(move |tx| read::told(tx, dedupe_keys)).await
    }

    async fn forgeries(&self) -> Result<Vec<(String, String)>> {
        self.query(refused::forgeries).await
    }
}

#[async_trait]
impl KeyStore for SqliteStore {
    async fn keys(&self, agent: Option<&str>) -> Result<Vec<AgentKey>> {
        let agent = agent.map(str::to_owned);
        self.query(move |tx| keys::keys(tx, agent.as_deref())).await
    }

    async fn put(&self, agent: &str, known: Vec<(String, KeyState)>, keys: Vec<AgentKey>) -> Result<()> {
        let agent = agent.to_owned();
        self.write(move |tx| keys::put(tx, &agent, &known, &keys)).await
    }

    async fn rewrap(&self, wrapping_key: &str, secrets: Vec<Rewrapped>) -> Result<()> {
        let wrapping_key = wrapping_key.to_owned();
        self.write(move |tx| keys::rewrap(tx, &wrapping_key, &secrets)).await
    }

    /// A file is ours alone.
    async fn plain(&self) -> Result<Vec<PlainRow>> {
        Ok(vec![])
    }

    async fn take_over(&self, _rows: Vec<TakeOver>) -> Result<HashSet<String>> {
        Ok(HashSet::new())
    }
}

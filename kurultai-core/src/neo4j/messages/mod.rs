//! The statements of messages and of keys. Same files and names as in `sqlite`.

mod fetch;
mod import;
mod keys;
mod put;
mod read;
mod refused;
mod settle;

pub(super) use settle::end_due_of;

use super::{Neo4jStore, bolt::count, cypher::clock, statement::Statement};
use crate::{
    agents::Term,
    clock::micros,
    error::Result,
    messages::{AgentKey, KeyState, KeyStore, Mailbox, Sent, Unread, contract::*, rules},
};
use async_trait::async_trait;
use std::{collections::HashSet, time::Duration};

/// What the server's clock says is over for long.
const FORGET: Statement = Statement::plain(concat!(clock!(), include_str!("cypher/forget.cypher")));

/// For the test of their plans.
#[cfg(feature = "testing")]
pub(super) const HOT: [(&str, &str); 4] = [
    ("put", put::PUT[0].text),
    ("fetch", fetch::FETCH.text),
    ("settle", settle::SETTLE.text),
    ("leave", settle::LEAVE.text),
];

#[async_trait]
impl Mailbox for Neo4jStore {
    async fn put(&self, units: Batch<Vec<Post>>) -> Result<Vec<Result<Vec<Sent>>>> {
        self.call(async {
            let (_turn, units) = self.turn(units).await?;
            put::put(self, &units, None).await
        })
        .await
    }

    async fn put_under(&self, unit: Vec<Post>, under: Term) -> Result<Vec<Sent>> {
        let mut each = self.call(put::put(self, &[unit], Some(&under))).await?;
        each.pop().unwrap_or_else(|| Ok(vec![]))
    }

    async fn fetch(&self, requests: Batch<Fetch>) -> Result<Vec<Result<Vec<Stored>>>> {
        self.call(async {
            let (_turn, requests) = self.turn(requests).await?;
            fetch::fetch(self, &requests).await
        })
        .await
    }

    async fn settle(&self, units: Batch<Vec<Settle>>) -> Result<Vec<Result<Vec<Result<Settled>>>>> {
        self.call(async {
            let (_turn, units) = self.turn(units).await?;
            settle::settle(self, &units).await
        })
        .await
    }

    async fn unread(&self, agent: &str) -> Result<Unread> {
        read::unread(self, agent).await
    }

    async fn read(&self, which: Which, after: Option<String>, limit: usize) -> Result<Part> {
        read::read(self, which, after, limit).await
    }

    async fn sweep(&self, limit: usize) -> Result<usize> {
        self.call(settle::sweep(self, limit)).await
    }

    async fn forget(&self, after: Duration, limit: usize) -> Result<usize> {
        let query = self
            .query(FORGET)
            .param("after", micros(after))
            .param("minute", rules::MINUTE)
            .param("limit", count(limit));
        Ok(self.one(query).await?.next::<u64>()? as usize)
    }

    async fn refused(&self, refusal: Refusal) -> Result<u64> {
        self.call(refused::refused(self, refusal)).await
    }

    async fn told(&self, dedupe_keys: Vec<String>) -> Result<Vec<String>> {
        read::told(self, dedupe_keys).await
    }

    async fn forgeries(&self) -> Result<Vec<(String, String)>> {
        refused::forgeries(self).await
    }
}

#[async_trait]
impl KeyStore for Neo4jStore {
    async fn keys(&self, agent: Option<&str>) -> Result<Vec<AgentKey>> {
        keys::keys(self, agent).await
    }

    async fn put(&self, agent: &str, known: Vec<(String, KeyState)>, keys: Vec<AgentKey>) -> Result<()> {
        keys::put(self, agent, &known, &keys).await
    }

    async fn rewrap(&self, wrapping_key: &str, secrets: Vec<Rewrapped>) -> Result<()> {
        keys::rewrap(self, wrapping_key, &secrets).await
    }

    async fn plain(&self) -> Result<Vec<PlainRow>> {
        import::plain(self).await
    }

    async fn take_over(&self, rows: Vec<TakeOver>) -> Result<HashSet<String>> {
        self.call(import::take_over(self, rows)).await
    }
}

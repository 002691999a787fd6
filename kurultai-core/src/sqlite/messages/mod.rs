//! The statements of messages and of keys.

mod fetch;
mod keys;
mod put;
mod read;
mod settle;
mod shift;

pub(super) use shift::shift;

use super::{events, store::SqliteStore, tx::Tx};
use crate::{
    clock::{Micros, micros},
    error::Result,
    messages::{AgentKey, KeyState, KeyStore, Mailbox, Sent, Unread, contract::*, rules},
};
use async_trait::async_trait;
use rusqlite::params;
use std::time::Duration;

#[async_trait]
impl Mailbox for SqliteStore {
    async fn put(&self, units: Batch<Vec<Post>>) -> Result<Vec<Result<Vec<Sent>>>> {
        self.write(move |tx| put::put(tx, units.close())).await
    }

    async fn fetch(&self, requests: Batch<Fetch>) -> Result<Vec<Result<Vec<Stored>>>> {
        self.write(move |tx| fetch::fetch(tx, &requests.close())).await
    }

    async fn settle(&self, units: Batch<Vec<Settle>>) -> Result<Vec<Result<Vec<Result<Settled>>>>> {
        self.write(move |tx| settle::settle(tx, &units.close())).await
    }

    async fn unread(&self, audiences: Vec<String>) -> Result<Unread> {
        self.query(move |tx| read::unread(tx, &audiences)).await
    }

    async fn read(&self, which: Which, after: Option<String>, limit: usize) -> Result<Vec<Stored>> {
        self.query(move |tx| read::read(tx, &which, after.as_deref(), limit)).await
    }

    async fn sweep(&self, limit: usize) -> Result<usize> {
        self.write(move |tx| settle::sweep(tx, limit)).await
    }

    async fn forget(&self, after: Duration, limit: usize) -> Result<usize> {
        self.write(move |tx| forget(tx, tx.now.saturating_sub(micros(after)), limit)).await
    }

    async fn refused(&self, refusal: Refusal) -> Result<u64> {
        self.write(move |tx| refused(tx, &refusal)).await
    }
}

fn forget(tx: &Tx<'_>, before: Micros, limit: usize) -> Result<usize> {
    let sql = "delete from refusal where ns = ?1 and (minute, sender, code) in
        (select minute, sender, code from refusal where ns = ?1 and minute < ?2 limit ?3)";
    tx.run(sql, params![tx.ns, before / rules::MINUTE, limit as i64])?;
    let sql = "delete from message where n in
        (select n from message where ns = ?1 and visible_at is null and expires_at < ?2 limit ?3)";
    tx.run(sql, params![tx.ns, before, limit as i64])
}

fn refused(tx: &Tx<'_>, Refusal { sender, code, hash }: &Refusal) -> Result<u64> {
    let sql = "insert into refusal(ns, minute, sender, code, count, first) values(?1, ?2, ?3, ?4, 1, ?5)
        on conflict do update set count = count + 1 returning count";
    let count: Option<i64> =
        tx.one(sql, params![tx.ns, tx.now / rules::MINUTE, sender, code, hash], |row| row.get(0))?;
    let count = count.unwrap_or_default().unsigned_abs();
    if count == rules::MANY_REFUSALS {
        events::append_one(tx, "alert.raised", None, None, Some(rules::forgeries(sender, code)))?;
    }
    Ok(count)
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

    async fn rewrap(&self, secrets: Vec<Rewrapped>) -> Result<()> {
        self.write(move |tx| keys::rewrap(tx, &secrets)).await
    }
}

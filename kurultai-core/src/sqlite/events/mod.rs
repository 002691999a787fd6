//! The statements of the event log.

mod publish;
mod read;
mod subscriptions;

use super::{
    alerts,
    namespaces::gone,
    store::SqliteStore,
    tx::{Tx, list},
};
use crate::{
    error::Result,
    events::{
        Alert, DeadEvent, EventFilter, SubscriptionManager,
        alerts::{Observations, Row, decide},
        contract::{Batch, Look},
        publish::{Publication, Published},
        subscriptions::{Row as Subscription, Subscriptions},
        topic::Pattern,
    },
};
use async_trait::async_trait;
use rusqlite::params;
use std::sync::Arc;

/// One event for each task, in one statement.
pub(super) fn append(tx: &Tx<'_>, topic: &str, source: Option<&str>, tasks: &[i64]) -> Result<()> {
    if tasks.is_empty() {
        return Ok(());
    }
    let before = take(tx, tasks.len())?;
    let sql = "insert or fail into event(key, topic, task, source, created_at)
        select ?1 + rowid, ?2, value, ?3, ?4 from rarray(?5)";
    tx.run(sql, params![key(tx, before), topic, source, tx.now, list(tasks.iter().copied())]).map(drop)
}

/// One event with a payload, of a task or of none.
pub(super) fn append_one(
    tx: &Tx<'_>,
    topic: &str,
    source: Option<&str>,
    task: Option<i64>,
    payload: Option<String>,
) -> Result<()> {
    let before = take(tx, 1)?;
    let sql = "insert into event(key, topic, task, source, data, created_at)
        values(?1, ?2, ?3, ?4, ?5, ?6)";
    tx.run(sql, params![key(tx, before + 1), topic, task, source, payload, tx.now]).map(drop)
}

/// One event for each source, with the id of a task or of none, and a payload.
pub(super) fn append_of(tx: &Tx<'_>, topic: &str, events: &[(&str, Option<&str>, String)]) -> Result<()> {
    let before = take(tx, events.len())?;
    let sql = "insert or fail into event(key, topic, task, source, data, created_at)
        values(?1, ?2, (select n from task where ns = ?7 and id = ?3), ?4, ?5, ?6)";
    let mut each = tx.each(sql)?;
    for (index, (source, task, payload)) in events.iter().enumerate() {
        let key = key(tx, before + 1 + index as i64);
        each.run(params![key, topic, task, source, payload, tx.now, tx.ns])?;
    }
    Ok(())
}

/// Where the event of this number stands.
pub(super) fn key(tx: &Tx<'_>, seq: i64) -> i64 {
    (tx.ns << 44) + seq
}

/// Takes numbers; the first is one after the answer.
fn take(tx: &Tx<'_>, count: usize) -> Result<i64> {
    let count = count as i64;
    let sql = "update namespace set event_seq = event_seq + ?2 where n = ?1 and id <> '' returning event_seq";
    let last = tx.one(sql, params![tx.ns, count], |row| row.get::<_, i64>(0))?;
    Ok(last.ok_or_else(gone)? - count)
}

#[async_trait]
impl SubscriptionManager for SqliteStore {
    async fn read(&self, filter: EventFilter) -> Result<Look> {
        let pattern = filter.topic.as_deref().map(Pattern::new).transpose()?;
        self.query(move |tx| read::read(tx, &filter, pattern.as_ref())).await
    }

    async fn last_seq(&self) -> Result<i64> {
        self.query(last_seq).await
    }

    async fn publish(&self, units: Batch<Vec<Publication>>) -> Result<Vec<Result<Vec<Published>>>> {
        self.write(move |tx| publish::publish(tx, &units.close())).await
    }

    async fn subscriptions(&self, name: Option<&str>) -> Result<Subscriptions> {
        let name = name.map(str::to_owned);
        self.query(move |tx| subscriptions::subscriptions(tx, name.as_deref())).await
    }

    async fn put_subscription(
        &self,
        row: Subscription,
        was: Option<i64>,
        dead: Option<DeadEvent>,
    ) -> Result<bool> {
        self.write(move |tx| subscriptions::put(tx, &row, was, dead.as_ref())).await
    }

    async fn remove_subscription(&self, name: &str) -> Result<bool> {
        let name = name.to_owned();
        self.write(move |tx| subscriptions::remove(tx, &name)).await
    }

    async fn dead_events(&self, name: &str) -> Result<Option<Vec<DeadEvent>>> {
        let name = name.to_owned();
        self.query(move |tx| subscriptions::dead(tx, &name)).await
    }

    async fn alerts(&self) -> Result<Vec<Alert>> {
        let rows = self.query(alerts::rows).await?;
        Ok(rows.iter().filter(|row| row.cleared_at.is_none()).map(Row::alert).collect())
    }

    /// Most often nothing changes, and no other writer waits for that.
    async fn observe(&self, seen: Observations) -> Result<Vec<Alert>> {
        let seen = Arc::new(seen);
        let look = seen.clone();
        let changes = self.query(move |tx| Ok(!decide(&alerts::rows(tx)?, &look, tx.now).is_empty()));
        if !changes.await? {
            return Ok(vec![]);
        }
        self.write(move |tx| alerts::observe(tx, &seen)).await
    }
}

pub(super) fn last_seq(tx: &Tx<'_>) -> Result<i64> {
    let sql = "select event_seq from namespace where n = ?1 and id <> ''";
    tx.one(sql, [tx.ns], |row| row.get(0))?.ok_or_else(gone)
}

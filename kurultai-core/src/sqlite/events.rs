use super::{
    alerts,
    namespaces::gone,
    store::SqliteStore,
    tx::{Tx, list},
};
use crate::{
    clock::time,
    error::Result,
    events::{
        Alert, Event, EventFilter, MOST_EVENTS, SubscriptionManager,
        alerts::{Observations, Row, decide},
        contract::Look,
    },
    json::Json,
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
        let event = |row: &rusqlite::Row<'_>| {
            Ok(Event {
                seq: row.get(0)?,
                topic: row.get(1)?,
                source: row.get(2)?,
                task_id: row.get(3)?,
                task_type: row.get(4)?,
                correlation_id: row.get(5)?,
                payload: row.get::<_, Option<String>>(6)?.map(Json::stored),
                created_at: time(row.get(7)?),
            })
        };
        self.query(move |tx| {
            let sql = "select e.key & 0xfffffffffff, e.topic, e.source, coalesce(t.id, w.id), coalesce(t.type, w.type),
                  coalesce(d.correlation_id, t.id, w.correlation_id), e.data, e.created_at
                from event e left join task t on t.n = e.task left join task_data d on d.n = t.n
                left join swept w on w.n = e.task
                where e.key > ?2 and e.key < ?7 and (?3 is null or e.source = ?3)
                  and (?4 is null or e.task in (select n from task where id = ?4 and ns = ?1
                    union all select n from swept where id = ?4 and ns = ?1))
                  and (?5 is null or e.created_at >= ?5) and (?8 is null or coalesce(t.type, w.type) = ?8)
                order by e.key limit ?6";
            let since = filter.since.map(|since| since.timestamp_micros());
            let limit = filter.limit as i64;
            let (after, end) = (key(tx, filter.after_seq), key(tx, MOST_EVENTS));
            let params = params![tx.ns, after, filter.source, filter.task_id, since, limit, end, filter.task_type];
            let events = tx.rows(sql, params, event)?;
            let newest = last_seq(tx)?;
            let looked_to = match events.last() {
                Some(last) if events.len() == filter.limit => last.seq,
                _ => newest.max(filter.after_seq),
            };
            Ok(Look { events, looked_to, first: first_seq(tx, newest)?, newest })
        })
        .await
    }

    async fn last_seq(&self) -> Result<i64> {
        self.query(last_seq).await
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

/// The first that retention has left, or that will be given out next.
fn first_seq(tx: &Tx<'_>, newest: i64) -> Result<i64> {
    let sql = "select key - ?1 from event where key > ?1 and key < ?2 order by key limit 1";
    let first = tx.one(sql, [key(tx, 0), key(tx, MOST_EVENTS)], |row| row.get(0))?;
    Ok(first.unwrap_or(newest + 1))
}

pub(super) fn last_seq(tx: &Tx<'_>) -> Result<i64> {
    let sql = "select event_seq from namespace where n = ?1 and id <> ''";
    tx.one(sql, [tx.ns], |row| row.get(0))?.ok_or_else(gone)
}

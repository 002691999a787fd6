//! Subscriptions as rows.

use super::{last_seq, read::first_seq};
use crate::{
    clock::time,
    error::Result,
    events::{
        DeadEvent,
        subscriptions::{Row, Subscriptions},
    },
    json::Json,
    sqlite::tx::Tx,
};
use rusqlite::params;

pub(super) fn subscriptions(tx: &Tx<'_>, name: Option<&str>) -> Result<Subscriptions> {
    let newest = last_seq(tx)?;
    let sql = "select name, subscriber_agent, topic, source_agent, filter, batch, quiet, active, cursor, fence, held_until,
          tries, error, revision, created_at, updated_at from subscription
        where ns = ?1 and (?2 is null or name = ?2) order by name";
    let rows = tx.rows(sql, params![tx.ns, name], |row| {
        Ok(Row {
            name: row.get(0)?,
            agent: row.get(1)?,
            topic: row.get(2)?,
            source: row.get(3)?,
            filter: row.get::<_, Option<String>>(4)?.map(Json::stored),
            batch: row.get(5)?,
            quiet: row.get(6)?,
            active: row.get(7)?,
            cursor: row.get(8)?,
            fence: row.get(9)?,
            held_until: row.get(10)?,
            tries: row.get(11)?,
            error: row.get(12)?,
            revision: row.get(13)?,
            created_at: row.get(14)?,
            updated_at: row.get(15)?,
        })
    })?;
    Ok(Subscriptions { now: tx.now, newest, first: first_seq(tx, newest)?, rows })
}

pub(super) fn put(tx: &Tx<'_>, row: &Row, was: Option<i64>, dead: Option<&DeadEvent>) -> Result<bool> {
    let sql = match was {
        Some(_) => {
            "update subscription set subscriber_agent = ?3, topic = ?4, source_agent = ?5, filter = ?6, batch = ?7,
              quiet = ?8, active = ?9, cursor = ?10, fence = ?11, held_until = ?12, tries = ?13, error = ?14,
              revision = ?15, created_at = ?16, updated_at = ?17
            where ns = ?1 and name = ?2 and revision = ?18"
        }
        None => {
            "insert into subscription(ns, name, subscriber_agent, topic, source_agent, filter, batch, quiet, active, cursor,
              fence, held_until, tries, error, revision, created_at, updated_at)
            select ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17 where ?18 is null
            on conflict do nothing"
        }
    };
    let Row { name, agent, topic, source, filter, batch, quiet, active, cursor, .. } = row;
    let Row { fence, held_until, tries, error, revision, created_at, updated_at, .. } = row;
    let filter = filter.as_ref().map(Json::as_str);
    let params = params![
        tx.ns, name, agent, topic, source, filter, batch, quiet, active, cursor, fence, held_until, tries,
        error, revision, created_at, updated_at, was
    ];
    if tx.run(sql, params)? == 0 {
        return Ok(false);
    }
    let sql = "delete from dead_event where ns = ?1 and subscription = ?2 and seq > ?3";
    tx.run(sql, params![tx.ns, name, cursor])?;
    if let Some(DeadEvent { seq, topic, tries, error, at }) = dead {
        let sql = "insert or replace into dead_event(ns, subscription, seq, topic, tries, error, at)
            values(?1, ?2, ?3, ?4, ?5, ?6, ?7)";
        tx.run(sql, params![tx.ns, name, seq, topic, tries, error, at.timestamp_micros()])?;
    }
    Ok(true)
}

pub(super) fn remove(tx: &Tx<'_>, name: &str) -> Result<bool> {
    tx.run("delete from dead_event where ns = ?1 and subscription = ?2", params![tx.ns, name])?;
    Ok(tx.run("delete from subscription where ns = ?1 and name = ?2", params![tx.ns, name])? > 0)
}

pub(super) fn dead(tx: &Tx<'_>, name: &str) -> Result<Option<Vec<DeadEvent>>> {
    let there = "select 1 from subscription where ns = ?1 and name = ?2";
    if tx.one(there, params![tx.ns, name], |_| Ok(()))?.is_none() {
        return Ok(None);
    }
    let sql = "select seq, topic, tries, error, at from dead_event where ns = ?1 and subscription = ?2
        order by seq desc limit 1000";
    let mut dead = tx.rows(sql, params![tx.ns, name], |row| {
        let (seq, topic, tries, error) = (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?);
        Ok(DeadEvent { seq, topic, tries, error, at: time(row.get(4)?) })
    })?;
    dead.reverse();
    Ok(Some(dead))
}

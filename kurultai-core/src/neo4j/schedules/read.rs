//! What is due when. Read under the lock: what is decided of a schedule is decided from all of it, and the server shows a
//! commit property by property.

use crate::{
    clock::Micros,
    error::Result,
    neo4j::{
        Neo4jStore,
        bolt::{Cells, Properties, count},
        cypher::{hot_lock, lock},
        statement::{Call, Statement},
    },
    schedules::{
        Rhythm,
        contract::{Entry, Schedules},
    },
};
use chrono::{DateTime, Utc};

const ALL: Statement = Statement::locking(concat!(
    lock!(),
    "CALL () { MATCH (s:Schedule) USING INDEX SEEK s:Schedule(namespace, name) WHERE s.namespace = $ns AND s.name >= ''
  WITH s ORDER BY s.namespace, s.name
",
    include_str!("cypher/entries.cypher")
));
const ONE: Statement = Statement::locking(concat!(
    lock!(),
    "CALL () { MATCH (s:Schedule {namespace: $ns, name: $name})
",
    include_str!("cypher/entries.cypher")
));
pub(super) const DUE: Statement = Statement::locking(concat!(
    hot_lock!(),
    "CALL (now) { MATCH (s:Schedule) USING INDEX SEEK s:Schedule(namespace, due_at)
  WHERE s.namespace = $ns AND s.due_at <= now
  WITH s ORDER BY s.namespace, s.due_at LIMIT $limit
",
    include_str!("cypher/entries.cypher")
));

pub(super) async fn schedules(store: &Neo4jStore, name: Option<&str>) -> Result<Schedules> {
    let query = match name {
        Some(name) => store.query(ONE).param("name", name),
        None => store.query(ALL),
    };
    read(store, query).await
}

pub(super) async fn due(store: &Neo4jStore, limit: usize) -> Result<Schedules> {
    read(store, store.query(DUE).param("limit", count(limit))).await
}

async fn read(store: &Neo4jStore, query: Call) -> Result<Schedules> {
    let mut row = store.one(query).await?;
    let now = row.next()?;
    let entries = row.rows()?.into_iter().map(entry).collect::<Result<_>>()?;
    Ok(Schedules { now, entries })
}

fn entry(mut row: Cells) -> Result<(Entry, bool)> {
    let (mut of, busy): (Properties, bool) = (row.next()?, row.next()?);
    let rhythm = Rhythm {
        every: of.take("every")?,
        cron: of.take("cron")?,
        timezone: of.take("timezone")?,
        start: time(&mut of, "start")?,
    };
    let entry = Entry {
        name: of.take("name")?,
        task_type: of.take("type")?,
        payload: of.take::<Option<_>>("payload")?.unwrap_or_default(),
        fields: of.take("task_fields")?,
        rhythm,
        catch_up: of.take::<String>("catch_up")?.parse()?,
        overlap: of.take::<String>("overlap")?.parse()?,
        jitter: of.take("jitter")?,
        paused: of.take("paused")?,
        next_due: time(&mut of, "next_due")?,
        due_at: of.take("due_at")?,
        last_due: time(&mut of, "last_due")?,
        last_task: of.take("last_task")?,
        last_skipped: time(&mut of, "last_skipped")?,
        revision: of.take("revision")?,
        created_at: time(&mut of, "created_at")?.unwrap_or_default(),
        updated_at: time(&mut of, "updated_at")?.unwrap_or_default(),
    };
    Ok((entry, busy))
}

fn time(of: &mut Properties, name: &str) -> Result<Option<Micros>> {
    Ok(of.take::<Option<DateTime<Utc>>>(name)?.map(|at| at.timestamp_micros()))
}

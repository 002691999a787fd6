//! What burns: rows that are read, decided and written behind what was read of them.

use super::{
    Neo4jStore,
    bolt::{Cells, cells, datetime, list},
    cypher::{clock, lock},
    statement::Statement,
};
use crate::{
    clock::Micros,
    error::Result,
    events::alerts::{Alert, Decision, Observations, Row, decide},
};
use chrono::{DateTime, Utc};

const ROWS: Statement = Statement::plain(concat!(
    clock!(),
    "MATCH (ns:Namespace {namespace: $ns, made: $made})
RETURN [now, COLLECT { MATCH (a:Alert) USING INDEX SEEK a:Alert(namespace, key) WHERE a.namespace = $ns AND a.key >= ''
  RETURN [a.key, a.severity, a.text, a.raised_at, a.told_at, a.cleared_at] }] AS row"
));

const TELL: Statement =
    Statement::locking(concat!(lock!(), include_str!("cypher/tell_alerts.cypher"))).once();

fn micros(row: &mut Cells) -> Result<Option<Micros>> {
    Ok(row.next::<Option<DateTime<Utc>>>()?.map(|at| at.timestamp_micros()))
}

fn row(mut cells: Cells) -> Result<Row> {
    Ok(Row {
        key: cells.next()?,
        severity: cells.next::<String>()?.parse()?,
        text: cells.next()?,
        raised_at: micros(&mut cells)?.unwrap_or_default(),
        told_at: micros(&mut cells)?.unwrap_or_default(),
        cleared_at: micros(&mut cells)?,
    })
}

/// With the time at which they were read.
pub(super) async fn rows(store: &Neo4jStore) -> Result<(Micros, Vec<Row>)> {
    let mut answer = store.one(store.query(ROWS)).await?;
    let now = answer.next()?;
    let mut rows = answer.rows()?.into_iter().map(row).collect::<Result<Vec<Row>>>()?;
    rows.sort_by(|a, b| a.key.cmp(&b.key));
    Ok((now, rows))
}

/// Returns what was told. What somebody else has told meanwhile is left to the next look.
pub(super) async fn observe(store: &Neo4jStore, seen: &Observations) -> Result<Vec<Alert>> {
    let (now, known) = rows(store).await?;
    let decision = decide(&known, seen, now);
    if decision.is_empty() {
        return Ok(vec![]);
    }
    let Decision { told, forgotten } = decision;
    let before = |key: &str| {
        let row = known.iter().find(|row| row.key == key);
        cells![datetime(row.map(|row| row.told_at)), datetime(row.and_then(|row| row.cleared_at))]
    };
    let rows = told.iter().map(|row| {
        cells![
            row.key.as_str(),
            row.severity.as_str(),
            row.text.as_str(),
            datetime(Some(row.raised_at)),
            datetime(Some(row.told_at)),
            datetime(row.cleared_at),
            row.topic(),
            row.told(),
            before(&row.key)
        ]
    });
    let query = store.query(TELL).param("rows", list(rows)).param("forgotten", forgotten);
    let held: Vec<String> = store.one(query).await?.next()?;
    Ok(told.iter().filter(|row| held.contains(&row.key)).map(Row::alert).collect())
}

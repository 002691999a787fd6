//! Schedules move on, and what is due is enqueued, in one statement.

use crate::{
    error::{Error, Result},
    neo4j::{
        Neo4jStore,
        bolt::{cells, datetime, list},
        cypher::hot_lock,
        statement::Statement,
        tasks::insertion,
        verdict::CONSTRAINT,
    },
    schedules::contract::Tick,
    tasks::admit::Row,
};

pub(super) const TICK: Statement = Statement::locking(concat!(
    hot_lock!(),
    include_str!("cypher/tick.cypher"),
    include_str!("../tasks/cypher/insert.cypher"),
    "WITH count(*) AS added RETURN [added = $count] AS row"
))
.once();
/// Where nothing is enqueued.
const PASS_OVER: Statement = Statement::locking(concat!(
    hot_lock!(),
    include_str!("cypher/tick.cypher"),
    "WITH count(*) AS moved RETURN [moved > 0] AS row"
))
.once();

const TAKEN: Statement = Statement::plain(
    "CYPHER 5 UNWIND $keys AS key MATCH (t:Task {namespace: $ns, unique_key: key}) RETURN [key, t.id] AS row",
);

/// How often it is told that a key is taken.
const ROUNDS: usize = 8;

pub(super) async fn tick(store: &Neo4jStore, mut ticks: Vec<Tick>) -> Result<bool> {
    for _ in 0..ROUNDS {
        let tasks = ticks.iter().flat_map(|tick| tick.tasks.iter().cloned());
        let rows: Vec<Row> = tasks.map(Row::plain).collect();
        let moves = list(ticks.iter().map(|tick| {
            cells![
                tick.name.as_str(),
                tick.revision,
                tick.busy,
                datetime(tick.next_due),
                tick.due_at,
                datetime(tick.last_due),
                datetime(tick.last_skipped),
                tick.last_task.as_deref()
            ]
        }));
        let query = match rows.is_empty() {
            true => store.query(PASS_OVER),
            false => insertion(store, &rows).await?.query(store, TICK),
        };
        match store.one(query.param("ticks", moves)).await {
            Ok(mut row) => return row.next(),
            // A time that has its task already.
            Err(error) if error.code() == CONSTRAINT => {
                let taken = taken(store, &ticks).await?;
                ticks = ticks.into_iter().map(|tick| tick.without(&taken)).collect();
            }
            Err(error) => return Err(error),
        }
    }
    Err(Error::unavailable("other writers take the keys of schedules too quickly"))
}

async fn taken(store: &Neo4jStore, ticks: &[Tick]) -> Result<Vec<(String, String)>> {
    let keys: Vec<&str> = ticks.iter().flat_map(Tick::keys).collect();
    let rows = store.exec(store.query(TAKEN).param("keys", keys)).await?;
    rows.into_iter().map(|mut row| Ok((row.next()?, row.next()?))).collect()
}

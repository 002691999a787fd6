//! Keys that an older program keeps as they are.

use super::keys::{made, standing};
use crate::{
    error::Result,
    messages::{
        contract::{PlainRow, TakeOver},
        key_row::Row,
    },
    neo4j::{
        Neo4jStore,
        bolt::{Cell, Cells, cells, list, map},
        cypher::lock,
        statement::Statement,
    },
};
use chrono::{DateTime, Utc};
use neo4rs::BoltType;
use secrecy::ExposeSecret;
use serde_json::Value;
use std::collections::HashSet;

/// It looks at every key of the database, of which there are few.
const PLAIN: Statement = Statement::plain(concat!("CYPHER 5\n", include_str!("cypher/plain_keys.cypher")));
const TAKE_OVER: Statement =
    Statement::locking(concat!(lock!(), include_str!("cypher/take_over_keys.cypher"))).once();

const NAMES: [&str; 9] = [
    "agent_id",
    "key_id",
    "id",
    "secret_key",
    "key_hash",
    "revoked",
    "is_active",
    "created_at",
    "expires_at",
];

pub(super) async fn plain(store: &Neo4jStore) -> Result<Vec<PlainRow>> {
    let read = |mut row: Cells| {
        let (place, owners) = (row.next()?, row.next::<Vec<BoltType>>()?);
        let owners = owners.into_iter().filter_map(String::of).collect();
        let mut fields = serde_json::Map::new();
        for name in NAMES {
            fields.insert(name.to_owned(), plain_value(row.next()?));
        }
        Ok(PlainRow { place, owners, row: Row(fields) })
    };
    store.exec(store.query(PLAIN)).await?.into_iter().map(read).collect()
}

/// As JSON has it; a time is text, and what is neither of them no value that a key could have.
fn plain_value(value: BoltType) -> Value {
    match value {
        BoltType::Null(_) => Value::Null,
        BoltType::Boolean(flag) => flag.value.into(),
        BoltType::String(text) => text.value.into(),
        other => DateTime::<Utc>::of(other).map_or_else(|| 0.into(), |time| time.to_rfc3339().into()),
    }
}

pub(super) async fn take_over(store: &Neo4jStore, rows: Vec<TakeOver>) -> Result<HashSet<String>> {
    let row = |TakeOver { place, was, key }: TakeOver| {
        let [agent, key_id] =
            [key.as_ref().map(|key| key.agent_id.clone()), key.as_ref().map(|key| key.key_id.clone())];
        let set: BoltType = match &key {
            Some(key) => map(made(key).into_iter().chain(standing(key))),
            None => BoltType::Null(neo4rs::BoltNull),
        };
        cells![place, was.expose_secret(), agent, key_id, set]
    };
    let query = store.query(TAKE_OVER).param("rows", list(rows.into_iter().map(row)));
    Ok(store.one(query).await?.next::<Vec<String>>()?.into_iter().collect())
}

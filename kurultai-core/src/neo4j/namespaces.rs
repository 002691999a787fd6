//! The namespaces of a database: counted, and deleted in portions.

use super::{Neo4jStore, bolt::Cells, statement::Statement};
use crate::{error::Result, namespaces::NamespaceInfo};

const ALL: Statement = Statement::plain(include_str!("cypher/namespaces.cypher"));

/// A second run deletes the next portion.
const DELETE_SOME: Statement = Statement::plain(include_str!("cypher/delete_namespace.cypher"));

/// How many nodes of a label one transaction deletes.
const PORTION: i64 = 1_000;

impl Neo4jStore {
    pub(super) async fn all_namespaces(&self) -> Result<Vec<NamespaceInfo>> {
        let info =
            |mut row: Cells| Ok(NamespaceInfo { name: row.next()?, tasks: row.next()?, agents: row.next()? });
        self.exec(self.query(ALL)).await?.into_iter().map(info).collect()
    }

    /// How many nodes went, none once the namespace's own is gone; `None` where it was not there.
    pub(super) async fn delete_some_of(&self, name: &str) -> Result<Option<usize>> {
        let query = self.query(DELETE_SOME).param("name", name).param("limit", PORTION);
        let row = self.exec(query).await?.into_iter().next();
        row.map(|mut row| row.next::<u64>().map(|gone| gone as usize)).transpose()
    }
}

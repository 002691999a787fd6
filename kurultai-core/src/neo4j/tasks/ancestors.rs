//! What is above a new task.

use crate::{
    error::Result,
    neo4j::{Neo4jStore, cypher::lock, statement::Statement},
    tasks::admit::{Ancestor, Known},
};
use std::collections::HashSet;

/// Locked: the commit of another is shown piece by piece, and a chain that ends too early would be judged wrongly.
const ANCESTORS: Statement = Statement::locking(concat!(
    lock!(),
    "UNWIND $ids AS id
MATCH (t:Task {namespace: $ns, id: id}) USING INDEX SEEK t:Task(namespace, id)
MATCH (t)<-[:SPAWNED*0..]-(a:Task)
WITH DISTINCT a
RETURN [a.id, a.parent_id, a.type, a.delegated_by, a.correlation_id] AS row"
));

/// These tasks and all above them become known.
pub(super) async fn ancestors(store: &Neo4jStore, tasks: HashSet<String>, known: &mut Known) -> Result<()> {
    if tasks.is_empty() {
        return Ok(());
    }
    let tasks: Vec<String> = tasks.into_iter().collect();
    for mut row in store.exec(store.query(ANCESTORS).param("ids", tasks)).await? {
        let (id, parent_id, task_type) = (row.next()?, row.next()?, row.next()?);
        let (delegated_by, correlation_id) = (row.next()?, row.next()?);
        known.add_above(id, Ancestor { parent_id, task_type, delegated_by, correlation_id });
    }
    Ok(())
}

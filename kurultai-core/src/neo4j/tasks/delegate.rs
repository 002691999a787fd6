//! A task is given to an agent, and the agent is told: both, or neither.

use crate::{
    agents::Term,
    error::Result,
    events::MOST_EVENTS,
    messages::{MAX_INBOX, contract::Post},
    neo4j::{
        Neo4jStore,
        agents::roles::under,
        bolt::{cells, count, list},
        cypher::lock,
        messages,
        statement::Statement,
    },
    tasks::contract::Delegation,
};
use neo4rs::{BoltNull, BoltType};

const DELEGATE: Statement =
    Statement::locking(concat!(lock!(), under!(), include_str!("cypher/delegate.cypher"))).once();

/// Which were so: not where somebody has changed the task meanwhile, the agent was told before, or its inbox is full; nor
/// where the key that signed it is good no more.
pub(super) async fn delegate(
    store: &Neo4jStore,
    delegations: Vec<Delegation>,
    by: &str,
    under: &Term,
) -> Result<Vec<bool>> {
    let route =
        |delegation: &Delegation| delegation.assign.as_ref().and_then(|rewrite| rewrite.route.clone());
    let mut numbers = store.route_numbers(delegations.iter().filter_map(route).collect()).await?.into_iter();
    let keys = delegations.iter().filter_map(|delegation| delegation.post.as_ref()?.dedupe_key.clone());
    messages::end_due_of(store, keys.collect()).await?;
    let mut held = vec![false; delegations.len()];
    let rows: Vec<_> = delegations
        .into_iter()
        .map(|Delegation { task, revision, assign, post }| {
            let (to, told) = match assign {
                Some(rewrite) => (rewrite.assigned_to.flatten(), Some(rewrite.told)),
                None => (None, None),
            };
            let number = if to.is_some() { numbers.next() } else { None };
            cells![task, revision, to, number, told, message(post)]
        })
        .collect();
    let query = store.query_under([DELEGATE, DELEGATE], Some(under)).param("by", by);
    let query = query.param("most", count(MAX_INBOX)).param("rows", list(rows));
    for index in store.one_under(query, Some(under)).await?.next::<Vec<u64>>()? {
        held[index as usize] = true;
    }
    Ok(held)
}

fn message(post: Option<Post>) -> BoltType {
    let Some(post) = post else { return BoltType::Null(BoltNull) };
    let received = post.told();
    cells![
        post.id,
        post.message_type,
        post.key_id,
        post.to,
        MOST_EVENTS,
        post.expires_at,
        post.dedupe_key,
        post.body,
        post.token,
        received
    ]
}

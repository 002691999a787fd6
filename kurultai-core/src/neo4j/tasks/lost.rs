//! Claims whose answer was lost on its way: what they took is found, or goes back, so that no attempt is counted that
//! nobody made.

use super::{claimed::claimed_of, finish};
use crate::{
    clock::micros,
    error::Result,
    neo4j::{
        Neo4jStore,
        bolt::{Cells, cells, list},
        cypher::lock,
        statement::Statement,
    },
    tasks::{Finish, Outcome},
};
use std::time::{Duration, Instant};
use tokio::time::sleep;

/// Under the lock, and so after the claim where that still runs. There is no index of claims; but a lease that nobody
/// has heard of ends no later than it was asked for, and none earlier but of a task with a `max_runtime`. A claim is
/// [claim id, lease].
pub(super) const FIND: Statement = Statement::locking(concat!(
    lock!(),
    "CALL (now) { UNWIND $claims AS c
  MATCH (t:Task) USING INDEX SEEK t:Task(namespace, due_at)
  WHERE t.namespace = $ns AND t.due_at > now AND t.due_at <= now + c[1]
    AND (t.due_at > now + c[1] - $since OR t.max_runtime < c[1])
    AND t.claim_id = c[0] AND t.status = 'in_progress'
  WITH t, properties(t) AS p ORDER BY p.sort_key
  RETURN collect([p.claim_id, p.attempts, p.lease_version, p.due_at,
",
    include_str!("cypher/claimed.cypher"),
    "  ) AS tasks }
RETURN [tasks] AS row"
));

/// How long the store may take over a claim beyond what we see of it.
const MARGIN: Duration = Duration::from_secs(2);
const MOST: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(super) struct Lost {
    /// Claim ids and leases.
    pub(super) claims: Vec<(String, Duration)>,
    /// When the first of them was sent.
    pub(super) since: Instant,
}

impl Lost {
    /// What is held under these claims.
    pub(super) async fn find(&self, store: &Neo4jStore) -> Result<Vec<Cells>> {
        let claims = self.claims.iter().map(|(claim, lease)| cells![claim.as_str(), micros(*lease)]);
        let since = micros(self.since.elapsed() + MARGIN);
        let query = store.query(FIND).param("claims", list(claims)).param("since", since);
        store.exec(query).await?.pop().map_or(Ok(vec![]), |mut row| row.rows())
    }

    /// Gives it back as soon as the server can be reached, or leaves it to the leases' ends.
    pub(super) fn release(self, store: &Neo4jStore) {
        let store = store.clone();
        let longest = self.claims.iter().map(|(_, lease)| *lease).max().unwrap_or_default();
        tokio::spawn(async move {
            let mut pause = Duration::from_millis(100);
            while self.since.elapsed() < longest {
                sleep(pause).await;
                pause = (pause * 2).min(MOST);
                match store.call(self.give_back(&store)).await {
                    Ok(()) => return,
                    Err(error) if !error.retryable() => {
                        return tracing::warn!(%error, "a claim whose answer was lost returns when its lease ends");
                    }
                    Err(_) => {}
                }
            }
        });
    }

    async fn give_back(&self, store: &Neo4jStore) -> Result<()> {
        let claimed = self.find(store).await?.into_iter().map(claimed_of).collect::<Result<Vec<_>>>()?;
        let releases: Vec<Finish> =
            claimed.into_iter().map(|c| Finish { lease: c.lease, outcome: Outcome::Release }).collect();
        for answer in finish::finish(store, releases, u32::MAX).await?.each {
            answer?;
        }
        Ok(())
    }
}

//! The statements of the event log. Same files and names as in `sqlite`.

mod publish;
mod read;
mod subscriptions;

use super::{Neo4jStore, alerts, statement::Statement};
use crate::{
    error::Result,
    events::{
        Alert, DeadEvent, EventFilter, SubscriptionManager,
        alerts::{Observations, Row},
        contract::{Batch, Look},
        publish::{Publication, Published},
        subscriptions::{Row as Subscription, Subscriptions},
        topic::Pattern,
    },
};
use async_trait::async_trait;

const LAST_SEQ: Statement = Statement::plain(
    "CYPHER 5 MATCH (ns:Namespace {namespace: $ns, made: $made}) RETURN [ns.event_seq] AS row",
);

/// For the test of their plans.
#[cfg(feature = "testing")]
pub(super) const HOT: [(&str, &str); 1] = [("publish", publish::PUBLISH.text)];

#[async_trait]
impl SubscriptionManager for Neo4jStore {
    async fn read(&self, filter: EventFilter) -> Result<Look> {
        let pattern = filter.topic.as_deref().map(Pattern::new).transpose()?;
        let prefix = pattern.as_ref().and_then(Pattern::prefix);
        let look = read::near(self, &filter, prefix.as_ref()).await?;
        match prefix.filter(|prefix| prefix.is_published) {
            // What is rare is looked for by its topic.
            Some(prefix) if look.events.is_empty() && look.newest - look.looked_to > read::WINDOW => {
                read::far(self, &filter, &prefix, look).await
            }
            _ => Ok(look),
        }
    }

    async fn last_seq(&self) -> Result<i64> {
        self.one(self.query(LAST_SEQ)).await?.next()
    }

    async fn publish(&self, units: Batch<Vec<Publication>>) -> Result<Vec<Result<Vec<Published>>>> {
        self.call(async {
            let (_turn, units) = self.turn(units).await?;
            publish::publish(self, &units).await
        })
        .await
    }

    async fn subscriptions(&self, name: Option<&str>) -> Result<Subscriptions> {
        subscriptions::subscriptions(self, name).await
    }

    async fn put_subscription(
        &self,
        row: Subscription,
        was: Option<i64>,
        dead: Option<DeadEvent>,
    ) -> Result<bool> {
        self.call(subscriptions::put(self, &row, was, dead.as_ref())).await
    }

    async fn remove_subscription(&self, name: &str) -> Result<bool> {
        self.call(subscriptions::remove(self, name)).await
    }

    async fn dead_events(&self, name: &str) -> Result<Option<Vec<DeadEvent>>> {
        subscriptions::dead(self, name).await
    }

    async fn alerts(&self) -> Result<Vec<Alert>> {
        let (_, rows) = alerts::rows(self).await?;
        Ok(rows.iter().filter(|row| row.cleared_at.is_none()).map(Row::alert).collect())
    }

    async fn observe(&self, seen: Observations) -> Result<Vec<Alert>> {
        self.call(alerts::observe(self, &seen)).await
    }
}

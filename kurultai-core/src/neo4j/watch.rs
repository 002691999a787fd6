//! What those who wait are told: one statement that takes no lock, for everybody in this process.

use super::{Neo4jStore, cypher::clock, statement::Statement};
use crate::{agents::AgentStatus, error::Result, news::Wanted, store::Pulse};
use std::{collections::BTreeSet, time::Duration};
use tokio::time::sleep;

/// Between two looks, at first and at the most. A hundred idle processes send two hundred statements a second.
const SOON: Duration = Duration::from_millis(25);
const LATER: Duration = Duration::from_millis(480);

pub(super) const PULSE: Statement = Statement::plain(concat!(clock!(), include_str!("cypher/pulse.cypher")));

/// As `Store::changed`: there is nothing that tells, so it is time to look.
pub(super) async fn until_changed(quiet: Duration) {
    sleep((quiet / 2).clamp(SOON, LATER).mul_f64(0.9 + fastrand::f64() / 5.0)).await;
}

impl Neo4jStore {
    pub(super) async fn pulse_of(&self, wanted: &[Wanted]) -> Result<Pulse> {
        let catalog = self.cached();
        let mut routes = BTreeSet::new();
        for Wanted { agent, types } in wanted {
            let Some(claimer) = catalog.agents.get(agent) else { continue };
            if matches!(claimer.status, AgentStatus::Draining | AgentStatus::Offline) {
                continue;
            }
            for (number, route) in &catalog.routes {
                let serves = route.served_by(agent, &claimer.capabilities, types.as_deref(), &catalog.paused);
                routes.extend(serves.map(|_| *number));
            }
        }
        let query = self.query(PULSE).param("routes", routes.into_iter().collect::<Vec<i64>>());
        let mut row = self.one(query).await?;
        let (event_seq, catalog_seq, linked) = (row.next()?, row.next::<i64>()?, row.next()?);
        let left = |left: i64| Duration::from_micros(left.max(0).unsigned_abs());
        let due = row.next::<Option<i64>>()?.map(left);
        let schedule_due = row.next::<Option<i64>>()?.map(left);
        let (mut ready, head) = (row.next::<u64>()? as usize, row.next::<Option<i64>>()?);
        let mut first = head.unwrap_or(0);
        if !wanted.is_empty() && catalog_seq != catalog.seq {
            // New routes, agents or pauses: a claim learns them, once for each change.
            (ready, first) = (ready + 1, catalog_seq);
        }
        Ok(Pulse { event_seq, ready: (ready > 0).then_some((ready, first)), due, schedule_due, linked })
    }
}

//! The queue's statements, one file a verb. Same files and names as in `sqlite`.

mod adopt;
mod ancestors;
mod apply;
mod circle;
mod claim;
mod claimed;
mod complete;
mod delegate;
mod enqueue;
mod extend;
mod finish;
mod insert;
mod lost;
mod read;
mod stop;
mod update;
mod upkeep;

pub(super) use insert::insertion;

#[cfg(feature = "testing")]
use crate::neo4j::{agents, catalog, events, messages, schedules, watch};
use crate::{
    agents::Term,
    error::Result,
    neo4j::{Neo4jStore, cypher::lock, statement::Statement},
    tasks::{
        AdoptOptions, Adoption, Claimed, Dependency, Enqueued, Extended, Filter, Finish, Finished, NewTask,
        Page, Prerequisite, Stats, Task, TaskQueue, contract::*,
    },
};
use async_trait::async_trait;
use std::time::Duration;

const PAUSE: Statement = Statement::locking(concat!(
    lock!(),
    "SET ns.paused = [p IN coalesce(ns.paused, []) WHERE p <> $type] + CASE WHEN $paused THEN [$type] ELSE [] END,
  ns.catalog_seq = ns.catalog_seq + 1
// Without a pause of everything there is no stop.
FOREACH (x IN CASE WHEN $type = '' AND NOT $paused THEN [ns] ELSE [] END |
  SET x.stop_reason = null, x.stopped_at = null)
RETURN [] AS row"
));

const PAUSED: Statement = Statement::plain(
    "CYPHER 5 MATCH (ns:Namespace {namespace: $ns, made: $made}) RETURN [coalesce(ns.paused, [])] AS row",
);

/// For the test of their plans.
#[cfg(feature = "testing")]
pub fn hot_statements() -> Vec<(&'static str, &'static str)> {
    let of_tasks = [
        ("enqueue", insert::INSERT[0].text),
        ("claim", claim::CLAIM.text),
        ("extend", extend::EXTEND.text),
        ("complete", complete::COMPLETE.text),
        ("apply", apply::APPLY.text),
        ("due", read::DUE.text),
        ("catalog", catalog::LOAD.text),
        ("pulse", watch::PULSE.text),
        ("beat", agents::BEAT.text),
        ("signs", agents::SIGNS.text),
        ("renew", agents::RENEW.text),
    ];
    of_tasks.into_iter().chain(messages::HOT).chain(schedules::HOT).chain(events::HOT).collect()
}

#[async_trait]
impl TaskQueue for Neo4jStore {
    async fn enqueue(&self, units: Batch<Vec<NewTask>>, max_depth: u32) -> Result<Answers<Vec<Enqueued>>> {
        self.call(async {
            let (_turn, units) = self.turn(units).await?;
            enqueue::enqueue(self, units, max_depth, None).await
        })
        .await
    }

    async fn enqueue_under(
        &self,
        unit: Vec<NewTask>,
        max_depth: u32,
        under: Term,
    ) -> Result<Answers<Vec<Enqueued>>> {
        self.call(enqueue::enqueue(self, vec![unit], max_depth, Some(&under))).await
    }

    async fn claim(&self, requests: Batch<ClaimRequest>) -> Result<Answers<Vec<Claimed>>> {
        self.call(async {
            let (_turn, requests) = self.turn(requests).await?;
            claim::claim(self, requests).await
        })
        .await
    }

    async fn extend(&self, requests: Batch<ExtendRequest>) -> Result<Answers<Extended>> {
        self.call(async {
            let (_turn, requests) = self.turn(requests).await?;
            extend::extend(self, requests).await
        })
        .await
    }

    async fn finish(&self, finishes: Batch<Finish>, max_snoozes: u32) -> Result<Answers<Finished>> {
        self.call(async {
            let (_turn, finishes) = self.turn(finishes).await?;
            finish::finish(self, finishes, max_snoozes).await
        })
        .await
    }

    async fn facts(&self, ids: Vec<String>) -> Result<Vec<Option<Facts>>> {
        read::facts(self, ids).await
    }

    async fn apply(&self, changes: Vec<Change>) -> Result<Applied> {
        apply::apply(self, changes).await
    }

    async fn update(&self, rewrite: Rewrite) -> Result<Applied> {
        self.call(update::update(self, rewrite)).await
    }

    async fn delegate(&self, delegations: Vec<Delegation>, by: &str, under: &Term) -> Result<Vec<bool>> {
        self.call(delegate::delegate(self, delegations, by, under)).await
    }

    async fn due(&self, limit: usize) -> Result<Due> {
        self.call(read::due(self, limit)).await
    }

    async fn add_dependency(&self, dependent: &str, dependency: Dependency) -> Result<bool> {
        enqueue::add_dependency(self, dependent, dependency).await
    }

    async fn pause(&self, task_type: &str, paused: bool) -> Result<()> {
        let query = self.query(PAUSE).param("type", task_type).param("paused", paused);
        self.one(query).await.map(drop)
    }

    async fn stop(&self, reason: &str, limit: usize) -> Result<usize> {
        self.call(stop::stop(self, reason, limit)).await
    }

    async fn start(&self) -> Result<()> {
        stop::start(self).await
    }

    async fn paused(&self) -> Result<Vec<String>> {
        let mut paused: Vec<String> = self.one(self.query(PAUSED)).await?.next()?;
        paused.sort();
        Ok(paused)
    }

    async fn get(&self, ids: Vec<String>) -> Result<Vec<Option<Task>>> {
        self.call(read::get(self, ids)).await
    }

    async fn list(&self, filter: Filter) -> Result<Page> {
        self.call(read::list(self, filter)).await
    }

    async fn prerequisites(&self, id: &str) -> Result<Vec<Prerequisite>> {
        read::prerequisites(self, id).await
    }

    async fn children(&self, id: &str) -> Result<Vec<Prerequisite>> {
        read::children(self, id).await
    }

    async fn tree(&self, id: &str) -> Result<Vec<String>> {
        read::tree(self, id).await
    }

    async fn find(&self, unique_key: &str) -> Result<Option<Task>> {
        self.call(read::find(self, unique_key)).await
    }

    async fn burden(&self, most: usize) -> Result<Burden> {
        read::burden(self, most).await
    }

    async fn stats(&self) -> Result<Stats> {
        read::stats(self).await
    }

    async fn age(&self, span: Duration, limit: usize) -> Result<usize> {
        upkeep::age(self, span, limit).await
    }

    async fn sweep(&self, tasks: Option<Duration>, events: Option<Duration>, limit: usize) -> Result<usize> {
        upkeep::sweep(self, tasks, events, limit).await
    }

    async fn draw_edges(&self, limit: usize) -> Result<usize> {
        upkeep::draw_edges(self, limit).await
    }

    async fn adopt(&self, options: AdoptOptions) -> Result<Adoption> {
        adopt::adopt(self, options).await
    }
}

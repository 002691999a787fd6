mod apply;
mod claim;
mod claim_id;
mod complete;
mod delegate;
mod due;
mod enqueue;
mod expiry;
mod extend;
mod finish;
mod insert;
mod jump;
mod links;
mod pause;
mod pulse;
mod read;
mod routes;
mod stop;
mod update;
mod upkeep;

pub(super) use enqueue::add;
pub(super) use jump::shift;
pub(super) use pulse::pulse;

use crate::{
    agents::Term,
    error::{Kind, Result},
    sqlite::{agents::check_term, namespaces::is_there, store::SqliteStore, tx::Tx},
    tasks::{
        AdoptOptions, Adoption, Claimed, Dependency, Enqueued, Extended, Filter, Finish, Finished, NewTask,
        Page, Prerequisite, Stats, Task, contract::*,
    },
};
use async_trait::async_trait;
use std::time::Duration;

/// What cannot be found may have gone with its namespace.
fn known<T>(tx: &Tx<'_>, answers: Answers<T>) -> Result<Answers<T>> {
    let lacks = |answer: &Result<T>| answer.as_ref().is_err_and(|error| error.kind() == Kind::NotFound);
    if answers.each.iter().any(lacks) {
        is_there(tx)?;
    }
    Ok(answers)
}

#[async_trait]
impl TaskQueue for SqliteStore {
    async fn enqueue(&self, units: Batch<Vec<NewTask>>, max_depth: u32) -> Result<Answers<Vec<Enqueued>>> {
        self.write(move |tx| enqueue::enqueue(tx, units.close(), max_depth)).await
    }

    async fn enqueue_under(
        &self,
        unit: Vec<NewTask>,
        max_depth: u32,
        under: Term,
    ) -> Result<Answers<Vec<Enqueued>>> {
        self.write(move |tx| {
            check_term(tx, Some(&under))?;
            enqueue::enqueue(tx, vec![unit], max_depth)
        })
        .await
    }

    async fn claim(&self, requests: Batch<ClaimRequest>) -> Result<Answers<Vec<Claimed>>> {
        self.write(move |tx| known(tx, claim::claim(tx, &requests.close())?)).await
    }

    async fn extend(&self, requests: Batch<ExtendRequest>) -> Result<Answers<Extended>> {
        self.write(move |tx| known(tx, extend::extend(tx, &requests.close())?)).await
    }

    async fn finish(&self, finishes: Batch<Finish>, max_snoozes: u32) -> Result<Answers<Finished>> {
        self.write(move |tx| known(tx, finish::finish(tx, &finishes.close(), max_snoozes)?)).await
    }

    async fn facts(&self, ids: Vec<String>) -> Result<Vec<Option<Facts>>> {
        self.query(move |tx| read::facts(tx, &ids)).await
    }

    async fn apply(&self, changes: Vec<Change>) -> Result<Applied> {
        self.write(move |tx| apply::apply(tx, changes)).await
    }

    async fn update(&self, rewrite: Rewrite) -> Result<Applied> {
        self.write(move |tx| update::update(tx, &rewrite)).await
    }

    async fn delegate(&self, delegations: Vec<Delegation>, by: &str, under: &Term) -> Result<Vec<bool>> {
        let (by, under) = (by.to_owned(), under.clone());
        self.write(move |tx| delegate::delegate(tx, delegations, &by, &under)).await
    }

    async fn due(&self, limit: usize) -> Result<Due> {
        loop {
            let (due, ranges) = self
                .query(move |tx| Ok((due::due(tx, limit)?, expiry::next(tx)?.is_some_and(|at| at <= tx.now))))
                .await?;
            if !due.ids.is_empty() || !ranges {
                return Ok(due);
            }
            self.write(expiry::promote).await?;
        }
    }

    async fn add_dependency(&self, dependent: &str, dependency: Dependency) -> Result<bool> {
        let dependent = dependent.to_owned();
        self.write(move |tx| enqueue::add_dependency(tx, &dependent, &dependency)).await
    }

    async fn pause(&self, task_type: &str, paused: bool) -> Result<()> {
        let task_type = task_type.to_owned();
        self.write(move |tx| pause::pause(tx, &task_type, paused)).await
    }

    async fn stop(&self, reason: &str, limit: usize) -> Result<usize> {
        let reason = reason.to_owned();
        self.write(move |tx| stop::stop(tx, &reason, limit)).await
    }

    async fn start(&self) -> Result<()> {
        self.write(stop::start).await
    }

    async fn paused(&self) -> Result<Vec<String>> {
        self.query(pause::paused).await
    }

    async fn get(&self, ids: Vec<String>) -> Result<Vec<Option<Task>>> {
        self.query(move |tx| read::get(tx, &ids)).await
    }

    async fn list(&self, filter: Filter) -> Result<Page> {
        self.query(move |tx| read::list(tx, &filter)).await
    }

    async fn prerequisites(&self, id: &str) -> Result<Vec<Prerequisite>> {
        let id = id.to_owned();
        self.query(move |tx| read::prerequisites(tx, &id)).await
    }

    async fn children(&self, id: &str) -> Result<Vec<Prerequisite>> {
        let id = id.to_owned();
        self.query(move |tx| read::children(tx, &id)).await
    }

    async fn tree(&self, id: &str) -> Result<Vec<String>> {
        let id = id.to_owned();
        self.query(move |tx| read::tree(tx, &id)).await
    }

    async fn find(&self, unique_key: &str) -> Result<Option<Task>> {
        let key = unique_key.to_owned();
        self.query(move |tx| read::find(tx, &key)).await
    }

    async fn burden(&self, most: usize) -> Result<Burden> {
        self.query(move |tx| read::burden(tx, most)).await
    }

    async fn stats(&self) -> Result<Stats> {
        self.query(read::stats).await
    }

    async fn age(&self, span: Duration, limit: usize) -> Result<usize> {
        let old = self.query(move |tx| upkeep::aged(tx, span, limit)).await?;
        if old.is_empty() {
            return Ok(0);
        }
        self.write(move |tx| upkeep::age(tx, &old)).await
    }

    async fn sweep(&self, tasks: Option<Duration>, events: Option<Duration>, limit: usize) -> Result<usize> {
        self.write(move |tx| upkeep::sweep(tx, tasks, events, limit)).await
    }

    /// Nobody else writes such files.
    async fn adopt(&self, options: AdoptOptions) -> Result<Adoption> {
        self.query(move |_| Ok(Adoption { dry_run: options.dry_run, ..Adoption::default() })).await
    }
}

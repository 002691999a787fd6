//! What users call: `kurultai.tasks()`.

use super::{
    admit,
    adoption::{AdoptOptions, Adoption},
    check,
    claim_guard::ClaimGuard,
    contract::*,
    explain::{self, Explanation},
    hot::Hot,
    many::PORTION,
    new_task::*,
    progress::{Announce, Pace},
    requests::{Cancel, Claim, Filter},
    rules::Action,
    settle::Settling,
    types::*,
    update::{TaskUpdate, Told},
    upkeep::TaskUpkeep,
    wait,
};
use crate::{
    agents::{HeartbeatWriter, Term, roles},
    clock::monotonic,
    error::{Error, Result},
    events::Events,
    json::Json,
    news::{Waiting, Wanted},
    retry::Backoff,
    session::Session,
};
use std::{sync::Arc, time::Duration};
use tokio::time::sleep;
use tracing::instrument;

/// The queue of one team. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Tasks {
    pub(super) queue: Arc<dyn TaskQueue>,
    /// Who could claim what is explained.
    agents: Arc<dyn HeartbeatWriter>,
    /// Who waits for a task's end hears of it here.
    events: Events,
    looks: Arc<wait::Looks>,
    pace: Arc<Pace>,
    hot: Arc<Hot>,
    pub(super) settling: Settling,
    pub(super) session: Arc<Session>,
    under: Option<Term>,
}

impl Tasks {
    /// With what the background does for its tasks.
    pub(crate) fn new(
        queue: Arc<dyn TaskQueue>,
        agents: Arc<dyn HeartbeatWriter>,
        events: Events,
        batch_limit: usize,
        session: Arc<Session>,
    ) -> (Self, Arc<TaskUpkeep>) {
        let settling = Settling { queue: queue.clone(), news: session.news.clone() };
        let hot = Arc::new(Hot::new(&settling, &session, batch_limit));
        let upkeep = Arc::new(TaskUpkeep::new(settling.clone(), session.config.clone()));
        let looks = wait::looks(queue.clone(), events.clone());
        let tasks =
            Tasks { queue, agents, events, looks, pace: Arc::default(), hot, settling, session, under: None };
        (tasks, upkeep)
    }

    /// The same queue for who acts as the holder of a role: what this handle enqueues and assigns is stored only where
    /// the role is still held under this term, which the store checks in the same transaction. Otherwise it is
    /// `role.stale_term`, and nothing was stored. Other operations go on as they are.
    pub fn under(&self, term: impl Into<Term>) -> Tasks {
        Tasks { under: Some(term.into()), ..self.clone() }
    }

    /// Adds a task. A task whose id or unique key is there already is not added again: its id is the answer,
    /// marked `deduplicated`; with another type or payload it is `task.conflict`.
    ///
    /// Errors: `input.invalid`, `input.payload`, `task.dependency_unknown`, `task.dependency_cycle`,
    /// `task.not_found` (the parent), `task.conflict`, `task.too_deep` (more tasks above it than `max_depth`),
    /// `task.delegation_cycle` (it would go back to who gave it on). After `store.outcome_unknown` repeat it as it is.
    /// Cancel safe: a dropped call may still have added the task.
    pub async fn enqueue(&self, task: NewTask) -> Result<Enqueued> {
        let enqueued = self.enqueue_many(vec![task]).await?;
        enqueued.into_iter().next().ok_or_else(|| Error::internal("an enqueue without an answer"))
    }

    /// Adds all or none. Tasks may depend on each other, in any order. Errors and cancel safety as
    /// [`enqueue`](Self::enqueue).
    #[instrument(level = "debug", skip_all, fields(count = tasks.len()))]
    pub async fn enqueue_many(&self, mut tasks: Vec<NewTask>) -> Result<Vec<Enqueued>> {
        let many = tasks.len() > 1;
        for (index, task) in tasks.iter_mut().enumerate() {
            let sound = check::new_task(task, &self.session.config.defaults);
            sound.map_err(|error| if many { error.of_row("task", index) } else { error })?;
        }
        if tasks.is_empty() {
            return Ok(vec![]);
        }
        let _call = self.session.calls.begin()?;
        let Some(under) = self.under.clone() else { return self.hot.enqueue.call(tasks).await };
        // Alone: a batch is of many callers, and a term that is over is refused with its transaction.
        let Answers { mut each, overdue } =
            self.queue.enqueue_under(tasks, self.session.config.max_depth, under).await?;
        self.settling.after(overdue).await;
        each.pop().unwrap_or_else(|| Err(Error::internal("an enqueue without an answer")))
    }

    /// Waits until a task is completed, at most `timeout`, and returns it. However many wait, a process reads the log once.
    /// An outage of the store does not end it before its time; nothing is cancelled when that is over.
    ///
    /// Errors: `task.failed` where it ended otherwise, with where it stands and its stored error as the cause;
    /// `task.timeout` (wait again), both with [`task_id`](Error::task_id); `task.not_found`. Cancel safe.
    pub async fn wait_for(&self, id: &str, timeout: Duration) -> Result<Task> {
        wait::wait_for(&self.looks, &self.events, id, timeout).await
    }

    /// Enqueues a task, waits for its end at most `timeout`, and returns its results. Errors and cancel safety as
    /// [`enqueue`](Self::enqueue) and [`wait_for`](Self::wait_for): the task stays.
    pub async fn call(&self, task: NewTask, timeout: Duration) -> Result<Json> {
        let Enqueued { id, .. } = self.enqueue(task).await?;
        Ok(self.wait_for(&id, timeout).await?.results.unwrap_or_default())
    }

    /// Takes at most `max` tasks for an agent, the most urgent first: those whose required capabilities it has,
    /// that are assigned to it or to nobody, and no more than its `max_concurrent` allows, nor than have 16 MiB. Where
    /// there is none it waits up to `wait` and returns as soon as work arrives; an empty list is no error.
    ///
    /// Errors: `agent.not_found`, `input.invalid`. Cancel safe: what a dropped call was given is released.
    pub async fn claim(&self, claim: Claim) -> Result<Vec<Claimed>> {
        self.guarded(claim).await.map(ClaimGuard::take)
    }

    /// [`claim`](Self::claim) for a binding, in which the way to the claimer goes on after this call.
    pub fn claim_guarded(&self, claim: Claim) -> impl Future<Output = Result<ClaimGuard>> + Send + '_ {
        self.guarded(claim)
    }

    #[instrument(level = "debug", skip_all, fields(agent = claim.agent))]
    async fn guarded(&self, claim: Claim) -> Result<ClaimGuard> {
        check::agent("agent", &claim.agent)?;
        if !(1..=1000).contains(&claim.max) {
            return Err(Error::invalid("max", claim.max, "1 to 1000"));
        }
        let ttl = claim.lease.unwrap_or(self.session.config.defaults.lease);
        check::lease(ttl)?;
        if let Some(types) = &claim.types {
            check::names("types", types)?;
        }
        let request = ClaimRequest { agent: claim.agent, max: claim.max, types: claim.types, lease: ttl };
        let wanted = || Wanted { agent: request.agent.clone(), types: request.types.clone() };
        let mut waiting = self.session.news.waiting(wanted, claim.wait);
        let (mut again, mut backoff) = (true, Backoff::default());
        loop {
            let call = self.session.claims.begin()?;
            let given = self.hot.claim.call(request.clone()).await;
            drop(call);
            let given = match given {
                Ok(given) => given,
                Err(error) if claim.persistent && error.retryable() => {
                    self.session.news.complain(&error, "nothing can be claimed now; trying again");
                    tokio::select! {
                        () = backoff.wait(&error) => {}
                        () = self.session.claims.closing() => {}
                    }
                    if waiting.as_ref().is_none_or(Waiting::is_over) {
                        return Ok(ClaimGuard::new(vec![], false, self.hot.finish.clone(), None));
                    }
                    continue;
                }
                Err(error) => return Err(error),
            };
            if given.is_empty() && given.settled && std::mem::take(&mut again) {
                continue;
            }
            if !given.is_empty() {
                return Ok(given.reached());
            }
            let Some(waiting) = &mut waiting else { return Ok(given.reached()) };
            if !waiting.changed().await {
                return Ok(given.reached());
            }
        }
    }

    /// Ends a task well and stores its results. A repetition with the same lease gets the same answer, marked
    /// `repeated`. A parent whose children are not done becomes `blocked` and completes when they do.
    ///
    /// Errors: `lease.lost` (nothing was stored), `input.payload`. After `store.outcome_unknown` repeat it.
    /// Cancel safe: a dropped call may still have ended the task.
    pub async fn complete(&self, lease: &Lease, results: impl Into<Json>) -> Result<Finished> {
        self.finish(lease, Outcome::Complete { results: results.into(), usage: None }).await
    }

    /// Ends an attempt badly: the task is tried again after a back-off, or goes to the dead letters when its
    /// attempts are used up or the failure is not retryable. Errors and cancel safety as
    /// [`complete`](Self::complete). An error text over 16 KiB keeps its end.
    pub async fn fail(&self, lease: &Lease, failure: Failure) -> Result<Finished> {
        self.finish(lease, Outcome::Fail(failure)).await
    }

    /// Gives a task back at once; the attempt does not count. Errors as [`complete`](Self::complete).
    pub async fn release(&self, lease: &Lease) -> Result<Finished> {
        self.finish(lease, Outcome::Release).await
    }

    /// Puts a task off: it goes back to the queue, to be claimed after this time. No attempt is counted, but one of its
    /// snoozes: after [`max_snoozes`](crate::config::TaskDefaults::max_snoozes) (100) it fails instead. It may expire meanwhile. Errors: as [`complete`](Self::complete), and
    /// `input.invalid` beyond ten years.
    pub async fn snooze(&self, lease: &Lease, after: Duration) -> Result<Finished> {
        self.finish(lease, Outcome::Snooze { after }).await
    }

    /// Ends one attempt in any way; [`complete`](Self::complete) with its usage, for example.
    pub async fn finish(&self, lease: &Lease, outcome: Outcome) -> Result<Finished> {
        let finished = self.finish_many(vec![Finish { lease: lease.clone(), outcome }]).await?;
        finished.into_iter().next().unwrap_or_else(|| Err(Error::internal("a finish without an answer")))
    }

    /// Ends many attempts in one transaction; each has its own answer. Fails whole, before anything is stored,
    /// with `input.invalid` or `input.payload`.
    #[instrument(level = "debug", skip_all, fields(count = finishes.len()))]
    pub async fn finish_many(&self, mut finishes: Vec<Finish>) -> Result<Vec<Result<Finished>>> {
        let many = finishes.len() > 1;
        for (index, finish) in finishes.iter_mut().enumerate() {
            let sound = check::finish(finish);
            sound.map_err(|error| if many { error.of_row("finish", index) } else { error })?;
            if let Outcome::Fail(failure) = &mut finish.outcome {
                failure.error = check::shortened(std::mem::take(&mut failure.error));
            }
        }
        if finishes.is_empty() {
            return Ok(vec![]);
        }
        let _call = self.session.calls.begin()?;
        self.hot.finish.call(finishes).await
    }

    /// Lets the lease last at least `ttl` from now and says what the holder should do: go on, or stop because the
    /// task was cancelled or suspended. Errors: `lease.lost`, `input.invalid`. Cancel safe.
    pub async fn extend(&self, lease: &Lease, ttl: Duration) -> Result<Extended> {
        self.renew(Extend { ttl: Some(ttl), ..Extend::new(lease.clone()) }).await
    }

    /// Notes how far the work is, 0 to 1; a sign of life. `task.progress` is an event at most twice a second and task, the
    /// last one always. Errors and answer as [`extend`](Self::extend).
    pub async fn progress(&self, lease: &Lease, progress: f64) -> Result<Extended> {
        self.renew(Extend { progress: Some(progress), ..Extend::new(lease.clone()) }).await
    }

    /// Stores where the next attempt can go on; a sign of life. Errors and answer as [`extend`](Self::extend).
    pub async fn checkpoint(&self, lease: &Lease, checkpoint: impl Into<Json>) -> Result<Extended> {
        let checkpoint = Some(checkpoint.into());
        self.renew(Extend { checkpoint, ..Extend::new(lease.clone()) }).await
    }

    /// Extends a lease and notes progress or a checkpoint in one statement. Errors and answer as [`extend`](Self::extend).
    #[instrument(level = "debug", skip_all, fields(task = request.lease.task_id))]
    pub async fn renew(&self, request: Extend) -> Result<Extended> {
        check::extend(&request)?;
        let _call = self.session.calls.begin()?;
        let announce = match request.progress {
            Some(progress) => self.announce(&request.lease, progress),
            None => false,
        };
        self.hot.extend.call(ExtendRequest { extend: request, announce }).await
    }

    /// Whether this progress is an event now; one that is not may be a little later.
    fn announce(&self, lease: &Lease, progress: f64) -> bool {
        match self.pace.tell(&lease.task_id, progress, monotonic()) {
            Announce::Now => true,
            Announce::Waits => false,
            Announce::After(pause) => {
                let (tasks, lease) = (self.clone(), lease.clone());
                tokio::spawn(async move {
                    sleep(pause).await;
                    let Some(progress) = tasks.pace.latest(&lease.task_id, monotonic()) else { return };
                    let Ok(_call) = tasks.session.calls.begin() else { return };
                    let extend = Extend { progress: Some(progress), ..Extend::new(lease) };
                    if let Err(error) = tasks.hot.extend.call(ExtendRequest { extend, announce: true }).await
                    {
                        tracing::debug!(%error, "a progress is no event: the task has ended");
                    }
                });
                false
            }
        }
    }

    /// Cancels a task: at once where nobody holds it; otherwise its holder learns it, and the reason, at its next
    /// `extend`, and an agent within a second or two. Its children stay, unless [`Cancel::children`] says otherwise: then
    /// everything below it is cancelled as well, and what is finished is passed over, be it the task itself. Returns the
    /// task's status.
    ///
    /// Errors: `task.not_found`, `task.state` where it is finished. Cancel safe: a repetition goes on where a dropped
    /// call was.
    pub async fn cancel(&self, id: &str, cancel: impl Into<Cancel>) -> Result<Status> {
        let Cancel { reason, children } = cancel.into();
        let cancel = Action::Cancel { reason };
        if !children {
            return self.act(id, cancel).await;
        }
        let _call = self.session.calls.begin()?;
        self.settling.cancel_tree(id, &cancel).await
    }

    /// Cancels all tasks that match, as [`cancel`](Self::cancel) does each, 200 at a time; what is finished is passed
    /// over. The filter's `limit` does not count. Returns how many it cancelled or asked their holders to stop.
    ///
    /// Errors: `input.invalid` where no field is given, or a cursor. What was done before an error stays so. Cancel
    /// safe: a repetition goes on where a dropped call was.
    pub async fn cancel_many(&self, filter: Filter, reason: Option<&str>) -> Result<usize> {
        self.act_on(filter, Action::Cancel { reason: reason.map(str::to_owned) }).await
    }

    /// Takes a task out of the queue until [`resume`](Self::resume); its holder learns it as of [`cancel`](Self::cancel).
    /// Errors: `task.not_found`, `task.state`.
    pub async fn suspend(&self, id: &str) -> Result<Status> {
        self.act(id, Action::Suspend).await
    }

    /// Puts a suspended task, or one that waits for review, back into the queue. Errors: `task.not_found`, `task.state`.
    pub async fn resume(&self, id: &str) -> Result<Status> {
        self.act(id, Action::Resume).await
    }

    /// Gives a dead, cancelled or expired task fresh attempts; its errors and its fencing version stay.
    /// Errors: `task.not_found`, `task.state`, `task.conflict` where a later task has taken its unique key.
    pub async fn requeue(&self, id: &str) -> Result<Status> {
        self.act(id, Action::Requeue).await
    }

    /// Requeues all tasks that match, 200 at a time; what cannot be requeued is passed over. Returns how many it was. The
    /// filter, errors and cancel safety as [`cancel_many`](Self::cancel_many).
    pub async fn requeue_many(&self, filter: Filter) -> Result<usize> {
        self.act_on(filter, Action::Requeue).await
    }

    /// Gives up a dead letter: it becomes `cancelled`. Errors: `task.not_found`, `task.state`.
    pub async fn discard(&self, id: &str) -> Result<Status> {
        self.act(id, Action::Discard).await
    }

    /// Changes what is given of a task that nobody holds, and answers with the task as it is then. It keeps its age in
    /// the order; a rank that something more urgent waits for stays, and what it waits for rises with it. With a
    /// time-out and a new `run_at` the time-out counts anew; `expires_at` ends it. An enqueue under its unique key
    /// compares with the new payload.
    ///
    /// Errors: `input.invalid`, `input.payload`, `task.not_found`, `task.state` where it is held or finished,
    /// `task.delegation_cycle` where `assigned_to` would give it back to who gave it on. After `store.outcome_unknown`
    /// repeat it. Cancel safe: a dropped call may still have changed the task.
    pub async fn update(&self, id: &str, update: TaskUpdate) -> Result<Task> {
        self.change(id, update, Told::Updated).await
    }

    /// Changes how urgent a task is: `priority`, `weight` (0 to 1) or both; `None` stays as it is. Answer, errors and
    /// cancel safety as [`update`](Self::update).
    pub async fn reprioritize(
        &self,
        id: &str,
        priority: Option<Priority>,
        weight: Option<f64>,
    ) -> Result<Task> {
        let update = TaskUpdate { priority, priority_weight: weight, ..TaskUpdate::default() };
        self.change(id, update, Told::Reprioritized).await
    }

    /// Gives a task to one agent, or with `None` to anybody; `by` is who decided it. Answer, errors and cancel safety as
    /// [`update`](Self::update).
    pub async fn assign(&self, id: &str, agent: Option<&str>, by: Option<&str>) -> Result<Task> {
        by.map_or(Ok(()), |by| check::agent("by", by))?;
        if let Some(term) = &self.under {
            // Where nothing has to be changed no transaction would tell.
            let roles = self.agents.roles().await?;
            roles::check_term(term, roles.roles.iter().find(|role| role.role == term.role), roles.now)?;
        }
        self.change(id, TaskUpdate::new().assigned_to(agent), Told::Assigned { by, from: None }).await
    }

    #[instrument(level = "debug", skip(self, update, told))]
    async fn change(&self, id: &str, update: TaskUpdate, told: Told<'_>) -> Result<Task> {
        update.check()?;
        let _call = self.session.calls.begin()?;
        let under = self.under.as_ref().filter(|_| matches!(told, Told::Assigned { .. }));
        self.settling.update(id, &update, told, under).await
    }

    /// Stops giving out a task type, or with `None` every task. Holders see it at their next `extend` and go on; who
    /// wants them to stop as well calls [`stop_all`](Self::stop_all).
    #[instrument(level = "debug", skip(self))]
    pub async fn pause(&self, task_type: Option<&str>) -> Result<()> {
        self.set_paused(task_type, true).await
    }

    /// Gives out a task type, or with `None` every task, again; that ends a stop too, as
    /// [`start_all`](Self::start_all) does.
    #[instrument(level = "debug", skip(self))]
    pub async fn unpause(&self, task_type: Option<&str>) -> Result<()> {
        self.set_paused(task_type, false).await
    }

    async fn set_paused(&self, task_type: Option<&str>, paused: bool) -> Result<()> {
        if let Some(task_type) = task_type {
            check::text("type", task_type, 128)?;
        }
        let _call = self.session.calls.begin()?;
        self.queue.pause(task_type.unwrap_or(""), paused).await?;
        self.session.news.announce();
        Ok(())
    }

    /// Lets a task that is there already wait for another, or be fed by it. Errors: `task.not_found`,
    /// `task.dependency_unknown`, `task.dependency_cycle` naming the cycle, `task.state` where the dependent is
    /// held or finished.
    #[instrument(level = "debug", skip_all, fields(task = dependent))]
    pub async fn add_dependency(&self, dependent: &str, dependency: impl Into<Dependency>) -> Result<()> {
        let dependency = dependency.into();
        check::text("depends_on", &dependency.prerequisite, 128)?;
        check::weight(&dependency)?;
        if dependency.prerequisite == dependent {
            return Err(admit::cycle_error([dependent, dependent].into_iter()));
        }
        let _call = self.session.calls.begin()?;
        let overdue = self.queue.add_dependency(dependent, dependency).await?;
        self.settling.after(overdue).await;
        Ok(())
    }

    /// Errors: `task.not_found`.
    pub async fn get(&self, id: &str) -> Result<Task> {
        let tasks = self.get_many(&[id]).await?;
        tasks.into_iter().next().flatten().ok_or_else(|| Error::task_not_found(id))
    }

    /// `None` where there is no such task.
    #[instrument(level = "debug", skip_all, fields(count = ids.len()))]
    pub async fn get_many(&self, ids: &[&str]) -> Result<Vec<Option<Task>>> {
        self.queue.get(ids.iter().map(|id| (*id).to_owned()).collect()).await
    }

    /// The task that has this unique key, or that had it last and is dead, cancelled or expired; `None` where there is none. Errors:
    /// `input.invalid`.
    #[instrument(level = "debug", skip(self))]
    pub async fn find(&self, unique_key: &str) -> Result<Option<Task>> {
        check::text("unique_key", unique_key, 256)?;
        self.queue.find(unique_key).await
    }

    /// A page of tasks, in the order of their ids; give [`Page::next`] as the next filter's cursor. Errors: `input.invalid`.
    #[instrument(level = "debug", skip_all)]
    pub async fn list(&self, filter: Filter) -> Result<Page> {
        if !(1..=1000).contains(&filter.limit) {
            return Err(Error::invalid("limit", filter.limit, "1 to 1000"));
        }
        self.queue.list(filter).await
    }

    /// The tasks that failed for good.
    pub async fn dead_letters(&self, filter: Filter) -> Result<Page> {
        self.list(Filter { status: Some(Status::DeadLetter), ..filter }).await
    }

    /// How many tasks there are by status, how long they wait and run, and what is paused.
    #[instrument(level = "debug", skip_all)]
    pub async fn stats(&self) -> Result<Stats> {
        self.queue.stats().await
    }

    /// Why a task is not claimed. Errors: `task.not_found`.
    #[instrument(level = "debug", skip(self))]
    pub async fn explain(&self, id: &str) -> Result<Explanation> {
        let task = self.get(id).await?;
        let facts = self.settling.facts(id).await?;
        let prerequisites = self.queue.prerequisites(id).await?;
        let children = self.queue.children(id).await?;
        let paused = self.queue.paused().await?;
        let agents = self.agents.agents().await?;
        Ok(explain::explain(&task, &facts, &prerequisites, &children, &paused, &agents))
    }

    /// Holds up a close for one portion at most.
    #[instrument(level = "debug", skip(self))]
    async fn act_on(&self, filter: Filter, action: Action) -> Result<usize> {
        if !filter.is_given() {
            return Err(Error::invalid("filter", "empty", "at least one field"));
        }
        if let Some(cursor) = &filter.cursor {
            return Err(Error::invalid("cursor", cursor, "none"));
        }
        let (mut changed, mut page) = (0, Filter { limit: PORTION, ..filter.clone() });
        loop {
            let _call = self.session.calls.begin()?;
            let Page { tasks, next } = self.queue.list(page.clone()).await?;
            let ids = tasks.into_iter().map(|task| task.id).collect();
            changed += self.settling.act_on_matching(ids, &action, &filter).await?;
            page.cursor = next;
            if page.cursor.is_none() {
                return Ok(changed);
            }
        }
    }

    #[instrument(level = "debug", skip(self))]
    async fn act(&self, id: &str, action: Action) -> Result<Status> {
        let _call = self.session.calls.begin()?;
        self.settling.act(id, action).await
    }

    #[instrument(level = "debug", skip_all)]
    pub(crate) async fn adopt(&self, options: AdoptOptions) -> Result<Adoption> {
        options.check()?;
        let _call = self.session.calls.begin()?;
        let dry_run = options.dry_run;
        let adoption = self.queue.adopt(options).await?;
        if !dry_run {
            self.settling.after(true).await;
        }
        Ok(adoption)
    }
}

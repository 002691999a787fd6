//! The room `tasks`: a method for each operation of the core's handle, in its order.

use crate::{
    answer::{Answer, answer},
    args::{Token, UsageArgs, json, maybe_date, maybe_millis, millis, present, whole, word},
    bridge::{Calls, Now},
    new_task::{DependencyArgs, NewTaskArgs},
    wire::{Batch, text},
};
use kurultai_core::{
    self as core, Json, Result,
    agents::Term,
    tasks::{AdoptOptions, Cancel, Claim, Extend, Failure, Filter, Finish, Outcome, TaskUpdate},
};
use napi_derive::napi;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::{sync::Arc, time::Duration};

#[napi]
#[derive(Debug)]
pub struct Tasks {
    calls: Arc<Calls>,
    tasks: core::Tasks,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ClaimArgs {
    agent: String,
    max: Option<f64>,
    types: Option<Vec<String>>,
    lease_ms: Option<f64>,
    wait_ms: Option<f64>,
    persistent: Option<bool>,
}

impl ClaimArgs {
    fn claim(self) -> Result<Claim> {
        Ok(Claim {
            agent: self.agent,
            max: whole("max", self.max.unwrap_or(1.0))? as usize,
            types: self.types,
            lease: maybe_millis("leaseMs", self.lease_ms)?,
            wait: millis("waitMs", self.wait_ms.unwrap_or(0.0))?,
            persistent: self.persistent.unwrap_or(false),
        })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct FailureArgs {
    error: String,
    retryable: Option<bool>,
    retry_after_ms: Option<f64>,
    results: Option<Box<RawValue>>,
    usage: Option<UsageArgs>,
}

impl FailureArgs {
    pub(crate) fn failure(self) -> Result<Failure> {
        Ok(Failure {
            retryable: self.retryable.unwrap_or(true),
            retry_after: maybe_millis("retryAfterMs", self.retry_after_ms)?,
            results: self.results.map(json),
            usage: self.usage.as_ref().map(UsageArgs::usage).transpose()?,
            ..Failure::new(self.error)
        })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CompletionArgs {
    results: Box<RawValue>,
    usage: Option<UsageArgs>,
}

impl CompletionArgs {
    fn outcome(self) -> Result<Outcome> {
        let usage = self.usage.as_ref().map(UsageArgs::usage).transpose()?;
        Ok(Outcome::Complete { results: json(self.results), usage })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum OutcomeArgs {
    Complete(CompletionArgs),
    Fail(FailureArgs),
    Release,
    Snooze(SnoozeArgs),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct SnoozeArgs {
    after_ms: f64,
}

impl OutcomeArgs {
    fn outcome(self) -> Result<Outcome> {
        Ok(match self {
            OutcomeArgs::Complete(completion) => completion.outcome()?,
            OutcomeArgs::Fail(failure) => Outcome::Fail(failure.failure()?),
            OutcomeArgs::Release => Outcome::Release,
            OutcomeArgs::Snooze(SnoozeArgs { after_ms }) => {
                Outcome::Snooze { after: millis("afterMs", after_ms)? }
            }
        })
    }
}

/// Completions by columns, or ends of any kind.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum FinishesArgs {
    Complete(CompletionColumns),
    Each(Vec<(Token, OutcomeArgs)>),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CompletionColumns {
    leases: Vec<Token>,
    results: Vec<Box<RawValue>>,
    usage: Vec<Option<UsageArgs>>,
}

impl FinishesArgs {
    fn finishes(self) -> Result<Vec<Finish>> {
        let finish = |lease: Token, outcome| Ok(Finish { lease: lease.lease()?, outcome });
        match self {
            FinishesArgs::Complete(CompletionColumns { leases, results, usage }) => {
                let ends =
                    results.into_iter().zip(usage).map(|(results, usage)| CompletionArgs { results, usage });
                leases.into_iter().zip(ends).map(|(lease, end)| finish(lease, end.outcome()?)).collect()
            }
            FinishesArgs::Each(each) => {
                each.into_iter().map(|(lease, end)| finish(lease, end.outcome()?)).collect()
            }
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct WaitArgs {
    task: String,
    /// Absent: without end.
    timeout_ms: Option<f64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RenewArgs {
    lease: Token,
    ttl_ms: Option<f64>,
    progress: Option<f64>,
    checkpoint: Option<Box<RawValue>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CancelArgs {
    id: String,
    reason: Option<String>,
    children: Option<bool>,
}

#[derive(Deserialize)]
struct CancelManyArgs {
    filter: FilterArgs,
    reason: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct UpdateArgs {
    id: String,
    title: Option<String>,
    description: Option<String>,
    #[serde(default, deserialize_with = "present")]
    payload: Option<Option<Box<RawValue>>>,
    priority: Option<String>,
    priority_weight: Option<f64>,
    #[serde(default, deserialize_with = "present")]
    run_at: Option<Option<f64>>,
    #[serde(default, deserialize_with = "present")]
    expires_at: Option<Option<f64>>,
    #[serde(default, deserialize_with = "present")]
    assigned_to: Option<Option<String>>,
}

impl UpdateArgs {
    fn update(self) -> Result<TaskUpdate> {
        Ok(TaskUpdate {
            title: self.title,
            description: self.description,
            payload: self.payload.map(|payload| payload.map_or_else(Json::default, json)),
            priority: word(self.priority)?,
            priority_weight: self.priority_weight,
            run_at: self.run_at.map(|at| maybe_date("runAt", at)).transpose()?,
            expires_at: self.expires_at.map(|at| maybe_date("expiresAt", at)).transpose()?,
            assigned_to: self.assigned_to,
        })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReprioritizeArgs {
    id: String,
    priority: Option<String>,
    weight: Option<f64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AssignArgs {
    id: String,
    agent: Option<String>,
    by: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EdgeArgs {
    dependent: String,
    on: DependencyArgs,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct FilterArgs {
    status: Option<String>,
    #[serde(rename = "type")]
    task_type: Option<String>,
    assigned_to: Option<String>,
    claimed_by: Option<String>,
    parent: Option<String>,
    cursor: Option<String>,
    limit: Option<f64>,
}

impl FilterArgs {
    fn filter(self) -> Result<Filter> {
        Ok(Filter {
            status: word(self.status)?,
            task_type: self.task_type,
            assigned_to: self.assigned_to,
            claimed_by: self.claimed_by,
            parent_id: self.parent,
            cursor: self.cursor,
            limit: match self.limit {
                Some(limit) => whole("limit", limit)? as usize,
                None => Filter::default().limit,
            },
        })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct AdoptArgs {
    dry_run: Option<bool>,
    labels: Option<Vec<String>>,
    ids: Option<Vec<String>>,
    types: Option<Vec<String>>,
    statuses: Option<Vec<String>>,
}

impl AdoptArgs {
    pub(crate) fn options(self) -> AdoptOptions {
        AdoptOptions {
            dry_run: self.dry_run.unwrap_or_default(),
            labels: self.labels,
            ids: self.ids,
            types: self.types,
            statuses: self.statuses,
        }
    }
}

impl Tasks {
    pub(crate) fn new(calls: Arc<Calls>, tasks: core::Tasks) -> Self {
        Tasks { calls, tasks }
    }
}

#[napi]
impl Tasks {
    /// For who holds a role.
    #[napi(catch_unwind)]
    pub fn under(&self, role: String, term: f64) -> Tasks {
        let term = Term { role, number: term as i64 };
        Tasks { calls: self.calls.clone(), tasks: self.tasks.under(term) }
    }

    #[napi(catch_unwind)]
    pub fn enqueue(&self, call: u32, args: String) -> Now {
        self.calls.run(call, &self.tasks, &args, |tasks, new: NewTaskArgs| async move {
            answer(&tasks.enqueue(new.task()?).await?)
        })
    }

    #[napi(catch_unwind)]
    pub fn enqueue_many(&self, call: u32, args: String) -> Now {
        self.calls.run(call, &self.tasks, &args, |tasks, new: Vec<NewTaskArgs>| async move {
            let new = new.into_iter().map(NewTaskArgs::task).collect::<Result<_>>()?;
            answer(&tasks.enqueue_many(new).await?)
        })
    }

    #[napi(catch_unwind)]
    pub fn claim(&self, call: u32, args: String) -> Now {
        self.calls.run(call, &self.tasks, &args, |tasks, claim: ClaimArgs| async move {
            let claimed = tasks.claim_guarded(claim.claim()?).await?;
            let text = text(&Batch(&claimed));
            Ok(Answer::owning(text, || drop(claimed.take())))
        })
    }

    #[napi(catch_unwind)]
    pub fn finish(&self, call: u32, args: String) -> Now {
        self.calls.run(call, &self.tasks, &args, |tasks, (lease, outcome): (Token, OutcomeArgs)| async move {
            answer(&tasks.finish(&lease.lease()?, outcome.outcome()?).await?)
        })
    }

    #[napi(catch_unwind)]
    pub fn finish_many(&self, call: u32, args: String) -> Now {
        self.calls.run(call, &self.tasks, &args, |tasks, finishes: FinishesArgs| async move {
            answer(&tasks.finish_many(finishes.finishes()?).await?)
        })
    }

    #[napi(catch_unwind)]
    pub fn renew(&self, call: u32, args: String) -> Now {
        self.calls.run(call, &self.tasks, &args, |tasks, renew: RenewArgs| async move {
            let RenewArgs { lease, ttl_ms, progress, checkpoint } = renew;
            let ttl = maybe_millis("leaseMs", ttl_ms)?;
            let checkpoint = checkpoint.map(json);
            let request = Extend { ttl, progress, checkpoint, ..Extend::new(lease.lease()?) };
            answer(&tasks.renew(request).await?)
        })
    }

    #[napi(catch_unwind)]
    pub fn cancel(&self, call: u32, args: String) -> Now {
        self.calls.run(call, &self.tasks, &args, |tasks, CancelArgs { id, reason, children }| async move {
            let cancel = Cancel { reason, children: children.unwrap_or_default() };
            answer(&tasks.cancel(&id, cancel).await?)
        })
    }

    #[napi(catch_unwind)]
    pub fn cancel_many(&self, call: u32, args: String) -> Now {
        self.calls.run(call, &self.tasks, &args, |tasks, CancelManyArgs { filter, reason }| async move {
            answer(&tasks.cancel_many(filter.filter()?, reason.as_deref()).await?)
        })
    }

    #[napi(catch_unwind)]
    pub fn update(&self, call: u32, args: String) -> Now {
        self.calls.run(call, &self.tasks, &args, |tasks, update: UpdateArgs| async move {
            let id = update.id.clone();
            answer(&tasks.update(&id, update.update()?).await?)
        })
    }

    #[napi(catch_unwind)]
    pub fn reprioritize(&self, call: u32, args: String) -> Now {
        self.calls.run(
            call,
            &self.tasks,
            &args,
            |tasks, ReprioritizeArgs { id, priority, weight }| async move {
                answer(&tasks.reprioritize(&id, word(priority)?, weight).await?)
            },
        )
    }

    #[napi(catch_unwind)]
    pub fn assign(&self, call: u32, args: String) -> Now {
        self.calls.run(call, &self.tasks, &args, |tasks, AssignArgs { id, agent, by }| async move {
            answer(&tasks.assign(&id, agent.as_deref(), by.as_deref()).await?)
        })
    }

    #[napi(catch_unwind)]
    pub fn suspend(&self, call: u32, args: String) -> Now {
        self.calls.run(call, &self.tasks, &args, |tasks, id: String| async move {
            answer(&tasks.suspend(&id).await?)
        })
    }

    #[napi(catch_unwind)]
    pub fn resume(&self, call: u32, args: String) -> Now {
        self.calls.run(call, &self.tasks, &args, |tasks, id: String| async move {
            answer(&tasks.resume(&id).await?)
        })
    }

    #[napi(catch_unwind)]
    pub fn requeue(&self, call: u32, args: String) -> Now {
        self.calls.run(call, &self.tasks, &args, |tasks, id: String| async move {
            answer(&tasks.requeue(&id).await?)
        })
    }

    #[napi(catch_unwind)]
    pub fn requeue_many(&self, call: u32, args: String) -> Now {
        self.calls.run(call, &self.tasks, &args, |tasks, filter: FilterArgs| async move {
            answer(&tasks.requeue_many(filter.filter()?).await?)
        })
    }

    #[napi(catch_unwind)]
    pub fn discard(&self, call: u32, args: String) -> Now {
        self.calls.run(call, &self.tasks, &args, |tasks, id: String| async move {
            answer(&tasks.discard(&id).await?)
        })
    }

    #[napi(catch_unwind)]
    pub fn pause(&self, call: u32, args: String) -> Now {
        self.calls.run(call, &self.tasks, &args, |tasks, task_type: Option<String>| async move {
            answer(&tasks.pause(task_type.as_deref()).await?)
        })
    }

    #[napi(catch_unwind)]
    pub fn unpause(&self, call: u32, args: String) -> Now {
        self.calls.run(call, &self.tasks, &args, |tasks, task_type: Option<String>| async move {
            answer(&tasks.unpause(task_type.as_deref()).await?)
        })
    }

    #[napi(catch_unwind)]
    pub fn stop_all(&self, call: u32, args: String) -> Now {
        self.calls.run(call, &self.tasks, &args, |tasks, reason: String| async move {
            answer(&tasks.stop_all(&reason).await?)
        })
    }

    #[napi(catch_unwind)]
    pub fn start_all(&self, call: u32, args: String) -> Now {
        self.calls.run(
            call,
            &self.tasks,
            &args,
            |tasks, (): ()| async move { answer(&tasks.start_all().await?) },
        )
    }

    #[napi(catch_unwind)]
    pub fn add_dependency(&self, call: u32, args: String) -> Now {
        self.calls.run(call, &self.tasks, &args, |tasks, EdgeArgs { dependent, on }| async move {
            answer(&tasks.add_dependency(&dependent, on.dependency()?).await?)
        })
    }

    #[napi(catch_unwind)]
    pub fn get(&self, call: u32, args: String) -> Now {
        self.calls.run(
            call,
            &self.tasks,
            &args,
            |tasks, id: String| async move { answer(&tasks.get(&id).await?) },
        )
    }

    #[napi(catch_unwind)]
    pub fn wait_for(&self, call: u32, args: String) -> Now {
        self.calls.run(call, &self.tasks, &args, |tasks, wait: WaitArgs| async move {
            let timeout = maybe_millis("timeoutMs", wait.timeout_ms)?.unwrap_or(Duration::MAX);
            answer(&tasks.wait_for(&wait.task, timeout).await?)
        })
    }

    #[napi(catch_unwind)]
    pub fn get_many(&self, call: u32, args: String) -> Now {
        self.calls.run(call, &self.tasks, &args, |tasks, ids: Vec<String>| async move {
            let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
            answer(&tasks.get_many(&ids).await?)
        })
    }

    #[napi(catch_unwind)]
    pub fn find(&self, call: u32, args: String) -> Now {
        self.calls.run(call, &self.tasks, &args, |tasks, key: String| async move {
            answer(&tasks.find(&key).await?)
        })
    }

    #[napi(catch_unwind)]
    pub fn list(&self, call: u32, args: String) -> Now {
        self.calls.run(call, &self.tasks, &args, |tasks, filter: FilterArgs| async move {
            answer(&tasks.list(filter.filter()?).await?)
        })
    }

    #[napi(catch_unwind)]
    pub fn dead_letters(&self, call: u32, args: String) -> Now {
        self.calls.run(call, &self.tasks, &args, |tasks, filter: FilterArgs| async move {
            answer(&tasks.dead_letters(filter.filter()?).await?)
        })
    }

    #[napi(catch_unwind)]
    pub fn stats(&self, call: u32, args: String) -> Now {
        self.calls.run(call, &self.tasks, &args, |tasks, (): ()| async move { answer(&tasks.stats().await?) })
    }

    #[napi(catch_unwind)]
    pub fn explain(&self, call: u32, args: String) -> Now {
        self.calls.run(call, &self.tasks, &args, |tasks, id: String| async move {
            answer(&tasks.explain(&id).await?)
        })
    }
}

//! `kurultai tasks`: an agent that lives in a shell is a full member.

mod claim;
mod enqueue;
mod fields;
mod list;
mod show;

use crate::{
    change::{Matching, Update},
    output::{Done, say, say_all, say_json},
    status::numbers,
    stdin,
    text::{clean, count, duration, natural, utc, word},
};
use claim::Take;
use enqueue::Enqueue;
pub(crate) use fields::Fields;
use kurultai_core::{
    Error, Json, Kind, Kurultai, Tasks,
    tasks::{
        Cancel, Extend, Extended, Failure, Filter, Finished, Lease, Outcome, Priority, Status, Task, Usage,
    },
};
use list::{List, listed};
use show::shown;
use std::time::Duration;

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Add a task; prints its id
    Enqueue(Box<Enqueue>),
    /// Take tasks for an agent; prints each with a line `LEASE <string>`
    ///
    /// Whatever the lease: where somebody watches the team, an agent of which nothing is heard for 120 s (`dead_after` of
    /// `kurultai watch`) is declared dead and loses what it holds. `tasks extend`, `agents beat` or a running `kurultai
    /// heartbeat` is such a sign.
    Claim(Take),
    /// End a task well
    Complete {
        #[arg(value_parser = word::<Lease>)]
        lease: Lease,
        /// JSON, or - for stdin
        #[arg(value_parser = stdin::text, allow_negative_numbers = true)]
        result: Option<String>,
        #[arg(long, allow_negative_numbers = true, value_parser = natural::<u64>)]
        tokens: Option<u64>,
        #[arg(long, allow_negative_numbers = true)]
        cost: Option<f64>,
        #[arg(long, allow_negative_numbers = true)]
        seconds: Option<f64>,
    },
    /// End an attempt badly
    Fail {
        #[arg(value_parser = word::<Lease>)]
        lease: Lease,
        /// - for stdin
        #[arg(value_parser = stdin::text)]
        error: String,
        /// To the dead letters at once
        #[arg(long = "final")]
        fatal: bool,
        #[arg(long, allow_hyphen_values = true, value_parser = duration)]
        retry_after: Option<Duration>,
    },
    /// Give a task back; the attempt does not count
    Release {
        #[arg(value_parser = word::<Lease>)]
        lease: Lease,
    },
    /// Put a task off for a while; no attempt is counted
    Snooze {
        #[arg(value_parser = word::<Lease>)]
        lease: Lease,
        #[arg(allow_hyphen_values = true, value_parser = duration)]
        after: Duration,
    },
    /// Keep a task, and say how far it is
    Extend {
        #[arg(value_parser = word::<Lease>)]
        lease: Lease,
        /// Default 30s, where no progress and no checkpoint is given
        #[arg(long, allow_hyphen_values = true, value_parser = duration)]
        ttl: Option<Duration>,
        /// 0 to 1
        #[arg(long, allow_negative_numbers = true)]
        progress: Option<f64>,
        /// JSON from which the next attempt can go on, or - for stdin
        #[arg(long, value_name = "JSON", value_parser = stdin::text, allow_hyphen_values = true)]
        checkpoint: Option<String>,
    },
    /// Tasks in the order in which they were made
    List(List),
    /// Everything about a task
    Show {
        #[arg(required_unless_present = "key")]
        id: Option<String>,
        /// The task of this unique key
        #[arg(long, conflicts_with = "id")]
        key: Option<String>,
    },
    /// Wait until it is completed and print its results; what ended otherwise is an error
    Wait {
        id: String,
        #[arg(long, default_value = "10s", value_parser = duration)]
        timeout: Duration,
    },
    /// Why a task is not claimed
    Explain { id: String },
    /// Cancel it; a holder learns it when it extends
    Cancel {
        id: String,
        /// And everything below it
        #[arg(long)]
        children: bool,
        #[arg(long)]
        reason: Option<String>,
    },
    /// Cancel all tasks that match; prints how many
    CancelMany {
        #[command(flatten)]
        matching: Matching,
        #[arg(long)]
        reason: Option<String>,
    },
    /// Change a task that nobody holds
    Update(Box<Update>),
    /// Change how urgent a task is
    Reprioritize {
        id: String,
        /// P0 (critical, urgent), P1 (high), P2 (normal, medium) or P3 (low, backlog)
        #[arg(value_parser = word::<Priority>)]
        priority: Option<Priority>,
        /// 0 to 1, higher first within a priority
        #[arg(long, allow_negative_numbers = true)]
        weight: Option<f64>,
    },
    /// Let one agent alone claim a task; without an agent, anybody
    Assign {
        id: String,
        agent: Option<String>,
        /// Who decided it
        #[arg(long, value_name = "AGENT")]
        by: Option<String>,
    },
    /// Take it out of the queue until `resume`
    Suspend { id: String },
    /// Put it back
    Resume { id: String },
    /// Give a dead, cancelled or expired task fresh attempts
    Requeue { id: String },
    /// Requeue all tasks that match and can be; prints how many
    RequeueMany {
        #[command(flatten)]
        matching: Matching,
    },
    /// Give up a dead letter
    Discard { id: String },
    /// Give out no task of a type; without a type none at all
    Pause {
        #[arg(value_name = "TYPE")]
        task_type: Option<String>,
    },
    /// End a pause
    Unpause {
        #[arg(value_name = "TYPE")]
        task_type: Option<String>,
    },
    /// The tasks that failed for good
    DeadLetters {
        #[arg(long, default_value_t = 100, allow_negative_numbers = true, value_parser = natural::<usize>)]
        limit: usize,
        #[arg(long)]
        cursor: Option<String>,
    },
    /// Counts and times
    Stats,
}

fn document(text: Option<String>) -> kurultai_core::Result<Json> {
    text.map_or(Ok(Json::default()), Json::text)
}

impl Command {
    pub(crate) async fn run(self, kurultai: &Kurultai, json: bool) -> Done {
        let tasks = kurultai.tasks();
        let status = match self {
            Command::Enqueue(enqueue) => return enqueue.run(kurultai, json).await,
            Command::Claim(take) => return take.run(kurultai, json).await,
            Command::Complete { lease, result, tokens, cost, seconds } => {
                let spent = tokens.is_some() || cost.is_some() || seconds.is_some();
                let usage = Usage {
                    tokens: tokens.unwrap_or_default(),
                    cost: cost.unwrap_or_default(),
                    seconds: seconds.unwrap_or_default(),
                };
                let outcome = Outcome::Complete { results: document(result)?, usage: spent.then_some(usage) };
                return finished(&tasks.finish(&lease, outcome).await?, json);
            }
            Command::Fail { lease, error, fatal, retry_after } => {
                let failure = Failure { retryable: !fatal, retry_after, ..Failure::new(error) };
                return finished(&tasks.fail(&lease, failure).await?, json);
            }
            Command::Release { lease } => return finished(&tasks.release(&lease).await?, json),
            Command::Snooze { lease, after } => return finished(&tasks.snooze(&lease, after).await?, json),
            Command::Extend { lease, ttl, progress, checkpoint } => {
                let alone = progress.is_none() && checkpoint.is_none();
                let ttl = ttl.or_else(|| alone.then_some(Duration::from_secs(30)));
                let checkpoint = checkpoint.map(Json::text).transpose()?;
                return extended(
                    &tasks.renew(Extend { ttl, progress, checkpoint, ..Extend::new(lease) }).await?,
                    json,
                );
            }
            Command::List(list) => return list.run(kurultai, json).await,
            Command::DeadLetters { limit, cursor } => {
                let filter = Filter { limit, cursor, ..Filter::default() };
                let page = tasks.dead_letters(filter).await?;
                return if json { say_json(&page) } else { listed(&page.tasks, page.next.as_deref()) };
            }
            Command::Show { id, key } => {
                let task = match (&id, &key) {
                    (Some(id), _) => tasks.get(id).await?,
                    (None, key) => of_key(&tasks, key.as_deref().unwrap_or_default()).await?,
                };
                return shown(&task, json);
            }
            Command::Update(update) => return shown(&update.run(&tasks).await?, json),
            Command::Reprioritize { id, priority, weight } => {
                return shown(&tasks.reprioritize(&id, priority, weight).await?, json);
            }
            Command::Assign { id, agent, by } => {
                return shown(&tasks.assign(&id, agent.as_deref(), by.as_deref()).await?, json);
            }
            Command::CancelMany { matching, reason } => {
                let many = tasks.cancel_many(matching.filter(), reason.as_deref()).await?;
                return changed(many, "cancelled, or asked to stop", json);
            }
            Command::RequeueMany { matching } => {
                return changed(tasks.requeue_many(matching.filter()).await?, "requeued", json);
            }
            Command::Wait { id, timeout } => {
                let task = tasks.wait_for(&id, timeout).await?;
                let results = task.results.as_ref().map_or("null", Json::as_str);
                return if json { say_json(&task) } else { say(clean(results)) };
            }
            Command::Explain { id } => {
                let explanation = tasks.explain(&id).await?;
                if json {
                    return say_json(&explanation);
                }
                say(format!("{} is {}", clean(&explanation.id), explanation.status))?;
                for reason in &explanation.reasons {
                    say(format!("  {}", clean(&reason.to_string())))?;
                }
                return match (explanation.reasons.is_empty(), explanation.candidates.is_empty()) {
                    (true, false) => say(format!(
                        "  {} can claim it now, where they handle its type",
                        explanation.candidates.join(", ")
                    )),
                    _ => Ok(()),
                };
            }
            Command::Stats => {
                let stats = tasks.stats().await?;
                return if json { say_json(&stats) } else { say_all(&numbers(&stats)) };
            }
            Command::Pause { task_type } => {
                tasks.pause(task_type.as_deref()).await?;
                return paused(task_type.as_deref(), true, json);
            }
            Command::Unpause { task_type } => {
                tasks.unpause(task_type.as_deref()).await?;
                return paused(task_type.as_deref(), false, json);
            }
            Command::Cancel { id, children, reason } => {
                (tasks.cancel(&id, Cancel { reason, children }).await?, id)
            }
            Command::Suspend { id } => (tasks.suspend(&id).await?, id),
            Command::Resume { id } => (tasks.resume(&id).await?, id),
            Command::Requeue { id } => (tasks.requeue(&id).await?, id),
            Command::Discard { id } => (tasks.discard(&id).await?, id),
        };
        let (status, id) = status;
        if json {
            return say_json(&serde_json::json!({"id": id, "status": status}));
        }
        let holder = if status == Status::InProgress { "; its holder learns it when it extends" } else { "" };
        say(format!("{} is {status}{holder}", clean(&id)))
    }
}

fn finished(finished: &Finished, json: bool) -> Done {
    if json {
        return say_json(finished);
    }
    let again = if finished.repeated { ", as it was before" } else { "" };
    say(format!("{} is {}{again}", clean(&finished.id), finished.status))
}

fn extended(extended: &Extended, json: bool) -> Done {
    let Extended { lease, signal, unread, .. } = extended;
    let (lease, until) = (lease.to_string(), lease.expires_at);
    if json {
        return say_json(
            &serde_json::json!({"signal": signal, "lease": lease, "expires_at": until, "unread": unread}),
        );
    }
    say(format!("{signal}; yours until {}", utc(until)))?;
    if unread.count > 0 {
        say(format!("{} unread, {} urgent", unread.count, unread.urgent))?;
    }
    say(format!("LEASE {lease}"))
}

async fn of_key(tasks: &Tasks, key: &str) -> kurultai_core::Result<Task> {
    let message = || format!("no task has the unique key {key:?}");
    tasks.find(key).await?.ok_or_else(|| Error::new(Kind::NotFound, "task.not_found", message()))
}

fn changed(many: usize, what: &str, json: bool) -> Done {
    if json {
        return say_json(&serde_json::json!({"tasks": many}));
    }
    say(format!("{} {what}", count(many, "task")))
}

fn paused(task_type: Option<&str>, paused: bool, json: bool) -> Done {
    if json {
        return say_json(&serde_json::json!({"type": task_type, "paused": paused}));
    }
    let what = task_type.map_or("everything".to_owned(), |t| format!("the type {}", clean(t)));
    say(format!("{what} {}", if paused { "is paused" } else { "goes on" }))
}

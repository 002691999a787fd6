//! The agent's pull interface: the core claims, renews, beats and drains; JavaScript pulls jobs and runs handlers.
//! A job is a number there.

use crate::{
    answer::{Answer, answer},
    args::{UsageArgs, json, maybe_millis, millis, read, whole, word},
    bridge::{Calls, Now},
    new_task::{Never, RetryArgs},
    numbered::Numbered,
    wire::{Batch, Wire, object, text},
};
use kurultai_bridge::lock;
use kurultai_core::{
    Error, Json, Kurultai, Result,
    worker::{
        Agent, End, Ended, Incoming, Job, Jobs as CoreJobs, Limits, MessageEnd, MessageReport, Report, Stop,
        Wish,
    },
};
use napi_derive::napi;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::{
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::sync::Notify;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct AgentArgs {
    agent: String,
    display_name: Option<String>,
    role: Option<String>,
    aliases: Option<Vec<String>>,
    capabilities: Option<Vec<String>>,
    max_concurrent: Option<f64>,
    metadata: Option<Box<RawValue>>,
    concurrency: Option<f64>,
    types: Option<Vec<String>>,
    messages: Option<Vec<String>>,
    message_timeout_ms: Option<f64>,
    lease_ms: Option<f64>,
    wait_ms: Option<f64>,
    grace_ms: Option<f64>,
    heartbeat_ms: Option<f64>,
    stall_after_ms: Option<Silence>,
    on_stall: Option<String>,
}

impl AgentArgs {
    fn agent(self) -> Result<Agent> {
        let mut agent = Agent::new(self.agent);
        if let Some(name) = self.display_name {
            agent = agent.display_name(name);
        }
        if let Some(role) = self.role {
            agent = agent.role(role);
        }
        if let Some(aliases) = self.aliases {
            agent = agent.aliases(aliases);
        }
        if let Some(capabilities) = self.capabilities {
            agent = agent.capabilities(capabilities);
        }
        if let Some(most) = self.max_concurrent {
            agent = agent.max_concurrent(whole("maxConcurrent", most)?);
        }
        if let Some(metadata) = self.metadata {
            agent = agent.metadata(metadata);
        }
        if let Some(most) = self.concurrency {
            agent = agent.concurrency(whole("concurrency", most)? as usize);
        }
        if let Some(types) = self.types {
            agent = agent.types(types);
        }
        if let Some(messages) = self.messages {
            agent = agent.messages(messages);
        }
        if let Some(ms) = self.message_timeout_ms {
            agent = agent.message_timeout(millis("messageTimeoutMs", ms)?);
        }
        if let Some(ms) = self.lease_ms {
            agent = agent.lease(millis("leaseMs", ms)?);
        }
        if let Some(ms) = self.wait_ms {
            agent = agent.wait(millis("waitMs", ms)?);
        }
        if let Some(ms) = self.grace_ms {
            agent = agent.grace(millis("graceMs", ms)?);
        }
        if let Some(ms) = self.heartbeat_ms {
            agent = agent.heartbeat(millis("heartbeatMs", ms)?);
        }
        if let Some(silence) = self.stall_after_ms {
            agent = agent.stall_after(silence.span()?);
        }
        if let Some(then) = word(self.on_stall)? {
            agent = agent.on_stall(then);
        }
        Ok(agent)
    }
}

/// Milliseconds, or what Infinity crosses as: JSON has none.
#[derive(Deserialize)]
#[serde(untagged)]
enum Silence {
    Millis(f64),
    Never(Never),
}

impl Silence {
    fn span(self) -> Result<Duration> {
        match self {
            Silence::Millis(ms) => millis("stallAfterMs", ms),
            Silence::Never(Never::Never) => Ok(Duration::MAX),
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct LimitArgs {
    timeout_ms: Option<f64>,
    retries: Option<u32>,
    retry: Option<RetryArgs>,
    stall_after_ms: Option<Silence>,
    on_stall: Option<String>,
}

impl LimitArgs {
    fn limits(self) -> Result<Limits> {
        Ok(Limits {
            timeout: maybe_millis("timeoutMs", self.timeout_ms)?,
            retries: self.retries,
            retry: self.retry.map(RetryArgs::policy).transpose()?,
            stall_after: self.stall_after_ms.map(Silence::span).transpose()?,
            on_stall: word(self.on_stall)?,
        })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct RaisedArgs {
    error: String,
    wish: Option<WishArgs>,
    after_ms: Option<f64>,
    #[serde(default)]
    why: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum WishArgs {
    Retry,
    Reject,
    Snooze,
}

impl RaisedArgs {
    pub(crate) fn ended(self) -> Ended {
        let wish = self.wish.map(|wish| match wish {
            WishArgs::Retry => Wish::Retry { after: self.after_ms.map(|ms| ms / 1e3) },
            WishArgs::Reject => Wish::Reject { why: self.why },
            WishArgs::Snooze => Wish::Snooze { after: self.after_ms.map_or(f64::NAN, |ms| ms / 1e3) },
        });
        Ended::Raised { error: self.error, wish }
    }
}

pub(crate) fn job<T>(table: &Numbered<T>, number: u32) -> Result<Arc<T>> {
    table.get(number).ok_or_else(|| Error::lease_lost("this job has ended; it can tell nothing any more"))
}

pub(crate) type Started = Arc<OnceLock<CoreJobs>>;

#[napi]
#[derive(Debug)]
pub struct Jobs {
    pub(crate) calls: Arc<Calls>,
    kurultai: Kurultai,
    pub(crate) jobs: Started,
    pub(crate) table: Numbered<Job>,
    /// Inboxes in the middle of tasks.
    pub(crate) incoming: Numbered<Incoming>,
    told: Arc<Told>,
}

impl Jobs {
    pub(crate) fn new(calls: Arc<Calls>, kurultai: Kurultai) -> Self {
        let (table, incoming) = (Numbered::default(), Numbered::default());
        Jobs { calls, kurultai, jobs: Arc::default(), table, incoming, told: Arc::default() }
    }
}

pub(crate) fn started(jobs: &OnceLock<CoreJobs>) -> Result<&CoreJobs> {
    jobs.get().ok_or_else(|| Error::internal("the agent has not been started"))
}

#[napi]
impl Jobs {
    #[napi(catch_unwind)]
    pub fn start(&self, call: u32, args: String) -> Now {
        let (kurultai, jobs, told) = (self.kurultai.clone(), self.jobs.clone(), self.told.clone());
        self.calls.start(call, async move {
            let message_told = told.clone();
            let agent = read::<AgentArgs>(&args)?
                .agent()?
                .on_report(move |report| told.tell(report))
                .on_message_report(move |report| message_told.tell_message(report));
            let started = agent.start(&kurultai).await?;
            jobs.set(started).map_err(|_| Error::internal("started twice"))?;
            answer(&())
        })
    }

    /// The next job, or `null` once it drains. One that nobody receives is released.
    #[napi(catch_unwind)]
    pub fn next(&self, call: u32) -> Now {
        let (jobs, table) = (self.jobs.clone(), self.table.clone());
        self.calls.start(call, async move {
            let Some(job) = started(&jobs)?.next().await? else { return answer(&()) };
            let number = table.number();
            let text = text(&Pulled { number, job: &job });
            Ok(Answer::owning(text, move || table.add(number, job)))
        })
    }

    /// Why the work on a job must stop, as soon as it must.
    #[napi(catch_unwind)]
    pub fn stopped(&self, call: u32, number: u32) -> Now {
        let table = self.table.clone();
        self.calls.start(call, async move {
            let context = job(&table, number)?.context();
            let why = context.stopped().await;
            answer(&Stopped { why, reason: context.stop_reason() })
        })
    }

    /// What the attempt may take; its time counts from here. It was checked when the handler was added.
    #[napi(catch_unwind)]
    pub fn limit(&self, number: u32, args: String) {
        let limits = read::<LimitArgs>(&args).and_then(LimitArgs::limits);
        if let (Ok(limits), Ok(job)) = (limits, job(&self.table, number)) {
            job.limit(limits);
        }
    }

    /// The handler is alive.
    #[napi(catch_unwind)]
    pub fn alive(&self, number: u32) {
        if let Ok(job) = job(&self.table, number) {
            job.alive();
        }
    }

    /// The handler returned, and its results are written as JSON.
    #[napi(catch_unwind)]
    pub fn returned(&self, call: u32, number: u32, results: String) -> Now {
        self.end(call, number, Ended::Returned(Json::stored(results)))
    }

    #[napi(catch_unwind)]
    pub fn unstorable(&self, call: u32, number: u32, why: String) -> Now {
        self.end(call, number, Ended::Unstorable(why))
    }

    /// The handler threw; its `wish` is retry, reject or snooze.
    #[napi(catch_unwind)]
    pub fn raised(&self, call: u32, number: u32, args: String) -> Now {
        match read::<RaisedArgs>(&args) {
            Ok(raised) => self.end(call, number, raised.ended()),
            Err(error) => Calls::refuse(&error),
        }
    }

    #[napi(catch_unwind)]
    pub fn release(&self, call: u32, number: u32) -> Now {
        let table = self.table.clone();
        self.calls.start(call, async move { answer(&job(&table, number)?.release().await?) })
    }

    #[napi(catch_unwind)]
    pub fn progress(&self, call: u32, number: u32, progress: f64) -> Now {
        let table = self.table.clone();
        self.calls.start(call, async move { answer(&job(&table, number)?.progress(progress).await?) })
    }

    #[napi(catch_unwind)]
    pub fn checkpoint(&self, call: u32, number: u32, args: String) -> Now {
        let table = self.table.clone();
        self.calls.start(call, async move {
            let checkpoint: Box<RawValue> = read(&args)?;
            answer(&job(&table, number)?.checkpoint(json(checkpoint)).await?)
        })
    }

    /// What the work has cost so far.
    #[napi(catch_unwind)]
    pub fn usage(&self, call: u32, number: u32, args: String) -> Now {
        let table = self.table.clone();
        self.calls.start(call, async move {
            let usage = read::<UsageArgs>(&args)?.usage()?;
            usage.check()?;
            job(&table, number)?.usage(usage);
            answer(&())
        })
    }

    /// What waited for the agent at the last renewal, or `null` where the job has ended.
    #[napi(catch_unwind)]
    pub fn unread(&self, number: u32) -> Option<String> {
        Some(text(&job(&self.table, number).ok()?.unread()))
    }

    /// The lease as it was last renewed, or `null` where the job has ended.
    #[napi(catch_unwind)]
    pub fn lease(&self, number: u32) -> Option<String> {
        let job = job(&self.table, number).ok()?;
        job.alive();
        Some(job.lease().to_string())
    }

    /// JavaScript is done with a job; one that has not ended is released.
    #[napi(catch_unwind)]
    pub fn forget(&self, number: u32) {
        self.table.forget(number);
    }

    /// Answers when a drain begins.
    #[napi(catch_unwind)]
    pub fn draining(&self, call: u32) -> Now {
        let jobs = self.jobs.clone();
        self.calls.start(call, async move {
            started(&jobs)?.draining().await;
            answer(&())
        })
    }

    /// What has become of attempts since the last time, as soon as there is something; `null` after `hush`.
    #[napi(catch_unwind)]
    pub fn reports(&self, call: u32) -> Now {
        let told = self.told.clone();
        self.calls.start(call, async move { answer(&told.next().await) })
    }

    /// Whether those are told too that have not failed.
    #[napi(catch_unwind)]
    pub fn tell_all(&self, all: bool) {
        self.told.all.store(all, Ordering::Relaxed);
    }

    /// Nothing more is told.
    #[napi(catch_unwind)]
    pub fn hush(&self) {
        self.told.hush();
    }

    #[napi(catch_unwind)]
    pub fn drain(&self) {
        if let Some(jobs) = self.jobs.get() {
            jobs.drain();
        }
    }

    /// Drains, and answers when every job has ended, with how many had to be stopped.
    #[napi(catch_unwind)]
    pub fn finished(&self, call: u32) -> Now {
        let jobs = self.jobs.clone();
        self.calls.start(call, async move { answer(&(started(&jobs)?.finished().await as u64)) })
    }
}

impl Jobs {
    fn end(&self, call: u32, number: u32, ended: Ended) -> Now {
        let table = self.table.clone();
        self.calls.start(call, async move { answer(&job(&table, number)?.end(ended).await?) })
    }
}

/// What has become of attempts, until JavaScript fetches it.
#[derive(Debug, Default)]
struct Told {
    all: AtomicBool,
    hushed: AtomicBool,
    reports: Mutex<Vec<Any>>,
    news: Notify,
}

/// What has become of an attempt at a task, or of a delivery.
#[derive(Debug)]
enum Any {
    Task(Report),
    Message(MessageReport),
}

impl Wire for Any {
    fn wire(&self, out: &mut Vec<u8>) {
        match self {
            Any::Task(report) => report.wire(out),
            Any::Message(report) => report.wire(out),
        }
    }
}

impl Told {
    fn tell(&self, report: &Report) {
        let failed = matches!(report.end, End::Failed { .. } | End::Stalled { .. });
        let told = matches!(report.end, End::Completed | End::Snoozed { .. });
        if failed || (told && self.all.load(Ordering::Relaxed)) {
            self.push(Any::Task(report.clone()));
        }
    }

    fn tell_message(&self, report: &MessageReport) {
        if matches!(report.end, MessageEnd::Failed { .. }) {
            self.push(Any::Message(report.clone()));
        }
    }

    fn push(&self, report: Any) {
        lock(&self.reports).push(report);
        self.news.notify_one();
    }

    fn hush(&self) {
        self.hushed.store(true, Ordering::SeqCst);
        self.news.notify_one();
    }

    /// At least one; `None` where all were fetched and no more are told.
    async fn next(&self) -> Option<Vec<Any>> {
        loop {
            let hushed = self.hushed.load(Ordering::SeqCst);
            let reports = std::mem::take(&mut *lock(&self.reports));
            if !reports.is_empty() {
                return Some(reports);
            }
            if hushed {
                return None;
            }
            self.news.notified().await;
        }
    }
}

impl Wire for Report {
    fn wire(&self, out: &mut Vec<u8>) {
        let Report { task, end } = self;
        let text = self.to_string();
        let (event, error, status, run_at, silence) = match end {
            End::Failed { error, status, run_at } => ("failed", Some(error), *status, *run_at, None),
            End::Snoozed { run_at } => ("snoozed", None, None, *run_at, None),
            End::Stalled { silence } => ("stalled", None, None, None, Some(*silence)),
            _ => ("completed", None, None, None, None),
        };
        let fields: [(&str, &dyn Wire); 10] = [
            ("event", &event),
            ("text", &text),
            ("taskId", &task.id),
            ("type", &task.task_type),
            ("attempt", &task.attempt),
            ("maxAttempts", &task.max_attempts),
            ("error", &error),
            ("status", &status),
            ("runAt", &run_at),
            ("silentMs", &silence),
        ];
        object(&fields, out);
    }
}

pub(crate) struct Stopped {
    pub(crate) why: Stop,
    pub(crate) reason: Option<String>,
}

impl Wire for Stopped {
    fn wire(&self, out: &mut Vec<u8>) {
        object(&[("why", &self.why), ("reason", &self.reason)], out);
    }
}

/// A job as JavaScript gets it.
struct Pulled<'a> {
    number: u32,
    job: &'a Job,
}

impl Wire for Pulled<'_> {
    fn wire(&self, out: &mut Vec<u8>) {
        let Pulled { number, job } = self;
        let (key, token) = (job.idempotency_key(), job.fencing_token());
        let tasks = Batch(std::slice::from_ref(&job.task));
        let fields: [(&str, &dyn Wire); 4] =
            [("job", number), ("tasks", &tasks), ("idempotencyKey", &key), ("fencingToken", &token)];
        object(&fields, out);
    }
}

impl Wire for Stop {
    fn wire(&self, out: &mut Vec<u8>) {
        self.as_str().wire(out);
    }
}

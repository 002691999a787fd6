//! Does each step on a store and in the model, and compares.

use super::{
    admission::{MAX_DEPTH, Names},
    ops::{AGENTS, Changes, How, Op, RETRY_CAP, SKILLS, STRANGER, Spec, TYPES, Until, Verb},
    queue::Verdict,
    reference::Model,
};
use kurultai_core::{
    Clock, Config, Kurultai, ManualClock,
    agents::NewAgent,
    events::EventFilter,
    tasks::{
        Claim, Dependency, DependencyType, Expiry, Failure, Finished, Lease, NewTask, Outcome, Priority,
        RetryPolicy, Status, TaskUpdate,
    },
};
use proptest::sample::Index;
use std::{collections::HashMap, fmt, time::Duration};

/// 2026-01-01, where the model's time is 0.
const START: i64 = 1_767_225_600_000;

struct Drive {
    kurultai: Kurultai,
    clock: ManualClock,
    model: Model,
    namespace: String,
    /// Every lease that was ever given, with its task.
    leases: Vec<(usize, Lease)>,
    made: usize,
    /// What was done so far, with names instead of picks.
    story: Vec<String>,
}

/// Fails with what the store and the model disagree about.
pub(super) async fn run(url: &str, namespace: &str, ops: &[Op]) -> Result<(), String> {
    let mut drive = Drive::open(url, namespace).await?;
    let told = drive.play(ops).await.map_err(|why| format!("{why}\nafter\n  {}", drive.story.join("\n  ")));
    drive.kurultai.close().await;
    told
}

impl Drive {
    async fn open(url: &str, namespace: &str) -> Result<Self, String> {
        let start = chrono::DateTime::from_timestamp_millis(START).ok_or("no such time")?;
        let clock = ManualClock::at(start);
        let config = Config::new(url).map_err(text)?.namespace(namespace).map_err(text)?;
        let config =
            config.clock(Clock::Manual(clock.clone())).background(false).aging(None).max_depth(MAX_DEPTH);
        let kurultai = Kurultai::open_with(config).await.map_err(text)?;
        let agents = AGENTS.iter().map(|(id, skills, most)| NewAgent {
            max_concurrent: *most,
            ..NewAgent::new(*id).capabilities(skills.iter().copied())
        });
        kurultai.agents().register_many(agents.collect()).await.map_err(text)?;
        let namespace = namespace.to_owned();
        Ok(Drive {
            kurultai,
            clock,
            model: Model::default(),
            namespace,
            leases: vec![],
            made: 0,
            story: vec![],
        })
    }

    async fn play(&mut self, ops: &[Op]) -> Result<(), String> {
        for op in ops {
            self.step(op).await?;
        }
        self.settle().await?;
        self.compare_events().await
    }

    fn note(&mut self, what: fmt::Arguments<'_>) {
        self.story.push(format!("{:>9} {what}", self.model.now));
    }

    fn advance(&mut self, millis: i64) {
        self.clock.advance(Duration::from_millis(millis.unsigned_abs()));
        self.model.now += millis;
    }

    async fn step(&mut self, op: &Op) -> Result<(), String> {
        self.advance(1);
        // These are refused or not by the lease alone, whether or not anybody has noticed that it ran out.
        let any_time = matches!(op, Op::Finish { .. } | Op::Extend { .. } | Op::Advance { .. });
        if !any_time {
            self.settle().await?;
        }
        match op {
            Op::Enqueue(specs) => self.enqueue(specs).await?,
            Op::Claim { agent, max, only, lease } => self.claim(*agent, *max, *only, *lease).await?,
            Op::Finish { lease, how } => self.finish(*lease, *how).await?,
            Op::Extend { lease, ttl } => self.extend(*lease, *ttl).await?,
            Op::Act { task, verb } => self.act(*task, *verb).await?,
            Op::Pause { only, paused } => self.pause(only.map_or("", |only| TYPES[only]), *paused).await?,
            Op::Depend { dependent, prerequisite, kind } => {
                self.add_dependency(*dependent, *prerequisite, *kind).await?;
            }
            Op::Update { task, changes } => self.update(*task, changes).await?,
            Op::Advance { seconds, settle } => {
                self.note(format_args!("advance {seconds} s, settle {settle}"));
                self.advance(seconds * 1000);
                if !settle {
                    return Ok(());
                }
            }
        }
        self.settle().await
    }

    /// Lets both do what is due, then compares every task.
    async fn settle(&mut self) -> Result<(), String> {
        self.kurultai.maintain().await.map_err(text)?;
        self.model.settle();
        let ids: Vec<&str> = self.model.tasks.iter().map(|task| task.id.as_str()).collect();
        let found = self.kurultai.tasks().get_many(&ids).await.map_err(text)?;
        for (task, found) in self.model.tasks.iter().zip(found) {
            let found = found.ok_or_else(|| format!("{} is not in the store", task.id))?;
            let theirs = (found.status, found.attempts, found.claimed_by.as_deref(), found.lease_version);
            same(&task.id, theirs, (task.status, task.attempts, task.claimed_by, task.version))?;
            let theirs = (found.priority as usize, found.assigned_to.as_deref());
            same(&task.id, theirs, (task.priority, task.assigned_to))?;
            if task.status == Status::Pending {
                let at =
                    |time: Option<chrono::DateTime<chrono::Utc>>| time.map(|t| t.timestamp_millis() - START);
                same(&format!("{} expires_at", task.id), at(found.expires_at), task.expires_at)?;
            }
        }
        Ok(())
    }

    async fn enqueue(&mut self, specs: &[Spec]) -> Result<(), String> {
        let before = self.model.tasks.len();
        let ids: Vec<String> =
            (0..specs.len()).map(|i| format!("{}-{:03}", self.namespace, self.made + i)).collect();
        self.made += specs.len();
        let all = before + specs.len();
        let names: Vec<Names> = specs
            .iter()
            .map(|spec| Names {
                edges: spec.edges.iter().map(|(on, kind)| (on.index(all), *kind)).collect(),
                parent: spec.parent.map(|parent| parent.index(all)),
            })
            .collect();
        let id = |name: usize| match name.checked_sub(before) {
            None => self.model.tasks[name].id.clone(),
            Some(new) => ids[new].clone(),
        };
        let tasks = specs.iter().zip(&names).zip(&ids).map(|((spec, names), own)| NewTask {
            id: own.clone(),
            parent_id: names.parent.map(id),
            depends_on: names.edges.iter().map(|(on, kind)| Dependency::new(id(*on), *kind)).collect(),
            ..new_task(spec, self.clock.now())
        });
        let tasks: Vec<NewTask> = tasks.collect();
        for (task, spec) in tasks.iter().zip(specs) {
            let edges: Vec<_> =
                task.depends_on.iter().map(|d| (&d.prerequisite, d.dependency_type)).collect();
            self.note(format_args!(
                "enqueue {} parent {:?} edges {edges:?} {spec:?}",
                task.id, task.parent_id
            ));
        }
        let answer = self.kurultai.tasks().enqueue_many(tasks).await;
        let answer = answer.map(|all| all.into_iter().map(|e| (e.id, e.deduplicated)).collect::<Vec<_>>());
        same("enqueue", answer.map_err(|e| e.code()), self.model.enqueue(specs, &names, &ids))
    }

    async fn claim(
        &mut self,
        agent: usize,
        max: usize,
        only: Option<usize>,
        lease: i64,
    ) -> Result<(), String> {
        let name = AGENTS.get(agent).map_or(STRANGER, |(name, ..)| name);
        let claim = Claim {
            types: only.map(|only| vec![TYPES[only].to_owned()]),
            ..Claim::new(name).max(max).lease(seconds(lease))
        };
        self.note(format_args!("claim {claim:?}"));
        let answer = self.kurultai.tasks().claim(claim).await.map_err(|e| e.code());
        let taken = self.model.claim(agent, max, only.map(|only| TYPES[only]), lease * 1000);
        let expected = taken.clone().map(|taken| {
            let task = |index: &usize| {
                let task = &self.model.tasks[*index];
                let fed = task.edges.iter().filter(|(_, kind)| **kind != DependencyType::ParallelOk);
                let mut fed: Vec<_> = fed
                    .map(|(on, _)| (self.model.tasks[*on].id.clone(), self.model.tasks[*on].status))
                    .collect();
                fed.sort();
                (task.id.clone(), task.attempts, task.version, task.lease_until, fed)
            };
            taken.iter().map(task).collect::<Vec<_>>()
        });
        let given = answer.as_ref().map(|claimed| {
            let task = |task: &kurultai_core::tasks::Claimed| {
                let mut fed: Vec<_> = task.prerequisites.iter().map(|p| (p.id.clone(), p.status)).collect();
                fed.sort();
                let until = task.lease.expires_at.timestamp_millis() - START;
                (task.id.clone(), task.attempt, task.lease.version, until, fed)
            };
            claimed.iter().map(task).collect::<Vec<_>>()
        });
        same("claim", given.map_err(|code| *code), expected)?;
        if let (Ok(claimed), Ok(taken)) = (answer, taken) {
            self.leases.extend(taken.into_iter().zip(claimed.into_iter().map(|claimed| claimed.lease)));
        }
        Ok(())
    }

    async fn finish(&mut self, lease: Index, how: How) -> Result<(), String> {
        let Some((task, lease)) = self.lease(lease) else { return Ok(()) };
        self.note(format_args!("finish {} version {}: {how:?}", lease.task_id, lease.version));
        let outcome = match how {
            How::Complete => {
                Outcome::Complete { results: serde_json::json!({"by": lease.version}).into(), usage: None }
            }
            How::Fail { retryable, after } => Outcome::Fail(Failure {
                retryable,
                retry_after: after.map(seconds),
                ..Failure::new("no luck")
            }),
            How::Release => Outcome::Release,
            How::Snooze { after } => Outcome::Snooze { after: seconds(after) },
        };
        let answer = self.kurultai.tasks().finish(&lease, outcome).await;
        let expected = self.model.finish(task, lease.version, how);
        let agree = match (&answer, expected) {
            (Ok(Finished { status, repeated: false, .. }), Verdict::Done(expected)) => *status == expected,
            (Ok(Finished { repeated: true, .. }), Verdict::Repeated | Verdict::RepeatedOrLost) => true,
            (Err(error), Verdict::Lost | Verdict::RepeatedOrLost) => error.code() == "lease.lost",
            _ => false,
        };
        if agree { Ok(()) } else { Err(format!("the store says {answer:?}, the model {expected:?}")) }
    }

    async fn extend(&mut self, lease: Index, ttl: i64) -> Result<(), String> {
        let Some((task, lease)) = self.lease(lease) else { return Ok(()) };
        self.note(format_args!("extend {} version {} by {ttl}", lease.task_id, lease.version));
        let answer = self.kurultai.tasks().extend(&lease, seconds(ttl)).await;
        let answer = answer.map(|e| (e.lease.expires_at.timestamp_millis() - START, e.signal));
        same("extend", answer.map_err(|e| e.code()), self.model.extend(task, lease.version, ttl * 1000))
    }

    async fn act(&mut self, task: Index, verb: Verb) -> Result<(), String> {
        let Some(index) = self.task(task) else { return Ok(()) };
        let (tasks, id) = (self.kurultai.tasks(), self.model.tasks[index].id.clone());
        self.note(format_args!("{verb:?} {id}"));
        let answer = match verb {
            Verb::Cancel => tasks.cancel(&id, None).await,
            Verb::Suspend => tasks.suspend(&id).await,
            Verb::Resume => tasks.resume(&id).await,
            Verb::Requeue => tasks.requeue(&id).await,
            Verb::Discard => tasks.discard(&id).await,
        };
        same("answer", answer.map(drop).map_err(|e| e.code()), self.model.act(index, verb))
    }

    async fn update(&mut self, task: Index, changes: &Changes) -> Result<(), String> {
        let Some(index) = self.task(task) else { return Ok(()) };
        let id = self.model.tasks[index].id.clone();
        self.note(format_args!("update {id} {changes:?}"));
        let (now, mut update) = (self.clock.now(), TaskUpdate::new());
        update.priority = changes.rank.map(|rank| Priority::ALL[rank]);
        update.priority_weight = changes.heavy.map(|heavy| if heavy { 0.9 } else { 0.5 });
        update.run_at = changes.delay.map(|delay| delay.map(|delay| now + seconds(delay)));
        update.expires_at = changes.expiry.map(|expiry| expiry.map(|expiry| now + seconds(expiry)));
        update.assigned_to = changes.assigned_to.map(|agent| agent.map(|agent| AGENTS[agent].0.to_owned()));
        if update == TaskUpdate::new() {
            return Ok(());
        }
        let answer = self.kurultai.tasks().update(&id, update).await;
        same("update", answer.map(drop).map_err(|e| e.code()), self.model.update(index, changes))
    }

    async fn pause(&mut self, task_type: &'static str, paused: bool) -> Result<(), String> {
        let named = (!task_type.is_empty()).then_some(task_type);
        let tasks = self.kurultai.tasks();
        self.note(format_args!("pause {task_type:?} {paused}"));
        self.model.paused.retain(|held| *held != task_type);
        if paused {
            self.model.paused.push(task_type);
            tasks.pause(named).await.map_err(text)
        } else {
            tasks.unpause(named).await.map_err(text)
        }
    }

    async fn add_dependency(
        &mut self,
        dependent: Index,
        on: Index,
        kind: DependencyType,
    ) -> Result<(), String> {
        let (Some(dependent), Some(on)) = (self.task(dependent), self.task(on)) else { return Ok(()) };
        let edge = Dependency::new(&self.model.tasks[on].id, kind);
        let id = self.model.tasks[dependent].id.clone();
        self.note(format_args!("depend {id} on {} {kind:?}", edge.prerequisite));
        let answer = self.kurultai.tasks().add_dependency(&id, edge).await;
        same("add_dependency", answer.map_err(|e| e.code()), self.model.add_dependency(dependent, on, kind))
    }

    fn task(&self, pick: Index) -> Option<usize> {
        let count = self.model.tasks.len();
        (count > 0).then(|| pick.index(count))
    }

    fn lease(&self, pick: Index) -> Option<(usize, Lease)> {
        (!self.leases.is_empty()).then(|| pick.get(&self.leases).clone())
    }

    /// Numbers without a gap, and one completion for each completed task.
    async fn compare_events(&self) -> Result<(), String> {
        let filter = EventFilter { limit: 10_000, ..EventFilter::default() };
        let events = self.kurultai.events().read(filter).await.map_err(text)?.events;
        let numbers: Vec<i64> = events.iter().map(|event| event.seq).collect();
        same("event numbers", numbers, (1..=events.len() as i64).collect())?;
        let mut completed: HashMap<&str, usize> = HashMap::new();
        for event in events.iter().filter(|event| event.topic == "task.completed") {
            *completed.entry(event.task_id.as_deref().unwrap_or_default()).or_default() += 1;
        }
        for task in &self.model.tasks {
            let events = completed.get(task.id.as_str()).copied().unwrap_or(0);
            same(
                &format!("completions of {}", task.id),
                events,
                usize::from(task.status == Status::Completed),
            )?;
        }
        Ok(())
    }
}

fn new_task(spec: &Spec, now: chrono::DateTime<chrono::Utc>) -> NewTask {
    let retry = RetryPolicy { base: seconds(spec.retry_base), cap: seconds(RETRY_CAP), jitter: false };
    let mut task = NewTask::new(TYPES[spec.task_type])
        .priority(Priority::ALL[spec.rank])
        .priority_weight(if spec.heavy { 0.9 } else { 0.5 })
        .requires(spec.required.map(|skill| SKILLS[skill]))
        .prefers(spec.preferred.map(|skill| SKILLS[skill]))
        .wait_for(spec.wait_for)
        .on_prerequisite_failure(spec.policy)
        .payload(serde_json::json!({"n": spec.payload}))
        .expiry(match spec.expiry {
            None => Expiry::Never,
            Some(Until::After(span)) => Expiry::After(seconds(span)),
            Some(Until::At(span)) => Expiry::At(now + seconds(span)),
        })
        .max_attempts(spec.max_attempts)
        .retry(retry);
    task.assigned_to = spec.assigned_to.map(|agent| AGENTS[agent].0.to_owned());
    task.unique_key = spec.unique_key.map(|key| format!("key{key}"));
    match spec.delay {
        Some(delay) => task.delay(seconds(delay)),
        None => task,
    }
}

fn seconds(seconds: i64) -> Duration {
    Duration::from_secs(seconds.unsigned_abs())
}

fn text(error: kurultai_core::Error) -> String {
    format!("{error:?}")
}

fn same<T: PartialEq + fmt::Debug>(what: &str, store: T, model: T) -> Result<(), String> {
    if store == model {
        return Ok(());
    }
    Err(format!("{what}: the store says {store:?}, the model {model:?}"))
}

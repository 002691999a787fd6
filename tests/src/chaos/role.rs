//! What a helper process does. It says one line on its standard output for each thing that the store has
//! acknowledged, and ends when its standard input does, so that it never outlives a run.
//!
//! - `work URL NAMESPACE AGENT SECONDS|until-empty WORK_MS LEASE_MS MAX`: `ready`, then `took TASK VERSION`,
//!   `done TASK VERSION CLAIM`, `lost TASK VERSION` (a finish that was refused).
//! - `serve URL NAMESPACE AGENT GRACE_MS`: a worker with a handler, until it is asked to end: `took TASK VERSION`; a
//!   task with the payload `"quick"` is done when the process has been asked, any other never.
//! - `live URL NAMESPACE AGENT BEAT_MS`: an agent that takes one task and never ends it: `took TASK VERSION`.
//! - `watch URL NAMESPACE EVERY_MS DEAD_MS`: watches the team.
//! - `read URL NAMESPACE AGENT`: `ready`, then of each message `given ID DELIVERY AFTER BEFORE` (the microseconds between
//!   which it was given), `acked ID DELIVERY` or `late ID DELIVERY`.
//! - `present URL NAMESPACE FILE TIMES`: `ready`, then `presented NUMBER admitted|CODE` for each token of the file.
//! - `lead URL NAMESPACE AGENT EVERY_MS DEAD_MS`: a candidate of `takeovers`; while it leads it enqueues under its term:
//!   `wrote TERM`, `refused TERM`.
//! - `enqueue URL NAMESPACE COUNT PAUSE_MS`: `ready`, then `added TASK`.
//!
//! Each says `repeats CODE` where it repeats a call, and `stood FROM TO` where it did not run. Whatever else goes wrong is
//! `error ...`, which fails the run.

use super::{Result, arena, readers, standstill, takeovers};
use kurultai_core::{
    Error, Json, Kind, Kurultai,
    agents::{NewAgent, Term, Thresholds, Watch},
    clock::monotonic,
    tasks::{Claim, Claimed, Expiry, NewTask},
    worker::{Agent as Serving, Context},
};
use std::{
    future::Future,
    io::{self, Read, Write},
    path::Path,
    process::ExitCode,
    time::Duration,
};
use tokio::{
    signal::unix::{SignalKind, signal},
    time::sleep,
};

/// Plays the role that the arguments name.
pub fn main(args: &[String]) -> ExitCode {
    std::thread::spawn(|| {
        drop(io::stdin().read_to_end(&mut Vec::new()));
        std::process::exit(0);
    });
    standstill::watch(|line| drop(say(line)));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let played = runtime.map_err(Into::into).and_then(|runtime| runtime.block_on(play(args)));
    match played {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            drop(say(&format!("error {error}")));
            ExitCode::FAILURE
        }
    }
}

async fn play(args: &[String]) -> Result {
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args[..] {
        ["work", url, namespace, agent, until, work, lease, max] => {
            let kurultai = arena::open(url, namespace).await?;
            let worker = Worker {
                agent: agent.to_owned(),
                most: if until == "until-empty" { None } else { Some(Duration::from_secs(until.parse()?)) },
                work: Duration::from_millis(work.parse()?),
                lease: Duration::from_millis(lease.parse()?),
                max: max.parse()?,
                kurultai,
            };
            worker.run().await
        }
        ["serve", url, namespace, agent, grace] => {
            let kurultai = arena::open(url, namespace).await?;
            let worker = Serving::new(agent).concurrency(9).grace(Duration::from_millis(grace.parse()?));
            worker.task("storm", serve).run(&kurultai).await?;
            Ok(())
        }
        ["live", url, namespace, agent, beat] => {
            let kurultai = arena::open(url, namespace).await?;
            // Only its death may end a lease.
            let agent = Serving::new(agent).lease(Duration::from_secs(3_600));
            let agent = agent.heartbeat(Duration::from_millis(beat.parse()?));
            agent.task("storm", hold).run(&kurultai).await?;
            Ok(())
        }
        ["watch", url, namespace, every, dead_after] => {
            let kurultai = arena::open(url, namespace).await?;
            let thresholds = Thresholds::default().dead_after(Duration::from_millis(dead_after.parse()?));
            let watch = Watch::default().every(Duration::from_millis(every.parse()?)).thresholds(thresholds);
            Ok(kurultai.agents().watch(watch).await?)
        }
        ["read", url, namespace, agent] => readers::read(&arena::open(url, namespace).await?, agent).await,
        ["present", url, namespace, tokens, times] => {
            let kurultai = arena::open(url, namespace).await?;
            readers::present(&kurultai, Path::new(tokens), times.parse()?).await
        }
        ["lead", url, namespace, agent, every, dead_after] => {
            let kurultai = arena::open(url, namespace).await?;
            let (every, dead_after) = (every.parse()?, dead_after.parse()?);
            lead(&kurultai, agent, Duration::from_millis(every), Duration::from_millis(dead_after)).await
        }
        ["enqueue", url, namespace, count, pause] => {
            let kurultai = arena::open(url, namespace).await?;
            enqueue(&kurultai, count.parse()?, Duration::from_millis(pause.parse()?)).await
        }
        _ => Err("see chaos/role.rs for the arguments".into()),
    }
}

/// One whole line at once, so that a kill never leaves half of one that looks whole.
pub(super) fn say(line: &str) -> Result {
    let mut out = io::stdout().lock();
    out.write_all(format!("{line}\n").as_bytes())?;
    Ok(out.flush()?)
}

struct Worker {
    kurultai: Kurultai,
    agent: String,
    /// How long to work; until there is nothing to claim where it is `None`.
    most: Option<Duration>,
    work: Duration,
    lease: Duration,
    max: usize,
}

impl Worker {
    async fn run(&self) -> Result {
        let (agents, tasks) = (self.kurultai.agents(), self.kurultai.tasks());
        persist(|| agents.register(NewAgent::new(&self.agent))).await?;
        say("ready")?;
        let start = monotonic();
        let wait = if self.most.is_some() { Duration::from_secs(1) } else { Duration::ZERO };
        while self.most.is_none_or(|most| start.elapsed() < most) {
            let max = fastrand::usize(1..=self.max);
            let claim = || Claim::new(&self.agent).max(max).lease(self.lease).wait(wait);
            let claimed = persist(|| tasks.claim(claim())).await?;
            if claimed.is_empty() && self.most.is_none() {
                return Ok(());
            }
            for task in &claimed {
                say(&format!("took {} {}", task.id, task.lease.version))?;
            }
            for task in &claimed {
                self.finish(task).await?;
            }
        }
        Ok(())
    }

    async fn finish(&self, task: &Claimed) -> Result {
        if !self.work.is_zero() {
            sleep(self.work).await;
        }
        let results = serde_json::json!({ "claim": task.lease.claim_id });
        let (id, version, claim) = (&task.id, task.lease.version, &task.lease.claim_id);
        let tasks = self.kurultai.tasks();
        match persist(|| tasks.complete(&task.lease, results.clone())).await {
            Ok(_) => say(&format!("done {id} {version} {claim}")),
            Err(error) if error.code() == "lease.lost" => say(&format!("lost {id} {version}")),
            Err(error) => Err(error.into()),
        }
    }
}

async fn serve(context: Context, payload: Json) -> Result {
    let mut asked = signal(SignalKind::terminate())?;
    say(&format!("took {} {}", context.task.id, context.fencing_token()))?;
    asked.recv().await;
    if payload.as_str() == "\"quick\"" { Ok(()) } else { std::future::pending().await }
}

async fn hold(context: Context, _payload: Json) -> Result {
    say(&format!("took {} {}", context.task.id, context.fencing_token()))?;
    // Whoever was thought dead learns by it that the task is another's.
    while !context.progress(0.5).await.is_err_and(|error| error.code() == "lease.lost") {
        sleep(Duration::from_millis(500)).await;
    }
    Ok(())
}

/// Whatever a check has told it, it writes once more under the term that it had before: who was stopped cannot know.
async fn lead(kurultai: &Kurultai, agent: &str, every: Duration, dead_after: Duration) -> Result {
    let agents = kurultai.agents();
    persist(|| agents.register(NewAgent::new(agent))).await?;
    let thresholds = Thresholds::default().dead_after(dead_after);
    let watch = Watch::default().every(every).thresholds(thresholds).agent(agent);
    let mut watcher = agents.watcher(watch.role(takeovers::ROLE, takeovers::CANDIDATES))?;
    let mut late = standstill::Late::default();
    loop {
        late.next(every, say)?;
        let before = watcher.term(takeovers::ROLE);
        persist(|| agents.beat(agent)).await?;
        match watcher.check().await {
            Err(error) if !error.retryable() && error.kind() != Kind::LeaseLost => return Err(error.into()),
            _ => {}
        }
        if before != watcher.term(takeovers::ROLE) {
            write_under(kurultai, before).await?;
        }
        let begun = monotonic();
        while begun.elapsed() < every {
            // A stop may come here, and then this is what comes next.
            sleep(Duration::from_millis(10)).await;
            write_under(kurultai, watcher.term(takeovers::ROLE)).await?;
        }
    }
}

async fn write_under(kurultai: &Kurultai, term: Option<Term>) -> Result {
    let Some(term) = term else { return Ok(()) };
    let number = term.number;
    let task = NewTask::new(format!("under-{number}")).expiry(Expiry::Never);
    match kurultai.tasks().under(term).enqueue(task).await {
        Ok(_) => say(&format!("wrote {number}")),
        Err(error) if error.code() == "role.stale_term" => say(&format!("refused {number}")),
        Err(error) if error.retryable() => Ok(()),
        Err(error) => Err(error.into()),
    }
}

async fn enqueue(kurultai: &Kurultai, count: usize, pause: Duration) -> Result {
    say("ready")?;
    let tasks = kurultai.tasks();
    let mut left = count;
    while left > 0 {
        let batch: Vec<_> = (0..fastrand::usize(1..=20).min(left)).map(|_| arena::task()).collect();
        let added = persist(|| tasks.enqueue_many(batch.clone())).await?;
        left -= added.len();
        for task in added {
            say(&format!("added {}", task.id))?;
        }
        sleep(pause.mul_f64(fastrand::f64() * 2.0)).await;
    }
    Ok(())
}

/// A server that crashed needs a minute on a busy machine until it is back.
const PATIENCE: Duration = Duration::from_secs(150);

/// Repeats what the store may do later, or may have done: every call here may be repeated.
pub(super) async fn persist<T, F: Future<Output = Result<T, Error>>>(
    mut call: impl FnMut() -> F,
) -> Result<T, Error> {
    let start = monotonic();
    loop {
        match call().await {
            Err(error) if error.retryable() && start.elapsed() < PATIENCE => {
                drop(say(&format!("repeats {}", error.code())));
                sleep(Duration::from_millis(fastrand::u64(10..100))).await;
            }
            done => return done,
        }
    }
}

//! The processes of a run, and what they said.

use super::{Arena, Result, mail::Mail, standstill::Standstills};
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    path::{Path, PathBuf},
    process::Stdio,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, ChildStdin, Command},
    task::JoinHandle,
    time::{sleep, timeout},
};

/// How long a run may go without any progress. Generous: it only ends what hangs.
const PATIENCE: Duration = Duration::from_secs(90);

/// An acknowledged completion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done {
    pub agent: String,
    pub version: i64,
    pub claim: String,
}

#[derive(Debug, Default)]
pub struct Ledger {
    pub done: HashMap<String, Done>,
    /// Tasks that were acknowledged as completed a second time.
    pub done_twice: Vec<String>,
    pub refused: HashSet<(String, i64)>,
    pub added: HashSet<String>,
    pub ready: HashSet<String>,
    /// The last task that each worker took.
    pub took: HashMap<String, (String, i64)>,
    /// The last term under which each candidate has stored something.
    pub wrote: HashMap<String, i64>,
    /// How many of its writes under a term were refused.
    pub refused_terms: HashMap<(String, i64), usize>,
    pub errors: Vec<String>,
    /// Errors after which a process repeated its call, by their codes.
    pub repeated: BTreeMap<String, usize>,
    pub standstills: Standstills,
    pub mail: Mail,
}

/// The work of one process.
#[derive(Debug, Clone, Copy)]
pub struct Job {
    pub work: Duration,
    pub lease: Duration,
    pub max: usize,
}

#[derive(Debug)]
pub struct Staff {
    program: PathBuf,
    url: String,
    namespace: String,
    ledger: Arc<Mutex<Ledger>>,
    hired: usize,
}

#[derive(Debug)]
pub struct Member {
    pub name: String,
    child: Child,
    stdin: Option<ChildStdin>,
    reader: JoinHandle<()>,
}

impl Staff {
    pub fn new(program: impl Into<PathBuf>, arena: &Arena) -> Self {
        Staff {
            program: program.into(),
            url: arena.url.clone(),
            namespace: arena.namespace.clone(),
            ledger: Arc::default(),
            hired: 0,
        }
    }

    pub fn worker(&mut self, job: Job) -> Result<Member> {
        let name = format!("worker-{}", self.hired);
        let millis = |span: Duration| span.as_millis().to_string();
        let job =
            [name.clone(), "36000".to_owned(), millis(job.work), millis(job.lease), job.max.to_string()];
        self.hire(name, "work", &job)
    }

    pub fn enqueuer(&mut self, count: usize, pause: Duration) -> Result<Member> {
        let name = format!("enqueuer-{}", self.hired);
        self.hire(name, "enqueue", &[count.to_string(), pause.as_millis().to_string()])
    }

    /// Takes one task and never ends it.
    pub fn agent(&mut self, beat: Duration) -> Result<Member> {
        let name = format!("agent-{}", self.hired);
        self.hire(name.clone(), "live", &[name, beat.as_millis().to_string()])
    }

    pub fn watcher(&mut self, every: Duration, dead_after: Duration) -> Result<Member> {
        let name = format!("watcher-{}", self.hired);
        self.hire(name, "watch", &[every.as_millis().to_string(), dead_after.as_millis().to_string()])
    }

    /// Reads this agent's inbox.
    pub fn reader(&mut self, agent: &str) -> Result<Member> {
        let name = format!("reader-{}", self.hired);
        self.hire(name, "read", &[agent.to_owned()])
    }

    /// Presents each token of a file so often.
    pub fn presenter(&mut self, tokens: &Path, times: usize) -> Result<Member> {
        let name = format!("presenter-{}", self.hired);
        self.hire(name, "present", &[tokens.display().to_string(), times.to_string()])
    }

    /// Watches the team, and leads when it is its turn.
    pub fn candidate(&mut self, agent: &str, every: Duration, dead_after: Duration) -> Result<Member> {
        let job = [agent.to_owned(), every.as_millis().to_string(), dead_after.as_millis().to_string()];
        self.hire(agent.to_owned(), "lead", &job)
    }

    fn hire(&mut self, name: String, role: &str, job: &[String]) -> Result<Member> {
        self.hired += 1;
        let mut child = Command::new(&self.program)
            .args([role, &self.url, &self.namespace])
            .args(job)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let lines = child.stdout.take().ok_or("a process without output")?;
        let (ledger, agent) = (self.ledger.clone(), name.clone());
        let reader = tokio::spawn(async move {
            let mut lines = BufReader::new(lines);
            let mut line = String::new();
            // What a kill cut off has no end of line.
            while lines.read_line(&mut line).await.is_ok() && line.ends_with('\n') {
                held(&ledger).hear(&agent, line.trim_end());
                line.clear();
            }
        });
        Ok(Member { name, stdin: child.stdin.take(), child, reader })
    }

    pub fn ledger(&self) -> MutexGuard<'_, Ledger> {
        held(&self.ledger)
    }

    /// Everything that was said, once nobody says any more.
    pub fn all_heard(&self) -> Ledger {
        let mut ledger = std::mem::take(&mut *self.ledger());
        ledger.standstills = ledger.standstills.merged();
        ledger
    }

    /// Waits until the ledger says so; fails where it hears nothing new for long, or an error.
    pub async fn until(&self, what: &str, ready: impl Fn(&Ledger) -> bool) -> Result {
        let heard = || {
            let ledger = self.ledger();
            (
                ledger.done.len(),
                ledger.added.len(),
                ledger.ready.len(),
                ledger.refused.len(),
                ledger.mail.acked.len(),
            )
        };
        let (mut last, mut quiet) = (heard(), Duration::ZERO);
        let step = Duration::from_millis(2);
        loop {
            self.check()?;
            if ready(&self.ledger()) {
                return Ok(());
            }
            sleep(step).await;
            let now = heard();
            quiet = if now == last { quiet + step } else { Duration::ZERO };
            last = now;
            if quiet > PATIENCE {
                return Err(format!("nothing moves while waiting for {what}: {now:?}").into());
            }
        }
    }

    pub fn check(&self) -> Result {
        match self.ledger().errors.first() {
            Some(error) => Err(error.clone().into()),
            None => Ok(()),
        }
    }
}

fn held(ledger: &Mutex<Ledger>) -> MutexGuard<'_, Ledger> {
    ledger.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Ledger {
    fn hear(&mut self, name: &str, line: &str) {
        let words: Vec<&str> = line.split(' ').collect();
        let number = |text: &str| text.parse().unwrap_or(-1);
        match words[..] {
            ["ready"] => drop(self.ready.insert(name.to_owned())),
            ["added", task] => drop(self.added.insert(task.to_owned())),
            ["stood", from, to] => self.standstills.add(number(from), number(to)),
            ["repeats", code] => *self.repeated.entry(code.to_owned()).or_default() += 1,
            ["took", task, version] => {
                self.took.insert(name.to_owned(), (task.to_owned(), number(version)));
            }
            ["wrote", term] => drop(self.wrote.insert(name.to_owned(), number(term))),
            ["refused", term] => {
                *self.refused_terms.entry((name.to_owned(), number(term))).or_default() += 1;
            }
            ["lost", task, version] => drop(self.refused.insert((task.to_owned(), number(version)))),
            ["done", task, version, claim] => {
                let done = Done { agent: name.to_owned(), version: number(version), claim: claim.to_owned() };
                if self.done.insert(task.to_owned(), done).is_some() {
                    self.done_twice.push(task.to_owned());
                }
            }
            _ if self.mail.hear(&words) => {}
            _ => self.errors.push(format!("{name}: {line}")),
        }
    }
}

impl Member {
    /// SIGKILL, then hears what it said before.
    pub async fn kill(mut self) -> Result {
        self.child.kill().await?;
        self.heard().await
    }

    /// Waits for its own end.
    pub async fn end(mut self) -> Result {
        let status =
            timeout(PATIENCE, self.child.wait()).await.map_err(|_| format!("{} hangs", self.name))??;
        if !status.success() {
            return Err(format!("{} ended with {status}", self.name).into());
        }
        self.heard().await
    }

    /// Lets it go at once: it ends when its input does.
    pub async fn dismiss(mut self) -> Result {
        drop(self.stdin.take());
        self.end().await
    }

    async fn heard(self) -> Result {
        Ok(self.reader.await?)
    }

    /// `STOP` or `CONT`. By the shell, because the standard library knows no signals.
    pub async fn signal(&self, signal: &str) -> Result {
        let id = self.child.id().ok_or("the process has ended")?;
        let sent = Command::new("sh").args(["-c", &format!("kill -{signal} {id}")]).status().await?;
        if sent.success() { Ok(()) } else { Err(format!("kill -{signal} {id}: {sent}").into()) }
    }
}

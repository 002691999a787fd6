//! Other libraries at the same work, right after ours in the same run, and how soon a handler of theirs starts.

use crate::{
    Effort, Result,
    report::{Beside, Latency, Report},
    runner::Shape,
    sqlite,
    yardstick::{Rates, said},
};
use serde::Deserialize;
use std::{path::PathBuf, process::Command};

#[derive(Debug)]
struct Peer {
    name: &'static str,
    language: &'static str,
    redis: bool,
    batches: bool,
    /// What the number of tasks is divided by, so that a slow one ends within a minute.
    part: usize,
}

impl Peer {
    const fn new(name: &'static str, language: &'static str) -> Self {
        Peer { name, language, redis: false, batches: false, part: 1 }
    }

    const fn on_redis(self) -> Self {
        Peer { redis: true, ..self }
    }

    const fn with_batches(self) -> Self {
        Peer { batches: true, ..self }
    }

    const fn slow(self) -> Self {
        Peer { part: 8, ..self }
    }
}

const PEERS: [Peer; 8] = [
    Peer::new("huey", "python"),
    Peer::new("huey fsync=False", "python"),
    Peer::new("honker", "python").with_batches(),
    Peer::new("flexiq", "python").with_batches().slow(),
    Peer::new("saq", "python").on_redis().slow(),
    Peer::new("celery", "python").on_redis().slow(),
    Peer::new("plainjob", "node").with_batches(),
    Peer::new("bullmq", "node").on_redis().with_batches(),
];

/// Those whose worker is woken; the others poll.
const WAKEFUL: [Peer; 4] = [
    Peer::new("kurultai", "python"),
    Peer::new("honker", "python"),
    Peer::new("kurultai", "node"),
    Peer::new("bullmq", "node").on_redis(),
];

#[derive(Debug, Deserialize)]
struct Rate {
    version: String,
    what: String,
    callers: usize,
    batch: usize,
    durability: String,
    per_second: f64,
}

#[derive(Debug, Deserialize)]
struct Delay {
    p50_ms: f64,
    p99_ms: f64,
}

/// The folder where they are installed beside their scripts, the tree of our packages, and the redis of those that
/// need one.
#[derive(Debug)]
pub(crate) struct Peers {
    folder: PathBuf,
    tree: PathBuf,
    redis: Option<url::Url>,
    rows: Vec<Beside>,
    failed: Vec<String>,
}

impl Peers {
    pub(crate) fn new(folder: PathBuf, tree: PathBuf, redis: Option<url::Url>) -> Self {
        Peers { folder, tree, redis, rows: vec![], failed: vec![] }
    }

    /// Every library of the language. One that fails is reported at the end and stops nobody.
    pub(crate) fn measure(&mut self, language: &str, shape: Shape, ours: Rates) {
        let fitting = |peer: &&Peer| peer.language == language && (shape.batch == 1 || peer.batches);
        for peer in PEERS.iter().filter(fitting) {
            let tasks = Shape::new(shape.callers, shape.batch, shape.tasks / peer.part).tasks;
            let numbers = [shape.callers, shape.batch, tasks].map(|n| n.to_string());
            let args = [&["cycle", peer.name], &numbers.each_ref().map(String::as_str)[..]].concat();
            for rate in self.run::<Rate>(peer, &args) {
                let ours = if rate.what == "cycle" { ours.cycle_per_s } else { ours.enqueue_per_s };
                self.add(peer, shape, &rate, ours);
            }
        }
    }

    fn add(&mut self, peer: &Peer, shape: Shape, rate: &Rate, ours: f64) {
        let name = format!("{} {}", peer.name, rate.version);
        let new = Beside::new(
            name,
            rate.what.clone(),
            (rate.callers, rate.batch),
            rate.durability.clone(),
            (shape.callers, shape.batch),
        );
        let at = self.rows.iter().position(|row| row.same(&new)).unwrap_or_else(|| {
            self.rows.push(new);
            self.rows.len() - 1
        });
        self.rows[at].add(rate.per_second, ours);
    }

    /// An error where a library failed, after everything there is.
    pub(crate) fn report(mut self, effort: Effort, report: &Report) -> Result<()> {
        if self.redis.is_none() {
            report.note("\nredis-server is not on PATH: rows of SAQ, Celery and BullMQ are left out");
        }
        report.beside_head();
        self.rows.iter().try_for_each(|row| report.beside(row))?;
        report.latency_head();
        let mut rows = WAKEFUL.each_ref().map(|peer| Latency::new(peer.language, peer.name));
        for _ in 0..effort.runs {
            for (peer, row) in WAKEFUL.iter().zip(&mut rows) {
                for delay in self.run::<Delay>(peer, &["latency", peer.name]) {
                    row.add(delay.p50_ms, delay.p99_ms);
                }
            }
        }
        rows.iter().try_for_each(|row| report.latency(row))?;
        if self.failed.is_empty() {
            return Ok(());
        }
        Err(format!("these libraries failed:\n{}", self.failed.join("\n")).into())
    }

    /// The lines that it printed; none where it is left out, or failed.
    fn run<T: for<'a> Deserialize<'a>>(&mut self, peer: &Peer, args: &[&str]) -> Vec<T> {
        if peer.redis && self.redis.is_none() {
            return vec![];
        }
        self.lines(peer, args).unwrap_or_else(|error| {
            self.failed.push(format!("{} ({}): {error}", peer.name, peer.language));
            vec![]
        })
    }

    fn lines<T: for<'a> Deserialize<'a>>(&self, peer: &Peer, args: &[&str]) -> Result<Vec<T>> {
        let (fresh, _) = sqlite::place("process")?;
        let mut command = if peer.language == "python" {
            let programs = if cfg!(windows) { "Scripts" } else { "bin" };
            let mut python = Command::new(self.folder.join("venv").join(programs).join("python"));
            python.env("PYTHONPATH", self.tree.join("kurultai-py/python")).arg(self.folder.join("peers.py"));
            python
        } else {
            let mut node = Command::new("node");
            node.env("KURULTAI_NODE", self.tree.join("kurultai-node")).arg(self.folder.join("peers.mjs"));
            node
        };
        command.args(args);
        match &self.redis {
            Some(redis) if peer.redis => command.arg(redis.as_str()),
            _ => command.arg(fresh.path()),
        };
        said(&mut command)?.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
    }
}

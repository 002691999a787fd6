//! What the participants of a run are told: calls of every kind, at random, and such as get in each other's way.

use super::record::{Answer, Call, Op, Retry, Spec};
use fastrand::{choice, f64, usize};
use kurultai_core::ids;
use std::collections::VecDeque;

/// Of how many tasks one speaks; older ones rest.
const RECENT: usize = 60;
/// How many leases that are over are remembered, to be tried again.
const OLD: usize = 20;

/// One team, as far as it matters for what to say next.
#[derive(Debug, Default)]
pub struct Play {
    /// Some ids begin with it; the same for all teams, so that they use the same ids.
    run: String,
    recent: VecDeque<String>,
    held: Vec<Held>,
    old: VecDeque<String>,
    made: usize,
    pub readers: Vec<Reader>,
}

#[derive(Debug, Clone)]
struct Held {
    task: String,
    lease: String,
}

/// Reads the log from the beginning, wherever it runs.
#[derive(Debug)]
pub struct Reader {
    pub topic: Option<String>,
    pub cursor: i64,
    /// The player that it runs on, while a call is under way.
    pub on: Option<usize>,
}

impl Reader {
    pub fn of(topic: Option<&str>) -> Self {
        Reader { topic: topic.map(str::to_owned), cursor: 0, on: None }
    }

    pub fn next(&self, wait: f64) -> Op {
        let limit = *choice(&[1, 7, 100, 1000]).unwrap_or(&100);
        Op::Read { after: self.cursor, topic: self.topic.clone(), task: None, limit, wait }
    }
}

impl Play {
    pub fn new(run: &str) -> Self {
        Play { run: run.to_owned(), ..Play::default() }
    }

    /// What to tell at once: one call, or several that meet. `id` makes an id for a new task; `agent` is who claims.
    pub fn next(&mut self, agent: &str) -> Vec<Op> {
        // Neither a dry queue nor an endless one.
        let share = if self.held.len() > 12 { 30 } else { 0 };
        match usize(share..100) {
            0 if usize(..10) == 0 => vec![bulk()],
            0..18 => vec![self.enqueue()],
            18..40 => vec![claim(agent)],
            40..64 => self.finish(),
            64..68 => self
                .held(true)
                .map(|held| Op::Extend { lease: held.lease, ttl: 0.3 + f64() })
                .into_iter()
                .collect(),
            68..80 => self.duel(),
            80..88 => self.any().map(act).into_iter().collect(),
            88..90 => self.add_dependency(),
            90..95 => self.any().map(|task| Op::Get { task }).into_iter().collect(),
            95..96 => vec![Op::List { status: None, limit: 50 }],
            96..97 => vec![Op::LastSeq {}],
            97..98 => self
                .any()
                .map(|task| Op::Read { after: 0, topic: None, task: Some(task), limit: 1000, wait: 0.0 })
                .into_iter()
                .collect(),
            _ => self.late(),
        }
    }

    /// What an answer, or a call without one, lets one say next.
    pub fn note(&mut self, call: &Call) {
        if let Op::Enqueue { tasks } = &call.op {
            self.recent.extend(tasks.iter().take(5).map(|spec| spec.id.clone()));
            let many = self.recent.len().saturating_sub(RECENT);
            self.recent.drain(..many);
        }
        if let Some((_, Answer::Claimed(taken))) = call.answered() {
            let held = taken.iter().map(|taken| Held { task: taken.0.clone(), lease: taken.2.clone() });
            self.held.extend(held);
        }
    }

    fn enqueue(&mut self) -> Op {
        let tasks = (0..*choice(&[1, 1, 1, 2, 4]).unwrap_or(&1)).map(|_| self.spec()).collect();
        Op::Enqueue { tasks }
    }

    fn spec(&mut self) -> Spec {
        self.made += 1;
        let mut spec = Spec {
            id: if usize(..5) == 0 { format!("{}-{}", self.run, self.made) } else { ids::new_id() },
            r#type: "play".to_owned(),
            payload: 1,
            retry: Some(Retry { base: 0.01, cap: 0.05 }),
            ..Spec::default()
        };
        match usize(..100) {
            0..15 => spec.depends_on.extend(self.any()),
            15..18 => spec.depends_on = (0..3).filter_map(|_| self.any()).collect(),
            18..26 => spec.parent = self.any(),
            26..36 => spec.unique_key = Some(format!("key-{}", self.made / 20)),
            36..40 => spec.expires_in = Some(0.05 + f64() / 2.0),
            _ => {}
        }
        spec.depends_on.sort();
        spec.depends_on.dedup();
        spec
    }

    fn any(&self) -> Option<String> {
        (!self.recent.is_empty()).then(|| self.recent[usize(..self.recent.len())].clone())
    }

    /// One of the leases; it is not spoken of again unless it stays.
    fn held(&mut self, stays: bool) -> Option<Held> {
        if self.held.is_empty() {
            return None;
        }
        let chosen = usize(..self.held.len());
        if stays {
            return Some(self.held[chosen].clone());
        }
        let held = self.held.swap_remove(chosen);
        if self.old.len() == OLD {
            self.old.pop_front();
        }
        self.old.push_back(held.lease.clone());
        Some(held)
    }

    /// Some are forgotten, and remembered when it may be too late.
    fn finish(&mut self) -> Vec<Op> {
        let held = self.held(false).filter(|_| usize(..8) > 0);
        held.map(|held| end(held.lease)).into_iter().collect()
    }

    fn late(&mut self) -> Vec<Op> {
        let Some(lease) = self.old.pop_front() else { return vec![] };
        vec![if usize(..3) == 0 { Op::Extend { lease, ttl: 0.5 } } else { end(lease) }]
    }

    /// Calls on one task that cannot both have their way.
    fn duel(&mut self) -> Vec<Op> {
        if usize(..4) == 0 {
            let Some(task) = self.any() else { return vec![] };
            return vec![act(task.clone()), act(task)];
        }
        let Some(Held { task, lease }) = self.held(false) else { return vec![] };
        let ask = if usize(..2) == 0 {
            Op::Cancel { task: task.clone() }
        } else {
            Op::Suspend { task: task.clone() }
        };
        let mut both = vec![ask, end(lease.clone())];
        match usize(..6) {
            0 => both.push(end(lease)),
            1 => both.push(Op::Extend { lease, ttl: 0.5 }),
            2 => both.push(Op::Resume { task }),
            _ => {}
        }
        fastrand::shuffle(&mut both);
        both
    }

    fn add_dependency(&mut self) -> Vec<Op> {
        match (self.any(), self.any()) {
            (Some(task), Some(on)) if task != on => vec![Op::Depend { task, on }],
            _ => vec![],
        }
    }
}

/// A large commit, and soon after it another.
fn bulk() -> Op {
    let spec = || Spec {
        id: ids::new_id(),
        r#type: "bulk".to_owned(),
        payload: 1,
        expires_in: Some(0.1),
        ..Spec::default()
    };
    Op::Enqueue { tasks: (0..300).map(|_| spec()).collect() }
}

fn claim(agent: &str) -> Op {
    Op::Claim {
        agent: agent.to_owned(),
        types: None,
        max: *choice(&[1, 1, 2, 4]).unwrap_or(&1),
        lease: 0.5 + f64(),
        wait: *choice(&[0.0, 0.0, 0.3]).unwrap_or(&0.0),
    }
}

fn end(lease: String) -> Op {
    match usize(..10) {
        0..5 => Op::Complete { lease, results: fastrand::u64(..1 << 40) },
        5..8 => Op::Fail { lease, retryable: usize(..5) > 0 },
        _ => Op::Release { lease },
    }
}

fn act(task: String) -> Op {
    match usize(..10) {
        0..2 => Op::Cancel { task },
        2..4 => Op::Suspend { task },
        4..7 => Op::Resume { task },
        7..9 => Op::Requeue { task },
        _ => Op::Discard { task },
    }
}

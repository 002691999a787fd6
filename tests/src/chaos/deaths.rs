//! G6: agents killed with SIGKILL, or stopped for longer than the threshold, before two watchers, one of which is stopped
//! again and again. Each death is found once, within the threshold and one check, and nobody else is called dead.

use super::{
    Arena, Result, arena, now,
    staff::{Ledger, Member, Staff},
};
use chrono::{DateTime, Utc};
use kurultai_core::{
    Kurultai,
    agents::{Thresholds, Watch, Watcher},
    clock::monotonic,
    events::{Event, EventFilter},
    tasks::{FailureKind, NewTask, Status},
};
use std::{collections::BTreeMap, fmt, path::Path, time::Duration};
use tokio::time::{sleep, timeout};

/// One victim in three, and one that is stopped: not more than half, which would be suspicious.
const TEAM: usize = 12;
const VICTIMS: usize = 4;
const BEAT: Duration = Duration::from_secs(1);
const EVERY: Duration = Duration::from_secs(1);
const DEAD_AFTER: Duration = Duration::from_secs(5);
/// How long a round waits for what it expects; only one that fails waits so long.
const LONGEST: Duration = Duration::from_secs(20);
/// A write takes so long only where somebody holds SQLite's file.
const BLOCKED: Duration = Duration::from_millis(500);

/// What has become of the dead.
#[derive(Debug, Default)]
pub struct Deaths {
    pub store: &'static str,
    pub kills: usize,
    pub stops: usize,
    /// From each kill until it was declared, in order.
    pub found_after: Vec<Duration>,
    /// By how much a check was late at most, for want of time.
    pub late: Duration,
    /// Declared dead while they lived, or more than once.
    pub wrong: Vec<String>,
    /// Whose tasks did not move.
    pub left: Vec<String>,
    /// Those that were stopped, went on and were not declared recovered.
    pub unrecovered: Vec<String>,
}

struct Run<'a> {
    staff: Staff,
    kurultai: &'a Kurultai,
    members: Vec<Member>,
    watcher: Watcher,
    /// What the one that was stopped last had, and has lost.
    lost: Option<(String, (String, i64))>,
    deaths: Deaths,
}

/// Kills at least `kills` agents.
pub async fn run(program: &Path, arena: &Arena, kills: usize) -> Result<Deaths> {
    let kurultai = arena.open().await?;
    let mut staff = Staff::new(program, arena);
    let members = (0..TEAM).map(|_| staff.agent(BEAT)).collect::<Result<Vec<_>>>()?;
    let second = staff.watcher(EVERY, DEAD_AFTER)?;
    let thresholds = Thresholds::default().dead_after(DEAD_AFTER);
    let watcher = kurultai.agents().watcher(Watch::default().every(EVERY).thresholds(thresholds))?;
    let deaths = Deaths { store: kurultai.store_name(), ..Deaths::default() };
    let mut run = Run { staff, kurultai: &kurultai, members, watcher, lost: None, deaths };
    while run.deaths.kills < kills {
        run.round(&second).await?;
    }
    let Run { staff, members, deaths, .. } = run;
    for member in members {
        member.dismiss().await?;
    }
    second.dismiss().await?;
    staff.check()?;
    kurultai.close().await;
    arena.check_integrity()?;
    Ok(deaths)
}

impl Run<'_> {
    async fn round(&mut self, second: &Member) -> Result {
        arena::fill(self.kurultai, TEAM).await?;
        let names: Vec<String> = self.members.iter().map(|member| member.name.clone()).collect();
        let lost = self.lost.take();
        let has_one = |ledger: &Ledger, name: &String| {
            let took = ledger.took.get(name);
            took.is_some() && lost.as_ref().is_none_or(|(who, what)| who != name || took != Some(what))
        };
        self.staff.until("a task for everybody", |ledger| names.iter().all(|n| has_one(ledger, n))).await?;
        // Both watchers have seen everybody alive.
        for _ in 0..3 {
            self.check().await?;
        }
        let after_seq = self.kurultai.events().last_seq().await?;
        let stops_the_second = self.deaths.stops % 2 == 1;
        if stops_the_second {
            self.stop(second).await?;
        }
        fastrand::shuffle(&mut self.members);
        let stopped = self.members.pop().ok_or("nobody is left")?;
        self.stop(&stopped).await?;
        let held = self.staff.ledger().took.get(&stopped.name).cloned();
        self.lost = held.map(|task| (stopped.name.clone(), task));
        let mut killed = BTreeMap::new();
        for victim in self.members.split_off(TEAM - 1 - VICTIMS) {
            sleep(EVERY.mul_f64(fastrand::f64() / VICTIMS as f64)).await;
            let name = victim.name.clone();
            victim.kill().await?;
            killed.insert(name, now());
        }
        self.deaths.kills += killed.len();
        self.deaths.stops += 1;
        let begun = monotonic();
        let expected = killed.len() + 1;
        let mut found = vec![];
        while found.len() < expected && begun.elapsed() < LONGEST {
            self.check().await?;
            found = self.events("agent.dead", after_seq).await?;
        }
        stopped.signal("CONT").await?;
        if stops_the_second {
            second.signal("CONT").await?;
        }
        // The second watcher, as it goes on, has seen nobody die; and the stopped one lives.
        while self.events("agent.recovered", after_seq).await?.is_empty() && begun.elapsed() < LONGEST * 2 {
            self.check().await?;
        }
        self.judge(&killed, &stopped.name, after_seq).await?;
        self.deaths.check()?;
        self.members.push(stopped);
        for _ in 0..VICTIMS {
            self.members.push(self.staff.agent(BEAT)?);
        }
        self.staff.check()
    }

    /// Outside of a transaction: in the midst of one it would hold SQLite's file, and nobody could write before it goes on,
    /// no watcher either.
    async fn stop(&self, member: &Member) -> Result {
        let tasks = self.kurultai.tasks();
        loop {
            member.signal("STOP").await?;
            let write = tasks.enqueue(NewTask::new("nobody-takes-it"));
            if let Ok(written) = timeout(BLOCKED, write).await {
                written?;
                return Ok(());
            }
            member.signal("CONT").await?;
            sleep(BEAT.mul_f64(fastrand::f64())).await;
        }
    }

    /// One check, and the time until the next.
    async fn check(&mut self) -> Result {
        let begun = monotonic();
        self.watcher.check().await?;
        sleep(EVERY.saturating_sub(begun.elapsed())).await;
        self.deaths.late = self.deaths.late.max(begun.elapsed().saturating_sub(EVERY));
        Ok(())
    }

    async fn judge(
        &mut self,
        killed: &BTreeMap<String, DateTime<Utc>>,
        stopped: &str,
        after_seq: i64,
    ) -> Result {
        let dead = self.events("agent.dead", after_seq).await?;
        for event in &dead {
            let agent = event.source.clone().unwrap_or_default();
            let times = dead.iter().filter(|other| other.source == event.source).count();
            match killed.get(&agent) {
                Some(at) if times == 1 => {
                    self.deaths.found_after.push((event.created_at - at).to_std().unwrap_or_default());
                }
                None if agent == stopped && times == 1 => {}
                _ => self.deaths.wrong.push(agent),
            }
        }
        let of_stopped = |event: &Event| event.source.as_deref() == Some(stopped);
        if !self.events("agent.recovered", after_seq).await?.iter().any(of_stopped) {
            self.deaths.unrecovered.push(stopped.to_owned());
        }
        let took = self.staff.ledger().took.clone();
        for agent in killed.keys() {
            let Some((task, version)) = took.get(agent) else { continue };
            let task = self.kurultai.tasks().get(task).await?;
            let lapsed = task.errors.iter().any(|error| {
                error.kind == FailureKind::Lapsed && error.agent.as_deref() == Some(agent.as_str())
            });
            let moved = task.status == Status::Pending || task.lease_version > *version;
            if !(lapsed && moved) {
                self.deaths.left.push(agent.clone());
            }
        }
        Ok(())
    }

    async fn events(&self, topic: &str, after_seq: i64) -> Result<Vec<Event>> {
        let filter = EventFilter { topic: Some(topic.to_owned()), after_seq, ..EventFilter::default() };
        Ok(self.kurultai.events().read(filter).await?.events)
    }
}

impl Deaths {
    /// Nobody else was declared, and every task moved.
    pub fn check(&self) -> Result {
        let missing = self.kills - self.found_after.len();
        if missing > 0 || !self.wrong.is_empty() || !self.left.is_empty() || !self.unrecovered.is_empty() {
            return Err(format!("{self}").into());
        }
        Ok(())
    }

    /// Within the threshold and one check.
    pub fn check_times(&self) -> Result {
        let most = DEAD_AFTER + EVERY + self.late;
        let slowest = self.found_after.iter().max().copied().unwrap_or_default();
        if slowest > most { Err(format!("found after {slowest:?}, bound {most:?}").into()) } else { Ok(()) }
    }
}

impl fmt::Display for Deaths {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Deaths { store, kills, stops, found_after, late, wrong, left, unrecovered } = self;
        let mut sorted = found_after.clone();
        sorted.sort_unstable();
        let at = |share: f64| {
            let place = (sorted.len() as f64 * share) as usize;
            sorted.get(place.min(sorted.len().saturating_sub(1))).copied().unwrap_or_default().as_secs_f64()
        };
        write!(
            f,
            "deaths {store}: {} of {kills} killed found, p50 {:.1} s, p99 {:.1} s, max {:.1} s (bound {} s, checks \
             late by at most {:.1} s); {stops} stopped; wrongly declared {wrong:?}; tasks left {left:?}; not recovered \
             {unrecovered:?}",
            found_after.len(),
            at(0.5),
            at(0.99),
            at(1.0),
            (DEAD_AFTER + EVERY).as_secs(),
            late.as_secs_f64(),
        )
    }
}

//! One run: participants play, some are killed, some are stopped for longer than their leases last; then the verdict.

use super::{
    check::{self, History, Left},
    log::Event,
    play::{Play, Reader},
    players::{Heard, Language, Players, now},
    record::{Answer, Call, Nanos, Op, Outcome},
    story,
};
use crate::chaos::{Arena, Result, arena};
use kurultai_core::{Event as Logged, EventFilter, Filter, Kurultai, Task, ids};
use std::{collections::BTreeMap, fmt, time::Duration};
use tokio::time::{sleep, timeout};

/// How many calls of one participant run beside each other, its readers not counted.
const BESIDE: usize = 6;
/// Longer than any lease of the play.
const STOP: (f64, f64) = (1.6, 2.2);
/// Between two kills or stops, on the average.
const PAUSE: f64 = 1.2;
/// How long the last answers may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// How many violations are told.
const TOLD: usize = 8;

#[derive(Debug)]
pub struct Options {
    pub seconds: f64,
    pub languages: Vec<Language>,
    pub namespaces: usize,
}

#[derive(Debug, Default)]
pub struct Report {
    pub store: &'static str,
    pub calls: usize,
    pub events: usize,
    pub tasks: usize,
    pub kills: usize,
    pub stops: usize,
    /// Calls that may have happened or not.
    pub unknown: usize,
    pub refused: BTreeMap<String, usize>,
    pub violations: usize,
    /// The first of them, told.
    pub stories: Vec<String>,
}

pub async fn run(arena: &Arena, options: &Options) -> Result<Report> {
    let namespaces: Vec<String> =
        (0..options.namespaces).map(|_| format!("play-{}", ids::new_id())).collect();
    let seed = ids::new_id();
    let mut run = Run {
        players: Players::start(&arena.url, &namespaces, &options.languages)?,
        teams: namespaces.iter().map(|_| Team { play: Play::new(&seed), calls: vec![] }).collect(),
        asleep: None,
        report: Report::default(),
    };
    run.until_ready().await?;
    run.play(options.seconds).await?;
    run.come_to_rest().await?;
    let mut stores = Vec::new();
    for namespace in &namespaces {
        stores.push(arena::open(&arena.url, namespace).await?);
    }
    let mut logs = Vec::new();
    for store in &stores {
        logs.push(rest(store).await?);
    }
    run.read_on().await?;
    let Run { players, mut teams, mut report, .. } = run;
    let strange = players.strange.clone();
    for (team, call) in players.dismiss().await {
        teams[team].calls.push(call);
    }
    report.store = stores[0].store_name();
    for (team, (log, left)) in teams.into_iter().zip(logs) {
        report.judge(&History { calls: team.calls, log, left });
    }
    report.violations += strange.len();
    report.stories.extend(strange.into_iter().take(TOLD));
    for store in stores {
        store.close().await;
    }
    arena.check_integrity()?;
    Ok(report)
}

struct Team {
    play: Play,
    calls: Vec<Call>,
}

struct Run {
    players: Players,
    teams: Vec<Team>,
    /// Who is stopped, and until when.
    asleep: Option<(usize, Nanos)>,
    report: Report,
}

impl Run {
    async fn until_ready(&mut self) -> Result {
        while (0..self.players.count()).any(|player| !self.players.is_ready(player)) {
            let heard = timeout(PATIENCE, self.players.hear())
                .await
                .map_err(|_| "a participant does not start")??;
            self.take(heard).await?;
        }
        let topics = [None, Some("task.completed"), Some("task.**")];
        for team in &mut self.teams {
            team.play.readers =
                (0..self.players.count()).map(|n| Reader::of(topics[n % topics.len()])).collect();
        }
        Ok(())
    }

    async fn play(&mut self, seconds: f64) -> Result {
        let end = now() + (seconds * 1e9) as Nanos;
        let mut mischief = now() + (PAUSE * 1e9) as Nanos;
        while now() < end {
            self.speak().await?;
            if now() > mischief {
                mischief = now() + (PAUSE * (0.5 + fastrand::f64()) * 1e9) as Nanos;
                self.harm()?;
            }
            self.wake()?;
            if let Ok(heard) = timeout(Duration::from_millis(20), self.players.hear()).await {
                self.take(heard?).await?;
            }
        }
        Ok(())
    }

    /// Gives everybody who is free something to do.
    async fn speak(&mut self) -> Result {
        for player in 0..self.players.count() {
            for team in 0..self.teams.len() {
                self.read(player, team, 0.5).await?;
            }
            while self.players.is_ready(player) && self.players.busy(player) < BESIDE + self.teams.len() {
                let team = fastrand::usize(..self.teams.len());
                let agent = self.players.name(player).replace('.', "-");
                let ops = self.teams[team].play.next(&agent);
                for (n, op) in ops.into_iter().enumerate() {
                    let others = if n > 0 { fastrand::usize(..self.players.count()) } else { player };
                    let whom = if self.players.is_ready(others) { others } else { player };
                    self.players.tell(whom, team, op).await?;
                }
            }
        }
        Ok(())
    }

    /// Lets the reader that has its place at this player read on.
    async fn read(&mut self, player: usize, team: usize, wait: f64) -> Result<bool> {
        let reader = &mut self.teams[team].play.readers[player];
        if reader.on.is_some() || !self.players.is_ready(player) {
            return Ok(false);
        }
        reader.on = Some(player);
        let op = reader.next(wait);
        self.players.tell(player, team, op).await?;
        Ok(true)
    }

    /// Kills somebody, or stops somebody for longer than a lease.
    fn harm(&mut self) -> Result {
        let player = fastrand::usize(..self.players.count());
        if !self.players.is_ready(player) || self.players.is_stopped(player) {
            return Ok(());
        }
        if fastrand::bool() {
            self.report.kills += 1;
            return self.players.kill(player);
        }
        if self.asleep.is_none() {
            self.report.stops += 1;
            let until = STOP.0 + fastrand::f64() * (STOP.1 - STOP.0);
            self.asleep = Some((player, now() + (until * 1e9) as Nanos));
            self.players.stop(player)?;
        }
        Ok(())
    }

    fn wake(&mut self) -> Result {
        if let Some((player, _)) = self.asleep.take_if(|(_, until)| now() > *until) {
            self.players.go_on(player)?;
        }
        Ok(())
    }

    async fn take(&mut self, heard: Heard) -> Result {
        match heard {
            Heard::Ready(player) => {
                let agent = self.players.name(player).replace('.', "-");
                for team in 0..self.teams.len() {
                    self.players.tell(player, team, Op::Register { agent: agent.clone() }).await?;
                }
            }
            Heard::Answered { team, call, .. } => self.keep(team, call),
            Heard::Killed { player, cut } => {
                for team in &mut self.teams {
                    team.play.readers.iter_mut().filter(|r| r.on == Some(player)).for_each(|r| r.on = None);
                }
                cut.into_iter().for_each(|(team, call)| self.keep(team, call));
            }
        }
        Ok(())
    }

    fn keep(&mut self, team: usize, call: Call) {
        let Team { play, calls } = &mut self.teams[team];
        // A reader's own call: it names its cursor.
        if let (Op::Read { after, topic, task: None, .. }, outcome) = (&call.op, &call.outcome) {
            let ours = |r: &&mut Reader| {
                r.on.is_some() && r.cursor == *after && r.topic == *topic && reads_on(&call.by, r)
            };
            if let Some(reader) = play.readers.iter_mut().find(ours) {
                reader.on = None;
                if let Outcome::Answered(_, Answer::Read(events)) = outcome {
                    reader.cursor = events.last().map_or(*after, |last| last.seq);
                }
            }
        }
        play.note(&call);
        calls.push(call);
    }

    /// Nobody is told any more; everybody ends what they do.
    async fn come_to_rest(&mut self) -> Result {
        if let Some((player, _)) = self.asleep.take() {
            self.players.go_on(player)?;
        }
        let end = now() + PATIENCE.as_nanos() as Nanos;
        while now() < end {
            let resting =
                (0..self.players.count()).all(|p| self.players.is_ready(p) && self.players.busy(p) == 0);
            if resting {
                break;
            }
            if let Ok(heard) = timeout(Duration::from_millis(100), self.players.hear()).await {
                self.take(heard?).await?;
            }
        }
        Ok(())
    }

    /// Every reader reads on to the end of the log.
    async fn read_on(&mut self) -> Result {
        let end = now() + PATIENCE.as_nanos() as Nanos;
        loop {
            let before: Vec<i64> = self.cursors();
            for team in 0..self.teams.len() {
                self.players.tell(0, team, Op::LastSeq {}).await?;
                for player in 0..self.players.count() {
                    self.read(player, team, 0.0).await?;
                }
            }
            while (0..self.players.count()).any(|p| self.players.busy(p) > 0) && now() < end {
                if let Ok(heard) = timeout(Duration::from_millis(100), self.players.hear()).await {
                    self.take(heard?).await?;
                }
            }
            if self.cursors() == before || now() > end {
                return Ok(());
            }
        }
    }

    fn cursors(&self) -> Vec<i64> {
        self.teams.iter().flat_map(|team| team.play.readers.iter().map(|reader| reader.cursor)).collect()
    }
}

/// `by` is a player's name: `python-2.1`.
fn reads_on(by: &str, reader: &Reader) -> bool {
    let player = by.split(['-', '.']).nth(1).and_then(|number| number.parse().ok());
    player == reader.on
}

/// The log and the tasks, once nothing moves any more.
async fn rest(store: &Kurultai) -> Result<(Vec<Event>, Vec<Left>)> {
    loop {
        store.tasks().maintain().await?;
        let last = store.events().last_seq().await?;
        sleep(Duration::from_millis(300)).await;
        let (log, left) = (every_event(store).await?, every_task(store).await?);
        let held = left.iter().any(|task| task.status == kurultai_core::Status::InProgress);
        if !held && store.events().last_seq().await? == last {
            return Ok((log, left));
        }
    }
}

async fn every_event(store: &Kurultai) -> Result<Vec<Event>> {
    let mut log: Vec<Event> = Vec::new();
    loop {
        let after_seq = log.last().map_or(0, |event| event.seq);
        let page =
            store.events().read(EventFilter { after_seq, limit: 1_000, ..EventFilter::default() }).await?;
        if page.is_empty() {
            return Ok(log);
        }
        log.extend(page.into_iter().map(|Logged { seq, topic, task_id: task, source, .. }| Event {
            seq,
            topic,
            task,
            source,
        }));
    }
}

async fn every_task(store: &Kurultai) -> Result<Vec<Left>> {
    let (mut left, mut filter) = (Vec::new(), Filter { limit: 1_000, ..Filter::default() });
    loop {
        let page = store.tasks().list(filter.clone()).await?;
        left.extend(page.tasks.into_iter().map(kept));
        match page.next {
            Some(next) => filter.cursor = Some(next),
            None => return Ok(left),
        }
    }
}

fn kept(task: Task) -> Left {
    let Task {
        id, status, lease_version: version, claimed_by, results, parent_id: parent, depends_on, ..
    } = task;
    let results = results.and_then(|results| results.value().as_u64());
    Left { id, status, version, claimed_by, results, parent, depends_on }
}

impl Report {
    fn judge(&mut self, history: &History) {
        self.calls += history.calls.len();
        self.events += history.log.len();
        self.tasks += history.left.len();
        for call in &history.calls {
            match &call.outcome {
                Outcome::Unknown => self.unknown += 1,
                Outcome::Answered(_, Answer::Refused(code)) => {
                    *self.refused.entry(code.clone()).or_default() += 1;
                }
                _ => {}
            }
        }
        let violations = check::check(history);
        self.violations += violations.len();
        let room = TOLD.saturating_sub(self.stories.len());
        self.stories.extend(story::tell(history, &violations).into_iter().take(room));
    }

    /// Fails where something was violated, or where the run was too tame to show anything.
    pub fn check(&self) -> Result {
        let busy = self.calls > 100 && self.unknown > 0 && self.refused.contains_key("lease.lost");
        match self.violations {
            0 if busy => Ok(()),
            0 => Err(format!("too little happened: {self}").into()),
            count => Err(format!("{count} violations on {}", self.store).into()),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let figures = serde_json::json!({
            "history": self.store, "calls": self.calls, "events": self.events, "tasks": self.tasks, "kills": self.kills,
            "stops": self.stops, "unknown": self.unknown, "refused": self.refused, "violations": self.violations,
        });
        write!(f, "{figures}")
    }
}

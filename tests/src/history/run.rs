//! One run: participants play, some are killed, some are stopped for longer than their leases last, of some the network
//! fails; then the verdict.

use super::{
    check::History,
    play::{Play, Reader},
    players::{Heard, Language, Players, now},
    record::{Answer, Call, Nanos, Op, Outcome, nanos},
    report::Report,
    rest::rest,
};
use crate::{
    chaos::{Arena, Result, arena},
    proxy::{Fault, Proxy, Way},
};
use kurultai_core::ids;
use std::time::Duration;
use tokio::time::timeout;

/// How many calls of one participant run beside each other, its readers not counted.
const BESIDE: usize = 6;
/// Longer than any lease of the play.
const STOP: (f64, f64) = (1.6, 2.2);
const FAULT: (f64, f64) = (0.1, 2.0);
/// Between two kills or stops, on the average.
const PAUSE: f64 = 1.2;
/// With fewer calls than these a run goes on for up to four times as long.
const ENOUGH: usize = 500;
/// How long the last answers may take.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub struct Options {
    pub seconds: f64,
    pub languages: Vec<Language>,
    pub namespaces: usize,
    /// Whether the network fails too, where there is one.
    pub network: bool,
}

pub async fn run(arena: &Arena, options: &Options) -> Result<Report> {
    let namespaces: Vec<String> =
        (0..options.namespaces).map(|_| format!("play-{}", ids::new_id())).collect();
    let seed = ids::new_id();
    let mut doors = Vec::new();
    if options.network && !arena.url.starts_with("sqlite") {
        for _ in &options.languages {
            doors.push(Proxy::before(&arena.url.replacen("neo4j:", "bolt:", 1)).await);
        }
    }
    let players = if doors.is_empty() {
        Players::start(&arena.url, &namespaces, &options.languages)?
    } else {
        let urls = doors.iter().map(|door| door.url().to_owned()).collect();
        Players::by_their_own_ways(urls, &namespaces, &options.languages)?
    };
    let mut run = Run {
        players,
        doors,
        cut_off: None,
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
    report.add(strange);
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
    /// The network of each player, where it may fail.
    doors: Vec<Proxy>,
    /// Whose network fails, and until when.
    cut_off: Option<(usize, Nanos)>,
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
        let end = now() + nanos(seconds);
        let mut mischief = now() + nanos(PAUSE);
        while now() < end || (self.calls() < ENOUGH && now() < end + 3 * nanos(seconds)) {
            self.speak().await?;
            if now() > mischief {
                mischief = later((PAUSE * 0.5, PAUSE * 1.5));
                self.harm()?;
            }
            self.heal()?;
            if let Ok(heard) = timeout(Duration::from_millis(20), self.players.hear()).await {
                self.take(heard?).await?;
            }
        }
        Ok(())
    }

    fn calls(&self) -> usize {
        self.teams.iter().map(|team| team.calls.len()).sum()
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

    /// In turn kills somebody, stops somebody for longer than a lease, and breaks somebody's network.
    fn harm(&mut self) -> Result {
        let player = fastrand::usize(..self.players.count());
        let is_cut_off = self.cut_off.is_some_and(|(cut_off, _)| cut_off == player);
        if !self.players.is_ready(player) || self.players.is_stopped(player) || is_cut_off {
            return Ok(());
        }
        let Report { kills, stops, faults, .. } = &mut self.report;
        if *kills <= *stops {
            *kills += 1;
            self.players.kill(player)?;
        } else if (self.doors.is_empty() || *stops <= *faults) && self.asleep.is_none() {
            *stops += 1;
            self.asleep = Some((player, later(STOP)));
            self.players.stop(player)?;
        } else if !self.doors.is_empty() && self.cut_off.is_none() {
            *faults += 1;
            self.cut_off = Some((player, later(FAULT)));
            self.doors[player].set(fault());
        }
        Ok(())
    }

    /// Ends what is over.
    fn heal(&mut self) -> Result {
        if let Some((player, _)) = self.asleep.take_if(|(_, until)| now() > *until) {
            self.players.resume(player)?;
        }
        if let Some((player, _)) = self.cut_off.take_if(|(_, until)| now() > *until) {
            self.doors[player].set(Fault::None);
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
        for (_, until) in self.asleep.iter_mut().chain(&mut self.cut_off) {
            *until = 0;
        }
        self.heal()?;
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

/// A moment between so many seconds and so many from now.
fn later((least, most): (f64, f64)) -> Nanos {
    now() + nanos(least + fastrand::f64() * (most - least))
}

fn fault() -> Fault {
    match fastrand::usize(..5) {
        0 => Fault::Reset,
        1 => Fault::Swallow,
        2 => Fault::Stall,
        3 => Fault::NoAnswers(fastrand::usize(..200)),
        _ => Fault::Cut(if fastrand::bool() { Way::Up } else { Way::Down }, fastrand::usize(..2_000)),
    }
}

/// `by` is a player's name: `python-2.1`.
fn reads_on(by: &str, reader: &Reader) -> bool {
    let player = by.split(['-', '.']).nth(1).and_then(|number| number.parse().ok());
    player == reader.on
}

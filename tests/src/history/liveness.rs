//! How soon a process hears of what another has committed.

use super::{
    desk::Desk,
    players::{Language, Players},
    record::{Answer, Call, Nanos, Op, Spec},
};
use crate::chaos::{Arena, Result};
use futures::{StreamExt, TryStreamExt, future::join, stream};
use kurultai_core::ids;
use std::{fmt, time::Duration};
use tokio::time::sleep;

/// What waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waiter {
    /// A claim that waits, from the enqueue on.
    Claim,
    /// `events.read` that waits, from the enqueue on.
    Read,
    /// A reader, from an enqueue until it hears that an agent of the other process has completed the task: two ways.
    Agent,
}

/// How long a call waits at most, far beyond what is allowed.
const WAIT: f64 = 10.0;

/// Rounds of each lane that do not count: a server plans its statements.
const WARM: usize = 2;

/// One process hears of another.
#[derive(Debug, Clone, Copy)]
struct Lane {
    /// The namespace.
    team: usize,
    waiter: Waiter,
    /// Who commits, and who waits: positions among the languages.
    from: usize,
    to: usize,
    rounds: usize,
}

/// How long somebody waited beyond the commit, in milliseconds.
#[derive(Debug)]
struct Waits {
    waiter: Waiter,
    spans: Vec<f64>,
}

#[derive(Debug)]
pub struct Report {
    store: &'static str,
    waits: Vec<Waits>,
}

/// `rounds` of each kind of waiter, shared by all pairs of languages.
pub async fn run(arena: &Arena, languages: &[Language], rounds: usize) -> Result<Report> {
    let is_sqlite = arena.url.starts_with("sqlite");
    let lanes = lanes(languages.len().max(2), rounds);
    let namespaces: Vec<String> = lanes.iter().map(|_| format!("wait-{}", ids::new_id())).collect();
    let languages: Vec<Language> = languages.iter().cycle().copied().take(languages.len().max(2)).collect();
    let desk = Desk::open(Players::start(&arena.url, &namespaces, &languages)?).await?;
    // On SQLite any commit to the file wakes whoever waits, which would hide that one was missed.
    let beside = if is_sqlite { 1 } else { lanes.len() };
    let waits =
        stream::iter(lanes).map(|lane| lane.run(&desk)).buffer_unordered(beside).try_collect().await?;
    desk.close().await?;
    Ok(Report { store: if is_sqlite { "sqlite" } else { "neo4j" }, waits })
}

/// Each hears of the next one, and that one of it.
fn lanes(players: usize, rounds: usize) -> Vec<Lane> {
    let mut pairs: Vec<(usize, usize)> = (0..players).map(|one| (one, (one + 1) % players)).collect();
    pairs.extend(pairs.clone().into_iter().map(|(one, other)| (other, one)));
    pairs.sort_unstable();
    pairs.dedup();
    let rounds = rounds.div_ceil(pairs.len());
    let kinds = [Waiter::Claim, Waiter::Read, Waiter::Agent];
    let all = kinds.into_iter().flat_map(|waiter| pairs.iter().map(move |pair| (waiter, *pair)));
    all.enumerate().map(|(team, (waiter, (from, to)))| Lane { team, waiter, from, to, rounds }).collect()
}

impl Lane {
    async fn run(self, desk: &Desk) -> Result<Waits> {
        let agent = format!("agent-{}", self.team);
        self.ask(desk, self.to, Op::Register { agent: agent.clone() }).await?;
        if self.waiter == Waiter::Agent {
            self.ask(desk, self.to, Op::Serve { agent: agent.clone(), r#type: "work".to_owned() }).await?;
        }
        let (mut spans, mut after) = (Vec::new(), 0);
        for round in 0..self.rounds + WARM {
            let span = match self.waiter {
                Waiter::Claim => self.claim(desk, &agent).await?,
                Waiter::Read => self.read(desk, &mut after).await?,
                Waiter::Agent => self.agent(desk, &mut after).await?,
            };
            if round >= WARM {
                spans.push(span as f64 / 1e6);
            }
        }
        Ok(Waits { waiter: self.waiter, spans })
    }

    async fn ask(&self, desk: &Desk, player: usize, op: Op) -> Result<(Call, Nanos, Answer)> {
        let call = desk.ask(player, self.team, op).await?;
        match call.answered() {
            Some((_, Answer::Refused(code))) => Err(format!("{:?} was refused with {code}", call.op).into()),
            Some((at, answer)) => Ok((call.clone(), at, answer.clone())),
            None => Err(format!("{:?} has no answer", call.op).into()),
        }
    }

    /// Around the time at which the other begins to wait, when it is easiest to miss.
    async fn enqueue(&self, desk: &Desk) -> Result<Nanos> {
        sleep(Duration::from_micros(fastrand::u64(..5_000))).await;
        let task = Spec { id: ids::new_id(), r#type: "work".to_owned(), payload: 1, ..Spec::default() };
        Ok(self.ask(desk, self.from, Op::Enqueue { tasks: vec![task] }).await?.1)
    }

    async fn claim(&self, desk: &Desk, agent: &str) -> Result<Nanos> {
        let claim = Op::Claim { agent: agent.to_owned(), types: None, max: 1, lease: 30.0, wait: WAIT };
        let (committed, claimed) = join(self.enqueue(desk), self.ask(desk, self.to, claim.clone())).await;
        let (call, at, mut answer) = claimed?;
        if answer == Answer::Claimed(vec![]) {
            answer = self.ask(desk, self.to, claim).await?.2;
        }
        if let Answer::Claimed(taken) = answer {
            for taken in taken {
                self.ask(desk, self.to, Op::Complete { lease: taken.2, results: 1 }).await?;
            }
        }
        Ok(beyond(committed?, &call, at))
    }

    async fn read(&self, desk: &Desk, after: &mut i64) -> Result<Nanos> {
        let read = Op::Read { after: *after, topic: None, task: None, limit: 100, wait: WAIT };
        let (committed, read) = join(self.enqueue(desk), self.ask(desk, self.to, read)).await;
        let (call, at, answer) = read?;
        if let Answer::Read(events) = answer {
            // It may have missed it: the next round begins behind it.
            *after = events.last().map_or(*after + 1, |event| event.seq);
        }
        Ok(beyond(committed?, &call, at))
    }

    async fn agent(&self, desk: &Desk, after: &mut i64) -> Result<Nanos> {
        let committed = self.enqueue(desk).await?;
        let topic = Some("task.completed".to_owned());
        let read = Op::Read { after: *after, topic, task: None, limit: 1, wait: WAIT };
        let (_, mut at, mut answer) = self.ask(desk, self.from, read.clone()).await?;
        while answer == Answer::Read(vec![]) {
            (_, at, answer) = self.ask(desk, self.from, read.clone()).await?;
        }
        if let Answer::Read(events) = answer {
            *after = events.last().map_or(*after, |event| event.seq);
        }
        Ok(at.saturating_sub(committed))
    }
}

/// How long a call waited after it could have been answered.
fn beyond(committed: Nanos, call: &Call, at: Nanos) -> Nanos {
    at.saturating_sub(committed.max(call.called))
}

impl Report {
    fn of(&self, waiter: Waiter) -> Vec<f64> {
        let mut spans: Vec<f64> = self
            .waits
            .iter()
            .filter(|waits| waits.waiter == waiter)
            .flat_map(|waits| waits.spans.clone())
            .collect();
        spans.sort_by(f64::total_cmp);
        spans
    }

    /// What 99 of 100 waits may take, and what none may exceed, in milliseconds.
    fn limits(&self, waiter: Waiter) -> (f64, f64) {
        let one_way = if self.store == "sqlite" { 100.0 } else { 600.0 };
        if waiter == Waiter::Agent { (2.0 * one_way, 2_000.0) } else { (one_way, 1_000.0) }
    }

    /// Whether somebody waited as if nothing had been committed, which no busy machine explains.
    pub fn is_deaf(&self) -> bool {
        self.waits.iter().flat_map(|waits| &waits.spans).any(|span| *span > WAIT * 1_000.0 / 2.0)
    }

    pub fn check(&self) -> Result {
        for waiter in [Waiter::Claim, Waiter::Read, Waiter::Agent] {
            let (spans, (most, longest)) = (self.of(waiter), self.limits(waiter));
            let late = spans.iter().filter(|span| **span > longest).count();
            if late > 0 || percentile(&spans, 0.99) > most {
                let store = self.store;
                return Err(format!("{store}, {waiter:?}: 99 of 100 must be within {most} ms, all within {longest} ms; {late} were not").into());
            }
        }
        Ok(())
    }
}

/// Of sorted spans.
fn percentile(spans: &[f64], share: f64) -> f64 {
    spans.get(((spans.len().saturating_sub(1)) as f64 * share).round() as usize).copied().unwrap_or_default()
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for waiter in [Waiter::Claim, Waiter::Read, Waiter::Agent] {
            let spans = self.of(waiter);
            let [p50, p99, max] = [0.5, 0.99, 1.0].map(|share| percentile(&spans, share));
            let over = spans.iter().filter(|span| **span > 1_000.0).count();
            let (store, count) = (self.store, spans.len());
            writeln!(
                f,
                "liveness {store:<7}{:<6}{count:>6} rounds  p50 {p50:>7.1}  p99 {p99:>7.1}  max {max:>8.1} ms  over 1 s: {over}",
                format!("{waiter:?}").to_lowercase(),
            )?;
        }
        Ok(())
    }
}

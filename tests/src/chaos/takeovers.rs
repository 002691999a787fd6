//! G6, of roles: whoever leads is killed with SIGKILL, or stopped for longer than its lease, again and again; the next
//! candidate takes over in time, and nobody stores anything under a term that is over. The verdict is read from the log.

use super::{
    Arena, Result, now,
    staff::{Ledger, Member, Staff},
};
use chrono::{DateTime, Utc};
use kurultai_core::{
    Kurultai,
    agents::RoleLease,
    clock::monotonic,
    events::{Event, EventFilter},
};
use std::{collections::BTreeMap, fmt, path::Path, str::FromStr, time::Duration};
use tokio::time::sleep;

pub const ROLE: &str = "router";
pub const CANDIDATES: [&str; 3] = ["kublai", "ogedei", "temujin"];
const EVERY: Duration = Duration::from_millis(300);
/// A third of it is how long a lease lasts without renewal.
const DEAD_AFTER: Duration = Duration::from_secs(3);
const BOUND: Duration = Duration::from_millis(3_300);
/// For how long somebody leads before it is killed or stopped: it has renewed by then, or has not.
const LEADS_MS: std::ops::Range<u64> = 100..400;
/// One in so many is stopped instead of killed.
const STOPS: usize = 4;
/// Only a run that fails waits so long.
const LONGEST: Duration = Duration::from_secs(60);

/// When a run is over.
#[derive(Debug, Clone, Copy)]
pub enum Until {
    /// After so many kills and stops.
    Rounds(usize),
    /// After so long, `600s` or `10m`.
    Time(Duration),
}

impl FromStr for Until {
    type Err = super::Error;

    fn from_str(text: &str) -> Result<Self> {
        let seconds = |text: &str, each| Ok(Until::Time(Duration::from_secs(text.parse::<u64>()? * each)));
        match (text.strip_suffix('s'), text.strip_suffix('m')) {
            (Some(text), _) => seconds(text, 1),
            (_, Some(text)) => seconds(text, 60),
            _ => Ok(Until::Rounds(text.parse()?)),
        }
    }
}

impl Until {
    /// Whether there is to be no such run.
    pub fn is_nothing(self) -> bool {
        matches!(self, Until::Rounds(0) | Until::Time(Duration::ZERO))
    }

    fn is_over(self, rounds: usize, for_so_long: Duration) -> bool {
        match self {
            Until::Rounds(most) => rounds >= most,
            Until::Time(most) => for_so_long >= most,
        }
    }
}

/// What has become of the role.
#[derive(Debug, Default)]
pub struct Takeovers {
    pub store: &'static str,
    pub kills: usize,
    pub stops: usize,
    pub took: Duration,
    /// From each kill until another one had the role, and how much of that the machine left them to run and to check in.
    pub after: Vec<(Duration, Duration)>,
    /// Writes of those that were stopped and went on, which were refused.
    pub refused: usize,
    /// How many tasks were stored under a term.
    pub written: usize,
    /// Tasks that stand in the log outside of their term.
    pub wrong: Vec<String>,
    /// Terms that did not grow.
    pub terms: Vec<String>,
    /// Stopped ones of whose writes none was refused.
    pub unrefused: Vec<String>,
}

struct Run<'a> {
    staff: Staff,
    kurultai: &'a Kurultai,
    members: BTreeMap<String, Member>,
    /// From when until when nobody led after a kill.
    vacant: Vec<(DateTime<Utc>, DateTime<Utc>)>,
    takeovers: Takeovers,
}

/// Kills or stops whoever leads, again and again.
pub async fn run(program: &Path, arena: &Arena, until: Until) -> Result<Takeovers> {
    let kurultai = arena.open().await?;
    let staff = Staff::new(program, arena);
    let takeovers = Takeovers { store: kurultai.store_name(), ..Takeovers::default() };
    let mut run = Run { staff, kurultai: &kurultai, members: BTreeMap::new(), vacant: vec![], takeovers };
    for agent in CANDIDATES {
        run.hire(agent)?;
    }
    let (begun, mut round) = (monotonic(), 0);
    while !until.is_over(round, begun.elapsed()) {
        let lease = run.settled().await?;
        match round % STOPS {
            0 => run.stop(lease).await?,
            _ => run.kill(lease).await?,
        }
        round += 1;
    }
    let Run { staff, members, vacant, mut takeovers, .. } = run;
    takeovers.took = begun.elapsed();
    for (_, member) in members {
        member.dismiss().await?;
    }
    staff.check()?;
    let ledger = staff.all_heard();
    takeovers.refused = ledger.refused_terms.values().sum();
    takeovers.after = vacant
        .into_iter()
        .map(|(from, to)| {
            ((to - from).to_std().unwrap_or_default(), ledger.standstills.running_time(from, to))
        })
        .collect();
    takeovers.judge(&kurultai).await?;
    kurultai.close().await;
    arena.check_integrity()?;
    Ok(takeovers)
}

impl Run<'_> {
    fn hire(&mut self, agent: &str) -> Result {
        self.members.insert(agent.to_owned(), self.staff.candidate(agent, EVERY, DEAD_AFTER)?);
        Ok(())
    }

    /// Until such a one leads.
    async fn leader(&self, fits: impl Fn(&RoleLease) -> bool) -> Result<RoleLease> {
        let begun = monotonic();
        loop {
            self.staff.check()?;
            if let Some(lease) = self.kurultai.agents().leader(ROLE).await?.filter(&fits) {
                return Ok(lease);
            }
            if begun.elapsed() > LONGEST {
                return Err(format!("nobody else has led for {LONGEST:?}").into());
            }
            sleep(Duration::from_millis(5)).await;
        }
    }

    /// Who leads, and has for a while.
    async fn settled(&self) -> Result<RoleLease> {
        loop {
            let lease = self.leader(|_| true).await?;
            sleep(Duration::from_millis(fastrand::u64(LEADS_MS))).await;
            // Meanwhile it may have handed the role back to whom it belongs.
            if self.leader(|_| true).await?.term == lease.term {
                return Ok(lease);
            }
        }
    }

    async fn kill(&mut self, lease: RoleLease) -> Result {
        let member = self.members.remove(&lease.holder).ok_or("whoever leads is none of ours")?;
        let killed = now();
        member.kill().await?;
        self.leader(|now| now.term > lease.term).await?;
        self.vacant.push((killed, now()));
        self.takeovers.kills += 1;
        self.hire(&lease.holder)
    }

    /// Stopped until another one leads; then it goes on, and tries to write as before.
    async fn stop(&mut self, lease: RoleLease) -> Result {
        let member = self.members.get(&lease.holder).ok_or("whoever leads is none of ours")?;
        let wrote = |ledger: &Ledger| ledger.wrote.get(&lease.holder).is_some_and(|term| *term == lease.term);
        // Or else it has nothing to go on with.
        let begun = monotonic();
        while !wrote(&self.staff.ledger()) && begun.elapsed() < Duration::from_secs(5) {
            sleep(Duration::from_millis(2)).await;
        }
        if !wrote(&self.staff.ledger()) {
            // It has handed the role back to whom it belongs.
            return Ok(());
        }
        member.signal("STOP").await?;
        let begun = monotonic();
        let mut taken = false;
        while !taken && begun.elapsed() < Duration::from_secs(20) {
            // Stopped in the midst of a transaction it keeps everybody from writing.
            let now = self.kurultai.agents().leader(ROLE).await;
            taken = now.is_ok_and(|now| now.is_some_and(|now| now.term > lease.term));
            sleep(Duration::from_millis(5)).await;
        }
        member.signal("CONT").await?;
        let key = (lease.holder.clone(), lease.term);
        let begun = monotonic();
        let refused = |ledger: &Ledger| ledger.refused_terms.get(&key).is_some_and(|n| *n > 0);
        while taken && !refused(&self.staff.ledger()) && begun.elapsed() < LONGEST {
            self.staff.check()?;
            sleep(Duration::from_millis(5)).await;
        }
        if taken && !refused(&self.staff.ledger()) {
            self.takeovers.unrefused.push(lease.holder.clone());
        }
        self.takeovers.stops += 1;
        Ok(())
    }
}

impl Takeovers {
    /// Everything that happened, in its order: what was stored under a term stands between its beginning and the next
    /// one's.
    async fn judge(&mut self, kurultai: &Kurultai) -> Result {
        let (mut after_seq, mut term) = (0, 0);
        loop {
            let filter = EventFilter { after_seq, limit: 1_000, ..EventFilter::default() };
            let page = kurultai.events().read(filter).await?;
            for event in &page.events {
                self.look(event, &mut term);
            }
            if page.events.len() < 1_000 {
                return Ok(());
            }
            after_seq = page.next;
        }
    }

    fn look(&mut self, event: &Event, term: &mut i64) {
        let told = event.payload.as_ref().map(|payload| payload.value()).unwrap_or_default();
        match event.topic.as_str() {
            "role.changed" if told["role"] == ROLE => {
                let new = told["term"].as_i64().unwrap_or_default();
                if told["to"].is_null() {
                    *term = 0;
                } else {
                    if self
                        .terms
                        .last()
                        .and_then(|last| last.parse().ok())
                        .is_some_and(|last: i64| last >= new)
                    {
                        self.wrong.push(format!("term {new} did not grow"));
                    }
                    self.terms.push(new.to_string());
                    *term = new;
                }
            }
            // Its type is `under-TERM`.
            "task.enqueued" => {
                let task_type = event.task_type.as_deref().unwrap_or_default();
                self.written += 1;
                if task_type.strip_prefix("under-") != Some(term.to_string().as_str()) {
                    self.wrong.push(format!("{task_type} at {} within term {term}", event.seq));
                }
            }
            _ => {}
        }
    }

    /// One holder at any time, and every stale write refused.
    pub fn check(&self) -> Result {
        let enough = self.written > 0 && (self.stops == 0 || self.refused > 0);
        if !self.wrong.is_empty() || !self.unrefused.is_empty() || !enough {
            return Err(format!("{self}").into());
        }
        Ok(())
    }

    /// Within the threshold and one check. When nobody ran, or a check was late, does not count.
    pub fn check_times(&self) -> Result {
        let slowest = self.after.iter().map(|(_, running)| *running).max().unwrap_or_default();
        if slowest > BOUND {
            Err(format!("taken over after {slowest:?} of their time: {self}").into())
        } else {
            Ok(())
        }
    }
}

impl fmt::Display for Takeovers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Takeovers { store, kills, stops, took, after, refused, written, wrong, terms, unrefused } = self;
        let (mut real, mut running): (Vec<f64>, Vec<f64>) =
            after.iter().map(|(real, running)| (real.as_secs_f64(), running.as_secs_f64())).unzip();
        real.sort_unstable_by(f64::total_cmp);
        running.sort_unstable_by(f64::total_cmp);
        let at = |sorted: &[f64], share: f64| {
            let place = (sorted.len() as f64 * share) as usize;
            sorted.get(place.min(sorted.len().saturating_sub(1))).copied().unwrap_or_default()
        };
        write!(
            f,
            "takeovers {store}: {} of {kills} after a kill within {:.0} s, p50 {:.2} s, p99 {:.2} s, max {:.2} s; of their own \
             time max {:.2} s (bound {:.1} s); {stops} stopped, {refused} stale writes refused; {written} tasks under {} \
             terms; out of their term {wrong:?}; not refused {unrefused:?}",
            after.len(),
            took.as_secs_f64(),
            at(&real, 0.5),
            at(&real, 0.99),
            at(&real, 1.0),
            at(&running, 1.0),
            BOUND.as_secs_f64(),
            terms.len(),
        )
    }
}

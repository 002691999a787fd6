//! What a run has left behind, counted from the store and its event log, then compared with what the processes said.

use super::{Result, arena::BACK_OFF, staff::Ledger};
use chrono::{DateTime, Utc};
use kurultai_core::{
    Kurultai,
    events::EventFilter,
    tasks::{Filter, Status, Task},
};
use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    time::Duration,
};

/// What a lapsed task may take beyond its lease to move on.
const SLACK: Duration = Duration::from_secs(2);

#[derive(Debug, Clone, Default)]
pub struct Report {
    pub store: &'static str,
    pub kills: usize,
    pub stops: usize,
    /// How often the server itself was killed.
    pub crashes: usize,
    pub tasks: usize,
    pub claims: usize,
    pub completed_twice: usize,
    /// Not completed, or acknowledged when it was added and not there.
    pub lost: usize,
    /// Claimed while somebody held it, or finished while nobody did.
    pub out_of_order: usize,
    /// Completions that a process was told of and that are not the store's.
    pub false_acknowledgements: usize,
    /// Numbers missing from the event log, or given twice.
    pub event_gaps: usize,
    /// Leases that ran out.
    pub lapsed: usize,
    /// Stale completions that were refused.
    pub refused: usize,
    /// How long a process or another of the run did not run; in the two next figures it does not count.
    pub stood_still: Duration,
    /// Errors after which a process repeated its call, by their codes.
    pub repeated: BTreeMap<String, usize>,
    /// From the end of a lapsed lease until the task was back in the queue, at most.
    pub slowest_return: Duration,
    /// From the end of a lapsed lease until the task was claimed again, at most.
    pub slowest_takeover: Duration,
    /// How many agents completed something.
    pub agents: usize,
}

#[derive(Default)]
struct Story {
    completed: usize,
    claimed_at: Option<DateTime<Utc>>,
    lapsed_at: Option<DateTime<Utc>>,
}

impl Report {
    pub async fn of(kurultai: &Kurultai, ledger: &Ledger, lease: Duration) -> Result<Self> {
        let mut report = Report {
            store: kurultai.store_name(),
            refused: ledger.refused.len(),
            repeated: ledger.repeated.clone(),
            stood_still: ledger.standstills.total(),
            ..Report::default()
        };
        let stories = report.read_events(kurultai, ledger, lease).await?;
        let tasks = every_task(kurultai).await?;
        report.tasks = tasks.len();
        let completed = |task: &Task| {
            let events = stories.get(&task.id).map_or(0, |story| story.completed);
            (task.status == Status::Completed, events)
        };
        report.lost = tasks.values().filter(|task| !completed(task).0 || completed(task).1 == 0).count()
            + ledger.added.iter().filter(|id| !tasks.contains_key(*id)).count();
        report.completed_twice =
            stories.values().filter(|story| story.completed > 1).count() + ledger.done_twice.len();
        let is_true = |(id, done): &(&String, &super::staff::Done)| {
            tasks.get(*id).is_some_and(|task| {
                task.status == Status::Completed
                    && task.lease_version == done.version
                    && task.claimed_by.as_deref() == Some(&done.agent)
                    && task.results.as_ref().is_some_and(|results| results.value()["claim"] == done.claim)
            })
        };
        report.false_acknowledgements = ledger.done.iter().filter(|entry| !is_true(entry)).count();
        Ok(report)
    }

    async fn read_events(
        &mut self,
        kurultai: &Kurultai,
        ledger: &Ledger,
        lease: Duration,
    ) -> Result<HashMap<String, Story>> {
        let mut stories: HashMap<String, Story> = HashMap::new();
        let mut agents = HashMap::new();
        let mut seen = 0;
        loop {
            let filter = EventFilter { after_seq: seen, limit: 10_000, ..EventFilter::default() };
            let events = kurultai.events().read(filter).await?.events;
            if events.is_empty() {
                break;
            }
            for event in events {
                if event.seq != seen + 1 {
                    self.event_gaps += 1;
                }
                seen = event.seq;
                let Some(id) = event.task_id else { continue };
                if event.topic == "task.completed" {
                    *agents.entry(event.source).or_insert(0usize) += 1;
                }
                let story = stories.entry(id).or_default();
                self.tell(story, &event.topic, event.created_at, ledger, lease);
            }
        }
        if kurultai.events().last_seq().await? != seen {
            self.event_gaps += 1;
        }
        self.agents = agents.len();
        Ok(stories)
    }

    fn tell(&mut self, story: &mut Story, topic: &str, at: DateTime<Utc>, ledger: &Ledger, lease: Duration) {
        let since = |then| ledger.standstills.running_time(then, at);
        match topic {
            "task.claimed" => {
                self.claims += 1;
                if let Some(lapsed) = story.lapsed_at.take() {
                    self.slowest_takeover = self.slowest_takeover.max(since(lapsed));
                }
                if story.claimed_at.replace(at).is_some() {
                    self.out_of_order += 1;
                }
            }
            "task.lapsed" => match story.claimed_at.take() {
                Some(claimed) => {
                    self.lapsed += 1;
                    self.slowest_return = self.slowest_return.max(since(claimed + lease));
                    story.lapsed_at = Some(claimed + lease);
                }
                None => self.out_of_order += 1,
            },
            "task.completed" => {
                story.completed += 1;
                if story.claimed_at.take().is_none() {
                    self.out_of_order += 1;
                }
            }
            "task.released" => story.claimed_at = None,
            _ => {}
        }
    }

    /// Fails unless everything was done exactly once.
    pub fn check(&self) -> Result {
        let wrong = self.lost
            + self.completed_twice
            + self.out_of_order
            + self.false_acknowledgements
            + self.event_gaps;
        if wrong == 0 { Ok(()) } else { Err(format!("{self}").into()) }
    }

    /// Fails unless the crashes hit callers, who learned that their call may have happened or did not happen.
    pub fn check_crashes(&self) -> Result {
        let told = |code: &str| self.repeated.get(code).is_some_and(|times| *times > 0);
        let both = told("store.outcome_unknown") && told("store.unavailable");
        if both { Ok(()) } else { Err(format!("the crashes hit nobody at work: {self}").into()) }
    }

    /// Fails unless each lapsed task moved on within its lease, two seconds and its back-off.
    pub fn check_takeovers(&self) -> Result {
        let in_time = self.slowest_return <= SLACK && self.slowest_takeover <= SLACK + BACK_OFF;
        if in_time { Ok(()) } else { Err(format!("too slow: {self}").into()) }
    }
}

async fn every_task(kurultai: &Kurultai) -> Result<HashMap<String, Task>> {
    let mut tasks = HashMap::new();
    let mut filter = Filter { limit: 1_000, ..Filter::default() };
    loop {
        let page = kurultai.tasks().list(filter.clone()).await?;
        tasks.extend(page.tasks.into_iter().map(|task| (task.id.clone(), task)));
        match page.next {
            Some(next) => filter.cursor = Some(next),
            None => return Ok(tasks),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let figures = serde_json::json!({
            "store": self.store,
            "kills": self.kills,
            "stops": self.stops,
            "crashes": self.crashes,
            "tasks": self.tasks,
            "claims": self.claims,
            "agents": self.agents,
            "completed_twice": self.completed_twice,
            "lost": self.lost,
            "out_of_order": self.out_of_order,
            "false_acknowledgements": self.false_acknowledgements,
            "event_gaps": self.event_gaps,
            "lapsed": self.lapsed,
            "refused": self.refused,
            "repeated": self.repeated,
            "stood_still_ms": self.stood_still.as_millis() as u64,
            "slowest_return_ms": self.slowest_return.as_millis() as u64,
            "slowest_takeover_ms": self.slowest_takeover.as_millis() as u64,
        });
        write!(f, "{figures}")
    }
}

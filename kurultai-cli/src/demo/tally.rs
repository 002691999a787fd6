//! What the store says after the run. Counted from its tasks and its event log, never from the workers' memory.

use super::story::key;
use kurultai_core::{
    Kurultai, Result,
    events::{Event, EventFilter},
    tasks::{Filter, Stats, Status, Task},
};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet, HashMap};

#[derive(Debug, Default, Serialize)]
pub(super) struct Tally {
    pub(super) plan: String,
    pub(super) store: &'static str,
    pub(super) tasks: usize,
    /// Tasks whose status is `completed`.
    pub(super) completed: usize,
    /// Tasks with more than one `task.completed`.
    pub(super) completed_twice: usize,
    /// Tasks that are not completed.
    pub(super) lost: usize,
    /// Claims before a prerequisite was completed.
    pub(super) order_violations: usize,
    /// Failed attempts that were followed by another; a lapsed lease is one.
    pub(super) retries: usize,
    /// Lapsed leases whose task somebody else claimed next.
    pub(super) takeovers: usize,
    pub(super) dead_letters_replayed: usize,
    /// From the first event to the last.
    pub(super) seconds: f64,
    #[serde(skip)]
    pub(super) details: Details,
}

/// What the summary says besides.
#[derive(Debug, Default)]
pub(super) struct Details {
    pub(super) stats: Stats,
    pub(super) dependencies: usize,
    pub(super) containers: usize,
    /// Key, and whether the lease had run out.
    pub(super) retried: Vec<(String, bool)>,
    /// Key, from whom, by whom.
    pub(super) taken_over: Vec<(String, String, String)>,
    pub(super) replayed: Vec<String>,
    pub(super) unfinished: Vec<(String, Status)>,
    /// By agent: tasks completed, seconds at work.
    pub(super) work: BTreeMap<String, (usize, f64)>,
}

impl Tally {
    pub(super) async fn of(kurultai: &Kurultai, plan: &str) -> Result<Self> {
        let (mut tasks, mut cursor) = (Vec::new(), None);
        loop {
            let page = kurultai.tasks().list(Filter { cursor, limit: 1000, ..Filter::default() }).await?;
            tasks.extend(page.tasks);
            match page.next {
                Some(next) => cursor = Some(next),
                None => break,
            }
        }
        let (mut events, mut after_seq): (Vec<Event>, i64) = (Vec::new(), 0);
        loop {
            let page = kurultai.events().read(EventFilter { after_seq, ..EventFilter::default() }).await?;
            if page.events.is_empty() {
                break;
            }
            after_seq = page.next;
            events.extend(page);
        }
        let mut tally = count(&tasks, &events);
        plan.clone_into(&mut tally.plan);
        tally.store = kurultai.store_name();
        tally.details.stats = kurultai.tasks().stats().await?;
        Ok(tally)
    }

    /// Every task completed exactly once, in an order that respects every dependency.
    pub(super) fn adds_up(&self) -> bool {
        self.tasks > 0
            && self.completed == self.tasks
            && self.completed_twice + self.lost + self.order_violations == 0
    }
}

fn count(tasks: &[Task], events: &[Event]) -> Tally {
    let keys: HashMap<&str, String> = tasks.iter().map(|t| (t.id.as_str(), key(&t.payload, &t.id))).collect();
    let name = |id: &str| keys.get(id).cloned().unwrap_or_else(|| id.to_owned());
    let mut completions: HashMap<&str, Vec<i64>> = HashMap::new();
    for event in events.iter().filter(|event| event.topic == "task.completed") {
        completions.entry(event.task_id.as_deref().unwrap_or_default()).or_default().push(event.seq);
    }
    let first = |id: &str| completions.get(id).and_then(|seqs| seqs.first()).copied().unwrap_or(i64::MAX);
    let prerequisites: HashMap<&str, &[String]> =
        tasks.iter().map(|task| (task.id.as_str(), task.depends_on.as_slice())).collect();

    let mut tally = Tally { tasks: tasks.len(), ..Tally::default() };
    let mut details = Details::default();
    tally.completed = tasks.iter().filter(|task| task.status == Status::Completed).count();
    tally.lost = tally.tasks - tally.completed;
    tally.completed_twice = completions.values().filter(|seqs| seqs.len() > 1).count();
    details.dependencies = tasks.iter().map(|task| task.depends_on.len()).sum();
    let parents: BTreeSet<&String> = tasks.iter().filter_map(|task| task.parent_id.as_ref()).collect();
    details.containers = parents.len();
    let unfinished = tasks.iter().filter(|task| task.status != Status::Completed);
    details.unfinished = unfinished.map(|task| (name(&task.id), task.status)).collect();

    let mut held: HashMap<&str, &Event> = HashMap::new();
    let mut lapsed: HashMap<&str, &str> = HashMap::new();
    for event in events {
        let Some(id) = event.task_id.as_deref() else { continue };
        let who = event.source.as_deref().unwrap_or_default();
        match event.topic.as_str() {
            "task.claimed" => {
                let waits = prerequisites.get(id).copied().unwrap_or_default();
                tally.order_violations += usize::from(waits.iter().any(|before| first(before) > event.seq));
                if let Some(before) = lapsed.remove(id).filter(|before| *before != who) {
                    details.taken_over.push((name(id), before.to_owned(), who.to_owned()));
                }
                held.insert(id, event);
            }
            "task.failed" => {
                details.retried.push((name(id), false));
                if let Some(claim) = held.remove(id) {
                    worked(&mut details, claim, event);
                }
            }
            "task.lapsed" => {
                details.retried.push((name(id), true));
                if let Some(claim) = held.remove(id) {
                    lapsed.insert(id, claim.source.as_deref().unwrap_or_default());
                }
            }
            "task.completed" | "task.dead_letter" | "task.released" => {
                if let Some(claim) = held.remove(id) {
                    worked(&mut details, claim, event);
                    let entry = details.work.entry(who.to_owned()).or_default();
                    entry.0 += usize::from(event.topic == "task.completed");
                }
            }
            "task.requeued" => details.replayed.push(name(id)),
            _ => {}
        }
    }
    tally.retries = details.retried.len();
    tally.takeovers = details.taken_over.len();
    tally.dead_letters_replayed = details.replayed.len();
    if let (Some(first), Some(last)) = (events.first(), events.last()) {
        let seconds = (last.created_at - first.created_at).as_seconds_f64();
        tally.seconds = (seconds * 1000.0).round() / 1000.0;
    }
    tally.details = details;
    tally
}

fn worked(details: &mut Details, claim: &Event, end: &Event) {
    let who = claim.source.clone().unwrap_or_default();
    details.work.entry(who).or_default().1 += (end.created_at - claim.created_at).as_seconds_f64();
}

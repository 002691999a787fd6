//! The event log in words, and who does what at the moment.

use crate::text::{clean, now};
use chrono::{DateTime, Local, Utc};
use kurultai_core::{agents::NewAgent, events::Event, tasks::NewTask};
use std::collections::{BTreeMap, HashMap, HashSet};

pub(super) struct Story {
    /// Display names, in the plan's order.
    agents: Vec<(String, String)>,
    /// Key and title.
    tasks: HashMap<String, (String, String)>,
    done: HashSet<String>,
    holds: BTreeMap<String, String>,
    /// Tasks whose lease ran out, with their last holder.
    lapsed: HashMap<String, String>,
    replayed: HashSet<String>,
    away: HashSet<String>,
}

/// What the director follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seen {
    TakenOver,
    DeadLetter,
    Other,
}

impl Story {
    pub(super) fn new(agents: &[NewAgent], tasks: &[NewTask]) -> Self {
        let name = |agent: &NewAgent| clean(agent.display_name.as_deref().unwrap_or(&agent.id));
        let label = |task: &NewTask| (key(&task.payload, &task.id), clean(&task.title));
        Story {
            agents: agents.iter().map(|agent| (agent.id.clone(), name(agent))).collect(),
            tasks: tasks.iter().map(|task| (task.id.clone(), label(task))).collect(),
            done: HashSet::new(),
            holds: BTreeMap::new(),
            lapsed: HashMap::new(),
            replayed: HashSet::new(),
            away: HashSet::new(),
        }
    }

    pub(super) fn agent<'a>(&'a self, id: &'a str) -> &'a str {
        self.agents.iter().find(|(known, _)| known == id).map_or(id, |(_, name)| name)
    }

    pub(super) fn task<'a>(&'a self, id: &'a str) -> &'a str {
        self.tasks.get(id).map_or(id, |(key, _)| key)
    }

    pub(super) fn all_done(&self) -> bool {
        self.done.len() >= self.tasks.len()
    }

    pub(super) fn progress(&self) -> (usize, usize) {
        (self.done.len(), self.tasks.len())
    }

    pub(super) fn set_away(&mut self, agent: &str, away: bool) {
        if away {
            self.away.insert(agent.to_owned())
        } else {
            self.away.remove(agent)
        };
    }

    /// Each agent's name with what it does now.
    pub(super) fn doings(&self) -> impl Iterator<Item = (&str, String)> {
        self.agents.iter().map(|(id, name)| {
            let task = self.holds.iter().find(|(_, holder)| *holder == id).map(|(task, _)| task);
            let words = match task.and_then(|task| self.tasks.get(task)) {
                _ if self.away.contains(id) => "(gone)".to_owned(),
                Some((key, title)) => format!("{key}  {title}"),
                None => "·".to_owned(),
            };
            (name.as_str(), words)
        })
    }

    /// Takes note of an event; returns words where it is worth some.
    pub(super) fn hear(&mut self, event: &Event) -> (Option<String>, Seen) {
        let Some(id) = &event.task_id else { return (None, Seen::Other) };
        let (who, what) = (event.source.as_deref().unwrap_or("the store"), self.task(id).to_owned());
        let name = self.agent(who).to_owned();
        let reason = reason(event);
        match event.topic.as_str() {
            "task.claimed" => {
                self.holds.insert(id.clone(), who.to_owned());
                let before = self.lapsed.remove(id).filter(|before| before != who);
                let Some(before) = before else { return (None, Seen::Other) };
                let words = format!("{name} takes {what} over from {}", self.agent(&before));
                return (Some(at(event.created_at, &words)), Seen::TakenOver);
            }
            "task.completed" => {
                self.holds.remove(id);
                self.done.insert(id.clone());
                let words = self.replayed.remove(id).then(|| format!("{name} completes {what} after all"));
                return (words.map(|words| at(event.created_at, &words)), Seen::Other);
            }
            _ => {}
        }
        let (words, seen) = match event.topic.as_str() {
            "task.failed" => {
                self.holds.remove(id);
                (Some(format!("{name} fails at {what}, which will be tried again: {reason}")), Seen::Other)
            }
            "task.lapsed" => {
                let before = self.holds.remove(id).unwrap_or_default();
                self.lapsed.insert(id.clone(), before);
                (Some(format!("the lease on {what} has run out; it is free again")), Seen::Other)
            }
            "task.dead_letter" => {
                self.holds.remove(id);
                (Some(format!("{name} gives up {what}, now a dead letter: {reason}")), Seen::DeadLetter)
            }
            "task.requeued" => {
                self.replayed.insert(id.clone());
                (Some(format!("the operator replays {what}")), Seen::Other)
            }
            "task.released" | "task.waiting" => {
                self.holds.remove(id);
                (None, Seen::Other)
            }
            _ => (None, Seen::Other),
        };
        (words.map(|words| at(event.created_at, &words)), seen)
    }

    /// Words about what happens outside the store.
    pub(super) fn now(&self, words: impl AsRef<str>) -> String {
        at(now(), words.as_ref())
    }
}

fn at(time: DateTime<Utc>, words: &str) -> String {
    format!("{}  {words}", time.with_timezone(&Local).format("%H:%M:%S"))
}

fn reason(event: &Event) -> String {
    let payload = event.payload.as_ref().map(|payload| payload.value()).unwrap_or_default();
    clean(payload.get("reason").and_then(|reason| reason.as_str()).unwrap_or("no reason given"))
}

/// A task's key in its plan.
pub(super) fn key(payload: &kurultai_core::Json, id: &str) -> String {
    let payload = payload.value();
    clean(payload.get("key").and_then(|key| key.as_str()).unwrap_or(id))
}

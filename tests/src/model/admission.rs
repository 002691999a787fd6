//! What enters the model: enqueue and depend.

use super::{
    ops::{AGENTS, RETRY_CAP, SKILLS, Spec, TYPES, Until},
    reference::{Model, Task},
};
use kurultai_core::tasks::{DependencyType, Status};
use std::collections::{BTreeMap, BTreeSet};

/// Few, so that it is met.
pub(super) const MAX_DEPTH: u32 = 3;

/// An error's code.
pub(super) type Refused = &'static str;

/// What the edges and parents of a call name: positions in the model after the call, had nothing been refused.
#[derive(Debug, Clone)]
pub(super) struct Names {
    pub(super) edges: Vec<(usize, DependencyType)>,
    pub(super) parent: Option<usize>,
}

impl Model {
    /// The id and whether it was there already, of each; or why none was added.
    pub(super) fn enqueue(
        &mut self,
        specs: &[Spec],
        names: &[Names],
        ids: &[String],
    ) -> Result<Vec<(String, bool)>, Refused> {
        let before = self.tasks.len();
        let mut lost = Vec::new();
        let added = self.admit(specs, names, ids, &mut lost);
        if added.is_err() {
            self.tasks.truncate(before);
            for (task, key, gave_up_key) in lost {
                (self.tasks[task].unique_key, self.tasks[task].gave_up_key) = (key, gave_up_key);
            }
        }
        added
    }

    fn admit(
        &mut self,
        specs: &[Spec],
        names: &[Names],
        ids: &[String],
        lost: &mut Vec<(usize, Option<String>, bool)>,
    ) -> Result<Vec<(String, bool)>, Refused> {
        let before = self.tasks.len();
        let (mut answers, mut places, mut fresh) = (Vec::new(), Vec::new(), Vec::new());
        for (index, (spec, id)) in specs.iter().zip(ids).enumerate() {
            let key = spec.unique_key.map(|key| format!("key{key}"));
            let keeps = |task: &Task| !task.status.is_finished() || task.status == Status::Completed;
            let of_key = self.tasks.iter().position(|task| key.is_some() && task.unique_key == key);
            let twin = of_key.filter(|twin| keeps(&self.tasks[*twin]));
            if let Some(twin) = twin {
                let found = &self.tasks[twin];
                if found.task_type != TYPES[spec.task_type] || found.payload != spec.payload {
                    return Err("task.conflict");
                }
                answers.push((found.id.clone(), true));
                places.push(twin);
            } else {
                answers.push((id.clone(), false));
                places.push(self.tasks.len());
                fresh.push((self.tasks.len(), index));
                if let Some(before) = of_key {
                    lost.push((before, key.clone(), self.tasks[before].gave_up_key));
                    self.tasks[before].unique_key = None;
                    self.tasks[before].gave_up_key = true;
                }
                self.tasks.push(self.new_task(spec, key, id));
            }
        }
        let place = |name: usize| if name < before { name } else { places[name - before] };
        for (task, index) in &fresh {
            for (on, kind) in &names[*index].edges {
                self.tasks[*task].edges.entry(place(*on)).or_insert(*kind);
            }
            let parent = names[*index].parent.map(place);
            if parent.is_some_and(|parent| self.tasks[parent].status.is_finished()) {
                return Err("task.conflict");
            }
            self.tasks[*task].parent = parent;
        }
        if (before..self.tasks.len()).any(|task| self.is_on_a_cycle_of(task, before)) {
            return Err("task.dependency_cycle");
        }
        if fresh.iter().any(|(task, _)| self.depth(*task) > MAX_DEPTH) {
            return Err("task.too_deep");
        }
        if fresh.iter().any(|(task, _)| self.is_on_a_cycle(*task)) {
            return Err("task.dependency_cycle");
        }
        for (task, _) in &fresh {
            self.connect(*task);
        }
        Ok(answers)
    }

    /// How many tasks are above it.
    fn depth(&self, task: usize) -> u32 {
        self.tasks[task].parent.map_or(0, |parent| 1 + self.depth(parent))
    }

    /// Whether it waits for itself by way of tasks from `first` on alone.
    fn is_on_a_cycle_of(&self, task: usize, first: usize) -> bool {
        let next = |from: usize| {
            let children =
                (first..self.tasks.len()).filter(move |child| self.tasks[*child].parent == Some(from));
            blocking(&self.tasks[from].edges).filter(|on| *on >= first).chain(children).collect::<Vec<_>>()
        };
        let (mut seen, mut open) = (BTreeSet::new(), next(task));
        while let Some(on) = open.pop() {
            if seen.insert(on) {
                open.extend(next(on));
            }
        }
        seen.contains(&task) || self.tasks[task].edges.contains_key(&task)
    }

    fn is_on_a_cycle(&self, task: usize) -> bool {
        let direct = blocking(&self.tasks[task].edges);
        let children = (0..self.tasks.len()).filter(|child| self.tasks[*child].parent == Some(task));
        let own = self.tasks[task].edges.contains_key(&task);
        own || direct.chain(children).any(|next| self.waits_for(next, task))
    }

    fn connect(&mut self, index: usize) {
        let task = &self.tasks[index];
        let (rank, parent) = (task.rank, task.parent);
        let on: Vec<usize> = blocking(&task.edges).collect();
        if !on.is_empty() {
            self.block(index);
        }
        on.into_iter().for_each(|on| self.raise(on, rank));
        if let Some(parent) = parent {
            self.block(parent);
        }
    }

    /// From the queue to those who wait. Its claim is remembered, for a holder that repeats itself.
    fn block(&mut self, index: usize) {
        if self.tasks[index].status == Status::Pending {
            self.tasks[index].turn(Status::Blocked);
        }
    }

    fn new_task(&self, spec: &Spec, unique_key: Option<String>, id: &str) -> Task {
        let mut task = Task {
            id: id.to_owned(),
            task_type: TYPES[spec.task_type],
            payload: spec.payload,
            unique_key,
            priority: spec.rank,
            rank: spec.rank,
            weight: weight(spec.heavy),
            required: spec.required.map(|skill| SKILLS[skill]).into_iter().collect(),
            preferred: spec.preferred.map(|skill| SKILLS[skill]).into_iter().collect(),
            assigned_to: spec.assigned_to.map(|agent| AGENTS[agent].0),
            policy: spec.policy,
            wait_for: spec.wait_for,
            parent: None,
            edges: BTreeMap::new(),
            max_attempts: spec.max_attempts,
            retry_base: spec.retry_base * 1000,
            retry_cap: RETRY_CAP * 1000,
            timeout: None,
            status: Status::Pending,
            claimable: false,
            attempts: 0,
            lapses: 0,
            gave_up_key: false,
            version: 0,
            claimed_by: None,
            lease_until: 0,
            run_at: None,
            expires_at: None,
            control: None,
            ended: None,
        };
        match spec.expiry {
            Some(Until::After(seconds)) => task.timeout = Some(seconds * 1000),
            Some(Until::At(seconds)) => task.expires_at = Some(self.now + seconds * 1000),
            None => {}
        }
        task.queue(self.now, spec.delay.map(|delay| self.now + delay * 1000));
        task
    }

    pub(super) fn add_dependency(
        &mut self,
        dependent: usize,
        on: usize,
        kind: DependencyType,
    ) -> Result<(), Refused> {
        if dependent == on {
            return Err("task.dependency_cycle");
        }
        let status = self.tasks[dependent].status;
        if status == Status::InProgress || status.is_finished() {
            return Err("task.state");
        }
        if kind == DependencyType::Blocks && self.waits_for(on, dependent) {
            return Err("task.dependency_cycle");
        }
        self.tasks[dependent].edges.insert(on, kind);
        if kind == DependencyType::Blocks {
            self.raise(on, self.tasks[dependent].rank);
            if self.tasks[on].status != Status::Completed {
                self.block(dependent);
            }
        }
        Ok(())
    }
}

/// In thousandths.
pub(super) fn weight(heavy: bool) -> i64 {
    if heavy { 900 } else { 500 }
}

pub(super) fn blocking(edges: &BTreeMap<usize, DependencyType>) -> impl Iterator<Item = usize> {
    edges.iter().filter(|(_, kind)| **kind == DependencyType::Blocks).map(|(on, _)| *on)
}

//! What may be enqueued: repetitions found, edges resolved, cycles named. Pure.

use super::{new_task::*, types::*};
use crate::{
    error::{Error, Result},
    json::Json,
};
use std::collections::{HashMap, HashSet};

/// What the store knows of ids and unique keys that a batch names.
#[derive(Debug, Default)]
pub(crate) struct Known {
    by_id: HashMap<String, Existing>,
    by_key: HashMap<String, String>,
    /// Keys that new tasks took over, with the tasks that had them.
    taken_over: HashMap<String, String>,
    above: HashMap<String, Ancestor>,
}

/// What of a task those below it are judged by.
#[derive(Debug, Clone)]
pub(crate) struct Ancestor {
    pub(crate) parent_id: Option<String>,
    pub(crate) task_type: String,
    pub(crate) delegated_by: Option<String>,
    /// `None` in the first task of a chain that nobody named.
    pub(crate) correlation_id: Option<String>,
}

impl Ancestor {
    fn of(task: &NewTask) -> Self {
        Ancestor {
            parent_id: task.parent_id.clone(),
            task_type: task.task_type.clone(),
            delegated_by: task.delegated_by.clone(),
            correlation_id: task.correlation_id.clone(),
        }
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Existing {
    pub(crate) task_type: String,
    pub(crate) payload: Json,
    pub(crate) status: Status,
}

impl Known {
    pub(crate) fn add(&mut self, id: String, unique_key: Option<String>, existing: Existing) {
        if let Some(key) = unique_key {
            self.by_key.insert(key, id.clone());
        }
        self.by_id.insert(id, existing);
    }

    /// The tasks that were there before whose ancestors [`unit`] needs to know of, with themselves.
    pub(crate) fn parents(&self, units: &[Vec<NewTask>]) -> HashSet<String> {
        let mut parents: HashSet<String> =
            units.iter().flatten().filter_map(|t| t.parent_id.clone()).collect();
        if !parents.is_empty() {
            // What stands for a repetition can be a parent too.
            parents.extend(self.by_key.values().cloned());
        }
        parents
    }

    pub(crate) fn add_above(&mut self, id: String, ancestor: Ancestor) {
        self.above.insert(id, ancestor);
    }

    /// Those were refused after all.
    pub(crate) fn forget<'a>(&mut self, tasks: impl Iterator<Item = &'a NewTask>) {
        for task in tasks {
            self.by_id.remove(&task.id);
            self.above.remove(&task.id);
            if let Some(key) = &task.unique_key {
                self.by_key.remove(key);
                self.by_key.extend(self.taken_over.remove_entry(key));
            }
        }
    }

    /// The tasks that lose their unique key to a new one.
    pub(crate) fn without_key(&self) -> Vec<String> {
        self.taken_over.values().cloned().collect()
    }

    /// The task that stands for a new one already, with its id.
    fn twin(&self, task: &NewTask) -> Option<(&String, &Existing)> {
        let by_key = task.unique_key.as_ref().and_then(|key| self.by_key.get(key));
        let by_key = by_key.filter(|id| !self.gives_its_key(id));
        by_key.or(Some(&task.id)).and_then(|id| self.by_id.get_key_value(id))
    }
}

impl Known {
    /// What ended without being completed stands in nobody's way.
    fn gives_its_key(&self, id: &str) -> bool {
        self.by_id.get(id).is_some_and(|task| task.status.is_finished() && task.status != Status::Completed)
    }

    fn add_new(&mut self, task: &NewTask) {
        if let Some(key) = &task.unique_key
            && let Some(id) = self.by_key.get(key).filter(|id| self.gives_its_key(id))
        {
            self.taken_over.insert(key.clone(), id.clone());
        }
        let (task_type, payload) = (task.task_type.clone(), task.payload.clone());
        let existing = Existing { task_type, payload, status: Status::Pending };
        self.add(task.id.clone(), task.unique_key.clone(), existing);
    }
}

/// A task to insert.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) task: NewTask,
    /// Its priority, or that of the most urgent task of the batch that waits for it.
    pub(crate) rank: Priority,
    /// Starts blocked: it has `blocks` edges, or children in its batch.
    pub(crate) blocked: bool,
}

impl Row {
    /// Of a task that names no other.
    pub(crate) fn plain(task: NewTask) -> Self {
        Row { rank: task.priority, blocked: false, task }
    }
}

#[derive(Debug, Default)]
pub(crate) struct Admitted {
    pub(crate) rows: Vec<Row>,
    pub(crate) enqueued: Vec<Enqueued>,
}

/// Whether a unit can be inserted without knowing anything of what is there.
pub(crate) fn is_plain(unit: &[NewTask]) -> bool {
    unit.iter().all(|t| t.unique_key.is_none() && t.depends_on.is_empty() && t.parent_id.is_none())
}

/// The ids and the unique keys that [`unit`] needs to know of.
pub(crate) fn names(units: &[Vec<NewTask>]) -> (Vec<String>, Vec<String>) {
    let tasks = || units.iter().flatten();
    let ids = tasks().flat_map(|t| {
        let edges = t.depends_on.iter().map(|d| d.prerequisite.clone());
        edges.chain(t.parent_id.clone()).chain([t.id.clone()])
    });
    let mut ids: Vec<String> = ids.collect();
    ids.sort_unstable();
    ids.dedup();
    (ids, tasks().filter_map(|t| t.unique_key.clone()).collect())
}

/// Admits one caller's tasks whole, or says why not. What it admits is known to the units after it.
pub(crate) fn unit(tasks: Vec<NewTask>, known: &mut Known, max_depth: u32) -> Result<Admitted> {
    let plain = is_plain(&tasks);
    let mut fresh = Vec::with_capacity(tasks.len());
    let admitted = sift(tasks, known, &mut fresh).and_then(|(enqueued, aliases)| {
        if !plain {
            resolve(&mut fresh, &aliases, known)?;
            acyclic(&fresh)?;
            descend(&mut fresh, known, max_depth)?;
        }
        Ok(enqueued)
    });
    let enqueued = match admitted {
        Ok(enqueued) => enqueued,
        Err(error) => {
            known.forget(fresh.iter());
            return Err(error);
        }
    };
    if plain {
        return Ok(Admitted { rows: fresh.into_iter().map(Row::plain).collect(), enqueued });
    }
    let ranks = ranks(&fresh);
    let parents: HashSet<String> = fresh.iter().filter_map(|t| t.parent_id.clone()).collect();
    let rows = fresh.into_iter().map(|task| Row {
        rank: ranks[&task.id],
        blocked: parents.contains(&task.id) || blocking(&task).next().is_some(),
        task,
    });
    Ok(Admitted { rows: rows.collect(), enqueued })
}

/// The answer to each task, and whose id stands for which repetition's. New tasks become known and go into `fresh`.
fn sift(
    tasks: Vec<NewTask>,
    known: &mut Known,
    fresh: &mut Vec<NewTask>,
) -> Result<(Vec<Enqueued>, HashMap<String, String>)> {
    let (mut enqueued, mut aliases) = (Vec::with_capacity(tasks.len()), HashMap::new());
    for task in tasks {
        match known.twin(&task) {
            Some((id, twin))
                if twin.task_type == task.task_type && twin.payload.says_the_same(&task.payload) =>
            {
                enqueued.push(Enqueued { id: id.clone(), deduplicated: true });
                aliases.insert(task.id, id.clone());
            }
            Some((id, _)) => {
                let name = task.unique_key.as_deref().unwrap_or(&task.id);
                let message = format!("{name:?} is task {id} with another type or payload");
                return Err(Error::conflict("task.conflict", message));
            }
            None => {
                enqueued.push(Enqueued { id: task.id.clone(), deduplicated: false });
                known.add_new(&task);
                fresh.push(task);
            }
        }
    }
    Ok((enqueued, aliases))
}

fn blocking(task: &NewTask) -> impl Iterator<Item = &str> {
    task.depends_on
        .iter()
        .filter(|d| d.dependency_type == DependencyType::Blocks)
        .map(|d| d.prerequisite.as_str())
}

/// Points edges at the tasks that exist or come along, and refuses the rest.
fn resolve(tasks: &mut [NewTask], aliases: &HashMap<String, String>, known: &Known) -> Result<()> {
    for task in tasks {
        for edge in &mut task.depends_on {
            if let Some(id) = aliases.get(&edge.prerequisite) {
                edge.prerequisite.clone_from(id);
            }
            let id = &edge.prerequisite;
            if !known.by_id.contains_key(id) {
                let message = format!("task {:?} depends on {id:?}, which does not exist", task.id);
                return Err(Error::new(crate::error::Kind::Input, "task.dependency_unknown", message));
            }
        }
        let mut edges = HashSet::new();
        task.depends_on.retain(|edge| edges.insert(edge.prerequisite.clone()));
        let Some(parent) = &mut task.parent_id else { continue };
        if let Some(id) = aliases.get(parent) {
            parent.clone_from(id);
        }
        match known.by_id.get(parent) {
            None => return Err(Error::task_not_found(parent)),
            Some(found) if found.status.is_finished() => {
                let message = format!("parent {parent} is {} and takes no more children", found.status);
                return Err(Error::conflict("task.conflict", message));
            }
            Some(_) => {}
        }
    }
    Ok(())
}

/// Hands correlation ids down, and refuses what is too deep or is given back to who gave it on.
fn descend(tasks: &mut [NewTask], known: &mut Known, max_depth: u32) -> Result<()> {
    for task in &*tasks {
        known.add_above(task.id.clone(), Ancestor::of(task));
    }
    for task in tasks.iter_mut().filter(|task| task.parent_id.is_some()) {
        let (mut depth, mut next) = (0, task.parent_id.as_ref());
        let mut delegators: Vec<&str> = task.delegated_by.as_deref().into_iter().collect();
        let mut correlation_id = task.correlation_id.clone();
        while let Some((id, above)) = next.and_then(|id| known.above.get_key_value(id)) {
            depth += 1;
            if depth > max_depth {
                return Err(too_deep(&task.id, max_depth));
            }
            if above.task_type == task.task_type && task.delegated_by.is_some() {
                delegators.extend(above.delegated_by.as_deref());
                is_given_back(&task.id, &task.task_type, task.assigned_to.as_deref(), &delegators)?;
            }
            next = above.parent_id.as_ref();
            let root = next.is_none().then_some(id);
            correlation_id = correlation_id.or_else(|| above.correlation_id.as_ref().or(root).cloned());
        }
        task.correlation_id = correlation_id;
    }
    Ok(())
}

fn too_deep(id: &str, max_depth: u32) -> Error {
    let message =
        format!("task {id:?} has more than {max_depth} tasks above it; allowed: max_depth, {max_depth} here");
    Error::new(crate::error::Kind::Input, "task.too_deep", message)
}

/// Whether a task that is there already may be given to this agent; `above` has the tasks above it, the nearest first.
pub(super) fn may_be_given(task: &Task, agent: &str, above: &[Task]) -> Result<()> {
    let Some(by) = task.delegated_by.as_deref() else { return Ok(()) };
    let mut delegators = vec![by];
    for above in above.iter().filter(|above| above.task_type == task.task_type) {
        delegators.extend(above.delegated_by.as_deref());
        is_given_back(&task.id, &task.task_type, Some(agent), &delegators)?;
    }
    Ok(())
}

/// `delegators` gave on tasks of this type, the nearest first, which is this task's own. Who plans for itself gives
/// nothing back.
fn is_given_back(id: &str, task_type: &str, agent: Option<&str>, delegators: &[&str]) -> Result<()> {
    let (Some(agent), Some(by)) = (agent, delegators.first()) else {
        return Ok(());
    };
    if *by == agent || delegators.last() != Some(&agent) {
        return Ok(());
    }
    let chain = delegators.iter().rev().chain([&agent]).copied().collect::<Vec<_>>().join(" -> ");
    let message = format!("task {id:?} of type {task_type:?} would be given back to who gave it on: {chain}");
    Err(Error::new(crate::error::Kind::Input, "task.delegation_cycle", message))
}

/// What a task waits for within its batch: prerequisites that block it, and children for their parent.
fn acyclic(tasks: &[NewTask]) -> Result<()> {
    let mut waits: HashMap<&str, Vec<&str>> = HashMap::new();
    for task in tasks {
        waits.entry(&task.id).or_default().extend(waited_for(task));
        if let Some(parent) = &task.parent_id {
            waits.entry(parent).or_default().push(&task.id);
        }
    }
    // What is not done is on the path.
    let mut done: HashMap<&str, bool> = HashMap::with_capacity(tasks.len());
    for task in tasks {
        let mut path: Vec<(&str, usize)> = vec![];
        let mut next = Some(task.id.as_str());
        loop {
            match next.map(|id| (id, done.get(id))) {
                Some((id, None)) => {
                    done.insert(id, false);
                    path.push((id, 0));
                }
                Some((id, Some(false))) => {
                    let start = path.iter().position(|(on_path, _)| *on_path == id).unwrap_or_default();
                    let cycle = path[start..].iter().map(|(id, _)| *id).chain([id]);
                    return Err(cycle_error(cycle));
                }
                Some((_, Some(true))) => {}
                None => drop(path.pop().map(|(id, _)| done.insert(id, true))),
            }
            let Some((id, place)) = path.last_mut() else { break };
            next = waits.get(id).and_then(|targets| targets.get(*place)).copied();
            *place += 1;
        }
    }
    Ok(())
}

/// The tasks without which a task waits; an edge to itself is never meant.
pub(crate) fn waited_for(task: &NewTask) -> impl Iterator<Item = &str> {
    let waits = |d: &&Dependency| d.dependency_type == DependencyType::Blocks || d.prerequisite == task.id;
    task.depends_on.iter().filter(waits).map(|d| d.prerequisite.as_str())
}

/// `task.dependency_cycle`, naming the tasks in the order they would wait.
pub(crate) fn cycle_error<'a>(cycle: impl Iterator<Item = &'a str>) -> Error {
    let named = cycle.collect::<Vec<_>>().join(" -> ");
    let message = format!("these tasks would wait for each other for ever: {named}");
    Error::new(crate::error::Kind::Input, "task.dependency_cycle", message)
}

/// A prerequisite of a P0 is served as a P0.
fn ranks(tasks: &[NewTask]) -> HashMap<String, Priority> {
    let mut ranks: HashMap<String, Priority> = tasks.iter().map(|t| (t.id.clone(), t.priority)).collect();
    let edges: HashMap<&str, Vec<&str>> =
        tasks.iter().map(|t| (t.id.as_str(), blocking(t).collect())).collect();
    let mut raised: Vec<&str> = edges.keys().copied().collect();
    while let Some(id) = raised.pop() {
        let rank = ranks[id];
        for prerequisite in edges.get(id).into_iter().flatten() {
            if let Some(theirs) = ranks.get_mut(*prerequisite).filter(|theirs| **theirs > rank) {
                *theirs = rank;
                raised.push(prerequisite);
            }
        }
    }
    ranks
}

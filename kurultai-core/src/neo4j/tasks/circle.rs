//! Circles that new tasks would close. A new task closes one only as the child of a task that was there before, which
//! then waits for it; the rest of the circle may lead through other units of the batch and through old tasks.

use crate::tasks::admit::{self, Row};
use std::collections::{BTreeMap, HashMap, HashSet, hash_map::Entry};

/// What new tasks wait for, and their parents: edges that are not in the database yet.
pub(super) type Waits = HashMap<String, Vec<String>>;

/// The ways between old tasks that the database told of, by their start.
#[derive(Debug, Default)]
pub(super) struct Ways(HashMap<String, Vec<Vec<String>>>);

impl Ways {
    pub(super) fn add(&mut self, way: Vec<String>) {
        let Some(start) = way.first() else { return };
        let known = self.0.entry(start.clone()).or_default();
        known.retain(|other| other.last() != way.last());
        known.push(way);
    }

    pub(super) fn ends(&self) -> impl Iterator<Item = [&str; 2]> {
        self.0.values().flatten().filter_map(|way| Some([way.first()?.as_str(), way.last()?.as_str()]))
    }
}

/// The circle that the unit's rows close. Remembers the edges of rows that close none.
pub(super) fn circle(rows: &[Row], waits: &mut Waits, ways: &Ways) -> Option<Vec<String>> {
    let own: HashSet<&str> = rows.iter().map(|row| row.task.id.as_str()).collect();
    join(rows, waits);
    if rows.iter().all(|row| row.task.depends_on.is_empty()) {
        return None;
    }
    let mut children: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for Row { task, .. } in rows {
        if let Some(parent) = task.parent_id.as_deref().filter(|parent| !own.contains(parent)) {
            children.entry(parent).or_default().push(&task.id);
        }
    }
    let mut circle = children.iter().find_map(|(parent, from)| way(from, parent, waits, ways))?;
    waits.retain(|id, _| !own.contains(id.as_str()));
    for parent in children.keys() {
        if let Some(waited_for) = waits.get_mut(*parent) {
            waited_for.retain(|id| !own.contains(id.as_str()));
        }
    }
    circle.extend(circle.first().cloned());
    Some(circle)
}

fn join(rows: &[Row], waits: &mut Waits) {
    for Row { task, .. } in rows {
        let edges = admit::waited_for(task).map(str::to_owned);
        waits.entry(task.id.clone()).or_default().extend(edges);
        if let Some(parent) = &task.parent_id {
            waits.entry(parent.clone()).or_default().push(task.id.clone());
        }
    }
}

/// The ids on the way along which one of `from` waits for `to`.
fn way(from: &[&str], to: &str, waits: &Waits, ways: &Ways) -> Option<Vec<String>> {
    let mut came_by: HashMap<&str, &[String]> = from.iter().map(|id| (*id, [].as_slice())).collect();
    let (mut next, mut steps) = (from.to_vec(), HashMap::new());
    while let Some(id) = next.pop() {
        for on in waits.get(id).into_iter().flatten() {
            if let Entry::Vacant(entry) = came_by.entry(on) {
                entry.insert(&[]);
                steps.insert(on.as_str(), id);
                next.push(on);
            }
        }
        for way in ways.0.get(id).into_iter().flatten() {
            let Some((end, way)) = way.split_last() else { continue };
            if let Entry::Vacant(entry) = came_by.entry(end) {
                entry.insert(&way[1..]);
                steps.insert(end.as_str(), id);
                next.push(end);
            }
        }
    }
    came_by.get(to)?;
    let (mut path, mut last) = (vec![to.to_owned()], to);
    while let Some(before) = steps.get(last) {
        path.extend(came_by[last].iter().rev().cloned());
        path.push((*before).to_owned());
        last = before;
    }
    path.reverse();
    Some(path)
}

/// The pairs of old tasks between which a way would matter: from what a new task waits for to a parent of new ones.
pub(super) fn guards(rows: &[Row]) -> Vec<[String; 2]> {
    let new: HashSet<&str> = rows.iter().map(|row| row.task.id.as_str()).collect();
    let parents = rows.iter().filter_map(|row| row.task.parent_id.as_deref());
    let hosts: HashSet<&str> = parents.filter(|parent| !new.contains(parent)).collect();
    let mut waits = Waits::new();
    if !hosts.is_empty() {
        join(rows, &mut waits);
    }
    let (mut seen, mut next) = (hosts.clone(), hosts.iter().copied().collect::<Vec<_>>());
    let mut outside = HashSet::new();
    while let Some(id) = next.pop() {
        for on in waits.get(id).into_iter().flatten().map(String::as_str) {
            if !new.contains(on) {
                outside.insert(on);
            }
            if seen.insert(on) {
                next.push(on);
            }
        }
    }
    let pairs = outside.iter().flat_map(|from| hosts.iter().map(|to| [(*from).to_owned(), (*to).to_owned()]));
    pairs.filter(|[from, to]| from != to).collect()
}

//! Who gets what, and in which order. Pure functions.

use super::{new_task::NewTask, types::Priority};
use crate::clock::Micros;
use std::{cmp::Reverse, collections::HashMap};

/// 2020-01-01: sort keys count microseconds from here and have room for 35 years.
pub(crate) const EPOCH: Micros = 1_577_836_800_000_000;
/// A rank in a sort key.
pub(crate) const RANK: i64 = 1 << 60;
/// A thousandth of a weight in a sort key. Below it only age counts.
pub(crate) const LIGHTEST: i64 = 1 << 50;

/// A task's sort key is this plus the microseconds since [`EPOCH`]: rank, then weight, then age; lowest first.
pub(crate) fn sort_base(priority: Priority, weight: f64) -> i64 {
    let lightness = 1000 - (weight * 1000.0).round() as i64;
    priority as i64 * RANK + (lightness << 50)
}

/// The kind of claimer a task needs. Tasks of one route differ in order only, so a claim looks at the heads of
/// the routes its agent may serve.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Route {
    pub(crate) task_type: String,
    pub(crate) required: Vec<String>,
    pub(crate) preferred: Vec<String>,
    pub(crate) assigned_to: Option<String>,
}

impl Route {
    /// Canonical text, the same on both stores.
    pub(crate) fn key(&self) -> String {
        key(&self.task_type, &self.required, &self.preferred, self.assigned_to.as_deref())
    }

    /// The key of the route that a task takes.
    pub(crate) fn key_of(task: &NewTask) -> String {
        let (required, preferred) = (&task.required_capabilities, &task.preferred_capabilities);
        key(&task.task_type, required, preferred, task.assigned_to.as_deref())
    }

    /// Whether two tasks take the same route, as far as that is seen without sorting.
    pub(crate) fn is_same(a: &NewTask, b: &NewTask) -> bool {
        (&a.task_type, &a.required_capabilities, &a.preferred_capabilities, &a.assigned_to)
            == (&b.task_type, &b.required_capabilities, &b.preferred_capabilities, &b.assigned_to)
    }

    pub(crate) fn from_key(key: &str) -> Option<Self> {
        let (task_type, required, preferred, assigned_to) = serde_json::from_str(key).ok()?;
        Some(Route { task_type, required, preferred, assigned_to })
    }

    /// Whether the agent may take such tasks, and how many of its capabilities they prefer.
    pub(crate) fn served_by(
        &self,
        agent: &str,
        capabilities: &[String],
        types: Option<&[String]>,
        paused: &[String],
    ) -> Option<usize> {
        let has = |capability: &&String| capabilities.contains(capability);
        let serves = self.assigned_to.as_deref().is_none_or(|to| to == agent)
            && types.is_none_or(|types| types.contains(&self.task_type))
            && !paused.iter().any(|p| p.is_empty() || *p == self.task_type)
            && self.required.iter().all(|c| has(&c));
        serves.then(|| self.preferred.iter().filter(has).count())
    }
}

fn key(task_type: &str, required: &[String], preferred: &[String], assigned_to: Option<&str>) -> String {
    fn sorted(capabilities: &[String]) -> Vec<&str> {
        let mut sorted: Vec<&str> = capabilities.iter().map(String::as_str).collect();
        sorted.sort_unstable();
        sorted.dedup();
        sorted
    }
    serde_json::to_string(&(task_type, sorted(required), sorted(preferred), assigned_to)).unwrap_or_default()
}

/// The first tasks of a route, in order of their sort keys.
#[derive(Debug)]
pub(crate) struct Head<T> {
    pub(crate) route: usize,
    pub(crate) key: i64,
    pub(crate) task: T,
}

/// The routes that a claimer serves, each with the number of its capabilities that they prefer.
pub(crate) type Served = Vec<(usize, usize)>;

/// What one claimer of a batch may take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Share {
    pub(crate) routes: Served,
    pub(crate) max: usize,
}

/// Leaves each share the routes that its tasks can come from: as many as all shares take, those with the best heads.
/// `heads` has each route's first sort key, in order of the routes.
pub(crate) fn prune(shares: &mut [Share], heads: &[(usize, i64)]) {
    let wanted = shares.iter().map(|share| share.max).fold(0, usize::saturating_add);
    for share in shares.iter_mut().filter(|share| share.routes.len() > wanted) {
        share.routes.sort_by_cached_key(|(route, preferred)| {
            let place = heads.binary_search_by_key(route, |(route, _)| *route);
            let key = place.map_or(i64::MAX, |place| heads[place].1);
            (key >> 50, Reverse(*preferred), key)
        });
        share.routes.truncate(wanted);
        share.routes.sort_unstable();
    }
}

/// Who gets which head: first come, first served, each in the order rank, weight, preference, age.
pub(crate) fn assign<T: Clone>(shares: &[Share], heads: &[Head<T>]) -> Vec<Vec<T>> {
    let mut taken = vec![false; heads.len()];
    let mut orders: HashMap<&Served, (Vec<usize>, usize)> = HashMap::new();
    let mut given = Vec::with_capacity(shares.len());
    for share in shares {
        let (order, next) = orders.entry(&share.routes).or_insert_with(|| (order(share, heads), 0));
        let mut tasks = Vec::new();
        while tasks.len() < share.max && *next < order.len() {
            let index = order[*next];
            *next += 1;
            if !std::mem::replace(&mut taken[index], true) {
                tasks.push(heads[index].task.clone());
            }
        }
        given.push(tasks);
    }
    given
}

/// The heads of a route come in order, so this merges a few sorted runs.
fn order<T>(share: &Share, heads: &[Head<T>]) -> Vec<usize> {
    let preference: HashMap<usize, usize> = share.routes.iter().copied().collect();
    let mut order = Vec::with_capacity(heads.len());
    let mut index = 0;
    for run in heads.chunk_by(|a, b| a.route == b.route) {
        if let Some(preferred) = preference.get(&run[0].route) {
            let place =
                |(i, head): (usize, &Head<T>)| (head.key >> 50, Reverse(*preferred), head.key, index + i);
            order.extend(run.iter().enumerate().map(place));
        }
        index += run.len();
    }
    order.sort();
    order.into_iter().map(|(.., index)| index).collect()
}

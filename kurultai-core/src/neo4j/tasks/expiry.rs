//! The time-outs of tasks that can be claimed: while many come, kept by the range and not by the task, as an entry in
//! an index is dear.

use super::super::{
    Neo4jStore,
    bolt::{cells, list},
    clock,
    exec::Repeat,
    lock, micros,
};
use crate::{
    clock::{Micros, micros, monotonic},
    error::Result,
    tasks::{Expiry, NewTask, Start, admit::Row, order},
};
use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// How long the tasks of one kind go into one range.
const SPAN: Duration = Duration::from_secs(5);
/// How many of them in that time are worth a range's own statement.
const MANY: usize = 200;
/// A range whose time has come gets no more tasks, so shorter time-outs are kept by the task.
const SHORTEST: Duration = Duration::from_secs(60);
/// How many tasks of a range one statement looks at: whoever claims meanwhile waits no longer than for another batch.
const PASS: i64 = 200;

/// The tasks of a route whose `claim_key` is at least `first` and less than `last`, and the first of their time-outs.
const OPEN: &str = concat!(
    clock!(),
    "UNWIND $kinds AS k
CREATE (:TaskExpiry {namespace: $ns, route: k[0], first: k[1] + now, last: k[1] + now + $span, due_at: now + k[2]})
WITH DISTINCT now RETURN [now] AS row"
);

/// Gives the tasks that still wait in the first range whose time has come a `due_at` of their own. Tasks of several
/// processes may have the same key, so the next pass begins at the key where this one ends.
pub(super) const SPREAD: &str = concat!(
    lock!(),
    "CALL (now) { MATCH (x:TaskExpiry) USING INDEX SEEK x:TaskExpiry(namespace, due_at)
  WHERE x.namespace = $ns AND x.due_at <= now
  WITH x ORDER BY x.namespace, x.due_at LIMIT 1 RETURN collect(x) AS ranges }
CALL (ranges) { UNWIND ranges AS x
  CALL (x) { MATCH (t:Task) USING INDEX SEEK t:Task(namespace, route, claim_key)
    WHERE t.namespace = $ns AND t.route = x.route AND t.claim_key >= x.first AND t.claim_key < x.last
      AND t.due_at IS NULL AND t.expires_at IS NOT NULL
    WITH t ORDER BY t.namespace, t.route, t.claim_key LIMIT $pass RETURN collect(t) AS tasks }
  FOREACH (t IN tasks | SET t.due_at = ",
    micros!("t.expires_at"),
    ")
  FOREACH (y IN CASE WHEN size(tasks) = $pass THEN [x] ELSE [] END | SET y.first = tasks[-1].claim_key)
  FOREACH (y IN CASE WHEN size(tasks) < $pass THEN [x] ELSE [] END | DELETE y)
  RETURN count(*) AS done }
RETURN [done] AS row"
);

/// What has its keys and its time-out in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Kind {
    route: i64,
    sort: i64,
    timeout: Micros,
}

impl Kind {
    /// `None` where the time-out does not count from the insertion, or is too short.
    pub(super) fn of(row: &Row, route: i64) -> Option<Self> {
        let NewTask { start: Start::Now, expiry: Expiry::After(timeout), .. } = row.task else { return None };
        let kind = Kind { route, sort: sort(row), timeout: micros(timeout) };
        (!row.blocked && timeout >= SHORTEST).then_some(kind)
    }
}

/// What a task's key is beside the time of its insertion.
pub(super) fn sort(row: &Row) -> i64 {
    order::sort_base(row.rank, row.task.priority_weight) - order::EPOCH
}

/// From when and until when, by the store's clock, a task that is inserted is in its kind's range.
pub(super) type Times = [Micros; 2];

/// What this process has inserted of each kind in the last moments.
#[derive(Debug, Default)]
pub(in crate::neo4j) struct Ranges(Mutex<HashMap<Kind, Seen>>);

#[derive(Debug)]
struct Seen {
    since: Instant,
    tasks: usize,
    range: Option<Times>,
}

impl Ranges {
    /// So many tasks of each kind come now. Answers their ranges, and the kinds that should have one.
    fn count(&self, kinds: &[(Option<Kind>, usize)]) -> (Vec<Option<Times>>, Vec<Kind>) {
        let (now, mut wanted) = (monotonic(), vec![]);
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.retain(|_, seen| now - seen.since < SPAN);
        let mut range = |kind: Kind, tasks: usize| {
            let seen = seen.entry(kind).or_insert(Seen { since: now, tasks: 0, range: None });
            seen.tasks += tasks;
            if seen.range.is_none() && seen.tasks >= MANY {
                wanted.push(kind);
            }
            seen.range
        };
        (kinds.iter().map(|(kind, tasks)| kind.and_then(|kind| range(kind, *tasks))).collect(), wanted)
    }

    fn opened(&self, kinds: &[Kind], since: Instant, range: Times) {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.extend(kinds.iter().map(|kind| (*kind, Seen { since, tasks: MANY, range: Some(range) })));
    }
}

/// The range of each kind of which so many tasks are about to be inserted; opens those that are worth it.
pub(super) async fn ranges(
    store: &Neo4jStore,
    kinds: &[(Option<Kind>, usize)],
) -> Result<Vec<Option<Times>>> {
    let (ranges, wanted) = store.ranges.count(kinds);
    if wanted.is_empty() {
        return Ok(ranges);
    }
    let rows = wanted.iter().map(|kind| cells![kind.route, kind.sort, kind.timeout]);
    let query = store.query(OPEN).param("kinds", list(rows)).param("span", micros(SPAN));
    let since = monotonic();
    let now: Micros = store.one(query, Repeat::Safe).await?.next()?;
    let opened = [now, now + micros(SPAN)];
    store.ranges.opened(&wanted, since, opened);
    let is_wanted = |kind: &Option<Kind>| kind.is_some_and(|kind| wanted.contains(&kind));
    let each = kinds.iter().zip(ranges);
    Ok(each.map(|((kind, _), range)| if is_wanted(kind) { Some(opened) } else { range }).collect())
}

/// Looks at the next tasks of the first range whose time has come.
pub(super) async fn spread(store: &Neo4jStore) -> Result<()> {
    store.one(store.query(SPREAD).param("pass", PASS), Repeat::Safe).await.map(drop)
}

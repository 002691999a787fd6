//! New tasks and new edges.

use super::super::{
    Neo4jStore,
    bolt::{Cells, cells, count, list, map},
    exec::{CONSTRAINT, Repeat},
    finished, hot_lock, lock, micros, native,
};
use super::{
    apply::text,
    circle::{self, Waits, Ways},
    expiry::{self, Times},
};
use crate::{
    clock::micros,
    error::{Error, Kind, Result},
    json::Json,
    tasks::{
        Dependency, DependencyType, Enqueued, Expiry, NewTask, OnPrerequisiteFailure, RetryPolicy, Start,
        Status, WaitFor,
        admit::{self, Existing, Known, Row},
        order::Route,
        queue::Answers,
    },
};
use neo4rs::BoltType;
use std::collections::{HashMap, HashSet};

const ROUNDS: usize = 8;
/// A request of more than 8 KiB costs 45 ms instead of 2 (the driver leaves Nagle's algorithm on), so units of
/// different callers go in several statements rather than in a long one. What the text and the kinds take is left.
const SHORT: usize = 5_000;
/// What a task with a time of its own takes, which makes it a kind of its own.
const KIND: usize = 500;

/// What tasks have in common is sent once and worked out once, as their kind. A kind's rows are
/// [place in the batch, id, payload, title, description, unique_key, parent_id]. Ends with as many rows as tasks.
macro_rules! insert {
    ($($more:tt)*) => {
        concat!(
            "WITH ns, now, at, ns.event_seq AS base
SET ns.event_seq = base + $count
WITH ns, now, at, base
UNWIND $kinds AS k
WITH ns, now, at, base, k, coalesce(k.run_at, now + k.delay) AS start
WITH ns, now, at, base, k, start, CASE WHEN start > now THEN start END AS later
WITH ns, now, at, base, k, start, later,
  CASE WHEN k.expires_at IS NOT NULL THEN k.expires_at
    WHEN NOT k.blocked THEN coalesce(later, now) + k.timeout END AS expires
WITH ns, at, base, k, k.sort + now AS sort, NOT k.blocked AND later IS NULL AS ready,
  CASE WHEN k.blocked THEN 'blocked' ELSE 'pending' END AS status,
  CASE WHEN k.range[0] <= now AND now + $count <= k.range[1] THEN null
    WHEN NOT k.blocked AND (later < expires OR expires IS NULL) THEN later ELSE expires END AS due,
  CASE WHEN start IS NOT NULL THEN ",
            native!("start"),
            " END AS start,
  CASE WHEN expires IS NOT NULL THEN ",
            native!("expires"),
            " END AS expires
UNWIND k.rows AS r
CREATE (:Task {namespace: $ns, id: r[1], type: k.type, status: status, route: k.route, payload: r[2],
  priority: k.priority, priority_weight: k.priority_weight,
  claim_key: CASE WHEN ready THEN sort + r[0] END, due_at: due, expires_at: expires, timeout: k.timeout,
  required_capabilities: k.required_capabilities, max_attempts: k.max_attempts, attempts: 0, lease_version: 0,
  created_at: at",
            $($more)*,
            "})
CREATE (:Event {namespace: $ns, seq: base + r[0] + 1, topic: 'task.enqueued', source: k.delegated_by,
  task_id: r[1], created_at: at})
"
        )
    };
}

/// What a task that is only a type and a payload does not have; an absent property costs, too. A task's place in the
/// order is its `claim_key` while it can be claimed, else its `sort_key`.
macro_rules! more {
    () => {
        ", sort_key: CASE WHEN NOT ready THEN sort + r[0] END, title: r[3], description: r[4], unique_key: r[5],
  parent_id: r[6], run_at: start, preferred_capabilities: k.preferred_capabilities, assigned_to: k.assigned_to,
  delegated_by: k.delegated_by, on_prerequisite_failure: k.on_prerequisite_failure, wait_for: k.wait_for,
  retry: k.retry"
    };
}

/// Ends a subquery: each task q that stands lower than its `rank` comes up to it.
macro_rules! raise {
    () => {
        concat!(
            "WITH q, coalesce(q.claim_key, q.sort_key) / 1152921504606846976 - rank AS up
  WHERE up > 0 AND NOT q.status IN ",
            finished!(),
            "
  SET q.due_at = CASE WHEN q.claim_key IS NULL THEN q.due_at ELSE coalesce(q.due_at, ",
            micros!("q.expires_at"),
            ") END, q.sort_key = q.sort_key - up * 1152921504606846976,
    q.claim_key = q.claim_key - up * 1152921504606846976, q.revision = coalesce(q.revision, 0) + 1
  RETURN count(*) AS raised }
"
        )
    };
}

pub(super) const BARE: &str =
    concat!(hot_lock!(), insert!(""), "WITH ns, count(*) AS added RETURN [added] AS row");
pub(super) const PLAIN: &str =
    concat!(hot_lock!(), insert!(more!()), "WITH ns, count(*) AS added RETURN [added] AS row");

/// Inserts nothing where a parent is finished or gone, or where there is a way between guarded tasks that the writer
/// did not know when it looked for circles. Guards and ways are [from, to], raises [task, rank].
const LINKED: &str = concat!(
    lock!(),
    "CALL () { UNWIND $guards AS g
  MATCH (a:Task {id: g[0]}), (b:Task {id: g[1]}) WHERE a <> b
  MATCH way = shortestPath((a)-[:DEPENDS_ON|SPAWNED*..10000]->(b))
  RETURN collect([x IN nodes(way) | x.id]) AS ways }
CALL () { UNWIND $hosts AS id OPTIONAL MATCH (p:Task {id: id}) WHERE p.namespace = $ns
    AND NOT p.status IN ",
    finished!(),
    "
  RETURN count(CASE WHEN p IS NULL THEN 1 END) AS gone }
CALL (ns, now, at, ways, gone) {
WITH ns, now, at, ways, gone WHERE all(way IN ways WHERE [way[0], way[-1]] IN $ways) AND gone = 0
CALL (ns, now, at) {
",
    insert!(more!()),
    "RETURN count(*) AS added }
CALL (at) { UNWIND $edges AS e
  MATCH (d:Task {id: e[0]}) MATCH (p:Task {id: e[1]})
  CREATE (d)-[:DEPENDS_ON {type: e[2], weight: e[3], detected_by: e[4], created_at: at}]->(p)
  RETURN count(*) AS edges }
CALL (now, at) { UNWIND $parents AS e
  MATCH (p:Task {id: e[0]}) MATCH (c:Task {id: e[1]})
  CREATE (p)-[:SPAWNED]->(c)
  WITH DISTINCT p, at WHERE p.status IN ['pending', 'blocked'] AND p.id IN $hosts
  SET p.claim_id = CASE WHEN p.status = 'blocked' THEN p.claim_id END,
    p.due_at = CASE WHEN p.status = 'blocked' THEN p.due_at WHEN p.timeout IS NULL THEN ",
    micros!("p.expires_at"),
    " END, p.expires_at = CASE WHEN p.timeout IS NULL THEN p.expires_at END,
    p.status = 'blocked', p.sort_key = coalesce(p.claim_key, p.sort_key),
    p.revision = coalesce(p.revision, 0) + 1, p.updated_at = at
  REMOVE p.claim_key RETURN count(*) AS hosts }
CALL () { UNWIND $raises AS r
  MATCH (d:Task {id: r[0]}) MATCH (d)-[:DEPENDS_ON*0.. {type: 'blocks'}]->(q:Task)
  WITH DISTINCT q, r[1] AS rank WITH q, min(rank) AS rank
  ",
    raise!(),
    "CALL () { UNWIND $blocked AS id MATCH (t:Task {id: id})
  WHERE EXISTS { (t)-[e:DEPENDS_ON]->(p:Task) WHERE e.type = 'blocks'
      AND p.status IN ['dead_letter', 'cancelled', 'expired'] }
    OR NOT EXISTS { (t)-[:SPAWNED]->(:Task) } AND NOT EXISTS { (t)-[e:DEPENDS_ON]->(p:Task) WHERE e.type = 'blocks'
      AND NOT p.status IN ",
    finished!(),
    " }
  SET t.due_at = 0 RETURN count(*) AS loose }
RETURN collect(loose) AS loose }
RETURN [ways, loose] AS row"
);

const KNOWN: &str = "CYPHER 5
CALL () { UNWIND $ids AS id MATCH (t:Task {id: id}) USING INDEX SEEK t:Task(id) WHERE t.namespace = $ns RETURN t
  UNION UNWIND $keys AS key MATCH (t:Task {namespace: $ns, unique_key: key}) RETURN t }
RETURN [t.id, t.unique_key, t.type, t.payload, t.status] AS row";

/// A circle is looked for under the lock, so two writers cannot close one together. A parent waits for its children,
/// so those ways count too.
const DEPEND: &str = concat!(
    lock!(),
    "OPTIONAL MATCH (d:Task {id: $dependent}) WHERE d.namespace = $ns
OPTIONAL MATCH (p:Task {id: $prerequisite}) WHERE p.namespace = $ns
CALL (d, p) { OPTIONAL MATCH way = shortestPath((p)-[:DEPENDS_ON|SPAWNED*..10000]->(d))
  RETURN [x IN nodes(way) | x.id] AS circle LIMIT 1 }
WITH ns, now, at, d, p, circle, d.status AS was, p.status AS theirs, ns.event_seq AS base,
  CASE WHEN circle IS NULL AND p IS NOT NULL AND d.status IN ['pending', 'blocked', 'suspended', 'pending_review']
    THEN [1] ELSE [] END AS go
WITH *, CASE WHEN size(go) = 1 AND was = 'pending' AND $type = 'blocks' AND theirs <> 'completed'
    THEN [1] ELSE [] END AS stops,
  CASE WHEN size(go) = 1 AND was IN ['pending', 'blocked'] AND (
      $type = 'blocks' AND theirs IN ['dead_letter', 'cancelled', 'expired']
      OR $type <> 'blocks' AND was = 'blocked')
    THEN [1] ELSE [] END AS looks
FOREACH (x IN go | MERGE (d)-[e:DEPENDS_ON]->(p) ON CREATE SET e.created_at = at
  SET e.type = $type, e.weight = $weight, e.detected_by = $detected_by)
FOREACH (x IN stops | SET d.status = 'blocked', d.sort_key = coalesce(d.claim_key, d.sort_key), d.updated_at = at,
  d.due_at = CASE WHEN d.timeout IS NULL THEN ",
    micros!("d.expires_at"),
    " END, d.expires_at = CASE WHEN d.timeout IS NULL THEN d.expires_at END REMOVE d.claim_key, d.claim_id
  CREATE (:Event {namespace: $ns, seq: base + 1, topic: 'task.blocked', task_id: $dependent, created_at: at}))
FOREACH (x IN looks | SET d.due_at = 0)
FOREACH (x IN go | SET d.revision = coalesce(d.revision, 0) + 1)
SET ns.event_seq = base + size(stops)
WITH *
CALL (d, go) { UNWIND CASE WHEN $type = 'blocks' THEN go ELSE [] END AS x
  MATCH (d)-[:DEPENDS_ON*1.. {type: 'blocks'}]->(q:Task)
  WITH DISTINCT q, coalesce(d.claim_key, d.sort_key) / 1152921504606846976 AS rank
  ",
    raise!(),
    "RETURN [was, theirs, circle, size(looks) > 0] AS row"
);

pub(super) async fn enqueue(store: &Neo4jStore, units: Vec<Vec<NewTask>>) -> Result<Answers<Vec<Enqueued>>> {
    if units.iter().all(|unit| admit::is_plain(unit)) {
        return plain(store, units).await;
    }
    linked(store, units).await
}

/// Several short statements at once, if need be.
async fn plain(store: &Neo4jStore, units: Vec<Vec<NewTask>>) -> Result<Answers<Vec<Enqueued>>> {
    let size = |unit: &Vec<NewTask>| -> usize {
        let texts = |t: &NewTask| t.payload.as_str().len() + t.title.len() + t.description.len();
        unit.iter().map(|t| if is_timed(t) { KIND } else { 60 } + texts(t)).sum()
    };
    let (mut parts, mut filled): (Vec<Vec<Vec<NewTask>>>, usize) = (vec![], 0);
    for unit in units {
        let bytes = size(&unit);
        match parts.last_mut() {
            Some(part) if filled + bytes <= SHORT || !store.nodelay.is_refused() => part.push(unit),
            _ => {
                parts.push(vec![unit]);
                filled = 0;
            }
        }
        filled += bytes;
    }
    let many = parts.len() > 1;
    let done = futures::future::join_all(parts.into_iter().map(|part| async move {
        let size = part.len();
        (size, plain_part(store, part).await)
    }))
    .await;
    let (mut each, mut overdue) = (Vec::new(), false);
    for (size, answers) in done {
        match answers {
            Ok(answers) => {
                each.extend(answers.each);
                overdue |= answers.overdue;
            }
            Err(error) if many => each.extend((0..size).map(|_| Err(error.share()))),
            Err(error) => return Err(error),
        }
    }
    Ok(Answers { each, overdue })
}

fn is_timed(task: &NewTask) -> bool {
    matches!(task.start, Start::At(_)) || matches!(task.expiry, Expiry::At(_))
}

async fn plain_part(store: &Neo4jStore, units: Vec<Vec<NewTask>>) -> Result<Answers<Vec<Enqueued>>> {
    let sizes: Vec<usize> = units.iter().map(Vec::len).collect();
    let rows: Vec<Row> = units.into_iter().flatten().map(Row::plain).collect();
    let insertion = insertion(store, &rows).await?;
    let text = if insertion.is_bare { BARE } else { PLAIN };
    let done = store.one(insertion.query(store, text), Repeat::Unsafe).await;
    let mut tasks = rows.into_iter().map(|row| row.task);
    let units = sizes.into_iter().map(|size| tasks.by_ref().take(size).collect::<Vec<_>>());
    match done {
        Ok(_) => {
            let added = |task: NewTask| Enqueued { id: task.id, deduplicated: false };
            let each = units.map(|unit| Ok(unit.into_iter().map(added).collect()));
            Ok(Answers { each: each.collect(), overdue: false })
        }
        // An id is there already: a repetition, for which the long way has an answer.
        Err(error) if error.code() == CONSTRAINT => linked(store, units.collect()).await,
        Err(error) => Err(error),
    }
}

async fn linked(store: &Neo4jStore, units: Vec<Vec<NewTask>>) -> Result<Answers<Vec<Enqueued>>> {
    let mut ways = Ways::default();
    let mut last = Error::unavailable("other writers change the same tasks too quickly");
    for _ in 0..ROUNDS {
        let mut known = known(store, &units).await?;
        let (mut rows, mut each, mut waits) = (Vec::new(), Vec::new(), Waits::new());
        for unit in &units {
            let admitted = admit::unit(unit.clone(), &mut known).and_then(|admitted| {
                let Some(circle) = circle::circle(&admitted.rows, &mut waits, &ways) else {
                    return Ok(admitted);
                };
                known.forget(admitted.rows.iter().map(|row| &row.task));
                Err(admit::cycle_error(circle.iter().map(String::as_str)))
            });
            each.push(admitted.map(|admitted| {
                rows.extend(admitted.rows);
                admitted.enqueued
            }));
        }
        if rows.is_empty() {
            return Ok(Answers { each, overdue: false });
        }
        let query = links(insertion(store, &rows).await?.query(store, LINKED), &rows, &ways);
        match store.one(query, Repeat::Unsafe).await {
            Ok(mut row) => {
                let (found, loose): (Vec<Vec<String>>, Vec<i64>) = (row.next()?, row.next()?);
                if !loose.is_empty() {
                    return Ok(Answers { each, overdue: loose.iter().any(|count| *count > 0) });
                }
                found.into_iter().for_each(|way| ways.add(way));
            }
            Err(error) if error.code() == CONSTRAINT => last = error,
            Err(error) => return Err(error),
        }
    }
    Err(last)
}

async fn known(store: &Neo4jStore, units: &[Vec<NewTask>]) -> Result<Known> {
    let (ids, keys) = admit::names(units);
    let mut known = Known::default();
    for mut row in store.look(store.query(KNOWN).param("ids", ids).param("keys", keys)).await? {
        let (id, unique_key) = (row.next()?, row.next()?);
        let existing = Existing {
            task_type: row.next()?,
            payload: row.next::<Option<Json>>()?.unwrap_or_default(),
            status: row.next::<String>()?.parse()?,
        };
        known.add(id, unique_key, existing);
    }
    Ok(known)
}

/// What `insert` wants.
struct Insertion {
    kinds: Vec<BoltType>,
    count: usize,
    /// No task has anything of what `more` adds.
    is_bare: bool,
}

impl Insertion {
    fn query(self, store: &Neo4jStore, text: &str) -> neo4rs::Query {
        store.query(text).param("kinds", list(self.kinds)).param("count", count(self.count))
    }
}

async fn insertion(store: &Neo4jStore, rows: &[Row]) -> Result<Insertion> {
    let mut kinds: Vec<(&Row, Vec<BoltType>)> = vec![];
    let mut is_bare = true;
    for (place, row) in rows.iter().enumerate() {
        let kind = kinds.iter().position(|(known, _)| same_kind(known, row)).unwrap_or_else(|| {
            kinds.push((row, vec![]));
            kinds.len() - 1
        });
        let line = line(place, &row.task);
        is_bare &= line.len() == BARE_LINE;
        kinds[kind].1.push(list(line));
    }
    let keys = kinds.iter().map(|(row, _)| Route::key_of(&row.task)).collect();
    let routes = store.route_numbers(keys).await?;
    let expiring =
        kinds.iter().zip(&routes).map(|((row, lines), route)| (expiry::Kind::of(row, *route), lines.len()));
    let ranges = expiry::ranges(store, &expiring.collect::<Vec<_>>()).await?;
    let kinds = kinds.into_iter().zip(routes).zip(ranges);
    let kinds = kinds.map(|(((row, lines), route), range)| {
        let mut more = more(row).peekable();
        is_bare &= more.peek().is_none();
        map(bare(row, route, range, lines).chain(more))
    });
    let kinds = kinds.collect();
    Ok(Insertion { kinds, count: rows.len(), is_bare })
}

fn same_kind(a: &Row, b: &Row) -> bool {
    let (x, y) = (&a.task, &b.task);
    (x.start, x.expiry) == (y.start, y.expiry)
        && Route::is_same(x, y)
        && (a.rank, a.blocked) == (b.rank, b.blocked)
        && (x.priority, x.priority_weight, x.max_attempts) == (y.priority, y.priority_weight, y.max_attempts)
        && (x.retry, x.wait_for, x.on_prerequisite_failure)
            == (y.retry, y.wait_for, y.on_prerequisite_failure)
        && x.delegated_by == y.delegated_by
}

type Field = (&'static str, BoltType);

/// What is as it is by default is left out.
fn stated(fields: impl IntoIterator<Item = Field>) -> impl Iterator<Item = Field> {
    fields.into_iter().filter(|(_, value)| !matches!(value, BoltType::Null(_)))
}

fn words(words: &[String]) -> BoltType {
    (!words.is_empty()).then(|| words.to_vec()).into()
}

fn bare(row: &Row, route: i64, range: Option<Times>, lines: Vec<BoltType>) -> impl Iterator<Item = Field> {
    let task = &row.task;
    let (timeout, expires_at) = match task.expiry {
        Expiry::After(timeout) => (Some(micros(timeout)), None),
        Expiry::At(at) => (None, Some(at.timestamp_micros())),
        Expiry::Never | Expiry::Default => (None, None),
    };
    stated([
        ("rows", list(lines)),
        ("sort", expiry::sort(row).into()),
        ("range", range.map(Vec::from).into()),
        ("blocked", row.blocked.into()),
        ("timeout", timeout.into()),
        ("expires_at", expires_at.into()),
        ("type", task.task_type.as_str().into()),
        ("route", route.into()),
        ("priority", task.priority.as_str().into()),
        ("priority_weight", task.priority_weight.into()),
        ("required_capabilities", words(&task.required_capabilities)),
        ("max_attempts", i64::from(task.max_attempts.unwrap_or(1)).into()),
    ])
}

fn more(row: &Row) -> impl Iterator<Item = Field> {
    let task = &row.task;
    let retry = (task.retry != RetryPolicy::default()).then(|| text(&task.retry));
    let wait_for = (task.wait_for != WaitFor::All).then(|| text(&task.wait_for));
    let failure = Some(task.on_prerequisite_failure).filter(|policy| *policy != OnPrerequisiteFailure::Block);
    let (delay, run_at) = match task.start {
        Start::Now => (None, None),
        Start::After(delay) => (Some(micros(delay)), None),
        Start::At(at) => (None, Some(at.timestamp_micros())),
    };
    stated([
        ("delay", delay.into()),
        ("run_at", run_at.into()),
        ("preferred_capabilities", words(&task.preferred_capabilities)),
        ("assigned_to", task.assigned_to.as_deref().into()),
        ("delegated_by", task.delegated_by.as_deref().into()),
        ("on_prerequisite_failure", failure.map(OnPrerequisiteFailure::as_str).into()),
        ("wait_for", wait_for.into()),
        ("retry", retry.into()),
    ])
}

/// How long the line of a task is that is only a type and a payload.
const BARE_LINE: usize = 3;

/// Ends with the last value that there is: beyond a list's end is null.
fn line(place: usize, task: &NewTask) -> Vec<BoltType> {
    let stated = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let more =
        [stated(&task.title), stated(&task.description), task.unique_key.clone(), task.parent_id.clone()];
    let stop = more.iter().rposition(Option::is_some).map_or(0, |last| last + 1);
    let first: [BoltType; BARE_LINE] =
        [count(place).into(), task.id.as_str().into(), task.payload.as_str().into()];
    first.into_iter().chain(more.into_iter().take(stop).map(BoltType::from)).collect()
}

fn links(query: neo4rs::Query, rows: &[Row], ways: &Ways) -> neo4rs::Query {
    let new: HashSet<&str> = rows.iter().map(|row| row.task.id.as_str()).collect();
    let (mut edges, mut parents, mut hosts) = (vec![], vec![], vec![]);
    let mut raises: HashMap<&str, i64> = HashMap::new();
    for Row { task, rank, .. } in rows {
        for edge in &task.depends_on {
            let word = edge.dependency_type.as_str();
            let prerequisite = edge.prerequisite.as_str();
            edges.push(cells![
                task.id.as_str(),
                prerequisite,
                word,
                edge.weight,
                edge.detected_by.as_deref()
            ]);
            if edge.dependency_type == DependencyType::Blocks && !new.contains(prerequisite) {
                let raise = raises.entry(prerequisite).or_insert(i64::MAX);
                *raise = (*raise).min(*rank as i64);
            }
        }
        if let Some(parent) = task.parent_id.as_deref() {
            parents.push(cells![parent, task.id.as_str()]);
            if !new.contains(parent) {
                hosts.push(parent);
            }
        }
    }
    hosts.sort_unstable();
    hosts.dedup();
    let guards = circle::guards(rows).into_iter().map(|[from, to]| cells![from, to]);
    let ways = ways.ends().map(|[from, to]| cells![from, to]);
    let blocked: Vec<&str> = rows.iter().filter(|row| row.blocked).map(|row| row.task.id.as_str()).collect();
    query
        .param("blocked", blocked)
        .param("edges", list(edges))
        .param("parents", list(parents))
        .param("hosts", hosts)
        .param("guards", list(guards))
        .param("ways", list(ways))
        .param("raises", list(raises.into_iter().map(|(id, rank)| cells![id, rank])))
}

pub(super) async fn depend(store: &Neo4jStore, dependent: &str, dependency: Dependency) -> Result<bool> {
    let prerequisite = dependency.prerequisite.as_str();
    let query = store
        .query(DEPEND)
        .param("dependent", dependent)
        .param("prerequisite", prerequisite)
        .param("type", dependency.dependency_type.as_str())
        .param("weight", dependency.weight)
        .param("detected_by", dependency.detected_by.as_deref());
    let mut row: Cells = store.one(query, Repeat::Safe).await?;
    let status: Option<String> = row.next()?;
    let theirs: Option<String> = row.next()?;
    let circle: Option<Vec<String>> = row.next()?;
    let Some(status) = status else { return Err(Error::task_not_found(dependent)) };
    if theirs.is_none() {
        let message = format!("task {dependent:?} depends on {prerequisite:?}, which does not exist");
        return Err(Error::new(Kind::Input, "task.dependency_unknown", message));
    }
    let status: Status = status.parse()?;
    if status == Status::InProgress || status.is_finished() {
        let message = format!("task {dependent} is {status} and can wait for nothing more");
        return Err(Error::conflict("task.state", message));
    }
    if let Some(way) = circle {
        return Err(admit::cycle_error([dependent].into_iter().chain(way.iter().map(String::as_str))));
    }
    row.next()
}

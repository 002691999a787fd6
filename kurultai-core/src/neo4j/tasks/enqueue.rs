//! New tasks and new edges.

use super::super::{
    Neo4jStore,
    bolt::{Cells, cells, list},
    finished, lock, micros,
    verdict::CONSTRAINT,
};
use super::{
    circle::{self, Waits, Ways},
    insert::{INSERT, insert, insertion},
};
use crate::neo4j::cypher::rank;
use crate::neo4j::statement::{Call, Statement};
use crate::{
    error::{Error, Kind, Result},
    json::Json,
    tasks::{
        Dependency, DependencyType, Enqueued, Expiry, NewTask, Start, Status,
        admit::{self, Existing, Known, Row},
        contract::Answers,
    },
};
use std::collections::{HashMap, HashSet};

const ROUNDS: usize = 8;
/// A request of more than 8 KiB costs 45 ms instead of 2 (the driver leaves Nagle's algorithm on), so units of
/// different callers go in several statements rather than in a long one. What the text and the kinds take is left.
const SHORT: usize = 5_000;
/// What a task with a time of its own takes, which makes it a kind of its own.
const KIND: usize = 500;

/// Ends a subquery: each task q that stands lower than its `rank` comes up to it.
macro_rules! raise {
    () => {
        concat!(
            "WITH q, coalesce(q.claim_key, q.sort_key) / ",
            rank!(),
            " - rank AS up
  WHERE up > 0 AND NOT q.status IN ",
            finished!(),
            "
  SET q.due_at = CASE WHEN q.claim_key IS NULL THEN q.due_at ELSE coalesce(q.due_at, ",
            micros!("q.expires_at"),
            ") END, q.sort_key = q.sort_key - up * ",
            rank!(),
            ",
    q.claim_key = q.claim_key - up * ",
            rank!(),
            ", q.revision = coalesce(q.revision, 0) + 1
  RETURN count(*) AS raised }
"
        )
    };
}

/// The way along which one task waits for another. Of edges only `blocks` counts; those to children have no type.
macro_rules! way {
    ($from:literal, $to:literal) => {
        concat!(
            "way = shortestPath((",
            $from,
            ")-[:DEPENDS_ON|SPAWNED*..10000]->(",
            $to,
            "))
  WHERE all(r IN relationships(way) WHERE coalesce(r.type, 'blocks') = 'blocks')"
        )
    };
}

/// Inserts nothing where a parent is finished or gone, where a prerequisite is gone, or where there is a way between
/// guarded tasks that the writer did not know when it looked for circles. A parent's revision grows whatever its
/// status, as who decides about it must know of the child. Guards and ways are [from, to], raises [task, rank].
const LINKED: Statement = Statement::locking(concat!(
    lock!(),
    "CALL () { UNWIND $guards AS g
  MATCH (a:Task {namespace: $ns, id: g[0]}), (b:Task {namespace: $ns, id: g[1]}) WHERE a <> b
  MATCH ",
    way!("a", "b"),
    "
  RETURN collect([x IN nodes(way) | x.id]) AS ways }
CALL () { UNWIND $hosts AS id OPTIONAL MATCH (p:Task {namespace: $ns, id: id})
    WHERE NOT p.status IN ",
    finished!(),
    "
  RETURN count(CASE WHEN p IS NULL THEN 1 END) AS gone }
CALL () { UNWIND $prerequisites AS id OPTIONAL MATCH (p:Task {namespace: $ns, id: id})
  RETURN count(CASE WHEN p IS NULL THEN 1 END) AS lost }
CALL (ns, now, at, ways, gone, lost) {
WITH ns, now, at, ways, gone, lost
WHERE all(way IN ways WHERE [way[0], way[-1]] IN $ways) AND gone + lost = 0
CALL () { UNWIND $without_key AS id MATCH (t:Task {namespace: $ns, id: id})
  WHERE t.status IN ['dead_letter', 'cancelled', 'expired']
  SET t.unique_key = null, t.unique_key_given_up = true, t.revision = coalesce(t.revision, 0) + 1 RETURN count(*) AS freed }
CALL (ns, now, at) {
",
    insert!(),
    "RETURN count(*) AS added }
CALL (at) { UNWIND $edges AS e
  MATCH (d:Task {namespace: $ns, id: e[0]}) MATCH (p:Task {namespace: $ns, id: e[1]})
  CREATE (d)-[:DEPENDS_ON {type: e[2], weight: e[3], detected_by: e[4], created_at: at}]->(p)
  RETURN count(*) AS edges }
CALL (now, at) { UNWIND $parents AS e
  MATCH (p:Task {namespace: $ns, id: e[0]}) MATCH (c:Task {namespace: $ns, id: e[1]})
  CREATE (p)-[:SPAWNED]->(c)
  WITH DISTINCT p, at WHERE p.id IN $hosts
  SET p.revision = coalesce(p.revision, 0) + 1
  WITH p, at WHERE p.status IN ['pending', 'blocked']
  SET p.claim_id = CASE WHEN p.status = 'blocked' THEN p.claim_id END,
    p.due_at = CASE WHEN p.status = 'blocked' THEN p.due_at WHEN p.timeout IS NULL THEN ",
    micros!("p.expires_at"),
    " END, p.expires_at = CASE WHEN p.timeout IS NULL THEN p.expires_at END,
    p.status = 'blocked', p.sort_key = coalesce(p.claim_key, p.sort_key), p.updated_at = at
  REMOVE p.claim_key RETURN count(*) AS hosts }
CALL () { UNWIND $raises AS r
  MATCH (d:Task {namespace: $ns, id: r[0]}) MATCH (d)-[:DEPENDS_ON*0.. {type: 'blocks'}]->(q:Task)
  WITH DISTINCT q, r[1] AS rank WITH q, min(rank) AS rank
  ",
    raise!(),
    "CALL () { UNWIND $blocked AS id MATCH (t:Task {namespace: $ns, id: id})
  WHERE EXISTS { (t)-[e:DEPENDS_ON]->(p:Task) WHERE e.type = 'blocks'
      AND p.status IN ['dead_letter', 'cancelled', 'expired'] }
    OR NOT EXISTS { (t)-[:SPAWNED]->(:Task) } AND NOT EXISTS { (t)-[e:DEPENDS_ON]->(p:Task) WHERE e.type = 'blocks'
      AND NOT p.status IN ",
    finished!(),
    " }
  SET t.due_at = 0 RETURN count(*) AS loose }
RETURN collect(loose) AS loose }
RETURN [ways, loose] AS row"
)).once();

/// Looks without the lock: where a task is gone or finished by then, LINKED finds out. A status that changes at this
/// moment may not be there.
const KNOWN: Statement = Statement::plain("CYPHER 5
CALL () { UNWIND $ids AS id MATCH (t:Task {namespace: $ns, id: id}) USING INDEX SEEK t:Task(namespace, id) RETURN t
  UNION UNWIND $keys AS key MATCH (t:Task {namespace: $ns, unique_key: key}) RETURN t }
RETURN [t.id, t.unique_key, t.type, t.payload, coalesce(t.status, 'pending')] AS row");

/// A circle is looked for under the lock, so two writers cannot close one together. A parent waits for its children,
/// so those ways count too.
const DEPEND: Statement = Statement::locking(concat!(
    lock!(),
    "OPTIONAL MATCH (d:Task {namespace: $ns, id: $dependent})
OPTIONAL MATCH (p:Task {namespace: $ns, id: $prerequisite})
CALL (d, p) { OPTIONAL MATCH ",
    way!("p", "d"),
    " AND $type = 'blocks'
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
  WITH DISTINCT q, coalesce(d.claim_key, d.sort_key) / ", rank!(), " AS rank
  ",
    raise!(),
    "RETURN [was, theirs, circle, size(looks) > 0] AS row"
));

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
            Some(part) if filled + bytes <= SHORT || !store.connections.stall() => part.push(unit),
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
    let done = store.one(insertion.query(store, INSERT)).await;
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
        let query = links(insertion(store, &rows).await?.query(store, LINKED), &rows, &ways)
            .param("without_key", known.without_key());
        match store.one(query).await {
            Ok(mut row) => {
                let (found, loose): (Vec<Vec<String>>, Vec<i64>) = (row.next()?, row.next()?);
                if !loose.is_empty() {
                    return Ok(Answers { each, overdue: loose.iter().any(|count| *count > 0) });
                }
                found.into_iter().for_each(|way| ways.add(way));
            }
            // Somebody else was quicker with an id or a unique key.
            Err(error) if error.code() == CONSTRAINT => {}
            Err(error) => return Err(error),
        }
    }
    Err(Error::unavailable("other writers change the same tasks too quickly"))
}

async fn known(store: &Neo4jStore, units: &[Vec<NewTask>]) -> Result<Known> {
    let (ids, keys) = admit::names(units);
    let mut known = Known::default();
    for mut row in store.exec(store.query(KNOWN).param("ids", ids).param("keys", keys)).await? {
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

fn links(query: Call, rows: &[Row], ways: &Ways) -> Call {
    let new: HashSet<&str> = rows.iter().map(|row| row.task.id.as_str()).collect();
    let (mut edges, mut parents, mut hosts, mut prerequisites) = (vec![], vec![], vec![], vec![]);
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
            if new.contains(prerequisite) {
                continue;
            }
            prerequisites.push(prerequisite);
            if edge.dependency_type == DependencyType::Blocks {
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
    for names in [&mut hosts, &mut prerequisites] {
        names.sort_unstable();
        names.dedup();
    }
    let guards = circle::guards(rows).into_iter().map(|[from, to]| cells![from, to]);
    let ways = ways.ends().map(|[from, to]| cells![from, to]);
    let blocked: Vec<&str> = rows.iter().filter(|row| row.blocked).map(|row| row.task.id.as_str()).collect();
    query
        .param("blocked", blocked)
        .param("edges", list(edges))
        .param("parents", list(parents))
        .param("hosts", hosts)
        .param("prerequisites", prerequisites)
        .param("guards", list(guards))
        .param("ways", list(ways))
        .param("raises", list(raises.into_iter().map(|(id, rank)| cells![id, rank])))
}

pub(super) async fn add_dependency(
    store: &Neo4jStore,
    dependent: &str,
    dependency: Dependency,
) -> Result<bool> {
    let prerequisite = dependency.prerequisite.as_str();
    let query = store
        .query(DEPEND)
        .param("dependent", dependent)
        .param("prerequisite", prerequisite)
        .param("type", dependency.dependency_type.as_str())
        .param("weight", dependency.weight)
        .param("detected_by", dependency.detected_by.as_deref());
    let mut row: Cells = store.one(query).await?;
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

//! New tasks and new edges.

use super::{
    ancestors::ancestors,
    circle::{self, Waits, Ways},
    insert::{INSERT, insertion},
};
use crate::{
    agents::Term,
    error::{Error, Kind, Result},
    json::Json,
    neo4j::{
        Neo4jStore,
        agents::roles::under,
        bolt::{Cells, cells, list},
        cypher::lock,
        statement::{Call, Statement},
        verdict::CONSTRAINT,
    },
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
const SHORT: usize = 4_700;
/// What a task with a time of its own takes, which makes it a kind of its own.
const KIND: usize = 500;

macro_rules! linked {
    ($($first:expr),*) => {
        Statement::locking(concat!(
            $($first,)*
            include_str!("cypher/link.cypher"),
            include_str!("cypher/insert.cypher"),
            include_str!("cypher/link_edges.cypher"),
            include_str!("cypher/raise_prerequisites.cypher"),
            include_str!("cypher/link_blocked.cypher")
        ))
        .once()
    };
}

const LINKED: [Statement; 2] = [linked!(lock!()), linked!(lock!(), under!())];

/// Looks without the lock: where a task is gone or finished by then, LINKED finds out. A status that changes at this
/// moment may not be there.
const KNOWN: Statement = Statement::plain("CYPHER 5
CALL () { UNWIND $ids AS id MATCH (t:Task {namespace: $ns, id: id}) USING INDEX SEEK t:Task(namespace, id) RETURN t
  UNION UNWIND $keys AS key MATCH (t:Task {namespace: $ns, unique_key: key}) RETURN t }
RETURN [t.id, t.unique_key, t.type, t.payload, coalesce(t.status, 'pending')] AS row");

const DEPEND: Statement = Statement::locking(concat!(
    lock!(),
    include_str!("cypher/depend.cypher"),
    include_str!("cypher/raise_prerequisites.cypher"),
    "RETURN [was, theirs, circle, size(looks) > 0] AS row"
));

pub(super) async fn enqueue(
    store: &Neo4jStore,
    units: Vec<Vec<NewTask>>,
    max_depth: u32,
    under: Option<&Term>,
) -> Result<Answers<Vec<Enqueued>>> {
    if units.iter().all(|unit| admit::is_plain(unit)) {
        return plain(store, units, max_depth, under).await;
    }
    linked(store, units, max_depth, under).await
}

/// Several short statements at once, if need be.
async fn plain(
    store: &Neo4jStore,
    units: Vec<Vec<NewTask>>,
    max_depth: u32,
    under: Option<&Term>,
) -> Result<Answers<Vec<Enqueued>>> {
    let size = |unit: &Vec<NewTask>| -> usize {
        let texts = |t: &NewTask| {
            let chain = t.correlation_id.as_ref().map_or(0, String::len);
            t.payload.as_str().len() + t.title.len() + t.description.len() + chain
        };
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
        (size, plain_part(store, part, max_depth, under).await)
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

async fn plain_part(
    store: &Neo4jStore,
    units: Vec<Vec<NewTask>>,
    max_depth: u32,
    under: Option<&Term>,
) -> Result<Answers<Vec<Enqueued>>> {
    let sizes: Vec<usize> = units.iter().map(Vec::len).collect();
    let rows: Vec<Row> = units.into_iter().flatten().map(Row::plain).collect();
    let insertion = insertion(store, &rows).await?;
    let done = store.one_under(insertion.query_under(store, INSERT, under), under).await;
    let mut tasks = rows.into_iter().map(|row| row.task);
    let units = sizes.into_iter().map(|size| tasks.by_ref().take(size).collect::<Vec<_>>());
    match done {
        Ok(_) => {
            let added = |task: NewTask| Enqueued { id: task.id, deduplicated: false };
            let each = units.map(|unit| Ok(unit.into_iter().map(added).collect()));
            Ok(Answers { each: each.collect(), overdue: false })
        }
        // An id is there already: a repetition, for which the long way has an answer.
        Err(error) if error.code() == CONSTRAINT => linked(store, units.collect(), max_depth, under).await,
        Err(error) => Err(error),
    }
}

async fn linked(
    store: &Neo4jStore,
    units: Vec<Vec<NewTask>>,
    max_depth: u32,
    under: Option<&Term>,
) -> Result<Answers<Vec<Enqueued>>> {
    let mut ways = Ways::default();
    for _ in 0..ROUNDS {
        let mut known = known(store, &units).await?;
        ancestors(store, known.parents(&units), &mut known).await?;
        let (mut rows, mut each, mut waits) = (Vec::new(), Vec::new(), Waits::new());
        for unit in &units {
            let admitted = admit::unit(unit.clone(), &mut known, max_depth).and_then(|admitted| {
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
            // Nothing is stored, and whoever has lost the role is told so all the same.
            store.check_term(under).await?;
            return Ok(Answers { each, overdue: false });
        }
        let query = links(insertion(store, &rows).await?.query_under(store, LINKED, under), &rows, &ways)
            .param("without_key", known.without_key());
        match store.one_under(query, under).await {
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

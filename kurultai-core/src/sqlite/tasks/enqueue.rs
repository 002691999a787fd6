use super::{insert::Insertion, links::links};
use crate::{
    error::{Error, Kind, Result},
    sqlite::{
        events,
        tx::{Tx, json, list, word},
    },
    tasks::{
        Dependency, DependencyType, Enqueued, NewTask, Status,
        admit::{self, Ancestor, Existing, Known, Row},
        contract::Answers,
        order::RANK,
    },
};
use rusqlite::{Row as Cells, params};
use std::collections::{BTreeMap, HashMap, HashSet, hash_map::Entry};

pub(super) fn enqueue(
    tx: &Tx<'_>,
    units: Vec<Vec<NewTask>>,
    max_depth: u32,
) -> Result<Answers<Vec<Enqueued>>> {
    if units.iter().all(|unit| admit::is_plain(unit)) && plain(tx, &units)? {
        let added = |task: NewTask| Enqueued { id: task.id, deduplicated: false };
        let each = units.into_iter().map(|unit| Ok(unit.into_iter().map(added).collect())).collect();
        return Ok(Answers { each, overdue: false });
    }
    linked(tx, units, max_depth)
}

/// Tasks that name no other go in without a look at what is there. False, and nothing done, where an id is there
/// already: a repetition, for which the long way has an answer.
fn plain(tx: &Tx<'_>, units: &[Vec<NewTask>]) -> Result<bool> {
    let (mut insertion, mut sources, mut first) = (Insertion::new(tx)?, Sources::new(), None);
    for task in units.iter().flatten() {
        match (insertion.insert(task, task.priority, false)?, first) {
            (Some(n), _) => {
                sources.entry(task.delegated_by.as_deref()).or_default().push(n);
                first.get_or_insert(n);
            }
            (None, None) => return Ok(false),
            (None, Some(first)) => {
                tx.run("delete from task where n >= ?1", [first])?;
                tx.run("delete from task_data where n >= ?1", [first])?;
                return Ok(false);
            }
        }
    }
    insertion.end()?;
    announce(tx, sources)?;
    Ok(true)
}

/// Tasks that name no other, and whose ids and unique keys nobody has.
pub(in crate::sqlite) fn add(tx: &Tx<'_>, tasks: &[NewTask]) -> Result<()> {
    let (mut insertion, mut sources) = (Insertion::new(tx)?, Sources::new());
    for task in tasks {
        let n = insertion.insert(task, task.priority, false)?.ok_or_else(unseen)?;
        sources.entry(task.delegated_by.as_deref()).or_default().push(n);
    }
    insertion.end()?;
    announce(tx, sources)
}

fn unseen() -> Error {
    Error::internal("a task was there that no look has shown")
}

fn linked(tx: &Tx<'_>, units: Vec<Vec<NewTask>>, max_depth: u32) -> Result<Answers<Vec<Enqueued>>> {
    let (mut known, mut numbers) = known(tx, &units)?;
    ancestors(tx, known.parents(&units), max_depth, &mut known)?;
    let (mut rows, mut each) = (Vec::new(), Vec::with_capacity(units.len()));
    let mut waits = Waits::default();
    for unit in units {
        let admitted = match admit::unit(unit, &mut known, max_depth) {
            Ok(admitted) => match circle(tx, &admitted.rows, &mut waits)? {
                None => Ok(admitted),
                Some(circle) => {
                    known.forget(admitted.rows.iter().map(|row| &row.task));
                    Err(admit::cycle_error(circle.iter().map(String::as_str)))
                }
            },
            refused => refused,
        };
        each.push(admitted.map(|admitted| {
            rows.extend(admitted.rows);
            admitted.enqueued
        }));
    }
    let without_key = known.without_key();
    if !without_key.is_empty() {
        let sql = concat!(
            "update task set unique_key = null, links = links | ",
            links!(gave_up_key),
            ", revision = revision + 1 where ns = ?1 and id in (select value from rarray(?2))"
        );
        tx.run(sql, params![tx.ns, list(without_key)])?;
    }
    let (mut insertion, mut sources) = (Insertion::new(tx)?, Sources::new());
    for Row { task, rank, blocked } in &rows {
        let n = insertion.insert(task, *rank, *blocked)?;
        let n = n.ok_or_else(unseen)?;
        numbers.insert(task.id.clone(), n);
        sources.entry(task.delegated_by.as_deref()).or_default().push(n);
    }
    insertion.end()?;
    let overdue = connect(tx, &rows, &numbers)?;
    announce(tx, sources)?;
    Ok(Answers { each, overdue })
}

/// Who enqueued which tasks.
type Sources<'a> = BTreeMap<Option<&'a str>, Vec<i64>>;

fn announce(tx: &Tx<'_>, sources: Sources<'_>) -> Result<()> {
    sources.into_iter().try_for_each(|(source, tasks)| events::append(tx, "task.enqueued", source, &tasks))
}

/// What new tasks wait for, and their parents: edges that are not in the database yet.
type Waits = HashMap<String, Vec<String>>;

/// A new task closes a circle only as the child of a task that was there before, which then waits for it. Remembers
/// the edges of rows that close none.
fn circle(tx: &Tx<'_>, rows: &[Row], waits: &mut Waits) -> Result<Option<Vec<String>>> {
    let own: HashSet<&str> = rows.iter().map(|row| row.task.id.as_str()).collect();
    let mut children: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for Row { task, .. } in rows {
        if let Some(parent) = task.parent_id.as_deref().filter(|parent| !own.contains(parent)) {
            children.entry(parent).or_default().push(task.id.clone());
        }
    }
    if waits.is_empty() && children.is_empty() {
        return Ok(None);
    }
    for Row { task, .. } in rows {
        let edges = admit::waited_for(task).map(str::to_owned);
        waits.entry(task.id.clone()).or_default().extend(edges);
        if let Some(parent) = &task.parent_id {
            waits.entry(parent.clone()).or_default().push(task.id.clone());
        }
    }
    if rows.iter().all(|row| row.task.depends_on.is_empty()) {
        return Ok(None);
    }
    for (parent, from) in &children {
        if let Some(mut circle) = way(tx, from.clone(), parent, waits)? {
            waits.retain(|id, _| !own.contains(id.as_str()));
            for parent in children.keys() {
                if let Some(waited_for) = waits.get_mut(*parent) {
                    waited_for.retain(|id| !own.contains(id.as_str()));
                }
            }
            circle.extend(circle.first().cloned());
            return Ok(Some(circle));
        }
    }
    Ok(None)
}

/// The ids on the way along which one of `from` waits for `to`, through edges and children; `None` where none does.
fn way(tx: &Tx<'_>, from: Vec<String>, to: &str, waits: &Waits) -> Result<Option<Vec<String>>> {
    let sql = "select d.id, p.id from rarray(?2) a cross join task d on d.id = a.value and d.ns = ?1
          cross join edge e on e.dependent = d.n and e.type = 'blocks' cross join task p on p.n = e.prerequisite
        union all select d.id, c.id from rarray(?2) a cross join task d on d.id = a.value and d.ns = ?1
          cross join task c on c.parent = d.n";
    let mut came_from: HashMap<String, String> = from.iter().map(|id| (id.clone(), String::new())).collect();
    let mut frontier = from;
    while !frontier.is_empty() && !came_from.contains_key(to) {
        let fresh = frontier
            .iter()
            .flat_map(|id| waits.get(id).into_iter().flatten().map(|on| (id.clone(), on.clone())));
        let mut steps: Vec<(String, String)> = fresh.collect();
        steps.extend(tx.rows(sql, params![tx.ns, list(frontier)], |row| Ok((row.get(0)?, row.get(1)?)))?);
        frontier = Vec::new();
        for (before, next) in steps {
            if let Entry::Vacant(entry) = came_from.entry(next) {
                frontier.push(entry.key().clone());
                entry.insert(before);
            }
        }
    }
    if !came_from.contains_key(to) {
        return Ok(None);
    }
    let mut way = vec![to.to_owned()];
    while let Some(before) = way.last().map(|last| &came_from[last]).filter(|before| !before.is_empty()) {
        way.push(before.clone());
    }
    way.reverse();
    Ok(Some(way))
}

/// What is there of what the units name, and the row of each.
fn known(tx: &Tx<'_>, units: &[Vec<NewTask>]) -> Result<(Known, HashMap<String, i64>)> {
    let (mut known, mut numbers) = (Known::default(), HashMap::new());
    let (ids, keys) = admit::names(units);
    let mut add = |sql: &str, names: Vec<String>| -> Result<()> {
        let found = tx.rows(sql, params![tx.ns, list(names)], |row| {
            let existing = Existing { task_type: row.get(3)?, status: word(row, 4)?, payload: json(row, 5)? };
            Ok((row.get(0)?, row.get::<_, String>(1)?, row.get(2)?, existing))
        })?;
        for (n, id, unique_key, existing) in found {
            numbers.insert(id.clone(), n);
            known.add(id, unique_key, existing);
        }
        Ok(())
    };
    let by_id = "select t.n, t.id, t.unique_key, t.type, t.status, d.payload from rarray(?2) a
        cross join task t on t.id = a.value and t.ns = ?1 cross join task_data d on d.n = t.n";
    add(by_id, ids)?;
    if !keys.is_empty() {
        let by_key = "select t.n, t.id, t.unique_key, t.type, t.status, d.payload from rarray(?2) a
            cross join task t on t.unique_key = a.value and t.ns = ?1 cross join task_data d on d.n = t.n";
        add(by_key, keys)?;
    }
    Ok((known, numbers))
}

/// These tasks and what is above them, one step further than is allowed.
fn ancestors(tx: &Tx<'_>, tasks: HashSet<String>, max_depth: u32, known: &mut Known) -> Result<()> {
    if tasks.is_empty() {
        return Ok(());
    }
    let sql = "with recursive up(n, depth) as (
          select t.n, 0 from rarray(?2) a cross join task t on t.id = a.value and t.ns = ?1
          union select t.parent, depth + 1 from up cross join task t on t.n = up.n
            where t.parent is not null and depth < ?3)
        select t.id, p.id, t.type, d.delegated_by, d.correlation_id
        from (select distinct n from up) u cross join task t on t.n = u.n cross join task_data d on d.n = t.n
        left join task p on p.n = t.parent";
    let ancestor = |row: &Cells<'_>| -> rusqlite::Result<(String, Ancestor)> {
        let (parent_id, task_type) = (row.get(1)?, row.get(2)?);
        let (delegated_by, correlation_id) = (row.get(3)?, row.get(4)?);
        Ok((row.get(0)?, Ancestor { parent_id, task_type, delegated_by, correlation_id }))
    };
    for (id, ancestor) in tx.rows(sql, params![tx.ns, list(tasks), max_depth], ancestor)? {
        known.add_above(id, ancestor);
    }
    Ok(())
}

/// Edges, parents and inherited ranks of new tasks. Returns whether some wait for what is over already.
fn connect(tx: &Tx<'_>, rows: &[Row], numbers: &HashMap<String, i64>) -> Result<bool> {
    let number = |id: &str| numbers.get(id).copied().ok_or_else(|| Error::task_not_found(id));
    let (mut blocked, mut parents, mut urgent) = (Vec::new(), Vec::new(), Vec::new());
    for Row { task, rank, blocked: waits } in rows {
        let n = number(&task.id)?;
        for edge in &task.depends_on {
            let prerequisite = number(&edge.prerequisite)?;
            insert_edge(tx, n, prerequisite, edge)?;
            if edge.dependency_type == DependencyType::Blocks {
                urgent.push((prerequisite, *rank as i64));
            }
        }
        if let Some(parent) = &task.parent_id {
            let parent = number(parent)?;
            tx.run("update task set parent = ?2 where n = ?1", [n, parent])?;
            let sql = concat!(
                "update task set links = links | ",
                links!(children),
                ", revision = revision + 1 where n = ?1"
            );
            tx.run(sql, [parent])?;
            parents.push(parent);
        }
        if *waits {
            blocked.push(n);
        }
    }
    if !parents.is_empty() {
        let sql =
            "update task set status = 'blocked', claim_key = null, claim_id = iif(status = 'pending', null, claim_id),
              due_at = iif(status = 'blocked', due_at, iif(d.timeout is null, expires_at, null)),
              expires_at = iif(d.timeout is null, expires_at, null), revision = revision + 1, updated_at = ?2
            from task_data d
            where d.n = task.n and task.n in (select value from rarray(?1)) and status in ('pending', 'blocked')";
        tx.run(sql, params![list(parents), tx.now])?;
    }
    raise(tx, urgent)?;
    if blocked.is_empty() {
        return Ok(false);
    }
    let sql = "update task set due_at = 0 where n in (select value from rarray(?1))
          and (exists(select 1 from edge e join task p on p.n = e.prerequisite
              where e.dependent = task.n and e.type = 'blocks'
                and p.status in ('dead_letter', 'cancelled', 'expired'))
            or not exists(select 1 from task c where c.parent = task.n)
              and not exists(select 1 from edge e join task p on p.n = e.prerequisite
                where e.dependent = task.n and e.type = 'blocks'
                  and p.status not in ('completed', 'dead_letter', 'cancelled', 'expired')))";
    Ok(tx.run(sql, [list(blocked)])? > 0)
}

fn insert_edge(tx: &Tx<'_>, dependent: i64, prerequisite: i64, edge: &Dependency) -> Result<()> {
    let sql = "insert into edge(dependent, prerequisite, type, weight, detected_by, created_at)
        values(?1, ?2, ?3, ?4, ?5, ?6)
        on conflict do update set type = excluded.type, weight = excluded.weight,
          detected_by = excluded.detected_by";
    let kind = edge.dependency_type.as_str();
    tx.run(sql, params![dependent, prerequisite, kind, edge.weight, edge.detected_by, tx.now])?;
    let sql = concat!(
        "update task set links = links | iif(n = ?1, ",
        links!(prerequisites),
        ", ",
        links!(dependents),
        ") where n in (?1, ?2)"
    );
    tx.run(sql, [dependent, prerequisite]).map(drop)
}

/// Gives prerequisites the rank of what waits for them, and so on along `blocks`, as long as that is better.
pub(super) fn raise(tx: &Tx<'_>, mut urgent: Vec<(i64, i64)>) -> Result<()> {
    while let Some((n, rank)) = urgent.pop() {
        let sql = "update task set sort_key = sort_key - ((sort_key >> 60) - ?2) * ?3,
              claim_key = claim_key - ((sort_key >> 60) - ?2) * ?3, revision = revision + 1
            where n = ?1 and (sort_key >> 60) > ?2
              and status not in ('completed', 'dead_letter', 'cancelled', 'expired')
              and exists(select 1 from edge where prerequisite = ?1 and type = 'blocks')";
        if tx.run(sql, [n, rank, RANK])? > 0 {
            let next = "select prerequisite from edge where dependent = ?1 and type = 'blocks'";
            urgent.extend(tx.rows(next, [n], |row| Ok((row.get(0)?, rank)))?);
        }
    }
    Ok(())
}

pub(super) fn add_dependency(tx: &Tx<'_>, dependent: &str, edge: &Dependency) -> Result<bool> {
    let find = |id: &str| {
        let sql = "select n, status, sort_key >> 60 from task where ns = ?1 and id = ?2";
        tx.one(sql, params![tx.ns, id], |row| Ok((row.get(0)?, word::<Status>(row, 1)?, row.get(2)?)))
    };
    let (n, status, rank): (i64, _, i64) =
        find(dependent)?.ok_or_else(|| Error::task_not_found(dependent))?;
    let Some((prerequisite, theirs, _)) = find(&edge.prerequisite)? else {
        let message =
            format!("task {dependent:?} cannot depend on {:?}, which does not exist", edge.prerequisite);
        return Err(Error::new(Kind::Input, "task.dependency_unknown", message));
    };
    if status == Status::InProgress || status.is_finished() {
        let message = format!("task {dependent} is {status} and cannot wait for another");
        return Err(Error::conflict("task.state", message));
    }
    if edge.dependency_type == DependencyType::Blocks
        && let Some(cycle) = way(tx, vec![edge.prerequisite.clone()], dependent, &Waits::new())?
    {
        return Err(admit::cycle_error([dependent].into_iter().chain(cycle.iter().map(String::as_str))));
    }
    insert_edge(tx, n, prerequisite, edge)?;
    if edge.dependency_type != DependencyType::Blocks {
        // It may have been a `blocks` edge until now.
        let sql = "update task set revision = revision + 1, due_at = 0 where n = ?1 and status = 'blocked'";
        return Ok(tx.run(sql, [n])? > 0);
    }
    raise(tx, vec![(prerequisite, rank)])?;
    if theirs == Status::Completed {
        return Ok(false);
    }
    if status == Status::Pending {
        let sql = "update task set status = 'blocked', claim_key = null, claim_id = null, updated_at = ?2,
              due_at = iif(d.timeout is null, expires_at, null), expires_at = iif(d.timeout is null, expires_at, null)
            from task_data d where d.n = task.n and task.n = ?1";
        tx.run(sql, [n, tx.now])?;
        events::append(tx, "task.blocked", None, &[n])?;
    }
    let due = theirs.is_finished();
    let sql = "update task set revision = revision + 1, due_at = iif(?2, 0, due_at) where n = ?1";
    tx.run(sql, params![n, due])?;
    Ok(due)
}

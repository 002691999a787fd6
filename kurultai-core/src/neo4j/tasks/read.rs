//! What is there. Only the facts are read under the lock.

use super::claimed::prerequisites as rows_of;
use crate::{
    clock::{Micros, duration},
    error::Result,
    neo4j::{
        Neo4jStore,
        bolt::{Cells, Properties, count},
        cypher::{clock, lock},
        statement::{Call, Statement},
    },
    tasks::{
        EmergencyStop, Filter, OnPrerequisiteFailure, Page, Percentiles, Prerequisite, Priority, RetryPolicy,
        Stats, Status, Task, WaitFor,
        contract::{ANSWER_BYTES, Burden, Due, Facts, Tally},
    },
};
use chrono::{DateTime, Utc};
use serde::de::DeserializeOwned;
use std::{cmp::max, collections::BTreeMap};

const FACTS: Statement = Statement::locking(concat!(lock!(), include_str!("cypher/facts.cypher")));

pub(super) const DUE: Statement = Statement::plain(concat!(
    clock!(),
    "CALL (now) { MATCH (t:Task) USING INDEX SEEK t:Task(namespace, due_at)
  WHERE t.namespace = $ns AND t.due_at <= now
  WITH t ORDER BY t.namespace, t.due_at LIMIT $limit RETURN collect(t.id) AS ids, min(t.due_at) AS first }
RETURN [ids, coalesce(first = 0, false)] AS row"
));

const GET: Statement = Statement::plain(
    "CYPHER 5 UNWIND range(0, size($ids) - 1) AS i
MATCH (t:Task {namespace: $ns, id: $ids[i]}) USING INDEX SEEK t:Task(namespace, id)
RETURN [i, properties(t), [(t)-[:DEPENDS_ON]->(p:Task) | p.id]] AS row",
);

const FIND: Statement = Statement::plain(
    "CYPHER 5 MATCH (t:Task {namespace: $ns, unique_key: $key})
RETURN [0, properties(t), [(t)-[:DEPENDS_ON]->(p:Task) | p.id]] AS row",
);

const TREE: Statement = Statement::plain(
    "CYPHER 5 MATCH (t:Task {namespace: $ns, id: $id}) USING INDEX SEEK t:Task(namespace, id)
MATCH way = (t)-[:SPAWNED*0..]->(below:Task)
RETURN [below.id] AS row ORDER BY length(way), below.id",
);

/// In the order of ids. There is no index of statuses: it would change with each transition, and nothing hot asks for it.
const LIST_ALL: Statement = Statement::plain(concat!(
    "CYPHER 5 MATCH (t:Task) USING INDEX SEEK t:Task(namespace, id) WHERE t.namespace = $ns AND t.id > $cursor
  AND ($status IS NULL OR t.status = $status)
",
    include_str!("cypher/list.cypher")
));
const LIST_CHILDREN: Statement = Statement::plain(concat!(
    "CYPHER 5 MATCH (q:Task {namespace: $ns, id: $parent})-[:SPAWNED]->(t:Task) WHERE t.namespace = $ns
  AND ($status IS NULL OR t.status = $status) AND t.id > $cursor
",
    include_str!("cypher/list.cypher")
));

const PREREQUISITES: Statement = Statement::plain(
    "CYPHER 5
MATCH (t:Task {namespace: $ns, id: $id})-[e:DEPENDS_ON]->(p:Task)
RETURN [p.id, e.type, p.status, p.results] AS row",
);

const CHILDREN: Statement = Statement::plain(
    "CYPHER 5
MATCH (t:Task {namespace: $ns, id: $id})-[:SPAWNED]->(p:Task)
RETURN [p.id, 'blocks', p.status, p.results] AS row",
);

/// What can be claimed is counted in its index.
const BURDEN: Statement = Statement::plain(
    "CYPHER 5 MATCH (ns:Namespace {namespace: $ns, made: $made})
CALL () { MATCH (r:TaskRoute) USING INDEX SEEK r:TaskRoute(namespace, key) WHERE r.namespace = $ns AND r.key >= ''
  MATCH (t:Task) USING INDEX SEEK t:Task(namespace, route, claim_key)
  WHERE t.namespace = $ns AND t.route = r.number AND t.claim_key > -1
  WITH t LIMIT $most RETURN count(*) AS ready }
CALL () { MATCH (t:Task) USING INDEX SEEK t:Task(namespace, dead_letter) WHERE t.namespace = $ns AND t.dead_letter = true
  WITH t LIMIT $most RETURN count(*) AS dead, count(CASE t.priority WHEN 'P0' THEN 1 END) AS urgent }
RETURN [ready, dead, urgent, ns.stop_reason, ns.stopped_at] AS row",
);

const STATS: Statement = Statement::plain(concat!(clock!(), include_str!("cypher/stats.cypher")));

pub(super) async fn facts(store: &Neo4jStore, ids: Vec<String>) -> Result<Vec<Option<Facts>>> {
    let mut all: Vec<Option<Facts>> = ids.iter().map(|_| None).collect();
    if ids.is_empty() {
        return Ok(all);
    }
    for mut row in store.exec(store.query(FACTS).param("ids", ids)).await? {
        let index = row.next::<u64>()? as usize;
        all[index] = Some(facts_of(row)?);
    }
    Ok(all)
}

fn facts_of(mut row: Cells) -> Result<Facts> {
    Ok(Facts {
        now: row.next()?,
        id: row.next()?,
        task_type: row.next()?,
        revision: row.next()?,
        status: row.next::<String>()?.parse()?,
        claim_id: row.next()?,
        claimed_by: row.next()?,
        lease_expires_at: row.next()?,
        attempts: row.next()?,
        max_attempts: row.next()?,
        retry: parsed::<RetryPolicy>(row.next()?),
        claimable: row.next()?,
        run_at: row.next()?,
        expires_at: row.next()?,
        timeout: row.next()?,
        control: row.next::<Option<String>>()?.map(|word| word.parse()).transpose()?,
        on_prerequisite_failure: row
            .next::<Option<String>>()?
            .map_or(Ok(OnPrerequisiteFailure::Block), |word| word.parse())?,
        wait_for: parsed::<WaitFor>(row.next()?),
        prerequisites: tally(row.next()?),
        children: tally(row.next()?),
        lapses: row.next::<Option<u32>>()?.unwrap_or(0),
        gave_up_key: row.next()?,
        snoozes: row.next()?,
        max_runtime: row.next()?,
        claimed_at: row.next()?,
    })
}

/// JSON that this library wrote; where there is none, the default.
pub(super) fn parsed<T: DeserializeOwned + Default>(text: Option<String>) -> T {
    text.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default()
}

fn tally(counts: Vec<u32>) -> Tally {
    let [live, completed, all] = counts[..] else { return Tally::default() };
    Tally { live, completed, failed: all.saturating_sub(live + completed) }
}

pub(super) async fn due(store: &Neo4jStore, limit: usize) -> Result<Due> {
    let mut row = store.one(store.query(DUE).param("limit", count(limit))).await?;
    Ok(Due { ids: row.next()?, marked: row.next()? })
}

pub(super) async fn get(store: &Neo4jStore, ids: Vec<String>) -> Result<Vec<Option<Task>>> {
    let mut all: Vec<Option<Task>> = ids.iter().map(|_| None).collect();
    let found = whole(store, store.query(GET).param("ids", ids), |mut row| {
        Ok((row.next()?, task(row.next()?, row.next()?)?))
    });
    for (index, task) in found.await? {
        all[index as usize] = Some(task);
    }
    Ok(all)
}

pub(super) async fn find(store: &Neo4jStore, unique_key: &str) -> Result<Option<Task>> {
    let query = store.query(FIND).param("key", unique_key);
    let found = whole(store, query, |mut row| Ok((row.next()?, task(row.next()?, row.next()?)?)));
    Ok(found.await?.pop().map(|(_, task)| task))
}

pub(super) async fn tree(store: &Neo4jStore, id: &str) -> Result<Vec<String>> {
    let rows = store.exec(store.query(TREE).param("id", id)).await?;
    rows.into_iter().map(|mut row| row.next()).collect()
}

/// How often a list is read whose tasks go on to change.
const LOOKS: u32 = 5;

/// The server shows a commit property by property, so that a task may be completed and have no results yet. Looks again
/// while some contradict themselves; those that do so twice are as they seem, such as a parent without results.
async fn whole(
    store: &Neo4jStore,
    query: Call,
    read: fn(Cells) -> Result<(u64, Task)>,
) -> Result<Vec<(u64, Task)>> {
    let is_torn = |(_, task): &&(u64, Task)| {
        task.status.is_finished() != task.completed_at.is_some()
            || (task.status == Status::InProgress) != task.lease_expires_at.is_some()
            || (task.status == Status::Completed && task.results.is_none())
    };
    let (mut before, mut left) = (vec![], LOOKS);
    loop {
        let rows = store.exec(query.clone()).await?;
        let tasks = rows.into_iter().map(read).collect::<Result<Vec<_>>>()?;
        let torn: Vec<(u64, Task)> = tasks.iter().filter(is_torn).cloned().collect();
        left -= 1;
        if torn == before || left == 0 {
            return Ok(tasks);
        }
        before = torn;
    }
}

pub(super) async fn list(store: &Neo4jStore, filter: Filter) -> Result<Page> {
    let statement = if filter.parent_id.is_some() { LIST_CHILDREN } else { LIST_ALL };
    let query = store
        .query(statement)
        .param("status", filter.status.map(Status::as_str))
        .param("type", filter.task_type)
        .param("assigned_to", filter.assigned_to)
        .param("claimed_by", filter.claimed_by)
        .param("parent", filter.parent_id)
        .param("cursor", filter.cursor.unwrap_or_default())
        .param("limit", count(filter.limit) + 1)
        .param("bytes", count(ANSWER_BYTES));
    let cut = |mut row: Cells| Ok((u64::from(row.next::<bool>()?), task(row.next()?, row.next()?)?));
    let found = whole(store, query, cut).await?;
    let more = found.len() > filter.limit || found.iter().any(|(cut, _)| *cut > 0);
    let mut tasks: Vec<Task> = found.into_iter().map(|(_, task)| task).collect();
    tasks.truncate(filter.limit);
    let next = tasks.last().filter(|_| more).map(|task: &Task| task.id.clone());
    Ok(Page { tasks, next })
}

fn task(mut of: Properties, mut depends_on: Vec<String>) -> Result<Task> {
    depends_on.sort();
    let created_at: DateTime<Utc> = of.take::<Option<_>>("created_at")?.unwrap_or_default();
    let (claimed_at, completed_at) = (of.take("claimed_at")?, of.take("completed_at")?);
    // Insertion, claim and completion write their own time only: a property is dear there.
    let updated_at =
        [of.take("updated_at")?, claimed_at, completed_at].into_iter().flatten().fold(created_at, max);
    let errors: Vec<String> = of.take("errors")?;
    let id: String = of.take("id")?;
    Ok(Task {
        correlation_id: of.take::<Option<_>>("correlation_id")?.unwrap_or_else(|| id.clone()),
        id,
        task_type: of.take("type")?,
        title: of.take::<Option<_>>("title")?.unwrap_or_default(),
        description: of.take::<Option<_>>("description")?.unwrap_or_default(),
        status: of.take::<String>("status")?.parse()?,
        priority: of.take::<String>("priority")?.parse::<Priority>()?,
        priority_weight: of.take::<Option<_>>("priority_weight")?.unwrap_or(0.5),
        payload: of.take::<Option<_>>("payload")?.unwrap_or_default(),
        required_capabilities: of.take("required_capabilities")?,
        preferred_capabilities: of.take("preferred_capabilities")?,
        assigned_to: of.take("assigned_to")?,
        delegated_by: of.take("delegated_by")?,
        parent_id: of.take("parent_id")?,
        unique_key: of.take("unique_key")?,
        depends_on,
        run_at: of.take("run_at")?,
        expires_at: of.take("expires_at")?,
        attempts: of.take::<Option<_>>("attempts")?.unwrap_or(0),
        max_attempts: of.take::<Option<_>>("max_attempts")?.unwrap_or(3),
        max_runtime: of.take::<Option<Micros>>("max_runtime")?.map(duration),
        snoozes: of.take::<Option<_>>("snoozes")?.unwrap_or(0),
        claimed_by: of.take("claimed_by")?,
        claimed_at,
        lease_version: of.take::<Option<_>>("lease_version")?.unwrap_or(0),
        lease_expires_at: of.take("lease_expires_at")?,
        progress: of.take("progress")?,
        checkpoint: of.take("checkpoint")?,
        results: of.take("results")?,
        error_message: of.take("error_message")?,
        errors: errors.iter().filter_map(|text| serde_json::from_str(text).ok()).collect(),
        usage: of.take::<Option<String>>("usage")?.and_then(|text| serde_json::from_str(&text).ok()),
        created_at,
        updated_at,
        completed_at,
    })
}

pub(super) async fn prerequisites(store: &Neo4jStore, id: &str) -> Result<Vec<Prerequisite>> {
    rows_of(store.exec(store.query(PREREQUISITES).param("id", id)).await?)
}

pub(super) async fn children(store: &Neo4jStore, id: &str) -> Result<Vec<Prerequisite>> {
    rows_of(store.exec(store.query(CHILDREN).param("id", id)).await?)
}

pub(super) async fn burden(store: &Neo4jStore, most: usize) -> Result<Burden> {
    let mut row = store.one(store.query(BURDEN).param("most", count(most))).await?;
    let (ready, dead_letters, urgent) = (row.next()?, row.next()?, row.next()?);
    Ok(Burden { ready, dead_letters, urgent, stopped: stopped(&mut row)? })
}

pub(super) async fn stats(store: &Neo4jStore) -> Result<Stats> {
    let mut row = store.one(store.query(STATS)).await?;
    let mut by_status = BTreeMap::new();
    for mut entry in row.rows()? {
        let (status, tasks): (String, u64) = (entry.next()?, entry.next()?);
        if tasks > 0 {
            by_status.insert(status.parse()?, tasks);
        }
    }
    let oldest = row.next::<Option<Micros>>()?.map(seconds);
    let (mut waits, mut runs) = (Vec::new(), Vec::new());
    for mut span in row.rows()? {
        waits.push(span.next::<Micros>()?);
        runs.push(span.next::<Micros>()?);
    }
    Ok(Stats {
        by_status,
        oldest_pending_seconds: oldest,
        wait_seconds: Percentiles::of(waits),
        run_seconds: Percentiles::of(runs),
        expired_last_day: row.next()?,
        paused: row.next()?,
        stopped: stopped(&mut row)?,
    })
}

fn stopped(row: &mut Cells) -> Result<Option<EmergencyStop>> {
    let (reason, at): (Option<String>, Option<_>) = (row.next()?, row.next()?);
    Ok(reason.zip(at).map(|(reason, at)| EmergencyStop { reason, at }))
}

fn seconds(micros: Micros) -> f64 {
    micros.max(0) as f64 / 1e6
}

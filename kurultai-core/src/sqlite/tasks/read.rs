use super::{links::links, pause::paused, stop::stopped};
use crate::{
    clock::{Micros, duration, time},
    error::Result,
    json::Json,
    sqlite::{
        events::{key, last_seq},
        tx::{Tx, json as stored, list as values, names, word},
    },
    tasks::{
        Filter, Page, Percentiles, Prerequisite, Priority, Stats, Status, Task,
        contract::{ANSWER_BYTES, Burden, Facts, Tally},
    },
};
use rusqlite::{Row, params};
use std::collections::{BTreeMap, HashMap};

pub(super) fn facts(tx: &Tx<'_>, ids: &[String]) -> Result<Vec<Option<Facts>>> {
    let sql = concat!(
        "select t.n, t.id, t.revision, t.status, t.claim_id, t.claimed_by, t.due_at, t.attempts,
          d.max_attempts, t.claim_key is not null, t.run_at, t.expires_at, d.timeout, t.control,
          d.on_prerequisite_failure, d.wait_for, d.retry,
          (select group_concat(p.status) from edge e join task p on p.n = e.prerequisite
           where e.dependent = t.n and e.type = 'blocks'),
          (select group_concat(c.status) from task c where c.parent = t.n),
          (select count(*) from task_result r, json_each(r.errors) e
           where r.n = t.n and e.value ->> '$.kind' = 'lapsed'), t.links & ",
        links!(gave_up_key),
        ", (select snoozes from task_result r where r.n = t.n), t.claimed_at, d.max_runtime, t.type
        from rarray(?2) a cross join task t on t.id = a.value and t.ns = ?1 cross join task_data d on d.n = t.n"
    );
    let rows = tx.rows(sql, params![tx.ns, values(ids.iter().cloned())], |row| facts_of(tx, row))?;
    let mut found: HashMap<String, Facts> = rows.into_iter().map(|facts| (facts.id.clone(), facts)).collect();
    Ok(ids.iter().map(|id| found.remove(id)).collect())
}

pub(super) fn facts_of(tx: &Tx<'_>, row: &Row<'_>) -> rusqlite::Result<Facts> {
    let json = |column| row.get::<_, Option<String>>(column);
    let status = word(row, 3)?;
    Ok(Facts {
        now: tx.now,
        id: row.get(1)?,
        revision: row.get(2)?,
        status,
        claim_id: row.get(4)?,
        claimed_by: row.get(5)?,
        claimed_at: row.get(22)?,
        max_runtime: row.get(23)?,
        lease_expires_at: if status == Status::InProgress { row.get(6)? } else { None },
        attempts: row.get(7)?,
        max_attempts: row.get(8)?,
        claimable: row.get(9)?,
        run_at: row.get(10)?,
        expires_at: row.get(11)?,
        timeout: row.get(12)?,
        control: row.get::<_, Option<String>>(13)?.and_then(|control| control.parse().ok()),
        on_prerequisite_failure: word(row, 14)?,
        wait_for: json(15)?.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default(),
        retry: json(16)?.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default(),
        prerequisites: Tally::of(json(17)?.as_deref()),
        children: Tally::of(json(18)?.as_deref()),
        lapses: row.get(19)?,
        gave_up_key: row.get::<_, i64>(20)? > 0,
        snoozes: row.get::<_, Option<u32>>(21)?.unwrap_or(0),
        task_type: row.get(24)?,
    })
}

/// Everything of a task; the statements below add whose.
const TASK: &str = "select t.id, t.type, d.title, d.description, t.status, d.priority, d.priority_weight, d.payload,
      d.required, d.preferred, d.assigned_to, d.delegated_by, p.id, t.unique_key,
      (select json_group_array(q.id) from edge e join task q on q.n = e.prerequisite where e.dependent = t.n),
      t.run_at, t.expires_at, t.attempts, d.max_attempts, t.claimed_by, t.claimed_at, t.lease_version,
      iif(t.status = 'in_progress', t.due_at, null), r.progress, r.checkpoint, r.results, r.error_message, r.errors,
      r.usage, d.created_at, t.updated_at, t.completed_at, coalesce(d.correlation_id, t.id), r.snoozes,
      d.max_runtime
    from task t cross join task_data d on d.n = t.n
    left join task_result r on r.n = t.n left join task p on p.n = t.parent";

fn task(row: &Row<'_>) -> rusqlite::Result<Task> {
    let at = |column| -> rusqlite::Result<_> { Ok(row.get::<_, Option<i64>>(column)?.map(time)) };
    let json =
        |column| -> rusqlite::Result<_> { Ok(row.get::<_, Option<String>>(column)?.map(Json::stored)) };
    Ok(Task {
        id: row.get(0)?,
        task_type: row.get(1)?,
        title: row.get(2)?,
        description: row.get(3)?,
        status: word(row, 4)?,
        priority: Priority::of_rank(row.get(5)?),
        priority_weight: row.get(6)?,
        payload: stored(row, 7)?,
        required_capabilities: names(row, 8)?,
        preferred_capabilities: names(row, 9)?,
        assigned_to: row.get(10)?,
        delegated_by: row.get(11)?,
        parent_id: row.get(12)?,
        unique_key: row.get(13)?,
        depends_on: names(row, 14)?,
        run_at: at(15)?,
        expires_at: at(16)?,
        attempts: row.get(17)?,
        max_attempts: row.get(18)?,
        max_runtime: row.get::<_, Option<Micros>>(34)?.map(duration),
        claimed_by: row.get(19)?,
        claimed_at: at(20)?,
        lease_version: row.get(21)?,
        lease_expires_at: at(22)?,
        progress: row.get(23)?,
        checkpoint: json(24)?,
        results: json(25)?,
        error_message: row.get(26)?,
        errors: json(27)?.and_then(|errors| errors.get().ok()).unwrap_or_default(),
        usage: json(28)?.and_then(|usage| usage.get().ok()),
        created_at: time(row.get(29)?),
        updated_at: time(row.get(30)?),
        completed_at: at(31)?,
        correlation_id: row.get(32)?,
        snoozes: row.get::<_, Option<u32>>(33)?.unwrap_or(0),
    })
}

pub(super) fn get(tx: &Tx<'_>, ids: &[String]) -> Result<Vec<Option<Task>>> {
    let sql = format!("{TASK} where t.ns = ?1 and t.id in (select value from rarray(?2))");
    let rows = tx.rows(&sql, params![tx.ns, values(ids.iter().cloned())], task)?;
    let found: HashMap<String, Task> = rows.into_iter().map(|task| (task.id.clone(), task)).collect();
    Ok(ids.iter().map(|id| found.get(id).cloned()).collect())
}

pub(super) fn find(tx: &Tx<'_>, unique_key: &str) -> Result<Option<Task>> {
    tx.one(&format!("{TASK} where t.ns = ?1 and t.unique_key = ?2"), params![tx.ns, unique_key], task)
}

pub(super) fn list(tx: &Tx<'_>, filter: &Filter) -> Result<Page> {
    // Conditions that an index serves are there only where they are asked for: the planner sees no values.
    let (ns, dead) = match (&filter.parent_id, filter.status) {
        (Some(_), _) => ("t.parent = (select n from task where id = ?7 and ns = ?1) and +t.ns", ""),
        (None, Some(Status::DeadLetter)) => ("t.ns", concat!("t.links & ", links!(dead_letter), " and")),
        (None, _) => ("t.ns", ""),
    };
    let sql = format!(
        "{TASK} where {dead} {ns} = ?1 and (?2 is null or t.id > ?2) and (?3 is null or t.status = ?3)
          and (?4 is null or t.type = ?4) and (?5 is null or d.assigned_to = ?5)
          and (?6 is null or t.claimed_by = ?6)
        order by t.id limit ?8"
    );
    let params = params![
        tx.ns,
        filter.cursor,
        filter.status.map(|status| status.as_str()),
        filter.task_type,
        filter.assigned_to,
        filter.claimed_by,
        filter.parent_id,
        filter.limit as i64 + 1
    ];
    let mut bytes = 0;
    let mut tasks = tx.rows_until(&sql, params, task, |task| {
        bytes += task.bytes();
        bytes >= ANSWER_BYTES
    })?;
    let more = tasks.len() > filter.limit || bytes >= ANSWER_BYTES;
    tasks.truncate(filter.limit);
    let next = if more { tasks.last().map(|task| task.id.clone()) } else { None };
    Ok(Page { tasks, next })
}

fn prerequisite(row: &Row<'_>) -> rusqlite::Result<Prerequisite> {
    let results = row.get::<_, Option<String>>(3)?.map(Json::stored);
    let (id, dependency_type, status) = (row.get(0)?, word(row, 1)?, word(row, 2)?);
    Ok(Prerequisite { id, dependency_type, status, results, omitted: false })
}

pub(super) fn prerequisites(tx: &Tx<'_>, id: &str) -> Result<Vec<Prerequisite>> {
    let sql = "select p.id, e.type, p.status, r.results from task t
        join edge e on e.dependent = t.n join task p on p.n = e.prerequisite
        left join task_result r on r.n = p.n where t.ns = ?1 and t.id = ?2 order by p.id";
    tx.rows(sql, params![tx.ns, id], prerequisite)
}

pub(super) fn children(tx: &Tx<'_>, id: &str) -> Result<Vec<Prerequisite>> {
    let sql = "select c.id, 'blocks', c.status, r.results from task t join task c on c.parent = t.n
        left join task_result r on r.n = c.n where t.ns = ?1 and t.id = ?2 order by c.id";
    tx.rows(sql, params![tx.ns, id], prerequisite)
}

pub(super) fn tree(tx: &Tx<'_>, id: &str) -> Result<Vec<String>> {
    let sql = "with recursive below(n, depth) as (
          select n, 0 from task where ns = ?1 and id = ?2
          union all select c.n, depth + 1 from below cross join task c on c.parent = below.n)
        select id from below cross join task using(n) order by depth, n";
    tx.rows(sql, params![tx.ns, id], |row| row.get(0))
}

/// The newest events that the spans of `stats` are taken from.
const RECENT: i64 = 20_000;

pub(super) fn stats(tx: &Tx<'_>) -> Result<Stats> {
    let spans = spans(tx)?;
    let (by_status, expired_last_day) = by_status(tx)?;
    let (waits, runs): (Vec<i64>, Vec<i64>) = spans.into_iter().unzip();
    Ok(Stats {
        by_status,
        oldest_pending_seconds: oldest(tx)?.map(|at| (tx.now - at).max(0) as f64 / 1e6),
        wait_seconds: Percentiles::of(waits),
        run_seconds: Percentiles::of(runs),
        expired_last_day,
        paused: paused(tx)?,
        stopped: stopped(tx)?,
    })
}

pub(super) fn burden(tx: &Tx<'_>, most: usize) -> Result<Burden> {
    let sql = "select count(*) from (select 1 from route r cross join task t indexed by task_ready
        on t.route = r.id and t.claim_key is not null where r.ns = ?1 limit ?2)";
    let ready: i64 = tx.one(sql, params![tx.ns, most as i64], |row| row.get(0))?.unwrap_or(0);
    let sql = "select count(*), coalesce(sum(priority = 0), 0) from
          (select n from task indexed by task_dead where ns = ?1 and links & 8 limit ?2)
        cross join task_data using(n)";
    let (dead, urgent): (i64, i64) =
        tx.one(sql, params![tx.ns, most as i64], |row| Ok((row.get(0)?, row.get(1)?)))?.unwrap_or_default();
    Ok(Burden {
        ready: ready.unsigned_abs(),
        dead_letters: dead.unsigned_abs(),
        urgent: urgent.unsigned_abs(),
        stopped: stopped(tx)?,
    })
}

const DAY: Micros = 86_400_000_000;

/// And how many expired in the last day. What can be claimed is counted in its index, without a look at the tasks.
fn by_status(tx: &Tx<'_>) -> Result<(BTreeMap<Status, u64>, u64)> {
    let sql = "select count(*) from route r cross join task t indexed by task_ready
        on t.route = r.id and t.claim_key is not null where r.ns = ?1";
    let ready = tx.one(sql, [tx.ns], |row| row.get::<_, i64>(0))?.unwrap_or(0) as u64;
    let sql = "select status, count(*), count(iif(completed_at > ?2, 1, null))
        from task not indexed where claim_key is null and ns = ?1 group by status";
    let (mut by_status, mut expired) = (BTreeMap::new(), 0);
    let count = |row: &Row<'_>, column| Ok::<_, rusqlite::Error>(row.get::<_, i64>(column)? as u64);
    for (status, tasks, lately) in
        tx.rows(sql, [tx.ns, tx.now - DAY], |row| Ok((word(row, 0)?, count(row, 1)?, count(row, 2)?)))?
    {
        by_status.insert(status, tasks);
        if status == Status::Expired {
            expired = lately;
        }
    }
    if ready > 0 {
        *by_status.entry(Status::Pending).or_default() += ready;
    }
    Ok((by_status, expired))
}

/// Since when the one waits that has waited longest. Tasks are numbered as they were made, and none has waited since
/// before it was made, so the first few tell.
fn oldest(tx: &Tx<'_>) -> Result<Option<Micros>> {
    let sql = "select created_at, max(created_at, coalesce(run_at, 0)) from task t not indexed
        cross join task_data using(n) where claim_key is not null and ns = ?1 order by t.n";
    let mut oldest = Micros::MAX;
    let waiting = tx.rows_until(
        sql,
        [tx.ns],
        |row| Ok((row.get::<_, Micros>(0)?, row.get::<_, Micros>(1)?)),
        |(made, since)| {
            oldest = oldest.min(*since);
            *made >= oldest
        },
    )?;
    Ok(waiting.iter().map(|(_, since)| *since).min())
}

/// How long the tasks completed last had waited and ran.
fn spans(tx: &Tx<'_>) -> Result<Vec<(Micros, Micros)>> {
    let sql = "select claimed_at - max(created_at, coalesce(run_at, 0)), completed_at - claimed_at
        from (select task as n from event where key > ?1 and key <= ?2 and topic = 'task.completed'
          order by key desc limit 1000)
        cross join task using(n) cross join task_data using(n)
        where status = 'completed' and claimed_at is not null and completed_at is not null";
    let newest = last_seq(tx)?;
    let range = [key(tx, (newest - RECENT).max(0)), key(tx, newest)];
    tx.rows(sql, range, |row| Ok((row.get(0)?, row.get(1)?)))
}

//! The rows of new tasks.

use super::{expiry::Range, links::MAX_RUNTIME, routes::Routes};
use crate::{
    clock::micros,
    error::{Error, Result},
    sqlite::tx::{Each, Tx},
    tasks::{
        NewTask, Priority, RetryPolicy, Status, WaitFor,
        contract::Timing,
        order::{self, Route},
        rules,
    },
};
use rusqlite::params;

const INSERT_TASK: &str =
    "insert into task(id, ns, type, status, route, sort_key, claim_key, unique_key, run_at,
      expires_at, due_at, links, updated_at)
    values(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)
    on conflict(ns, id) do nothing";

const INSERT_DATA: &str =
    "insert into task_data(n, priority, priority_weight, max_attempts, max_runtime, timeout, assigned_to, created_at,
      title, description, required, preferred, delegated_by, wait_for, on_prerequisite_failure, retry, correlation_id,
      payload)
    values(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18)";

pub(super) struct Insertion<'a> {
    tx: &'a Tx<'a>,
    task: Each<'a>,
    data: Each<'a>,
    kinds: Vec<TaskKind<'a>>,
    count: i64,
    expiring: Option<Range>,
}

/// What tasks of one route have in common, worked out once.
struct TaskKind<'a> {
    like: &'a NewTask,
    route: i64,
    required: String,
    preferred: String,
}

/// More kinds than that are not looked through.
const MOST_KINDS: usize = 16;

impl<'a> Insertion<'a> {
    pub(super) fn new(tx: &'a Tx<'a>) -> Result<Self> {
        let (task, data) = (tx.each(INSERT_TASK)?, tx.each(INSERT_DATA)?);
        Ok(Insertion { tx, task, data, kinds: vec![], count: 0, expiring: None })
    }

    /// The number of its row; `None` where its id is there already.
    pub(super) fn insert(&mut self, task: &'a NewTask, rank: Priority, blocked: bool) -> Result<Option<i64>> {
        let tx = self.tx;
        let Timing { claimable, run_at, expires_at, timeout, due_at } = rules::timing(task, blocked, tx.now);
        let sort_key =
            order::sort_base(rank, task.priority_weight) + (tx.now - order::EPOCH).max(0) + self.count;
        let status = if blocked { Status::Blocked } else { Status::Pending };
        let kind = self.kind(task)?;
        let due_at = due_at.filter(|_| !claimable);
        let Insertion { task: hot, data, kinds, .. } = self;
        let TaskKind { route, required, preferred, .. } = &kinds[kind];
        let added = hot.run(params![
            task.id,
            tx.ns,
            task.task_type,
            status.as_str(),
            route,
            sort_key,
            claimable.then_some(sort_key),
            task.unique_key,
            run_at,
            expires_at,
            due_at,
            if task.max_runtime.is_some() { MAX_RUNTIME } else { 0 },
            tx.now
        ])?;
        if added == 0 {
            return Ok(None);
        }
        let n = tx.connection.last_insert_rowid();
        let wait_for = (task.wait_for != WaitFor::All).then(|| serde_json::json!(task.wait_for).to_string());
        let retry = task.retry.filter(|retry| *retry != RetryPolicy::default());
        let retry = retry.map(|retry| serde_json::json!(retry).to_string());
        data.run(params![
            n,
            task.priority as i64,
            task.priority_weight,
            task.max_attempts,
            task.max_runtime.map(micros),
            timeout,
            task.assigned_to,
            tx.now,
            task.title,
            task.description,
            required,
            preferred,
            task.delegated_by,
            wait_for,
            task.on_prerequisite_failure.as_str(),
            retry,
            task.correlation_id,
            task.payload.as_str()
        ])?;
        self.count += 1;
        if let Some(at) = expires_at.filter(|_| claimable) {
            self.expiring = Some(Range::with(self.expiring, at, n));
        }
        Ok(Some(n))
    }

    /// After the last task.
    pub(super) fn end(self) -> Result<()> {
        self.expiring.map_or(Ok(()), |range| range.write(self.tx))
    }

    fn kind(&mut self, task: &'a NewTask) -> Result<usize> {
        if let Some(known) = self.kinds.iter().position(|kind| Route::is_same(kind.like, task)) {
            return Ok(known);
        }
        let names = |names: &[String]| serde_json::to_string(names).unwrap_or_default();
        let kind = TaskKind {
            like: task,
            route: route_id(self.tx, &Route::key_of(task))?,
            required: names(&task.required_capabilities),
            preferred: names(&task.preferred_capabilities),
        };
        if self.kinds.len() == MOST_KINDS {
            self.kinds.clear();
        }
        self.kinds.push(kind);
        Ok(self.kinds.len() - 1)
    }
}

pub(super) fn route_id(tx: &Tx<'_>, key: &str) -> Result<i64> {
    if let Some(id) = tx.remember(|routes: &mut Routes| routes.ids.get(key).copied()).flatten() {
        return Ok(id);
    }
    tx.run("insert or ignore into route(ns, key) values(?1, ?2)", params![tx.ns, key])?;
    let id =
        tx.one("select id from route where ns = ?1 and key = ?2", params![tx.ns, key], |row| row.get(0))?;
    let id = id.ok_or_else(|| Error::internal("a route vanished"))?;
    tx.remember(|routes: &mut Routes| routes.ids.insert(key.to_owned(), id));
    Ok(id)
}

//! The rows of new tasks. What other properties tell is not written: each one of a new node takes 1 to 2 us, also one that is
//! null.

use super::apply::text;
use crate::{
    agents::Term,
    clock::micros,
    error::Result,
    neo4j::{
        Neo4jStore,
        agents::roles::under,
        bolt::{count, list, map},
        cypher::hot_lock,
        statement::{Call, Statement},
    },
    tasks::{
        Expiry, NewTask, OnPrerequisiteFailure, RetryPolicy, Start, WaitFor,
        admit::Row,
        order::{self, Route},
    },
};
use neo4rs::BoltType;

macro_rules! insert {
    ($($first:expr),*) => {
        Statement::locking(concat!(
            $($first,)*
            include_str!("cypher/insert.cypher"),
            "WITH ns, count(*) AS added RETURN [added] AS row"
        ))
        .once()
    };
}

/// For whoever enqueues, and for whoever does so under a term.
pub(super) const INSERT: [Statement; 2] = [insert!(hot_lock!()), insert!(hot_lock!(), under!())];

/// What `insert` wants.
pub(in crate::neo4j) struct Insertion {
    kinds: Vec<BoltType>,
    count: usize,
}

impl Insertion {
    pub(in crate::neo4j) fn query(self, store: &Neo4jStore, statement: Statement) -> Call {
        self.with(store.query(statement))
    }

    pub(super) fn query_under(
        self,
        store: &Neo4jStore,
        statements: [Statement; 2],
        under: Option<&Term>,
    ) -> Call {
        self.with(store.query_under(statements, under))
    }

    fn with(self, call: Call) -> Call {
        call.param("kinds", list(self.kinds)).param("count", count(self.count))
    }
}

pub(in crate::neo4j) async fn insertion(store: &Neo4jStore, rows: &[Row]) -> Result<Insertion> {
    let mut kinds: Vec<(&Row, Vec<BoltType>)> = vec![];
    for (place, row) in rows.iter().enumerate() {
        let kind = kinds.iter().position(|(known, _)| same_kind(known, row)).unwrap_or_else(|| {
            kinds.push((row, vec![]));
            kinds.len() - 1
        });
        kinds[kind].1.push(list(line(place, &row.task)));
    }
    let keys = kinds.iter().map(|(row, _)| Route::key_of(&row.task)).collect();
    let routes = store.route_numbers(keys).await?;
    let kinds = kinds.into_iter().zip(routes);
    let kinds = kinds.map(|((row, lines), route)| map(fields(row, route, lines))).collect();
    Ok(Insertion { kinds, count: rows.len() })
}

fn same_kind(a: &Row, b: &Row) -> bool {
    let (x, y) = (&a.task, &b.task);
    (x.start, x.expiry) == (y.start, y.expiry)
        && Route::is_same(x, y)
        && (a.rank, a.blocked) == (b.rank, b.blocked)
        && (x.priority, x.priority_weight, x.max_attempts) == (y.priority, y.priority_weight, y.max_attempts)
        && (x.retry, x.wait_for, x.on_prerequisite_failure)
            == (y.retry, y.wait_for, y.on_prerequisite_failure)
        && (&x.delegated_by, x.max_runtime) == (&y.delegated_by, y.max_runtime)
}

type Field = (&'static str, BoltType);

/// What is as it is by default is left out.
fn stated(fields: impl IntoIterator<Item = Field>) -> impl Iterator<Item = Field> {
    fields.into_iter().filter(|(_, value)| !matches!(value, BoltType::Null(_)))
}

fn words(words: &[String]) -> BoltType {
    (!words.is_empty()).then(|| words.to_vec()).into()
}

/// What a task's key is beside the time of its insertion.
fn sort(row: &Row) -> i64 {
    order::sort_base(row.rank, row.task.priority_weight) - order::EPOCH
}

fn fields(row: &Row, route: i64, lines: Vec<BoltType>) -> impl Iterator<Item = Field> {
    let task = &row.task;
    let (timeout, expires_at) = match task.expiry {
        Expiry::After(timeout) => (Some(micros(timeout)), None),
        Expiry::At(at) => (None, Some(at.timestamp_micros())),
        Expiry::Never | Expiry::Default => (None, None),
    };
    let (delay, run_at) = match task.start {
        Start::Now => (None, None),
        Start::After(delay) => (Some(micros(delay)), None),
        Start::At(at) => (None, Some(at.timestamp_micros())),
    };
    let longest = task.max_runtime.map(micros);
    let retry = task.retry.filter(|retry| *retry != RetryPolicy::default()).map(|retry| text(&retry));
    let wait_for = (task.wait_for != WaitFor::All).then(|| text(&task.wait_for));
    let failure = Some(task.on_prerequisite_failure).filter(|policy| *policy != OnPrerequisiteFailure::Block);
    stated([
        ("rows", list(lines)),
        ("sort", sort(row).into()),
        ("blocked", row.blocked.into()),
        ("timeout", timeout.into()),
        ("expires_at", expires_at.into()),
        ("delay", delay.into()),
        ("run_at", run_at.into()),
        ("type", task.task_type.as_str().into()),
        ("route", route.into()),
        ("priority", task.priority.as_str().into()),
        ("priority_weight", task.priority_weight.into()),
        ("required_capabilities", words(&task.required_capabilities)),
        ("preferred_capabilities", words(&task.preferred_capabilities)),
        ("max_attempts", i64::from(task.max_attempts.unwrap_or(1)).into()),
        ("assigned_to", task.assigned_to.as_deref().into()),
        ("delegated_by", task.delegated_by.as_deref().into()),
        ("on_prerequisite_failure", failure.map(OnPrerequisiteFailure::as_str).into()),
        ("wait_for", wait_for.into()),
        ("retry", retry.into()),
        ("max_runtime", longest.into()),
    ])
}

/// Ends with the last value that there is: beyond a list's end is null.
fn line(place: usize, task: &NewTask) -> Vec<BoltType> {
    let stated = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let more = [
        stated(&task.title),
        stated(&task.description),
        task.unique_key.clone(),
        task.parent_id.clone(),
        task.correlation_id.clone(),
    ];
    let stop = more.iter().rposition(Option::is_some).map_or(0, |last| last + 1);
    let first: [BoltType; 3] = [count(place).into(), task.id.as_str().into(), task.payload.as_str().into()];
    first.into_iter().chain(more.into_iter().take(stop).map(BoltType::from)).collect()
}

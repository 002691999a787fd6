//! Every way in which a handler may end, by the table that Python and Node are tortured with too.

use super::{LONG, eventually, soon};
use crate::{cases, fixture::Team};
use kurultai_core::{
    Config, Kurultai, ids,
    tasks::{NewTask, RetryPolicy, Status, Task, Usage},
    worker::{Agent, BoxError, Context, Limits, OnStall, Reject, Retry, Snooze},
};
use serde::{Serialize, Serializer, ser::Error as _};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    future::{Future, pending},
    process::Command,
    time::Duration,
};

#[derive(Debug, Clone, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Way {
    way: String,
    status: Value,
    attempts: Option<Value>,
    #[serde(default)]
    kind: Value,
    #[serde(default)]
    contains: Value,
    #[serde(default)]
    pause: Value,
    #[serde(default)]
    snoozes: u32,
    until: Option<i64>,
    timeout: Option<f64>,
    stall: Option<f64>,
    #[serde(default)]
    child: bool,
    ends: Option<i32>,
    #[serde(default)]
    not: BTreeMap<String, String>,
}

/// The ways that Rust has.
fn ways() -> Vec<Way> {
    let mut table: Value = serde_json::from_str(include_str!("../../torture.json")).unwrap();
    let mut ways: Vec<Way> = serde_json::from_value(table["ways"].take()).unwrap();
    ways.retain(|way| !way.not.contains_key("rust"));
    ways
}

/// What a field says of Rust.
fn of_rust(field: &Value) -> &Value {
    field.get("rust").unwrap_or(field)
}

impl Way {
    fn limits(&self) -> Limits {
        Limits {
            timeout: self.timeout.map(Duration::from_secs_f64),
            stall_after: self.stall.map(Duration::from_secs_f64),
            on_stall: self.stall.map(|_| OnStall::Release),
            ..Limits::default()
        }
    }

    /// Status and attempts.
    fn end(&self) -> (Status, u32) {
        let status = of_rust(&self.status).as_str().unwrap().parse().unwrap();
        let attempts = self.attempts.as_ref().map_or(1, |attempts| of_rust(attempts).as_u64().unwrap());
        (status, attempts as u32)
    }

    fn check(&self, task: &Task) {
        let way = &self.way;
        let (status, attempts) = self.end();
        assert_eq!((task.status, task.attempts), (status, attempts), "{way}: {:?}", task.errors);
        assert_eq!(task.snoozes, self.snoozes, "{way}");
        if let Some(until) = self.until {
            assert_eq!(
                ((task.run_at.unwrap() - task.updated_at).num_milliseconds() + 500) / 1000,
                until,
                "{way}"
            );
        }
        let clean = attempts == 0 || (status == Status::Completed && attempts == 1);
        assert_eq!(task.errors.len(), usize::from(!clean), "{way}: {:?}", task.errors);
        let Some(error) = task.errors.first() else { return };
        let kind = of_rust(&self.kind).as_str().unwrap_or("failed");
        assert_eq!(error.kind.as_str(), kind, "{way}: {}", error.error);
        for text in of_rust(&self.contains).as_array().unwrap() {
            assert!(error.error.contains(text.as_str().unwrap()), "{way}: {}", error.error);
        }
        if let Some(pause) = of_rust(&self.pause).as_i64() {
            assert_eq!((task.run_at.unwrap() - error.at).num_seconds(), pause, "{way}");
        }
    }
}

#[derive(Debug, thiserror::Error)]
#[error("outer")]
struct Outer(#[source] BoxError);

/// Says no word, or is its own cause.
#[derive(Debug)]
enum Odd {
    Wordless,
    Circular,
}

impl fmt::Display for Odd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Odd::Wordless => panic!("no words"),
            Odd::Circular => f.write_str("circular"),
        }
    }
}

impl std::error::Error for Odd {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(self)
    }
}

enum Results {
    Json(Value),
    OfAClass,
    Panics,
}

impl Serialize for Results {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Results::Json(value) => value.serialize(serializer),
            Results::OfAClass => Err(S::Error::custom("this class is no JSON")),
            Results::Panics => panic!("not now"),
        }
    }
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[expect(clippy::disallowed_methods, reason = "a handler that blocks its thread is one of the ways")]
async fn go(k: Kurultai, ctx: Context) -> Result<Results, BoxError> {
    if ctx.attempt() > 1 || ctx.fencing_token() > 1 {
        return Ok(Results::Json(json!("again")));
    }
    let value = match ctx.task.task_type.as_str() {
        "returns_json" | "alive" => json!({"a": [1, "b", null]}),
        "returns_nothing" => Value::Null,
        "returns_an_object_of_a_class" => return Ok(Results::OfAClass),
        "returns_too_much" => json!("x".repeat(1 << 20)),
        "returns_too_deep" => (0..65).fold(json!(1), |inner, _| json!([inner])),
        "returns_what_raises_when_written" => return Ok(Results::Panics),
        "raises" => {
            ctx.progress(0.5).await?;
            return Err("boom".into());
        }
        "raises_at_once" => return Err("boom".into()),
        "raises_no_error" => return Err(Box::from("a text")),
        "raises_without_words" => return Err(Odd::Wordless.into()),
        "raises_its_own_cause" => return Err(Odd::Circular.into()),
        "raises_much" => return Err(format!("{}the end", "x".repeat(3 << 20)).into()),
        "raises_with_causes" => return Err(Outer("inner".into()).into()),
        "panics" => panic!("boom"),
        "tells_nonsense" => {
            ctx.progress(f64::NAN).await?;
            Value::Null
        }
        "retries_after_5_s" => return Err(Retry::after(seconds(5), "busy").into()),
        "retries_after_nothing" => return Err(Retry::after(Duration::ZERO, "busy").into()),
        "retries_after_eleven_years" => {
            return Err(Retry::after(seconds(11 * 365 * 86_400), "busy").into());
        }
        "snoozes_for_5_s" => return Err(Snooze::after(seconds(5)).into()),
        "snoozes_for_nothing" => return Err(Snooze::after(Duration::ZERO).into()),
        "wraps_a_snooze" => return Err(Outer(Snooze::after(seconds(5)).into()).into()),
        "rejects" => return Err(Reject::new("no such thing").into()),
        "wraps_a_retry" => return Err(Outer(Retry::after(seconds(5), "busy").into()).into()),
        "wraps_a_reject" => return Err(Outer(Reject::new("no such thing").into()).into()),
        "uses_nan" => {
            ctx.usage(Usage { cost: f64::NAN, ..Usage::default() });
            Value::Null
        }
        "uses_less_than_nothing" => {
            ctx.usage(Usage { seconds: -1.0, ..Usage::default() });
            Value::Null
        }
        "completes_its_task_itself" => {
            k.tasks().complete(&ctx.lease(), json!("first")).await?;
            json!("second")
        }
        "never_ends" | "is_silent" => pending().await,
        "blocks" | "hangs" => {
            std::thread::sleep(seconds(2));
            json!("late")
        }
        "exits" => std::process::exit(3),
        "is_killed" => {
            // No destructor runs, nobody is told.
            drop(Command::new("kill").args(["-9", &std::process::id().to_string()]).status());
            pending().await
        }
        other => panic!("Rust knows no way {other}; say so in torture.json or write it"),
    };
    Ok(Results::Json(value))
}

fn worker(k: &Kurultai) -> Agent {
    let worker = Agent::new("temujin").lease(seconds(2));
    let names = ways().into_iter().map(|way| (way.limits(), way.way));
    names.chain([(Limits::default(), "alive".to_owned())]).fold(worker, |worker, (limits, way)| {
        let k = k.clone();
        worker.task_with(way, limits, move |ctx: Context, (): ()| go(k.clone(), ctx))
    })
}

async fn open(url: &str, namespace: &str) -> Kurultai {
    Kurultai::open_with(Config::new(url).unwrap().namespace(namespace).unwrap()).await.unwrap()
}

async fn add(k: &Kurultai, way: &str) -> String {
    let retry = RetryPolicy { base: seconds(60), jitter: false, ..RetryPolicy::default() };
    k.tasks().enqueue(NewTask::new(way).payload(json!(null)).retry(retry).max_attempts(3)).await.unwrap().id
}

/// The task once so many attempts are over.
async fn over(k: &Kurultai, id: &str, attempts: u32) -> Task {
    let so = || async {
        let task = k.tasks().get(id).await.unwrap();
        task.status == Status::Completed
            || task.errors.len() >= attempts.max(1) as usize
            || (attempts == 0 && task.snoozes > 0)
    };
    eventually(so).await;
    k.tasks().get(id).await.unwrap()
}

async fn does_another(k: &Kurultai) {
    let other = add(k, "alive").await;
    assert_eq!(over(k, &other, 1).await.status, Status::Completed);
}

cases![whatever_a_handler_does_its_attempt_ends, a_handler_that_ends_its_process_ends_its_attempt,];

async fn whatever_a_handler_does_its_attempt_ends(team: Team) {
    let k = open(&team.url, &format!("torture-{}", ids::new_id())).await;
    let all = async {
        for way in ways().into_iter().filter(|way| way.ends.is_none()) {
            let id = add(&k, &way.way).await;
            way.check(&over(&k, &id, way.end().1).await);
            does_another(&k).await;
            // What a handler does after its time counts for nothing.
            way.check(&k.tasks().get(&id).await.unwrap());
        }
    };
    soon_enough(worker(&k).run_until(&k, all)).await.unwrap();
    k.close().await;
}

async fn a_handler_that_ends_its_process_ends_its_attempt(team: Team) {
    let namespace = format!("torture-{}", ids::new_id());
    let k = open(&team.url, &namespace).await;
    for way in ways().into_iter().filter(|way| way.ends.is_some()) {
        assert!(way.child);
        let id = add(&k, &way.way).await;
        let ended = child(&team.url, &namespace, &way.way).await;
        assert_eq!(ended, way.ends.unwrap(), "{}", way.way);
        let goes_on = async {
            way.check(&over(&k, &id, way.end().1).await);
            does_another(&k).await;
        };
        soon(worker(&k).run_until(&k, goes_on)).await.unwrap();
    }
    k.close().await;
}

/// All of them in turn.
async fn soon_enough<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(LONG * 5, what).await.expect("one of the ways does not end")
}

/// A process that works on this way until it ends; how it did.
async fn child(url: &str, namespace: &str, way: &str) -> i32 {
    use std::os::unix::process::ExitStatusExt;
    let mut program = tokio::process::Command::new(std::env::current_exe().unwrap());
    program.args(["--exact", "worker::torture::in_a_process_of_its_own", "--ignored", "--nocapture"]);
    program.env("TORTURE", format!("{url} {namespace} {way}")).kill_on_drop(true);
    let status = soon(program.stdout(std::process::Stdio::null()).status()).await.unwrap();
    status.code().unwrap_or_else(|| -status.signal().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "it ends its process; the case above starts it in one of its own"]
async fn in_a_process_of_its_own() {
    let told = std::env::var("TORTURE").expect("url, namespace and way");
    let [url, namespace, way] = told.split(' ').collect::<Vec<_>>()[..] else { panic!("{told}") };
    let k = open(url, namespace).await;
    let (one, moved) = (Agent::new("temujin").lease(seconds(2)), k.clone());
    let one = one.task(way, move |ctx: Context, (): ()| go(moved.clone(), ctx));
    one.run_until(&k, tokio::time::sleep(LONG)).await.unwrap();
    panic!("{way} did not end this process");
}

#[test]
fn each_way_is_there_once() {
    let ways = ways();
    let names: BTreeSet<&str> = ways.iter().map(|way| way.way.as_str()).collect();
    assert_eq!(names.len(), ways.len());
}

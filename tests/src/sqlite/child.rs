//! Other processes: this test program again, which plays a part. `KURULTAI_PART` says which, with words after it.

use super::tasks;
use crate::fixture::task;
use kurultai_core::{Config, Kurultai, tasks::NewTask};
use serde_json::json;
use std::{
    io::Write,
    path::Path,
    process::{Child, Command, Output, Stdio},
};

/// Begins a part; what it says is piped.
pub(crate) fn begin(part: &[&str]) -> Child {
    begin_in(part, &[])
}

fn begin_in(part: &[&str], environment: &[(&str, &str)]) -> Child {
    let mut program = Command::new(std::env::current_exe().unwrap());
    program.args(["--exact", "sqlite::child::part", "--ignored", "--nocapture", "--test-threads=1"]);
    program.env("KURULTAI_PART", part.join("\n")).envs(environment.iter().copied());
    program.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

pub(super) fn play(part: &[&str]) -> Vec<String> {
    play_in(part, &[])
}

pub(crate) fn play_in(part: &[&str], environment: &[(&str, &str)]) -> Vec<String> {
    let Output { stdout, stderr, .. } = begin_in(part, environment).wait_with_output().unwrap();
    let said = said(&String::from_utf8(stdout).unwrap());
    assert!(!said.is_empty(), "{part:?}: {}", String::from_utf8_lossy(&stderr));
    said
}

/// The lines of a part among those of the test's runner.
pub(super) fn said(output: &str) -> Vec<String> {
    let lines = output.lines().filter_map(|line| line.split_once("said "));
    lines.map(|(_, words)| words.to_owned()).collect()
}

pub(crate) fn say(words: &str) {
    let mut out = std::io::stdout().lock();
    out.write_all(format!("said {words}\n").as_bytes()).unwrap();
    out.flush().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a part for other tests"]
async fn part() {
    let part = std::env::var("KURULTAI_PART").expect("other tests start this");
    let part: Vec<&str> = part.split('\n').collect();
    match part[..] {
        ["enqueue", url] => {
            let k = open(url).await;
            say(&k.tasks().enqueue(task("of another process")).await.unwrap().id);
            k.close().await;
        }
        // Opens and closes the files as a copy does, then dies.
        ["look and die", url, path] => {
            let k = open(url).await;
            say(&k.tasks().enqueue(task("before")).await.unwrap().id);
            drop_locks(Path::new(path));
            for i in 0..100 {
                say(&k.tasks().enqueue(task(&i.to_string())).await.unwrap().id);
            }
            std::process::abort();
        }
        ["move", here, there] => {
            std::env::set_current_dir(here).unwrap();
            let k = open("sqlite:team.db").await;
            let id = k.tasks().enqueue(task("here")).await.unwrap().id;
            std::env::set_current_dir(there).unwrap();
            k.tasks().enqueue(task("still here")).await.unwrap();
            k.tasks().get(&id).await.unwrap();
            k.tasks().stats().await.unwrap();
            k.close().await;
            say("moved");
        }
        ["environment"] => match Config::from_env() {
            Ok(config) => say(&format!("{config:?}")),
            Err(error) => say(&format!("{:?} {} {}", error.kind(), error.code(), error.message())),
        },
        ["storm", url, path] => storm(url, Path::new(path)).await,
        ["write", url, millis] => write(url, millis.parse().unwrap()).await,
        ["fault", url, call, errno] => super::faults::suffer(url, call, errno.parse().unwrap()).await,
        ["work", url] => {
            let k = open(url).await;
            k.agents().register(kurultai_core::agents::NewAgent::new("temujin")).await.unwrap();
            k.tasks().enqueue(task("endless")).await.unwrap();
            let endless = |_: kurultai_core::worker::Context, (): ()| async {
                say("working");
                std::future::pending::<Result<(), std::io::Error>>().await
            };
            kurultai_core::Agent::new("temujin").task("review", endless).run(&k).await.unwrap();
            say("drained");
        }
        ["cycle", url, namespace, key, n] => crate::cycle::die(url, namespace, key, n.parse().unwrap()).await,
        ["consume", url, namespace] => crate::events::consume(url, namespace).await,
        ["tick", url, namespace] => crate::schedules::tick(url, namespace).await,
        ["descriptors", url] => super::faults::run_out(url).await,
        _ => panic!("no part {part:?}"),
    }
}

pub(super) async fn open(url: &str) -> Kurultai {
    Kurultai::open_with(Config::new(url).unwrap().background(false)).await.unwrap()
}

/// What a copy of the files in the same process does to SQLite's locks.
pub(super) fn drop_locks(path: &Path) {
    for suffix in ["", "-wal", "-shm"] {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        drop(std::fs::File::open(name));
    }
}

/// Enqueues for two seconds and drops its own locks all along.
async fn storm(url: &str, path: &Path) {
    let k = open(url).await;
    let end = std::time::Duration::from_secs(2);
    let begun = kurultai_core::clock::monotonic();
    while begun.elapsed() < end {
        let writes = (0..8).map(|i| {
            let tasks = k.tasks();
            async move { tasks.enqueue(task(&i.to_string()).payload(json!("x".repeat(2000)))).await }
        });
        let writes = tokio::spawn(futures::future::join_all(writes));
        drop_locks(path);
        for done in writes.await.unwrap() {
            match done {
                Ok(enqueued) => say(&enqueued.id),
                Err(error) => assert!(error.retryable(), "{error:?}"),
            }
        }
    }
    k.close().await;
}

/// Writes until it is killed, and says what was acknowledged.
async fn write(url: &str, millis: u64) {
    let k = open(url).await;
    k.agents().register(kurultai_core::agents::NewAgent::new("temujin")).await.unwrap();
    let writers = (0..4).map(|writer| {
        let k = k.clone();
        tokio::spawn(async move {
            for i in 0.. {
                let new: Vec<NewTask> = (0..1 + i % 5)
                    .map(|n| task(&format!("{writer}-{i}-{n}")).payload(json!("x".repeat(50 * (i % 90)))))
                    .collect();
                for added in k.tasks().enqueue_many(new).await.unwrap() {
                    say(&format!("added {}", added.id));
                }
                for claimed in
                    k.tasks().claim(kurultai_core::tasks::Claim::new("temujin").max(3)).await.unwrap()
                {
                    k.tasks().complete(&claimed.lease, json!(i)).await.unwrap();
                    say(&format!("done {}", claimed.id));
                }
                tokio::time::sleep(std::time::Duration::from_millis(millis)).await;
            }
        })
    });
    futures::future::join_all(writers.collect::<Vec<_>>()).await;
}

/// Whether everything that was said is in a file.
pub(super) fn kept(path: &Path, said: &[String]) -> usize {
    let there = tasks(&rusqlite::Connection::open(path).unwrap());
    said.iter().filter(|id| there.contains(*id)).count()
}

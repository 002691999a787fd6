//! Real processes tick one store, and are killed.

use super::times;
use crate::{cases, fixture::Team, sqlite::child, worker::eventually};
use chrono::TimeDelta;
use kurultai_core::{
    Config, Kurultai,
    schedules::{CatchUp, NewSchedule},
    tasks::NewTask,
};
use std::{
    io::{BufRead, BufReader},
    process::Child,
    time::Duration,
};
use tokio::time::sleep;

cases![two_processes_that_are_killed_tick_each_second_once];

const KILLS: usize = 8;

/// The part of a process: its background does the rest.
pub(crate) async fn tick(url: &str, namespace: &str) {
    let _k = open(url, namespace, true).await;
    child::say("ready");
    std::future::pending::<()>().await;
}

async fn open(url: &str, namespace: &str, background: bool) -> Kurultai {
    let config = Config::new(url).unwrap().namespace(namespace).unwrap();
    Kurultai::open_with(config.background(background)).await.unwrap()
}

/// Returns when its background runs.
fn begin(url: &str, namespace: &str) -> Child {
    let mut child = child::begin(&["tick", url, namespace]);
    let mut lines = BufReader::new(child.stdout.as_mut().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains("said ready")), "it has not begun");
    child
}

async fn two_processes_that_are_killed_tick_each_second_once(team: Team) {
    let namespace = format!("{}-real", team.namespace);
    let k = open(&team.url, &namespace, false).await;
    let each =
        NewSchedule::new("s", NewTask::new("look")).every(Duration::from_secs(1)).catch_up(CatchUp::All);
    let put = k.schedules().put(each).await.unwrap();
    let mut processes = [begin(&team.url, &namespace), begin(&team.url, &namespace)];
    for kill in 0..KILLS {
        // Somewhere between two seconds, or in the midst of a tick.
        sleep(Duration::from_millis(fastrand::u64(100..1_100))).await;
        let process = &mut processes[kill % 2];
        process.kill().unwrap();
        process.wait().unwrap();
        *process = begin(&team.url, &namespace);
    }
    // What came due while they were starting comes now: none was skipped.
    eventually(|| async { times(&k, "s").await.len() >= KILLS }).await;
    for process in &mut processes {
        process.kill().unwrap();
        process.wait().unwrap();
    }
    let found = times(&k, "s").await;
    let start = put.start.unwrap();
    let expected = (1..=found.len()).map(|n| start + TimeDelta::seconds(n as i64));
    assert_eq!(found, expected.collect::<Vec<_>>());
    assert_eq!(k.schedules().get("s").await.unwrap().last_due.as_ref(), found.last());
    k.close().await;
}

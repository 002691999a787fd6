//! A worker that is asked to end drains: what ends in time is stored, what does not is released.
#![allow(clippy::unwrap_used, reason = "a test file: the helpers fail their test")]

use kurultai_core::{Json, Kurultai, tasks::Status};
use kurultai_tests::chaos::{Arena, arena};
use serde_json::json;
use std::{process::Stdio, time::Duration};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::Command,
    time::timeout,
};

const LONG: Duration = Duration::from_secs(60);

async fn drains(arena: Arena) {
    let kurultai: Kurultai = arena.open().await.unwrap();
    let quick = arena::task().payload(json!("quick"));
    let endless = arena::task().payload(Json::default());
    let ids = [quick.id.clone(), endless.id.clone()];
    kurultai.tasks().enqueue_many(vec![quick, endless]).await.unwrap();

    let mut child = Command::new(env!("CARGO_BIN_EXE_kurultai-test-worker"))
        .args(["serve", &arena.url, &arena.namespace, "temujin", "1000"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    for _ in 0..2 {
        let line = timeout(LONG, lines.next_line()).await.unwrap().unwrap().unwrap();
        assert!(line.starts_with("took "), "{line}");
    }
    // It would end with its input, which `wait` closes.
    let input = child.stdin.take();
    let kill = format!("kill -TERM {}", child.id().unwrap());
    assert!(Command::new("sh").args(["-c", &kill]).status().await.unwrap().success());
    let ended = timeout(LONG, child.wait()).await.unwrap().unwrap();
    assert!(ended.success(), "{ended}");
    drop(input);

    let left = kurultai.tasks().get_many(&ids.each_ref().map(String::as_str)).await.unwrap();
    let left: Vec<_> = left.into_iter().map(|task| task.unwrap()).map(|t| (t.status, t.attempts)).collect();
    assert_eq!(left, [(Status::Completed, 1), (Status::Pending, 0)], "done in time, and given back");
}

mod sqlite {
    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_worker_that_is_terminated_drains() {
        drains(Arena::sqlite().unwrap()).await;
    }
}

mod neo4j {
    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_worker_that_is_terminated_drains() {
        drains(Arena::neo4j()).await;
    }
}

//! What is open, for how long, and how much room it takes.

use super::Place;
use crate::fixture::{code, task};
use kurultai_core::tasks::NewTask;
use serde_json::json;
use std::path::Path;

fn length(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |found| found.len())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_open_when_close_returns() {
    for durability in ["full", "process"] {
        for _ in 0..20 {
            let place = Place::new();
            let url = format!("{}?durability={durability}", place.url());
            let k = super::child::open(&url).await;
            k.tasks().enqueue_many((0..200).map(|i| task(&i.to_string())).collect()).await.unwrap();
            let reads: Vec<_> = (0..40)
                .map(|_| {
                    let tasks = k.tasks();
                    tokio::spawn(async move { tasks.list(Default::default()).await.map(drop) })
                })
                .collect();
            let waits = tokio::spawn({
                let events = k.events();
                async move { events.last_seq().await }
            });
            k.close().await;
            assert_eq!(place.descriptors(), Vec::<std::path::PathBuf>::new());
            assert!(!place.log().exists(), "the log is in the database");
            for read in reads {
                read.await
                    .unwrap()
                    .or_else(|e| if e.code() == "store.closed" { Ok(()) } else { Err(e) })
                    .unwrap();
            }
            drop(waits.await);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_close_waits_for_the_first() {
    let place = Place::new();
    let k = place.open().await;
    k.tasks().enqueue_many((0..1000).map(|i| task(&i.to_string())).collect()).await.unwrap();
    let (first, second) = (k.clone(), k.clone());
    let first = tokio::spawn(first.close());
    second.close().await;
    assert!(!place.log().exists());
    first.await.unwrap();
    assert_eq!(code(k.tasks().stats().await), "store.closed");
}

/// What is dropped and not closed ends as well, a little later.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dropped_store_closes_its_files() {
    let place = Place::new();
    let k = place.open().await;
    k.tasks().enqueue(task("one")).await.unwrap();
    k.tasks().stats().await.unwrap();
    drop(k);
    super::until("the end", || place.descriptors().is_empty() && !place.log().exists()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousands_of_reads_at_once_share_a_few_connections() {
    let place = Place::new();
    let k = place.open().await;
    k.tasks().enqueue(task("one")).await.unwrap();
    let tasks = k.tasks();
    let reads = futures::future::join_all((0..3000).map(|_| tasks.stats())).await;
    assert!(reads.iter().all(Result::is_ok), "{:?}", reads.iter().find(|read| read.is_err()));
    let open = place.descriptors();
    assert!(open.len() < 40, "{}", open.len());
    k.close().await;
}

/// Another program's reader, or one of ours: SQLite does not tell them apart.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_shrinks_when_a_long_reader_is_gone() {
    for durability in ["full", "process"] {
        let place = Place::new();
        let k = super::child::open(&format!("{}?durability={durability}", place.url())).await;
        k.tasks().enqueue(task("first")).await.unwrap();
        let reader = rusqlite::Connection::open(place.path()).unwrap();
        reader.execute_batch("begin; select count(*) from task;").unwrap();
        let large = || task("large").payload(json!("x".repeat(1_000_000)));
        for _ in 0..10 {
            k.tasks().enqueue_many((0..10).map(|_| large()).collect::<Vec<NewTask>>()).await.unwrap();
        }
        let long = length(&place.log());
        assert!(long > 90 << 20, "{long}");
        reader.execute_batch("commit").unwrap();
        super::until("a short log", || length(&place.log()) <= 68 << 20).await;
        k.close().await;
    }
}

/// On a small disk a log of 64 MiB would leave no room for the tasks.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_of_a_small_file_is_small() {
    for (durability, most) in [("full", 2 << 20), ("process", 20 << 20)] {
        let place = Place::new();
        let k = super::child::open(&format!("{}?durability={durability}", place.url())).await;
        for i in 0..800 {
            k.tasks().enqueue(task(&i.to_string()).payload(json!("x".repeat(4000)))).await.unwrap();
        }
        let (log, database) = (length(&place.log()), length(&place.path()));
        assert!(log < most, "{durability}: log {log}, database {database}");
        k.close().await;
    }
}

//! How long a call waits for others.

use super::Place;
use crate::fixture::{code, task};
use kurultai_core::{
    Kurultai,
    agents::NewAgent,
    clock::monotonic,
    tasks::{Claim, NewTask},
};
use std::time::Duration;

/// They are told one after the other only if each had to wait for the one before it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_queued_call_has_a_deadline_of_its_own() {
    let place = Place::new();
    let k = Kurultai::open_with(place.config().call_timeout(Duration::from_secs(1))).await.unwrap();
    let other = rusqlite::Connection::open(place.path()).unwrap();
    other.execute_batch("begin immediate").unwrap();
    let begun = monotonic();
    let calls = futures::future::join_all((0..12).map(|i| {
        let (tasks, agents) = (k.tasks(), k.agents());
        async move {
            tokio::time::sleep(Duration::from_millis(i * 20)).await;
            let done = match i % 4 {
                0 => tasks.pause(Some("deploy")).await,
                1 => agents.register(NewAgent::new("temujin")).await.map(drop),
                2 => tasks.enqueue(task("one")).await.map(drop),
                _ => tasks.add_dependency("a", "b").await.map(drop),
            };
            done.unwrap_err()
        }
    }));
    let errors = calls.await;
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    for error in errors {
        assert_eq!((error.code(), error.retryable()), ("store.unavailable", true), "{error}");
    }
    assert_eq!(k.tasks().list(Default::default()).await.unwrap().tasks.len(), 0, "reads go on");
    other.execute_batch("rollback").unwrap();
    k.tasks().enqueue(task("two")).await.unwrap();
    assert_eq!(
        k.tasks().list(Default::default()).await.unwrap().tasks.len(),
        1,
        "what was given up is not done later"
    );
    k.close().await;
}

/// Everybody in a transaction waits for all of it, so one must not take on any amount of work.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease_is_not_used_up_by_large_enqueues_beside_the_claim() {
    let place = Place::new();
    let url = format!("{}?durability=process", place.url());
    let k = super::child::open(&url).await;
    k.agents().register(NewAgent::new("temujin")).await.unwrap();
    k.tasks().enqueue(task("wanted")).await.unwrap();
    let batch = || (0..1000).map(|i| task(&i.to_string())).collect::<Vec<NewTask>>();
    let (mut before, tasks) = (Vec::new(), k.tasks());
    // While this one is written, everything else gathers.
    for new in [batch(), batch(), batch()] {
        let tasks = k.tasks();
        before.push(tokio::spawn(async move { tasks.enqueue_many(new).await.map(drop) }));
    }
    tokio::time::sleep(Duration::from_millis(5)).await;
    let claim = tokio::spawn(async move {
        assert_eq!(tasks.claim(Claim::new("temujin")).await.unwrap().len(), 1);
    });
    tokio::time::sleep(Duration::from_millis(10)).await;
    let begun = monotonic();
    for _ in 0..40 {
        let (tasks, new) = (k.tasks(), batch());
        before.push(tokio::spawn(async move { tasks.enqueue_many(new).await.map(drop) }));
    }
    claim.await.unwrap();
    let answered = begun.elapsed();
    for done in before {
        done.await.unwrap().unwrap();
    }
    let all = begun.elapsed();
    assert!(answered < all * 2 / 3, "the claim was answered after {answered:?} of {all:?}");
    k.close().await;
}

/// Not an error of a file that nobody may write, and not the last word.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_closed_store_is_not_waited_for() {
    let place = Place::new();
    let k = place.open().await;
    k.clone().close().await;
    assert_eq!(code(k.tasks().stats().await), "store.closed");
    assert_eq!(code(k.tasks().enqueue(task("late")).await), "store.closed");
}

//! Other programs and the file while it is open.

use super::{
    Place,
    child::{drop_locks, kept, play},
};
use crate::fixture::{code, task};
use kurultai_core::Kind;
use std::time::Duration;

/// POSIX locks are the process's: a copy drops them, and the next process would take itself for the only one.
#[tokio::test(flavor = "multi_thread")]
async fn a_copy_of_the_file_in_the_same_process_loses_nothing() {
    let place = Place::new();
    let k = place.open().await;
    let mut acknowledged = vec![k.tasks().enqueue(task("first")).await.unwrap().id];
    drop_locks(&place.path());
    for _ in 0..3 {
        acknowledged.extend(play(&["enqueue", &place.url()]));
        acknowledged.push(k.tasks().enqueue(task("own")).await.unwrap().id);
    }
    assert_eq!(kept(&place.path(), &acknowledged), 7);
    k.close().await;
    assert_eq!(kept(&place.path(), &acknowledged), 7);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_and_a_crash_lose_nothing() {
    let place = Place::new();
    let acknowledged = play(&["look and die", &place.url(), &place.path().display().to_string()]);
    assert_eq!(kept(&place.path(), &acknowledged), 101);
}

/// Two processes write as fast as they can, while both lose SQLite's locks again and again.
#[tokio::test(flavor = "multi_thread")]
async fn two_writers_without_sqlites_locks_never_meet() {
    let place = Place::new();
    place.open().await.close().await;
    let (url, path) = (place.url(), place.path().display().to_string());
    let parts = [(); 2].map(|()| super::child::begin(&["storm", &url, &path]));
    let mut acknowledged = Vec::new();
    for part in parts {
        let output = part.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        acknowledged.extend(super::child::said(&String::from_utf8(output.stdout).unwrap()));
    }
    assert!(acknowledged.len() > 50, "{}", acknowledged.len());
    assert_eq!(kept(&place.path(), &acknowledged), acknowledged.len());
    let file = rusqlite::Connection::open(place.path()).unwrap();
    let verdict: String = file.query_row("pragma integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(verdict, "ok");
}

/// Where no lock helps: somebody removes the log by hand. What was in the database stays, and nothing is written into
/// the removed log.
#[tokio::test(flavor = "multi_thread")]
async fn a_removed_log_is_noticed_by_writes_and_reads() {
    let place = Place::new();
    let k = place.open().await;
    let others =
        kurultai_core::Kurultai::open_with(place.config().namespace("others").unwrap()).await.unwrap();
    let mut acknowledged = vec![k.tasks().enqueue(task("first")).await.unwrap().id];
    acknowledged.push(others.tasks().enqueue(task("theirs")).await.unwrap().id);
    for _ in 0..3 {
        let file = rusqlite::Connection::open(place.path()).unwrap();
        let moved = "pragma wal_checkpoint(truncate)";
        file.query_row(moved, [], |row| row.get::<_, i64>(0).map(|busy| assert_eq!(busy, 0))).unwrap();
        drop(file);
        std::fs::remove_file(place.log()).unwrap();
        std::fs::remove_file(place.folder.path().join("team.db-shm")).unwrap();
        // A transaction that follows at once may be lost, and says so.
        tokio::time::sleep(Duration::from_millis(50)).await;
        acknowledged.push(k.tasks().enqueue(task("after")).await.unwrap().id);
        acknowledged.push(others.tasks().enqueue(task("theirs, after")).await.unwrap().id);
        let last = &acknowledged[acknowledged.len() - 2];
        assert_eq!(k.tasks().get(last).await.unwrap().title, "after");
        assert_eq!(
            k.tasks().stats().await.unwrap().by_status.values().sum::<u64>() as usize,
            acknowledged.len() / 2
        );
        assert_eq!(kept(&place.path(), &acknowledged), acknowledged.len());
    }
    k.close().await;
    others.close().await;
    assert_eq!(kept(&place.path(), &acknowledged), acknowledged.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_was_removed_or_replaced_is_gone() {
    let place = Place::new();
    let k = place.open().await;
    let id = k.tasks().enqueue(task("before")).await.unwrap().id;
    let aside = place.folder.path().join("aside.db");
    let gone = || async {
        let error = k.tasks().enqueue(task("after")).await.unwrap_err();
        assert_eq!((error.code(), error.kind(), error.retryable()), ("store.gone", Kind::Storage, false));
        assert!(error.message().contains("team.db") && error.message().contains("open it anew"), "{error}");
        assert_eq!(code(k.tasks().get(&id).await), "store.gone");
        assert_eq!(code(k.tasks().stats().await), "store.gone");
    };
    tokio::time::sleep(Duration::from_millis(50)).await;
    std::fs::rename(place.path(), &aside).unwrap();
    gone().await;
    std::fs::write(place.path(), "another file").unwrap();
    gone().await;
    std::fs::rename(&aside, place.path()).unwrap();
    let after = k.tasks().enqueue(task("after")).await.unwrap().id;
    assert_eq!(kept(&place.path(), &[id.clone(), after]), 2);
    tokio::time::sleep(Duration::from_millis(50)).await;
    std::fs::remove_file(place.path()).unwrap();
    gone().await;
    k.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_working_directory_changes_nothing() {
    let (place, elsewhere) = (Place::new(), Place::new());
    let folder = |place: &Place| place.folder.path().display().to_string();
    assert_eq!(play(&["move", &folder(&place), &folder(&elsewhere)]), ["moved"]);
    assert_eq!(place.tasks().len(), 2);
    assert!(!elsewhere.path().exists());
}

/// The file alone is what people copy.
#[tokio::test(flavor = "multi_thread")]
async fn a_copy_of_a_small_running_teams_file_has_its_tasks() {
    let place = Place::new();
    let k = place.open().await;
    let copy = place.folder.path().join("copy.db");
    let copied = || {
        // By another process: a copy in this one would drop SQLite's locks.
        assert!(std::process::Command::new("cp").arg(place.path()).arg(&copy).status().unwrap().success());
        rusqlite::Connection::open(&copy)
            .unwrap()
            .query_row("select count(*) from task", [], |row| row.get::<_, i64>(0))
            .unwrap()
    };
    assert_eq!(copied(), 0, "the schema is there at once");
    for count in 1..=3 {
        k.tasks().enqueue(task("small")).await.unwrap();
        super::until("the task in a copy", || copied() == count).await;
    }
    k.close().await;
}

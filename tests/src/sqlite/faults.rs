//! What the system refuses: disks, quotas, descriptors. A filter of system calls (seccomp) in a process of its own makes
//! them fail.

use super::{
    Place,
    child::{self, play},
};
use crate::fixture::task;
use kurultai_core::Error;
use seccompiler::{apply_filter_all_threads, compile_from_json};
use serde_json::json;

const EIO: i32 = 5;
const EFBIG: i32 = 27;
const ENOSPC: i32 = 28;
const EDQUOT: i32 = 122;
const EMFILE: i32 = 24;

/// From now on these calls fail in all threads of this process.
fn refuse(filter: serde_json::Value, errno: i32) {
    let rules =
        json!({"all": {"mismatch_action": "allow", "match_action": {"errno": errno}, "filter": filter}});
    let programs =
        compile_from_json(rules.to_string().as_bytes(), std::env::consts::ARCH.try_into().unwrap());
    apply_filter_all_threads(&programs.unwrap()["all"]).unwrap();
}

/// The part of another process: what an enqueue says when a call of the system fails.
pub(super) async fn suffer(url: &str, call: &str, errno: i32) {
    let k = child::open(url).await;
    k.tasks().enqueue(task("before")).await.unwrap();
    let filter = match call {
        "fsync" => json!([{"syscall": "fsync"}, {"syscall": "fdatasync"}]),
        // Whole pages: what wakes a thread is written with the same call.
        "write" => {
            json!([{"syscall": "write", "args": [{"index": 2, "type": "qword", "op": "ge", "val": 4096}]},
            {"syscall": "pwrite64", "args": [{"index": 2, "type": "qword", "op": "ge", "val": 4096}]}])
        }
        other => panic!("no filter for {other}"),
    };
    refuse(filter, errno);
    for _ in 0..2 {
        say(k.tasks().enqueue(task("after")).await.unwrap_err());
    }
    assert_eq!(k.tasks().get_many(&["none"]).await.unwrap().len(), 1, "reads go on");
    std::process::abort();
}

/// The part of another process that has as many files open as it may.
pub(super) async fn run_out(url: &str) {
    let k = child::open(url).await;
    k.tasks().enqueue(task("before")).await.unwrap();
    refuse(json!([{"syscall": "openat"}, {"syscall": "open"}]), EMFILE);
    say(k.tasks().stats().await.unwrap_err());
    k.tasks().enqueue(task("after")).await.unwrap();
    std::process::abort();
}

fn say(error: Error) {
    child::say(&format!("{} {}", error.code(), error.retryable()));
}

/// What is in the log counts after a crash, though the disk has not confirmed it.
#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_the_disk_does_not_confirm_is_of_unknown_outcome() {
    let place = Place::new();
    let said = play(&["fault", &place.url(), "fsync", &EIO.to_string()]);
    assert_eq!(said, ["store.outcome_unknown true"; 2]);
    assert!((1..=3).contains(&place.tasks().len()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_a_quota_and_a_limit_that_are_reached_are_full() {
    for errno in [ENOSPC, EDQUOT, EFBIG] {
        let place = Place::new();
        let said = play(&["fault", &place.url(), "write", &errno.to_string()]);
        assert_eq!(said, ["store.full false"; 2], "{errno}");
        assert_eq!(place.tasks().len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_descriptors_is_unavailable() {
    let place = Place::new();
    assert_eq!(play(&["descriptors", &place.url()]), ["store.unavailable true"]);
    assert_eq!(place.tasks().len(), 2);
}

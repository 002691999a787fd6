//! Real processes on one store: storms (G3), SIGKILL (G1), SIGSTOP (G2), deaths that are found and roles that are taken over in
//! time (G6), messages that are read, presented again and signed with new keys (G7). The long form is `cargo xtask chaos`,
//! which also times how deaths are found and tasks move on: that needs a machine that does nothing else.
//!
//! One at a time, as each keeps both cores of a small machine busy; but those that wait for deaths wait beside each other.
#![allow(clippy::unwrap_used, reason = "a test file: the helpers fail their test")]

use kurultai_tests::chaos::{
    Arena, Report, deaths, kills, mail, replays, rotation, stops, storm,
    takeovers::{self, Until},
};
use std::{path::Path, time::Duration};
use tokio::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

static MACHINE: RwLock<()> = RwLock::const_new(());

async fn turn() -> RwLockWriteGuard<'static, ()> {
    MACHINE.write().await
}

async fn share() -> RwLockReadGuard<'static, ()> {
    MACHINE.read().await
}

fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_kurultai-test-worker"))
}

#[track_caller]
fn sound(report: Report) -> Report {
    report.check().unwrap();
    report
}

async fn claimers(arena: Arena, tasks: usize) {
    let _turn = turn().await;
    let report = sound(storm::claimers(&arena, 32, tasks).await.unwrap());
    assert_eq!((report.tasks, report.claims), (tasks, tasks), "{report}");
}

async fn processes(arena: Arena, tasks: usize) {
    let _turn = turn().await;
    let report = sound(storm::processes(program(), &arena, 4, tasks).await.unwrap());
    assert_eq!((report.tasks, report.claims), (tasks, tasks), "{report}");
    assert!(report.agents > 1, "only one process worked: {report}");
}

async fn killed(arena: Arena, count: usize, tasks: usize) {
    let _turn = turn().await;
    let report = sound(kills::run(program(), &arena, count, tasks).await.unwrap());
    assert!(report.tasks >= tasks && report.lapsed > 0, "the kills hit nobody at work: {report}");
}

async fn stopped(arena: Arena, count: usize) {
    let _turn = turn().await;
    let report = sound(stops::run(program(), &arena, count).await.unwrap());
    assert!(report.refused > 0, "no stale completion was refused: {report}");
}

async fn dead(arena: Arena, count: usize) {
    let _share = share().await;
    deaths::run(program(), &arena, count).await.unwrap().check().unwrap();
}

async fn readers_killed(arena: Arena, kills: usize, messages: usize) {
    let _turn = turn().await;
    let report = mail::run(program(), &arena, kills, messages).await.unwrap();
    report.check().unwrap();
    assert!(report.redelivered > 0, "the kills hit nobody at work: {report}");
}

async fn presented_again(arena: Arena, messages: usize) {
    let _turn = turn().await;
    let (answers, got) = replays::run(program(), &arena, messages).await.unwrap();
    let replayed = messages * (replays::TIMES - 1);
    let expected = [("admitted".to_owned(), messages), ("sig.replayed".to_owned(), replayed)];
    assert_eq!((answers, got), (expected.into(), messages));
}

async fn rotated(arena: Arena) {
    let _turn = turn().await;
    let report = rotation::run(&arena, 5, Duration::from_millis(300), 1_000).await.unwrap();
    report.check().unwrap();
}

async fn taken_over(arena: Arena, count: usize) {
    let _share = share().await;
    let takeovers = takeovers::run(program(), &arena, Until::Rounds(count)).await.unwrap();
    takeovers.check().unwrap();
    takeovers.check_times().unwrap();
}

mod sqlite {
    use super::*;

    fn arena() -> Arena {
        Arena::sqlite().unwrap()
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn thirty_two_claimers_never_get_one_task_twice() {
        claimers(arena(), 5_000).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn four_processes_share_a_file() {
        processes(arena(), 4_000).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn killed_workers_lose_nothing_and_finish_nothing_twice() {
        killed(arena(), 30, 600).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_worker_that_slept_through_its_lease_changes_nothing() {
        stopped(arena(), 10).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn each_death_is_found_once() {
        dead(arena(), 20).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn killed_readers_lose_no_message_and_share_none() {
        readers_killed(arena(), 12, 600).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_message_that_is_presented_again_and_again_is_admitted_once() {
        presented_again(arena(), 10).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_new_key_refuses_no_good_message_and_a_revoked_one_delivers_none() {
        rotated(arena()).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn whoever_is_killed_while_it_leads_is_replaced_and_stores_nothing_late() {
        taken_over(arena(), 20).await;
    }
}

mod neo4j {
    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn thirty_two_claimers_never_get_one_task_twice() {
        claimers(Arena::neo4j(), 2_000).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn four_processes_share_a_namespace() {
        processes(Arena::neo4j(), 2_000).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn killed_workers_lose_nothing_and_finish_nothing_twice() {
        killed(Arena::neo4j(), 15, 300).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_worker_that_slept_through_its_lease_changes_nothing() {
        stopped(Arena::neo4j(), 10).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn each_death_is_found_once() {
        dead(Arena::neo4j(), 20).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn killed_readers_lose_no_message_and_share_none() {
        readers_killed(Arena::neo4j(), 12, 600).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_message_that_is_presented_again_and_again_is_admitted_once() {
        presented_again(Arena::neo4j(), 5).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_new_key_refuses_no_good_message_and_a_revoked_one_delivers_none() {
        rotated(Arena::neo4j()).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn whoever_is_killed_while_it_leads_is_replaced_and_stores_nothing_late() {
        taken_over(Arena::neo4j(), 20).await;
    }
}

//! Twenty-four hours in which processes come and go.

use super::{at, put, times};
use crate::{cases, fixture::Team};
use chrono::{DateTime, TimeDelta, Utc};
use futures::future::join_all;
use kurultai_core::{
    Kurultai,
    schedules::{CatchUp, NewSchedule, Overlap},
    tasks::NewTask,
};
use std::time::Duration;

cases![each_time_of_a_day_has_its_task_once];

const DAY: i64 = 24 * 60;

/// Whatever is missed is caught up, so that each time must have its task.
fn schedules() -> [NewSchedule; 4] {
    let each = |name: &str| {
        NewSchedule::new(name, NewTask::new("look")).catch_up(CatchUp::All).overlap(Overlap::Allow)
    };
    [
        each("every 11 min").every(Duration::from_secs(11 * 60)),
        each("quarters").cron("*/15 * * * *").timezone("Asia/Kathmandu"),
        each("jittered").cron("0,20,40 * * * *").jitter(Duration::from_secs(19 * 60)),
        each("daily").cron("30 2 * * *").timezone("America/New_York"),
    ]
}

/// What is in the store may be ahead of what a look is due for, by its jitter alone.
fn expected(name: &str, start: DateTime<Utc>, end: DateTime<Utc>) -> Vec<DateTime<Utc>> {
    let minutes = |step: i64, first: DateTime<Utc>| {
        let times = (0..=DAY / step).map(move |n| first + TimeDelta::minutes(n * step));
        times.filter(move |time| *time > start && *time <= end).collect()
    };
    let hour = at("2026-03-01T09:00:00Z");
    match name {
        "every 11 min" => minutes(11, start),
        // Its quarters of an hour are ours: the zone is 5:45 ahead.
        "quarters" => minutes(15, hour),
        "jittered" => minutes(20, hour),
        _ => vec![at("2026-03-02T07:30:00Z")],
    }
}

async fn each_time_of_a_day_has_its_task_once(team: Team) {
    let start = team.clock.now();
    let end = start + TimeDelta::minutes(DAY);
    let open = async || {
        let k = team.reopen(|config| config).await;
        // As a program does whenever it starts.
        for schedule in schedules() {
            put(&k, schedule).await;
        }
        k
    };
    let mut handles: Vec<Kurultai> = vec![open().await, open().await];
    let mut random = fastrand::Rng::with_seed(20);
    while team.clock.now() < end {
        let step = Duration::from_secs(random.u64(1..400)).min((end - team.clock.now()).to_std().unwrap());
        team.clock.advance(step);
        match random.u8(..8) {
            // One ends while both are at it, and another process begins.
            0 => {
                let leaves = handles.swap_remove(0);
                let (looked, others, ()) =
                    futures::join!(leaves.maintain(), handles[0].maintain(), leaves.clone().close());
                others.unwrap();
                // It may have been too late for it.
                looked
                    .or_else(|error| if error.code() == "store.closed" { Ok(()) } else { Err(error) })
                    .unwrap();
                handles.push(open().await);
            }
            // A look that its caller gives up.
            1 => {
                let k = handles[0].clone();
                let look = tokio::spawn(async move { k.maintain().await });
                tokio::task::yield_now().await;
                look.abort();
            }
            // Nobody is there for an hour.
            2 if random.u8(..8) == 0 => {
                let left = (end - team.clock.now()).to_std().unwrap();
                team.clock.advance(Duration::from_secs(3_600).min(left));
            }
            _ => join_all(handles.iter().map(Kurultai::maintain)).await.into_iter().for_each(Result::unwrap),
        }
    }
    handles[0].maintain().await.unwrap();
    for schedule in handles[0].schedules().list().await.unwrap() {
        let mut found = times(&team.k, &schedule.name).await;
        let mut expected = expected(&schedule.name, start, end);
        if schedule.name == "jittered" {
            // The jitter of the last one may be ahead.
            assert!(expected.len() - found.len() <= 1, "{} of {}", found.len(), expected.len());
            expected.truncate(found.len());
        }
        assert_eq!(found.len(), expected.len(), "{}", schedule.name);
        assert_eq!(found, expected, "{}", schedule.name);
        found.dedup();
        assert_eq!(schedule.last_due.as_ref(), found.last(), "{}", schedule.name);
    }
}

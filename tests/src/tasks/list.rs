use crate::{
    cases,
    fixture::{Team, code, task},
};
use kurultai_core::{
    Json,
    tasks::{Expiry, Filter, Finish, NewTask, Outcome, Priority, Status},
};
use serde_json::json;
use std::time::Duration;

cases![
    answers_end_where_they_would_be_too_long,
    lists_are_filtered_and_paged,
    stats_add_up,
    what_expired_in_the_last_day_is_counted,
    the_oldest_is_the_one_that_has_waited_longest,
];

async fn answers_end_where_they_would_be_too_long(team: Team) {
    team.agent("temujin", &[]).await;
    let tasks = team.k.tasks();
    let big = Json::stored(format!("\"{}\"", "x".repeat((1 << 20) - 2)));
    let ids: Vec<String> = {
        let mut ids = Vec::new();
        for _ in 0..4 {
            let ten = (0..10).map(|_| task("big").payload(big.clone()).expiry(Expiry::Never)).collect();
            ids.extend(tasks.enqueue_many(ten).await.unwrap().into_iter().map(|e| e.id));
        }
        ids
    };
    let (mut seen, mut cursor, mut sizes) = (Vec::new(), None, Vec::new());
    loop {
        let page = tasks.list(Filter { limit: 30, cursor, ..Filter::default() }).await.unwrap();
        sizes.push(page.tasks.len());
        seen.extend(page.tasks.into_iter().map(|task| task.id));
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!((seen, sizes), (ids.clone(), vec![16, 16, 8]));
    let mut taken = Vec::new();
    for fit in [16, 16, 8] {
        let claimed = team.claim("temujin", 100).await;
        assert_eq!(claimed.len(), fit);
        let finishes = claimed.iter().map(|c| Finish {
            lease: c.lease.clone(),
            outcome: Outcome::Complete { results: big.clone(), usage: None },
        });
        assert!(tasks.finish_many(finishes.collect()).await.unwrap().iter().all(Result::is_ok));
        taken.extend(claimed.into_iter().map(|c| c.id));
    }
    taken.sort();
    assert_eq!(taken, ids);
    // Of forty prerequisites the results of sixteen are handed over, and the others are told to be left out.
    team.add(task("sum").depends_on(&ids)).await;
    let sum = team.claim_one("temujin").await;
    assert_eq!(sum.prerequisites.len(), 40);
    assert_eq!(sum.prerequisites.iter().filter(|p| p.results.as_ref() == Some(&big)).count(), 16);
    assert!(sum.prerequisites.iter().all(|p| p.omitted == p.results.is_none()));
}

async fn lists_are_filtered_and_paged(team: Team) {
    team.agent("temujin", &[]).await;
    let mut ids = Vec::new();
    for i in 0..7 {
        ids.push(
            team.add(NewTask::new(if i % 2 == 0 { "even" } else { "odd" }).assigned_to("temujin")).await,
        );
    }
    let tasks = team.k.tasks();
    let (mut seen, mut cursor) = (Vec::new(), None);
    loop {
        let page = tasks.list(Filter { limit: 3, cursor, ..Filter::default() }).await.unwrap();
        assert!(page.tasks.len() <= 3);
        seen.extend(page.tasks.into_iter().map(|t| t.id));
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(seen, ids);
    let count = async |filter: Filter| team.k.tasks().list(filter).await.unwrap().tasks.len();
    assert_eq!(count(Filter { task_type: Some("odd".into()), ..Filter::default() }).await, 3);
    assert_eq!(count(Filter { assigned_to: Some("temujin".into()), ..Filter::default() }).await, 7);
    team.claim("temujin", 2).await;
    assert_eq!(count(Filter { claimed_by: Some("temujin".into()), ..Filter::default() }).await, 2);
    assert_eq!(count(Filter { status: Some(Status::InProgress), ..Filter::default() }).await, 2);
    assert_eq!(count(Filter { parent_id: Some("nobody".into()), ..Filter::default() }).await, 0);
    team.add(task("child").parent(&ids[6])).await;
    assert_eq!(count(Filter { parent_id: Some(ids[6].clone()), ..Filter::default() }).await, 1);
    for limit in [0, 1001] {
        assert_eq!(code(tasks.list(Filter { limit, ..Filter::default() }).await), "input.invalid");
    }
}

async fn stats_add_up(team: Team) {
    team.agent("temujin", &[]).await;
    for i in 0..4 {
        team.add(task(&i.to_string())).await;
    }
    team.seconds(6);
    let claimed = team.claim("temujin", 2).await;
    team.seconds(3);
    for claimed in &claimed {
        team.k.tasks().complete(&claimed.lease, json!(1)).await.unwrap();
    }
    team.seconds(1);
    let stats = team.k.tasks().stats().await.unwrap();
    assert_eq!(
        stats.by_status.iter().map(|(s, n)| (*s, *n)).collect::<Vec<_>>(),
        [(Status::Pending, 2), (Status::Completed, 2)]
    );
    assert_eq!(stats.oldest_pending_seconds, Some(11.0));
    assert_eq!((stats.wait_seconds.p50, stats.wait_seconds.p99), (9.0, 9.0));
    assert_eq!((stats.run_seconds.p50, stats.run_seconds.p99), (3.0, 3.0));
}

async fn what_expired_in_the_last_day_is_counted(team: Team) {
    let after = async |seconds| {
        team.seconds(seconds);
        team.k.maintain().await.unwrap();
        team.k.tasks().stats().await.unwrap().expired_last_day
    };
    let late = || task("late").expiry(Expiry::After(Duration::from_secs(30)));
    team.add(late()).await;
    assert_eq!(after(60).await, 1);
    team.add(late()).await;
    assert_eq!(after(86_300).await, 2);
    assert_eq!(after(200).await, 1, "the first one was more than a day ago");
}

async fn the_oldest_is_the_one_that_has_waited_longest(team: Team) {
    let oldest = async || team.k.tasks().stats().await.unwrap().oldest_pending_seconds;
    assert_eq!(oldest().await, None);
    team.add(task("delayed").delay(Duration::from_secs(100))).await;
    let old = team.add(task("old").priority(Priority::P3)).await;
    team.seconds(50);
    let urgent = team.add(task("urgent").priority(Priority::P0)).await;
    assert_eq!(oldest().await, Some(51.0));
    team.seconds(60);
    team.k.maintain().await.unwrap();
    assert_eq!(oldest().await, Some(111.0));
    team.k.tasks().cancel(&old, None).await.unwrap();
    assert_eq!(oldest().await, Some(60.0), "urgent");
    team.k.tasks().cancel(&urgent, None).await.unwrap();
    assert_eq!(oldest().await, Some(12.0), "delayed");
}

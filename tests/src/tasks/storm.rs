use crate::{
    cases,
    fixture::{Team, task},
};
use kurultai_core::{
    events::EventFilter,
    tasks::{Claim, NewTask, Status},
};
use serde_json::json;
use std::collections::HashSet;

cases![a_completed_task_is_never_seen_without_its_results, claimers_in_a_storm_never_get_the_same_task,];

/// A server that shows a commit property by property would let a reader see the status before the results.
async fn a_completed_task_is_never_seen_without_its_results(team: Team) {
    team.agent("temujin", &[]).await;
    let tasks: Vec<NewTask> = (0..300).map(|i| task(&i.to_string())).collect();
    let ids: Vec<String> = tasks.iter().map(|task| task.id.clone()).collect();
    team.k.tasks().enqueue_many(tasks).await.unwrap();
    let readers = (0..4).map(|_| {
        let (tasks, ids) = (team.k.tasks(), ids.clone());
        tokio::spawn(async move {
            let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
            loop {
                let all = tasks.get_many(&ids).await.unwrap();
                let done = all.iter().flatten().filter(|task| task.status == Status::Completed);
                let mut count = 0;
                for task in done {
                    assert!(task.results.is_some() && task.completed_at.is_some(), "{task:?}");
                    count += 1;
                }
                if count == ids.len() {
                    return;
                }
            }
        })
    });
    let readers: Vec<_> = readers.collect();
    while let claimed = team.claim("temujin", 10).await
        && !claimed.is_empty()
    {
        let done = claimed.iter().map(|claimed| team.complete(claimed));
        futures::future::join_all(done).await;
    }
    for reader in readers {
        reader.await.unwrap();
    }
}

async fn claimers_in_a_storm_never_get_the_same_task(team: Team) {
    let total = if team.k.store_name() == "sqlite" { 5_000 } else { 2_000 };
    for i in 0..32 {
        team.agent(&format!("agent-{i}"), &[]).await;
    }
    for chunk in 0..total / 250 {
        let tasks: Vec<NewTask> = (0..250).map(|i| task(&format!("{chunk}-{i}"))).collect();
        team.k.tasks().enqueue_many(tasks).await.unwrap();
    }
    let claimers = (0..32usize).map(|i| {
        let tasks = team.k.tasks();
        tokio::spawn(async move {
            let mut done = Vec::new();
            loop {
                let claim = Claim::new(format!("agent-{i}")).max(1 + i % 5);
                let claimed = tasks.claim(claim).await.unwrap();
                if claimed.is_empty() {
                    return done;
                }
                for claimed in claimed {
                    tasks.complete(&claimed.lease, json!(i)).await.unwrap();
                    done.push(claimed.id);
                }
            }
        })
    });
    let done: Vec<String> =
        futures::future::join_all(claimers).await.into_iter().flat_map(|d| d.unwrap()).collect();
    assert_eq!(done.len(), total);
    assert_eq!(done.iter().collect::<HashSet<_>>().len(), total);
    assert_eq!(team.k.tasks().stats().await.unwrap().by_status[&Status::Completed], total as u64);
    let events = team.k.events();
    let (mut seq, mut completed) = (0, HashSet::new());
    loop {
        let page = events
            .read(EventFilter { after_seq: seq, limit: 5_000, ..Default::default() })
            .await
            .unwrap()
            .events;
        let Some(last) = page.last() else { break };
        assert_eq!(page.len() as i64, last.seq - seq, "no gap, no repetition");
        seq = last.seq;
        for event in page.into_iter().filter(|e| e.topic == "task.completed") {
            assert!(completed.insert(event.task_id.unwrap()), "completed twice");
        }
    }
    assert_eq!(seq, (total * 3 + 32) as i64);
    assert_eq!(completed.len(), total);
}

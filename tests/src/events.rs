use crate::{
    cases,
    fixture::{code, task},
};
use kurultai_core::EventFilter;
use std::time::Duration;

cases! {
    async fn events_are_numbered_in_commit_order_without_a_gap(team: Team) {
        team.agent("temujin", &[]).await;
        let tasks = team.k.tasks();
        let calls = (0..50).map(|i| tasks.enqueue(task(&i.to_string())));
        futures::future::join_all(calls).await;
        for claimed in team.claim("temujin", 50).await {
            team.complete(&claimed).await;
        }
        let events = team.k.events().read(EventFilter::default()).await.unwrap();
        assert_eq!(events.iter().map(|e| e.seq).collect::<Vec<_>>(), (1..=151).collect::<Vec<i64>>());
        assert_eq!(team.k.events().last_seq().await.unwrap(), 151);
    }

    async fn events_are_found_by_topic_agent_task_and_time(team: Team) {
        team.agent("temujin", &[]).await;
        let id = team.add(task("one")).await;
        let between = { team.seconds(10); team.clock.now() };
        team.complete(&team.claim_one("temujin").await).await;
        team.add(task("two").delegated_by("kublai")).await;
        let read = async |filter: EventFilter| -> Vec<String> {
            team.k.events().read(filter).await.unwrap().into_iter().map(|e| e.topic).collect()
        };
        let topic = |pattern: &str| EventFilter { topic: Some(pattern.into()), ..Default::default() };
        assert_eq!(read(topic("task.completed")).await, ["task.completed"]);
        assert_eq!(read(topic("task.*")).await.len(), 4);
        assert_eq!(read(topic("*.registered")).await, ["agent.registered"]);
        assert_eq!(read(topic("**")).await.len(), 5);
        assert!(read(topic("task")).await.is_empty());
        let by_task = EventFilter { task_id: Some(id), ..Default::default() };
        assert_eq!(read(by_task).await, ["task.enqueued", "task.claimed", "task.completed"]);
        let by_agent = EventFilter { source: Some("kublai".into()), ..Default::default() };
        assert_eq!(read(by_agent).await, ["task.enqueued"]);
        let since = EventFilter { since: Some(between), ..Default::default() };
        assert_eq!(read(since).await, ["task.claimed", "task.completed", "task.enqueued"]);
        let paged = EventFilter { after_seq: 2, limit: 1, ..Default::default() };
        assert_eq!(read(paged).await, ["task.claimed"]);
        let too_many = EventFilter { limit: 10_001, ..Default::default() };
        assert_eq!(code(team.k.events().read(too_many).await), "input.invalid");
    }

    async fn a_reader_that_waits_gets_what_comes(team: Team) {
        team.agent("temujin", &[]).await;
        let wait = Duration::from_secs(20);
        for (topic, cause) in [("task.enqueued", 0), ("task.claimed", 1), ("task.completed", 2)] {
            let after_seq = team.k.events().last_seq().await.unwrap();
            let filter = EventFilter { after_seq, topic: Some(topic.into()), wait, ..Default::default() };
            let reader = tokio::spawn({
                let events = team.k.events();
                async move { events.read(filter).await.unwrap() }
            });
            tokio::task::yield_now().await;
            match cause {
                0 => drop(team.add(task("one")).await),
                1 => drop(team.claim_one("temujin").await),
                _ => {
                    team.add(task("two")).await;
                    team.complete(&team.claim_one("temujin").await).await;
                }
            }
            assert_eq!(reader.await.unwrap()[0].topic, topic);
        }
        let short = EventFilter { topic: Some("no.such".into()), wait: Duration::from_millis(30), ..Default::default() };
        assert!(team.k.events().read(short).await.unwrap().is_empty());
    }

    async fn a_reader_that_waits_hears_of_the_close(team: Team) {
        let filter = EventFilter { topic: Some("no.such".into()), wait: Duration::from_secs(60), ..Default::default() };
        let reader = tokio::spawn({
            let events = team.k.events();
            async move { events.read(filter).await }
        });
        tokio::task::yield_now().await;
        team.k.clone().close().await;
        assert_eq!(code(reader.await.unwrap()), "store.closed");
    }

    async fn a_failure_tells_its_reason(team: Team) {
        team.agent("temujin", &[]).await;
        let id = team.add(task("one")).await;
        let lease = team.claim_one("temujin").await.lease;
        team.k.tasks().fail(&lease, kurultai_core::Failure::new("no network")).await.unwrap();
        let filter = EventFilter { task_id: Some(id), topic: Some("task.failed".into()), ..Default::default() };
        let event = team.k.events().read(filter).await.unwrap().remove(0);
        assert_eq!(event.payload.unwrap().value(), serde_json::json!({"attempt": 1, "reason": "no network"}));
        assert_eq!(event.source.as_deref(), Some("temujin"));
    }
}

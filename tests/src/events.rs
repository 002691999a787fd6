mod processes;
mod publish;
mod subscriptions;

pub(crate) use processes::consume;

use crate::{
    cases,
    fixture::{Team, code, task},
};
use kurultai_core::{
    Clock, Config, Kurultai,
    agents::NewAgent,
    config::Retention,
    events::{EventFilter, matches},
    tasks::NewTask,
};
use std::time::Duration;
use tokio::time::timeout;

cases![
    who_begins_to_wait_on_a_closed_store_is_told_at_once,
    events_are_numbered_in_commit_order_without_a_gap,
    events_are_found_by_topic_agent_task_and_time,
    a_reader_that_waits_gets_what_comes,
    a_reader_that_waits_hears_of_the_close,
    a_failure_tells_its_reason,
    a_reader_beside_writers_sees_every_event_once_and_in_order,
    a_look_beside_a_writer_has_no_gap,
    many_who_wait_for_their_own_task_are_served_by_one_reader,
    a_cursor_that_retention_has_passed_is_refused,
    no_number_reaches_another_namespace,
    a_wait_hears_of_each_commit_of_another_process,
];

async fn who_begins_to_wait_on_a_closed_store_is_told_at_once(team: Team) {
    let k = team.reopen(|config| config).await;
    let events = k.events();
    let after_seq = events.last_seq().await.unwrap();
    let mut follow = events.follow(EventFilter { after_seq, ..Default::default() }).unwrap();
    let waiting = tokio::spawn(async move { (follow.next().await.map(|events| events.len()), follow) });
    tokio::time::sleep(Duration::from_millis(100)).await;
    k.tasks().enqueue(task("one")).await.unwrap();
    let (seen, mut follow) = waiting.await.unwrap();
    assert_eq!(seen.unwrap(), 1);
    k.close().await;
    let read = EventFilter { after_seq: after_seq + 1, wait: Duration::from_secs(60), ..Default::default() };
    let told = async { (code(events.read(read).await), code(follow.next().await)) };
    let told = tokio::time::timeout(Duration::from_secs(5), told).await.expect("at once");
    assert_eq!(told, ("store.closed", "store.closed"));
}

async fn events_are_numbered_in_commit_order_without_a_gap(team: Team) {
    team.agent("temujin", &[]).await;
    let tasks = team.k.tasks();
    let calls = (0..50).map(|i| tasks.enqueue(task(&i.to_string())));
    futures::future::join_all(calls).await;
    for claimed in team.claim("temujin", 50).await {
        team.complete(&claimed).await;
    }
    let events = team.k.events().read(EventFilter::default()).await.unwrap().events;
    assert_eq!(events.iter().map(|e| e.seq).collect::<Vec<_>>(), (1..=151).collect::<Vec<i64>>());
    assert_eq!(team.k.events().last_seq().await.unwrap(), 151);
}

async fn events_are_found_by_topic_agent_task_and_time(team: Team) {
    team.agent("temujin", &[]).await;
    let id = team.add(task("one")).await;
    let between = {
        team.seconds(10);
        team.clock.now()
    };
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
    for limit in [0, 10_001] {
        let wrong = EventFilter { limit, ..Default::default() };
        assert_eq!(code(team.k.events().read(wrong).await), "input.invalid");
    }
}

async fn a_reader_that_waits_gets_what_comes(team: Team) {
    team.agent("temujin", &[]).await;
    let wait = Duration::from_secs(20);
    for (topic, cause) in [("task.enqueued", 0), ("task.claimed", 1), ("task.completed", 2)] {
        let after_seq = team.k.events().last_seq().await.unwrap();
        let filter = EventFilter { after_seq, topic: Some(topic.into()), wait, ..Default::default() };
        let reader = tokio::spawn({
            let events = team.k.events();
            async move { events.read(filter).await.unwrap().events }
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
    let short =
        EventFilter { topic: Some("no.such".into()), wait: Duration::from_millis(30), ..Default::default() };
    assert!(team.k.events().read(short).await.unwrap().events.is_empty());
}

async fn a_reader_that_waits_hears_of_the_close(team: Team) {
    let filter =
        EventFilter { topic: Some("no.such".into()), wait: Duration::from_secs(60), ..Default::default() };
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
    team.k.tasks().fail(&lease, kurultai_core::tasks::Failure::new("no network")).await.unwrap();
    let filter = EventFilter { task_id: Some(id), topic: Some("task.failed".into()), ..Default::default() };
    let event = team.k.events().read(filter).await.unwrap().events.remove(0);
    assert_eq!(event.payload.unwrap().value(), serde_json::json!({"attempt": 1, "reason": "no network"}));
    assert_eq!(event.source.as_deref(), Some("temujin"));
}

async fn a_reader_beside_writers_sees_every_event_once_and_in_order(team: Team) {
    let other = team.reopen(|config| config).await;
    let writers = async {
        for k in [&team.k, &other].repeat(4) {
            k.tasks().enqueue_many((0..250).map(|i| task(&i.to_string())).collect()).await.unwrap();
            for i in 0..10 {
                k.tasks().enqueue(task(&i.to_string())).await.unwrap();
            }
        }
    };
    let all = 8 * 260;
    let plain = follow(&team.k, EventFilter::default(), all);
    let elsewhere = follow(&other, EventFilter::default(), all);
    let by_topic =
        follow(&team.k, EventFilter { topic: Some("*.enqueued".into()), ..Default::default() }, all);
    let by_time = follow(&other, EventFilter { since: Some(team.clock.now()), ..Default::default() }, all);
    let ((), a, b, c, d) = tokio::join!(writers, plain, elsewhere, by_topic, by_time);
    let expected: Vec<i64> = (1..=all as i64).collect();
    for seen in [a, b, c, d] {
        assert_eq!(seen, expected);
    }
}

async fn a_look_beside_a_writer_has_no_gap(team: Team) {
    let other = team.reopen(|config| config).await;
    let writer = async {
        for _ in 0..20 {
            other.tasks().enqueue_many((0..200).map(|i| task(&i.to_string())).collect()).await.unwrap();
        }
    };
    let reader = async {
        let mut last = 0;
        while last < 4_000 {
            for event in team
                .k
                .events()
                .read(EventFilter { after_seq: last, ..Default::default() })
                .await
                .unwrap()
                .events
            {
                assert_eq!(event.seq, last + 1);
                last = event.seq;
            }
        }
    };
    timeout(Duration::from_secs(120), async { tokio::join!(writer, reader) })
        .await
        .expect("a reader that never ends");
}

async fn many_who_wait_for_their_own_task_are_served_by_one_reader(team: Team) {
    team.agent("temujin", &[]).await;
    let cycle = async |waiting: bool| -> u64 {
        let tasks: Vec<NewTask> = (0..100).map(|i| task(&i.to_string())).collect();
        let ids: Vec<String> = tasks.iter().map(|task| task.id.clone()).collect();
        team.k.tasks().enqueue_many(tasks).await.unwrap();
        let after_seq = team.k.events().last_seq().await.unwrap();
        let topic = Some("task.completed".to_owned());
        let waiters = ids.iter().filter(|_| waiting).map(|id| {
            let (events, wait) = (team.k.events(), Duration::from_secs(60));
            let filter = EventFilter {
                after_seq,
                topic: topic.clone(),
                task_id: Some(id.clone()),
                wait,
                ..Default::default()
            };
            tokio::spawn(async move { events.read(filter).await.unwrap().events })
        });
        let waiters: Vec<_> = waiters.collect();
        tokio::time::sleep(Duration::from_millis(300)).await;
        let before = team.k.statements();
        for _ in 0..100 {
            team.complete(&team.claim_one("temujin").await).await;
        }
        for (waiter, id) in waiters.into_iter().zip(&ids) {
            let events =
                timeout(Duration::from_secs(30), waiter).await.expect("long before the wait ends").unwrap();
            assert_eq!(events.iter().map(|e| e.task_id.as_ref()).collect::<Vec<_>>(), [Some(id)]);
        }
        team.k.statements() - before
    };
    let (alone, watched) = (cycle(false).await, cycle(true).await);
    // A look after each commit, and one now and then for what others wrote; not a look for each who waits.
    assert!(watched <= 2 * alone + 50, "{watched} statements with a hundred who wait, {alone} with none");
}

async fn a_cursor_that_retention_has_passed_is_refused(team: Team) {
    for i in 0..5 {
        team.add(task(&i.to_string())).await;
    }
    let early = team.k.events().read(EventFilter { limit: 2, ..Default::default() }).await.unwrap().events;
    team.seconds(1_000);
    team.add(task("young")).await;
    let keep = Retention { events: Some(Duration::from_secs(500)), ..Default::default() };
    let k = team.reopen(|config| config.retention(keep)).await;
    k.maintain().await.unwrap();
    let after = |after_seq| EventFilter { after_seq, ..Default::default() };
    let error = team.k.events().read(after(early[1].seq)).await.unwrap_err();
    assert_eq!(error.code(), "event.cursor_too_old");
    assert!(error.message().contains("after_seq 5"), "{error}");
    let waits = EventFilter { wait: Duration::from_secs(60), ..after(early[1].seq) };
    assert_eq!(code(team.k.events().read(waits).await), "event.cursor_too_old");
    for from in [0, 5] {
        let left = team.k.events().read(after(from)).await.unwrap().events;
        assert_eq!(left.iter().map(|e| e.seq).collect::<Vec<_>>(), [6], "from {from}");
    }
}

async fn no_number_reaches_another_namespace(team: Team) {
    let other = format!("{}-other", team.namespace);
    let k = team.reopen(|config| config.namespace(&other).unwrap()).await;
    k.tasks().enqueue(task("theirs")).await.unwrap();
    team.add(task("ours")).await;
    for after_seq in [-1, -10_i64.pow(9), -(1 << 44), 1 << 44, i64::MIN, i64::MAX] {
        for wait in [Duration::ZERO, Duration::from_secs(60)] {
            let filter = EventFilter { after_seq, wait, ..Default::default() };
            assert_eq!(code(team.k.events().read(filter).await), "input.invalid", "{after_seq}");
        }
    }
    let beyond = EventFilter { after_seq: (1 << 44) - 1, ..Default::default() };
    assert!(team.k.events().read(beyond).await.unwrap().events.is_empty());
    let long = EventFilter { topic: Some("**.".repeat(1_000) + "x"), ..Default::default() };
    assert_eq!(code(team.k.events().read(long).await), "input.invalid");
}

async fn a_wait_hears_of_each_commit_of_another_process(team: Team) {
    // With the store's own clock: who waits sleeps in real time.
    let there = team.reopen(|config| config.clock(Clock::Store).background(true)).await;
    let here = team.reopen(|config| config.clock(Clock::Store).background(true)).await;
    here.agents().register(NewAgent::new("temujin")).await.unwrap();
    let (rounds, patience) = (if team.k.store_name() == "sqlite" { 400 } else { 60 }, Duration::from_secs(5));
    let worker = tokio::spawn(async move {
        for _ in 0..rounds {
            let claim = kurultai_core::tasks::Claim::new("temujin").wait(Duration::from_secs(60));
            let claimed = here.tasks().claim(claim).await.unwrap().remove(0);
            here.tasks().complete(&claimed.lease, serde_json::json!(1)).await.unwrap();
        }
    });
    for round in 0..rounds {
        let after_seq = there.events().last_seq().await.unwrap();
        let id = there.tasks().enqueue(task("ping")).await.unwrap().id;
        let wait = Duration::from_secs(60);
        let filter = EventFilter {
            after_seq,
            task_id: Some(id),
            topic: Some("task.completed".into()),
            wait,
            ..Default::default()
        };
        let heard = timeout(patience, there.events().read(filter)).await;
        assert_eq!(
            heard.unwrap_or_else(|_| panic!("round {round} was not heard of")).unwrap().events.len(),
            1
        );
        // Also while the other is about to wait.
        tokio::time::sleep(Duration::from_micros(fastrand::u64(..3_000))).await;
    }
    timeout(patience, worker).await.expect("the last one is done").unwrap();
}

/// The numbers of the first `count` events that a waiting reader sees.
async fn follow(k: &Kurultai, mut filter: EventFilter, count: usize) -> Vec<i64> {
    let mut seen = Vec::new();
    filter.wait = Duration::from_secs(30);
    while seen.len() < count {
        let page = k.events().read(filter.clone()).await.unwrap().events;
        assert!(!page.is_empty(), "{} of {count} came, then nothing", seen.len());
        filter.after_seq = page.last().unwrap().seq;
        seen.extend(page.into_iter().map(|event| event.seq));
    }
    seen
}

#[test]
fn topics_match_word_by_word() {
    for (pattern, topic, fits) in [
        ("task.*", "task.failed", true),
        ("task.*", "task", false),
        ("task.*", "task.a.b", false),
        ("task.**", "task", true),
        ("task.**", "task.a.b", true),
        ("**.b", "a.b", true),
        ("**.b", "a.b.c", false),
        ("**", "anything.at.all", true),
        ("a.**.c.**.e", "a.b.c.d.c.e", true),
        ("a.**.c.**.e", "a.b.d.e", false),
        ("**.*", "a", true),
        ("*", "", true),
    ] {
        assert_eq!(matches(pattern, topic), fits, "{pattern} and {topic}");
    }
    // Never ends where each wildcard is tried at each place.
    assert!(!matches(&("**.".repeat(1_000) + "x"), &"a.".repeat(1_000)));
}

/// A claim that waits looks again when something changed, and not as fast as it can.
#[tokio::test]
async fn overdue_work_that_cannot_be_settled_is_tried_once_in_a_while() {
    let team = Team::sqlite().await;
    let config = |_: Config| {
        Team::config(&team.url, &team.namespace, &team.clock).clock(Clock::Store).background(true)
    };
    let k = team.reopen(config).await;
    k.agents().register(NewAgent::new("temujin")).await.unwrap();
    k.tasks().enqueue(task("soon").delay(Duration::from_millis(50))).await.unwrap();
    let file =
        rusqlite::Connection::open(team.url.strip_prefix("sqlite:").unwrap().split('?').next().unwrap())
            .unwrap();
    let refuse = "create trigger refuse before update on task begin select raise(abort, 'no'); end";
    file.execute_batch(refuse).unwrap();
    let before = k.statements();
    let claim = kurultai_core::tasks::Claim::new("temujin").wait(Duration::from_secs(2));
    assert!(k.tasks().claim(claim).await.unwrap().is_empty());
    let sent = k.statements() - before;
    assert!(sent < 500, "{sent} statements in two seconds");
}

#[tokio::test]
async fn a_claim_does_not_wait_for_a_backlog() {
    let team = Team::sqlite().await;
    team.agent("temujin", &[]).await;
    let minute = kurultai_core::tasks::Expiry::After(Duration::from_secs(60));
    team.k
        .tasks()
        .enqueue_many((0..3_000).map(|i| task(&i.to_string()).expiry(minute)).collect())
        .await
        .unwrap();
    team.seconds(61);
    assert!(team.claim("temujin", 1).await.is_empty());
    let waiting =
        async || team.k.tasks().stats().await.unwrap().by_status[&kurultai_core::tasks::Status::Pending];
    assert!((1..3_000).contains(&waiting().await), "one step and no more: {}", waiting().await);
    let id = team.add(task("young")).await;
    assert_eq!(team.claim_ids("temujin", 1).await, [id]);
}

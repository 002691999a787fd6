//! What users publish, and how it is found again.

use crate::{
    cases,
    fixture::{Team, code, task},
};
use futures::future::join_all;
use kurultai_core::{
    config::Retention,
    events::{EventFilter, MAX_CHAIN, MAX_PAYLOAD, NewEvent, Published},
};
use serde_json::json;
use std::time::Duration;

cases![
    a_key_is_published_once,
    a_key_with_another_body_is_refused,
    a_key_goes_with_its_event,
    many_are_published_together_or_not_at_all,
    callers_at_one_time_share_the_numbers,
    a_chain_of_events_ends,
    a_chain_has_one_correlation_id,
    a_wrong_event_changes_nothing,
    a_rare_topic_is_found_behind_many_events,
    a_page_of_a_topic_is_not_read_twice,
    a_topic_is_that_of_its_team_alone,
];

async fn publish(team: &Team, event: NewEvent) -> Published {
    team.k.events().publish(event).await.unwrap()
}

async fn found(team: &Team, topic: &str, after_seq: i64, limit: usize) -> (Vec<i64>, i64) {
    let filter = EventFilter { topic: Some(topic.into()), after_seq, limit, ..EventFilter::default() };
    let page = team.k.events().read(filter).await.unwrap();
    (page.events.iter().map(|event| event.seq).collect(), page.next)
}

async fn a_key_is_published_once(team: Team) {
    let other = team.reopen(|config| config).await;
    let event = NewEvent::new("deploy.done").payload(json!({"a": 1, "b": [2]})).source("jochi").key("k");
    assert_eq!(publish(&team, event.clone()).await, Published { seq: 1, deduplicated: false });
    let same = NewEvent {
        payload: Some(kurultai_core::Json::text("{\"b\":[2],\"a\":1.0}").unwrap()),
        ..event.clone()
    };
    let again = Published { seq: 1, deduplicated: true };
    assert_eq!(other.events().publish(same).await.unwrap(), again);
    // Also within one transaction, and beside others.
    let twice = vec![NewEvent::new("a").key("l"), NewEvent::new("a").key("l"), event, NewEvent::new("b")];
    let seqs: Vec<(i64, bool)> = other
        .events()
        .publish_many(twice)
        .await
        .unwrap()
        .iter()
        .map(|one| (one.seq, one.deduplicated))
        .collect();
    assert_eq!(seqs, [(2, false), (2, true), (1, true), (3, false)]);
    let all = join_all((0..20).map(|_| publish(&team, NewEvent::new("c").key("m")))).await;
    assert_eq!(all.iter().filter(|one| !one.deduplicated).count(), 1);
    assert!(all.iter().all(|one| one.seq == 4));
    assert_eq!(team.k.events().last_seq().await.unwrap(), 4);
}

async fn a_key_with_another_body_is_refused(team: Team) {
    let id = team.add(task("one")).await;
    let event = NewEvent::new("deploy.done").payload(json!(1)).source("jochi").task(&id).key("k");
    publish(&team, event.clone()).await;
    for other in [
        NewEvent { topic: "deploy.begun".into(), ..event.clone() },
        NewEvent { payload: Some(json!(2).into()), ..event.clone() },
        NewEvent { payload: None, ..event.clone() },
        NewEvent { source: None, ..event.clone() },
        NewEvent { task_id: None, ..event.clone() },
    ] {
        assert_eq!(code(team.k.events().publish(other.clone()).await), "event.conflict", "{other:?}");
    }
    assert_eq!(team.k.events().last_seq().await.unwrap(), 2);
}

async fn a_key_goes_with_its_event(team: Team) {
    let keep = Retention { events: Some(Duration::from_secs(60)), ..Retention::default() };
    let k = team.reopen(|config| config.retention(keep)).await;
    let event = NewEvent::new("deploy.done").key("k");
    assert_eq!(k.events().publish(event.clone()).await.unwrap().seq, 1);
    team.seconds(61);
    k.maintain().await.unwrap();
    assert_eq!(k.events().publish(event).await.unwrap(), Published { seq: 2, deduplicated: false });
}

async fn many_are_published_together_or_not_at_all(team: Team) {
    let events = team.k.events();
    let wrong = vec![NewEvent::new("a").key("k"), NewEvent::new("b").task("nothing")];
    assert_eq!(code(events.publish_many(wrong).await), "task.not_found");
    let error = events.publish_many(vec![NewEvent::new("a"), NewEvent::new("b c")]).await.unwrap_err();
    assert!(error.message().starts_with("event 1: "), "{error}");
    assert!(events.publish_many(vec![]).await.unwrap().is_empty());
    assert_eq!(events.last_seq().await.unwrap(), 0);
    // The key was not taken.
    let published = events.publish_many(vec![NewEvent::new("b").key("k"), NewEvent::new("c")]).await.unwrap();
    assert_eq!(published.iter().map(|one| one.seq).collect::<Vec<_>>(), [1, 2]);
}

async fn callers_at_one_time_share_the_numbers(team: Team) {
    let events = team.k.events();
    let calls = (0..60).map(|i| {
        let events = events.clone();
        async move {
            let event = NewEvent::new(format!("topic.{}", i % 7)).payload(json!(i));
            // Every tenth call is refused and takes nobody else with it.
            let event = if i % 10 == 9 { event.cause(10_000) } else { event };
            events.publish(event).await.map(|one| one.seq)
        }
    });
    let each = join_all(calls).await;
    let mut seqs: Vec<i64> = each.iter().filter_map(|one| one.as_ref().ok().copied()).collect();
    seqs.sort_unstable();
    assert_eq!(seqs, (1..=54).collect::<Vec<i64>>());
    for (i, one) in each.iter().enumerate().filter(|(i, _)| i % 10 == 9) {
        assert_eq!(one.as_ref().unwrap_err().code(), "event.not_found", "call {i}");
    }
    for event in events.read(EventFilter::default()).await.unwrap() {
        let place = event.payload.unwrap().value().as_u64().unwrap() as usize;
        assert_eq!(
            (event.seq, event.topic),
            (each[place].as_ref().copied().unwrap(), format!("topic.{}", place % 7))
        );
    }
}

async fn a_chain_of_events_ends(team: Team) {
    let mut seq = publish(&team, NewEvent::new("ping")).await.seq;
    for _ in 0..MAX_CHAIN {
        seq = publish(&team, NewEvent::new("ping").cause(seq)).await.seq;
    }
    assert_eq!(code(team.k.events().publish(NewEvent::new("ping").cause(seq)).await), "event.loop");
    // The one before still can, and so can another chain.
    publish(&team, NewEvent::new("ping").cause(seq - 1)).await;
    publish(&team, NewEvent::new("ping").cause(1)).await;
}

async fn a_chain_has_one_correlation_id(team: Team) {
    let read = async |seq: i64| {
        let filter = EventFilter { after_seq: seq - 1, limit: 1, ..EventFilter::default() };
        team.k.events().read(filter).await.unwrap().events.remove(0).correlation_id
    };
    let first = publish(&team, NewEvent::new("a")).await.seq;
    assert_eq!(read(first).await, None);
    let second = publish(&team, NewEvent::new("b").cause(first)).await.seq;
    let began = format!("{}/{first}", team.namespace);
    assert_eq!(read(second).await.as_deref(), Some(&began[..]));
    let third = publish(&team, NewEvent::new("c").cause(second)).await.seq;
    assert_eq!(read(third).await.as_deref(), Some(&began[..]));
    let named = publish(&team, NewEvent::new("d").cause(second).correlation_id("mine")).await.seq;
    assert_eq!(read(named).await.as_deref(), Some("mine"));
    // Of a task, and of what its events cause.
    let plain = team.add(task("one")).await;
    let traced = team.add(task("two").correlation_id("trace")).await;
    for (id, expected) in [(&plain, plain.as_str()), (&traced, "trace")] {
        let about = publish(&team, NewEvent::new("e").task(id)).await.seq;
        assert_eq!(read(about).await.as_deref(), Some(expected));
        let caused = publish(&team, NewEvent::new("f").cause(about)).await.seq;
        assert_eq!(read(caused).await.as_deref(), Some(expected));
    }
    let enqueued = EventFilter { task_id: Some(traced), ..EventFilter::default() };
    let enqueued = team.k.events().read(enqueued).await.unwrap().events[0].seq;
    let caused = publish(&team, NewEvent::new("g").cause(enqueued)).await.seq;
    assert_eq!(read(caused).await.as_deref(), Some("trace"));
}

async fn a_wrong_event_changes_nothing(team: Team) {
    let events = team.k.events();
    let long = "x".repeat(MAX_PAYLOAD);
    for (event, refused) in [
        (NewEvent::new("task.done"), "input.invalid"),
        (NewEvent::new("security"), "input.invalid"),
        (NewEvent::new("a..b"), "input.invalid"),
        (NewEvent::new("a").payload(json!(long)), "input.payload"),
        (NewEvent::new("a").source("Ögedei"), "input.invalid"),
        (NewEvent::new("a").key(""), "input.invalid"),
        (NewEvent::new("a").task("nothing"), "task.not_found"),
        (NewEvent::new("a").cause(1), "event.not_found"),
    ] {
        assert_eq!(code(events.publish(event.clone()).await), refused, "{}", event.topic);
    }
    assert_eq!(events.last_seq().await.unwrap(), 0);
}

async fn a_rare_topic_is_found_behind_many_events(team: Team) {
    let many = |range: std::ops::Range<i64>| range.map(|i| task(&i.to_string())).collect::<Vec<_>>();
    let rare = publish(&team, NewEvent::new("rare.one")).await.seq;
    team.k.tasks().enqueue_many(many(0..3_000)).await.unwrap();
    team.k.tasks().enqueue_many(many(3_000..6_000)).await.unwrap();
    let other = publish(&team, NewEvent::new("rare.two")).await.seq;
    let near = publish(&team, NewEvent::new("rarely")).await.seq;
    team.k.tasks().enqueue_many(many(6_000..9_000)).await.unwrap();
    let last = team.k.events().last_seq().await.unwrap();
    for (topic, expected) in [
        ("rare.*", vec![rare, other]),
        ("rare.**", vec![rare, other]),
        ("rare.two", vec![other]),
        ("rarely.**", vec![near]),
        ("rare", vec![]),
        ("no.such.**", vec![]),
    ] {
        let before = team.k.statements();
        assert_eq!(found(&team, topic, 0, 1_000).await, (expected, last), "{topic}");
        // The log is not read through: it has 9 pages, and windows of Neo4j.
        let sent = team.k.statements() - before;
        assert!(sent <= 8, "{sent} statements for {topic}");
    }
    assert_eq!(found(&team, "rare.**", rare, 1).await, (vec![other], other));
    assert_eq!(found(&team, "rare.**", other, 1).await, (vec![], last));
}

async fn a_page_of_a_topic_is_not_read_twice(team: Team) {
    let events =
        (0..30).map(|i| NewEvent::new(["a.x", "b.y", "a.z"][i % 3]).source(["jochi", "ogedei"][i % 2]));
    team.k.events().publish_many(events.collect()).await.unwrap();
    let (mut seen, mut after) = (vec![], 0);
    loop {
        let (page, next) = found(&team, "a.*", after, 4).await;
        let ends = page.is_empty();
        seen.extend(page);
        assert!(next >= after);
        after = next;
        if ends {
            break;
        }
    }
    assert_eq!(seen, (1..=30).filter(|seq| seq % 3 != 2).collect::<Vec<i64>>());
    assert_eq!(after, 30);
    // Together with what else is asked for.
    let filter = EventFilter {
        topic: Some("a.*".into()),
        source: Some("jochi".into()),
        limit: 3,
        ..EventFilter::default()
    };
    let page = team.k.events().read(filter).await.unwrap();
    assert_eq!(
        (page.events.iter().map(|event| event.seq).collect::<Vec<_>>(), page.next),
        (vec![1, 3, 7], 7)
    );
}

async fn a_topic_is_that_of_its_team_alone(team: Team) {
    let other = Team::config(&team.url, &format!("{}-other", team.namespace), &team.clock);
    let other = kurultai_core::Kurultai::open_with(other).await.unwrap();
    other
        .events()
        .publish_many(vec![NewEvent::new("ours.a").key("k"), NewEvent::new("ours.b")])
        .await
        .unwrap();
    assert_eq!(
        publish(&team, NewEvent::new("ours.a").key("k")).await,
        Published { seq: 1, deduplicated: false }
    );
    assert_eq!(found(&team, "ours.**", 0, 10).await, (vec![1], 1));
    assert_eq!(code(team.k.events().publish(NewEvent::new("a").cause(2)).await), "event.not_found");
}

//! Readers that the store remembers.

use crate::{
    cases,
    fixture::{Team, code, task},
};
use futures::future::join_all;
use kurultai_core::{
    Kurultai,
    agents::NewAgent,
    config::Retention,
    events::{Consume, EventBatch, EventFilter, MAX_TRIES, NewEvent, NewSubscription, Start},
};
use serde_json::json;
use std::time::Duration;

cases![
    what_happens_while_nobody_reads_is_not_missed,
    the_cursor_moves_when_events_are_acknowledged_and_never_before,
    two_consumers_share_the_events_and_keep_their_order,
    a_consumer_that_is_gone_frees_its_events_when_its_hold_is_over,
    a_late_acknowledgement_is_refused,
    an_event_that_nobody_can_handle_is_left_out_in_the_end,
    a_subscription_is_defined_anew_and_goes_on_where_it_was,
    only_events_that_match_are_given,
    a_subscription_begins_where_it_is_told_to,
    a_subscription_is_paused_moved_and_removed,
    retention_waits_for_a_subscription_and_not_for_ever,
    what_is_tried_later_is_nobodys_until_then,
    a_burst_is_given_together_after_its_window,
    a_burst_is_given_together_when_it_is_quiet,
    who_waits_is_given_what_comes,
    what_a_dropped_call_was_given_goes_back,
    a_close_gives_back_what_is_held,
    over_what_does_not_match_the_cursor_moves_by_itself,
    what_is_wrong_is_refused,
];

async fn subscribe(team: &Team, topic: &str) {
    team.k.events().subscribe(NewSubscription::new("s", topic)).await.unwrap();
}

async fn publish(team: &Team, topic: &str) -> i64 {
    team.k.events().publish(NewEvent::new(topic)).await.unwrap().seq
}

async fn consume(k: &Kurultai, max: usize) -> EventBatch {
    k.events().consume(Consume::new("s").max(max)).await.unwrap()
}

fn seqs(batch: &EventBatch) -> Vec<i64> {
    batch.events.iter().map(|event| event.seq).collect()
}

async fn state(team: &Team) -> kurultai_core::events::Subscription {
    team.k.events().subscriptions(None).await.unwrap().remove(0)
}

async fn what_happens_while_nobody_reads_is_not_missed(team: Team) {
    publish(&team, "a.before").await;
    subscribe(&team, "a.**").await;
    for topic in ["a.one", "b.one", "a.two", "a"] {
        publish(&team, topic).await;
    }
    team.add(task("one")).await;
    let other = team.reopen(|config| config).await;
    let batch = consume(&other, 100).await;
    assert_eq!(seqs(&batch), [2, 4, 5]);
    batch.ack().await.unwrap();
    assert!(consume(&other, 100).await.is_empty());
    let next = publish(&team, "a.three").await;
    assert_eq!(seqs(&consume(&other, 100).await), [next]);
}

async fn the_cursor_moves_when_events_are_acknowledged_and_never_before(team: Team) {
    subscribe(&team, "a").await;
    for _ in 0..5 {
        publish(&team, "a").await;
    }
    let batch = consume(&team.k, 2).await;
    assert_eq!(seqs(&batch), [1, 2]);
    let held = state(&team).await;
    assert_eq!((held.cursor, held.lag, held.tries), (0, 5, 1));
    assert_eq!(held.held_until, Some(team.clock.now() + Duration::from_secs(30)));
    batch.ack().await.unwrap();
    let acked = state(&team).await;
    assert_eq!((acked.cursor, acked.lag, acked.tries, acked.held_until), (2, 3, 0, None));
    batch.ack().await.unwrap();
    assert_eq!(state(&team).await, acked, "a repetition does nothing more");
    assert_eq!(seqs(&consume(&team.k, 100).await), [3, 4, 5]);
}

async fn two_consumers_share_the_events_and_keep_their_order(team: Team) {
    subscribe(&team, "a").await;
    let all: Vec<i64> = (1..=120).collect();
    team.k.events().publish_many(vec![NewEvent::new("a"); all.len()]).await.unwrap();
    let handles = [team.reopen(|config| config).await, team.reopen(|config| config).await];
    let seen = std::sync::Mutex::new(vec![]);
    let consumers = handles.iter().map(|k| {
        let (seen, count) = (&seen, all.len());
        async move {
            let mut mine = 0;
            while seen.lock().unwrap().len() < count {
                let take = Consume::new("s").max(7).wait(Duration::from_secs(2));
                let batch = k.events().consume(take).await.unwrap();
                if batch.is_empty() {
                    continue;
                }
                // While it is held, nobody else is given anything.
                seen.lock().unwrap().extend(seqs(&batch));
                tokio::task::yield_now().await;
                mine += 1;
                batch.ack().await.unwrap();
            }
            mine
        }
    });
    let batches: Vec<i32> = join_all(consumers).await;
    assert_eq!(*seen.lock().unwrap(), all, "each once, in their order");
    assert_eq!(batches.iter().sum::<i32>(), 18);
}

async fn a_consumer_that_is_gone_frees_its_events_when_its_hold_is_over(team: Team) {
    subscribe(&team, "a").await;
    publish(&team, "a").await;
    let other = team.reopen(|config| config).await;
    drop(consume(&team.k, 100).await);
    assert!(consume(&other, 100).await.is_empty());
    team.seconds(29);
    assert!(consume(&other, 100).await.is_empty());
    team.seconds(1);
    let again = consume(&other, 100).await;
    assert_eq!((seqs(&again), state(&team).await.tries), (vec![1], 2));
    // For as long as it was asked for.
    again.retry("no", Duration::ZERO).await.unwrap();
    drop(other.events().consume(Consume::new("s").hold(Duration::from_secs(5))).await.unwrap());
    team.seconds(4);
    assert!(consume(&team.k, 100).await.is_empty());
    team.seconds(1);
    assert_eq!(seqs(&consume(&team.k, 100).await), [1]);
}

async fn a_late_acknowledgement_is_refused(team: Team) {
    subscribe(&team, "a").await;
    publish(&team, "a").await;
    let late = consume(&team.k, 100).await;
    team.seconds(30);
    assert_eq!(code(late.ack().await), "event.stale_consumer", "nobody has taken them yet");
    let other = team.reopen(|config| config).await;
    let now = consume(&other, 100).await;
    for refused in [late.ack().await, late.retry("x", Duration::ZERO).await, late.give_back().await] {
        let error = refused.unwrap_err();
        assert_eq!((error.code(), error.kind()), ("event.stale_consumer", kurultai_core::Kind::LeaseLost));
    }
    assert_eq!(state(&team).await.cursor, 0);
    now.ack().await.unwrap();
    assert_eq!(code(late.ack().await), "event.stale_consumer");
    assert_eq!(state(&team).await.cursor, 1);
}

async fn an_event_that_nobody_can_handle_is_left_out_in_the_end(team: Team) {
    subscribe(&team, "**").await;
    team.k.events().publish_many(["a", "poison", "b"].map(NewEvent::new).to_vec()).await.unwrap();
    let (mut handled, mut given) = (vec![], vec![]);
    for _ in 0..40 {
        let batch = consume(&team.k, 100).await;
        if batch.is_empty() {
            break;
        }
        given.push(batch.events.len());
        // All or nothing, as a handler of a batch is.
        if batch.events.iter().any(|event| event.topic == "poison") {
            batch.retry("it cannot be read", Duration::ZERO).await.unwrap();
        } else {
            handled.extend(batch.events.iter().map(|event| event.topic.clone()));
            batch.ack().await.unwrap();
        }
    }
    assert_eq!(handled, ["a", "b"], "no other is taken for it");
    // Three times all of them, then the first alone, which is handled; the same of the other two.
    assert_eq!(given, [3, 3, 3, 1, 2, 2, 2, 1, 1, 1]);
    let dead = team.k.events().dead("s").await.unwrap();
    assert_eq!(dead.len(), 1);
    assert_eq!((dead[0].seq, &dead[0].topic[..], dead[0].tries), (2, "poison", MAX_TRIES));
    assert_eq!((dead[0].error.as_deref(), dead[0].at), (Some("it cannot be read"), team.clock.now()));
    assert_eq!(state(&team).await.cursor, 3);
    // It is dead no more where it is to be taken again.
    team.k.events().rewind("s", Start::After(1)).await.unwrap();
    assert!(team.k.events().dead("s").await.unwrap().is_empty());
    assert_eq!(seqs(&consume(&team.k, 100).await), [2, 3]);
}

async fn a_subscription_is_defined_anew_and_goes_on_where_it_was(team: Team) {
    team.k.agents().register(NewAgent::new("jochi")).await.unwrap();
    let first = NewSubscription::new("s", "a").agent("jochi");
    let events = team.k.events();
    events.subscribe(first.clone()).await.unwrap();
    publish(&team, "a").await;
    publish(&team, "b").await;
    consume(&team.k, 100).await.ack().await.unwrap();
    let before = state(&team).await;
    assert_eq!(events.subscribe(first).await.unwrap(), before, "nothing changes");
    publish(&team, "b").await;
    let other = NewSubscription::new("s", "b").start(Start::After(0)).quiet(Duration::from_secs(1));
    let changed = events.subscribe(other).await.unwrap();
    assert_eq!((changed.cursor, changed.agent, &changed.topic[..]), (before.cursor, None, "b"));
    assert_eq!(changed.quiet, Some(Duration::from_secs(1)));
    team.seconds(1);
    assert_eq!(seqs(&consume(&team.k, 100).await), [4], "what was acknowledged lies behind");
    assert!(events.subscriptions(Some("jochi")).await.unwrap().is_empty());
}

async fn only_events_that_match_are_given(team: Team) {
    let wanted = NewSubscription::new("s", "pr.*")
        .source("jochi")
        .filter(json!({"all": [["payload.pr", "exists"], ["payload.n", "gt", 3]]}));
    team.k.events().subscribe(wanted).await.unwrap();
    let event = |topic: &str, source: &str, payload| NewEvent::new(topic).source(source).payload(payload);
    let all = vec![
        event("pr.opened", "jochi", json!({"pr": 1, "n": 4})),
        event("pr.opened", "jochi", json!({"pr": 1, "n": 3})),
        event("pr.opened", "jochi", json!({"n": 4})),
        event("pr.opened", "ogedei", json!({"pr": 1, "n": 4})),
        event("issue.opened", "jochi", json!({"pr": 1, "n": 4})),
        event("pr.closed", "jochi", json!({"pr": null, "n": 4.5})),
        event("pr.closed", "jochi", json!({"pr": "x", "n": 4.5})),
    ];
    team.k.events().publish_many(all).await.unwrap();
    let batch = consume(&team.k, 100).await;
    assert_eq!(seqs(&batch), [1, 7]);
    batch.ack().await.unwrap();
    assert_eq!(state(&team).await.cursor, 7);
}

async fn a_subscription_begins_where_it_is_told_to(team: Team) {
    let events = team.k.events();
    for _ in 0..3 {
        publish(&team, "a").await;
        team.seconds(10);
    }
    let between = team.clock.now() - Duration::from_secs(15);
    for (name, start, cursor) in [
        ("now", Start::Now, 3),
        ("all", Start::After(0), 0),
        ("after", Start::After(2), 2),
        ("since", Start::Since(between), 2),
        ("later", Start::Since(team.clock.now()), 3),
    ] {
        let made = events.subscribe(NewSubscription::new(name, "a").start(start)).await.unwrap();
        assert_eq!(made.cursor, cursor, "{name}");
    }
    let names: Vec<String> =
        events.subscriptions(None).await.unwrap().into_iter().map(|one| one.name).collect();
    assert_eq!(names, ["after", "all", "later", "now", "since"]);
}

async fn a_subscription_is_paused_moved_and_removed(team: Team) {
    let events = team.k.events();
    subscribe(&team, "a").await;
    for _ in 0..3 {
        publish(&team, "a").await;
    }
    let held = consume(&team.k, 1).await;
    assert!(events.pause("s").await.unwrap().paused);
    held.ack().await.unwrap();
    assert!(consume(&team.k, 100).await.is_empty());
    subscribe(&team, "a").await;
    assert!(consume(&team.k, 100).await.is_empty(), "it stays paused where it is subscribed again");
    assert!(!events.unpause("s").await.unwrap().paused);
    let held = consume(&team.k, 1).await;
    assert_eq!(seqs(&held), [2]);
    let moved = events.rewind("s", Start::After(0)).await.unwrap();
    assert_eq!((moved.cursor, moved.lag, moved.held_until), (0, 3, None));
    assert_eq!(code(held.ack().await), "event.stale_consumer");
    assert_eq!(seqs(&consume(&team.k, 100).await), [1, 2, 3]);
    assert_eq!(events.rewind("s", Start::Now).await.unwrap().cursor, 3);
    assert_eq!(events.rewind("s", Start::After(99)).await.unwrap().cursor, 3, "no further than the log");
    let held = {
        publish(&team, "a").await;
        consume(&team.k, 1).await
    };
    events.unsubscribe("s").await.unwrap();
    assert_eq!(code(held.ack().await), "subscription.not_found");
    assert!(events.subscriptions(None).await.unwrap().is_empty());
    // Another of the name is another.
    subscribe(&team, "a").await;
    assert_eq!(code(held.ack().await), "event.stale_consumer");
    assert_eq!(state(&team).await.cursor, 4);
}

async fn retention_waits_for_a_subscription_and_not_for_ever(team: Team) {
    let keep = Retention { events: Some(Duration::from_secs(100)), ..Retention::default() };
    let k = team.reopen(|config| config.retention(keep)).await;
    for name in ["s", "ahead", "paused"] {
        k.events().subscribe(NewSubscription::new(name, "a").start(Start::After(0))).await.unwrap();
    }
    k.events().pause("paused").await.unwrap();
    for _ in 0..4 {
        publish(&team, "a").await;
        team.seconds(10);
    }
    consume(&k, 2).await.ack().await.unwrap();
    k.events().consume(Consume::new("ahead")).await.unwrap().ack().await.unwrap();
    let first = async || k.events().read(EventFilter::default()).await.unwrap().events.first().map(|e| e.seq);
    team.seconds(100);
    k.maintain().await.unwrap();
    assert_eq!(first().await, Some(3), "what was acknowledged has gone");
    assert_eq!(state_of(&k, "s").await.lag, 2);
    let error = k.events().consume(Consume::new("paused")).await;
    assert_eq!(code(error), "event.cursor_too_old");
    // Two spans after the third event, and not before the fourth.
    team.seconds(85);
    k.maintain().await.unwrap();
    assert_eq!(first().await, Some(4));
    let error = k.events().consume(Consume::new("s")).await.unwrap_err();
    assert_eq!(error.code(), "event.cursor_too_old");
    assert!(error.message().contains("rewind it to 3"), "{error}");
    k.events().rewind("s", Start::After(3)).await.unwrap();
    assert_eq!(seqs(&consume(&k, 100).await), [4]);
    assert_eq!(k.events().rewind("s", Start::After(0)).await.unwrap().cursor, 3, "no earlier than the log");
}

async fn state_of(k: &Kurultai, name: &str) -> kurultai_core::events::Subscription {
    k.events().subscriptions(None).await.unwrap().into_iter().find(|one| one.name == name).unwrap()
}

async fn what_is_tried_later_is_nobodys_until_then(team: Team) {
    subscribe(&team, "a").await;
    publish(&team, "a").await;
    let batch = consume(&team.k, 100).await;
    assert_eq!(code(batch.retry("no", Duration::MAX).await), "input.invalid");
    batch.retry("no", Duration::from_secs(60)).await.unwrap();
    assert_eq!(code(batch.ack().await), "event.stale_consumer");
    team.seconds(59);
    assert!(consume(&team.k, 100).await.is_empty());
    team.seconds(1);
    consume(&team.k, 100).await.ack().await.unwrap();
    assert_eq!(state(&team).await.cursor, 1);
}

async fn a_burst_is_given_together_after_its_window(team: Team) {
    team.k.events().subscribe(NewSubscription::new("s", "a").batch(Duration::from_secs(10))).await.unwrap();
    publish(&team, "a").await;
    assert!(consume(&team.k, 100).await.is_empty());
    for _ in 0..3 {
        team.seconds(3);
        publish(&team, "a").await;
        assert!(consume(&team.k, 100).await.is_empty());
    }
    team.seconds(1);
    let burst = consume(&team.k, 100).await;
    assert_eq!(seqs(&burst), [1, 2, 3, 4]);
    burst.ack().await.unwrap();
    // As many as are wanted do not wait.
    publish(&team, "a").await;
    publish(&team, "a").await;
    assert_eq!(seqs(&consume(&team.k, 2).await), [5, 6]);
}

async fn a_burst_is_given_together_when_it_is_quiet(team: Team) {
    team.k.events().subscribe(NewSubscription::new("s", "a").quiet(Duration::from_secs(10))).await.unwrap();
    for _ in 0..4 {
        publish(&team, "a").await;
        team.seconds(9);
        assert!(consume(&team.k, 100).await.is_empty());
    }
    team.seconds(1);
    let burst = consume(&team.k, 100).await;
    assert_eq!(seqs(&burst), [1, 2, 3, 4]);
    // What is given again does not wait anew, whatever has come since.
    publish(&team, "a").await;
    burst.retry("no", Duration::ZERO).await.unwrap();
    assert_eq!(seqs(&consume(&team.k, 100).await), [1, 2, 3, 4, 5]);
}

async fn who_waits_is_given_what_comes(team: Team) {
    subscribe(&team, "a").await;
    let other = team.reopen(|config| config).await;
    let waits = |k: &Kurultai| {
        let events = k.events();
        tokio::spawn(
            async move { events.consume(Consume::new("s").wait(Duration::from_secs(20))).await.unwrap() },
        )
    };
    let waiting = waits(&other);
    tokio::task::yield_now().await;
    publish(&team, "b").await;
    let seq = publish(&team, "a").await;
    let batch = waiting.await.unwrap();
    assert_eq!(seqs(&batch), [seq]);
    // Who waits while it is held is given the rest when it is acknowledged.
    let next = publish(&team, "a").await;
    let waiting = waits(&other);
    tokio::task::yield_now().await;
    batch.ack().await.unwrap();
    assert_eq!(seqs(&waiting.await.unwrap()), [next]);
}

async fn what_a_dropped_call_was_given_goes_back(team: Team) {
    subscribe(&team, "a").await;
    publish(&team, "a").await;
    for _ in 0..40 {
        // Wherever it is on its way.
        let soon = Duration::from_micros(fastrand::u64(0..3_000));
        if let Ok(batch) = tokio::time::timeout(soon, team.k.events().consume(Consume::new("s"))).await {
            batch.unwrap().give_back().await.unwrap();
        }
    }
    let wait = Consume::new("s").wait(Duration::from_secs(20));
    let batch = team.k.events().consume(wait).await.unwrap();
    assert_eq!((seqs(&batch), state(&team).await.tries), (vec![1], 1), "no such try counts");
    assert!(team.k.events().dead("s").await.unwrap().is_empty());
}

async fn a_close_gives_back_what_is_held(team: Team) {
    subscribe(&team, "a").await;
    publish(&team, "a").await;
    let other = team.reopen(|config| config).await;
    let held = consume(&other, 100).await;
    assert!(consume(&team.k, 100).await.is_empty());
    other.close().await;
    let given = consume(&team.k, 100).await;
    assert_eq!((seqs(&given), state(&team).await.tries), (vec![1], 1));
    assert_eq!(code(held.ack().await), "store.closed");
}

async fn over_what_does_not_match_the_cursor_moves_by_itself(team: Team) {
    subscribe(&team, "a").await;
    team.k.tasks().enqueue_many((0..1_500).map(|i| task(&i.to_string())).collect()).await.unwrap();
    assert!(consume(&team.k, 100).await.is_empty());
    assert_eq!(state(&team).await.cursor, 1_500);
    team.add(task("few")).await;
    assert!(consume(&team.k, 100).await.is_empty());
    assert_eq!(state(&team).await.cursor, 1_500, "not for each event");
    let seq = publish(&team, "a").await;
    let batch = consume(&team.k, 100).await;
    assert_eq!(seqs(&batch), [seq]);
}

async fn what_is_wrong_is_refused(team: Team) {
    let events = team.k.events();
    let new = |topic: &str| NewSubscription::new("s", topic);
    for wrong in [
        NewSubscription::new("", "a"),
        new(""),
        new(&"a.".repeat(100)),
        new("a").agent("Ögedei"),
        new("a").source(""),
        new("a").filter(json!({"none": []})),
        new("a").start(Start::After(-1)),
        new("a").quiet(Duration::MAX),
    ] {
        assert_eq!(code(events.subscribe(wrong.clone()).await), "input.invalid", "{wrong:?}");
    }
    assert!(events.subscriptions(None).await.unwrap().is_empty());
    subscribe(&team, "a").await;
    assert_eq!(code(events.consume(Consume::new("s").max(0)).await), "input.invalid");
    assert_eq!(code(events.consume(Consume::new("s").hold(Duration::ZERO)).await), "input.invalid");
    let near = events.consume(Consume::new("z")).await.unwrap_err();
    assert_eq!((near.code(), near.kind()), ("subscription.not_found", kurultai_core::Kind::NotFound));
    for missing in [
        events.pause("none").await.map(drop),
        events.unpause("none").await.map(drop),
        events.rewind("none", Start::Now).await.map(drop),
        events.unsubscribe("none").await,
        events.dead("none").await.map(drop),
    ] {
        assert_eq!(code(missing), "subscription.not_found");
    }
}

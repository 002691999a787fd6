use super::{all, bodies, body, events, hello, inbox, two};
use crate::{
    cases,
    fixture::{Team, code},
};
use chrono::TimeDelta;
use kurultai_core::messages::{
    AgentMessage, Inbox, KeyState, MessageFilter, MessageStatus, NewMessage, Recipient, Unread,
};
use kurultai_core::{Kurultai, config::Retention};
use std::time::Duration;

cases![
    a_message_reaches_its_recipient,
    what_is_urgent_comes_first_and_then_the_oldest,
    what_nobody_acknowledges_is_delivered_again,
    a_slow_reader_acknowledges_nothing_that_was_given_to_another,
    after_five_deliveries_a_message_has_failed,
    what_expires_leaves_the_inbox_and_its_sender_hears_of_it,
    a_rejected_message_has_failed,
    what_goes_back_comes_again,
    a_dedupe_key_makes_it_one,
    a_dedupe_key_is_no_other_message_s,
    a_dedupe_key_is_free_once_nobody_will_read_its_message,
    whoever_sends_ends_what_is_over,
    each_sender_has_dedupe_keys_of_its_own,
    an_answer_has_so_many_bytes,
    all_of_a_unit_or_none,
    a_full_inbox_refuses,
    a_thread_has_all_that_was_said,
    lists_come_in_pages,
    its_sender_learns_how_the_recipient_fares,
    only_the_types_that_are_asked_for,
    readers_at_once_never_get_the_same_message,
    what_is_over_for_long_is_removed,
    a_clock_that_is_set_back_destroys_nothing,
    what_a_row_says_beside_its_token_finds_nothing,
    a_row_that_cannot_be_read_is_in_nobody_s_way,
    an_agent_with_keys_or_unread_messages_is_in_use,
];

async fn a_message_reaches_its_recipient(team: Team) {
    let [kublai, jochi] = two(&team).await;
    let sent =
        kublai.messages().send(NewMessage { task_id: Some("t-1".into()), ..hello("hi") }).await.unwrap();
    assert_eq!((sent.deduplicated, sent.recipient), (false, Recipient::Alive));
    assert_eq!(jochi.messages().unread(None).await.unwrap(), Unread { count: 1, urgent: 0 });
    let got = inbox(&jochi).await.remove(0);
    let AgentMessage { sender, to, message_type, task_id, thread, delivery, status, .. } = &got;
    assert_eq!(
        (&got.id, sender.as_str(), to.as_str(), message_type.as_str()),
        (&sent.id, "kublai", "jochi", "greeting")
    );
    assert_eq!((body(&got), task_id.as_deref(), thread, *delivery), ("hi".into(), Some("t-1"), &sent.id, 1));
    assert_eq!(
        (*status, got.verified.agent.as_str(), got.verified.version),
        (MessageStatus::Delivered, "kublai", 2)
    );
    assert!(inbox(&jochi).await.is_empty(), "it is with somebody");
    let settled = jochi.messages().ack(&[got.receipt()]).await.unwrap().remove(0).unwrap();
    assert_eq!((settled.status, settled.repeated), (MessageStatus::Acknowledged, false));
    let settled = jochi.messages().ack(&[got.receipt()]).await.unwrap().remove(0).unwrap();
    assert_eq!((settled.status, settled.repeated), (MessageStatus::Acknowledged, true));
    assert_eq!(jochi.messages().unread(Some("jochi")).await.unwrap(), Unread::default());
    team.seconds(120);
    assert!(inbox(&jochi).await.is_empty());
    let received = events(&team.k, "message.received").await.remove(0);
    assert_eq!(received.source.as_deref(), Some("kublai"));
    assert_eq!(
        received.payload.unwrap().value(),
        serde_json::json!({"id": sent.id, "to": "jochi", "type": "greeting"})
    );
}

async fn what_is_urgent_comes_first_and_then_the_oldest(team: Team) {
    let [kublai, jochi] = two(&team).await;
    for (text, urgent) in [("a", false), ("b", true), ("c", false), ("d", true)] {
        kublai.messages().send(NewMessage { urgent, ..hello(text) }).await.unwrap();
    }
    assert_eq!(jochi.messages().unread(None).await.unwrap(), Unread { count: 4, urgent: 2 });
    let three = Inbox { max: 3, ..Inbox::default() };
    assert_eq!(bodies(&jochi.messages().inbox(three).await.unwrap()), ["b", "d", "a"]);
    assert_eq!(bodies(&inbox(&jochi).await), ["c"]);
}

async fn what_nobody_acknowledges_is_delivered_again(team: Team) {
    let [kublai, jochi] = two(&team).await;
    kublai.messages().send(hello("hi")).await.unwrap();
    let short = Inbox { visible: Duration::from_secs(5), ..Inbox::default() };
    assert_eq!(jochi.messages().inbox(short).await.unwrap()[0].delivery, 1);
    team.seconds(4);
    assert!(inbox(&jochi).await.is_empty());
    team.seconds(1);
    let second = inbox(&jochi).await.remove(0);
    assert_eq!((body(&second), second.delivery), ("hi".to_owned(), 2));
    team.seconds(59);
    assert!(inbox(&jochi).await.is_empty());
    // It has it until somebody else has.
    team.seconds(10);
    jochi.messages().ack(&[second.receipt()]).await.unwrap().remove(0).unwrap();
}

async fn a_slow_reader_acknowledges_nothing_that_was_given_to_another(team: Team) {
    let [kublai, jochi] = two(&team).await;
    kublai.messages().send(hello("hi")).await.unwrap();
    let slow = inbox(&jochi).await.remove(0);
    team.seconds(61);
    let quick = inbox(&jochi).await.remove(0);
    assert_eq!(code(jochi.messages().ack(&[slow.receipt()]).await.unwrap().remove(0)), "lease.lost");
    assert_eq!(code(jochi.messages().reject(&slow.receipt(), "no").await), "lease.lost");
    jochi.messages().ack(&[quick.receipt()]).await.unwrap().remove(0).unwrap();
    assert_eq!(code(jochi.messages().ack(&[slow.receipt()]).await.unwrap().remove(0)), "lease.lost");
    let unknown = "nothing/1".parse().unwrap();
    assert_eq!(code(jochi.messages().ack(&[unknown]).await.unwrap().remove(0)), "message.not_found");
}

async fn after_five_deliveries_a_message_has_failed(team: Team) {
    let [kublai, jochi] = two(&team).await;
    let sent = kublai.messages().send(hello("hi")).await.unwrap();
    for delivery in 1..=5 {
        assert_eq!(inbox(&jochi).await[0].delivery, delivery);
        team.k.maintain().await.unwrap();
        team.seconds(61);
    }
    assert!(inbox(&jochi).await.is_empty());
    team.k.maintain().await.unwrap();
    let failed = events(&team.k, "message.failed").await;
    assert_eq!((failed.len(), failed[0].source.as_deref()), (1, Some("jochi")));
    let told = failed[0].payload.as_ref().unwrap().value();
    assert_eq!((told["id"].as_str(), told["from"].as_str()), (Some(sent.id.as_str()), Some("kublai")));
    assert_eq!(told["code"], "message.undeliverable");
    let shown = team.k.messages().thread(&sent.id).await.unwrap().remove(0);
    assert_eq!((shown.status, shown.code.as_deref()), (MessageStatus::Failed, Some("message.undeliverable")));
    assert_eq!(jochi.messages().unread(None).await.unwrap().count, 0);
}

async fn what_expires_leaves_the_inbox_and_its_sender_hears_of_it(team: Team) {
    let [kublai, jochi] = two(&team).await;
    let brief = NewMessage { ttl: Some(Duration::from_secs(30)), ..hello("brief") };
    let sent = kublai.messages().send(brief).await.unwrap();
    kublai.messages().send(hello("long")).await.unwrap();
    team.seconds(31);
    assert_eq!(bodies(&inbox(&jochi).await), ["long"]);
    team.k.maintain().await.unwrap();
    team.k.maintain().await.unwrap();
    let expired = events(&team.k, "message.expired").await;
    assert_eq!(expired.len(), 1);
    assert_eq!(expired[0].payload.as_ref().unwrap().value()["id"], sent.id);
    assert_eq!(team.k.messages().thread(&sent.id).await.unwrap()[0].status, MessageStatus::Expired);
}

async fn a_rejected_message_has_failed(team: Team) {
    let [kublai, jochi] = two(&team).await;
    let sent = kublai.messages().send(hello("hi")).await.unwrap();
    let got = inbox(&jochi).await.remove(0);
    assert_eq!(code(jochi.messages().reject(&got.receipt(), "").await), "input.invalid");
    for repeated in [false, true] {
        let settled = jochi.messages().reject(&got.receipt(), "not for me").await.unwrap();
        assert_eq!((settled.status, settled.repeated), (MessageStatus::Failed, repeated));
    }
    let told = events(&team.k, "message.failed").await.remove(0).payload.unwrap().value();
    let want = serde_json::json!({"id": sent.id, "from": "kublai", "code": "message.rejected", "reason": "not for me"});
    assert_eq!(told, want);
    team.seconds(61);
    assert!(inbox(&jochi).await.is_empty());
}

async fn what_goes_back_comes_again(team: Team) {
    let [kublai, jochi] = two(&team).await;
    kublai.messages().send(hello("hi")).await.unwrap();
    let got = inbox(&jochi).await.remove(0);
    let settled = jochi.messages().retry(&got.receipt(), Duration::from_secs(10)).await.unwrap();
    assert_eq!(settled.status, MessageStatus::Pending);
    assert!(inbox(&jochi).await.is_empty());
    team.seconds(10);
    assert_eq!(inbox(&jochi).await[0].delivery, 2);
    assert_eq!(code(jochi.messages().ack(&[got.receipt()]).await.unwrap().remove(0)), "lease.lost");
}

async fn a_dedupe_key_makes_it_one(team: Team) {
    let [kublai, jochi] = two(&team).await;
    let key = Some("task:1:jochi".to_owned());
    let first = kublai.messages().send(NewMessage { dedupe_key: key.clone(), ..hello("one") }).await.unwrap();
    let again = || NewMessage { dedupe_key: key.clone(), ..hello("one") };
    let second = kublai.messages().send(again()).await.unwrap();
    assert_eq!((second.id, second.deduplicated), (first.id.clone(), true));
    let both = kublai.messages().send_many(vec![again(), hello("other"), again()]).await.unwrap();
    assert_eq!(both.iter().map(|sent| sent.deduplicated).collect::<Vec<_>>(), [true, false, true]);
    let new = Some("task:2:jochi".to_owned());
    let pair = vec![
        NewMessage { dedupe_key: new.clone(), ..hello("two") },
        NewMessage { dedupe_key: new, ..hello("two") },
    ];
    let pair = kublai.messages().send_many(pair).await.unwrap();
    assert_eq!((pair[0].id == pair[1].id, pair[1].deduplicated), (true, true));
    assert_eq!(bodies(&inbox(&jochi).await), ["one", "other", "two"]);
}

async fn a_dedupe_key_is_no_other_message_s(team: Team) {
    let [kublai, jochi] = two(&team).await;
    let of = |message: NewMessage| NewMessage { dedupe_key: Some("once".into()), ..message };
    let body = serde_json::json!({"a": 1, "b": [2.5, "ü"]});
    let first = NewMessage { body: body.into(), ..hello("") };
    let id = kublai.messages().send(of(first.clone())).await.unwrap().id;
    let spelled = kurultai_core::Json::text(r#"{ "b": [25e-1, "\u00fc"], "a": 1.0 }"#).unwrap();
    let same = kublai.messages().send(of(NewMessage { body: spelled, ..first.clone() })).await.unwrap();
    assert_eq!((same.id, same.deduplicated), (id.clone(), true));
    let to_jochi = |from: &Kurultai, message: NewMessage| {
        let from = from.clone();
        async move { from.messages().send(message).await.unwrap_err() }
    };
    for (from, message, other) in [
        (&kublai, NewMessage { body: serde_json::json!({"a": 2}).into(), ..first.clone() }, "body"),
        (&kublai, NewMessage { message_type: "farewell".into(), ..first.clone() }, "type"),
        (&kublai, NewMessage { to: "kublai".into(), ..first.clone() }, "recipient"),
    ] {
        let error = to_jochi(from, of(message)).await;
        assert_eq!((error.code(), error.kind()), ("message.conflict", kurultai_core::Kind::Conflict));
        let said = error.message();
        assert!(said.contains(&id) && said.contains("\"once\"") && said.contains(other), "{said}");
    }
    // In one unit as well, and then nothing of it is sent.
    let pair = ["x", "y"].map(|text| NewMessage { dedupe_key: Some("pair".into()), ..hello(text) });
    assert_eq!(code(kublai.messages().send_many(pair.to_vec()).await), "message.conflict");
    assert_eq!(inbox(&jochi).await.len(), 1);
    assert_eq!(kublai.messages().unread(None).await.unwrap().count, 0);
    // Of two at once one is sent.
    let race = ["x", "y"].map(|text| {
        let messages = kublai.messages();
        async move { messages.send(NewMessage { dedupe_key: Some("race".into()), ..hello(text) }).await }
    });
    let answers = futures::future::join_all(race).await;
    let codes: Vec<_> = answers.into_iter().filter_map(Result::err).map(|error| error.code()).collect();
    assert_eq!((codes, inbox(&jochi).await.len()), (vec!["message.conflict"], 1));
}

fn keyed(body: &str) -> NewMessage {
    let ttl = Some(Duration::from_secs(600));
    NewMessage { dedupe_key: Some("once".into()), ttl, ..hello(body) }
}

async fn a_dedupe_key_is_free_once_nobody_will_read_its_message(team: Team) {
    let [kublai, jochi] = two(&team).await;
    let send = async |body: &str| kublai.messages().send(keyed(body)).await;
    // What was swept.
    send("expired").await.unwrap();
    team.seconds(601);
    team.k.maintain().await.unwrap();
    assert!(!send("undeliverable").await.unwrap().deduplicated);
    for _ in 0..5 {
        assert_eq!(bodies(&inbox(&jochi).await), ["undeliverable"]);
        assert_eq!(code(send("another").await), "message.conflict");
        team.seconds(60);
    }
    team.k.maintain().await.unwrap();
    // What failed by its key.
    assert!(!send("revoked").await.unwrap().deduplicated);
    let [key] = &team.k.keys().list(Some("kublai")).await.unwrap()[..] else { panic!("one key") };
    team.k.keys().revoke("kublai", &key.key_id, "lost").await.unwrap();
    assert!(inbox(&jochi).await.is_empty());
    let key = team.k.keys().rotate("kublai").await.unwrap();
    let kublai = team.reopen(|config| config.identity(key)).await;
    let send = async |body: &str| kublai.messages().send(keyed(body)).await;
    let rejected = send("rejected").await.unwrap();
    assert!(!rejected.deduplicated);
    // Somebody has read it, and has said no.
    let [message] = &inbox(&jochi).await[..] else { panic!("one message") };
    jochi.messages().reject(&message.receipt(), "not mine").await.unwrap();
    assert_eq!(send("rejected").await.unwrap().id, rejected.id);
    assert_eq!(code(send("another").await), "message.conflict");
    let left: Vec<_> = [events(&team.k, "message.expired").await, events(&team.k, "message.failed").await]
        .map(|events| events.len())
        .into();
    assert_eq!(left, [1, 3]);
    // What was acknowledged keeps its key for good.
    let of = |body: &str| NewMessage { dedupe_key: Some("read".into()), ..keyed(body) };
    let read = kublai.messages().send(of("read")).await.unwrap();
    let [message] = &inbox(&jochi).await[..] else { panic!("one message") };
    jochi.messages().ack(&[message.receipt()]).await.unwrap().remove(0).unwrap();
    team.seconds(601);
    team.k.maintain().await.unwrap();
    assert_eq!(kublai.messages().send(of("read")).await.unwrap().id, read.id);
}

async fn whoever_sends_ends_what_is_over(team: Team) {
    let [kublai, jochi] = two(&team).await;
    let first = kublai.messages().send(keyed("one")).await.unwrap();
    team.seconds(599);
    assert_eq!(kublai.messages().send(keyed("one")).await.unwrap().id, first.id);
    team.seconds(1);
    // Nobody has swept it. Of two at once one is sent.
    let both = async || kublai.messages().send(keyed("two")).await;
    let (one, other) = futures::future::join(both(), both()).await;
    let (one, other) = (one.unwrap(), other.unwrap());
    assert_eq!((one.id == other.id, one.deduplicated ^ other.deduplicated), (true, true));
    assert_ne!(one.id, first.id);
    let told = events(&team.k, "message.expired").await;
    let told: Vec<_> =
        told.iter().map(|event| event.payload.clone().unwrap().value()["id"].clone()).collect();
    assert_eq!(told, [first.id.as_str()]);
    assert_eq!(bodies(&inbox(&jochi).await), ["two"]);
    // The same where it was delivered as often as a message is.
    for delivery in 2..=5 {
        team.seconds(60);
        assert_eq!(inbox(&jochi).await[0].delivery, delivery);
    }
    assert!(kublai.messages().send(keyed("two")).await.unwrap().deduplicated, "somebody has it");
    team.seconds(59);
    assert!(kublai.messages().send(keyed("two")).await.unwrap().deduplicated);
    team.seconds(1);
    assert!(!kublai.messages().send(keyed("three")).await.unwrap().deduplicated);
    let failed = events(&team.k, "message.failed").await.remove(0).payload.unwrap().value();
    assert_eq!((&failed["id"], &failed["code"]), (&one.id.into(), &"message.undeliverable".into()));
    assert_eq!(bodies(&inbox(&jochi).await), ["three"]);
}

async fn each_sender_has_dedupe_keys_of_its_own(team: Team) {
    let [kublai, jochi] = two(&team).await;
    let of = |text: &str, key: &str| NewMessage { dedupe_key: Some(key.into()), ..hello(text) };
    for key in ["once", "kublai/once", "jochi/once", "task:1:jochi"] {
        let (own, other) = (format!("kublai's {key}"), format!("jochi's {key}"));
        let first = kublai.messages().send(of(&own, key)).await.unwrap();
        let second = jochi.messages().send(of(&other, key)).await.unwrap();
        assert!(!first.deduplicated && !second.deduplicated, "{key}");
        for (from, text, sent) in [(&kublai, &own, first), (&jochi, &other, second)] {
            let again = from.messages().send(of(text, key)).await.unwrap();
            assert_eq!((again.id, again.deduplicated), (sent.id, true), "{key}");
        }
    }
    assert_eq!(inbox(&jochi).await.len(), 8);
}

async fn an_answer_has_so_many_bytes(team: Team) {
    let [kublai, jochi] = two(&team).await;
    let first = kublai.messages().send(hello("first")).await.unwrap().id;
    let text = "x".repeat(180_000);
    for _ in 0..8 {
        let long = || NewMessage { reply_to: Some(first.clone()), ..hello(&text) };
        kublai.messages().send_many((0..10).map(|_| long()).collect()).await.unwrap();
    }
    // A token is a third longer than what it says.
    let fit = 1 + (16_usize << 20).div_ceil(text.len() / 3 * 4 + 400);
    let about = |count: usize| count.abs_diff(fit) <= 1;
    let mut filter = MessageFilter { limit: 1_000, ..MessageFilter::default() };
    let page = team.k.messages().list(filter.clone()).await.unwrap();
    assert!(about(page.messages.len()) && page.next.is_some(), "{}, not {fit}", page.messages.len());
    filter.cursor = page.next;
    let rest = team.k.messages().list(filter).await.unwrap();
    assert_eq!((page.messages.len() + rest.messages.len(), rest.next), (81, None));
    let thread = team.k.messages().thread(&first).await.unwrap();
    assert!(about(thread.len()) && body(&thread[0]) == "first", "{}", thread.len());
    let all = Inbox { max: 1_000, ..Inbox::default() };
    let given = jochi.messages().inbox(all.clone()).await.unwrap();
    assert!(about(given.len()), "{}", given.len());
    let rest = jochi.messages().inbox(all).await.unwrap();
    assert_eq!((given.len() + rest.len(), rest.iter().all(|message| message.delivery == 1)), (81, true));
}

async fn all_of_a_unit_or_none(team: Team) {
    let [kublai, jochi] = two(&team).await;
    let unit = vec![hello("a"), NewMessage { to: "No Body".into(), ..hello("b") }];
    assert_eq!(code(kublai.messages().send_many(unit).await), "input.invalid");
    assert!(inbox(&jochi).await.is_empty());
    assert!(kublai.messages().send_many(vec![]).await.unwrap().is_empty());
}

async fn a_full_inbox_refuses(team: Team) {
    let [kublai, jochi] = two(&team).await;
    for _ in 0..10 {
        kublai.messages().send_many((0..1_000).map(|i| hello(&i.to_string())).collect()).await.unwrap();
    }
    let full = kublai.messages().send(hello("one more")).await.unwrap_err();
    assert_eq!((full.code(), full.retryable(), full.retry_after().is_some()), ("limit.inbox", true, true));
    let elsewhere = NewMessage { to: "kublai".into(), ..hello("to myself") };
    kublai.messages().send(elsewhere).await.unwrap();
    let one = inbox(&jochi).await.remove(0);
    jochi.messages().ack(&[one.receipt()]).await.unwrap().remove(0).unwrap();
    assert_eq!(code(kublai.messages().send_many(vec![hello("a"), hello("b")]).await), "limit.inbox");
    kublai.messages().send(hello("one more")).await.unwrap();
}

async fn a_thread_has_all_that_was_said(team: Team) {
    let [kublai, jochi] = two(&team).await;
    let first = kublai.messages().send(hello("who?")).await.unwrap();
    kublai.messages().send(hello("aside")).await.unwrap();
    let answer = NewMessage { to: "kublai".into(), reply_to: Some(first.id.clone()), ..hello("me") };
    let second = jochi.messages().send(answer).await.unwrap();
    kublai.messages().send(NewMessage { reply_to: Some(second.id), ..hello("ah") }).await.unwrap();
    let thread = team.k.messages().thread(&first.id).await.unwrap();
    assert_eq!(bodies(&thread), ["who?", "me", "ah"]);
    assert!(thread.iter().all(|message| message.thread == first.id));
    assert!(team.k.messages().thread("nothing").await.unwrap().is_empty());
}

async fn lists_come_in_pages(team: Team) {
    let [kublai, jochi] = two(&team).await;
    for i in 0..5 {
        kublai.messages().send(hello(&i.to_string())).await.unwrap();
        jochi.messages().send(NewMessage { to: "kublai".into(), ..hello("back") }).await.unwrap();
    }
    let mut seen = vec![];
    let mut filter = MessageFilter { to: Some("jochi".into()), limit: 2, ..MessageFilter::default() };
    loop {
        let page = team.k.messages().list(filter.clone()).await.unwrap();
        seen.extend(bodies(&page.messages));
        filter.cursor = page.next;
        if filter.cursor.is_none() {
            break;
        }
    }
    assert_eq!(seen, ["0", "1", "2", "3", "4"]);
    let from = MessageFilter { from: Some("jochi".into()), ..MessageFilter::default() };
    assert_eq!(team.k.messages().list(from).await.unwrap().messages.len(), 5);
    assert_eq!(team.k.messages().list(MessageFilter::default()).await.unwrap().messages.len(), 10);
    assert_eq!(
        code(team.k.messages().list(MessageFilter { limit: 0, ..MessageFilter::default() }).await),
        "input.invalid"
    );
}

async fn its_sender_learns_how_the_recipient_fares(team: Team) {
    let [kublai, _] = two(&team).await;
    let to = |to: &str| NewMessage { to: to.into(), ..hello("hi") };
    let fares = async |name: &str| kublai.messages().send(to(name)).await.unwrap().recipient;
    assert_eq!((fares("nobody").await, fares("jochi").await), (Recipient::Unknown, Recipient::Alive));
    team.k.agents().drain("jochi").await.unwrap();
    assert_eq!(fares("jochi").await, Recipient::Draining);
    team.agent("jochi", &[]).await;
    team.seconds(121);
    assert_eq!((fares("jochi").await, fares("role:router").await), (Recipient::Asleep, Recipient::Unknown));
}

async fn only_the_types_that_are_asked_for(team: Team) {
    let [kublai, jochi] = two(&team).await;
    for kind in ["a", "b", "c"] {
        kublai.messages().send(NewMessage { message_type: kind.into(), ..hello(kind) }).await.unwrap();
    }
    let some = Inbox { types: Some(vec!["c".into(), "a".into()]), ..Inbox::default() };
    assert_eq!(bodies(&jochi.messages().inbox(some).await.unwrap()), ["a", "c"]);
    assert_eq!(bodies(&inbox(&jochi).await), ["b"]);
    for wrong in [Inbox { max: 0, ..Inbox::default() }, Inbox { visible: Duration::ZERO, ..Inbox::default() }]
    {
        assert_eq!(code(jochi.messages().inbox(wrong).await), "input.invalid");
    }
}

async fn readers_at_once_never_get_the_same_message(team: Team) {
    let handles = all(&team, &["kublai", "jochi"]).await;
    let (kublai, jochi) = (&handles[0], &handles[1]);
    kublai.messages().send_many((0..200).map(|i| hello(&i.to_string())).collect()).await.unwrap();
    let other = team.reopen(|config| config).await;
    let read = |i: usize| {
        let k = if i.is_multiple_of(2) { jochi.clone() } else { other.clone() };
        async move {
            let request = Inbox { agent: Some("jochi".into()), max: 7, ..Inbox::default() };
            let mut got = vec![];
            loop {
                let messages = k.messages().inbox(request.clone()).await.unwrap();
                if messages.is_empty() {
                    return got;
                }
                let receipts: Vec<_> = messages.iter().map(AgentMessage::receipt).collect();
                k.messages()
                    .ack(&receipts)
                    .await
                    .unwrap()
                    .into_iter()
                    .for_each(|settled| drop(settled.unwrap()));
                got.extend(messages.into_iter().map(|message| message.id));
            }
        }
    };
    let got = futures::future::join_all((0..8).map(read)).await.concat();
    let distinct: std::collections::HashSet<_> = got.iter().collect();
    assert_eq!((got.len(), distinct.len()), (200, 200));
}

async fn what_is_over_for_long_is_removed(team: Team) {
    let [kublai, jochi] = two(&team).await;
    let brief = |text: &str| NewMessage { ttl: Some(Duration::from_secs(100)), ..hello(text) };
    kublai.messages().send(brief("read")).await.unwrap();
    let read = inbox(&jochi).await.remove(0);
    jochi.messages().ack(&[read.receipt()]).await.unwrap().remove(0).unwrap();
    kublai.messages().send(brief("unread")).await.unwrap();
    kublai.messages().send(hello("long")).await.unwrap();
    let span = Some(Duration::from_secs(500));
    let keep = Retention { messages: span, ..Retention::default() };
    let keeper = team.reopen(|config| config.retention(keep)).await;
    let left = async || {
        keeper.maintain().await.unwrap();
        bodies(&team.k.messages().list(MessageFilter::default()).await.unwrap().messages)
    };
    team.seconds(599);
    assert_eq!(left().await, ["read", "unread", "long"]);
    team.seconds(2);
    assert_eq!(left().await, ["long"]);
    assert_eq!(bodies(&inbox(&jochi).await), ["long"]);
}

async fn an_agent_with_keys_or_unread_messages_is_in_use(team: Team) {
    let [kublai, jochi] = two(&team).await;
    kublai.messages().send(hello("hi")).await.unwrap();
    let error = team.k.agents().deregister("jochi", false).await.unwrap_err();
    let key = team.k.keys().list(Some("jochi")).await.unwrap().remove(0).key_id;
    assert_eq!(error.code(), "agent.in_use");
    assert!(error.message().contains(&key) && error.message().contains("1 unread message"), "{error}");
    team.k.agents().deregister("jochi", true).await.unwrap();
    assert_eq!(code(team.k.agents().get("jochi").await), "agent.not_found");
    assert_eq!(team.k.keys().list(Some("jochi")).await.unwrap()[0].state, KeyState::Revoked);
    let spoken = NewMessage { to: "kublai".into(), ..hello("from nobody") };
    assert_eq!(code(jochi.messages().send(spoken).await), "key.revoked");
    // With revoked keys alone nobody is in use.
    team.agent("jochi", &[]).await;
    assert_eq!(team.k.messages().unread(Some("jochi")).await.unwrap().count, 1);
    let got =
        team.k.messages().inbox(Inbox { agent: Some("jochi".into()), ..Inbox::default() }).await.unwrap();
    team.k.messages().ack(&[got[0].receipt()]).await.unwrap().remove(0).unwrap();
    team.k.agents().deregister("jochi", false).await.unwrap();
}

async fn a_clock_that_is_set_back_destroys_nothing(team: Team) {
    let [kublai, jochi] = two(&team).await;
    kublai.messages().send(hello("while the clock was ahead")).await.unwrap();
    let seen = async || team.k.messages().list(MessageFilter::default()).await.unwrap().messages.len();
    team.clock.jump(TimeDelta::minutes(-10));
    team.k.maintain().await.unwrap();
    assert_eq!(seen().await, 1);
    // On SQLite it is given at once; on Neo4j, where nothing moves with the clock, when its time has come.
    let early = inbox(&jochi).await;
    assert!(early.len() <= 1 && seen().await == 1);
    team.seconds(660);
    assert_eq!(bodies(&inbox(&jochi).await), ["while the clock was ahead"]);
    assert!(events(&team.k, "message.failed").await.is_empty());
}

async fn what_a_row_says_beside_its_token_finds_nothing(team: Team) {
    let [kublai, jochi] = two(&team).await;
    let own = NewMessage { to: "kublai".into(), ..hello("to himself") };
    let first = kublai.messages().send(own).await.unwrap().id;
    for (text, column, value) in [
        ("typed", "type", "'payment'"),
        ("about", "task_id", "'t-1'"),
        ("answer", "reply_to", &*format!("'{first}'")),
        ("thread", "thread", &*format!("'{first}'")),
        ("from", "from_agent", "'jochi'"),
    ] {
        kublai.messages().send(hello(text)).await.unwrap();
        team.tamper(text, column, value).await;
    }
    team.tamper("to himself", "to_agent", "'jochi'").await;
    kublai.messages().send(hello("good")).await.unwrap();
    for filter in
        [MessageFilter { to: Some("jochi".into()), ..MessageFilter::default() }, MessageFilter::default()]
    {
        let page = team.k.messages().list(filter).await.unwrap();
        assert_eq!(bodies(&page.messages), ["good"]);
    }
    let from = MessageFilter { from: Some("jochi".into()), ..MessageFilter::default() };
    assert_eq!(team.k.messages().list(from).await.unwrap().messages, []);
    assert_eq!(team.k.messages().thread(&first).await.unwrap(), []);
    let payments = Inbox { types: Some(vec!["payment".into()]), ..Inbox::default() };
    assert_eq!(jochi.messages().inbox(payments).await.unwrap(), []);
    assert_eq!(bodies(&inbox(&jochi).await), ["good"]);
    assert_eq!(events(&team.k, "message.failed").await.len(), 6);
}

async fn a_row_that_cannot_be_read_is_in_nobody_s_way(team: Team) {
    let [kublai, jochi] = two(&team).await;
    for (text, column, value) in [("one", "deliveries", "-7"), ("two", "status", "'zzz'")] {
        kublai.messages().send(hello(text)).await.unwrap();
        team.tamper(text, column, value).await;
    }
    kublai.messages().send(hello("good")).await.unwrap();
    let list = async || team.k.messages().list(MessageFilter::default()).await.unwrap().messages;
    assert_eq!(bodies(&list().await), ["good"]);
    let got = inbox(&jochi).await;
    assert_eq!(bodies(&got), ["good"]);
    let told = events(&team.k, "message.failed").await;
    let codes: Vec<_> = told.into_iter().map(|e| e.payload.unwrap().value()["code"].clone()).collect();
    assert_eq!(codes, ["sig.malformed", "sig.malformed"]);
    let standing: Vec<_> = list().await.into_iter().map(|message| (body(&message), message.status)).collect();
    let failed = |text: &str| (text.to_owned(), MessageStatus::Failed);
    let good = ("good".to_owned(), MessageStatus::Delivered);
    assert_eq!(standing, [failed("one"), failed("two"), good]);
    // One that somebody has already.
    team.tamper("good", "status", "'zzz'").await;
    assert_eq!(code(jochi.messages().ack(&[got[0].receipt()]).await.unwrap().remove(0)), "lease.lost");
    team.seconds(8 * 86_400);
    team.k.maintain().await.unwrap();
}

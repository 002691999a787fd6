use super::{all, bodies, body, events, hello, two};
use crate::{
    cases,
    fixture::{Team, code},
    worker::eventually,
};
use futures::poll;
use kurultai_core::{
    Kurultai,
    agents::{HandBack, Lead},
    messages::{AgentMessage, Inbox, NewMessage},
};
use std::time::Duration;
use tokio::time::{sleep, timeout};

cases![
    an_inbox_that_waits_hears_of_a_message,
    an_inbox_that_waits_in_vain_is_empty,
    an_answer_is_waited_for,
    what_others_answer_is_no_answer,
    who_was_given_a_role_s_message_answers_it,
    who_is_not_answered_is_told,
    an_inbox_that_waits_hears_of_the_close,
    what_a_dropped_inbox_was_given_goes_back_uncounted,
    what_goes_back_too_late_stays_with_its_new_reader,
    an_inbox_that_waits_hears_of_what_goes_back,
];

const LONG: Duration = Duration::from_secs(60);

async fn an_inbox_that_waits_hears_of_a_message(team: Team) {
    let [kublai, jochi] = two(&team).await;
    // Of this process, and of what another one has opened.
    for (from, text) in [(&kublai, "a"), (&kublai, "b")] {
        let messages = jochi.messages();
        let waiting =
            tokio::spawn(async move { messages.inbox(Inbox { wait: LONG, ..Inbox::default() }).await });
        sleep(Duration::from_millis(100)).await;
        from.messages().send(NewMessage { to: "kublai".into(), ..hello("for somebody else") }).await.unwrap();
        from.messages().send(hello(text)).await.unwrap();
        let got = timeout(Duration::from_secs(20), waiting).await.expect("long before the wait ends");
        assert_eq!(bodies(&got.unwrap().unwrap()), [text]);
    }
}

async fn an_inbox_that_waits_in_vain_is_empty(team: Team) {
    let [_, jochi] = two(&team).await;
    let brief = Inbox { wait: Duration::from_millis(50), ..Inbox::default() };
    assert!(jochi.messages().inbox(brief).await.unwrap().is_empty());
}

async fn an_answer_is_waited_for(team: Team) {
    let [kublai, jochi] = two(&team).await;
    let answering = async {
        let asked = jochi.messages().inbox(Inbox { wait: LONG, ..Inbox::default() }).await.unwrap().remove(0);
        assert_eq!(body(&asked), "who?");
        let to_kublai = |text: &str, reply_to| NewMessage { to: "kublai".into(), reply_to, ..hello(text) };
        jochi.messages().send(to_kublai("something else", None)).await.unwrap();
        jochi.messages().send(to_kublai("me", Some(asked.id.clone()))).await.unwrap();
        jochi.messages().ack(&[asked.receipt()]).await.unwrap().remove(0).unwrap();
    };
    let asking = async { kublai.messages().ask(hello("who?"), LONG).await.unwrap() };
    let (answer, ()) = tokio::join!(asking, answering);
    assert_eq!(body(&answer), "me");
    let left = kublai.messages().inbox(Inbox::default()).await.unwrap();
    assert_eq!(bodies(&left), ["something else"], "the answer is acknowledged, the rest waits");
}

fn answer(to: &str, asked: &AgentMessage, text: &str) -> NewMessage {
    NewMessage { to: to.into(), reply_to: Some(asked.id.clone()), ..hello(text) }
}

async fn what_others_answer_is_no_answer(team: Team) {
    let handles = all(&team, &["kublai", "jochi", "mallory"]).await;
    let [kublai, jochi, mallory] = &handles[..] else { panic!("three") };
    let answering = async {
        let asked = first(jochi).await;
        // Somebody writes into the database that this is an answer.
        let news = NewMessage { to: "kublai".into(), ..hello("news") };
        jochi.messages().send(news).await.unwrap();
        team.tamper("news", "reply_to", &format!("'{}'", asked.id)).await;
        mallory.messages().send(answer("kublai", &asked, "mallory's")).await.unwrap();
        eventually(|| async { events(&team.k, "message.failed").await.len() == 1 }).await;
        jochi.messages().send(answer("kublai", &asked, "jochi's")).await.unwrap();
    };
    let asking = async { kublai.messages().ask(hello("who?"), LONG).await.unwrap() };
    let (got, ()) = tokio::join!(asking, answering);
    assert_eq!((got.sender.as_str(), body(&got)), ("jochi", "jochi's".to_owned()));
    let left = kublai.messages().inbox(Inbox::default()).await.unwrap();
    assert_eq!((bodies(&left), left[0].delivery), (vec!["mallory's".to_owned()], 1));
    let failed = events(&team.k, "message.failed").await.remove(0).payload.unwrap().value();
    assert_eq!(failed["code"], "sig.malformed");
}

async fn who_was_given_a_role_s_message_answers_it(team: Team) {
    let handles = all(&team, &["kublai", "jochi", "mallory"]).await;
    let [kublai, jochi, mallory] = &handles[..] else { panic!("three") };
    let role = jochi.agents().lead("scribe", "jochi", Lead::default()).await.unwrap();
    let answering = async {
        let asked = first(jochi).await;
        mallory.messages().send(answer("kublai", &asked, "mallory's")).await.unwrap();
        // Whoever holds the role meanwhile.
        role.hand_back(HandBack::default()).await.unwrap();
        let _other = mallory.agents().lead("scribe", "mallory", Lead::default()).await.unwrap();
        jochi.messages().send(answer("kublai", &asked, "jochi's")).await.unwrap();
    };
    let question = NewMessage { to: "role:scribe".into(), ..hello("who?") };
    let asking = async { kublai.messages().ask(question, LONG).await.unwrap() };
    let (got, ()) = tokio::join!(asking, answering);
    assert_eq!((got.sender.as_str(), body(&got)), ("jochi", "jochi's".to_owned()));
    assert_eq!(bodies(&kublai.messages().inbox(Inbox::default()).await.unwrap()), ["mallory's"]);
}

async fn who_is_not_answered_is_told(team: Team) {
    let [kublai, jochi] = two(&team).await;
    let error = kublai.messages().ask(hello("who?"), Duration::from_millis(100)).await.unwrap_err();
    assert_eq!((error.code(), error.retryable()), ("message.no_reply", true));
    assert_eq!(jochi.messages().unread(None).await.unwrap().count, 1, "it is there all the same");
}

async fn an_inbox_that_waits_hears_of_the_close(team: Team) {
    let [_, jochi] = two(&team).await;
    let messages = jochi.messages();
    let waiting = tokio::spawn(async move { messages.inbox(Inbox { wait: LONG, ..Inbox::default() }).await });
    sleep(Duration::from_millis(100)).await;
    timeout(Duration::from_secs(20), jochi.close()).await.expect("nobody waits for the end of the wait");
    assert_eq!(code(waiting.await.unwrap()), "store.closed");
}

async fn first(k: &Kurultai) -> AgentMessage {
    let request = Inbox { wait: LONG, ..Inbox::default() };
    k.messages().inbox(request).await.unwrap().remove(0)
}

async fn what_a_dropped_inbox_was_given_goes_back_uncounted(team: Team) {
    let [kublai, jochi] = two(&team).await;
    kublai.messages().send(hello("hi")).await.unwrap();
    // More often than a message is delivered: on their way through the store, and on their way to the reader.
    for _ in 0..8 {
        let messages = jochi.messages();
        // However far it has come.
        let mut asked = Box::pin(messages.inbox_guarded(Inbox::default()));
        drop(poll!(&mut asked));
        drop(asked);
    }
    for _ in 0..8 {
        let request = Inbox { wait: LONG, ..Inbox::default() };
        let given = jochi.messages().inbox_guarded(request).await.unwrap();
        assert_eq!(given[0].delivery, 1);
        // Where no runtime is, as a garbage collector may do it.
        std::thread::spawn(move || drop(given)).join().unwrap();
    }
    let got = first(&jochi).await;
    assert_eq!((body(&got), got.delivery), ("hi".to_owned(), 1));
    jochi.messages().ack(&[got.receipt()]).await.unwrap().remove(0).unwrap();
    assert_eq!(jochi.messages().unread(None).await.unwrap().count, 0);
}

async fn what_goes_back_too_late_stays_with_its_new_reader(team: Team) {
    let [kublai, jochi] = two(&team).await;
    kublai.messages().send(hello("hi")).await.unwrap();
    let brief = Inbox { visible: Duration::from_secs(5), ..Inbox::default() };
    let late = jochi.messages().inbox_guarded(brief).await.unwrap();
    team.seconds(6);
    let other = team.reopen(|config| config).await;
    let request = Inbox { agent: Some("jochi".into()), ..Inbox::default() };
    let quick = other.messages().inbox(request.clone()).await.unwrap().remove(0);
    let before = jochi.statements();
    drop(late);
    eventually(|| async { jochi.statements() > before }).await;
    assert!(jochi.messages().inbox(Inbox::default()).await.unwrap().is_empty());
    other.messages().ack(&[quick.receipt()]).await.unwrap().remove(0).unwrap();
    // So does what the one before gave back, whose delivery has the same number.
    kublai.messages().send(hello("again")).await.unwrap();
    drop(jochi.messages().inbox_guarded(Inbox::default()).await.unwrap());
    let got = first(&jochi).await;
    assert_eq!((body(&got), got.delivery), ("again".to_owned(), 1));
    assert!(other.messages().inbox(request).await.unwrap().is_empty());
    jochi.messages().ack(&[got.receipt()]).await.unwrap().remove(0).unwrap();
}

async fn an_inbox_that_waits_hears_of_what_goes_back(team: Team) {
    let [kublai, jochi] = two(&team).await;
    kublai.messages().send(hello("hi")).await.unwrap();
    let got = first(&jochi).await;
    let waiting = first(&jochi);
    tokio::pin!(waiting);
    assert!(poll!(&mut waiting).is_pending(), "somebody has it");
    jochi.messages().retry(&got.receipt(), Duration::ZERO).await.unwrap();
    let again = timeout(Duration::from_secs(20), waiting).await.expect("long before the wait ends");
    assert_eq!(again.delivery, 2);
}

//! Messages reach an agent at work: handlers for types, and what their ends mean.

use super::{all, bodies, body, events, hello, inbox, two};
use crate::{
    cases,
    fixture::{Team, code, task},
    worker::{eventually, soon},
};
use futures::future::pending;
use kurultai_core::{
    Kurultai,
    messages::{Inbox, MessageFilter, MessageStatus, NewMessage},
    tasks::{NewTask, RetryPolicy, Status},
    worker::{
        Agent, BoxError, Context, Ended, MessageContext, MessageEnd, MessageLimits, Reject, Retry, Stop,
    },
};
use serde_json::{Value, json};
use std::{
    collections::HashMap,
    convert::Infallible,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};
use tokio::sync::{mpsc, oneshot};

cases![
    a_message_is_answered_while_a_task_of_its_agent_runs,
    what_its_handler_returns_from_is_acknowledged,
    an_error_has_it_delivered_again_and_five_are_enough,
    a_rejected_message_fails_for_good_and_its_sender_hears_why,
    of_a_rejection_that_is_a_cause_its_own_words_alone_are_told,
    a_body_of_another_type_and_a_panic_are_errors,
    a_handler_that_takes_too_long_is_stopped_and_its_message_comes_again,
    a_drain_waits_for_handlers,
    what_is_not_finished_when_the_grace_is_over_goes_back,
    what_no_handler_has_seen_goes_back_uncounted,
    a_close_gives_back_what_is_handled,
    two_handles_of_an_agent_never_have_the_same_message,
    no_more_are_held_than_there_are_places,
    an_answer_is_sent_once_however_often_its_message_comes,
    who_has_no_identity_answers_nothing,
    long_work_is_handed_on_as_a_task,
    an_agent_that_vanishes_leaves_its_messages_to_their_time,
    what_cannot_be_is_refused,
];

fn jochi() -> Agent {
    Agent::new("jochi").lease(Duration::from_secs(6))
}

/// Delivered again at once.
fn prompt() -> MessageLimits {
    let retry = RetryPolicy { base: Duration::ZERO, cap: Duration::ZERO, jitter: false };
    MessageLimits::default().retry(retry)
}

/// Runs the agent until nothing waits for it any more.
async fn until_read(k: &Kurultai, agent: Agent) -> usize {
    let read = eventually(|| async { k.messages().unread(Some("jochi")).await.unwrap().count == 0 });
    soon(agent.run_until(k, read)).await.unwrap()
}

async fn a_message_is_answered_while_a_task_of_its_agent_runs(team: Team) {
    let [kublai, k] = two(&team).await;
    let id = team.add(task("long")).await;
    let (answered, wait) = oneshot::channel::<()>();
    let wait = Arc::new(Mutex::new(Some(wait)));
    let agent = jochi()
        .task("review", move |_: Context, _: Value| wait.lock().unwrap().take().unwrap())
        .on_message("question", async |ctx: MessageContext, text: String| {
            assert_eq!((ctx.message.sender.as_str(), ctx.message.delivery), ("kublai", 1));
            ctx.reply(json!(format!("{text} 42"))).await.map(drop)
        });
    let asking = async {
        eventually(|| async { team.status(&id).await == Status::InProgress }).await;
        let question = NewMessage {
            task_id: Some("t-1".into()),
            ..NewMessage::new("jochi", "question", json!("which?"))
        };
        let answer = kublai.messages().ask(question, Duration::from_secs(30)).await.unwrap();
        assert_eq!(team.status(&id).await, Status::InProgress);
        answered.send(()).unwrap();
        team.becomes(&id, Status::Completed).await;
        answer
    };
    let (stop, stopped) = oneshot::channel::<()>();
    let working = agent.run_until(&k, async { drop(stopped.await) });
    let asking = async {
        let answer = asking.await;
        stop.send(()).unwrap();
        answer
    };
    let (handled, answer) = soon(async { tokio::join!(working, asking) }).await;
    assert_eq!(handled.unwrap(), 2);
    let said =
        (body(&answer), answer.sender.as_str(), answer.message_type.as_str(), answer.task_id.as_deref());
    assert_eq!(said, ("which? 42".to_owned(), "jochi", "reply", Some("t-1")));
}

async fn what_its_handler_returns_from_is_acknowledged(team: Team) {
    let [kublai, k] = two(&team).await;
    for text in ["a", "b"] {
        kublai.messages().send(hello(text)).await.unwrap();
    }
    let other = NewMessage { message_type: "other".into(), ..hello("not for a handler") };
    kublai.messages().send(other).await.unwrap();
    let (told, mut heard) = mpsc::unbounded_channel();
    let agent = jochi().on_message("greeting", move |_, text: String| {
        let told = told.clone();
        async move { told.send(text) }
    });
    let both = async {
        assert_eq!((heard.recv().await, heard.recv().await), (Some("a".into()), Some("b".into())));
        eventually(|| async { k.messages().unread(None).await.unwrap().count == 1 }).await;
    };
    // It has no handler for tasks, and claims none.
    let id = team.add(task("for others")).await;
    assert_eq!(soon(agent.run_until(&k, both)).await.unwrap(), 2);
    assert_eq!(bodies(&inbox(&k).await), ["not for a handler"]);
    assert_eq!(team.status(&id).await, Status::Pending);
    let filter = MessageFilter { to: Some("jochi".into()), ..MessageFilter::default() };
    let stand: Vec<_> = k.messages().list(filter).await.unwrap().messages.iter().map(|m| m.status).collect();
    use MessageStatus::{Acknowledged, Delivered};
    assert_eq!(stand, [Acknowledged, Acknowledged, Delivered]);
}

async fn an_error_has_it_delivered_again_and_five_are_enough(team: Team) {
    let [kublai, k] = two(&team).await;
    let sent = kublai.messages().send(hello("hi")).await.unwrap();
    let deliveries = Arc::new(Mutex::new(vec![]));
    let reports = Arc::new(Mutex::new(vec![]));
    let (seen, told) = (deliveries.clone(), reports.clone());
    let agent = jochi()
        .on_message_report(move |report| told.lock().unwrap().push(report.to_string()))
        .on_message_with("greeting", prompt(), move |ctx: MessageContext, _: String| {
            seen.lock().unwrap().push(ctx.message.delivery);
            async move { Err::<(), BoxError>("no such file".into()) }
        });
    until_read(&k, agent).await;
    assert_eq!(*deliveries.lock().unwrap(), [1, 2, 3, 4, 5]);
    let told = events(&team.k, "message.failed").await;
    let want =
        json!({"id": sent.id, "from": "kublai", "code": "message.undeliverable", "reason": "no such file"});
    assert_eq!((told.len(), told[0].payload.as_ref().unwrap().value()), (1, want));
    let reports = reports.lock().unwrap();
    let first = format!(
        "message {} of type \"greeting\" from kublai, delivery 1 of 5 failed: no such file; again after 0.0 s",
        sent.id
    );
    assert_eq!((reports.len(), &reports[0]), (5, &first));
    assert!(reports[4].ends_with("; it is failed now"), "{}", reports[4]);
}

async fn a_rejected_message_fails_for_good_and_its_sender_hears_why(team: Team) {
    let [kublai, k] = two(&team).await;
    let sent = kublai.messages().send(hello("hi")).await.unwrap();
    let agent = jochi()
        .on_message("greeting", async |_: MessageContext, _: String| Err::<(), _>(Reject::new("not for me")));
    assert_eq!(until_read(&k, agent).await, 1);
    let told = events(&team.k, "message.failed").await.remove(0).payload.unwrap().value();
    assert_eq!(
        told,
        json!({"id": sent.id, "from": "kublai", "code": "message.rejected", "reason": "not for me"})
    );
}

#[derive(Debug, thiserror::Error)]
#[error("password 1")]
struct Wrapped(#[source] BoxError);

async fn of_a_rejection_that_is_a_cause_its_own_words_alone_are_told(team: Team) {
    let [kublai, k] = two(&team).await;
    kublai.messages().send(hello("hi")).await.unwrap();
    let reports = Arc::new(Mutex::new(vec![]));
    let told = reports.clone();
    let agent = jochi()
        .on_message_report(move |report| told.lock().unwrap().push(report.to_string()))
        .on_message("greeting", async |_: MessageContext, _: String| {
            Err::<(), _>(Wrapped(Wrapped(Reject::new("not for me").into()).into()))
        });
    assert_eq!(until_read(&k, agent).await, 1);
    let told = events(&team.k, "message.failed").await.remove(0).payload.unwrap().value();
    assert_eq!((&told["code"], &told["reason"]), (&json!("message.rejected"), &json!("not for me")));
    // Its own process hears all of it.
    assert!(reports.lock().unwrap()[0].contains("password 1"), "{reports:?}");
}

async fn a_body_of_another_type_and_a_panic_are_errors(team: Team) {
    let [kublai, k] = two(&team).await;
    kublai.messages().send(NewMessage { body: json!({"n": 1}).into(), ..hello("") }).await.unwrap();
    let agent = jochi().on_message("greeting", async |_: MessageContext, _: u64| Ok::<_, Infallible>(()));
    until_read(&k, agent).await;
    let told = events(&team.k, "message.failed").await.remove(0).payload.unwrap().value();
    assert_eq!(told["code"], "message.rejected");
    kublai.messages().send(hello("boom")).await.unwrap();
    let runs = AtomicU32::new(0);
    let agent = jochi().on_message_with("greeting", prompt(), move |_, _: String| {
        assert!(runs.fetch_add(1, Ordering::SeqCst) > 0, "a first time");
        async { Ok::<_, Infallible>(()) }
    });
    assert_eq!(until_read(&k, agent).await, 2);
}

async fn a_handler_that_takes_too_long_is_stopped_and_its_message_comes_again(team: Team) {
    let [kublai, k] = two(&team).await;
    kublai.messages().send(hello("hi")).await.unwrap();
    let jobs = jochi().messages(["greeting"]).types([""; 0]).start(&k).await.unwrap();
    let slow = soon(jobs.next_message()).await.unwrap().unwrap();
    slow.begin(prompt().timeout(Duration::from_millis(50)));
    assert_eq!(soon(slow.stopped()).await, Stop::Timeout);
    assert_eq!(slow.stop(), Some(Stop::Timeout));
    assert_eq!(code(slow.end(Ended::Returned(json!(null).into())).await), "lease.lost");
    let again = soon(jobs.next_message()).await.unwrap().unwrap();
    assert_eq!(again.message.delivery, 2);
    again.begin(prompt());
    again.end(Ended::Returned(json!(null).into())).await.unwrap();
    assert_eq!(k.messages().unread(None).await.unwrap().count, 0);
    jobs.finished().await;
}

async fn a_drain_waits_for_handlers(team: Team) {
    let [kublai, k] = two(&team).await;
    kublai.messages().send(hello("hi")).await.unwrap();
    let (begun, begins) = oneshot::channel::<()>();
    let begun = Mutex::new(Some(begun));
    let agent = jochi().on_message("greeting", move |ctx: MessageContext, _: String| {
        begun.lock().unwrap().take().unwrap().send(()).unwrap();
        async move {
            ctx.draining().await;
            ctx.reply(json!("until the end")).await.map(drop)
        }
    });
    assert_eq!(soon(agent.run_until(&k, async { begins.await.unwrap() })).await.unwrap(), 1);
    assert_eq!(bodies(&inbox(&kublai).await), ["until the end"]);
    assert_eq!(k.messages().unread(None).await.unwrap().count, 0);
}

async fn what_is_not_finished_when_the_grace_is_over_goes_back(team: Team) {
    let [kublai, k] = two(&team).await;
    kublai.messages().send(hello("hi")).await.unwrap();
    let (told, mut heard) = mpsc::unbounded_channel();
    let (begun, mut begins) = mpsc::unbounded_channel();
    let agent = jochi()
        .grace(Duration::from_millis(50))
        .on_message_report(move |report| told.send(report.end.clone()).unwrap())
        .on_message("greeting", move |_, _: String| {
            begun.send(()).unwrap();
            pending::<Result<(), Infallible>>()
        });
    assert_eq!(soon(agent.run_until(&k, async { begins.recv().await.unwrap() })).await.unwrap(), 0);
    assert_eq!(heard.recv().await, Some(MessageEnd::GivenBack));
    // Its handler had it, so the delivery counts, and a receipt that it kept ends nothing.
    assert_eq!(inbox(&k).await[0].delivery, 2);
}

async fn what_no_handler_has_seen_goes_back_uncounted(team: Team) {
    let [kublai, k] = two(&team).await;
    kublai.messages().send_many(vec![hello("a"), hello("b"), hello("c")]).await.unwrap();
    let only = || jochi().concurrency(3).types([""; 0]).messages(["greeting"]);
    for _ in 0..6 {
        let jobs = only().start(&k).await.unwrap();
        let pulled = soon(jobs.next_message()).await.unwrap().unwrap();
        assert_eq!(pulled.message.delivery, 1);
        // One is pulled and dropped, two were never pulled.
        drop(pulled);
        assert_eq!(soon(jobs.finished()).await, 0);
    }
    let mut left = vec![];
    for _ in 0..3 {
        let request = Inbox { wait: Duration::from_secs(30), max: 1, ..Inbox::default() };
        let got = k.messages().inbox(request).await.unwrap().remove(0);
        left.push((body(&got), got.delivery));
    }
    left.sort();
    assert_eq!(left, [("a".to_owned(), 1), ("b".to_owned(), 1), ("c".to_owned(), 1)]);
}

async fn a_close_gives_back_what_is_handled(team: Team) {
    let [kublai, k] = two(&team).await;
    kublai.messages().send_many(vec![hello("a"), hello("b")]).await.unwrap();
    let jobs = jochi().concurrency(2).types([""; 0]).messages(["greeting"]).start(&k).await.unwrap();
    let seen = soon(jobs.next_message()).await.unwrap().unwrap();
    seen.begin(MessageLimits::default());
    soon(k.clone().close()).await;
    assert_eq!(seen.stop(), Some(Stop::Drained));
    assert!(soon(jobs.next_message()).await.unwrap().is_none());
    let left =
        team.k.messages().inbox(Inbox { agent: Some("jochi".into()), ..Inbox::default() }).await.unwrap();
    let left: HashMap<_, _> = left.iter().map(|message| (body(message), message.delivery)).collect();
    assert_eq!(left, [("a".to_owned(), 2), ("b".to_owned(), 1)].into());
}

async fn two_handles_of_an_agent_never_have_the_same_message(team: Team) {
    let handles = all(&team, &["kublai", "jochi"]).await;
    let other = team.reopen(|config| config).await;
    let texts = || (0..60).map(|i: usize| i.to_string());
    handles[0].messages().send_many(texts().map(|text| hello(&text)).collect()).await.unwrap();
    let seen: Arc<Mutex<HashMap<String, u32>>> = Arc::default();
    let agent = || {
        let seen = seen.clone();
        jochi().concurrency(4).on_message("greeting", move |_, text: String| {
            *seen.lock().unwrap().entry(text).or_default() += 1;
            async { Ok::<_, Infallible>(()) }
        })
    };
    let (one, two) = tokio::join!(until_read(&handles[1], agent()), until_read(&other, agent()));
    assert_eq!(one + two, 60);
    assert_eq!(*seen.lock().unwrap(), texts().map(|text| (text, 1)).collect());
}

async fn no_more_are_held_than_there_are_places(team: Team) {
    let [kublai, k] = two(&team).await;
    kublai.messages().send_many((0..3).map(|i| hello(&i.to_string())).collect()).await.unwrap();
    let jobs = jochi().concurrency(2).messages(["greeting"]).start(&k).await.unwrap();
    let first = soon(jobs.next_message()).await.unwrap().unwrap();
    let _second = soon(jobs.next_message()).await.unwrap().unwrap();
    let waiting = jobs.next_message();
    tokio::pin!(waiting);
    assert!(futures::poll!(&mut waiting).is_pending());
    // Places of their own: tasks come all the same.
    team.add(task("beside")).await;
    soon(jobs.next()).await.unwrap().unwrap().complete(json!(1), None).await.unwrap();
    assert!(futures::poll!(&mut waiting).is_pending());
    first.end(Ended::Returned(json!(null).into())).await.unwrap();
    assert_eq!(body(&soon(waiting).await.unwrap().unwrap().message), "2");
}

async fn an_answer_is_sent_once_however_often_its_message_comes(team: Team) {
    let [kublai, k] = two(&team).await;
    kublai.messages().send(hello("hi")).await.unwrap();
    let runs = Arc::new(AtomicU32::new(0));
    let agent = jochi().on_message("greeting", move |ctx: MessageContext, _: String| {
        let runs = runs.clone();
        async move {
            let run = runs.fetch_add(1, Ordering::SeqCst);
            for text in ["got it", "done"] {
                let sent = ctx.reply(json!(text)).await?;
                assert_eq!(sent.deduplicated, run > 0);
            }
            if run == 0 {
                Err::<(), BoxError>(Retry::after(Duration::ZERO, "once more").into())
            } else {
                Ok(())
            }
        }
    });
    assert_eq!(until_read(&k, agent).await, 2);
    assert_eq!(bodies(&inbox(&kublai).await), ["got it", "done"]);
}

async fn who_has_no_identity_answers_nothing(team: Team) {
    let [kublai, _] = two(&team).await;
    kublai.messages().send(hello("hi")).await.unwrap();
    let (told, mut heard) = mpsc::unbounded_channel();
    let agent = jochi().on_message("greeting", move |ctx: MessageContext, _: String| {
        let told = told.clone();
        async move { told.send(code(ctx.reply(json!("?")).await)) }
    });
    until_read(&team.k, agent).await;
    assert_eq!(heard.recv().await, Some("config.identity"));
}

async fn long_work_is_handed_on_as_a_task(team: Team) {
    let [kublai, k] = two(&team).await;
    let sent = kublai.messages().send(hello("hi")).await.unwrap();
    let agent = jochi().on_message("greeting", async |ctx: MessageContext, _: String| {
        let key = format!("of {}", ctx.message.id);
        ctx.enqueue(NewTask::new("review").unique_key(key)).await.map(drop)
    });
    until_read(&k, agent).await;
    let task = team.k.tasks().find(&format!("of {}", sent.id)).await.unwrap().unwrap();
    assert_eq!((task.delegated_by.as_deref(), task.status), (Some("jochi"), Status::Pending));
}

async fn an_agent_that_vanishes_leaves_its_messages_to_their_time(team: Team) {
    let [kublai, k] = two(&team).await;
    kublai.messages().send_many(vec![hello("a"), hello("b")]).await.unwrap();
    let only = jochi().concurrency(2).types([""; 0]).messages(["greeting"]);
    let jobs = only.message_timeout(Duration::from_secs(100)).start(&k).await.unwrap();
    let held = soon(jobs.next_message()).await.unwrap().unwrap();
    held.begin(MessageLimits::default());
    jobs.vanish();
    drop((held, jobs));
    // The longest time of a handler, and 10 s.
    team.seconds(109);
    assert!(inbox(&k).await.is_empty());
    team.seconds(2);
    assert_eq!(inbox(&k).await.iter().map(|message| message.delivery).collect::<Vec<_>>(), [2, 2]);
}

async fn what_cannot_be_is_refused(team: Team) {
    let nothing = async |_: MessageContext, _: Value| Ok::<_, Infallible>(());
    for timeout in [Duration::ZERO, Duration::from_secs(13 * 3_600)] {
        let agent = jochi().on_message_with("greeting", MessageLimits::default().timeout(timeout), nothing);
        let error = agent.run_until(&team.k, pending()).await.unwrap_err();
        assert!(
            error.code() == "input.invalid" && error.message().contains("timeout of greeting"),
            "{error}"
        );
    }
    let nameless = jochi().on_message("", nothing);
    assert_eq!(code(nameless.run_until(&team.k, pending()).await), "input.invalid");
    assert_eq!(code(jochi().run_until(&team.k, pending()).await), "input.invalid");
    assert_eq!(code(jochi().types([""; 0]).start(&team.k).await), "input.invalid");
    assert_eq!(code(jochi().on_message("x", nothing).start(&team.k).await), "input.invalid");
}

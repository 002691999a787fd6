//! The inbox in the middle of a task.

use super::{body, hello, inbox, two};
use crate::{
    cases,
    fixture::{Team, task},
    worker::soon,
};
use futures::poll;
use kurultai_core::{
    Kurultai,
    messages::{MessageStatus, NewMessage},
    worker::{Agent, Job, Jobs, Stop},
};
use std::time::Duration;

cases![
    a_handler_reads_what_waits_and_what_it_has_read_is_acknowledged,
    the_one_at_which_it_stops_is_delivered_again,
    it_waits_where_it_is_told_to_and_no_longer_than_its_task,
    what_a_dropped_call_was_given_goes_back,
    what_took_too_long_ends_no_loop,
];

async fn at_work(team: &Team, k: &Kurultai) -> (Jobs, Job) {
    team.add(task("work")).await;
    let jobs = Agent::new("jochi").start(k).await.unwrap();
    let job = soon(jobs.next()).await.unwrap().unwrap();
    (jobs, job)
}

async fn a_handler_reads_what_waits_and_what_it_has_read_is_acknowledged(team: Team) {
    let [kublai, k] = two(&team).await;
    let (_jobs, job) = at_work(&team, &k).await;
    let other = NewMessage { message_type: "other".into(), ..hello("other") };
    kublai.messages().send_many(vec![hello("a"), other, hello("b")]).await.unwrap();
    kublai.messages().send(NewMessage { urgent: true, ..hello("now") }).await.unwrap();
    let messages = job.messages().types(["greeting"]);
    let mut read = vec![];
    while let Some(message) = messages.next().await.unwrap() {
        read.push(body(&message));
        let left = k.messages().unread(None).await.unwrap().count;
        assert_eq!(left, 5 - read.len() as u64, "it has not acknowledged the one at hand");
    }
    assert_eq!(read, ["now", "a", "b"]);
    assert_eq!(k.messages().unread(None).await.unwrap().count, 1);
    assert!(messages.next().await.unwrap().is_none());
    // Whatever came since is read by the same loop.
    kublai.messages().send(hello("c")).await.unwrap();
    assert_eq!(messages.next().await.unwrap().map(|message| body(&message)), Some("c".to_owned()));
}

async fn the_one_at_which_it_stops_is_delivered_again(team: Team) {
    let [kublai, k] = two(&team).await;
    let (_jobs, job) = at_work(&team, &k).await;
    let sent = kublai.messages().send_many(vec![hello("a"), hello("b")]).await.unwrap();
    let messages = job.messages();
    for _ in 0..2 {
        messages.next().await.unwrap().unwrap();
    }
    drop(messages);
    assert_eq!(k.messages().thread(&sent[0].id).await.unwrap()[0].status, MessageStatus::Acknowledged);
    assert!(inbox(&k).await.is_empty());
    team.seconds(61);
    let again = inbox(&k).await.remove(0);
    assert_eq!((body(&again), again.delivery), ("b".to_owned(), 2));
}

async fn it_waits_where_it_is_told_to_and_no_longer_than_its_task(team: Team) {
    let [kublai, k] = two(&team).await;
    let (_jobs, job) = at_work(&team, &k).await;
    let messages = job.messages().wait(Duration::from_secs(600));
    let sending = async { kublai.messages().send(hello("late")).await.unwrap() };
    let (got, _) = tokio::join!(soon(messages.next()), sending);
    assert_eq!(got.unwrap().map(|message| body(&message)), Some("late".to_owned()));
    let cancelling = async { team.k.tasks().cancel(&job.task.id, None).await.unwrap() };
    let (got, _) = tokio::join!(soon(messages.next()), cancelling);
    assert!(got.unwrap().is_none());
    assert_eq!(job.stop(), Some(Stop::Cancelled));
}

async fn what_a_dropped_call_was_given_goes_back(team: Team) {
    let [kublai, k] = two(&team).await;
    let (_jobs, job) = at_work(&team, &k).await;
    kublai.messages().send(hello("hi")).await.unwrap();
    let messages = job.messages().wait(Duration::from_secs(600));
    for _ in 0..6 {
        // However far it has come.
        let mut asked = Box::pin(messages.next_guarded());
        drop(poll!(&mut asked));
        drop(asked);
        let given = soon(messages.next_guarded()).await.unwrap();
        assert_eq!(given.message().unwrap().delivery, 1);
        drop(given);
    }
    let got = soon(messages.next()).await.unwrap().unwrap();
    assert_eq!((body(&got), got.delivery), ("hi".to_owned(), 1));
}

async fn what_took_too_long_ends_no_loop(team: Team) {
    let [kublai, k] = two(&team).await;
    let (_jobs, job) = at_work(&team, &k).await;
    kublai.messages().send_many(vec![hello("a"), hello("b")]).await.unwrap();
    let messages = job.messages();
    assert_eq!(messages.next().await.unwrap().map(|message| body(&message)), Some("a".to_owned()));
    team.seconds(61);
    let elsewhere = inbox(&k).await.remove(0);
    assert_eq!(elsewhere.delivery, 2);
    // Both went to the other reader.
    assert!(messages.next().await.unwrap().is_none());
    k.messages().ack(&[elsewhere.receipt()]).await.unwrap().remove(0).unwrap();
}

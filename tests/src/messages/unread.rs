//! What a renewal tells of the inbox.

use super::{all, hello, inbox, two};
use crate::{
    cases,
    fixture::{Team, task},
};
use kurultai_core::{
    Kurultai,
    agents::{HandBack, Lead},
    messages::{Inbox, MAX_UNREAD, NewMessage, Unread},
    tasks::{Claim, Lease},
    worker::Agent,
};
use std::time::Duration;

cases![
    a_renewal_counts_what_would_be_given_now,
    each_agent_of_a_batch_has_its_own,
    those_to_the_roles_that_it_holds_are_counted_too,
    a_full_inbox_is_counted_up_to_a_hundred,
    a_handler_sees_what_came_with_the_last_renewal,
];

async fn held(team: &Team, agent: &str) -> Lease {
    team.add(task("work").assigned_to(agent)).await;
    team.k.tasks().claim(Claim::new(agent).lease(Duration::from_secs(3_600))).await.unwrap().remove(0).lease
}

async fn renewed(k: &Kurultai, lease: &Lease) -> Unread {
    k.tasks().extend(lease, Duration::from_secs(3_600)).await.unwrap().unread
}

fn unread(count: u64, urgent: u64) -> Unread {
    Unread { count, urgent }
}

async fn a_renewal_counts_what_would_be_given_now(team: Team) {
    let [kublai, jochi] = two(&team).await;
    let lease = held(&team, "jochi").await;
    assert_eq!(renewed(&jochi, &lease).await, unread(0, 0));
    let brief = NewMessage { ttl: Some(Duration::from_secs(30)), ..hello("brief") };
    kublai.messages().send_many(vec![hello("a"), brief]).await.unwrap();
    kublai.messages().send(NewMessage { urgent: true, ..hello("b") }).await.unwrap();
    kublai.messages().send(NewMessage { to: "kublai".into(), ..hello("for somebody else") }).await.unwrap();
    assert_eq!(renewed(&jochi, &lease).await, unread(3, 1));
    // Somebody has one, for a minute; one expires.
    jochi.messages().inbox(Inbox { max: 1, ..Inbox::default() }).await.unwrap();
    assert_eq!(renewed(&jochi, &lease).await, unread(2, 0));
    team.seconds(31);
    assert_eq!(renewed(&jochi, &lease).await, unread(1, 0));
    team.seconds(30);
    assert_eq!(renewed(&jochi, &lease).await, unread(2, 1));
    for message in inbox(&jochi).await {
        jochi.messages().ack(&[message.receipt()]).await.unwrap().remove(0).unwrap();
    }
    assert_eq!(renewed(&jochi, &lease).await, unread(0, 0));
    // Delivered as often as a message is, it comes no more.
    kublai.messages().send(hello("unwanted")).await.unwrap();
    for _ in 0..5 {
        assert_eq!(renewed(&jochi, &lease).await, unread(1, 0));
        inbox(&jochi).await;
        team.seconds(61);
    }
    assert_eq!(renewed(&jochi, &lease).await, unread(0, 0));
}

async fn each_agent_of_a_batch_has_its_own(team: Team) {
    let handles = all(&team, &["kublai", "jochi"]).await;
    let leases = [held(&team, "kublai").await, held(&team, "jochi").await, held(&team, "jochi").await];
    handles[0].messages().send_many(vec![hello("a"), hello("b")]).await.unwrap();
    let all = leases.iter().map(|lease| renewed(&team.k, lease));
    let all = futures::future::join_all(all).await;
    assert_eq!(all, [unread(0, 0), unread(2, 0), unread(2, 0)]);
}

async fn those_to_the_roles_that_it_holds_are_counted_too(team: Team) {
    let handles = all(&team, &["kublai", "jochi"]).await;
    let [kublai, jochi] = &handles[..] else { panic!("two") };
    let (own, other) = (held(&team, "jochi").await, held(&team, "kublai").await);
    let to = |to: &str| NewMessage { to: to.into(), ..hello("x") };
    let urgent = NewMessage { urgent: true, ..to("role:router") };
    kublai.messages().send_many(vec![to("jochi"), to("role:router"), urgent]).await.unwrap();
    kublai.messages().send_many(vec![to("role:scribe"), to("role:nobody"), to("router")]).await.unwrap();
    assert_eq!(renewed(&team.k, &own).await, unread(1, 0), "it holds none");
    let router = jochi.agents().lead("router", "jochi", Lead::default()).await.unwrap();
    assert_eq!(renewed(&team.k, &own).await, unread(3, 1));
    assert_eq!(renewed(&team.k, &other).await, unread(0, 0));
    let scribe = jochi.agents().lead("scribe", "jochi", Lead::default()).await.unwrap();
    assert_eq!(renewed(&team.k, &own).await, unread(4, 1), "of both");
    assert_eq!(jochi.messages().unread(Some("jochi")).await.unwrap(), unread(4, 1), "as it says itself");
    scribe.hand_back(HandBack::default()).await.unwrap();
    router.hand_back(HandBack::default().to("kublai")).await.unwrap();
    assert_eq!(renewed(&team.k, &own).await, unread(1, 0));
    let _router = kublai.agents().lead("router", "kublai", Lead::default()).await.unwrap();
    assert_eq!(renewed(&team.k, &other).await, unread(2, 1));
    // Of a full inbox and another, both are seen.
    kublai.messages().send_many((0..150).map(|_| to("kublai")).collect()).await.unwrap();
    assert_eq!(renewed(&team.k, &other).await, unread(MAX_UNREAD as u64, 1));
    let both = futures::future::join(renewed(&team.k, &own), renewed(&team.k, &other)).await;
    assert_eq!(both, (unread(1, 0), unread(MAX_UNREAD as u64, 1)));
}

async fn a_full_inbox_is_counted_up_to_a_hundred(team: Team) {
    let [kublai, jochi] = two(&team).await;
    let lease = held(&team, "jochi").await;
    let row = |i: usize| NewMessage { urgent: i % 40 == 39, ..hello(&i.to_string()) };
    kublai.messages().send_many((0..160).map(row).collect()).await.unwrap();
    let scans = team.k.scans();
    assert_eq!(renewed(&team.k, &lease).await, unread(MAX_UNREAD as u64, 4));
    assert_eq!(team.k.scans(), scans);
    jochi.messages().inbox(Inbox { max: 100, ..Inbox::default() }).await.unwrap();
    assert_eq!(renewed(&jochi, &lease).await, unread(60, 0));
}

async fn a_handler_sees_what_came_with_the_last_renewal(team: Team) {
    let [kublai, jochi] = two(&team).await;
    team.add(task("work")).await;
    let jobs = Agent::new("jochi").start(&jochi).await.unwrap();
    let job = jobs.next().await.unwrap().unwrap();
    assert_eq!(job.unread(), unread(0, 0));
    kublai.messages().send(NewMessage { urgent: true, ..hello("stop") }).await.unwrap();
    assert_eq!(job.progress(0.5).await.unwrap().unread, unread(1, 1));
    assert_eq!(job.unread(), unread(1, 1));
    job.release().await.unwrap();
    jobs.finished().await;
}

//! Two teams of one database.

use crate::{
    cases,
    fixture::{Team, code, task},
};
use kurultai_core::{
    Kurultai, NamespaceInfo,
    agents::{AgentUpdate, NewAgent, Thresholds},
    events::{Consume, EventFilter, NewEvent, NewSubscription, Start},
    schedules::NewSchedule,
    tasks::{Claim, Expiry, NewTask, Status},
};
use serde_json::json;
use std::time::Duration;

cases![
    two_namespaces_use_the_same_ids,
    namespaces_are_listed_and_deleted,
    what_is_deleted_takes_nothing_from_the_others,
    a_handle_whose_namespace_is_gone_is_told_so,
    no_number_is_given_out_again,
    a_large_namespace_goes_in_portions,
];

/// An id and a unique key are a namespace's own: another's are neither seen nor in the way.
async fn two_namespaces_use_the_same_ids(team: Team) {
    let config = crate::fixture::Team::config(&team.url, &format!("{}-b", team.namespace), &team.clock);
    let b = Kurultai::open_with(config).await.unwrap();
    let nightly = |title: &str| NewTask { id: "nightly".into(), ..task(title) };
    let keyed = |id: &str, title: &str| NewTask { id: id.into(), ..task(title).unique_key("key") };
    for (k, whose) in [(&team.k, "ours"), (&b, "theirs")] {
        assert!(!k.tasks().enqueue(nightly(whose)).await.unwrap().deduplicated);
        assert!(k.tasks().enqueue(nightly(whose)).await.unwrap().deduplicated);
        assert!(!k.tasks().enqueue(keyed("keyed", whose)).await.unwrap().deduplicated);
        assert_eq!(k.tasks().enqueue(keyed("another", whose)).await.unwrap().id, "keyed");
        let below = [task(whose).parent("nightly"), task(whose).depends_on(["nightly"])];
        k.tasks().enqueue_many(below.to_vec()).await.unwrap();
        k.agents().register(NewAgent::new("temujin")).await.unwrap();
        let daily = NewSchedule { task: NewTask::new(whose), ..daily() };
        assert_eq!(k.schedules().put(daily).await.unwrap().task_type, whose);
        k.schedules().remove("daily").await.unwrap();
    }
    for (k, whose) in [(&b, "theirs"), (&team.k, "ours")] {
        let ids = ["nightly", "keyed", "another"];
        let titles = k.tasks().get_many(&ids).await.unwrap().into_iter().map(|t| t.map(|t| t.title));
        let own = || Some(whose.to_owned());
        assert_eq!(titles.collect::<Vec<_>>(), [own(), own(), None]);
        let claimed = k.tasks().claim(Claim::new("temujin").max(9)).await.unwrap();
        assert_eq!(
            claimed.iter().map(|c| c.title.as_str()).collect::<Vec<_>>(),
            [whose; 2],
            "a child and a key"
        );
        for held in claimed {
            k.tasks().complete(&held.lease, json!(whose)).await.unwrap();
        }
        let status = k.tasks().get("nightly").await.unwrap().status;
        assert_eq!(status, Status::Completed, "its child is done");
    }
    let waits = b.tasks().claim(Claim::new("temujin").max(9)).await.unwrap();
    assert_eq!(waits.len(), 1, "what depended on nightly");
    assert_eq!(b.tasks().cancel("keyed", None).await.unwrap_err().code(), "task.state");
    assert_eq!(
        team.topics("nightly").await.len(),
        b.events()
            .read(EventFilter { task_id: Some("nightly".into()), ..Default::default() })
            .await
            .unwrap()
            .events
            .len()
    );
}

/// The same team, and another one of its database.
async fn beside(team: &Team, name: &str) -> Kurultai {
    let config = Team::config(&team.url, &format!("{}-{name}", team.namespace), &team.clock);
    Kurultai::open_with(config).await.unwrap()
}

/// Of everything something.
async fn fill(k: &Kurultai, tasks: usize) -> Vec<String> {
    k.agents().register(NewAgent::new("temujin")).await.unwrap();
    let first = task("first").unique_key("key").expiry(Expiry::After(Duration::from_secs(60)));
    let mut all = vec![task("waits").depends_on([&first.id]), task("child").parent(&first.id), first];
    all.extend((3..tasks).map(|i| task(&i.to_string())));
    let ids = k.tasks().enqueue_many(all).await.unwrap().into_iter().map(|e| e.id).collect();
    for held in k.tasks().claim(Claim::new("temujin").max(2)).await.unwrap() {
        k.tasks().complete(&held.lease, json!({"by": "temujin"})).await.unwrap();
    }
    k.tasks().pause(Some("docs")).await.unwrap();
    k.schedules().put(daily()).await.unwrap();
    k.events().subscribe(NewSubscription::new("all", "**").start(Start::After(0))).await.unwrap();
    k.events().publish(NewEvent::new("deploy.done").key("key")).await.unwrap();
    k.maintain().await.unwrap();
    ids
}

/// Far from due.
fn daily() -> NewSchedule {
    NewSchedule::new("daily", NewTask::new("report")).every(Duration::from_secs(86_400))
}

async fn listed(team: &Team) -> Vec<NamespaceInfo> {
    let all = team.k.namespaces().await.unwrap();
    all.into_iter().filter(|info| info.name.starts_with(&team.namespace)).collect()
}

async fn namespaces_are_listed_and_deleted(team: Team) {
    let (b, c) = (beside(&team, "b").await, beside(&team, "c").await);
    fill(&b, 5).await;
    let info = |k: &Kurultai, tasks, agents| NamespaceInfo { name: k.namespace().to_owned(), tasks, agents };
    assert_eq!(listed(&team).await, [info(&team.k, 0, 0), info(&b, 5, 1), info(&c, 0, 0)]);
    assert!(team.k.delete_namespace(b.namespace()).await.unwrap());
    assert_eq!(listed(&team).await, [info(&team.k, 0, 0), info(&c, 0, 0)]);
    assert!(!team.k.delete_namespace(b.namespace()).await.unwrap());
    assert_eq!(code(team.k.delete_namespace(&team.namespace).await), "input.invalid");
    assert_eq!(code(team.k.delete_namespace("").await), "input.invalid");
    let again = beside(&team, "b").await;
    assert_eq!(again.events().last_seq().await.unwrap(), 0);
    assert!(again.agents().list().await.unwrap().is_empty());
    assert!(again.schedules().list().await.unwrap().is_empty());
    assert!(again.events().subscriptions(None).await.unwrap().is_empty());
    assert!(!again.events().publish(NewEvent::new("deploy.done").key("key")).await.unwrap().deduplicated);
    let stats = again.tasks().stats().await.unwrap();
    assert_eq!((stats.by_status.len(), stats.paused), (0, vec![]));
    assert!(!again.tasks().enqueue(task("first").unique_key("key")).await.unwrap().deduplicated);
}

async fn what_is_deleted_takes_nothing_from_the_others(team: Team) {
    let (b, c) = (beside(&team, "b").await, beside(&team, "c").await);
    let ids = fill(&team.k, 4).await;
    fill(&b, 4).await;
    let theirs = fill(&c, 4).await;
    let whole = async |k: &Kurultai, ids: &[String]| {
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        let events = k.events().read(EventFilter::default()).await.unwrap().events;
        let (agents, schedules) = (k.agents().list().await.unwrap(), k.schedules().list().await.unwrap());
        let subscriptions = k.events().subscriptions(None).await.unwrap();
        let (tasks, stats) = (k.tasks().get_many(&ids).await.unwrap(), k.tasks().stats().await.unwrap());
        (tasks, stats, events, agents, schedules, subscriptions)
    };
    let (ours, before) = (whole(&team.k, &ids).await, whole(&c, &theirs).await);
    assert!(team.k.delete_namespace(b.namespace()).await.unwrap());
    assert_eq!(whole(&team.k, &ids).await, ours);
    assert_eq!(whole(&c, &theirs).await, before);
    for k in [&team.k, &c] {
        let left = k.tasks().claim(Claim::new("temujin").max(9)).await.unwrap();
        assert_eq!(left.len(), 1, "what waited for the first");
        k.tasks().unpause(Some("docs")).await.unwrap();
        k.tasks().enqueue(NewTask::new("docs")).await.unwrap();
        assert_eq!(k.tasks().claim(Claim::new("temujin")).await.unwrap().len(), 1);
    }
}

async fn a_handle_whose_namespace_is_gone_is_told_so(team: Team) {
    let b = beside(&team, "b").await;
    fill(&b, 4).await;
    let held = b.tasks().claim(Claim::new("temujin")).await.unwrap().remove(0);
    assert!(team.k.delete_namespace(b.namespace()).await.unwrap());
    for remade in [false, true] {
        let anew = if remade { Some(beside(&team, "b").await) } else { None };
        let told = [
            code(b.tasks().enqueue(task("one")).await),
            code(b.tasks().enqueue(task("a").unique_key("key")).await),
            code(b.tasks().claim(Claim::new("temujin")).await),
            code(b.tasks().complete(&held.lease, json!(1)).await),
            code(b.tasks().extend(&held.lease, Duration::from_secs(60)).await),
            code(b.tasks().pause(Some("x")).await),
            code(b.tasks().stop_all("x").await),
            code(b.tasks().start_all().await),
            code(b.tasks().stats().await),
            code(b.agents().register(NewAgent::new("jochi")).await),
            code(b.agents().beat("temujin").await),
            code(b.agents().beat_many(&["Temüjin"], true).await),
            code(b.agents().health(None, Thresholds::default()).await),
            code(b.agents().update("temujin", AgentUpdate::new().add("x")).await),
            code(b.agents().drain("temujin").await),
            code(b.agents().deregister("temujin", true).await),
            code(b.events().read(EventFilter::default()).await),
            code(b.events().publish(NewEvent::new("deploy.done")).await),
            code(b.events().subscribe(NewSubscription::new("all", "**")).await),
            code(b.events().consume(Consume::new("all")).await),
            code(b.schedules().put(daily()).await),
            code(b.schedules().list().await),
            code(b.schedules().run_now("daily").await),
            code(b.schedules().remove("daily").await),
        ];
        assert_eq!(told, ["store.namespace_missing"; 24], "remade {remade}");
        assert_eq!(code(b.tasks().cancel(&held.id, None).await), "task.not_found");
        if let Some(anew) = anew {
            assert_eq!(anew.events().last_seq().await.unwrap(), 0, "nothing of it came here");
            anew.agents().register(NewAgent::new("temujin")).await.unwrap();
            let id = anew.tasks().enqueue(task("one")).await.unwrap().id;
            assert_eq!(anew.tasks().claim(Claim::new("temujin")).await.unwrap()[0].id, id);
        }
    }
}

/// Handles remember routes and namespaces by their numbers, and the log tasks: none may mean another one later.
async fn no_number_is_given_out_again(team: Team) {
    team.agent("temujin", &[]).await;
    for round in 0..3 {
        let (b, c) = (beside(&team, &format!("b{round}")).await, beside(&team, &format!("c{round}")).await);
        let typed = |name: &str| NewTask::new(format!("{name}-{round}"));
        for k in [&b, &c] {
            k.agents().register(NewAgent::new("temujin")).await.unwrap();
            k.tasks().enqueue(typed("there")).await.unwrap();
        }
        // What this handle has looked at so far may be the newest of all.
        assert!(team.claim("temujin", 9).await.is_empty());
        for k in [&c, &b] {
            assert!(team.k.delete_namespace(k.namespace()).await.unwrap());
        }
        let other = beside(&team, &format!("d{round}")).await;
        let id = team.reopen(|config| config).await.tasks().enqueue(typed("here")).await.unwrap().id;
        assert_eq!(team.claim_ids("temujin", 9).await, [&id[..]], "round {round}");
        assert_eq!(team.topics(&id).await, ["task.enqueued", "task.claimed"]);
        assert_eq!(code(b.tasks().enqueue(task("one")).await), "store.namespace_missing");
        assert_eq!(code(c.tasks().enqueue(task("one")).await), "store.namespace_missing");
        assert_eq!(other.events().last_seq().await.unwrap(), 0);
        assert!(team.k.delete_namespace(other.namespace()).await.unwrap());
    }
    assert_eq!(listed(&team).await.len(), 1);
}

async fn a_large_namespace_goes_in_portions(team: Team) {
    let b = beside(&team, "b").await;
    for i in 0..3 {
        let all = (0..1_000).map(|n| NewTask::new(format!("type-{}", (i * 1_000 + n) % 7))).collect();
        b.tasks().enqueue_many(all).await.unwrap();
    }
    fill(&b, 4).await;
    let before = team.k.statements();
    assert!(team.k.delete_namespace(b.namespace()).await.unwrap());
    assert!(team.k.statements() - before > 3);
    assert_eq!(listed(&team).await.len(), 1);
}

//! Who is declared dead, and what follows.

use super::{events, health, told, write};
use crate::{
    cases,
    fixture::{Team, code, graph, task},
};
use kurultai_core::{
    Kurultai,
    agents::{Health, Watch, Watcher},
    tasks::{Claim, Claimed, FailureKind, Status},
};
use neo4rs::query;
use serde_json::json;
use std::time::Duration;

cases![
    an_agent_is_found_dead_within_the_threshold_and_one_check,
    the_tasks_of_the_dead_move_at_once_with_what_they_had,
    the_dead_complete_nothing,
    who_is_heard_of_again_has_recovered,
    two_watchers_declare_once,
    who_works_is_not_dead,
    who_has_stopped_is_not_declared,
    who_was_registered_and_never_started_is_not_declared,
    one_of_two_processes_that_stops_does_not_speak_for_the_other,
    a_verdict_of_many_agents_moves_the_tasks_of_each,
];

const TEAM: [&str; 4] = ["jochi", "kublai", "mongke", "temujin"];

async fn watcher(k: &Kurultai) -> Watcher {
    k.agents().watcher(Watch::default()).unwrap()
}

/// Temujin holds a task for ten minutes; the others live.
async fn at_work(team: &Team) -> Claimed {
    for agent in TEAM {
        team.agent(agent, &[]).await;
    }
    team.add(task("one")).await;
    let claim = Claim::new("temujin").lease(Duration::from_secs(600));
    let held = team.k.tasks().claim(claim).await.unwrap().remove(0);
    team.k.tasks().progress(&held.lease, 0.5).await.unwrap();
    team.k.tasks().checkpoint(&held.lease, json!({"page": 7})).await.unwrap();
    held
}

/// Looks every ten seconds for so long, while the others beat. Returns who died, and after how many seconds.
async fn watch(team: &Team, watcher: &mut Watcher, alive: &[&str], seconds: u64) -> Vec<(String, u64)> {
    let mut dead = vec![];
    for look in 1..=seconds / 10 {
        team.seconds(10);
        assert!(team.k.agents().beat_many(alive, false).await.unwrap().is_empty());
        let watched = watcher.check().await.unwrap();
        assert_eq!((watched.suspects, watched.recovered), (vec![], vec![]));
        dead.extend(watched.dead.into_iter().map(|agent| (agent, look * 10)));
    }
    dead
}

const ALIVE: &[&str] = &["jochi", "kublai", "mongke"];

async fn an_agent_is_found_dead_within_the_threshold_and_one_check(team: Team) {
    at_work(&team).await;
    let mut watcher = watcher(&team.k).await;
    watcher.check().await.unwrap();
    let dead = watch(&team, &mut watcher, ALIVE, 300).await;
    assert_eq!(dead, [("temujin".to_owned(), 130)]);
    let died = events(&team, "agent.dead").await;
    assert_eq!(told(&died), [(Some("temujin"), json!({"silent_for": 130.0, "holds": 1}))]);
    let got = health(&team, "temujin").await;
    assert_eq!((got.state, got.dead_at), (Health::Dead, Some(died[0].created_at)));
    assert!(got.reason.contains("declared dead"), "{}", got.reason);
}

async fn the_tasks_of_the_dead_move_at_once_with_what_they_had(team: Team) {
    let id = at_work(&team).await.id;
    let mut watcher = watcher(&team.k).await;
    watch(&team, &mut watcher, ALIVE, 130).await;
    assert_eq!(team.status(&id).await, Status::InProgress);
    watch(&team, &mut watcher, ALIVE, 10).await;
    let got = team.get(&id).await;
    assert_eq!((got.status, got.attempts, got.claimed_by), (Status::Pending, 1, None));
    assert_eq!((got.progress, got.checkpoint.unwrap().value()), (Some(0.5), json!({"page": 7})));
    assert_eq!((got.errors.len(), got.errors[0].kind), (1, FailureKind::Lapsed));
    assert_eq!(team.topics(&id).await.last().unwrap(), "task.lapsed");
    let again = team.claim_one("jochi").await;
    assert_eq!((again.id, again.attempt, again.checkpoint.unwrap().value()), (id, 2, json!({"page": 7})));
    let holds = team.k.agents().get("temujin").await.unwrap().current_load;
    assert_eq!(holds, 0);
}

async fn the_dead_complete_nothing(team: Team) {
    let held = at_work(&team).await;
    watch(&team, &mut watcher(&team.k).await, ALIVE, 140).await;
    let tasks = team.k.tasks();
    assert_eq!(code(tasks.complete(&held.lease, json!("late")).await), "lease.lost");
    assert_eq!(code(tasks.extend(&held.lease, Duration::from_secs(60)).await), "lease.lost");
    assert_eq!(code(tasks.release(&held.lease).await), "lease.lost");
    let got = health(&team, "temujin").await;
    assert_eq!(got.state, Health::Dead, "what is refused is no sign of work");
    let again = team.claim_one("kublai").await;
    assert_eq!(code(tasks.complete(&held.lease, json!("late")).await), "lease.lost");
    team.complete(&again).await;
}

async fn who_is_heard_of_again_has_recovered(team: Team) {
    at_work(&team).await;
    let mut watcher = watcher(&team.k).await;
    watch(&team, &mut watcher, ALIVE, 200).await;
    let died = health(&team, "temujin").await.dead_at;
    assert!(died.is_some());
    team.seconds(5);
    team.k.agents().beat("temujin").await.unwrap();
    assert_eq!(health(&team, "temujin").await.state, Health::Idle, "also before a watcher says so");
    assert_eq!(watcher.check().await.unwrap().recovered, ["temujin"]);
    assert_eq!(watcher.check().await.unwrap().recovered, [""; 0], "once");
    assert_eq!(health(&team, "temujin").await.dead_at, None);
    assert_eq!(told(&events(&team, "agent.recovered").await)[0].0, Some("temujin"));
    assert_eq!(watch(&team, &mut watcher, &TEAM, 200).await, []);
    // And may die again.
    assert_eq!(watch(&team, &mut watcher, ALIVE, 140).await, [("temujin".to_owned(), 130)]);
    assert_eq!(events(&team, "agent.dead").await.len(), 2);
}

async fn two_watchers_declare_once(team: Team) {
    let id = at_work(&team).await.id;
    let other = team.reopen(|config| config).await;
    let mut watchers = [watcher(&team.k).await, watcher(&other).await];
    let (mut dead, mut recovered) = (vec![], vec![]);
    for look in 0..40 {
        team.seconds(10);
        let alive = if look < 20 { ALIVE } else { &TEAM };
        team.k.agents().beat_many(alive, false).await.unwrap();
        let [one, two] = &mut watchers;
        let (one, two) = tokio::join!(one.check(), two.check());
        for watched in [one.unwrap(), two.unwrap()] {
            dead.extend(watched.dead);
            recovered.extend(watched.recovered);
        }
    }
    assert_eq!((dead, recovered), (vec!["temujin".to_owned()], vec!["temujin".to_owned()]));
    assert_eq!(events(&team, "agent.dead").await.len(), 1);
    assert_eq!(events(&team, "agent.recovered").await.len(), 1);
    let lapses = team.topics(&id).await.iter().filter(|topic| *topic == "task.lapsed").count();
    assert_eq!(lapses, 1);
}

async fn who_works_is_not_dead(team: Team) {
    let held = at_work(&team).await;
    let mut watcher = watcher(&team.k).await;
    // Its sidecar is gone; it works all the same.
    for _ in 0..20 {
        assert_eq!(watch(&team, &mut watcher, ALIVE, 60).await, []);
        team.k.tasks().extend(&held.lease, Duration::from_secs(600)).await.unwrap();
    }
    team.complete(&held).await;
}

async fn who_has_stopped_is_not_declared(team: Team) {
    at_work(&team).await;
    let agent = kurultai_core::Agent::new("mongke").wait(Duration::from_secs(60));
    let jobs = agent.start(&team.k).await.unwrap();
    jobs.drain();
    jobs.finished().await;
    let mut watcher = watcher(&team.k).await;
    watcher.check().await.unwrap();
    let dead = watch(&team, &mut watcher, &["jochi", "kublai"], 300).await;
    assert_eq!(dead, [("temujin".to_owned(), 130)]);
}

async fn who_was_registered_and_never_started_is_not_declared(team: Team) {
    at_work(&team).await;
    for agent in ["ogedei", "chagatai", "x", "y", "z"] {
        team.agent(agent, &[]).await;
    }
    let mut watcher = watcher(&team.k).await;
    watcher.check().await.unwrap();
    let dead = watch(&team, &mut watcher, ALIVE, 300).await;
    assert_eq!(dead, [("temujin".to_owned(), 130)]);
    let ogedei = health(&team, "ogedei").await;
    assert_eq!(ogedei.state, Health::Unknown);
    assert!(ogedei.reason.contains("not heard of since"), "{}", ogedei.reason);
}

async fn one_of_two_processes_that_stops_does_not_speak_for_the_other(team: Team) {
    at_work(&team).await;
    let other = team.reopen(|config| config).await;
    let agent = kurultai_core::Agent::new("temujin").types(["none"]).wait(Duration::from_secs(60));
    let jobs = agent.start(&other).await.unwrap();
    jobs.drain();
    jobs.finished().await;
    assert_eq!(health(&team, "temujin").await.state, Health::Alive, "it holds a task");
    let mut watcher = watcher(&team.k).await;
    watcher.check().await.unwrap();
    // Its last word may come a little later.
    let dead = watch(&team, &mut watcher, ALIVE, 300).await;
    assert!(matches!(&dead[..], [(agent, 130 | 140)] if agent == "temujin"), "{dead:?}");
}

async fn a_verdict_of_many_agents_moves_the_tasks_of_each(team: Team) {
    at_work(&team).await;
    let many: Vec<String> = (0..10).map(|i| format!("worker-{i}")).collect();
    let names: Vec<&str> = many.iter().map(String::as_str).collect();
    team.k.agents().beat_many(&names, true).await.unwrap();
    let mut ids = vec![];
    for name in &names[..3] {
        ids.push(team.add(task(name)).await);
        let claim = Claim::new(*name).lease(Duration::from_secs(600));
        assert_eq!(team.k.tasks().claim(claim).await.unwrap().len(), 1);
    }
    let mut watcher = watcher(&team.k).await;
    let alive: Vec<&str> = ALIVE.iter().chain(&names[3..]).copied().collect();
    watch(&team, &mut watcher, &alive, 200).await;
    assert_eq!(events(&team, "agent.dead").await.len(), 4);
    for id in ids {
        assert_eq!(team.status(&id).await, Status::Pending);
    }
}

/// A sign that comes between a watcher's look and its word saves the agent.
mod in_between {
    use super::*;

    /// All but the last check of a death.
    async fn nearly_dead(team: &Team) -> (Watcher, String) {
        let id = at_work(team).await.id;
        let mut watcher = watcher(&team.k).await;
        assert_eq!(watch(team, &mut watcher, ALIVE, 130).await, []);
        team.seconds(10);
        (watcher, id)
    }

    async fn lives(team: &Team, id: &str, watcher: &mut Watcher) {
        assert_eq!(events(team, "agent.dead").await.len(), 0);
        assert_eq!(team.status(id).await, Status::InProgress);
        let dead = watch(team, watcher, ALIVE, 130).await;
        assert_eq!(dead.len(), 1, "the next silence counts anew");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn on_sqlite() {
        let team = Team::sqlite().await;
        let (mut watcher, id) = nearly_dead(&team).await;
        let path = team.url.strip_prefix("sqlite:").unwrap().split('?').next().unwrap().to_owned();
        let other = rusqlite::Connection::open(path).unwrap();
        other.execute_batch("begin immediate").unwrap();
        let checked = tokio::spawn(async move { (watcher.check().await.unwrap(), watcher) });
        tokio::time::sleep(Duration::from_millis(300)).await;
        let sql = "update agent set infra_heartbeat = ?1, infra_seq = infra_seq + 1 where id = 'temujin'";
        other.execute(sql, [team.clock.now().timestamp_micros()]).unwrap();
        other.execute_batch("commit").unwrap();
        let (watched, mut watcher) = checked.await.unwrap();
        assert_eq!(watched.dead, [""; 0]);
        lives(&team, &id, &mut watcher).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn on_neo4j() {
        let team = Team::neo4j().await;
        // Our own beat, and that of an old sidecar, which knows nothing of sequences.
        for ours in [true, false] {
            let team = if ours { &team } else { &Team::neo4j().await };
            let (mut watcher, id) = nearly_dead(team).await;
            let mut txn = graph().start_txn().await.unwrap();
            let lock = query("MATCH (ns:Namespace {namespace: $ns}) SET ns._lock = 1");
            txn.run(lock.param("ns", team.namespace.as_str())).await.unwrap();
            let checked = tokio::spawn(async move { (watcher.check().await.unwrap(), watcher) });
            tokio::time::sleep(Duration::from_millis(500)).await;
            if ours {
                team.k.agents().beat("temujin").await.unwrap();
            } else {
                let now = team.clock.now().to_rfc3339();
                let set = "MATCH (a:Agent {namespace: $ns, id: 'temujin'}) SET a.infra_heartbeat =";
                write(team, &format!("{set} '{now}'")).await;
            }
            txn.rollback().await.unwrap();
            let (watched, mut watcher) = checked.await.unwrap();
            assert_eq!(watched.dead, [""; 0]);
            lives(team, &id, &mut watcher).await;
        }
    }

    /// Another program's word for it.
    #[tokio::test]
    async fn who_is_called_offline_has_stopped() {
        let team = Team::neo4j().await;
        at_work(&team).await;
        write(&team, "MATCH (a:Agent {namespace: $ns, id: 'mongke'}) SET a.status = 'offline'").await;
        let mut watcher = watcher(&team.k).await;
        watcher.check().await.unwrap();
        // But not who holds a task and gives no sign.
        write(&team, "MATCH (a:Agent {namespace: $ns, id: 'temujin'}) SET a.status = 'offline'").await;
        let dead = watch(&team, &mut watcher, &["jochi", "kublai"], 300).await;
        assert_eq!(dead, [("temujin".to_owned(), 130)]);
        assert!(health(&team, "mongke").await.reason.contains("stopped"));
    }
}

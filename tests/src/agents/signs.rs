//! Both heartbeats, and what they tell.

use super::{events, health, write};
use crate::{
    cases,
    fixture::{Team, code, graph, task},
};
use futures::future::join_all;
use kurultai_core::{
    agents::{AgentStatus, Health, NewAgent, Thresholds},
    tasks::{Claim, Failure, Outcome},
};
use neo4rs::query;
use serde_json::json;
use std::time::Duration;

cases![
    a_beat_writes_the_timestamp,
    a_beat_is_a_sign_that_the_process_runs_and_no_sign_of_work,
    a_beat_creates_the_agent,
    who_is_registered_already_stays_as_he_is,
    claims_and_completions_are_signs_of_work_in_the_same_transaction,
    a_lapsed_lease_is_no_sign_of_work,
    beats_and_work_at_once_lose_nothing,
    health_is_read_at_once_for_all,
    an_agent_in_two_processes_stops_with_the_last,
    who_was_killed_speaks_for_nobody_any_more,
];

async fn an_agent_in_two_processes_stops_with_the_last(team: Team) {
    team.agent("jochi", &[]).await;
    let (worker, sidecar) = (team.k.agents(), team.reopen(|config| config).await);
    worker.beat("jochi").await.unwrap();
    sidecar.agents().beat("jochi").await.unwrap();
    team.seconds(10);
    worker.say_goodbye(&["jochi"]).await.unwrap();
    assert_eq!(team.k.agents().get("jochi").await.unwrap().status, AgentStatus::Active);
    assert_eq!(health(&team, "jochi").await.state, Health::Idle);
    team.seconds(10);
    sidecar.agents().beat("jochi").await.unwrap();
    sidecar.agents().say_goodbye(&["jochi"]).await.unwrap();
    assert_eq!(team.k.agents().get("jochi").await.unwrap().status, AgentStatus::Offline);
    assert_eq!(health(&team, "jochi").await.state, Health::Unknown);
    worker.beat("jochi").await.unwrap();
    assert_eq!(team.k.agents().get("jochi").await.unwrap().status, AgentStatus::Active, "it came back");
}

async fn who_was_killed_speaks_for_nobody_any_more(team: Team) {
    team.agent("jochi", &[]).await;
    let killed = team.reopen(|config| config).await;
    killed.agents().beat("jochi").await.unwrap();
    team.seconds(121);
    team.k.agents().beat("jochi").await.unwrap();
    team.k.agents().say_goodbye(&["jochi"]).await.unwrap();
    assert_eq!(team.k.agents().get("jochi").await.unwrap().status, AgentStatus::Offline);
}

async fn a_beat_writes_the_timestamp(team: Team) {
    team.agent("temujin", &[]).await;
    team.seconds(30);
    team.k.agents().beat("temujin").await.unwrap();
    let got = team.k.agents().get("temujin").await.unwrap();
    assert_eq!(got.infra_heartbeat, Some(team.clock.now()), "in UTC, by the store's clock");
    assert_eq!(health(&team, "temujin").await.infra_age, Some(Duration::ZERO));
    team.seconds(7);
    assert_eq!(health(&team, "temujin").await.infra_age, Some(Duration::from_secs(7)));
}

async fn a_beat_is_a_sign_that_the_process_runs_and_no_sign_of_work(team: Team) {
    for id in ["temujin", "jochi", "mongke"] {
        team.agent(id, &[]).await;
    }
    let registered = team.clock.now();
    team.seconds(30);
    team.k.agents().beat("temujin").await.unwrap();
    let got = team.k.agents().get("temujin").await.unwrap();
    assert_eq!((got.infra_heartbeat, got.last_heartbeat), (Some(team.clock.now()), None));
    team.seconds(30);
    let statements = team.k.statements();
    let unknown = team.k.agents().beat_many(&["jochi", "nobody", "temujin", "jochi"], false).await.unwrap();
    assert_eq!((unknown, team.k.statements() - statements), (vec!["nobody".to_owned()], 1));
    let beats: Vec<_> =
        team.k.agents().list().await.unwrap().into_iter().map(|a| a.infra_heartbeat).collect();
    assert_eq!(beats, [Some(team.clock.now()), Some(registered), Some(team.clock.now())]);
    assert_eq!(events(&team, "agent.registered").await.len(), 3, "a beat is no event");
    assert_eq!(code(team.k.agents().beat("nobody").await), "agent.not_found");
    assert_eq!(code(team.k.agents().beat("No Body").await), "input.invalid");
}

const NAMES: [(&str, &str, &str); 6] = [
    ("chagatai", "Chagatai", "Chagatai"),
    ("jochi", "Jochi", "Jochi"),
    ("kublai", "Kublai", "Kublai"),
    ("mongke", "Möngke", "Mo\u{308}ngke"),
    ("ogedei", "Ögedei", "O\u{308}gedei"),
    ("temujin", "Temüjin", "Temu\u{308}jin"),
];

async fn a_beat_creates_the_agent(team: Team) {
    let agents = team.k.agents();
    let composed = NAMES.map(|(_, name, _)| name);
    let decomposed = NAMES.map(|(.., name)| name);
    assert_eq!(agents.beat_many(&composed, false).await.unwrap(), composed);
    assert!(agents.list().await.unwrap().is_empty());
    // Some in the one form, the others in the other, and one in both at once.
    let first: Vec<&str> = composed[..4].iter().chain(&decomposed[3..]).copied().collect();
    assert!(agents.beat_many(&first, true).await.unwrap().is_empty());
    let named = |all: Vec<kurultai_core::agents::AgentInfo>| -> Vec<(String, String)> {
        all.into_iter().map(|agent| (agent.id, agent.display_name)).collect()
    };
    let expected: Vec<(String, String)> = NAMES
        .iter()
        .enumerate()
        .map(|(i, (id, nfc, nfd))| ((*id).to_owned(), (if i < 4 { *nfc } else { *nfd }).to_owned()))
        .collect();
    let all = agents.list().await.unwrap();
    assert!(all.iter().all(|agent| agent.infra_heartbeat == Some(team.clock.now())));
    assert_eq!(named(all), expected);
    let registered = events(&team, "agent.registered").await;
    let mut sources: Vec<_> = registered.iter().filter_map(|event| event.source.as_deref()).collect();
    sources.sort_unstable();
    assert_eq!(sources, NAMES.map(|(id, ..)| id));
    team.seconds(30);
    for names in [composed, decomposed] {
        let before = team.k.statements();
        assert!(agents.beat_many(&names, true).await.unwrap().is_empty());
        assert_eq!(team.k.statements() - before, 1, "nobody is to be created");
    }
    let all = agents.list().await.unwrap();
    assert!(all.iter().all(|agent| agent.infra_heartbeat == Some(team.clock.now())));
    assert_eq!(named(all), expected, "they keep their names");
    assert_eq!(events(&team, "agent.registered").await.len(), 6);
    // They work like any other.
    team.add(task("one")).await;
    team.claim_one("temujin").await;
}

async fn who_is_registered_already_stays_as_he_is(team: Team) {
    let temujin =
        NewAgent::new("temujin").display_name("The smith").capabilities(["coding"]).max_concurrent(2);
    team.k.agents().register(temujin).await.unwrap();
    team.k.agents().drain("temujin").await.unwrap();
    let before = team.k.agents().get("temujin").await.unwrap();
    assert!(team.k.agents().beat_many(&["Temüjin", "Jochi"], true).await.unwrap().is_empty());
    assert_eq!(team.k.agents().get("temujin").await.unwrap(), before);
}

async fn claims_and_completions_are_signs_of_work_in_the_same_transaction(team: Team) {
    team.agent("temujin", &[]).await;
    team.add(task("one")).await;
    let worked = async || team.k.agents().get("temujin").await.unwrap().last_heartbeat;
    let seen = async |topic: &str| events(&team, topic).await.last().unwrap().created_at;
    assert_eq!(worked().await, None);
    let statements = team.k.statements();
    let claimed = team.claim_one("temujin").await;
    let sent = team.k.statements() - statements;
    assert_eq!((worked().await, seen("task.claimed").await), (Some(team.clock.now()), team.clock.now()));
    assert!(team.k.store_name() != "neo4j" || sent <= 2, "{sent}: the claim, after the routes were read");
    team.seconds(9);
    assert_eq!(health(&team, "temujin").await.functional_age, Some(Duration::from_secs(9)));
    let statements = team.k.statements();
    team.complete(&claimed).await;
    let sent = team.k.statements() - statements;
    assert_eq!((worked().await, seen("task.completed").await), (Some(team.clock.now()), team.clock.now()));
    assert!(team.k.store_name() != "neo4j" || sent == 1, "{sent}");
    // An empty claim is none: it says that the process runs, which is what the other tier is for.
    team.seconds(9);
    assert!(team.claim("temujin", 1).await.is_empty());
    assert!(worked().await < Some(team.clock.now()));
    team.add(task("two")).await;
    let claimed = team.claim_one("temujin").await;
    team.seconds(9);
    team.k.tasks().fail(&claimed.lease, Failure::new("no")).await.unwrap();
    assert_eq!(worked().await, Some(team.clock.now()));
}

/// Else a dead agent would live again by its own death.
async fn a_lapsed_lease_is_no_sign_of_work(team: Team) {
    team.agent("temujin", &[]).await;
    team.add(task("one")).await;
    team.claim_one("temujin").await;
    let claimed = team.clock.now();
    team.seconds(31);
    team.k.maintain().await.unwrap();
    assert_eq!(events(&team, "task.lapsed").await.len(), 1);
    assert_eq!(team.k.agents().get("temujin").await.unwrap().last_heartbeat, Some(claimed));
}

async fn beats_and_work_at_once_lose_nothing(team: Team) {
    const AGENTS: [&str; 6] = ["a", "b", "c", "d", "e", "f"];
    for agent in AGENTS {
        team.agent(agent, &[]).await;
    }
    for i in 0..240 {
        team.k.tasks().enqueue(task(&i.to_string())).await.unwrap();
    }
    let other = team.reopen(|config| config).await;
    let beat = |shift: usize| {
        let agents = [&team.k, &other][shift % 2].agents();
        async move {
            for turn in 0..10 {
                let mut names = AGENTS;
                names.rotate_left((shift + turn) % AGENTS.len());
                agents.beat_many(&names, false).await.unwrap();
            }
        }
    };
    let work = |place: usize| {
        let tasks = [&team.k, &other][place % 2].tasks();
        let agent = AGENTS[place % AGENTS.len()];
        async move {
            for _ in 0..10 {
                let claimed = tasks.claim(Claim::new(agent).max(2)).await.unwrap();
                for claimed in claimed {
                    let outcome = Outcome::Complete { results: json!(1).into(), usage: None };
                    tasks.finish(&claimed.lease, outcome).await.unwrap();
                }
            }
        }
    };
    tokio::join!(join_all((0..8).map(beat)), join_all((0..12).map(work)));
    let done = team.k.tasks().stats().await.unwrap().by_status;
    assert_eq!(done.get(&kurultai_core::tasks::Status::Completed), Some(&240));
    if team.k.store_name() == "neo4j" {
        let counts = "MATCH (a:Agent) WHERE a.namespace = $ns RETURN sum(a.infra_seq) AS row";
        let mut rows = graph().execute(query(counts).param("ns", team.namespace.as_str())).await.unwrap();
        let sum: i64 = rows.next().await.unwrap().unwrap().get("row").unwrap();
        assert_eq!(sum, 8 * 10 * 6, "each beat counts once");
    }
}

async fn health_is_read_at_once_for_all(team: Team) {
    for agent in ["jochi", "kublai", "temujin"] {
        team.agent(agent, &[]).await;
    }
    for i in 0..3 {
        team.add(task(&i.to_string())).await;
    }
    let claim = |agent: &str, max| Claim::new(agent).max(max).lease(Duration::from_secs(600));
    team.k.tasks().claim(claim("temujin", 1)).await.unwrap();
    team.seconds(50);
    team.k.tasks().claim(claim("temujin", 1)).await.unwrap();
    // A lease that is over counts for nothing.
    team.k.tasks().claim(Claim::new("jochi")).await.unwrap();
    team.seconds(31);
    team.k.agents().beat_many(&["jochi", "temujin"], false).await.unwrap();
    let before = team.k.statements();
    let all = team.k.agents().health(None, Thresholds::default()).await.unwrap();
    assert!(team.k.statements() - before <= 3);
    let of: Vec<_> = all.iter().map(|h| (h.agent.as_str(), h.state, h.holds, h.oldest_claim_age)).collect();
    let old = Some(Duration::from_secs(81));
    let expected = [
        ("jochi", Health::Idle, 0, None),
        ("kublai", Health::Idle, 0, None),
        ("temujin", Health::Alive, 2, old),
    ];
    assert_eq!(of, expected);
}

/// What sidecars that are there already write into the same properties.
mod neo4j_alone {
    use super::*;

    #[tokio::test]
    async fn the_times_of_old_sidecars_give_right_ages() {
        let team = Team::neo4j().await;
        team.agent("temujin", &[]).await;
        // The team's clock stands at 09:07:05.123456 UTC.
        let written = [
            ("'2026-03-01T09:06:05.123456+00:00'", Some(60_000)),
            ("'2026-03-01T09:06:05.123456'", Some(60_000)),
            ("'2026-03-01T09:06:05'", Some(60_123)),
            ("'2026-03-01T09:06:05Z'", Some(60_123)),
            ("'2026-03-01 09:06:05+00:00'", Some(60_123)),
            ("'2026-03-01T17:06:05.123+08:00'", Some(60_000)),
            ("datetime('2026-03-01T09:06:05.123456Z')", Some(60_000)),
            ("datetime('2026-03-01T17:06:05.123456[Asia/Ulaanbaatar]')", Some(60_000)),
            ("localdatetime('2026-03-01T09:06:05.123456')", Some(60_000)),
            ("'a moment ago'", None),
            ("null", None),
        ];
        for (value, milliseconds) in written {
            for property in ["infra_heartbeat", "last_heartbeat"] {
                let set = "MATCH (a:Agent) WHERE a.namespace = $ns SET a.infra_heartbeat = null, a.last_heartbeat = null";
                write(&team, &format!("{set}, a.{property} = {value}")).await;
                let got = health(&team, "temujin").await;
                let age = if property == "infra_heartbeat" { got.infra_age } else { got.functional_age };
                assert_eq!(age.map(|age| age.as_millis()), milliseconds, "{property} = {value}");
                team.k.agents().get("temujin").await.unwrap();
            }
        }
        team.k.agents().beat("temujin").await.unwrap();
        assert_eq!(health(&team, "temujin").await.infra_age, Some(Duration::ZERO));
    }

    /// It waits for nobody who works.
    #[tokio::test]
    async fn a_beat_takes_no_lock_of_the_namespace() {
        let team = Team::neo4j().await;
        team.agent("temujin", &[]).await;
        let mut txn = graph().start_txn().await.unwrap();
        let lock = query("MATCH (ns:Namespace {namespace: $ns}) SET ns._lock = 1");
        txn.run(lock.param("ns", team.namespace.as_str())).await.unwrap();
        let agents = team.k.agents();
        let moment = Duration::from_secs(3);
        tokio::time::timeout(moment, agents.beat("temujin")).await.expect("no lock").unwrap();
        tokio::time::timeout(moment, agents.health(None, Thresholds::default()))
            .await
            .expect("no lock")
            .unwrap();
        let short = Duration::from_millis(300);
        assert!(tokio::time::timeout(short, agents.drain("temujin")).await.is_err(), "the lock is there");
        txn.rollback().await.unwrap();
    }
}

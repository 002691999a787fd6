//! Who leads when the one who led is gone.

use super::{events, told};
use crate::{
    cases,
    fixture::{Team, code, task},
};
use kurultai_core::{
    Kurultai,
    agents::{FailoverEvent, FailoverStatus, HandBack, Lead, Trigger, Watch, Watched, Watcher},
};
use serde_json::json;
use std::{sync::Arc, time::Duration};
use tokio::{
    runtime::{Builder, Runtime},
    sync::Mutex,
};

cases![
    the_next_takes_over_and_the_first_gets_it_back,
    a_role_of_a_dead_watch_is_taken_though_its_agent_lives,
    one_of_two_watchers_declares,
    a_watcher_that_has_lost_its_office_declares_nobody,
    what_was_assigned_to_the_dead_is_anybodys,
    what_was_assigned_to_one_that_drains_is_anybodys_once,
    who_drains_leads_no_longer,
    a_watch_that_is_alone_says_so,
    a_watch_that_makes_no_sense_is_refused,
];

const TEAM: [&str; 4] = ["jochi", "kublai", "mongke", "ogedei"];

fn router(agent: &str) -> Watch {
    Watch::default().agent(agent).role("router", ["kublai", "ogedei"])
}

/// A watch in a runtime of its own, so that it can end as a killed process does.
struct Process {
    runtime: Option<Runtime>,
    watcher: Arc<Mutex<Watcher>>,
}

impl Process {
    async fn start(team: &Team, agent: &'static str) -> Process {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let config = Team::config(&team.url, &team.namespace, &team.clock);
        let started = runtime.spawn(async move {
            let k = Kurultai::open_with(config).await.unwrap();
            Arc::new(Mutex::new(k.agents().watcher(router(agent)).unwrap()))
        });
        Process { watcher: started.await.unwrap(), runtime: Some(runtime) }
    }

    async fn check(&self) -> Watched {
        let watcher = self.watcher.clone();
        let checked = self.runtime.as_ref().unwrap().spawn(async move { watcher.lock().await.check().await });
        checked.await.unwrap().unwrap()
    }

    /// Nothing is handed back, and nothing renewed any more.
    fn kill(mut self) {
        self.runtime.take().unwrap().shutdown_background();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn beat(team: &Team, alive: &[&str]) {
    assert!(team.k.agents().beat_many(alive, false).await.unwrap().is_empty());
}

/// Ten seconds pass, everybody beats who lives, and these look, one after the other.
async fn step(team: &Team, alive: &[&str], watchers: &[&Process]) -> Vec<Watched> {
    team.seconds(10);
    beat(team, alive).await;
    let mut all = vec![];
    for watcher in watchers {
        all.push(watcher.check().await);
    }
    all
}

async fn leader(team: &Team) -> Option<String> {
    team.k.agents().leader("router").await.unwrap().map(|lease| lease.holder)
}

async fn failovers(team: &Team) -> Vec<FailoverEvent> {
    team.k.agents().failovers(None, None).await.unwrap()
}

async fn burning(team: &Team) -> Vec<String> {
    let alerts = team.k.events().alerts().await.unwrap();
    let mut keys: Vec<_> = alerts.into_iter().map(|alert| alert.key).collect();
    keys.sort();
    keys
}

async fn four(team: &Team) {
    for agent in TEAM {
        team.agent(agent, &[]).await;
    }
    beat(team, &TEAM).await;
}

async fn the_next_takes_over_and_the_first_gets_it_back(team: Team) {
    four(&team).await;
    let kublai = Process::start(&team, "kublai").await;
    let ogedei = Process::start(&team, "ogedei").await;
    for _ in 0..15 {
        let seen = step(&team, &TEAM, &[&kublai, &ogedei]).await;
        assert_eq!((&seen[0].leads, seen[1].leads.len()), (&vec!["router".to_owned()], 0));
        assert_eq!(leader(&team).await.as_deref(), Some("kublai"));
    }
    let first = team.k.agents().leader("router").await.unwrap().unwrap();
    kublai.kill();
    let alive = ["jochi", "mongke", "ogedei"];
    let mut took = vec![];
    let mut dead = vec![];
    for look in 1..=14 {
        let [seen] = &step(&team, &alive, &[&ogedei]).await[..] else { panic!() };
        took.extend(seen.took.iter().map(|role| (role.clone(), look * 10)));
        dead.extend(seen.dead.iter().map(|agent| (agent.clone(), look * 10)));
    }
    assert_eq!(took, [("router".to_owned(), 30)], "at the check at which its lease is over");
    assert_eq!(dead, [("kublai".to_owned(), 130)], "under ogedei's term as watcher");
    let second = team.k.agents().leader("router").await.unwrap().unwrap();
    assert!(second.holder == "ogedei" && second.term > first.term);
    let [away] = &failovers(&team).await[..] else { panic!() };
    assert_eq!(
        (away.from_agent.as_str(), away.to_agent.as_str(), away.term),
        ("kublai", "ogedei", second.term)
    );
    assert_eq!((away.triggered_by, away.status), (Trigger::Auto, FailoverStatus::Active));
    assert_eq!((away.reason.as_str(), away.deactivated_at), ("the lease of kublai is over", None));
    assert_eq!(burning(&team).await, ["agent.dead:kublai", "failover:router", "watcher.alone:router"]);

    let kublai = Process::start(&team, "kublai").await;
    let (mut back, mut home) = (None, None);
    for look in 1..=8 {
        let seen = step(&team, &TEAM, &[&ogedei, &kublai]).await;
        if seen[0].handed_back == ["router"] {
            back.get_or_insert(look);
        }
        if seen[1].took == ["router"] {
            home.get_or_insert(look);
        }
    }
    assert_eq!((back, home), (Some(4), Some(4)), "three signs after the first one that was seen");
    let third = team.k.agents().leader("router").await.unwrap().unwrap();
    assert!(third.holder == "kublai" && third.term > second.term);
    let [away] = &failovers(&team).await[..] else { panic!() };
    assert!(away.status == FailoverStatus::Resolved && away.deactivated_at > Some(away.activated_at));
    assert_eq!(burning(&team).await, [""; 0]);
    let changed = events(&team, "role.changed").await;
    let told: Vec<_> = told(&changed).into_iter().map(|(_, told)| told).collect();
    let router: Vec<_> = told.iter().filter(|told| told["role"] == "router").collect();
    let moves: Vec<_> = router.iter().map(|told| json!([told["from"], told["to"], told["reason"]])).collect();
    assert_eq!(
        moves,
        [
            json!([null, "kublai", "kublai comes first"]),
            json!(["kublai", "ogedei", "the lease of kublai is over"]),
            json!(["ogedei", null, "kublai is back"]),
            json!(["ogedei", "kublai", "kublai comes first"]),
        ]
    );
}

async fn a_role_of_a_dead_watch_is_taken_though_its_agent_lives(team: Team) {
    four(&team).await;
    let kublai = Process::start(&team, "kublai").await;
    let ogedei = Process::start(&team, "ogedei").await;
    step(&team, &TEAM, &[&kublai, &ogedei]).await;
    kublai.kill();
    let mut held = vec![];
    for _ in 0..24 {
        step(&team, &TEAM, &[&ogedei]).await;
        held.push(leader(&team).await.is_some());
    }
    // Kublai beats, and so is offered the role once; nobody takes it there.
    let gaps = held.windows(2).filter(|pair| pair[0] && !pair[1]).count();
    assert_eq!((held.last(), gaps), (Some(&true), 1), "{held:?}");
    assert_eq!(leader(&team).await.as_deref(), Some("ogedei"));
}

async fn one_of_two_watchers_declares(team: Team) {
    four(&team).await;
    let kublai = Process::start(&team, "kublai").await;
    let ogedei = Process::start(&team, "ogedei").await;
    step(&team, &TEAM, &[&kublai, &ogedei]).await;
    let alive = ["jochi", "kublai", "ogedei"];
    let mut found = vec![];
    for _ in 0..14 {
        // Ogedei looks first, and does not declare.
        let seen = step(&team, &alive, &[&ogedei, &kublai]).await;
        assert_eq!(seen[0].dead, [""; 0]);
        found.extend(seen[1].dead.clone());
    }
    assert_eq!(found, ["mongke"]);
    let office = team.k.agents().leader("watcher").await.unwrap().unwrap();
    let died = events(&team, "agent.dead").await;
    assert_eq!((died.len(), office.holder.as_str()), (1, "kublai"));
    assert_eq!(told(&died)[0].1["term"], office.term, "under its term");
}

async fn a_watcher_that_has_lost_its_office_declares_nobody(team: Team) {
    four(&team).await;
    let kublai = Process::start(&team, "kublai").await;
    let alive = ["jochi", "kublai", "ogedei"];
    for _ in 0..12 {
        step(&team, &alive, &[&kublai]).await;
    }
    let to = HandBack::default().to("ogedei");
    team.k.agents().hand_back("watcher", "kublai", to).await.unwrap();
    team.seconds(10);
    beat(&team, &alive).await;
    assert_eq!(kublai.check().await.dead, [""; 0]);
    assert!(events(&team, "agent.dead").await.is_empty());
    let ogedei = Process::start(&team, "ogedei").await;
    for _ in 0..14 {
        step(&team, &alive, &[&kublai, &ogedei]).await;
    }
    assert_eq!(events(&team, "agent.dead").await.len(), 1);
    assert_eq!(team.k.agents().leader("watcher").await.unwrap().unwrap().holder, "ogedei");
}

async fn what_was_assigned_to_the_dead_is_anybodys(team: Team) {
    four(&team).await;
    let waits = team.add(task("waits").assigned_to("mongke")).await;
    let first = team.add(task("first")).await;
    let blocked = team.add(task("blocked").assigned_to("mongke").depends_on([&first])).await;
    let other = team.add(task("other").assigned_to("jochi")).await;
    let kublai = Process::start(&team, "kublai").await;
    step(&team, &TEAM, &[&kublai]).await;
    let mut released = 0;
    for _ in 0..14 {
        released += step(&team, &["jochi", "kublai", "ogedei"], &[&kublai]).await[0].released;
    }
    assert_eq!(released, 2);
    assert_eq!((team.get(&waits).await.assigned_to, team.get(&blocked).await.assigned_to), (None, None));
    assert_eq!(team.get(&other).await.assigned_to.as_deref(), Some("jochi"));
    assert_eq!(team.topics(&waits).await.last().unwrap(), "task.assigned");
    assert_eq!(team.claim_ids("ogedei", 5).await, [waits, first]);
}

async fn what_was_assigned_to_one_that_drains_is_anybodys_once(team: Team) {
    four(&team).await;
    let waits = team.add(task("waits").assigned_to("mongke")).await;
    team.k.agents().drain("mongke").await.unwrap();
    let mut watcher = team.k.agents().watcher(Watch::default()).unwrap();
    assert_eq!(watcher.check().await.unwrap().released, 1);
    let again = team.k.tasks().assign(&waits, Some("mongke"), Some("kublai")).await.unwrap();
    assert_eq!(watcher.check().await.unwrap().released, 0, "somebody wants it so");
    assert_eq!(team.get(&again.id).await.assigned_to.as_deref(), Some("mongke"));
}

async fn who_drains_leads_no_longer(team: Team) {
    four(&team).await;
    let kublai = Process::start(&team, "kublai").await;
    let ogedei = Process::start(&team, "ogedei").await;
    step(&team, &TEAM, &[&kublai, &ogedei]).await;
    team.k.agents().drain("kublai").await.unwrap();
    assert_eq!(kublai.check().await.leads, [""; 0]);
    let wait = Lead::default().wait(Duration::from_secs(30));
    // It is handed back in the background.
    drop(
        team.k
            .agents()
            .lead("router", "jochi", wait)
            .await
            .unwrap()
            .hand_back(HandBack::default())
            .await
            .unwrap(),
    );
    step(&team, &TEAM, &[&kublai, &ogedei]).await;
    assert_eq!(leader(&team).await.as_deref(), Some("ogedei"));
}

async fn a_watch_that_is_alone_says_so(team: Team) {
    team.agent("kublai", &[]).await;
    let kublai = Process::start(&team, "kublai").await;
    let seen = kublai.check().await;
    assert_eq!((&seen.alone[..], &seen.took[..]), (&["router".to_owned()][..], &["router".to_owned()][..]));
    team.agent("ogedei", &[]).await;
    team.k.agents().beat("ogedei").await.unwrap();
    assert_eq!(kublai.check().await.alone, [""; 0]);
}

async fn a_watch_that_makes_no_sense_is_refused(team: Team) {
    let watches = [
        Watch::default().role("router", ["kublai"]),
        router("jochi"),
        Watch::default().agent("kublai").role("router", ["kublai", "kublai"]),
        Watch::default().agent("kublai").role("router", [""; 0]),
        Watch::default().agent("kublai").role("watcher", ["kublai"]),
        Watch::default().agent("No Such Id"),
    ];
    for watch in watches {
        assert_eq!(code(team.k.agents().watcher(watch.clone())), "input.invalid", "{watch:?}");
    }
    team.agent("kublai", &[]).await;
    let mut unknown = team.k.agents().watcher(router("ogedei")).unwrap();
    assert_eq!(code(unknown.check().await), "agent.not_found");
}

//! Who leads.

use super::{events, health, told, write};
use crate::{
    cases,
    fixture::{Team, code},
};
use kurultai_core::{
    Kurultai,
    agents::{HandBack, Lead, Leadership, RoleLease, Watch},
};
use serde_json::{Value, json};
use std::time::Duration;

cases![
    a_role_has_one_holder,
    the_same_agent_elsewhere_is_another_holder,
    a_term_only_grows,
    whoever_lost_a_role_hands_nothing_back,
    a_role_is_promised_to_who_is_there_by_who_held_it,
    a_role_that_is_dropped_is_free,
    a_close_hands_back,
    who_waits_gets_it_when_it_is_free,
    what_the_dead_led_is_free,
    a_role_is_renewed,
    a_holder_that_cannot_renew_stops_before_its_lease_ends,
    who_leads_is_in_use,
    a_deleted_team_begins_above_its_terms,
];

async fn lead(k: &Kurultai, agent: &str) -> Leadership {
    k.agents().lead("router", agent, Lead::default()).await.unwrap()
}

async fn leader(team: &Team) -> Option<RoleLease> {
    team.k.agents().leader("router").await.unwrap()
}

async fn two(team: &Team) {
    for agent in ["kublai", "ogedei"] {
        team.agent(agent, &[]).await;
    }
}

async fn changes(team: &Team) -> Vec<(Value, Value)> {
    let all = events(team, "role.changed").await;
    told(&all).into_iter().map(|(_, told)| (told["from"].clone(), told["to"].clone())).collect()
}

async fn a_role_has_one_holder(team: Team) {
    two(&team).await;
    let held = lead(&team.k, "kublai").await;
    assert!(held.is_valid());
    let got = leader(&team).await.unwrap();
    assert_eq!((&got, got.holder.as_str()), (&held.lease(), "kublai"));
    let refused = team.k.agents().lead("router", "ogedei", Lead::default()).await.unwrap_err();
    assert_eq!(refused.code(), "role.held");
    let until = got.expires_at.format("%Y-%m-%dT%H:%M:%S").to_string();
    assert!(refused.message().contains("kublai") && refused.message().contains(&until), "{refused}");
    assert_eq!(health(&team, "kublai").await.leads, ["router"]);
    let ended = held.hand_back(HandBack::default().reason("enough")).await.unwrap();
    assert_eq!((ended.term, held.is_valid()), (got.term, false));
    assert_eq!(leader(&team).await, None);
    assert_eq!(held.hand_back(HandBack::default()).await.unwrap().term, got.term, "again");
    lead(&team.k, "ogedei").await;
    assert_eq!(
        changes(&team).await[..3],
        [(Value::Null, json!("kublai")), (json!("kublai"), Value::Null), (json!("kublai"), json!("ogedei")),]
    );
}

async fn the_same_agent_elsewhere_is_another_holder(team: Team) {
    two(&team).await;
    let other = team.reopen(|config| config).await;
    let held = lead(&team.k, "kublai").await;
    let same = lead(&team.k, "kublai").await;
    assert_eq!(same.term(), held.term(), "this process has it already");
    assert_eq!(code(other.agents().lead("router", "kublai", Lead::default()).await), "role.held");
}

async fn a_term_only_grows(team: Team) {
    two(&team).await;
    let mut last = 0;
    for round in 0..6 {
        let agent = ["kublai", "ogedei"][round % 2];
        let held = lead(&team.k, agent).await;
        assert!(held.lease().term > last);
        last = held.lease().term;
        match round {
            0 | 1 => drop(held.hand_back(HandBack::default()).await.unwrap()),
            2 => team.k.agents().deregister(agent, true).await.unwrap(),
            _ => team.seconds(31),
        }
        if round == 2 {
            team.agent(agent, &[]).await;
        }
        std::mem::forget(held);
    }
}

async fn whoever_lost_a_role_hands_nothing_back(team: Team) {
    two(&team).await;
    let other = team.reopen(|config| config).await;
    let late = lead(&other, "kublai").await;
    team.seconds(31);
    let held = lead(&team.k, "ogedei").await;
    assert!(!late.is_valid(), "by its own stopwatch");
    assert_eq!(code(late.hand_back(HandBack::default()).await), "role.stale_term");
    assert_eq!(code(team.k.agents().hand_back("router", "kublai", HandBack::default()).await), "role.held");
    assert_eq!(leader(&team).await, Some(held.lease()));
}

async fn a_role_is_promised_to_who_is_there_by_who_held_it(team: Team) {
    two(&team).await;
    team.agent("jochi", &[]).await;
    let agents = team.k.agents();
    let held = lead(&team.k, "kublai").await;
    let typo = || HandBack::default().to("ogedeii");
    let error = agents.hand_back("router", "kublai", typo()).await.unwrap_err();
    assert_eq!((error.code(), error.message().contains("ogedei")), ("agent.not_found", true), "{error}");
    assert_eq!(code(held.hand_back(typo()).await), "agent.not_found");
    assert!(held.is_valid() && leader(&team).await.is_some(), "it is held on");
    held.hand_back(HandBack::default()).await.unwrap();
    assert_eq!(code(agents.hand_back("router", "nobody", HandBack::default()).await), "agent.not_found");
    assert_eq!(code(agents.hand_back("router", "jochi", HandBack::default()).await), "role.not_found");
    assert_eq!(
        agents.hand_back("router", "kublai", HandBack::default()).await.unwrap().holder,
        "kublai",
        "again"
    );
}

async fn a_role_that_is_dropped_is_free(team: Team) {
    two(&team).await;
    drop(lead(&team.k, "kublai").await);
    let lead = Lead::default().wait(Duration::from_secs(30));
    let held = team.k.agents().lead("router", "ogedei", lead).await.unwrap();
    assert_eq!(held.lease().holder, "ogedei");
}

async fn a_close_hands_back(team: Team) {
    two(&team).await;
    let other = team.reopen(|config| config).await;
    let held = lead(&other, "kublai").await;
    other.close().await;
    assert_eq!(leader(&team).await, None);
    held.lost().await;
    assert_eq!(changes(&team).await[1], (json!("kublai"), Value::Null));
}

async fn who_waits_gets_it_when_it_is_free(team: Team) {
    two(&team).await;
    let held = lead(&team.k, "kublai").await;
    let agents = team.k.agents();
    let wait = Lead::default().wait(Duration::from_secs(30));
    let waiting = tokio::spawn(async move { agents.lead("router", "ogedei", wait).await.unwrap().lease() });
    let to = HandBack::default().to("ogedei");
    team.k.agents().hand_back("router", "kublai", to).await.unwrap();
    assert_eq!(waiting.await.unwrap().holder, "ogedei");
    drop(held);
}

async fn what_the_dead_led_is_free(team: Team) {
    two(&team).await;
    team.k.agents().beat("kublai").await.unwrap();
    let ttl = Lead::default().ttl(Duration::from_secs(86_400));
    std::mem::forget(team.k.agents().lead("router", "kublai", ttl).await.unwrap());
    let mut watcher = team.k.agents().watcher(Watch::default()).unwrap();
    for _ in 0..14 {
        team.k.agents().beat("ogedei").await.unwrap();
        assert!(leader(&team).await.is_some());
        watcher.check().await.unwrap();
        team.seconds(10);
    }
    assert_eq!(leader(&team).await, None, "kublai was declared dead");
    assert_eq!(lead(&team.k, "ogedei").await.lease().holder, "ogedei");
    assert_eq!(told(&events(&team, "agent.dead").await)[0].0, Some("kublai"));
}

/// By the machine's clock, as the renewals are.
async fn a_role_is_renewed(team: Team) {
    two(&team).await;
    let ttl = Lead::default().ttl(Duration::from_millis(300));
    let held = team.k.agents().lead("router", "kublai", ttl).await.unwrap();
    let mut now = held.lease().expires_at;
    for _ in 0..3 {
        team.clock.advance(Duration::from_millis(50));
        while held.lease().expires_at == now {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        now = held.lease().expires_at;
        assert!(held.is_valid());
        assert_eq!(leader(&team).await, Some(held.lease()));
    }
    assert_eq!(changes(&team).await.len(), 1, "a renewal is no event");
}

/// Whose renewals do not come in time does not trust its lease to the end.
async fn a_holder_that_cannot_renew_stops_before_its_lease_ends(team: Team) {
    two(&team).await;
    let held = lead(&team.k, "kublai").await;
    team.seconds(27);
    assert!(held.is_valid());
    team.seconds(1);
    assert!(!held.is_valid(), "two seconds before its end");
    assert!(held.lease().expires_at > team.clock.now(), "by the store's clock it is still held");
}

async fn who_leads_is_in_use(team: Team) {
    two(&team).await;
    let _held = lead(&team.k, "kublai").await;
    let refused = team.k.agents().deregister("kublai", false).await.unwrap_err();
    assert_eq!(refused.code(), "agent.in_use");
    assert!(refused.message().contains("role \"router\""), "{refused}");
    team.k.agents().deregister("kublai", true).await.unwrap();
    assert_eq!(leader(&team).await, None);
    assert_eq!(told(&events(&team, "role.changed").await)[1].1["reason"], "its agent was removed");
}

async fn a_deleted_team_begins_above_its_terms(team: Team) {
    let name = format!("{}-b", team.namespace);
    let terms = async |k: Kurultai| {
        k.agents().register(kurultai_core::agents::NewAgent::new("kublai")).await.unwrap();
        let term = lead(&k, "kublai").await.lease().term;
        k.close().await;
        term
    };
    let open = || async { team.reopen(|config| config.namespace(&name).unwrap()).await };
    let first = terms(open().await).await;
    assert!(team.k.delete_namespace(&name).await.unwrap());
    team.seconds(1);
    assert!(terms(open().await).await > first);
    assert!(team.k.delete_namespace(&name).await.unwrap());
}

/// Another program may have left a role without what we write.
#[tokio::test]
async fn a_role_of_another_program_can_be_taken() {
    let team = Team::neo4j().await;
    team.agent("kublai", &[]).await;
    write(&team, "CREATE (:RoleLease {namespace: $ns, role: 'router', holder: 'kublai', term: 7})").await;
    assert_eq!(leader(&team).await, None);
    assert!(lead(&team.k, "kublai").await.lease().term > 7);
}

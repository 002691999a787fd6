//! One agent, whatever it is called.

use super::{Case, found};
use crate::fixture::task;
use kurultai_core::{agents::NewAgent, tasks::FindingKind};

const TEAM: &str = "
    CREATE (:Agent {agent_id: 'analyst', name: 'Jochi', capabilities: ['audit']})
    CREATE (:Task {id: 'by-key', type: 'code', status: 'ready', assigned_to: 'analyst'})
    CREATE (:Task {id: 'by-name', type: 'code', status: 'ready', assigned_to: 'JOCHI'})
    CREATE (:Task {id: 'held', type: 'code', status: 'in_progress', claimed_by: 'Analyst'})
    CREATE (:Task {id: 'from', type: 'code', status: 'ready', delegated_by: 'analyst'})";

async fn assignments_reach_jochi(case: &Case) {
    let team = &case.team;
    let all = team.k.agents().list().await.unwrap();
    assert_eq!(all.iter().map(|agent| agent.id.as_str()).collect::<Vec<_>>(), ["jochi"], "one agent");
    for name in ["analyst", "Analyst", "Jochi"] {
        assert_eq!(team.k.agents().get(name).await.unwrap().id, "jochi", "{name}");
    }
    assert_eq!(team.get("held").await.claimed_by.as_deref(), Some("jochi"));
    assert_eq!(team.get("from").await.delegated_by.as_deref(), Some("jochi"));
    let mut claimed = team.claim_ids("jochi", 9).await;
    claimed.sort();
    assert_eq!(claimed, ["by-key", "by-name", "from"]);
}

#[tokio::test]
async fn the_old_key_becomes_an_alias() {
    let case = Case::new().await;
    case.write(TEAM).await;
    assert_eq!(case.adopt().await.agents, 1);
    assert_eq!(case.team.k.agents().get("jochi").await.unwrap().aliases, ["analyst"]);
    assignments_reach_jochi(&case).await;
}

#[tokio::test]
async fn an_agent_that_is_registered_learns_its_old_key() {
    let case = Case::new().await;
    let jochi = NewAgent::new("jochi").display_name("Jochi").aliases(["j"]);
    case.team.k.agents().register(jochi).await.unwrap();
    case.write(TEAM).await;
    let adoption = case.adopt().await;
    assert_eq!(adoption.agents, 0);
    let what = "an agent that is registered already; the node stays, its names become aliases";
    assert_eq!(found(&adoption, FindingKind::LeftOut, what), ["analyst (jochi)"]);
    assert_eq!(case.team.k.agents().get("jochi").await.unwrap().aliases, ["j", "analyst"]);
    assignments_reach_jochi(&case).await;
    let before = case.picture().await;
    case.adopt().await;
    assert_eq!(case.picture().await, before, "it knows the names already");
}

#[tokio::test]
async fn twins_stay_apart_and_doubles_become_one() {
    let case = Case::new().await;
    case.write(
        "CREATE (:Agent {agent_id: 'w1', name: 'Worker'}) CREATE (:Agent {agent_id: 'w2', name: 'Worker'})
        CREATE (:Agent {id: 'ops', name: 'Ögedei'}) CREATE (:Agent {name: 'Ops'}) CREATE (:Agent {mood: 'blank'})
        CREATE (:Task {id: 'one', type: 'code', status: 'ready', assigned_to: 'w2'})",
    )
    .await;
    let adoption = case.adopt().await;
    assert_eq!(adoption.agents, 3);
    let all = case.team.k.agents().list().await.unwrap();
    assert_eq!(all.iter().map(|agent| agent.id.as_str()).collect::<Vec<_>>(), ["ops", "w1", "w2"]);
    assert_eq!(found(&adoption, FindingKind::LeftOut, "an agent without id and name").len(), 1);
    assert!(case.team.claim("w1", 9).await.is_empty());
    assert_eq!(case.team.claim_ids("w2", 9).await, ["one"]);
}

/// What another program writes is not ours to restrict, before it is taken over and after.
#[tokio::test]
async fn nothing_is_imposed_on_what_is_not_ours() {
    let case = Case::new().await;
    let twice = "
        CREATE (:Agent {id: 'same', agent_id: 'same'}) CREATE (:Agent {id: 'same', agent_id: 'same'})
        CREATE (:Task {id: 'same', unique_key: 'k', status: 'ready'})
        CREATE (:Task {id: 'same', unique_key: 'k', status: 'done'})
        CREATE (:Namespace {id: 'their own'}) CREATE (:Namespace {id: 'their own'}) CREATE (:Namespace {id: $ns})
        CREATE (:Event {seq: 1}) CREATE (:Event {seq: 1}) CREATE (:TaskRoute {key: 'a'}) CREATE (:TaskRoute {key: 'a'})";
    case.write(twice).await;
    case.team.reopen(|config| config).await;
    let adoption = case.adopt().await;
    assert_eq!((adoption.tasks, adoption.agents), (1, 1));
    assert_eq!(case.statuses(&["same"]).await, [kurultai_core::tasks::Status::Completed], "the finished one");
    assert_eq!(found(&adoption, FindingKind::LeftOut, "a task whose id another one has"), ["same"]);
    case.write(twice).await;
    case.team.add(task("ours")).await;
    case.team.agent("temujin", &[]).await;
    assert_eq!(case.team.claim("temujin", 9).await.len(), 1, "their namespace nodes are none of ours");
    case.write(
        "MATCH (n:Namespace|Event|TaskRoute) WHERE n.namespace IS NULL AND n.event_seq IS NULL DETACH DELETE n",
    )
    .await;
}

//! Looking first, taking part of it, repeating it, and the way back.

use super::{Case, found};
use crate::fixture::code;
use kurultai_core::{
    events::EventFilter,
    tasks::{AdoptOptions, FindingKind, Status},
};
use neo4rs::{BoltType, query};
use serde_json::Value;

const FEW: &str = "
    CREATE (:Task {id: 'a', type: 'code', status: 'ready', target_agent: 'Jochi', created_at: '2026-01-05T10:00:00'})
    CREATE (:Task:Research {id: 'b', type: 'research', status: 'Archived', result: 'ok', blocked_by: ['a', 'b']})
    CREATE (:Task:Research {task_id: 'c', type: 'code', status: 'escalated', score: 0.5})
    CREATE (:Agent {agent_id: 'analyst', name: 'Jochi'})";

fn words(words: &[&str]) -> Option<Vec<String>> {
    Some(words.iter().map(|word| (*word).to_owned()).collect())
}

#[tokio::test]
async fn a_dry_run_tells_the_same_and_changes_nothing() {
    let case = Case::new().await;
    case.write(FEW).await;
    let before = case.picture().await;
    let plan = case.adopt_with(AdoptOptions { dry_run: true, ..AdoptOptions::default() }).await;
    assert!(plan.dry_run);
    assert_eq!(case.picture().await, before);
    let adoption = case.adopt().await;
    assert_eq!((plan.tasks, plan.agents), (3, 1));
    assert_eq!((adoption.tasks, adoption.agents), (3, 1));
    assert_eq!((plan.by_status, plan.findings), (adoption.by_status, adoption.findings));
    assert_ne!(case.picture().await, before);
}

#[tokio::test]
async fn filters_take_a_part() {
    let case = Case::new().await;
    case.write(FEW).await;
    let counts = async |options: AdoptOptions| {
        let plan = case.adopt_with(AdoptOptions { dry_run: true, ..options }).await;
        (plan.tasks, plan.agents)
    };
    let all = AdoptOptions::default;
    assert_eq!(counts(AdoptOptions { labels: words(&["Agent"]), ..all() }).await, (0, 1));
    assert_eq!(counts(AdoptOptions { labels: words(&["Task"]), ..all() }).await, (3, 0));
    assert_eq!(counts(AdoptOptions { labels: words(&["Research"]), ..all() }).await, (2, 0));
    assert_eq!(counts(AdoptOptions { types: words(&["code"]), ..all() }).await, (2, 0));
    assert_eq!(counts(AdoptOptions { statuses: words(&["archived", "READY"]), ..all() }).await, (2, 0));
    assert_eq!(counts(AdoptOptions { ids: words(&["c", "analyst"]), ..all() }).await, (1, 1));
    let none = AdoptOptions { ids: words(&["c"]), types: words(&["research"]), ..all() };
    assert_eq!(counts(none).await, (0, 0));
    let odd = AdoptOptions { labels: words(&["x'}) DETACH DELETE n //", "`"]), ..all() };
    assert_eq!(counts(odd).await, (0, 0));
    for types in [words(&[""]), words(&[])] {
        let refused = case.team.k.adopt(AdoptOptions { types, ..all() }).await;
        assert_eq!(code(refused), "input.invalid");
    }

    let adoption = case.adopt_with(AdoptOptions { types: words(&["code"]), ..all() }).await;
    assert_eq!(found(&adoption, FindingKind::LeftOut, "tasks that the filters leave out"), ["b"]);
    assert_eq!(found(&adoption, FindingKind::LeftOut, "agents that the filters leave out"), ["analyst"]);
    assert_eq!(case.team.get("a").await.assigned_to.as_deref(), Some("jochi"), "who comes later");
    assert!(case.team.k.tasks().get_many(&["b"]).await.unwrap()[0].is_none());
    assert_eq!(case.adopt().await.tasks, 1);
}

#[tokio::test]
async fn twice_changes_nothing() {
    let case = Case::new().await;
    case.write(FEW).await;
    case.adopt().await;
    let before = case.picture().await;
    let again = case.adopt().await;
    assert_eq!((again.tasks, again.agents, again.findings.len()), (0, 0, 0));
    assert_eq!(case.picture().await, before);
}

#[tokio::test]
async fn two_at_once_take_everything_once() {
    let case = Case::new().await;
    case.write(
        "UNWIND range(1, 450) AS i CREATE (:Task {id: 't' + i, type: 'code', status: 'ready',
          blocked_by: CASE WHEN i > 1 THEN ['t' + (i - 1)] END})",
    )
    .await;
    let other = case.team.reopen(|config| config).await;
    let [here, there] = [case.team.k.clone(), other];
    let (one, two) = tokio::join!(here.adopt(AdoptOptions::default()), there.adopt(AdoptOptions::default()));
    let (one, two) = (one.unwrap(), two.unwrap());
    assert!(one.tasks + two.tasks >= 450, "{one:?} {two:?}");
    let filter =
        EventFilter { topic: Some("task.adopted".to_owned()), limit: 1_000, ..EventFilter::default() };
    assert_eq!(here.events().read(filter).await.unwrap().events.len(), 450, "an event each, and one only");
    case.team.agent("temujin", &[]).await;
    assert_eq!(case.team.claim_ids("temujin", 9).await, ["t1"], "each waits for the one before");
    let stats = here.tasks().stats().await.unwrap();
    assert_eq!((stats.by_status[&Status::Blocked], stats.by_status[&Status::InProgress]), (449, 1));
}

/// An adoption that ended in the middle, as after a crash, goes on where it was.
#[tokio::test]
async fn an_interrupted_adoption_is_repeated() {
    let case = Case::new().await;
    case.write(FEW).await;
    case.adopt_with(AdoptOptions { ids: words(&["b"]), ..AdoptOptions::default() }).await;
    // Ours by name, but without what makes it so.
    case.write("CREATE (:Task {namespace: $ns, id: 'torn', type: 'code', status: 'done', blocks: ['a']})")
        .await;
    let adoption = case.adopt().await;
    assert_eq!(adoption.tasks, 3);
    assert_eq!(
        case.statuses(&["b", "torn", "a"]).await,
        [Status::Completed, Status::Completed, Status::Pending]
    );
}

#[tokio::test]
async fn events_tell_what_it_was_and_lead_back() {
    let case = Case::new().await;
    case.write(FEW).await;
    let nodes = "MATCH (n:Task|Agent) WHERE coalesce(n.namespace, $ns) = $ns
        RETURN {node: elementId(n), properties: n{.id, .task_id, .type, .status, .result, .results, .score, .target_agent,
          .assigned_to, .created_at, .agent_id, .name, .aliases, .namespace, .claim_key, .route, .blocked_by}} AS row
        ORDER BY elementId(n)";
    let before = case.rows(nodes).await;
    case.adopt().await;
    assert_ne!(case.rows(nodes).await, before);

    let events = case.team.k.events().read(EventFilter::default()).await.unwrap().events;
    let adopted: Vec<_> = events.iter().filter(|event| event.topic.ends_with(".adopted")).collect();
    assert_eq!(adopted.len(), 4);
    for event in adopted {
        let payload = event.payload.as_ref().unwrap().value();
        let id = event.task_id.as_ref().or(event.source.as_ref()).unwrap();
        if id == "b" {
            assert_eq!(payload["before"]["status"], "Archived");
            assert_eq!(payload["edges_added"][0]["waits_for"], "a");
            assert_eq!(payload["edges_dropped"][0]["waits_for"], "b");
        }
        let before = payload["before"].as_object().unwrap();
        let back: Vec<(String, BoltType)> =
            before.iter().map(|(name, value)| (name.clone(), bolt(value))).collect();
        let back: std::collections::HashMap<String, BoltType> = back.into_iter().collect();
        let undo = query("MATCH (n {namespace: $ns, id: $id}) WHERE n:Task OR n:Agent SET n += $before")
            .param("ns", case.team.namespace.as_str())
            .param("id", id.as_str())
            .param("before", back);
        case.graph.run(undo).await.unwrap();
    }
    assert_eq!(case.rows(nodes).await, before);
}

fn bolt(value: &Value) -> BoltType {
    match value {
        Value::String(text) => text.as_str().into(),
        Value::Number(number) => number.as_f64().unwrap().into(),
        Value::Bool(boolean) => (*boolean).into(),
        Value::Array(values) => values.iter().map(bolt).collect::<Vec<_>>().into(),
        _ => BoltType::Null(neo4rs::BoltNull),
    }
}

/// What the other program does meanwhile is not overwritten: the task is left to the next adoption.
#[tokio::test]
async fn a_task_that_ends_at_this_moment_stays_ended() {
    let case = Case::new().await;
    let (team, graph) = (&case.team, &case.graph);
    for round in 0..5 {
        case.write(&format!(
            "UNWIND range(1, 300) AS i CREATE (:Task {{id: 'r{round}-' + i, type: 'code', status: 'ready'}})"
        ))
        .await;
        let finish = async {
            for id in (1..=300).rev().step_by(20) {
                let end = query(
                    "MATCH (t:Task {id: $id}) SET t._lock = 0
                    WITH t WHERE t.namespace IS NULL SET t.status = 'done' RETURN 1 AS one",
                )
                .param("id", format!("r{round}-{id}"));
                let mut rows = graph.execute(end).await.unwrap();
                while rows.next().await.unwrap().is_some() {}
            }
        };
        let (adopted, ()) = tokio::join!(team.k.adopt(AdoptOptions::default()), finish);
        adopted.unwrap();
        case.adopt().await;
        let lost = "MATCH (t:Task {namespace: $ns}) WHERE t.status = 'done' RETURN {id: t.id} AS row";
        assert!(case.rows(lost).await.is_empty(), "a word of theirs is left");
        let filter =
            EventFilter { topic: Some("task.adopted".to_owned()), limit: 10_000, ..EventFilter::default() };
        for event in team.k.events().read(filter).await.unwrap().events {
            let before = event.payload.as_ref().unwrap().value()["before"]["status"].clone();
            if before == "done" {
                assert_eq!(team.status(event.task_id.as_ref().unwrap()).await, Status::Completed);
            }
        }
    }
}

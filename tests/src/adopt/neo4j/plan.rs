//! A real backlog, half done, as another program kept it.

use super::Case;
use serde_json::Value;
use std::collections::HashMap;

#[tokio::test]
async fn a_plan_of_six_agents_is_finished_in_its_order() {
    let case = Case::new().await;
    let text = include_str!("../../../../examples/backlog/kurultai-gap-plan.json");
    let plan: Value = serde_json::from_str(text).unwrap();
    let names: HashMap<&str, &str> = plan["agents"]
        .as_array()
        .unwrap()
        .iter()
        .map(|agent| (agent["id"].as_str().unwrap(), agent["name"].as_str().unwrap()))
        .collect();
    for name in names.values() {
        let agent = format!(
            "CREATE (:Agent {{agent_id: 'agent-' + toLower('{name}'), name: '{name}', status: 'idle'}})"
        );
        case.write(&agent).await;
    }
    let tasks = plan["tasks"].as_array().unwrap();
    let mut before: HashMap<String, Vec<String>> = HashMap::new();
    for (index, task) in tasks.iter().enumerate() {
        let key = task["key"].as_str().unwrap();
        let waits: Vec<String> =
            task["depends_on"].as_array().unwrap().iter().map(|id| id.as_str().unwrap().to_owned()).collect();
        // The first five are done; names change from task to task, as they do between versions of a program.
        let status = if index < 5 {
            "Done"
        } else if waits.is_empty() {
            "READY"
        } else {
            "blocked"
        };
        let owner = names[task["owner"].as_str().unwrap()];
        let owner = match index % 3 {
            0 => format!("target_agent: '{owner}'"),
            1 => format!("required_agents: ['agent-{}']", owner.to_lowercase()),
            _ => format!("assigned_to: '{}'", owner.to_uppercase()),
        };
        let title = task["title"].as_str().unwrap().replace('\'', "");
        let (priority, list) = (task["priority"].as_str().unwrap(), serde_json::to_string(&waits).unwrap());
        case.write(&format!(
            "CREATE (:Task {{task_id: '{key}', task_type: 'code', title: '{title}', status: '{status}', {owner},
              priority: '{priority}', blocked_by: {list}, created_at: '2026-02-09T12:{:02}:00'}})",
            index % 60
        ))
        .await;
        before.insert(key.to_owned(), waits);
    }
    let adoption = case.adopt().await;
    assert_eq!((adoption.tasks, adoption.agents), (40, 6));
    assert!(!adoption.by_status.contains_key(&kurultai_core::tasks::Status::Suspended), "{adoption:#?}");
    let agents: Vec<String> = case.team.k.agents().list().await.unwrap().into_iter().map(|a| a.id).collect();
    assert_eq!(agents, ["chagatai", "jochi", "kublai", "mongke", "ogedei", "temujin"]);

    let all: Vec<&str> = agents.iter().map(String::as_str).collect();
    let order = case.work_off(&all).await;
    assert_eq!(order.len(), 35, "what was done is not done again");
    for (at, id) in order.iter().enumerate() {
        for first in &before[id] {
            let done = tasks[..5].iter().any(|task| task["key"] == **first) || order[..at].contains(first);
            assert!(done, "{id} ran before {first}");
        }
    }
    for task in tasks {
        let ran = case.team.get(task["key"].as_str().unwrap()).await;
        assert_eq!(ran.assigned_to.as_deref(), task["owner"].as_str(), "{}", ran.id);
    }
}

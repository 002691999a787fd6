//! The process that runs a cycle dies at each of its statements, one after the other.

use crate::{cases, fixture::Team, sqlite::child};
use kurultai_core::{
    Config, Kurultai,
    agents::{HandBack, NewAgent},
    events::EventFilter,
    messages::{Ed25519Key, MessageFilter},
    tasks::NewTask,
};
use std::{collections::BTreeSet, os::unix::process::ExitStatusExt};

cases![whose_process_dies_at_any_statement_delegates_once];

const ABORTED: i32 = 6;
const AGENTS: [(&str, &str); 3] = [("jochi", "testing"), ("kublai", "routing"), ("temujin", "coding")];

/// The part of a process: its n-th statement is its last one, unless the cycle ends before.
pub(crate) async fn die(url: &str, namespace: &str, key: &str, n: u64) {
    let k = open(url, namespace, key).await;
    k.die_at_statement(n);
    k.cycle("kublai").await.unwrap();
}

async fn open(url: &str, namespace: &str, key: &str) -> Kurultai {
    let config = Config::new(url).unwrap().namespace(namespace).unwrap().background(false);
    Kurultai::open_with(config.identity(Ed25519Key::read(key).unwrap())).await.unwrap()
}

async fn whose_process_dies_at_any_statement_delegates_once(team: Team) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kublai.key");
    let key = Ed25519Key::generate("kublai").unwrap();
    key.write(&path).unwrap();
    let (path, namespace) = (path.to_str().unwrap(), format!("{}-real", team.namespace));
    let k = open(&team.url, &namespace, path).await;
    let agents = AGENTS.map(|(agent, capability)| NewAgent::new(agent).capabilities([capability]));
    k.agents().register_many(agents.into()).await.unwrap();
    k.keys().add("kublai", &key.public_key().to_string()).await.unwrap();
    let mut told_by_the_dead = 0;
    for n in 1.. {
        let before = k.events().last_seq().await.unwrap();
        let tasks = [
            NewTask::new("code").requires(["coding"]),
            NewTask::new("check").requires(["testing"]),
            NewTask::new("told").assigned_to("jochi"),
        ];
        let tasks = k.tasks().enqueue_many(tasks.into()).await.unwrap();
        let ids: Vec<String> = tasks.into_iter().map(|task| task.id).collect();
        let part = ["cycle", &team.url, &namespace, path, &n.to_string()];
        let output = child::begin(&part).wait_with_output().unwrap();
        let is_over = output.status.success();
        let here = format!("at statement {n}, {}", String::from_utf8_lossy(&output.stderr));
        assert!(is_over || output.status.signal() == Some(ABORTED), "{here}");
        told_by_the_dead += usize::from(!is_over) * told(&k, &ids).await.len();
        let rest = k.cycle("kublai").await.unwrap();
        assert_eq!((rest.stuck, rest.alerts), (vec![], vec![]), "{here}");
        let to = ["temujin", "jochi", "jochi"];
        let expected: Vec<_> = ids.iter().cloned().zip(to.map(str::to_owned)).collect();
        assert_eq!(told(&k, &ids).await, expected, "{here}");
        for (id, to) in &expected {
            let task = k.tasks().get(id).await.unwrap();
            let given = (task.assigned_to.as_deref(), task.delegated_by.as_deref());
            assert_eq!(given, (Some(to.as_str()), Some("kublai")), "{here}");
        }
        let assigned =
            EventFilter { topic: Some("task.assigned".into()), after_seq: before, ..Default::default() };
        let assigned = k.events().read(assigned).await.unwrap().events;
        let assigned: BTreeSet<_> = assigned.into_iter().map(|event| event.task_id.unwrap()).collect();
        assert_eq!(assigned, ids[..2].iter().cloned().collect(), "{here}");
        if is_over {
            assert!(told_by_the_dead > 0, "none of {n} died after a delegation");
            break;
        }
        // The next one has to take the role as this one had, unless this one had died before.
        drop(k.agents().hand_back("router", "kublai", HandBack::default()).await);
    }
    k.close().await;
}

/// Which of the tasks is told to whom, in their order.
async fn told(k: &Kurultai, ids: &[String]) -> Vec<(String, String)> {
    let all = MessageFilter { limit: 1_000, ..MessageFilter::default() };
    let page = k.messages().list(all).await.unwrap();
    assert_eq!(page.next, None, "all of them");
    let told = |id: &String| {
        let of_it = page.messages.iter().filter(|message| message.task_id.as_ref() == Some(id));
        of_it.map(|message| (id.clone(), message.to.clone())).collect::<Vec<_>>()
    };
    ids.iter().flat_map(told).collect()
}

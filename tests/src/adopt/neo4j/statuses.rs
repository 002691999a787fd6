//! What a task's words, names and times become.

use super::{Case, found};
use kurultai_core::tasks::{FindingKind, Priority, Status};

/// The nodes as an older client wrote them: no namespace, old words, ISO times, a payload of another language.
const FOREIGN: &str = "
    CREATE (a:Task {id: 'ready', type: 'code', description: 'fix it', status: 'ready', priority: 'high',
      created_at: '2026-01-05T10:00:00', delegated_by: 'kublai', colour: 'red'})
    CREATE (b:Task {id: 'held', type: 'code', status: 'assigned', assigned_to: 'temujin', priority: 'low',
      created_at: datetime('2026-01-06T10:00:00Z'), claimed_by: 'temujin'})
    CREATE (c:Task {id: 'dead', type: 'code', status: 'failed', created_at: '2026-01-07T10:00:00+02:00'})
    CREATE (d:Task {id: 'next', type: 'code', status: 'delegated', created_at: '2026-01-08T10:00:00Z'})
    CREATE (e:Task {id: 'gone', type: 'code', status: 'aborted'})
    CREATE (d)-[:DEPENDS_ON]->(a)
    CREATE (:Agent {name: 'Temüjin', status: 'active', capabilities: ['coding']})";

#[tokio::test]
async fn tasks_and_agents_of_older_clients_are_taken_over() {
    let case = Case::new().await;
    let team = &case.team;
    case.write(FOREIGN).await;

    assert!(team.k.tasks().get_many(&["ready"]).await.unwrap()[0].is_none(), "unseen before");
    let adoption = case.adopt().await;
    assert_eq!((adoption.tasks, adoption.agents, adoption.dry_run), (5, 1, false));
    let again = case.adopt().await;
    assert_eq!((again.tasks, again.agents), (0, 0));

    let ready = team.get("ready").await;
    assert_eq!((ready.status, ready.priority), (Status::Pending, Priority::P1));
    assert_eq!(ready.created_at.to_rfc3339(), "2026-01-05T10:00:00+00:00");
    let expected = [Status::InProgress, Status::DeadLetter, Status::Blocked, Status::Cancelled];
    assert_eq!(case.statuses(&["held", "dead", "next", "gone"]).await, expected);
    assert_eq!(team.get("dead").await.created_at.to_rfc3339(), "2026-01-07T08:00:00+00:00");
    assert_eq!(team.k.agents().get("Temüjin").await.unwrap().id, "temujin");

    let claimed = team.claim_one("temujin").await;
    assert_eq!(claimed.id, "ready");
    team.complete(&claimed).await;
    assert_eq!(team.claim_one("temujin").await.id, "next");
    team.seconds(31);
    team.k.maintain().await.unwrap();
    assert_eq!(team.status("held").await, Status::Pending, "nobody renewed what it held");
    assert_eq!(team.k.tasks().requeue("dead").await.unwrap(), Status::Pending);
    let kept =
        case.rows("MATCH (t:Task {namespace: $ns, id: 'ready'}) RETURN {colour: t.colour} AS row").await;
    assert!(kept[0]["colour"].contains("red"), "what we do not know stays");
}

const ENDED: &str = "
    CREATE (:Task {id: 'done', type: 'code', status: 'done', result: 'all of it', completed_at: '2026-01-05T10:00:00'})
    CREATE (:Task {id: 'archived', type: 'code', status: ' Archived', results: '{\"n\": 1.0}',
      completed_at: datetime('2026-01-06T10:00:00[Europe/Berlin]')})
    CREATE (:Task {id: 'closed', type: 'code', status: 'CLOSED', updated_at: 1767607200})
    CREATE (:Task {id: 'finished', type: 'code', status: 'finished', completed_at: 1767607200123})
    CREATE (:Task {id: 'failed', type: 'code', status: 'Failed', failed_at: localdatetime('2026-01-07T10:00:00'),
      error: 'no route'})
    CREATE (:Task {id: 'paused', type: 'code', status: 'Paused'})
    CREATE (:Task {id: 'review', type: 'code', status: 'review'})
    CREATE (:Task {id: 'escalated', type: 'code', status: 'escalated'})
    CREATE (:Task {id: 'odd', type: 'code', status: 'waiting for Bob'})
    CREATE (:Task {id: 'nothing', type: 'code'})
    CREATE (:Task {id: 'half', type: 'code', status: 'in progress', completed_at: '2026-01-05T10:00:00'})
    CREATE (:Task {id: 'nobody', type: 'code', status: 'In-Progress'})
    CREATE (:Task {id: 'open', type: 'code', status: 'READY'})";

#[tokio::test]
async fn nothing_finished_or_unknown_runs() {
    let case = Case::new().await;
    let team = &case.team;
    team.agent("temujin", &[]).await;
    case.write(ENDED).await;
    let adoption = case.adopt().await;
    let words = [
        "done",
        "archived",
        "closed",
        "finished",
        "failed",
        "paused",
        "review",
        "escalated",
        "odd",
        "nothing",
    ];
    let expected = [Status::Completed; 4].into_iter().chain([Status::DeadLetter, Status::Suspended]);
    let expected = expected.chain([Status::PendingReview]).chain([Status::Suspended; 3]);
    assert_eq!(case.statuses(&words).await, expected.collect::<Vec<_>>());
    assert_eq!(team.status("half").await, Status::Suspended, "it says that it ended");
    assert_eq!((adoption.by_status[&Status::Completed], adoption.by_status[&Status::Suspended]), (4, 5));

    let done = team.get("done").await;
    assert_eq!(done.results.unwrap().as_str(), "\"all of it\"");
    assert_eq!(done.completed_at.unwrap().to_rfc3339(), "2026-01-05T10:00:00+00:00");
    let archived = team.get("archived").await;
    assert_eq!(archived.results.unwrap().as_str(), "{\"n\": 1.0}");
    assert_eq!(archived.completed_at.unwrap().to_rfc3339(), "2026-01-06T09:00:00+00:00");
    assert_eq!(team.get("closed").await.completed_at.unwrap().timestamp(), 1_767_607_200);
    assert_eq!(team.get("finished").await.completed_at.unwrap().timestamp_millis(), 1_767_607_200_123);
    let failed = team.get("failed").await;
    assert_eq!(failed.completed_at.unwrap().to_rfc3339(), "2026-01-07T10:00:00+00:00");
    assert_eq!(failed.error_message.as_deref(), Some("no route"));

    let unknown = |word: &str| found(&adoption, FindingKind::Suspended, word);
    assert_eq!(unknown("status \"escalated\", which is not known"), ["escalated"]);
    assert_eq!(unknown("status \"waiting for Bob\", which is not known"), ["odd"]);
    assert_eq!(unknown("no status"), ["nothing"]);
    assert_eq!(found(&adoption, FindingKind::Read, "status \"done\" as completed"), ["done"]);
    assert_eq!(found(&adoption, FindingKind::Read, "failed_at as completed_at"), ["failed"]);

    for _ in 0..3 {
        team.k.maintain().await.unwrap();
        team.seconds(3_600);
    }
    let mut order = case.work_off(&["temujin"]).await;
    order.sort();
    assert_eq!(order, ["nobody", "open"]);
}

const NAMES: &str = "
    CREATE (:Task {task_id: 'by-name', task_type: 'code', status: 'ready', target_agent: 'Jochi'})
    CREATE (:Task {task_id: 'by-list', task_type: 'code', status: 'ready', required_agents: ['analyst', 'temujin']})
    CREATE (t:Task {task_id: 'by-edge', task_type: 'code', status: 'ready'})
    CREATE (u:Task {task_id: 'by-edge-back', task_type: 'code', status: 'ready'})
    CREATE (:Task {task_id: 'both', task_type: 'code', status: 'ready', assigned_to: 'temujin', target_agent: 'Jochi'})
    CREATE (:Task {id: 7, task_type: 'code', status: 'completed', results_map: '{\"a\": [1]}', result: ''})
    CREATE (:Task {id: 'later', type: 'code', status: 'ready', retry_count: '2', max_retries: 5.0,
      assigned_to: 'Bobby Tables', priority: 'whenever', created_at: 'yesterday'})
    CREATE (a:Agent {agent_id: 'analyst', name: 'Jochi', max_concurrent_tasks: 2})
    CREATE (a)-[:ASSIGNED_TO]->(t)
    CREATE (u)-[:ASSIGNED_TO]->(a)";

#[tokio::test]
async fn other_names_are_read_as_ours() {
    let case = Case::new().await;
    let team = &case.team;
    team.agent("temujin", &[]).await;
    case.write(NAMES).await;
    let adoption = case.adopt().await;
    for id in ["by-name", "by-list", "by-edge", "by-edge-back"] {
        let task = team.get(id).await;
        assert_eq!((task.assigned_to.as_deref(), task.task_type.as_str()), (Some("jochi"), "code"), "{id}");
    }
    assert_eq!(team.get("7").await.results.unwrap().as_str(), "{\"a\": [1]}");
    let later = team.get("later").await;
    assert_eq!((later.attempts, later.max_attempts, later.priority), (2, 5, Priority::P2));
    assert_eq!(team.k.agents().get("Jochi").await.unwrap().max_concurrent, Some(2));

    assert_eq!(team.claim_ids("temujin", 9).await, ["both"]);
    assert_eq!(team.claim_ids("jochi", 9).await.len(), 2, "as many as it takes at once");

    let read = |what: &str| found(&adoption, FindingKind::Read, what);
    assert_eq!(read("required_agents as assigned_to"), ["by-list"]);
    assert_eq!(read("target_agent as assigned_to"), ["by-name"]);
    assert_eq!(read("results_map as results"), ["7"]);
    assert_eq!(read("task_id as id").len(), 5);
    assert_eq!(found(&adoption, FindingKind::Guessed, "priority \"whenever\" as P2"), ["later"]);
    assert_eq!(found(&adoption, FindingKind::Dropped, "created_at is no time"), ["later"]);
    let stranger = "assigned_to \"Bobby Tables\", who is no agent";
    assert_eq!(found(&adoption, FindingKind::Unresolved, stranger), ["later"]);
}

/// Our own names may mean anything elsewhere, and everything must be readable afterwards.
const CLASHES: &str = "
    CREATE (:Task {id: 'clash', type: ['code'], status: 'ready', title: 7, description: true, priority: 1,
      priority_weight: 'heavy', payload: \"{'a': True}\", results: 3.5, checkpoint: ['x'], usage: 12,
      error_message: ['a', 'b'], errors: 'one', required_capabilities: '[\"b\", \"a\"]', preferred_capabilities: 'c',
      delegated_by: 'Küblai', unique_key: 42, run_at: 'soon', expires_at: 'never', attempts: -3, max_attempts: 0,
      claimed_at: false, claim_id: 'x', lease_version: 'v1', lease_expires_at: 'x', progress: '50%', retry: 3,
      timeout: '30m', control: 1, wait_for: ['x'], on_prerequisite_failure: 'skip', revision: 'r1', held_by: 'x',
      due_at: 'now', route: 'north'})
    CREATE (:Agent {id: 'clash', name: 7, role: ['r'], aliases: 'one', capabilities: 'c', status: 'Busy',
      max_concurrent: 99999999999, infra_heartbeat: 'x', last_heartbeat: 1767607200, created_at: date('2026-01-05'),
      infra_seq: 'x', func_seq: 1.5})";

#[tokio::test]
async fn properties_of_any_type_leave_a_task_that_works() {
    let case = Case::new().await;
    let team = &case.team;
    case.write(CLASHES).await;
    let adoption = case.adopt().await;
    assert_eq!((adoption.tasks, adoption.agents), (1, 1));
    let task = team.get("clash").await;
    assert_eq!((task.title.as_str(), task.description.as_str()), ("7", "true"));
    assert_eq!(task.required_capabilities, ["a", "b"]);
    assert_eq!((task.attempts, task.max_attempts, task.priority_weight), (0, 1, 0.5));
    assert_eq!((task.payload.as_str(), task.progress), ("\"{'a': True}\"", None));
    assert_eq!(task.unique_key.as_deref(), Some("42"));
    team.k.tasks().explain("clash").await.unwrap();
    assert_eq!(team.k.tasks().suspend("clash").await.unwrap(), Status::Suspended);
    assert_eq!(team.k.tasks().resume("clash").await.unwrap(), Status::Pending);

    let agent = team.k.agents().get("clash").await.unwrap();
    assert_eq!((agent.display_name.as_str(), agent.max_concurrent), ("7", None));
    team.k.agents().beat("clash").await.unwrap();
    team.agent("worker", &["a", "b", "c"]).await;
    let claimed = team.claim_one("worker").await;
    team.complete(&claimed).await;
    assert_eq!(team.status("clash").await, Status::Completed);
}

//! A blocked task never runs before its prerequisite, and nothing waits for ever.

use super::{Case, found};
use kurultai_core::tasks::{AdoptOptions, FindingKind, Status};

const LISTS: &str = "
    CREATE (:Task {task_id: 'a', type: 'code', status: 'ready'})
    CREATE (:Task {id: 'b', task_id: 'old-b', type: 'code', status: 'blocked', blocked_by: ['a']})
    CREATE (:Task {id: 'c', type: 'code', status: 'ready', blocks: '[\"d\"]', blocked_by: 'old-b'})
    CREATE (:Task {id: 'd', type: 'code', status: 'assigned', assigned_to: 'temujin'})
    CREATE (:Task {id: 'e', type: 'code', status: 'blocked', depends_on: ['done']})
    CREATE (:Task {id: 'done', type: 'code', status: 'closed'})
    CREATE (:Task {id: 'lost', type: 'code', status: 'ready', blocked_by: ['x-99', 'a']})
    CREATE (:Task {id: 'why', type: 'code', status: 'blocked'})";

#[tokio::test]
async fn lists_become_edges() {
    let case = Case::new().await;
    let team = &case.team;
    team.agent("temujin", &[]).await;
    case.write(LISTS).await;
    let adoption = case.adopt().await;
    assert_eq!(team.get("b").await.depends_on, ["a"]);
    assert_eq!(team.get("c").await.depends_on, ["b"]);
    assert_eq!(team.get("d").await.depends_on, ["c"]);
    let expected = [Status::Blocked, Status::Blocked, Status::Blocked, Status::Pending];
    assert_eq!(case.statuses(&["b", "c", "d", "e"]).await, expected);
    assert_eq!(case.statuses(&["lost", "why"]).await, [Status::Suspended; 2]);
    let lost = found(&adoption, FindingKind::Unresolved, "waits for a task that is not there");
    assert_eq!(lost, ["lost (x-99)"]);
    assert_eq!(found(&adoption, FindingKind::Suspended, "waits for a task that is not there"), ["lost"]);
    assert_eq!(found(&adoption, FindingKind::Suspended, "blocked, but by no task"), ["why"]);
    assert_eq!(found(&adoption, FindingKind::Read, "a list or a parent_id as an edge").len(), 5);

    let order = case.work_off(&["temujin"]).await;
    let mut rest: Vec<&String> = order.iter().filter(|id| *id != "e").collect();
    rest.dedup();
    assert_eq!(rest, ["a", "b", "c", "d"]);
    assert_eq!(team.k.tasks().resume("lost").await.unwrap(), Status::Pending, "somebody decided so");
    assert_eq!(case.work_off(&["temujin"]).await, ["lost"]);
}

const FAMILY: &str = "
    CREATE (:Task {id: 'parent', type: 'plan', status: 'ready'})
    CREATE (:Task {id: 'child', type: 'code', status: 'ready', parent_id: 'parent'})
    CREATE (:Task {id: 'done', type: 'code', status: 'completed', parent_id: 'parent'})
    CREATE (:Task {id: 'orphan', type: 'code', status: 'aborted', parent_id: 'nobody'})";

#[tokio::test]
async fn a_child_that_only_names_its_parent_holds_it_up() {
    let case = Case::new().await;
    let team = &case.team;
    case.write(FAMILY).await;
    let adoption = case.adopt().await;
    assert_eq!(team.status("parent").await, Status::Blocked);
    assert_eq!(team.get("child").await.parent_id.as_deref(), Some("parent"));
    assert_eq!(team.status("orphan").await, Status::Cancelled);
    assert_eq!(found(&adoption, FindingKind::Unresolved, "its parent is not there"), ["orphan (nobody)"]);
    team.agent("temujin", &[]).await;
    let claimed = team.claim_one("temujin").await;
    assert_eq!(claimed.id, "child");
    team.complete(&claimed).await;
    assert_eq!(team.status("parent").await, Status::Completed, "its last child is done");
}

const KNOTS: &str = "
    CREATE (a:Task {id: 'a', type: 'code', status: 'ready'})-[:DEPENDS_ON]->(a)
    CREATE (b:Task {id: 'b', type: 'code', status: 'ready'})
    CREATE (c:Task {id: 'c', type: 'code', status: 'ready', blocked_by: ['c']})
    CREATE (d:Task {id: 'd', type: 'code', status: 'ready'})
    CREATE (b)-[:DEPENDS_ON {type: 'blocks'}]->(c) CREATE (c)-[:DEPENDS_ON]->(d) CREATE (d)-[:DEPENDS_ON]->(b)
    CREATE (a)-[:DEPENDS_ON {type: 'Feeds Into'}]->(b) CREATE (a)-[:DEPENDS_ON]->(b) CREATE (a)-[:DEPENDS_ON]->(b)
    CREATE (:Task {id: 'p', type: 'code', status: 'ready', parent_id: 'q'})
    CREATE (:Task {id: 'q', type: 'code', status: 'ready', parent_id: 'p'})
    CREATE (:Task {id: 'r', type: 'code', status: 'ready', parent_id: 'r'})
    CREATE (x:Task {id: 'x', type: 'code', status: 'ready'})
    CREATE (y:Task {id: 'y', type: 'code', status: 'ready'})
    CREATE (x)-[:DEPENDS_ON {type: 'parallel_ok'}]->(y) CREATE (y)-[:DEPENDS_ON {type: 'parallel_ok'}]->(x)";

#[tokio::test]
async fn circles_and_doubles_are_dropped_and_listed() {
    let case = Case::new().await;
    let team = &case.team;
    team.agent("temujin", &[]).await;
    case.write(KNOTS).await;
    let adoption = case.adopt().await;
    let dropped = |what: &str| found(&adoption, FindingKind::Dropped, what);
    let selves = dropped("an edge of a task to itself");
    assert_eq!(selves, ["a waits for a", "c waits for c", "r, a child of r"]);
    assert_eq!(dropped("an edge that closes a circle"), ["d waits for b", "p, a child of q"]);
    assert_eq!(dropped("a second edge between the same tasks"), ["a waits for b"; 2]);
    let edges = "MATCH (t:Task {namespace: $ns})-[e:DEPENDS_ON]->(p) WHERE NOT t.id IN ['x', 'y']
        RETURN {edge: t.id + e.type + p.id} AS row ORDER BY t.id";
    let edges: Vec<String> = case.rows(edges).await.into_iter().map(|row| row["edge"].clone()).collect();
    assert_eq!(edges.len(), 3, "{edges:?}");
    assert!(edges.iter().zip(["ablocksb", "bblocksc", "cblocksd"]).all(|(got, wanted)| got.contains(wanted)));
    let order = case.work_off(&["temujin"]).await;
    let at = |id: &str| {
        order.iter().position(|other| other == id).unwrap_or_else(|| panic!("{id} is left: {order:?}"))
    };
    assert!(at("d") < at("c") && at("c") < at("b") && at("b") < at("a"), "{order:?}");
    let left = case.statuses(&["p", "q", "r", "x", "y"]).await;
    assert_eq!(left, [Status::Completed; 5]);
}

#[tokio::test]
async fn of_two_tasks_with_one_unique_key_one_keeps_it() {
    let case = Case::new().await;
    let team = &case.team;
    let ours = team.add(crate::fixture::task("ours").unique_key("ours")).await;
    case.write(
        "CREATE (:Task {id: 'a', type: 'code', status: 'ready', unique_key: 'nightly'})
        CREATE (:Task {id: 'b', type: 'code', status: 'ready', unique_key: 'nightly'})
        CREATE (:Task {id: 'c', type: 'code', status: 'ready', unique_key: 'ours'})
        CREATE (:Task {id: 'd', type: 'code', status: 'ready', unique_key: 'theirs'})",
    )
    .await;
    let adoption = case.adopt().await;
    assert_eq!(adoption.tasks, 4);
    let key = async |name: &str| team.get(name).await.unique_key;
    let twins = [key("a").await, key("b").await];
    assert_eq!(twins.iter().flatten().collect::<Vec<_>>(), ["nightly"]);
    assert_eq!((key("c").await, key("d").await), (None, Some("theirs".to_owned())));
    assert_eq!(team.get(&ours).await.unique_key.as_deref(), Some("ours"));
    assert_eq!(found(&adoption, FindingKind::Dropped, "a unique_key that another task has").len(), 2);
    let of = case.rows("MATCH (t:Task {namespace: $ns, id: 'c'}) RETURN {of: t.duplicate_of} AS row").await;
    assert!(of[0]["of"].contains(&ours));
}

/// Taken over in parts, a task waits from the first moment, also for what is not there yet.
#[tokio::test]
async fn parts_wait_for_each_other() {
    let case = Case::new().await;
    let team = &case.team;
    team.agent("temujin", &[]).await;
    case.write(
        "CREATE (:Task {id: 'first', type: 'code', status: 'ready', blocks: ['second']})
        CREATE (:Task {id: 'second', type: 'code', status: 'ready', blocked_by: ['first']})
        CREATE (:Task {id: 'done', type: 'code', status: 'done', blocks: ['third']})
        CREATE (:Task {id: 'third', type: 'code', status: 'ready'})
        CREATE (:Task {id: 'held', type: 'code', status: 'ready'})
        CREATE (:Task {id: 'late', type: 'code', status: 'ready', blocks: ['held', 'waits']})
        CREATE (:Task {id: 'waits', type: 'code', status: 'paused'})",
    )
    .await;
    let only = |ids: &[&str]| AdoptOptions {
        ids: Some(ids.iter().map(|id| (*id).to_owned()).collect()),
        ..AdoptOptions::default()
    };
    let adoption = case.adopt_with(only(&["second", "third", "held", "waits"])).await;
    assert_eq!(adoption.tasks, 4);
    let open = found(&adoption, FindingKind::Unresolved, "waits for a task that is not taken over");
    assert_eq!(open.len(), 4, "{open:?}");
    team.k.maintain().await.unwrap();
    assert!(team.claim("temujin", 9).await.is_empty());
    assert_eq!(
        case.statuses(&["second", "third", "held", "waits"]).await,
        [Status::Blocked, Status::Blocked, Status::Blocked, Status::Suspended]
    );
    assert_eq!(case.adopt().await.tasks, 3);
    let order = case.work_off(&["temujin"]).await;
    let at = |id: &str| order.iter().position(|other| other == id);
    assert!(at("first") < at("second") && at("late") < at("held") && at("third").is_some(), "{order:?}");
    assert_eq!(team.k.tasks().resume("waits").await.unwrap(), Status::Pending, "late is done");
}

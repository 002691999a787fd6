//! What opening a store can end with.

use crate::fixture::{code, neo4j_url, task};
use kurultai_core::{Config, Kind, Kurultai};
use std::time::Duration;

#[test]
fn urls_are_refused_without_their_password() {
    for url in [
        "",
        "postgres://a:s3cret@host",
        "sqlite:",
        "sqlite:x?durability=some",
        "neo4j+x://a:s3cret@h",
        "neo4j:s3cret",
    ] {
        let error = Config::new(url).unwrap_err();
        assert_eq!((error.code(), error.kind()), ("config.url", Kind::Config), "{url}");
        assert!(!format!("{error:?} {error}").contains("s3cret"), "{error}");
    }
    let config = Config::new("neo4j://neo4j:s3cret@localhost:1/db").unwrap();
    assert!(!format!("{config:?}").contains("s3cret"));
}

#[tokio::test]
async fn a_newer_schema_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("team.db");
    let url = format!("sqlite:{}", path.display());
    Kurultai::open(&url).await.unwrap().close().await;
    let file = rusqlite::Connection::open(&path).unwrap();
    file.execute("insert into kurultai_schema values(9999, 'future', 0)", []).unwrap();
    assert_eq!(code(Kurultai::open(&url).await), "store.schema_newer");
}

#[tokio::test]
async fn an_unmigrated_file_is_refused_when_migration_is_off() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("team.db").display());
    assert_eq!(
        code(Kurultai::open_with(Config::new(&url).unwrap().migrate(false)).await),
        "store.schema_older"
    );
}

#[tokio::test]
async fn files_that_are_no_database_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notes.txt");
    std::fs::write(&path, "not a database, but long enough to look like one ".repeat(50)).unwrap();
    assert_eq!(code(Kurultai::open(&format!("sqlite:{}", path.display())).await), "store.corrupt");
    assert_eq!(code(Kurultai::open("sqlite:/nowhere/at/all/team.db").await), "store.read_only");
}

#[tokio::test]
async fn a_file_that_another_process_holds_is_unavailable() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("team.db");
    let config = Config::new(&format!("sqlite:{}", path.display())).unwrap();
    let k = Kurultai::open_with(config.call_timeout(Duration::from_secs(1))).await.unwrap();
    let other = rusqlite::Connection::open(&path).unwrap();
    other.execute_batch("begin immediate").unwrap();
    let error = k.tasks().enqueue(task("one")).await.unwrap_err();
    assert_eq!((error.code(), error.retryable()), ("store.unavailable", true));
    other.execute_batch("rollback").unwrap();
    k.tasks().enqueue(task("one")).await.unwrap();
}

#[tokio::test]
async fn a_closed_store_says_so() {
    let k = Kurultai::open("memory:").await.unwrap();
    k.clone().close().await;
    assert_eq!(code(k.tasks().enqueue(task("late")).await), "store.closed");
    assert_eq!(code(k.tasks().adopt().await), "store.closed");
}

mod neo4j {
    use super::*;
    use crate::fixture::{Team, graph};
    use kurultai_core::{Claim, NewTask};
    use neo4rs::query;

    #[tokio::test]
    async fn a_wrong_password_is_refused_and_not_shown() {
        let url = neo4j_url().replace("neo4j:password@", "neo4j:s3cret-wrong@");
        assert!(url.contains("s3cret-wrong"), "the test server's password is `password`");
        let error = Kurultai::open(&url).await.unwrap_err();
        assert_eq!((error.code(), error.kind()), ("store.auth", Kind::Denied));
        assert!(!format!("{error:?}").contains("s3cret"), "{error:?}");
    }

    #[tokio::test]
    async fn a_server_that_is_not_there_is_unavailable() {
        let error = Kurultai::open("neo4j://neo4j:password@127.0.0.1:9/neo4j").await.unwrap_err();
        assert_eq!((error.code(), error.retryable()), ("store.unavailable", true));
    }

    /// Held by cases that change what all cases share.
    static SCHEMA: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

    /// As step 1 left them. One transaction, as other cases open the same database meanwhile.
    const EARLIER: &str = "
        MATCH (ns:Namespace {id: $ns}) SET ns._lock = 0
        WITH ns MATCH (r:TaskRoute {namespace: $ns})
        CALL (r) { MATCH (t:Task {namespace: $ns}) WHERE t.route = r.number SET t.route = r.key
          RETURN count(t) AS tasks }
        REMOVE r.number
        WITH sum(tasks) AS tasks CALL () { MATCH (s:KurultaiSchema) WHERE s.version > 1 DELETE s } RETURN tasks";

    #[tokio::test]
    async fn tasks_of_an_earlier_schema_go_on() {
        let _alone = SCHEMA.lock().await;
        let team = Team::neo4j().await;
        team.agent("temujin", &[]).await;
        for task_type in ["code", "review"] {
            team.k
                .tasks()
                .enqueue_many(vec![NewTask::new(task_type), NewTask::new(task_type)])
                .await
                .unwrap();
        }
        let held = team.claim_one("temujin").await;
        let mut rows = graph().execute(query(EARLIER).param("ns", team.namespace.as_str())).await.unwrap();
        assert_eq!(rows.next().await.unwrap().unwrap().get::<i64>("tasks").unwrap(), 4);
        assert!(rows.next().await.unwrap().is_none());

        let later = team.reopen(|config| config).await;
        later.tasks().release(&held.lease).await.unwrap();
        later.tasks().enqueue(NewTask::new("code")).await.unwrap();
        let claimed = later.tasks().claim(Claim::new("temujin").max(10)).await.unwrap();
        assert_eq!(claimed.len(), 5);
        assert_eq!(claimed.iter().filter(|task| task.task_type == "code").count(), 3);
    }

    const STEPS_TWICE: [&str; 2] = [
        "DROP CONSTRAINT kurultai_schema IF EXISTS",
        "MATCH (s:KurultaiSchema) WITH collect(s) AS all FOREACH (s IN all | DELETE s)
         WITH 1 AS once UNWIND range(1, 12) AS i CREATE (:KurultaiSchema {version: i % 2 + 1})",
    ];

    /// As a build left them that let each of six processes write every step.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn processes_that_migrate_at_once_leave_one_node_a_step() {
        let _alone = SCHEMA.lock().await;
        let team = Team::neo4j().await;
        for statement in STEPS_TWICE {
            graph().run(query(statement)).await.unwrap();
        }
        futures::future::join_all((0..6).map(|_| team.reopen(|config| config))).await;
        let text = "MATCH (s:KurultaiSchema) RETURN count(s) AS nodes, count(DISTINCT s.version) AS steps";
        let row = graph().execute(query(text)).await.unwrap().next().await.unwrap().unwrap();
        let (nodes, steps): (i64, i64) = (row.get("nodes").unwrap(), row.get("steps").unwrap());
        assert!(steps > 3 && nodes == steps, "{nodes} nodes, {steps} steps");
    }

    #[tokio::test]
    async fn a_namespace_that_somebody_removed_takes_nothing() {
        let team = Team::neo4j().await;
        team.add(task("before")).await;
        let removal = query("MATCH (ns:Namespace {id: $ns}) DELETE ns").param("ns", team.namespace.as_str());
        graph().run(removal).await.unwrap();
        assert_eq!(code(team.k.tasks().enqueue(task("after")).await), "store.namespace_missing");
    }
}

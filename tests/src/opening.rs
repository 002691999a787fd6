//! What opening a store can end with.

use crate::{
    fixture::{code, neo4j_url, task},
    sqlite::child::play_in,
};
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

/// What follows the last @ is the host, and a password is never shown, not even a part of it.
#[test]
fn a_password_that_is_not_quoted_is_still_no_host() {
    for (url, read) in [
        ("neo4j://neo4j:p@word/3@db.example:7688/team", "neo4j://db.example:7688/team as neo4j"),
        ("bolt://neo4j:wo?r#d@db.example", "bolt://db.example:7687/neo4j as neo4j"),
        ("neo4j+s://a&b+c%40d:p:word%2F@db.example/x", "neo4j+s://db.example:7687/x as a&b+c@d"),
        ("neo4j://[::1]:7690", "neo4j://[::1]:7690/neo4j as neo4j"),
    ] {
        let shown = format!("{:?}", Config::new(url).unwrap());
        assert!(shown.contains(read) && !shown.contains("word"), "{shown}");
    }
    for url in ["neo4j://neo4j:p@word/3", "neo4j+word://a@b", "neo4j:word@host"] {
        match Config::new(url) {
            Ok(config) => assert!(format!("{config:?}").contains("neo4j://word:7687/3"), "{config:?}"),
            Err(error) => assert!(!format!("{error} {error:?}").contains("word"), "{error}"),
        }
    }
}

#[tokio::test]
async fn sqlites_own_names_of_a_database_in_memory_are_understood() {
    for url in ["sqlite::memory:", "sqlite:file::memory:", "sqlite://:memory:"] {
        let k = Kurultai::open(url).await.unwrap();
        let id = k.tasks().enqueue(task("one")).await.unwrap().id;
        assert_eq!(k.tasks().get(&id).await.unwrap().title, "one");
        k.tasks().stats().await.unwrap();
        k.close().await;
    }
    assert_eq!(code(Config::new("sqlite:file:team.db?mode=memory")), "config.url");
}

#[test]
fn an_empty_variable_is_not_set_and_a_bad_one_is_named() {
    let read = |environment: &[(&str, &str)]| play_in(&["environment"], environment).remove(0);
    let empty = [("KURULTAI_URL", ""), ("NEO4J_URI", ""), ("NEO4J_USER", ""), ("NEO4J_PASSWORD", "")];
    assert!(read(&empty).starts_with("Config config.url no store is named"), "{}", read(&empty));
    let numbers = [("KURULTAI_URL", "memory:"), ("TASK_TIMEOUT_MINUTES", ""), ("TASK_QUEUE_MAX_RETRIES", "")];
    assert!(read(&numbers).contains("max_attempts: 3"), "{}", read(&numbers));
    let server = [("KURULTAI_URL", ""), ("NEO4J_URI", "neo4j://host"), ("NEO4J_USER", "")];
    assert!(read(&server).contains("neo4j://host:7687/neo4j as neo4j"), "{}", read(&server));
    for bad in [("TASK_TIMEOUT_MINUTES", "soon"), ("TASK_QUEUE_MAX_RETRIES", "-1")] {
        let error = read(&[("KURULTAI_URL", "memory:"), bad]);
        assert!(
            error.starts_with("Config config.env") && error.contains(bad.0) && error.contains(bad.1),
            "{error}"
        );
    }
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
    assert_eq!(code(Kurultai::open("sqlite:/nowhere/at/all/team.db").await), "config.url");
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
    assert_eq!(code(k.adopt(Default::default()).await), "store.closed");
}

mod neo4j {
    use super::*;
    use crate::fixture::{Team, graph};
    use neo4rs::query;

    #[tokio::test]
    async fn a_wrong_password_is_refused_and_not_shown() {
        let mut url = url::Url::parse(&neo4j_url()).unwrap();
        url.set_password(Some("s3cret-wrong")).unwrap();
        let error = Kurultai::open(url.as_str()).await.unwrap_err();
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

    const STEPS_TWICE: [&str; 2] = [
        "DROP CONSTRAINT kurultai_schema IF EXISTS",
        "MATCH (s:KurultaiSchema) WITH collect(s) AS all FOREACH (s IN all | DELETE s)
         WITH 1 AS once UNWIND range(1, 6) AS i CREATE (:KurultaiSchema {version: 0})",
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
        assert!(nodes == steps && steps > 2, "{nodes} nodes of {steps} steps");
        graph().run(query("MATCH (s:KurultaiSchema {version: 0}) DELETE s")).await.unwrap();
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

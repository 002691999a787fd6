//! Files that hold something else.

use super::Place;
use kurultai_core::{Kind, Kurultai};
use rusqlite::Connection;

async fn refused(place: &Place) -> String {
    let error = Kurultai::open_with(place.config()).await.unwrap_err();
    assert_eq!((error.code(), error.kind()), ("store.schema_conflict", Kind::Storage), "{error}");
    error.message().to_owned()
}

#[tokio::test]
async fn what_is_there_under_one_of_our_names_is_named() {
    for (named, foreign) in [
        ("table \"task\"", "create table Task(title text)"),
        ("view \"events\"", "create table e(x); create view events as select * from e"),
        ("index \"task_due\"", "create table todo(due text); create index task_due on todo(due)"),
    ] {
        let place = Place::new();
        Connection::open(place.path()).unwrap().execute_batch(foreign).unwrap();
        let message = refused(&place).await;
        assert!(message.contains(named), "{message}");
        let file = Connection::open(place.path()).unwrap();
        let ours = "select count(*) from sqlite_schema where name like 'kurultai%'";
        assert_eq!(file.query_row(ours, [], |row| row.get::<_, i64>(0)).unwrap(), 0, "it is left as it was");
    }
}

#[tokio::test]
async fn a_file_of_an_unreleased_build_is_refused() {
    let place = Place::new();
    place.open().await.close().await;
    let file = Connection::open(place.path()).unwrap();
    file.execute_batch("drop index task_due; create index task_due on task(due_at)").unwrap();
    drop(file);
    let message = refused(&place).await;
    assert!(message.contains("task_due") && message.contains("move the file away"), "{message}");
}

#[tokio::test]
async fn what_others_add_beside_ours_is_no_conflict() {
    let place = Place::new();
    Connection::open(place.path()).unwrap().execute_batch("create table notes(text)").unwrap();
    place.open().await.close().await;
    Connection::open(place.path())
        .unwrap()
        .execute_batch("create index by_title on task_data(title)")
        .unwrap();
    place.open().await.close().await;
}

//! Power losses: the database and its log as they are at some moment, while everybody writes. What the system still
//! keeps to itself counts as written here; that a commit waits for the disk is `faults`' case.

use super::{Place, child};
use rusqlite::Connection;
use std::{
    collections::HashMap,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command},
    sync::{Arc, Mutex},
    time::Duration,
};

const LOSSES: usize = 12;

struct Writer {
    child: Child,
    acknowledged: Arc<Mutex<Vec<String>>>,
}

impl Writer {
    fn begin(url: &str) -> Self {
        let mut child = child::begin(&["write", url, "5"]);
        let (said, heard) = (child.stdout.take().unwrap(), Arc::new(Mutex::new(Vec::new())));
        let acknowledged = heard.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(said).lines().map_while(Result::ok) {
                heard.lock().unwrap().extend(child::said(&line));
            }
        });
        Writer { child, acknowledged }
    }

    fn signal(&self, signal: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args([&format!("-{signal}"), &id]).status().unwrap().success());
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_outlives_a_power_loss() {
    let place = Place::new();
    place.open().await.close().await;
    let writers = [(); 2].map(|()| Writer::begin(&place.url()));
    for writer in &writers {
        super::until("the first words", || !writer.acknowledged.lock().unwrap().is_empty()).await;
    }
    let mut last = 0;
    for loss in 0..LOSSES {
        tokio::time::sleep(Duration::from_millis(20 + fastrand::u64(..150))).await;
        let acknowledged: Vec<String> =
            writers.iter().flat_map(|writer| writer.acknowledged.lock().unwrap().clone()).collect();
        // At one moment, as the lights go out.
        writers.iter().for_each(|writer| writer.signal("STOP"));
        let image = place.folder.path().join(format!("{loss}.db"));
        std::fs::copy(place.path(), &image).unwrap();
        std::fs::copy(place.log(), image.with_extension("db-wal")).unwrap();
        writers.iter().for_each(|writer| writer.signal("CONT"));
        check(&image, &acknowledged);
        last = acknowledged.len();
    }
    assert!(last > 50, "too little was written: {last}");
    drop(writers);
    // The last one as a team would find it.
    let image = place.folder.path().join(format!("{}.db", LOSSES - 1));
    let k = child::open(&format!("sqlite:{}", image.display())).await;
    let before = k.events().last_seq().await.unwrap();
    k.tasks().enqueue(crate::fixture::task("after")).await.unwrap();
    assert_eq!(k.events().last_seq().await.unwrap(), before + 1);
    k.close().await;
}

fn check(image: &Path, acknowledged: &[String]) {
    let file = Connection::open(image).unwrap();
    let one = |sql: &str| file.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(file.query_row("pragma integrity_check", [], |row| row.get::<_, String>(0)).unwrap(), "ok");
    let mut statement = file.prepare("select id, status from task").unwrap();
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    let tasks: HashMap<String, String> = rows.map(Result::unwrap).collect();
    for line in acknowledged {
        let (what, id) = line.split_once(' ').unwrap();
        let status = tasks.get(id).unwrap_or_else(|| panic!("{line} is lost"));
        assert!(what == "added" || status == "completed", "{line}, but it is {status}");
    }
    let newest = one("select event_seq from namespace");
    assert_eq!(one("select count(*) from event"), newest, "no gap");
    assert_eq!(one("select coalesce(max(key & 0xfffffffffff), 0) from event"), newest);
    let untold = "select count(*) from task where n not in (
        select task from event where topic = 'task.enqueued')";
    assert_eq!(one(untold), 0, "a task and its event are one commit");
    let half = "select count(*) from task where (status = 'completed') <> (n in (
        select task from event where topic = 'task.completed'))
        or n not in (select n from task_data)";
    assert_eq!(one(half), 0, "a completion and its event are one commit");
}

//! Real processes consume one subscription, and are killed.

use crate::{cases, fixture::Team, sqlite::child, worker::eventually};
use kurultai_core::{
    Config, Kurultai,
    events::{Consume, NewEvent, NewSubscription},
};
use std::{
    collections::HashSet,
    io::{BufRead, BufReader},
    process::Child,
    thread::JoinHandle,
    time::Duration,
};
use tokio::time::sleep;

cases![two_consumers_that_are_killed_miss_nothing_and_acknowledge_each_event_once];

const KILLS: usize = 10;
const MANY: i64 = 1_000;

async fn open(url: &str, namespace: &str) -> Kurultai {
    let config = Config::new(url).unwrap().namespace(namespace).unwrap();
    Kurultai::open_with(config.background(true)).await.unwrap()
}

/// The part of a process: what it was given, and what it has acknowledged.
pub(crate) async fn consume(url: &str, namespace: &str) {
    let k = open(url, namespace).await;
    let next = Consume::new("s").max(7).hold(Duration::from_secs(1)).wait(Duration::from_secs(60));
    loop {
        let batch = k.events().consume(next.clone()).await.unwrap();
        let seqs: Vec<String> = batch.events.iter().map(|event| event.seq.to_string()).collect();
        child::say(&format!("given {}", seqs.join(" ")));
        sleep(Duration::from_millis(fastrand::u64(0..8))).await;
        match batch.ack().await {
            Ok(()) => child::say(&format!("acked {}", seqs.join(" "))),
            Err(error) => assert_eq!(error.code(), "event.stale_consumer", "{error}"),
        }
    }
}

/// A process, and what it says until it ends.
struct Consumer {
    process: Child,
    said: Option<JoinHandle<Vec<String>>>,
}

impl Consumer {
    fn begin(url: &str, namespace: &str) -> Self {
        let mut process = child::begin(&["consume", url, namespace]);
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let said = std::thread::spawn(move || {
            let lines = lines.map_while(Result::ok);
            lines.filter_map(|line| Some(line.split_once("said ")?.1.to_owned())).collect()
        });
        Consumer { process, said: Some(said) }
    }

    fn kill(mut self) -> Vec<String> {
        let said = self.said.take().unwrap();
        drop(self);
        said.join().unwrap()
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

fn seqs(line: &str, what: &str) -> Vec<i64> {
    let words = line.strip_prefix(what).into_iter().flat_map(str::split_whitespace);
    words.map(|word| word.parse().unwrap()).collect()
}

async fn two_consumers_that_are_killed_miss_nothing_and_acknowledge_each_event_once(team: Team) {
    // Whose clock goes.
    let namespace = format!("{}-real", team.namespace);
    let k = open(&team.url, &namespace).await;
    k.events().subscribe(NewSubscription::new("s", "a")).await.unwrap();
    let mut consumers = [(); 2].map(|()| Some(Consumer::begin(&team.url, &namespace)));
    let (mut all, mut published) = (vec![], 0);
    for kill in 0..KILLS {
        let share = MANY / KILLS as i64;
        k.events().publish_many(vec![NewEvent::new("a"); share as usize]).await.unwrap();
        published += share;
        sleep(Duration::from_millis(fastrand::u64(50..800))).await;
        let place = &mut consumers[kill % 2];
        all.push(place.take().unwrap().kill());
        *place = Some(Consumer::begin(&team.url, &namespace));
    }
    eventually(|| async { k.events().subscriptions(None).await.unwrap()[0].lag == 0 }).await;
    all.extend(consumers.into_iter().flatten().map(Consumer::kill));

    let given: HashSet<i64> = all.iter().flatten().flat_map(|line| seqs(line, "given ")).collect();
    assert_eq!(given, (1..=published).collect::<HashSet<i64>>(), "none was missed");
    let mut acked: Vec<i64> = vec![];
    for of_one in &all {
        let its: Vec<i64> = of_one.iter().flat_map(|line| seqs(line, "acked ")).collect();
        assert!(its.is_sorted(), "a consumer has them in their order: {its:?}");
        acked.extend(its);
    }
    let once: HashSet<i64> = acked.iter().copied().collect();
    assert_eq!(once.len(), acked.len(), "each was acknowledged once");
    // Who was killed between an acknowledgement and its word has said nothing.
    assert!(published - acked.len() as i64 <= 7 * KILLS as i64, "{} of {published}", acked.len());
    assert!(k.events().dead("s").await.unwrap().is_empty());
    k.close().await;
}

//! A store that is away for a while.

use super::{LONG, next, prompt, soon};
use crate::{cases, fixture::Team};
use kurultai_core::{
    Clock, Config, Kurultai,
    events::EventFilter,
    tasks::{Claim, Status},
    worker::{Agent, Stop},
};
use rusqlite::Connection;
use serde_json::json;
use std::time::Duration;
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
    time::timeout,
};

/// Keeps a worker from its store: by another process that holds the file, or by a network that is down.
enum Outage {
    File(Connection),
    Network { url: String, away: watch::Sender<bool> },
}

impl Outage {
    async fn of(team: &Team) -> Outage {
        match team.url.strip_prefix("sqlite:") {
            Some(path) => Outage::File(Connection::open(path.split('?').next().unwrap()).unwrap()),
            None => Outage::network(&team.url).await,
        }
    }

    /// A door in front of the server; `bolt`, so that nobody is told of another one.
    async fn network(server: &str) -> Outage {
        let mut url = url::Url::parse(&server.replacen("neo4j", "bolt", 1)).unwrap();
        let address = format!("{}:{}", url.host_str().unwrap(), url.port().unwrap());
        let door = TcpListener::bind("127.0.0.1:0").await.unwrap();
        url.set_port(Some(door.local_addr().unwrap().port())).unwrap();
        let (away, seen) = watch::channel(false);
        tokio::spawn(async move {
            while let Ok((mut guest, _)) = door.accept().await {
                let (address, mut seen) = (address.clone(), seen.clone());
                tokio::spawn(async move {
                    let mut server = TcpStream::connect(address).await.unwrap();
                    tokio::select! {
                        _ = copy_bidirectional(&mut guest, &mut server) => {}
                        _ = seen.wait_for(|away| *away) => {}
                    }
                });
            }
        });
        Outage::Network { url: url.to_string(), away }
    }

    /// The team's store as the worker sees it.
    async fn open(&self, team: &Team) -> Kurultai {
        let url = match self {
            Outage::File(_) => &team.url,
            Outage::Network { url, .. } => url,
        };
        let config = Config::new(url).unwrap().namespace(&team.namespace).unwrap();
        let config = config.background(false).clock(Clock::Manual(team.clock.clone()));
        Kurultai::open_with(config).await.unwrap()
    }

    fn begin(&self) {
        match self {
            Outage::File(file) => file.execute_batch("begin immediate").unwrap(),
            Outage::Network { away, .. } => drop(away.send_replace(true)),
        }
    }

    fn end(&self) {
        match self {
            Outage::File(file) => file.execute_batch("rollback").unwrap(),
            Outage::Network { away, .. } => drop(away.send_replace(false)),
        }
    }

    /// After this long a call has failed at least once: a file is waited for ten seconds.
    fn felt(&self) -> Duration {
        match self {
            Outage::File(_) => Duration::from_secs(11),
            Outage::Network { .. } => Duration::from_secs(2),
        }
    }
}

cases![
    a_store_that_is_away_is_waited_for,
    a_lease_that_cannot_be_renewed_stops_its_job,
    who_follows_goes_on_after_an_outage,
];

async fn a_store_that_is_away_is_waited_for(team: Team) {
    let id = team.add(prompt("one")).await;
    let outage = Outage::of(&team).await;
    let k = outage.open(&team).await;
    let worker = Agent::new("temujin").concurrency(2).lease(LONG * 10).wait(Duration::from_millis(50));
    let jobs = worker.start(&k).await.unwrap();
    let job = next(&jobs).await;
    outage.begin();
    let completing = job.complete(json!("done"), None);
    tokio::pin!(completing);
    assert!(timeout(outage.felt(), &mut completing).await.is_err(), "there is nothing to store it in");
    outage.end();
    assert_eq!(soon(completing).await.unwrap().status, Status::Completed);
    assert_eq!(team.get(&id).await.attempts, 1);
    // It claims again too.
    let second = team.add(prompt("two")).await;
    assert_eq!(next(&jobs).await.task.id, second);
}

async fn a_lease_that_cannot_be_renewed_stops_its_job(team: Team) {
    let id = team.add(prompt("one")).await;
    let outage = Outage::of(&team).await;
    let jobs = super::worker().start(&outage.open(&team).await).await.unwrap();
    let job = next(&jobs).await;
    outage.begin();
    assert_eq!(soon(job.stopped()).await, Stop::Lost, "without a word of the store");
    outage.end();
    // By the store's clock no second has passed: the job may well give the task back.
    jobs.drain();
    drop(job);
    team.becomes(&id, Status::Pending).await;
}

async fn who_follows_goes_on_after_an_outage(team: Team) {
    team.agent("temujin", &[]).await;
    let outage = Outage::of(&team).await;
    let k = outage.open(&team).await;
    let mut follow = k.events().follow(EventFilter { after_seq: 1, ..Default::default() }).unwrap();
    let following = tokio::spawn(async move {
        let mut seen = Vec::new();
        while seen.len() < 3 {
            seen.extend(follow.next().await.unwrap().into_iter().map(|event| event.topic));
        }
        seen
    });
    let tasks = k.tasks();
    let claiming = tokio::spawn(async move {
        loop {
            let claim = Claim::new("temujin").wait(Duration::from_millis(200)).persistent(true);
            let claimed = tasks.claim(claim).await.unwrap();
            if !claimed.is_empty() {
                return claimed;
            }
        }
    });
    team.becomes(&team.add(prompt("one")).await, Status::InProgress).await;
    assert_eq!(soon(claiming).await.unwrap().len(), 1);
    outage.begin();
    let tasks = k.tasks();
    let claiming = tokio::spawn(async move {
        let claim = Claim::new("temujin").wait(Duration::from_secs(60)).persistent(true);
        tasks.claim(claim).await.unwrap()
    });
    tokio::time::sleep(Duration::from_secs(3)).await;
    outage.end();
    let id = team.add(prompt("two")).await;
    assert_eq!(soon(claiming).await.unwrap()[0].id, id);
    assert_eq!(soon(following).await.unwrap()[..3], ["task.enqueued", "task.claimed", "task.enqueued"]);
}

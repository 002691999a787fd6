//! A team of its own for each case, with a clock that the case moves.

use chrono::{DateTime, Utc};
use kurultai_core::{
    Clock, Config, Kurultai, ManualClock,
    agents::NewAgent,
    ids,
    tasks::{Claim, Claimed, NewTask, RetryPolicy, Status, Task},
};
use neo4rs::{ConfigBuilder, Graph};
use std::time::Duration;
use tempfile::TempDir;

/// On SQLite a file of its own, on Neo4j a namespace of its own.
pub(crate) struct Team {
    pub(crate) k: Kurultai,
    pub(crate) clock: ManualClock,
    pub(crate) url: String,
    pub(crate) namespace: String,
    _folder: Option<TempDir>,
}

/// The server that the run was given.
pub(crate) fn neo4j_url() -> String {
    std::env::var("KURULTAI_TEST_NEO4J").expect("set KURULTAI_TEST_NEO4J, or run `cargo xtask test`")
}

/// The server as another program sees it.
pub(crate) fn graph() -> Graph {
    let url = url::Url::parse(&neo4j_url()).unwrap();
    let address = format!("bolt://{}:{}", url.host_str().unwrap(), url.port().unwrap());
    let config = ConfigBuilder::default().uri(address).user(url.username()).password(url.password().unwrap());
    Graph::connect(config.db(url.path().trim_matches('/')).build().unwrap()).unwrap()
}

impl Team {
    pub(crate) async fn sqlite() -> Team {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}?durability=process", folder.path().join("team.db").display());
        Team::open(&url, Some(folder)).await
    }

    pub(crate) async fn neo4j() -> Team {
        Team::open(&neo4j_url(), None).await
    }

    /// An odd start, so that seconds and days differ from each other in every fixture.
    async fn open(url: &str, folder: Option<TempDir>) -> Team {
        let start: DateTime<Utc> = "2026-03-01T09:07:05.123456Z".parse().unwrap();
        let clock = ManualClock::at(start);
        let namespace = format!("t-{}", ids::new_id());
        let config = Team::config(url, &namespace, &clock);
        let k = Kurultai::open_with(config).await.unwrap();
        Team { k, clock, url: url.to_owned(), namespace, _folder: folder }
    }

    /// The same team as another process would open it.
    pub(crate) async fn reopen(&self, change: impl FnOnce(Config) -> Config) -> Kurultai {
        let config = Team::config(&self.url, &self.namespace, &self.clock);
        Kurultai::open_with(change(config)).await.unwrap()
    }

    pub(crate) fn config(url: &str, namespace: &str, clock: &ManualClock) -> Config {
        let config = Config::new(url).unwrap().namespace(namespace).unwrap();
        config.background(false).clock(Clock::Manual(clock.clone()))
    }

    pub(crate) fn seconds(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    /// A second passes, so that no two tasks are of one age.
    pub(crate) async fn add(&self, task: NewTask) -> String {
        self.seconds(1);
        self.k.tasks().enqueue(task).await.unwrap().id
    }

    pub(crate) async fn agent(&self, id: &str, capabilities: &[&str]) {
        let agent = NewAgent::new(id).capabilities(capabilities.iter().copied());
        self.k.agents().register(agent).await.unwrap();
    }

    /// As whoever writes to the database may: of the messages that say this. The value is as both languages write it.
    pub(crate) async fn tamper(&self, text: &str, column: &str, value: &str) {
        if let Some(file) = self.url.strip_prefix("sqlite:") {
            let change = format!("update message set {column} = {value} where payload like '%{text}%'");
            let file = file.split('?').next().unwrap();
            assert!(rusqlite::Connection::open(file).unwrap().execute(&change, []).unwrap() > 0);
            return;
        }
        let change = format!(
            "MATCH (m:AgentMessage {{namespace: $ns}}) WHERE m.payload CONTAINS $text SET m.{column} = {value}"
        );
        let change = neo4rs::query(&change).param("ns", self.namespace.as_str()).param("text", text);
        graph().run(change).await.unwrap();
    }

    pub(crate) async fn claim(&self, agent: &str, max: usize) -> Vec<Claimed> {
        self.k.tasks().claim(Claim::new(agent).max(max)).await.unwrap()
    }

    pub(crate) async fn claim_one(&self, agent: &str) -> Claimed {
        let mut claimed = self.claim(agent, 1).await;
        assert_eq!(claimed.len(), 1, "{agent} should have got a task");
        claimed.remove(0)
    }

    pub(crate) async fn claim_ids(&self, agent: &str, max: usize) -> Vec<String> {
        self.claim(agent, max).await.into_iter().map(|c| c.id).collect()
    }

    pub(crate) async fn complete(&self, claimed: &Claimed) {
        let results = serde_json::json!({"of": claimed.title});
        self.k.tasks().complete(&claimed.lease, results).await.unwrap();
    }

    pub(crate) async fn get(&self, id: &str) -> Task {
        self.k.tasks().get(id).await.unwrap()
    }

    pub(crate) async fn status(&self, id: &str) -> Status {
        self.get(id).await.status
    }

    pub(crate) async fn topics(&self, id: &str) -> Vec<String> {
        let filter =
            kurultai_core::events::EventFilter { task_id: Some(id.to_owned()), ..Default::default() };
        self.k.events().read(filter).await.unwrap().into_iter().map(|e| e.topic).collect()
    }
}

pub(crate) fn task(title: &str) -> NewTask {
    NewTask::new("review").title(title)
}

pub(crate) fn steady() -> RetryPolicy {
    RetryPolicy { jitter: false, ..RetryPolicy::default() }
}

/// The code of the error that a call must end with.
pub(crate) fn code<T: std::fmt::Debug>(result: Result<T, kurultai_core::Error>) -> &'static str {
    result.expect_err("should have been refused").code()
}

//! The graphs are written as another program would: with its own names, words and times, and no namespace.

mod agents;
mod options;
mod plan;
mod statuses;
mod waits;

use crate::fixture::{Team, graph};
use kurultai_core::tasks::{AdoptOptions, Adoption, FindingKind, Status};
use neo4rs::{BoltType, Graph, query};
use std::collections::BTreeMap;
use tokio::sync::{Mutex, MutexGuard};

/// Adoption takes whatever belongs to nobody, so one case at a time.
static TURN: Mutex<()> = Mutex::const_new(());

/// A team beside a graph in which nothing waits to be taken over yet.
struct Case {
    team: Team,
    graph: Graph,
    _turn: MutexGuard<'static, ()>,
}

impl Case {
    async fn new() -> Case {
        let turn = TURN.lock().await;
        let case = Case { team: Team::neo4j().await, graph: graph(), _turn: turn };
        case.write("MATCH (n:Task|Agent) WHERE n.namespace IS NULL DETACH DELETE n").await;
        case
    }

    /// `$ns` is the team's namespace.
    async fn write(&self, cypher: &str) {
        let mut rows =
            self.graph.execute(query(cypher).param("ns", self.team.namespace.as_str())).await.unwrap();
        while rows.next().await.unwrap().is_some() {}
    }

    async fn adopt(&self) -> Adoption {
        self.adopt_with(AdoptOptions::default()).await
    }

    async fn adopt_with(&self, options: AdoptOptions) -> Adoption {
        self.team.k.adopt(options).await.unwrap()
    }

    /// The maps that are returned as `row`.
    async fn rows(&self, cypher: &str) -> Vec<BTreeMap<String, String>> {
        let query = query(cypher).param("ns", self.team.namespace.as_str());
        let (mut rows, mut found) = (self.graph.execute(query).await.unwrap(), vec![]);
        while let Some(row) = rows.next().await.unwrap() {
            let BoltType::Map(map) = row.get::<BoltType>("row").unwrap() else { panic!("no map") };
            found.push(map.value.iter().map(|(key, value)| (key.value.clone(), plain(value))).collect());
        }
        found
    }

    /// Everything that an adoption could touch.
    async fn picture(&self) -> Vec<BTreeMap<String, String>> {
        let nodes = "MATCH (n:Task|Agent|TaskRoute|Event) WHERE coalesce(n.namespace, $ns) = $ns
            RETURN {element: elementId(n), properties: properties(n)} AS row";
        let edges = "MATCH (a)-[e:DEPENDS_ON|SPAWNED|ASSIGNED_TO]->(b) WHERE coalesce(a.namespace, $ns) = $ns
            RETURN {element: elementId(e), to: elementId(b), properties: properties(e)} AS row";
        let mut all = self.rows(nodes).await;
        all.extend(self.rows(edges).await);
        all.sort();
        all
    }

    async fn statuses(&self, ids: &[&str]) -> Vec<Status> {
        let tasks = self.team.k.tasks().get_many(ids).await.unwrap();
        tasks
            .into_iter()
            .zip(ids)
            .map(|(task, id)| task.unwrap_or_else(|| panic!("no {id}")).status)
            .collect()
    }

    /// Claims and completes until nothing is left, and returns the ids in that order.
    async fn work_off(&self, agents: &[&str]) -> Vec<String> {
        let mut order = vec![];
        loop {
            let before = order.len();
            for agent in agents {
                for claimed in self.team.claim(agent, 100).await {
                    self.team.complete(&claimed).await;
                    order.push(claimed.id);
                }
            }
            if order.len() == before {
                return order;
            }
        }
    }
}

/// As text, maps in the order of their keys.
fn plain(value: &BoltType) -> String {
    match value {
        BoltType::String(text) => format!("{:?}", text.value),
        BoltType::Map(map) => {
            let fields: BTreeMap<&str, String> =
                map.value.iter().map(|(key, value)| (key.value.as_str(), plain(value))).collect();
            format!("{fields:?}")
        }
        other => format!("{other:?}"),
    }
}

/// The examples of the finding that says this.
fn found<'a>(adoption: &'a Adoption, kind: FindingKind, what: &str) -> Vec<&'a str> {
    let mut all = adoption.findings.iter();
    let finding = all.find(|finding| finding.kind == kind && finding.what == what);
    let finding = finding.unwrap_or_else(|| panic!("nothing {kind} says {what:?}: {:#?}", adoption.findings));
    assert!(finding.count >= finding.examples.len() as u64 && finding.examples.len() <= 5);
    finding.examples.iter().map(String::as_str).collect()
}

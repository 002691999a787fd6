//! The rows of Neo4j. Each run begins and ends without nodes of its own, as the yardstick's do: what earlier runs left
//! would push each other out of the server's page cache.

use crate::{
    Effort, Result, claim,
    report::{Report, Row, Work},
    runner::{self, Run, Shape},
    yardstick::{Rates, Yardstick},
};
use kurultai_core::Config;
use neo4rs::{ConfigBuilder, Graph, query};
use url::Url;

/// Callers, batch, tasks. The lone caller comes last: a statement of one task shows longest that the server's compiler
/// is still at work. A run is short, so that the yardstick's comes before the machine has changed its speed; and each round
/// has all of them, so that a slow moment is no row's own.
const SHAPES: [(usize, usize, usize); 4] = [(16, 1, 3_200), (64, 1, 6_400), (1, 64, 6_400), (1, 1, 1_000)];
/// So often all of them unmeasured first, which takes a minute: the server's compiler has more to do with our statements
/// than with the yardstick's.
const WARM_UPS: usize = 3;
const CLAIMS: usize = 300;
/// No team's, as it is emptied. As long as the yardstick's: it stands in every node and index.
const NAMESPACE: &str = "zzzzz";
const NAMESPACE_OF_YARDSTICK: &str = "limit";

const CLEAR: [&str; 5] = [
    "MATCH (n:Task {namespace: $ns}) CALL (n) { DETACH DELETE n } IN TRANSACTIONS OF 5000 ROWS",
    "MATCH (n:Event {namespace: $ns}) CALL (n) { DELETE n } IN TRANSACTIONS OF 5000 ROWS",
    "MATCH (n:TaskRoute {namespace: $ns}) DELETE n",
    "MATCH (n:Agent {namespace: $ns}) DETACH DELETE n",
    "MATCH (n:Namespace {id: $ns}) DELETE n",
];

pub(crate) async fn measure(
    server: &Url,
    effort: Effort,
    yardstick: Option<&Yardstick>,
    report: &Report,
) -> Result<()> {
    let place = Place::new(server)?;
    warm_up(&place, yardstick).await?;
    let shapes = SHAPES.into_iter().filter(|shape| effort.covers(shape.0));
    let mut works: Vec<Work> = shapes
        .map(|(callers, batch, tasks)| {
            Work::new("neo4j", None, Shape::new(callers, batch, effort.tasks(tasks)))
        })
        .collect();
    for _ in 0..effort.runs {
        for work in &mut works {
            let ours = place.run(work.shape).await?;
            let limit = match yardstick {
                Some(yardstick) => Some(place.run_yardstick(yardstick, work.shape).await?),
                None => None,
            };
            work.add(ours, limit);
        }
    }
    works.iter().try_for_each(|work| report.work(work))?;
    if !effort.covers(1) {
        return Ok(());
    }
    let mut rows = claim::names(effort).map(|what| Row::new("neo4j", None, what, 1, 1));
    let latencies = claim::run(place.config()?, effort, effort.tasks(CLAIMS)).await?;
    rows.iter_mut().zip(latencies).for_each(|(row, latency)| row.add(latency, None));
    rows.iter().try_for_each(|row| report.row(row))?;
    place.clear(NAMESPACE).await
}

/// A cold server is five times slower. Ours goes first: its constraints suit the yardstick, not the reverse.
async fn warm_up(place: &Place<'_>, yardstick: Option<&Yardstick>) -> Result<()> {
    place.clear(NAMESPACE).await?;
    for _ in 0..WARM_UPS {
        for (callers, batch, tasks) in SHAPES {
            let shape = Shape::new(callers, batch, tasks);
            place.run(shape).await?;
            if let Some(yardstick) = yardstick {
                place.run_yardstick(yardstick, shape).await?;
            }
        }
    }
    Ok(())
}

/// Where the runs happen, one after the other.
struct Place<'a> {
    server: &'a Url,
    graph: Graph,
}

impl<'a> Place<'a> {
    fn new(server: &'a Url) -> Result<Self> {
        Ok(Place { server, graph: connect(server)? })
    }

    fn config(&self) -> Result<Config> {
        Ok(Config::new(self.server.as_str())?.namespace(NAMESPACE)?)
    }

    async fn run(&self, shape: Shape) -> Result<Run> {
        let run = runner::run(self.config()?, shape).await;
        self.clear(NAMESPACE).await?;
        run
    }

    /// It removes its nodes when it starts the next time; ours should not work among them until then.
    async fn run_yardstick(&self, yardstick: &Yardstick, shape: Shape) -> Result<Rates> {
        let rates = yardstick.neo4j(self.server, shape);
        self.clear(NAMESPACE_OF_YARDSTICK).await?;
        rates
    }

    async fn clear(&self, namespace: &str) -> Result<()> {
        for statement in CLEAR {
            self.graph.run(query(statement).param("ns", namespace)).await?;
        }
        Ok(())
    }
}

/// Apart from the team's own connections.
pub(crate) fn connect(server: &Url) -> Result<Graph> {
    let address =
        format!("bolt://{}:{}", server.host_str().unwrap_or("127.0.0.1"), server.port().unwrap_or(7687));
    let config = ConfigBuilder::default()
        .uri(address)
        .user(server.username())
        .password(server.password().unwrap_or_default())
        .build()?;
    Ok(Graph::connect(config)?)
}

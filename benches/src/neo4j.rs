//! The rows of Neo4j. Each run has a namespace of its own, which stays on the server.

use crate::{
    Effort, Result, claim,
    report::{Report, Row},
    runner::{self, Shape},
    yardstick::Yardstick,
};
use kurultai_core::Config;
use url::Url;

/// Callers, batch, tasks.
const SHAPES: [(usize, usize, usize); 4] = [(1, 1, 800), (16, 1, 6_400), (64, 1, 12_800), (1, 64, 12_800)];
const CLAIMS: usize = 300;

pub(crate) async fn measure(
    server: &Url,
    effort: Effort,
    yardstick: Option<&Yardstick>,
    report: &Report,
) -> Result<()> {
    let mut namespaces = (1..).map(|i| format!("bench-{}-{i}", std::process::id()));
    let mut fresh = || Ok(Config::new(server.as_str())?.namespace(&namespaces.next().unwrap_or_default())?);
    warm_up(server, yardstick, &mut fresh).await?;
    for (callers, batch, tasks) in SHAPES.into_iter().filter(|shape| effort.covers(shape.0)) {
        let shape = Shape::new(callers, batch, effort.tasks(tasks));
        let row = |what: &str| Row::new("neo4j", None, what.into(), callers, batch);
        let (mut enqueue, mut cycle) = (row("enqueue"), row("cycle"));
        for _ in 0..effort.runs {
            let ours = runner::run(fresh()?, shape).await?;
            let limit = yardstick.map(|y| y.neo4j(server, shape.tasks, callers * batch)).transpose()?;
            enqueue.add(ours.enqueue, limit.map(|l| l.enqueue_per_s));
            cycle.add(ours.cycle, limit.map(|l| l.cycle_per_s));
        }
        report.row(&cycle)?;
        report.row(&enqueue)?;
    }
    if !effort.covers(1) {
        return Ok(());
    }
    let mut rows = claim::names(effort).map(|what| Row::new("neo4j", None, what, 1, 1));
    let latencies = claim::run(fresh()?, effort, effort.tasks(CLAIMS)).await?;
    rows.iter_mut().zip(latencies).for_each(|(row, latency)| row.add(latency, None));
    rows.iter().try_for_each(|row| report.row(row))
}

/// A cold server is five times slower. Ours goes first: its constraints suit the yardstick, not the reverse.
async fn warm_up(
    server: &Url,
    yardstick: Option<&Yardstick>,
    fresh: &mut impl FnMut() -> Result<Config>,
) -> Result<()> {
    for (callers, batch) in [(64, 1), (1, 64), (1, 1)] {
        let shape = Shape::new(callers, batch, 4_000 / (65 - callers.max(batch)).min(8));
        runner::run(fresh()?, shape).await?;
        if let Some(yardstick) = yardstick {
            yardstick.neo4j(server, shape.tasks, callers * batch)?;
        }
    }
    Ok(())
}

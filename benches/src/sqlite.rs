//! The rows of SQLite, in both durability classes.

use crate::{
    Effort, Result, claim,
    report::{Report, Row, Work},
    runner::{self, Shape},
    yardstick::Yardstick,
};
use kurultai_core::Config;
use tempfile::TempDir;

/// Callers, batch, tasks in the class `process`; `full` is so much slower that it gets a part of them.
const SHAPES: [(usize, usize, usize, usize); 4] =
    [(1, 1, 6_000, 4), (16, 1, 32_000, 3), (128, 1, 96_000, 2), (4, 100, 96_000, 1)];
const CLAIMS: usize = 2_000;

pub(crate) async fn measure(effort: Effort, yardstick: Option<&Yardstick>, report: &Report) -> Result<()> {
    for durability in ["full", "process"] {
        let shapes = SHAPES.into_iter().filter(|shape| effort.covers(shape.0));
        let mut works: Vec<Work> = shapes
            .map(|(callers, batch, tasks, part)| {
                let tasks = if durability == "full" { tasks / part } else { tasks };
                Work::new("sqlite", Some(durability), Shape::new(callers, batch, effort.tasks(tasks)))
            })
            .collect();
        for _ in 0..effort.runs {
            for work in &mut works {
                let (_folder, config) = fresh(durability)?;
                let ours = runner::run(config, work.shape).await?;
                let limit = yardstick.map(|y| y.sqlite(work.shape, durability)).transpose()?;
                work.add(ours, limit);
            }
        }
        works.iter().try_for_each(|work| report.work(work))?;
        if !effort.covers(1) {
            continue;
        }
        let mut rows = claim::names(effort).map(|what| Row::new("sqlite", Some(durability), what, 1, 1));
        for _ in 0..effort.runs {
            let (_folder, config) = fresh(durability)?;
            let latencies = claim::run(config, effort, effort.tasks(CLAIMS)).await?;
            rows.iter_mut().zip(latencies).for_each(|(row, latency)| row.add(latency, None));
        }
        rows.iter().try_for_each(|row| report.row(row))?;
    }
    Ok(())
}

/// A file where the yardstick puts its own: in the folder for temporary files.
pub(crate) fn fresh(durability: &str) -> Result<(TempDir, Config)> {
    let (folder, url) = place(durability)?;
    Ok((folder, Config::new(&url)?))
}

pub(crate) fn place(durability: &str) -> Result<(TempDir, String)> {
    let folder = TempDir::with_prefix("kurultai-bench-")?;
    let url = format!("sqlite:{}?durability={durability}", folder.path().join("team.db").display());
    Ok((folder, url))
}

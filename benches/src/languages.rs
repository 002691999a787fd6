//! The rows of Python and Node: the same work through their packages, beside Rust in the same run, and what a call of
//! theirs costs by itself.

use crate::{
    Effort, Result,
    peers::Peers,
    report::{Across, Report},
    runner::{self, Shape},
    sqlite,
    yardstick::{Rates, said},
};
use serde::Deserialize;
use std::{path::PathBuf, process::Command};

const LANGUAGES: [&str; 2] = ["python", "node"];
/// Callers, batch, tasks; on SQLite in the class `process`, where the store hides least.
const SHAPES: [(usize, usize, usize); 2] = [(1000, 1, 48_000), (4, 100, 96_000)];

#[derive(Debug, Deserialize)]
struct Call {
    what: String,
    us: f64,
}

/// The tree whose packages are built and in their places.
#[derive(Debug)]
pub(crate) struct Languages {
    tree: PathBuf,
}

impl Languages {
    pub(crate) fn new(tree: PathBuf) -> Self {
        Languages { tree }
    }

    pub(crate) async fn measure(
        &self,
        effort: Effort,
        mut peers: Option<Peers>,
        report: &Report,
    ) -> Result<()> {
        report.across_head();
        for (callers, batch, tasks) in SHAPES.into_iter().filter(|shape| effort.covers(shape.0)) {
            let shape = Shape::new(callers, batch, effort.tasks(tasks));
            let rows = |what| LANGUAGES.map(|language| Across::new(language, what, callers, batch));
            let (mut cycles, mut enqueues) = (rows("cycle"), rows("enqueue"));
            for _ in 0..effort.runs {
                let (_folder, config) = sqlite::fresh("process")?;
                let rust = runner::run(config, shape).await?;
                for (cycle, enqueue) in cycles.iter_mut().zip(&mut enqueues) {
                    let (_folder, url) = sqlite::place("process")?;
                    let numbers = [callers, batch, shape.tasks].map(|n| n.to_string());
                    let args = [&["cycle", &url], &numbers.each_ref().map(String::as_str)[..]].concat();
                    let theirs: Rates = serde_json::from_str(&self.run(cycle.language, &args)?)?;
                    cycle.add(theirs.cycle_per_s, rust.cycle.per_second);
                    enqueue.add(theirs.enqueue_per_s, rust.enqueue.per_second);
                    if let Some(peers) = &mut peers {
                        peers.measure(cycle.language, shape, theirs);
                    }
                }
            }
            cycles.iter().chain(&enqueues).try_for_each(|row| report.across(row))?;
        }
        report.calls_head();
        for language in LANGUAGES {
            for line in self.run(language, &["calls"])?.lines() {
                let Call { what, us } = serde_json::from_str(line)?;
                report.call(language, &what, us)?;
            }
        }
        peers.map_or(Ok(()), |peers| peers.report(effort, report))
    }

    fn run(&self, language: &str, args: &[&str]) -> Result<String> {
        let mut command = match language {
            "python" => {
                let mut python = Command::new("python3");
                python.env("PYTHONPATH", self.tree.join("kurultai-py/python"));
                python.arg(self.tree.join("kurultai-py/bench.py"));
                python
            }
            _ => {
                let mut node = Command::new("node");
                node.arg(self.tree.join("kurultai-node/bench.mjs"));
                node
            }
        };
        said(command.args(args))
    }
}

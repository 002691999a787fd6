//! The yardstick's programs: the same contract on the bare store, without an API.

use crate::{Result, runner::Shape};
use serde::Deserialize;
use std::{path::PathBuf, process::Command};
use url::Url;

#[derive(Debug)]
pub(crate) struct Yardstick {
    folder: PathBuf,
}

#[derive(Debug, Clone, Copy, Deserialize)]
pub(crate) struct Rates {
    pub(crate) enqueue_per_s: f64,
    pub(crate) cycle_per_s: f64,
}

impl Yardstick {
    pub(crate) fn new(folder: PathBuf) -> Result<Self> {
        for program in ["sqlite", "neo4j"] {
            let path = folder.join(program);
            if !path.is_file() {
                return Err(format!(
                    "the yardstick lacks {}; build it with `cargo xtask bench`",
                    path.display()
                )
                .into());
            }
        }
        Ok(Yardstick { folder })
    }

    pub(crate) fn sqlite(&self, shape: Shape, durability: &str) -> Result<Rates> {
        let Shape { callers, batch, tasks } = shape;
        let numbers = [tasks, callers, batch].map(|n| n.to_string());
        let [tasks, callers, batch] = &numbers;
        self.run("sqlite", &[tasks, callers, durability, batch], &[])
    }

    /// What so many callers could share: one connection that takes batches of that size.
    pub(crate) fn neo4j(&self, server: &Url, shape: Shape) -> Result<Rates> {
        let Shape { callers, batch, tasks } = shape;
        let uri =
            format!("bolt://{}:{}", server.host_str().unwrap_or("127.0.0.1"), server.port().unwrap_or(7687));
        let user = if server.username().is_empty() { "neo4j" } else { server.username() };
        let password = server.password().unwrap_or_default();
        let variables = [("NEO4J_URI", uri.as_str()), ("NEO4J_USER", user), ("NEO4J_PASSWORD", password)];
        self.run("neo4j", &[&tasks.to_string(), "1", &(callers * batch).to_string()], &variables)
    }

    fn run(&self, program: &str, args: &[&str], variables: &[(&str, &str)]) -> Result<Rates> {
        let mut command = Command::new(self.folder.join(program));
        Ok(serde_json::from_str(&said(command.args(args).envs(variables.iter().copied()))?)?)
    }
}

/// What a program printed. Its error names the arguments and not the environment, where a password may be.
pub(crate) fn said(command: &mut Command) -> Result<String> {
    let output = command.output()?;
    if !output.status.success() {
        let why = String::from_utf8_lossy(&output.stderr);
        let words: Vec<_> = std::iter::once(command.get_program()).chain(command.get_args()).collect();
        return Err(format!("{words:?} failed: {}", why.trim()).into());
    }
    Ok(String::from_utf8(output.stdout)?)
}

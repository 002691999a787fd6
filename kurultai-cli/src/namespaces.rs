//! `kurultai namespaces`: the teams of one database.

use crate::{
    migrate::agreed,
    output::{Done, Stop, remark, say, say_all, say_json, table, whole},
    text::{clean, count},
};
use kurultai_core::{Error, Kind, Kurultai};
use std::io::{self, IsTerminal};

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Each with how many tasks and agents it has
    List,
    /// Delete one with everything in it; asks first
    Delete {
        name: String,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
    },
}

impl Command {
    pub(crate) async fn run(self, kurultai: &Kurultai, json: bool) -> Done {
        match self {
            Command::List => list(kurultai, json).await,
            Command::Delete { name, yes } => delete(kurultai, &name, yes, json).await,
        }
    }
}

async fn list(kurultai: &Kurultai, json: bool) -> Done {
    let all = kurultai.namespaces().await?;
    if json {
        return say_json(&all);
    }
    let rows: Vec<Vec<String>> = all
        .iter()
        .map(|info| vec![info.name.clone(), info.tasks.to_string(), info.agents.to_string()])
        .collect();
    say_all(&table(&[whole("NAMESPACE"), whole("TASKS"), whole("AGENTS")], &rows))
}

async fn delete(kurultai: &Kurultai, name: &str, yes: bool, json: bool) -> Done {
    let all = kurultai.namespaces().await?;
    if let Some(info) = all.iter().find(|info| info.name == name)
        && name != kurultai.namespace()
        && !yes
    {
        let many = |number: u64, what| count(usize::try_from(number).unwrap_or(usize::MAX), what);
        ask(name, &format!("{} and {}", many(info.tasks, "task"), many(info.agents, "agent")), json).await?;
    }
    if !kurultai.delete_namespace(name).await? {
        let message = format!("there is no namespace {name:?}");
        return Err(Error::new(Kind::NotFound, "store.namespace_missing", message).into());
    }
    if json {
        return say_json(&serde_json::json!({"namespace": name, "deleted": true}));
    }
    say(format!("{} is deleted", clean(name)))
}

/// Whoever cannot be asked must say `--yes`.
async fn ask(name: &str, what: &str, json: bool) -> Done {
    if json || !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        let message = format!("{what} of {name} would be deleted; say --yes");
        return Err(Error::new(Kind::Input, "input.usage", message).into());
    }
    if agreed(&format!("delete {} with {what}? [y/N] ", clean(name))).await? {
        return Ok(());
    }
    remark("nothing was deleted");
    Err(Stop::Exit(0))
}

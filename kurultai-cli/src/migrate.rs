//! `kurultai migrate`.

use crate::{
    Place,
    output::{Done, Stop, remark, say, say_all, say_json},
    text::{clean, count},
};
use kurultai_core::{
    Error, Kind, Kurultai,
    tasks::{AdoptOptions, Adoption, Finding, FindingKind},
};
use serde::Serialize;
use std::{
    io::{self, IsTerminal, Write},
    thread,
};

#[derive(Debug, clap::Args)]
pub(crate) struct Migrate {
    /// Also take over tasks and agents that other programs wrote under the same names: prints what would be done and
    /// asks before it changes anything; ADOPTING.md says what is read as what
    #[arg(long)]
    adopt: bool,
    /// Print what would be taken over and stop; the schema is brought up to date, no node is touched
    #[arg(long, requires = "adopt")]
    dry_run: bool,
    /// Do not ask
    #[arg(long, short, requires = "adopt", conflicts_with = "dry_run")]
    yes: bool,
    /// Only nodes that have one of these labels, as Task or Agent
    #[arg(long, requires = "adopt", value_name = "LABEL", value_delimiter = ',')]
    label: Vec<String>,
    /// Only these, by the id, task_id or agent_id that they have now
    #[arg(long, requires = "adopt", value_name = "ID", value_delimiter = ',')]
    id: Vec<String>,
    /// Only tasks of these types, and no agent
    #[arg(long = "type", requires = "adopt", value_name = "TYPE", value_delimiter = ',')]
    types: Vec<String>,
    /// Only tasks whose status is one of these words, as it is written there, and no agent
    #[arg(long, requires = "adopt", value_name = "STATUS", value_delimiter = ',')]
    status: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Answer<'a> {
    store: &'a str,
    /// Whether the schema was changed.
    applied: bool,
    adopted: Option<&'a Adoption>,
}

impl Migrate {
    pub(crate) async fn run(&self, place: &Place) -> Done {
        let found = Kurultai::open_with(place.config()?.migrate(false).background(false)).await;
        let (kurultai, applied) = match found {
            Ok(kurultai) => (kurultai, false),
            Err(error) if error.code() == "store.schema_older" => {
                (Kurultai::open_with(place.config()?.background(false)).await?, true)
            }
            Err(error) => return Err(error.into()),
        };
        if !place.json {
            say(if applied { "the schema was brought up to date" } else { "the schema is up to date" })?;
        }
        let adopted = if self.adopt { Some(self.adopt(&kurultai, place.json).await) } else { None };
        let store = kurultai.store_name();
        kurultai.close().await;
        let adopted = adopted.transpose()?;
        if place.json {
            say_json(&Answer { store, applied, adopted: adopted.as_ref() })?;
        }
        match adopted.filter(|adoption| adoption.dry_run && !self.dry_run && !is_nothing(adoption)) {
            Some(_) => Err(unasked().into()),
            None => Ok(()),
        }
    }

    fn options(&self, dry_run: bool) -> AdoptOptions {
        let given = |words: &[String]| (!words.is_empty()).then(|| words.to_vec());
        AdoptOptions {
            dry_run,
            labels: given(&self.label),
            ids: given(&self.id),
            types: given(&self.types),
            statuses: given(&self.status),
        }
    }

    /// What was taken over; a dry run where nobody could be asked.
    async fn adopt(&self, kurultai: &Kurultai, json: bool) -> Done<Adoption> {
        if !self.yes {
            let plan = kurultai.adopt(self.options(true)).await?;
            if !json {
                say_all(&lines(&plan))?;
            }
            let nobody_to_ask = json || !io::stdin().is_terminal() || !io::stderr().is_terminal();
            if self.dry_run || is_nothing(&plan) || nobody_to_ask {
                return Ok(plan);
            }
            if !agreed("take them over? [y/N] ").await? {
                remark("nothing was taken over");
                return Err(Stop::Exit(0));
            }
        }
        let adoption = kurultai.adopt(self.options(false)).await?;
        if !json {
            say_all(&lines(&adoption))?;
        }
        Ok(adoption)
    }
}

fn is_nothing(adoption: &Adoption) -> bool {
    adoption.tasks + adoption.agents == 0
}

fn unasked() -> Error {
    let message =
        "nothing was taken over, as there is no terminal to ask at: repeat it with --yes, or with --dry-run";
    Error::new(Kind::Input, "input.usage", message)
}

/// Asks at the terminal, in a thread of its own: an interrupt must end the program while nobody answers.
pub(crate) async fn agreed(question: &str) -> Done<bool> {
    let mut err = io::stderr();
    write!(err, "{question}").and_then(|()| err.flush())?;
    let (tell, told) = tokio::sync::oneshot::channel();
    thread::spawn(move || {
        let mut answer = String::new();
        let read = io::stdin().read_line(&mut answer);
        drop(tell.send(read.map(|_| matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))));
    });
    Ok(told.await.unwrap_or(Ok(false))?)
}

fn lines(adoption: &Adoption) -> Vec<String> {
    let Adoption { dry_run, tasks, agents, by_status, findings } = adoption;
    let verb = if *dry_run { "would be" } else { "were" };
    let (tasks, agents) = (count(*tasks as usize, "task"), count(*agents as usize, "agent"));
    let mut lines = vec![format!("{tasks} and {agents} {verb} taken over")];
    lines.extend(by_status.iter().map(|(status, tasks)| format!("  {tasks:>6}  {status}")));
    for group in findings.chunk_by(|a, b| a.kind == b.kind) {
        lines.push(heading(group[0].kind).to_owned());
        lines.extend(group.iter().map(line));
    }
    lines
}

fn heading(kind: FindingKind) -> &'static str {
    match kind {
        FindingKind::Read => "read under our names:",
        FindingKind::Guessed => "guessed; look whether it is right:",
        FindingKind::Suspended => "suspended until somebody resumes or cancels them:",
        FindingKind::Dropped => "dropped:",
        FindingKind::Unresolved => "names that nobody is known by:",
        FindingKind::LeftOut => "left as they are:",
        other => other.as_str(),
    }
}

fn line(finding: &Finding) -> String {
    let Finding { what, count, examples, .. } = finding;
    let more = if *count > examples.len() as u64 { ", ..." } else { "" };
    clean(&format!("  {count:>6}  {what}: {}{more}", examples.join(", ")))
}

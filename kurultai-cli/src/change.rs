//! `kurultai tasks update`, `assign`, `reprioritize`, and what is done to all tasks that match.

use crate::{
    output::Done,
    stdin,
    text::{time, word},
};
use chrono::{DateTime, Utc};
use kurultai_core::{
    Json, Tasks,
    tasks::{Filter, Priority, Status, Task, TaskUpdate},
};

#[derive(Debug, clap::Args)]
pub(crate) struct Update {
    id: String,
    #[arg(long)]
    title: Option<String>,
    #[arg(long)]
    description: Option<String>,
    /// JSON, or - for stdin
    #[arg(long, value_name = "JSON", value_parser = stdin::text, allow_hyphen_values = true)]
    payload: Option<String>,
    /// P0 to P3
    #[arg(long, value_parser = word::<Priority>)]
    priority: Option<Priority>,
    /// 0 to 1, higher first within a priority
    #[arg(long, allow_negative_numbers = true)]
    weight: Option<f64>,
    /// As 2026-03-01T09:00:00Z, or `now`
    #[arg(long, value_name = "TIME", value_parser = |text: &str| moment(text, "now"))]
    run_at: Option<Moment>,
    /// As 2026-03-01T09:00:00Z, or `never`
    #[arg(long, value_name = "TIME", value_parser = |text: &str| moment(text, "never"))]
    expires_at: Option<Moment>,
    /// The only agent that may claim it
    #[arg(long, value_name = "AGENT", conflicts_with = "anybody")]
    assign: Option<String>,
    /// Let any agent claim it
    #[arg(long)]
    anybody: bool,
}

/// A time, or the word that stands for none.
type Moment = (Option<DateTime<Utc>>,);

fn moment(text: &str, none: &str) -> Result<Moment, String> {
    if text == none {
        return Ok((None,));
    }
    time(text).map(|at| (Some(at),)).map_err(|allowed| format!("{allowed}, or {none}"))
}

impl Update {
    pub(crate) async fn run(self, tasks: &Tasks) -> Done<Task> {
        let update = TaskUpdate {
            title: self.title,
            description: self.description,
            payload: self.payload.map(Json::text).transpose()?,
            priority: self.priority,
            priority_weight: self.weight,
            run_at: self.run_at.map(|(at,)| at),
            expires_at: self.expires_at.map(|(at,)| at),
            assigned_to: self.assign.map(Some).or_else(|| self.anybody.then_some(None)),
        };
        Ok(tasks.update(&self.id, update).await?)
    }
}

/// Which tasks; by nothing at all it is none.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = true, args = ["status", "task_type", "assigned_to", "claimed_by", "parent"])]
pub(crate) struct Matching {
    #[command(flatten)]
    by: By,
}

impl Matching {
    pub(crate) fn filter(self) -> Filter {
        self.by.filter()
    }
}

/// By what tasks are told apart.
#[derive(Debug, clap::Args)]
pub(crate) struct By {
    #[arg(long, value_parser = word::<Status>)]
    status: Option<Status>,
    #[arg(long = "type", value_name = "TYPE")]
    task_type: Option<String>,
    #[arg(long, value_name = "AGENT")]
    assigned_to: Option<String>,
    #[arg(long, value_name = "AGENT")]
    claimed_by: Option<String>,
    #[arg(long, value_name = "ID")]
    parent: Option<String>,
}

impl By {
    pub(crate) fn filter(self) -> Filter {
        Filter {
            status: self.status,
            task_type: self.task_type,
            assigned_to: self.assigned_to,
            claimed_by: self.claimed_by,
            parent_id: self.parent,
            ..Filter::default()
        }
    }
}

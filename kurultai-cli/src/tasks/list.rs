//! `kurultai tasks list`, and what lists tasks.

use crate::{
    output::{Done, say, say_all, say_json, table, text, whole},
    status::name,
    text::{natural, word},
};
use kurultai_core::{
    Kurultai,
    tasks::{Filter, Status, Task},
};

#[derive(Debug, clap::Args)]
pub(crate) struct List {
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
    #[arg(long, default_value_t = 100, allow_negative_numbers = true, value_parser = natural::<usize>)]
    limit: usize,
    /// What the page before ended with
    #[arg(long)]
    cursor: Option<String>,
}

impl List {
    pub(super) async fn run(self, kurultai: &Kurultai, json: bool) -> Done {
        let filter = Filter {
            status: self.status,
            task_type: self.task_type,
            assigned_to: self.assigned_to,
            claimed_by: self.claimed_by,
            parent_id: self.parent,
            cursor: self.cursor,
            limit: self.limit,
        };
        let page = kurultai.tasks().list(filter).await?;
        if json { say_json(&page) } else { listed(&page.tasks, page.next.as_deref()) }
    }
}

pub(super) fn listed(tasks: &[Task], next: Option<&str>) -> Done {
    if tasks.is_empty() {
        return say("no task");
    }
    let rows: Vec<Vec<String>> = tasks
        .iter()
        .map(|task| {
            let agent = task.claimed_by.as_ref().or(task.assigned_to.as_ref());
            vec![
                task.id.clone(),
                task.status.to_string(),
                task.priority.to_string(),
                task.task_type.clone(),
                agent.cloned().unwrap_or_default(),
                name(task),
            ]
        })
        .collect();
    let columns = [whole("ID"), whole("STATUS"), whole("PR"), text("TYPE"), text("AGENT"), text("TITLE")];
    say_all(&table(&columns, &rows))?;
    next.map_or(Ok(()), |next| say(format!("there are more: --cursor {next}")))
}

//! `kurultai tasks list`, and what lists tasks.

use crate::{
    change::By,
    output::{Done, say, say_all, say_json, table, text, whole},
    status::name,
    text::natural,
};
use kurultai_core::{
    Kurultai,
    tasks::{Filter, Task},
};

#[derive(Debug, clap::Args)]
pub(crate) struct List {
    #[command(flatten)]
    by: By,
    #[arg(long, default_value_t = 100, allow_negative_numbers = true, value_parser = natural::<usize>)]
    limit: usize,
    /// What the page before ended with
    #[arg(long)]
    cursor: Option<String>,
}

impl List {
    pub(super) async fn run(self, kurultai: &Kurultai, json: bool) -> Done {
        let filter = Filter { cursor: self.cursor, limit: self.limit, ..self.by.filter() };
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

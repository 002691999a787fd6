//! `kurultai status`: the team on one screen.

use crate::{
    agents,
    events::burning,
    output::{Done, WIDTH, number, say_json, table, text, whole, write},
    subscriptions,
    text::{clean, now, short, span, utc},
    watch::Silences,
};
use kurultai_core::{
    Kurultai,
    events::{Alert, Subscription},
    tasks::{EmergencyStop, Filter, Stats, Status as TaskStatus, Task},
};
use serde::Serialize;
use std::{io::IsTerminal, time::Duration};

#[derive(Debug, clap::Args)]
pub(crate) struct Status {
    /// Again and again, every so many seconds
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "2", allow_negative_numbers = true,
        value_parser = clap::value_parser!(u64).range(1..))]
    watch: Option<u64>,
    #[command(flatten)]
    silences: Silences,
}

const DEAD_LETTERS: usize = 5;

#[derive(Debug, Serialize)]
struct Picture<'a> {
    namespace: &'a str,
    store: &'a str,
    at: chrono::DateTime<chrono::Utc>,
    agents: Vec<agents::Seen>,
    tasks: &'a Stats,
    dead_letters: &'a [Task],
    alerts: Vec<Alert>,
    subscriptions: Vec<Subscription>,
    last_event: i64,
}

impl Status {
    pub(crate) async fn run(self, kurultai: &Kurultai, json: bool) -> Done {
        let clear = if std::io::stdout().is_terminal() { "\x1b[H\x1b[2J" } else { "" };
        loop {
            let seen = agents::seen(kurultai, self.silences.thresholds()).await?;
            let stats = kurultai.tasks().stats().await?;
            let dead = match stats.by_status.get(&TaskStatus::DeadLetter) {
                None | Some(0) => vec![],
                Some(_) => {
                    let filter = Filter { limit: DEAD_LETTERS, ..Filter::default() };
                    kurultai.tasks().dead_letters(filter).await?.tasks
                }
            };
            let alerts = kurultai.events().alerts().await?;
            let readers = kurultai.events().subscriptions(None).await?;
            let (namespace, store) = (kurultai.namespace(), kurultai.store_name());
            if json {
                let last_event = kurultai.events().last_seq().await?;
                say_json(&Picture {
                    namespace,
                    store,
                    at: now(),
                    agents: seen,
                    tasks: &stats,
                    dead_letters: &dead,
                    alerts,
                    subscriptions: readers,
                    last_event,
                })?;
            } else {
                let mut lines = vec![format!("team {namespace} on {store}, {}", utc(now())), String::new()];
                lines.extend(if seen.is_empty() {
                    vec!["no agent is registered".to_owned()]
                } else {
                    agents::lines(&seen)
                });
                lines.push(String::new());
                lines.extend(burning(&alerts));
                lines.extend(numbers(&stats));
                lines.extend(letters(&stats, &dead));
                if !readers.is_empty() {
                    lines.push(String::new());
                    lines.extend(subscriptions::listed(&readers));
                }
                let lines: Vec<String> = lines.iter().map(|line| short(line, WIDTH)).collect();
                let clear = if self.watch.is_some() { clear } else { "" };
                write(&format!("{clear}{}\n", lines.join("\n")))?;
            }
            match self.watch {
                Some(seconds) => tokio::time::sleep(Duration::from_secs(seconds)).await,
                None => return Ok(()),
            }
        }
    }
}

/// The counts and times, also for `tasks stats`.
pub(crate) fn numbers(stats: &Stats) -> Vec<String> {
    let counts: Vec<String> = stats
        .by_status
        .iter()
        .filter(|(_, count)| **count > 0)
        .map(|(status, count)| format!("{count} {}", status.as_str().replace('_', " ")))
        .collect();
    let counts = if counts.is_empty() { "none".to_owned() } else { counts.join(", ") };
    let oldest = match stats.oldest_pending_seconds {
        Some(seconds) => format!("has waited {}", span(seconds)),
        None => "nothing waits to be claimed".to_owned(),
    };
    let row = |p: kurultai_core::tasks::Percentiles| format!("p50 {:<10}  p99 {}", span(p.p50), span(p.p99));
    let mut lines = vec![format!("tasks   {counts}"), format!("oldest  {oldest}")];
    if stats.by_status.get(&TaskStatus::Completed).is_some_and(|count| *count > 0) {
        lines.push(format!("wait    {}", row(stats.wait_seconds)));
        lines.push(format!("run     {}", row(stats.run_seconds)));
    }
    if stats.expired_last_day > 0 {
        lines
            .push(format!("expired {} in the last day: nobody claimed them in time", stats.expired_last_day));
    }
    if let Some(EmergencyStop { reason, at }) = &stats.stopped {
        lines.push(format!("STOPPED since {}: {}", utc(*at), clean(reason)));
    } else if !stats.paused.is_empty() {
        let everything = stats.paused.iter().any(String::is_empty);
        let types: Vec<String> = stats.paused.iter().filter(|p| !p.is_empty()).map(|p| clean(p)).collect();
        let what = if everything { "EVERYTHING".to_owned() } else { types.join(", ") };
        lines.push(format!("paused  {what}"));
    }
    lines
}

fn letters(stats: &Stats, dead: &[Task]) -> Vec<String> {
    if dead.is_empty() {
        return vec![];
    }
    let all = stats.by_status.get(&TaskStatus::DeadLetter).copied().unwrap_or_default() as usize;
    let rows: Vec<Vec<String>> = dead
        .iter()
        .map(|task| {
            let error = task.error_message.clone().unwrap_or_default();
            vec![task.id.clone(), name(task), task.attempts.to_string(), error]
        })
        .collect();
    let mut lines = vec![String::new()];
    lines.extend(table(&[whole("DEAD LETTER"), text("TASK"), number("TRIES"), text("LAST ERROR")], &rows));
    if all > dead.len() {
        lines.push(format!("and {} more: `kurultai tasks dead-letters`", all - dead.len()));
    }
    lines
}

/// What people call a task: its title, or else its type.
pub(crate) fn name(task: &Task) -> String {
    if task.title.is_empty() { task.task_type.clone() } else { task.title.clone() }
}

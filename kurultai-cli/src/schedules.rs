//! `kurultai schedules`: what is due when.

use crate::{
    output::{Done, remark, say, say_all, say_json, table, text, whole},
    tasks::Fields,
    text::{clean, duration, quoted, span, time, utc, word},
};
use chrono::{DateTime, Utc};
use kurultai_core::{
    Kurultai,
    schedules::{CatchUp, NewSchedule, Overlap, Schedule},
};
use std::time::Duration;

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Put a schedule, in place of the one of its name: a task at its times
    Put(Box<Put>),
    /// All schedules, with their next three times
    List,
    /// One schedule
    Get { name: String },
    /// Let it enqueue nothing until it is unpaused
    Pause { name: String },
    /// Let it enqueue again; what came while it was paused is not caught up
    Unpause { name: String },
    /// Enqueue its task now, whatever is due
    Run { name: String },
    /// Remove it; its tasks stay
    Remove { name: String },
}

#[derive(Debug, clap::Args)]
#[command(group(clap::ArgGroup::new("when").required(true).args(["every", "cron"])))]
pub(crate) struct Put {
    name: String,
    #[command(flatten)]
    fields: Fields,
    /// From one time to the next, counted from --start or from the first put
    #[arg(long, allow_hyphen_values = true, value_parser = duration)]
    every: Option<Duration>,
    /// Minute hour day month weekday, as "0 9 * * MON"; or @hourly, @daily, @weekly, @monthly, @yearly
    #[arg(long, allow_hyphen_values = true)]
    cron: Option<String>,
    /// Whose wall clock --cron goes by, as Asia/Ulaanbaatar
    #[arg(long, default_value = "UTC")]
    timezone: String,
    /// It is not due before; as 2026-03-01T09:00:00Z
    #[arg(long, value_name = "TIME", value_parser = time)]
    start: Option<DateTime<Utc>>,
    /// What becomes of times that nobody was there for: one task for all, skip, or all
    #[arg(long, default_value = "one", value_parser = word::<CatchUp>)]
    catch_up: CatchUp,
    /// Whether a time has its task while the last one is unfinished: skip or allow
    #[arg(long, value_parser = word::<Overlap>)]
    overlap: Option<Overlap>,
    /// By how much each task may come later than its time
    #[arg(long, default_value = "0s", allow_hyphen_values = true, value_parser = duration)]
    jitter: Duration,
}

impl Put {
    fn schedule(self) -> kurultai_core::Result<NewSchedule> {
        Ok(NewSchedule {
            every: self.every,
            cron: self.cron,
            timezone: self.timezone,
            start: self.start,
            catch_up: self.catch_up,
            overlap: self.overlap,
            jitter: self.jitter,
            ..NewSchedule::new(self.name, self.fields.task()?)
        })
    }
}

impl Command {
    pub(crate) async fn run(self, kurultai: &Kurultai, json: bool) -> Done {
        let schedules = kurultai.schedules();
        match self {
            Command::Put(put) => show(&schedules.put(put.schedule()?).await?, json),
            Command::List => {
                let all = schedules.list().await?;
                if json {
                    return say_json(&all);
                }
                if all.is_empty() { say("nothing is scheduled") } else { say_all(&listed(&all)) }
            }
            Command::Get { name } => show(&schedules.get(&name).await?, json),
            Command::Pause { name } => show(&schedules.pause(&name).await?, json),
            Command::Unpause { name } => show(&schedules.unpause(&name).await?, json),
            Command::Run { name } => {
                let enqueued = schedules.run_now(&name).await?;
                if json {
                    return say_json(&enqueued);
                }
                if enqueued.deduplicated {
                    remark("its last task is unfinished; nothing was added");
                }
                say(enqueued.id)
            }
            Command::Remove { name } => {
                schedules.remove(&name).await?;
                if json {
                    return say_json(&serde_json::json!({"name": name, "removed": true}));
                }
                say(format!("{} is removed", clean(&name)))
            }
        }
    }
}

/// When it is due, in words.
fn when(schedule: &Schedule) -> String {
    match (&schedule.cron, schedule.every) {
        (Some(cron), _) => format!("{cron} {}", schedule.timezone),
        (None, Some(every)) => format!("every {}", span(every.as_secs_f64())),
        (None, None) => String::new(),
    }
}

/// The next times on a line each: three lines a schedule.
fn listed(schedules: &[Schedule]) -> Vec<String> {
    let rows = schedules.iter().flat_map(|schedule| {
        let paused = || vec!["paused".to_owned()];
        let mut next: Vec<String> = schedule.upcoming.iter().map(|at| utc(*at)).collect();
        if next.is_empty() {
            next = paused();
        }
        let first = [schedule.name.clone(), schedule.task_type.clone(), when(schedule)];
        next.into_iter().enumerate().map(move |(row, at)| {
            let mut cells = if row == 0 { first.to_vec() } else { vec![String::new(); 3] };
            cells.push(at);
            cells
        })
    });
    table(&[text("NAME"), text("TYPE"), text("WHEN"), whole("NEXT")], &rows.collect::<Vec<_>>())
}

fn show(schedule: &Schedule, json: bool) -> Done {
    if json {
        return say_json(schedule);
    }
    let at = |at: Option<DateTime<Utc>>| at.map_or("never".to_owned(), utc);
    let next: Vec<String> = schedule.upcoming.iter().map(|at| utc(*at)).collect();
    let Schedule { name, task_type, payload, task_fields, catch_up, overlap, jitter, .. } = schedule;
    say(format!("{}  {}", clean(name), clean(&when(schedule))))?;
    say(format!("  enqueues   {}  {}", quoted(task_type), clean(payload.as_str())))?;
    if task_fields.as_str() != "{}" {
        say(format!("  each with  {}", clean(task_fields.as_str())))?;
    }
    say(format!("  next       {}", if schedule.paused { "paused".to_owned() } else { next.join("  ") }))?;
    let task = schedule.last_task.as_deref().unwrap_or_default();
    say(format!("  last       {}  {}", at(schedule.last_due), clean(task)))?;
    if schedule.last_skipped.is_some() {
        say(format!("  skipped    {}", at(schedule.last_skipped)))?;
    }
    say(format!("  missed: {catch_up}  overlap: {overlap}  jitter: {}", span(jitter.as_secs_f64())))
}

//! `kurultai events`.

use crate::{
    output::{Done, say, say_all, say_json},
    status::burning,
    text::{clean, quoted, utc},
};
use kurultai_core::{
    Kurultai,
    events::{Event, EventFilter},
};

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// The newest events, oldest first; with --json one event a line
    Tail(Tail),
    /// What burns now: the alerts that a watcher has raised and not cleared
    Alerts,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Tail {
    /// Begin after this number instead of near the end
    #[arg(long, allow_negative_numbers = true)]
    after: Option<i64>,
    /// `task.*`: * is one word, ** any number
    #[arg(long)]
    topic: Option<String>,
    /// Only of this task
    #[arg(long)]
    task: Option<String>,
    /// Only of tasks of this type
    #[arg(long = "type")]
    task_type: Option<String>,
    /// Only of this agent
    #[arg(long)]
    source: Option<String>,
    /// Go on until interrupted
    #[arg(long)]
    follow: bool,
    #[arg(long, default_value_t = 20, allow_negative_numbers = true, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    limit: u16,
}

/// How far back the newest events are looked for.
const BACK: i64 = 10_000;

impl Command {
    pub(crate) async fn run(self, kurultai: &Kurultai, json: bool) -> Done {
        let tail = match self {
            Command::Tail(tail) => tail,
            Command::Alerts => return alerts(kurultai, json).await,
        };
        let events = kurultai.events();
        let filter = EventFilter {
            topic: tail.topic,
            task_id: tail.task,
            task_type: tail.task_type,
            source: tail.source,
            ..EventFilter::default()
        };
        let limit = usize::from(tail.limit);
        let (found, after_seq) = match tail.after {
            Some(after_seq) => {
                let page = events.read(EventFilter { after_seq, limit, ..filter.clone() }).await?;
                (page.events, page.next)
            }
            None => {
                let last = events.last_seq().await?;
                let newest = EventFilter { after_seq: (last - BACK).max(0), limit: 10_000, ..filter.clone() };
                let mut page = events.read(newest).await?;
                page.events.drain(..page.events.len().saturating_sub(limit));
                (page.events, page.next)
            }
        };
        show(&found, json)?;
        if tail.follow {
            let mut follow = events.follow(EventFilter { after_seq, ..filter })?;
            loop {
                show(&follow.next().await?, json)?;
            }
        }
        Ok(())
    }
}

async fn alerts(kurultai: &Kurultai, json: bool) -> Done {
    let alerts = kurultai.events().alerts().await?;
    match alerts.is_empty() {
        _ if json => say_json(&alerts),
        true => say("nothing burns"),
        false => say_all(&burning(&alerts)),
    }
}

fn show(events: &[Event], json: bool) -> Done {
    events.iter().try_for_each(|event| if json { say_json(event) } else { say(line(event)) })
}

fn line(event: &Event) -> String {
    let Event { seq, topic, source, task_id, payload, created_at, .. } = event;
    let word = |text: &Option<String>| text.as_deref().map_or("-".to_owned(), quoted);
    let (topic, source, task) = (quoted(topic), word(source), word(task_id));
    let payload = payload.as_ref().map(|p| clean(p.as_str())).unwrap_or_default();
    let line = format!("{seq:>6}  {}  {topic:<16}  {source:<10}  {task}  {payload}", utc(*created_at));
    line.trim_end().to_owned()
}

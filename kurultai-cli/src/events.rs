//! `kurultai events`.

use crate::{
    output::{Done, say, say_json},
    text::{clean, utc},
};
use kurultai_core::{
    Kurultai,
    events::{Event, EventFilter},
};
use std::time::Duration;

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// The newest events, oldest first; with --json one event a line
    Tail(Tail),
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
        let Command::Tail(tail) = self;
        let events = kurultai.events();
        let filter = EventFilter {
            topic: tail.topic,
            task_id: tail.task,
            source: tail.source,
            ..EventFilter::default()
        };
        let last = events.last_seq().await?;
        let limit = usize::from(tail.limit);
        let mut found = match tail.after {
            Some(after_seq) => events.read(EventFilter { after_seq, limit, ..filter.clone() }).await?,
            None => {
                let after_seq = (last - BACK).max(0);
                let mut found =
                    events.read(EventFilter { after_seq, limit: 10_000, ..filter.clone() }).await?;
                found.drain(..found.len().saturating_sub(limit));
                found
            }
        };
        let mut after_seq = match tail.after {
            Some(after) => after,
            None => last,
        };
        loop {
            for event in &found {
                if json {
                    say_json(event)?;
                } else {
                    say(line(event))?;
                }
                after_seq = after_seq.max(event.seq);
            }
            if !tail.follow {
                return Ok(());
            }
            let wait = Duration::from_secs(60);
            found = events.read(EventFilter { after_seq, limit: 1_000, wait, ..filter.clone() }).await?;
        }
    }
}

fn line(event: &Event) -> String {
    let Event { seq, topic, source, task_id, payload, created_at } = event;
    let (source, task) = (source.as_deref().unwrap_or("-"), task_id.as_deref().unwrap_or("-"));
    let payload = payload.as_ref().map(|p| clean(p.as_str())).unwrap_or_default();
    let line =
        format!("{seq:>6}  {}  {topic:<16}  {source:<10}  {}  {payload}", utc(*created_at), clean(task));
    line.trim_end().to_owned()
}

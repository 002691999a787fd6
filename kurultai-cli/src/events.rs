//! `kurultai events`.

use crate::{
    output::{Done, remark, say, say_all, say_json},
    stdin,
    text::{clean, quoted, utc},
};
use kurultai_core::{
    Json, Kurultai,
    events::{Alert, Event, EventFilter, NewEvent},
};

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// The newest events, oldest first; with --json one event a line
    Tail(Tail),
    /// Tell of something that happened, under a topic of yours; prints the event's number
    Publish(Publish),
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

#[derive(Debug, clap::Args)]
pub(crate) struct Publish {
    /// Words with dots between them, as deploy.done
    topic: String,
    /// JSON, or - for stdin
    #[arg(value_parser = stdin::text, allow_negative_numbers = true)]
    payload: Option<String>,
    /// The agent that it comes from
    #[arg(long)]
    source: Option<String>,
    /// The task that it is about
    #[arg(long)]
    task: Option<String>,
    /// What it belongs to; that of the cause or of the task where nothing is given
    #[arg(long)]
    correlation_id: Option<String>,
    /// A second event of this key is not published
    #[arg(long)]
    key: Option<String>,
    /// The number of the event in whose handling it is published
    #[arg(long, allow_negative_numbers = true)]
    cause: Option<i64>,
}

impl Publish {
    fn event(self) -> kurultai_core::Result<NewEvent> {
        Ok(NewEvent {
            payload: self.payload.map(Json::text).transpose()?,
            source: self.source,
            task_id: self.task,
            correlation_id: self.correlation_id,
            key: self.key,
            cause: self.cause,
            ..NewEvent::new(self.topic)
        })
    }
}

/// How far back the newest events are looked for.
const BACK: i64 = 10_000;

impl Command {
    pub(crate) async fn run(self, kurultai: &Kurultai, json: bool) -> Done {
        let tail = match self {
            Command::Tail(tail) => tail,
            Command::Publish(publish) => return told(kurultai, publish, json).await,
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

async fn told(kurultai: &Kurultai, publish: Publish, json: bool) -> Done {
    let published = kurultai.events().publish(publish.event()?).await?;
    if json {
        return say_json(&published);
    }
    if published.deduplicated {
        remark("it was published before; nothing was added");
    }
    say(published.seq.to_string())
}

async fn alerts(kurultai: &Kurultai, json: bool) -> Done {
    let alerts = kurultai.events().alerts().await?;
    match alerts.is_empty() {
        _ if json => say_json(&alerts),
        true => say("nothing burns"),
        false => say_all(&burning(&alerts)),
    }
}

pub(crate) fn show(events: &[Event], json: bool) -> Done {
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

/// What burns, a line each.
pub(crate) fn burning(alerts: &[Alert]) -> Vec<String> {
    let line = |Alert { severity, raised_at, text, .. }: &Alert| {
        format!("{:<8}  since {}: {}", severity.as_str().to_uppercase(), utc(*raised_at), clean(text))
    };
    alerts.iter().map(line).collect()
}

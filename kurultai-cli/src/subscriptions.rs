//! `kurultai subscriptions`: readers that the store remembers.

use crate::{
    events,
    output::{Done, say, say_all, say_json, table, text, whole},
    text::{clean, duration, span, utc},
};
use chrono::{DateTime, Utc};
use kurultai_core::{
    Json, Kurultai,
    events::{Consume, DeadEvent, NewSubscription, Start, Subscription},
};
use std::time::Duration;

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Put a subscription, in place of the one of its name, which goes on where it was
    Put(Put),
    /// All subscriptions, and how far behind they are
    List {
        /// Only of this agent
        #[arg(long)]
        agent: Option<String>,
    },
    /// Print its next events and acknowledge them; with --json one event a line
    Consume(Take),
    /// Let it give nothing until it is unpaused
    Pause { name: String },
    /// Let it give events again, from where it was
    Unpause { name: String },
    /// Have it go on somewhere else; who has events of it can no longer acknowledge them
    Rewind {
        name: String,
        #[command(flatten)]
        to: Begin,
    },
    /// The events that were given 5 times and never acknowledged
    Dead { name: String },
    /// Remove it
    Remove { name: String },
}

/// Where it begins or goes on; with what comes where nothing is given.
#[derive(Debug, clap::Args)]
#[group(multiple = false)]
pub(crate) struct Begin {
    /// Behind the event of this number; 0 for the first that the log has
    #[arg(long, value_name = "SEQ", allow_negative_numbers = true)]
    after: Option<i64>,
    /// With what is not from before this time, as 2026-03-01T09:00:00Z
    #[arg(long, value_name = "TIME")]
    since: Option<DateTime<Utc>>,
}

impl Begin {
    fn start(&self) -> Start {
        match (self.after, self.since) {
            (Some(seq), _) => Start::After(seq),
            (None, Some(at)) => Start::Since(at),
            (None, None) => Start::Now,
        }
    }
}

#[derive(Debug, clap::Args)]
pub(crate) struct Put {
    name: String,
    /// `deploy.**`: * is one word, ** any number
    topic: String,
    /// Whose it is
    #[arg(long)]
    agent: Option<String>,
    /// Only events of this agent
    #[arg(long)]
    source: Option<String>,
    /// Only events of which this holds, as {"all": [["payload.pr", "exists"]]}
    #[arg(long = "where", value_name = "JSON")]
    filter: Option<String>,
    #[command(flatten)]
    start: Begin,
    /// Give events together so long after the first of them
    #[arg(long, default_value = "0s", allow_hyphen_values = true, value_parser = duration)]
    batch: Duration,
    /// Give events together once none has come for so long
    #[arg(long, default_value = "0s", allow_hyphen_values = true, value_parser = duration)]
    quiet: Duration,
}

impl Put {
    fn subscription(self) -> kurultai_core::Result<NewSubscription> {
        Ok(NewSubscription {
            agent: self.agent,
            source: self.source,
            filter: self.filter.map(Json::text).transpose()?,
            start: self.start.start(),
            batch: self.batch,
            quiet: self.quiet,
            ..NewSubscription::new(self.name, self.topic)
        })
    }
}

#[derive(Debug, clap::Args)]
pub(crate) struct Take {
    name: String,
    /// How many at most
    #[arg(long, default_value_t = 100, allow_negative_numbers = true)]
    max: u16,
    /// How long to wait where there are none
    #[arg(long, default_value = "0s", allow_hyphen_values = true, value_parser = duration)]
    wait: Duration,
    /// Go on until interrupted
    #[arg(long)]
    follow: bool,
}

impl Take {
    async fn run(self, kurultai: &Kurultai, json: bool) -> Done {
        let wait = if self.follow { Duration::from_secs(60) } else { self.wait };
        let consume = Consume::new(self.name).max(usize::from(self.max)).wait(wait);
        loop {
            let batch = kurultai.events().consume(consume.clone()).await?;
            // What nobody could read is somebody else's next.
            if let Err(unread) = events::show(&batch.events, json) {
                drop(batch.give_back().await);
                return Err(unread);
            }
            batch.ack().await?;
            if !self.follow {
                return Ok(());
            }
        }
    }
}

impl Command {
    pub(crate) async fn run(self, kurultai: &Kurultai, json: bool) -> Done {
        let events = kurultai.events();
        match self {
            Command::Put(put) => show(&events.subscribe(put.subscription()?).await?, json),
            Command::List { agent } => {
                let all = events.subscriptions(agent.as_deref()).await?;
                match all.is_empty() {
                    _ if json => say_json(&all),
                    true => say("there are no subscriptions"),
                    false => say_all(&listed(&all)),
                }
            }
            Command::Consume(take) => take.run(kurultai, json).await,
            Command::Pause { name } => show(&events.pause(&name).await?, json),
            Command::Unpause { name } => show(&events.unpause(&name).await?, json),
            Command::Rewind { name, to } => show(&events.rewind(&name, to.start()).await?, json),
            Command::Dead { name } => {
                let dead = events.dead(&name).await?;
                match dead.is_empty() {
                    _ if json => say_json(&dead),
                    true => say("every event was acknowledged"),
                    false => dead.iter().try_for_each(|event| say(buried(event))),
                }
            }
            Command::Remove { name } => {
                events.unsubscribe(&name).await?;
                if json {
                    return say_json(&serde_json::json!({"name": name, "removed": true}));
                }
                say(format!("{} is removed", clean(&name)))
            }
        }
    }
}

/// How far behind each is, a line each.
pub(crate) fn listed(all: &[Subscription]) -> Vec<String> {
    let row = |one: &Subscription| {
        let (name, topic) = (one.name.clone(), one.topic.clone());
        vec![name, topic, one.agent.clone().unwrap_or_default(), one.lag.to_string(), standing(one)]
    };
    let rows: Vec<Vec<String>> = all.iter().map(row).collect();
    table(&[text("NAME"), text("TOPIC"), text("AGENT"), whole("BEHIND"), text("STATE")], &rows)
}

/// How it stands, in words.
fn standing(subscription: &Subscription) -> String {
    match (subscription.paused, subscription.held_until, subscription.tries) {
        (true, _, _) => "paused".to_owned(),
        (_, Some(until), _) => format!("held until {}", utc(until)),
        (_, None, 0) => "waits".to_owned(),
        (_, None, tries) => format!("tried {tries} times"),
    }
}

fn show(subscription: &Subscription, json: bool) -> Done {
    if json {
        return say_json(subscription);
    }
    let Subscription { name, topic, agent, source, filter, batch, quiet, cursor, lag, error, .. } =
        subscription;
    say(format!("{}  {}", clean(name), clean(topic)))?;
    let given = [
        ("agent", agent.as_deref().map(clean)),
        ("source", source.as_deref().map(clean)),
        ("where", filter.as_ref().map(|filter| clean(filter.as_str()))),
        ("batch", batch.map(|batch| span(batch.as_secs_f64()))),
        ("quiet", quiet.map(|quiet| span(quiet.as_secs_f64()))),
        ("error", error.as_deref().map(clean)),
    ];
    for (what, value) in given {
        if let Some(value) = value {
            say(format!("  {what:<8} {value}"))?;
        }
    }
    say(format!("  {:<8} behind event {cursor}, {lag} to look at", standing(subscription)))
}

fn buried(event: &DeadEvent) -> String {
    let DeadEvent { seq, topic, tries, error, at } = event;
    let error = error.as_deref().unwrap_or("nobody acknowledged it");
    format!("{seq:>6}  {}  {topic:<16}  {tries} tries  {}", utc(*at), clean(error))
}

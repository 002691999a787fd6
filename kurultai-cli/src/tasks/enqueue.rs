//! `kurultai tasks enqueue`.

use super::fields::Fields;
use crate::{
    output::{Done, remark, say, say_json},
    text::{duration, time},
};
use chrono::{DateTime, Utc};
use kurultai_core::{
    Kurultai,
    tasks::{NewTask, Start},
};
use std::time::Duration;

#[derive(Debug, clap::Args)]
pub(crate) struct Enqueue {
    #[command(flatten)]
    fields: Fields,
    #[arg(long, value_name = "ID")]
    parent: Option<String>,
    /// What its chain of work is known by; default the parent's, or its own id
    #[arg(long, value_name = "ID")]
    correlation_id: Option<String>,
    #[arg(long, value_name = "ID", value_delimiter = ',')]
    depends_on: Vec<String>,
    /// A second task of this key is not made
    #[arg(long)]
    key: Option<String>,
    #[arg(long, allow_hyphen_values = true, value_parser = duration, conflicts_with = "run_at")]
    delay: Option<Duration>,
    /// As 2026-03-01T09:00:00Z
    #[arg(long, value_name = "TIME", value_parser = time)]
    run_at: Option<DateTime<Utc>>,
}

impl Enqueue {
    pub(super) async fn run(self, kurultai: &Kurultai, json: bool) -> Done {
        let task = NewTask {
            parent_id: self.parent,
            correlation_id: self.correlation_id,
            unique_key: self.key,
            start: match (self.delay, self.run_at) {
                (Some(delay), _) => Start::After(delay),
                (None, Some(time)) => Start::At(time),
                (None, None) => Start::Now,
            },
            ..self.fields.task()?.depends_on(self.depends_on)
        };
        let enqueued = kurultai.tasks().enqueue(task).await?;
        if json {
            return say_json(&enqueued);
        }
        if enqueued.deduplicated {
            remark("it was there already; nothing was added");
        }
        say(enqueued.id)
    }
}

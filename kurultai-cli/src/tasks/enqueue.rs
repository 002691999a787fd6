//! `kurultai tasks enqueue`.

use super::document;
use crate::{
    output::{Done, remark, say, say_json},
    stdin,
    text::{duration, natural, word},
};
use chrono::{DateTime, Utc};
use kurultai_core::{
    Kurultai,
    tasks::{Expiry, NewTask, Priority, Start},
};
use std::time::Duration;

#[derive(Debug, clap::Args)]
pub(crate) struct Enqueue {
    #[arg(value_name = "TYPE")]
    task_type: String,
    /// JSON, or - for stdin
    #[arg(value_parser = stdin::text, allow_negative_numbers = true)]
    payload: Option<String>,
    #[arg(long, default_value = "")]
    title: String,
    /// P0 (critical, urgent), P1 (high), P2 (normal, medium) or P3 (low, backlog)
    #[arg(long, default_value = "P2", value_parser = word::<Priority>)]
    priority: Priority,
    /// 0 to 1, higher first within a priority
    #[arg(long, default_value_t = 0.5, allow_negative_numbers = true)]
    weight: f64,
    /// Capabilities that its claimer must have
    #[arg(long, value_delimiter = ',')]
    requires: Vec<String>,
    /// Capabilities whose owners take it first
    #[arg(long, value_delimiter = ',')]
    prefers: Vec<String>,
    /// The only agent that may claim it
    #[arg(long)]
    assign: Option<String>,
    #[arg(long)]
    delegated_by: Option<String>,
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
    #[arg(long, value_name = "TIME")]
    run_at: Option<DateTime<Utc>>,
    /// How long it may wait to be claimed, or `never`
    #[arg(long, allow_hyphen_values = true, value_parser = expiry)]
    expires: Option<Expiry>,
    #[arg(long, allow_negative_numbers = true, value_parser = natural::<u32>)]
    max_attempts: Option<u32>,
    /// How long an attempt may take, however often it is extended
    #[arg(long, allow_hyphen_values = true, value_parser = duration)]
    max_runtime: Option<Duration>,
}

pub(crate) fn expiry(text: &str) -> Result<Expiry, String> {
    match text {
        "never" => Ok(Expiry::Never),
        text => duration(text).map(Expiry::After).map_err(|e| format!("{e}, or never")),
    }
}

impl Enqueue {
    pub(super) async fn run(self, kurultai: &Kurultai, json: bool) -> Done {
        let task = NewTask {
            title: self.title,
            payload: document(self.payload)?,
            priority: self.priority,
            priority_weight: self.weight,
            required_capabilities: self.requires,
            preferred_capabilities: self.prefers,
            assigned_to: self.assign,
            delegated_by: self.delegated_by,
            parent_id: self.parent,
            correlation_id: self.correlation_id,
            unique_key: self.key,
            start: match (self.delay, self.run_at) {
                (Some(delay), _) => Start::After(delay),
                (None, Some(time)) => Start::At(time),
                (None, None) => Start::Now,
            },
            expiry: self.expires.unwrap_or_default(),
            max_attempts: self.max_attempts,
            max_runtime: self.max_runtime,
            ..NewTask::new(self.task_type).depends_on(self.depends_on)
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

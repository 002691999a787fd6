//! What is told of a new task, whoever makes it.

use super::document;
use crate::{
    stdin,
    text::{duration, natural, word},
};
use kurultai_core::tasks::{Expiry, NewTask, Priority};
use std::time::Duration;

#[derive(Debug, clap::Args)]
pub(crate) struct Fields {
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
    /// How long it may wait to be claimed, or `never`
    #[arg(long, allow_hyphen_values = true, value_parser = expiry)]
    expires: Option<Expiry>,
    #[arg(long, allow_negative_numbers = true, value_parser = natural::<u32>)]
    max_attempts: Option<u32>,
    /// How long an attempt may take, however often it is extended
    #[arg(long, allow_hyphen_values = true, value_parser = duration)]
    max_runtime: Option<Duration>,
}

fn expiry(text: &str) -> Result<Expiry, String> {
    match text {
        "never" => Ok(Expiry::Never),
        text => duration(text).map(Expiry::After).map_err(|e| format!("{e}, or never")),
    }
}

impl Fields {
    pub(crate) fn task(self) -> kurultai_core::Result<NewTask> {
        Ok(NewTask {
            title: self.title,
            payload: document(self.payload)?,
            priority: self.priority,
            priority_weight: self.weight,
            required_capabilities: self.requires,
            preferred_capabilities: self.prefers,
            assigned_to: self.assign,
            delegated_by: self.delegated_by,
            expiry: self.expires.unwrap_or_default(),
            max_attempts: self.max_attempts,
            max_runtime: self.max_runtime,
            ..NewTask::new(self.task_type)
        })
    }
}

//! `kurultai tasks claim`.

use crate::{
    output::{Done, say, say_json},
    text::{clean, duration, natural, now, quoted, span, utc},
};
use kurultai_core::{
    Kurultai,
    tasks::{Claim, Claimed},
};
use serde::Serialize;
use std::time::Duration;

#[derive(Debug, clap::Args)]
pub(crate) struct Take {
    agent: String,
    #[arg(long, default_value_t = 1, allow_negative_numbers = true, value_parser = natural::<usize>)]
    max: usize,
    /// Only these task types
    #[arg(long, value_delimiter = ',')]
    types: Vec<String>,
    /// How long the claim lasts without `extend`; default 30s. Longer than 120s needs a sign of life in between
    #[arg(long, allow_hyphen_values = true, value_parser = duration)]
    lease: Option<Duration>,
    /// How long to wait for work
    #[arg(long, allow_hyphen_values = true, value_parser = duration, default_value = "0s")]
    wait: Duration,
}

/// A claimed task with the string that ends it.
#[derive(Debug, Serialize)]
struct Taken<'a> {
    lease: String,
    task: &'a Claimed,
}

impl Take {
    pub(super) async fn run(self, kurultai: &Kurultai, json: bool) -> Done {
        let mut claim = Claim::new(self.agent).max(self.max).wait(self.wait);
        claim.lease = self.lease;
        if !self.types.is_empty() {
            claim = claim.types(self.types);
        }
        let claimed = kurultai.tasks().claim(claim).await?;
        if json {
            let taken = claimed.iter().map(|task| Taken { lease: task.lease.to_string(), task });
            return say_json(&taken.collect::<Vec<_>>());
        }
        if claimed.is_empty() {
            return say("nothing to claim");
        }
        claimed.iter().try_for_each(taken)
    }
}

fn taken(task: &Claimed) -> Done {
    let left = (task.lease.expires_at - now()).as_seconds_f64().max(0.0);
    say(format!("{}  {}  {}", task.priority, quoted(&task.task_type), clean(&task.title)))?;
    say(format!("  id          {}", clean(&task.id)))?;
    say(format!("  attempt     {} of {}", task.attempt, task.max_attempts))?;
    say(format!("  yours until {}, {} from now", utc(task.lease.expires_at), span(left)))?;
    if !task.description.is_empty() {
        say(format!("  text        {}", clean(&task.description)))?;
    }
    say(format!("  payload     {}", clean(task.payload.as_str())))?;
    if let Some(checkpoint) = &task.checkpoint {
        say(format!("  checkpoint  {}", clean(checkpoint.as_str())))?;
    }
    for p in &task.prerequisites {
        let results = p.results.as_ref().map_or("null", |r| r.as_str());
        say(format!("  after       {} ({}): {}", clean(&p.id), p.status, clean(results)))?;
    }
    say(format!("LEASE {}", task.lease))
}

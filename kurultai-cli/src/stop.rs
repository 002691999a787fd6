//! `kurultai stop` and `kurultai start`: the emergency stop.

use crate::{
    output::{Done, say, say_json},
    text::{clean, count},
};
use kurultai_core::Kurultai;
use serde_json::json;

#[derive(Debug, clap::Args)]
pub(crate) struct Stop {
    /// Why, for people: holders learn it, and `kurultai status` shows it
    #[arg(long)]
    reason: String,
}

impl Stop {
    pub(crate) async fn run(self, kurultai: &Kurultai, as_json: bool) -> Done {
        let asked = kurultai.tasks().stop_all(&self.reason).await?;
        if as_json {
            return say_json(&json!({"asked": asked}));
        }
        let holders = count(asked, "holder");
        say(format!("everything is stopped, and {holders} asked to cancel: {}", clean(&self.reason)))
    }
}

pub(crate) async fn start(kurultai: &Kurultai, as_json: bool) -> Done {
    kurultai.tasks().start_all().await?;
    if as_json { say_json(&json!({})) } else { say("tasks are given out again") }
}

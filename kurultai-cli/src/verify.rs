//! `kurultai verify`: what operators run after a deployment. One line a check; exit 1 where one fails.

use crate::{
    output::{Done, Stop, say, say_json},
    text::clean,
    watch::Silences,
};
use kurultai_core::{Check, Kurultai, Verify as Plan};

#[derive(Debug, clap::Args)]
pub(crate) struct Verify {
    /// Both tiers of every agent within 60 s, whether it holds a task or not
    #[arg(long)]
    strict: bool,
    #[command(flatten)]
    silences: Silences,
}

impl Verify {
    pub(crate) async fn run(self, kurultai: &Kurultai, json: bool) -> Done {
        let plan = Plan { strict: self.strict, thresholds: self.silences.thresholds() };
        let checks = kurultai.verify(plan).await?;
        let ok = checks.iter().all(|check| check.ok);
        if json {
            say_json(&serde_json::json!({"ok": ok, "checks": checks}))?;
        } else {
            for Check { check, ok, text } in &checks {
                say(format!("{}  {check:<10}  {}", if *ok { "ok  " } else { "FAIL" }, clean(text)))?;
            }
        }
        if ok { Ok(()) } else { Err(Stop::Exit(1)) }
    }
}

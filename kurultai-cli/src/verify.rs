//! `kurultai verify`: what operators run after a deployment. One line a check; exit 1 where one fails.

use crate::{
    Place,
    output::{Done, Stop, say, say_json},
    service::terminated,
    text::clean,
    watch::Silences,
};
use kurultai_core::{Check, Kind, Kurultai, Result, Verify as Plan};
use std::time::Duration;
use tokio::{sync::watch, time::sleep};

/// How long it may go on removing what the rehearsal has made, once it is asked to end.
const FAREWELL: Duration = Duration::from_secs(2);

#[derive(Debug, clap::Args)]
pub(crate) struct Verify {
    /// Both tiers of every agent within 60 s, whether it holds a task or not
    #[arg(long)]
    strict: bool,
    #[command(flatten)]
    silences: Silences,
}

impl Verify {
    pub(crate) async fn run(self, place: &Place) -> Done {
        let plan = Plan { strict: self.strict, thresholds: self.silences.thresholds() };
        let (tell, told) = watch::channel(None);
        let late = async {
            let code = interrupted().await;
            tell.send_replace(Some(code));
            sleep(FAREWELL).await;
        };
        let checks = tokio::select! {
            checks = checks(place, plan, told.clone()) => checks,
            () = late => Ok(vec![]),
        };
        if let Some(code) = *told.borrow() {
            return Err(Stop::Exit(code));
        }
        let checks = match checks {
            Err(error) if error.kind() != Kind::Input => {
                vec![Check { check: "store".to_owned(), ok: false, text: error.to_string() }]
            }
            checks => checks?,
        };
        let ok = checks.iter().all(|check| check.ok);
        if place.json {
            say_json(&serde_json::json!({"ok": ok, "checks": checks}))?;
        } else {
            for Check { check, ok, text } in &checks {
                say(format!("{}  {check:<10}  {}", if *ok { "ok  " } else { "FAIL" }, clean(text)))?;
            }
        }
        if ok { Ok(()) } else { Err(Stop::Exit(1)) }
    }
}

async fn checks(place: &Place, plan: Plan, mut told: watch::Receiver<Option<u8>>) -> Result<Vec<Check>> {
    let kurultai = Kurultai::open_with(place.config()?).await?;
    let stop = async move { drop(told.wait_for(Option::is_some).await) };
    let checks = kurultai.verify_until(plan, stop).await;
    kurultai.close().await;
    checks
}

/// Waits for a signal that asks the program to end; its exit code.
async fn interrupted() -> u8 {
    tokio::select! {
        _ = tokio::signal::ctrl_c() => 130,
        () = terminated() => 143,
    }
}

//! `kurultai heartbeat`: the sidecar of agents that have no worker of ours.

mod breaker;

use crate::{
    Place,
    output::{Done, Stop, say, say_json},
    text::{clean, duration, now},
};
use breaker::{Breaker, Failed};
use kurultai_core::{Config, Error, Kind, Kurultai, Result, agents::council, clock::monotonic, config};
use std::{
    fs::{File, OpenOptions},
    io::Write,
    path::PathBuf,
    time::Duration,
};
use tokio::time::sleep;

/// The longest wait for a store that is down at the start.
const LONGEST: Duration = Duration::from_secs(30);

#[derive(Debug, clap::Args)]
pub(crate) struct Heartbeat {
    /// Whom it speaks for: ids or names, separated by commas. Those that are unknown are registered
    #[arg(long, value_delimiter = ',', required_unless_present = "preset", conflicts_with = "preset")]
    agents: Vec<String>,
    /// A ready-made team
    #[arg(long, value_parser = ["council", "kurultai"])]
    preset: Option<String>,
    /// The time from one beat to the next. Default HEARTBEAT_INTERVAL or AGENT_HEARTBEAT_SECONDS, else 30s
    #[arg(long, value_name = "DURATION", value_parser = interval)]
    interval: Option<Duration>,
    /// Where its lines go instead of stderr; they are appended
    #[arg(long, value_name = "FILE")]
    log_file: Option<PathBuf>,
}

/// A bare number is seconds, as the variables have it.
fn interval(text: &str) -> std::result::Result<Duration, String> {
    let interval = text.parse().map(Duration::from_secs).or_else(|_| duration(text))?;
    if interval.is_zero() { Err("more than zero".to_owned()) } else { Ok(interval) }
}

impl Heartbeat {
    /// Until the process is asked to end. Only a bad configuration ends it before.
    pub(crate) async fn run(self, place: &Place) -> Done {
        let store = place.config()?;
        let interval = match self.interval {
            Some(interval) => interval,
            None => config::heartbeat_interval()?,
        };
        let mut breaker = Breaker::new(config::number("CIRCUIT_BREAKER_THRESHOLD", 3)? as u32);
        let mut log = Log::open(self.log_file)?;
        let agents = if self.preset.is_some() {
            council().into_iter().filter_map(|agent| agent.display_name).collect()
        } else {
            self.agents
        };
        let beating = async {
            let kurultai = opened(store, &mut log).await?;
            let sidecar = Sidecar { kurultai, agents, interval };
            sidecar.beat(&mut breaker, &mut log, place.json).await
        };
        tokio::select! {
            ended = beating => ended,
            () = terminated() => Ok(()),
        }
    }
}

/// Whether no waiting mends it.
fn is_bad_configuration(error: &Error) -> bool {
    matches!(error.kind(), Kind::Config | Kind::Denied | Kind::Input)
}

/// Waits for a store that is down.
async fn opened(store: Config, log: &mut Log) -> Result<Kurultai> {
    let mut pause = Duration::from_secs(1);
    loop {
        match Kurultai::open_with(store.clone()).await {
            Err(error) if !is_bad_configuration(&error) => {
                log.line("WARN", &format!("{error}; trying again in {} s", pause.as_secs()));
                sleep(pause).await;
                pause = (pause * 2).min(LONGEST);
            }
            opened => return opened,
        }
    }
}

struct Sidecar {
    kurultai: Kurultai,
    agents: Vec<String>,
    interval: Duration,
}

impl Sidecar {
    async fn beat(&self, breaker: &mut Breaker, log: &mut Log, json: bool) -> Done {
        let names: Vec<&str> = self.agents.iter().map(String::as_str).collect();
        let mut ready = false;
        loop {
            let begun = monotonic();
            match self.kurultai.agents().beat_many(&names, true).await {
                Ok(_) => {
                    if breaker.succeeded() {
                        log.line("INFO", "the store answers again");
                    }
                    log.line(
                        "INFO",
                        &format!("{} agents beat in {} ms", names.len(), begun.elapsed().as_millis()),
                    );
                    if !std::mem::replace(&mut ready, true) {
                        self.say_ready(json)?;
                    }
                }
                Err(error) if error.kind() == Kind::Input => return Err(Stop::Failed(error)),
                Err(error) => match breaker.failed(monotonic(), fastrand::f64()) {
                    Failed::Counted(count) => log.line("WARN", &format!("no beat, failure {count}: {error}")),
                    Failed::Opened(pause) => {
                        let pause = pause.as_secs();
                        log.line("ERROR", &format!("no beat, and none is tried for {pause} s: {error}"));
                    }
                },
            }
            let pause = breaker.pause(monotonic());
            sleep(if pause.is_zero() { self.interval.saturating_sub(begun.elapsed()) } else { pause }).await;
        }
    }

    /// The one line on stdout: whoever waits for it knows that the beats are in the store.
    fn say_ready(&self, json: bool) -> Done {
        let (store, namespace) = (self.kurultai.store_name(), self.kurultai.namespace());
        let seconds = self.interval.as_secs_f64();
        if json {
            let agents = &self.agents;
            return say_json(&serde_json::json!({
                "ready": agents, "interval": seconds, "store": store, "namespace": namespace,
            }));
        }
        let agents: Vec<String> = self.agents.iter().map(|agent| clean(agent)).collect();
        say(format!("ready: {} beat every {seconds} s on {store}, team {namespace}", agents.join(", ")))
    }
}

/// Lines for whoever looks after it.
struct Log(Option<File>);

impl Log {
    fn open(path: Option<PathBuf>) -> Result<Self> {
        let open = |path: PathBuf| {
            OpenOptions::new().create(true).append(true).open(&path).map_err(|error| {
                let message = format!("the log file {} cannot be opened: {error}", path.display());
                Error::new(Kind::Config, "config.log_file", message)
            })
        };
        Ok(Log(path.map(open).transpose()?))
    }

    /// A line that cannot be written is no reason to stop beating.
    fn line(&mut self, level: &str, text: &str) {
        let line = format!("{} {level} {}\n", now().format("%FT%T%.3fZ"), clean(text));
        drop(match &mut self.0 {
            Some(file) => file.write_all(line.as_bytes()),
            None => std::io::stderr().write_all(line.as_bytes()),
        });
    }
}

/// SIGTERM; the program itself looks after Ctrl-C.
pub(crate) async fn terminated() {
    #[cfg(unix)]
    if let Ok(mut signal) = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
        signal.recv().await;
        return;
    }
    std::future::pending::<()>().await;
}

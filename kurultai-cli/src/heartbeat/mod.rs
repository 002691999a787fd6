//! `kurultai heartbeat`: the sidecar of agents that have no worker of ours.

mod breaker;

use crate::{
    Place,
    output::{Done, Stop, say, say_json},
    service::{invalid, misconfigured, opened, terminated},
    text::{clean, count, duration, now},
};
use breaker::{Breaker, Failed};
use kurultai_core::{Error, Kind, Kurultai, Result, agents::council, clock::monotonic, config, ids};
use std::{
    collections::HashSet,
    fs::{File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
    pin::pin,
    time::Duration,
};
use tokio::time::{sleep, timeout};

/// How long a sidecar that was asked to end waits for the store.
const GOODBYE: Duration = Duration::from_secs(1);

#[derive(Debug, clap::Args)]
pub(crate) struct Heartbeat {
    /// Whom it speaks for: ids or names, separated by commas. Those that are unknown are registered
    #[arg(long, value_delimiter = ',', required_unless_present = "preset", conflicts_with = "preset")]
    agents: Vec<String>,
    /// A ready-made team
    #[arg(long, value_parser = ["council", "kurultai"])]
    preset: Option<String>,
    /// The time from one beat to the next, at most a day. Default HEARTBEAT_INTERVAL or AGENT_HEARTBEAT_SECONDS, else
    /// 30s
    #[arg(long, value_name = "DURATION", allow_hyphen_values = true)]
    interval: Option<String>,
    /// Where its lines go instead of stderr; they are appended, also after somebody has moved the file
    #[arg(long, value_name = "FILE")]
    log_file: Option<PathBuf>,
}

/// A bare number is seconds, as the variables have it.
fn interval(text: &str) -> Result<Duration> {
    let interval = text.parse().map(Duration::from_secs).or_else(|_| duration(text));
    interval
        .ok()
        .filter(|interval| !interval.is_zero() && *interval <= config::LONGEST_HEARTBEAT_INTERVAL)
        .ok_or_else(|| {
            invalid(format!(
                "--interval is {text:?}; allowed: more than zero and at most a day, as 30, 500ms, 5m or 2h"
            ))
        })
}

/// Each agent once, under the first name that is given.
fn team(names: Vec<String>) -> Result<Vec<String>> {
    let (mut team, mut seen) = (vec![], HashSet::new());
    for name in names {
        let id = ids::agent(&name).map_err(|error| invalid(format!("--agents: {}", error.message())))?;
        if seen.insert(id) {
            team.push(name);
        }
    }
    Ok(team)
}

impl Heartbeat {
    /// Until the process is asked to end. Only a bad configuration ends it before.
    pub(crate) async fn run(self, place: &Place) -> Done {
        let store = place.config().map_err(misconfigured)?;
        let interval = match self.interval {
            Some(text) => interval(&text)?,
            None => config::heartbeat_interval()?,
        };
        let agents = match self.preset {
            Some(_) => council().into_iter().filter_map(|agent| agent.display_name).collect(),
            None => team(self.agents)?,
        };
        let mut breaker = Breaker::new(config::number("CIRCUIT_BREAKER_THRESHOLD", 3)? as u32);
        let log = Log::open(self.log_file)?;
        let mut asked_to_end = pin!(terminated());
        let opening = opened(store, |error, pause| {
            log.line("WARN", &format!("{error}; trying again in {} s", pause.as_secs()));
            Ok(())
        });
        let opening = async { Ok::<_, Stop>(Sidecar { kurultai: opening.await?, agents, interval }) };
        let sidecar = tokio::select! {
            sidecar = opening => sidecar?,
            () = &mut asked_to_end => {
                log.line("INFO", "asked to end before the first beat");
                return Ok(());
            }
        };
        tokio::select! {
            ended = sidecar.beat(&mut breaker, &log, place.json) => return ended,
            () = &mut asked_to_end => {}
        }
        sidecar.say_goodbye(&log).await;
        Ok(())
    }
}

struct Sidecar {
    kurultai: Kurultai,
    agents: Vec<String>,
    interval: Duration,
}

impl Sidecar {
    async fn beat(&self, breaker: &mut Breaker, log: &Log, json: bool) -> Done {
        let names: Vec<&str> = self.agents.iter().map(String::as_str).collect();
        let who = count(names.len(), "agent") + if names.len() == 1 { " beats" } else { " beat" };
        let mut ready = false;
        loop {
            let begun = monotonic();
            match self.kurultai.agents().beat_many(&names, true).await {
                Ok(_) => {
                    if breaker.succeeded() {
                        log.line("INFO", "the store answers again");
                    }
                    log.line("INFO", &format!("{who} in {} ms", begun.elapsed().as_millis()));
                    // Whoever waited for it may have gone, or his disk is full.
                    if !std::mem::replace(&mut ready, true)
                        && let Err(stop) = self.say_ready(json)
                    {
                        let why = match &stop {
                            Stop::Failed(error) => error.message(),
                            Stop::Unread | Stop::Exit(_) => "nobody reads it",
                        };
                        log.line("WARN", &format!("ready, which stdout did not take: {why}"));
                    }
                }
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

    /// Its agents have not died. Whoever asked it to end does not wait for a store that is away.
    async fn say_goodbye(&self, log: &Log) {
        let names: Vec<&str> = self.agents.iter().map(String::as_str).collect();
        let agents = self.kurultai.agents();
        let untold = match timeout(GOODBYE, agents.say_goodbye(&names)).await {
            Ok(Ok(_)) => return log.line("INFO", "asked to end: no further beat"),
            Ok(Err(error)) => error.to_string(),
            Err(_) => "it does not answer".to_owned(),
        };
        log.line("WARN", &format!("asked to end, which the store was not told: {untold}"));
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
        let beat = if agents.len() == 1 { "beats" } else { "beat" };
        say(format!("ready: {} {beat} every {seconds} s on {store}, team {namespace}", agents.join(", ")))
    }
}

/// Lines for whoever looks after it.
struct Log(Option<PathBuf>);

impl Log {
    fn open(path: Option<PathBuf>) -> Result<Self> {
        if let Some(path) = &path {
            appended(path).map_err(|error| {
                let message = format!("the log file {} cannot be opened: {error}", path.display());
                Error::new(Kind::Config, "config.log_file", message)
            })?;
        }
        Ok(Log(path))
    }

    /// A line that cannot be written is no reason to stop beating. The file is opened for each, since somebody may have
    /// moved it away.
    fn line(&self, level: &str, text: &str) {
        let line = format!("{} {level} {}\n", now().format("%FT%T%.3fZ"), clean(text));
        drop(match &self.0 {
            Some(path) => appended(path).and_then(|mut file| file.write_all(line.as_bytes())),
            None => io::stderr().write_all(line.as_bytes()),
        });
    }
}

fn appended(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

//! `kurultai cycle`: what the router, or any agent, does every five minutes.

use crate::{
    Place,
    output::{Done, Stop, remark, say, say_json},
    service::terminated,
    shell,
    text::{clean, duration},
};
use kurultai_core::{
    Error, Kurultai, Result,
    cycle::CycleReport,
    messages::Identity,
    tasks::{Claim, Claimed},
};
use std::{pin::pin, time::Duration};
use tokio::time::sleep;

/// For how long a task is claimed on behalf of an agent that is woken, which renews the lease.
const START: Duration = Duration::from_secs(300);
/// Who has this capability routes.
const ROUTING: &str = "routing";

#[derive(Debug, clap::Args)]
pub(crate) struct Cycle {
    /// Whose; default who holds the role `router`, or else the first agent that has the capability `routing`
    #[arg(long)]
    agent: Option<String>,
    /// Sign as the agent with this key file; default the key AGENT_KEY_<ID> of the environment, where there is one
    #[arg(long, value_name = "FILE")]
    key: Option<std::path::PathBuf>,
    /// Run by the shell for each agent that sleeps on work: KURULTAI_AGENT in the environment, 30 s at most
    #[arg(long, value_name = "COMMAND")]
    wake: Option<String>,
    /// Claim a task for each agent that is woken, and tell the command in KURULTAI_TASK and KURULTAI_LEASE
    ///
    /// The lease lasts 5 minutes, and the agent renews it. Without it the agent's own claim is the start, so that no task is
    /// in progress that nobody works on.
    #[arg(long, requires = "wake")]
    start: bool,
    /// Again and again, every so often, until asked to end
    #[arg(long, value_name = "DURATION", num_args = 0..=1, default_missing_value = "5m", value_parser = period)]
    every: Option<Duration>,
    /// Exit with 0 where nothing needs attention, 10 where there is work, 20 where something critical burns
    #[arg(long, conflicts_with = "every")]
    exit_code: bool,
}

/// More often it would only keep the store busy.
fn period(text: &str) -> Result<Duration, String> {
    let every = duration(text)?;
    if every < Duration::from_secs(1) { Err("at least 1s".to_owned()) } else { Ok(every) }
}

impl Cycle {
    pub(crate) async fn run(self, place: &Place) -> Done {
        let who = Kurultai::open_with(place.config()?).await?;
        let agent = match &self.agent {
            Some(agent) => who.agents().get(agent).await?.id,
            None => router(&who).await?,
        };
        who.close().await;
        let config = match &self.key {
            Some(path) => place.config()?.identity(Identity::read(path)?),
            None => match Identity::from_env(&agent) {
                Ok(identity) => place.config()?.identity(identity),
                // Only who has something to tell needs it.
                Err(_) => place.config()?,
            },
        };
        let kurultai = Kurultai::open_with(config).await?;
        let done = self.cycles(&kurultai, &agent, place.json).await;
        kurultai.close().await;
        done
    }

    async fn cycles(&self, kurultai: &Kurultai, agent: &str, json: bool) -> Done {
        let mut terminated = pin!(terminated());
        loop {
            let report = match (self.cycle(kurultai, agent).await, self.every) {
                (Ok(report), _) => report,
                (Err(error), Some(every)) if error.retryable() || error.code() == "role.held" => {
                    remark(error.message());
                    tokio::select! {
                        () = sleep(every) => continue,
                        () = &mut terminated => return Ok(()),
                    }
                }
                (Err(error), _) => return Err(Stop::Failed(error)),
            };
            if json {
                say_json(&report)?;
            } else {
                // Each line by itself: a title may have anything in it.
                say(report.text.lines().map(clean).collect::<Vec<_>>().join("\n"))?;
            }
            let Some(every) = self.every else {
                return match report.attention.exit_code() {
                    code if self.exit_code && code > 0 => Err(Stop::Exit(code)),
                    _ => Ok(()),
                };
            };
            tokio::select! {
                () = sleep(every) => {}
                () = &mut terminated => return Ok(()),
            }
        }
    }

    async fn cycle(&self, kurultai: &Kurultai, agent: &str) -> Result<CycleReport> {
        let report = kurultai.cycle(agent).await?;
        let Some(command) = &self.wake else { return Ok(report) };
        let mut woken = vec![];
        for agent in &report.asleep {
            let started = match self.start {
                true => kurultai.tasks().claim(Claim::new(agent).lease(START)).await?.pop(),
                false => None,
            };
            match wake(command, agent, started.as_ref()).await {
                Ok(()) => woken.push(agent.clone()),
                Err(why) => {
                    remark(&format!("{} was not woken: {why}", clean(agent)));
                    if let Some(Claimed { lease, .. }) = &started {
                        kurultai.tasks().release(lease).await?;
                    }
                }
            }
        }
        Ok(report.with_woken(woken))
    }
}

async fn router(kurultai: &Kurultai) -> Result<String> {
    if let Some(lease) = kurultai.agents().leader("router").await? {
        return Ok(lease.holder);
    }
    let able = kurultai.agents().with_capability(ROUTING).await?;
    let first = able.into_iter().next().map(|agent| agent.id);
    first.ok_or_else(|| Error::invalid("agent", "", "an agent: nobody holds the role router or can route"))
}

async fn wake(command: &str, agent: &str, started: Option<&Claimed>) -> std::result::Result<(), String> {
    let lease = started.map(|claimed| claimed.lease.to_string()).unwrap_or_default();
    let mut variables = vec![("KURULTAI_AGENT", agent)];
    if let Some(Claimed { id, .. }) = started {
        variables.extend([("KURULTAI_TASK", id.as_str()), ("KURULTAI_LEASE", &lease)]);
    }
    shell::run(command, &variables, "").await
}

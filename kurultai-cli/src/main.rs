//! The operators' program. Each room has its file; `output.rs` says how things look.

mod agents;
mod change;
mod cycle;
mod demo;
mod events;
mod heartbeat;
mod keys;
mod messages;
mod migrate;
mod namespaces;
mod on_alert;
mod output;
mod plan;
mod roles;
mod schedules;
mod service;
mod shell;
mod status;
mod stdin;
mod stop;
mod subscriptions;
mod tasks;
mod text;
mod verify;
mod watch;

use clap::{Parser, Subcommand, error::ErrorKind};
use kurultai_core::{Config, Error, Kind, Kurultai, Result};
use output::{Done, Stop};
use std::process::ExitCode;

const EXIT_CODES: &str = "\
Exit codes:
  0  done; also where `tasks claim` finds nothing to claim
  1  a defect of kurultai or of the database; a check of `verify` that failed; a demo that does not add up
  2  the call is wrong
  3  no such task, agent, role or schedule
  4  the state of the thing forbids it
  5  somebody else holds the task or the role now: stop working on it
  6  the store did not answer, or not in time, or it may have happened: repeat
  7  an operator must act: URL, password, schema, disk

Durations are a number and a unit: 500ms, 30s, 5m, 2h, 1d.
A payload, result, checkpoint or error text that is - is read from stdin; 1 MiB at most.
Secrets come from files, stdin and the environment: AGENT_KEY_<ID>, and KURULTAI_WRAPPING_KEY_FILE or KURULTAI_WRAPPING_KEY.
Without --url the store is what KURULTAI_URL names, or NEO4J_URI with NEO4J_USER and NEO4J_PASSWORD.";

/// A shared, durable picture for a team of AI agents: who is alive and what must be done.
#[derive(Debug, Parser)]
#[command(name = "kurultai", version, after_help = EXIT_CODES, arg_required_else_help = true)]
struct Cli {
    #[command(flatten)]
    place: Place,
    #[command(subcommand)]
    command: Command,
}

/// Where the team's picture is and how the answer should look.
#[derive(Debug, clap::Args)]
pub(crate) struct Place {
    /// sqlite:PATH, or neo4j://USER:PASSWORD@HOST:7687/DATABASE
    #[arg(long, global = true, env = "KURULTAI_URL", hide_env_values = true)]
    url: Option<String>,
    /// The team; teams of one database do not see each other
    #[arg(long, global = true, default_value = "default")]
    namespace: String,
    /// Answers and errors as JSON
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Bring the schema up to date
    Migrate(migrate::Migrate),
    /// Who is alive, what waits, what went wrong
    Status(status::Status),
    /// Whether everything is in order: store, schema, clocks, heartbeats, and that a death is found
    Verify(verify::Verify),
    /// Declare agents dead or recovered, until the process is asked to end
    Watch(watch::Watch),
    /// One turn of the router: delegate what is unassigned, wake who sleeps on work, say what burns
    ///
    /// It says HEARTBEAT_OK where nothing needs attention, what burns alone where that is critical, and else what was
    /// delegated and what there is to do. An agent that does not route sees its own inbox and tasks.
    Cycle(cycle::Cycle),
    /// Speak for agents that have no worker of ours, until the process is asked to end
    Heartbeat(heartbeat::Heartbeat),
    /// The emergency stop: give out nothing, and ask every holder to cancel
    ///
    /// What is held ends cancelled when its holder gives it back or fails, or when its lease runs out; what is completed
    /// before the holder has heard of it stays completed.
    Stop(stop::Stop),
    /// Give out tasks again after a stop; what was cancelled stays so
    Start,
    /// Add, claim, finish and look at tasks
    #[command(subcommand)]
    Tasks(Box<tasks::Command>),
    /// The registry
    #[command(subcommand)]
    Agents(agents::Command),
    /// What is due when: tasks at their times
    #[command(subcommand)]
    Schedules(schedules::Command),
    /// Who said what: signed messages between agents
    #[command(subcommand)]
    Messages(messages::Command),
    /// By which keys the team knows its agents
    #[command(subcommand)]
    Keys(keys::Command),
    /// What happened
    #[command(subcommand)]
    Events(events::Command),
    /// Readers of the log that the store remembers
    #[command(subcommand)]
    Subscriptions(subscriptions::Command),
    /// The teams of this database
    #[command(subcommand)]
    Namespaces(namespaces::Command),
    /// Import a plan: its agents and all its tasks, in one transaction
    Run(plan::Run),
    /// Six agents work through a real plan, with a few accidents on the way
    Demo(demo::Demo),
}

impl Place {
    /// Without a URL the environment decides; an error that says what to set if it does not either.
    pub(crate) fn config(&self) -> Result<Config> {
        let config = match &self.url {
            Some(url) => Config::new(url)?,
            None => Config::from_env()?,
        };
        config.namespace(&self.namespace)
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    let json = cli.place.json;
    // Some have something to remove or to hand back first; of `tail` an interrupt is the end.
    let ends_itself = matches!(
        cli.command,
        Command::Verify(_)
            | Command::Agents(agents::Command::Lead(_))
            | Command::Messages(messages::Command::Tail(_))
    );
    let ended = tokio::select! {
        ended = run(cli) => ended,
        _ = tokio::signal::ctrl_c(), if !ends_itself => Err(Stop::Exit(130)),
    };
    match ended {
        Ok(()) | Err(Stop::Unread) => ExitCode::SUCCESS,
        Err(Stop::Exit(code)) => ExitCode::from(code),
        Err(Stop::Failed(error)) => {
            output::failure(&error, json);
            ExitCode::from(exit_code(error.kind()))
        }
    }
}

async fn run(mut cli: Cli) -> Done {
    // Of an empty variable clap makes an empty URL.
    cli.place.url = cli.place.url.filter(|url| !url.is_empty());
    let place = &cli.place;
    match cli.command {
        Command::Migrate(migrate) => return migrate.run(place).await,
        Command::Demo(demo) => return demo.run(place).await,
        Command::Heartbeat(heartbeat) => return heartbeat.run(place).await,
        Command::Watch(watch) => return watch.run(place).await,
        Command::Cycle(cycle) => return cycle.run(place).await,
        Command::Verify(verify) => return verify.run(place).await,
        Command::Keys(keys::Command::WrappingKey { path }) => return keys::wrapping_key(&path, place.json),
        _ => {}
    }
    let config = match &cli.command {
        Command::Messages(command) => command.identified(place.config()?)?,
        _ => place.config()?,
    };
    let kurultai = Kurultai::open_with(config).await?;
    let done = match cli.command {
        Command::Status(status) => status.run(&kurultai, place.json).await,
        Command::Stop(stop) => stop.run(&kurultai, place.json).await,
        Command::Start => stop::start(&kurultai, place.json).await,
        Command::Tasks(command) => command.run(&kurultai, place.json).await,
        Command::Agents(command) => command.run(&kurultai, place.json).await,
        Command::Schedules(command) => command.run(&kurultai, place.json).await,
        Command::Messages(command) => command.run(&kurultai, place.json).await,
        Command::Keys(command) => command.run(&kurultai, place.json).await,
        Command::Events(command) => command.run(&kurultai, place.json).await,
        Command::Subscriptions(command) => command.run(&kurultai, place.json).await,
        Command::Namespaces(command) => command.run(&kurultai, place.json).await,
        Command::Run(run) => run.run(&kurultai, place.json).await,
        Command::Migrate(_)
        | Command::Demo(_)
        | Command::Heartbeat(_)
        | Command::Watch(_)
        | Command::Cycle(_)
        | Command::Verify(_) => Ok(()),
    };
    kurultai.close().await;
    done
}

/// What clap has to say: help as it is, a wrong call as one of our errors.
fn usage(error: &clap::Error) -> ExitCode {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            drop(error.print());
            ExitCode::SUCCESS
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            drop(error.print());
            ExitCode::from(2)
        }
        _ => {
            let text = error.to_string();
            let first: Vec<&str> = text.lines().take_while(|l| !l.trim().is_empty()).map(str::trim).collect();
            let message = first.join(" ");
            let message = match error.kind() {
                ErrorKind::InvalidUtf8 => no_text(),
                _ => message.strip_prefix("error: ").unwrap_or(&message).to_owned(),
            };
            let json = std::env::args_os().any(|arg| arg == "--json");
            output::failure(&Error::new(Kind::Input, "input.usage", message), json);
            ExitCode::from(2)
        }
    }
}

/// Which of the program's words is no text.
fn no_text() -> String {
    match std::env::args_os().find(|argument| argument.to_str().is_none()) {
        Some(argument) => format!("the argument {:?} is not UTF-8", argument.to_string_lossy()),
        None => "KURULTAI_URL is not UTF-8".to_owned(),
    }
}

fn exit_code(kind: Kind) -> u8 {
    match kind {
        Kind::Input => 2,
        Kind::NotFound => 3,
        Kind::Conflict | Kind::Closed => 4,
        Kind::LeaseLost => 5,
        Kind::Unavailable | Kind::OutcomeUnknown | Kind::Limited | Kind::TimedOut => 6,
        Kind::Storage | Kind::Config | Kind::Denied => 7,
        _ => 1,
    }
}

//! `kurultai demo`: six agents work through a real plan. Read on in `faults.rs` (what goes wrong on purpose),
//! `cast.rs` (the workers), `director.rs` (the course of events), `story.rs` (events in words), `screen.rs`, and
//! `tally.rs` (what the store says about it afterwards).

mod cast;
mod director;
mod faults;
mod rehearsal;
mod screen;
mod story;
mod summary;
mod tally;

use crate::{
    Place,
    output::{Done, Stop, say_all, say_json},
    plan::{Plan, Routing},
    text::clean,
};
use director::Director;
use kurultai_core::{Config, Kurultai, tasks::RetryPolicy};
use screen::Screen;
use std::time::Duration;
use tally::Tally;
use tempfile::TempDir;

#[derive(Debug, clap::Args)]
pub(crate) struct Demo {
    /// gap (40 tasks), coditect (65 modules with 300 steps) or a file
    #[arg(long, default_value = "gap")]
    plan: String,
    /// Another number, other accidents
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Milliseconds of work for each planned hour; default 8, and 80 on a terminal, where one can watch
    #[arg(long, value_name = "MS_PER_HOUR", value_parser = speed)]
    speed: Option<f64>,
    /// Only the summary
    #[arg(long)]
    quiet: bool,
}

fn speed(text: &str) -> Result<f64, String> {
    let number = text.parse::<f64>().ok().filter(|ms| (0.0..=60_000.0).contains(ms));
    number.ok_or_else(|| "0 to 60000 milliseconds".to_owned())
}

/// Where the demo takes place; a file of its own is removed at the end.
struct Stage {
    config: Config,
    shown: String,
    namespace: String,
    file: Option<TempDir>,
}

impl Demo {
    pub(crate) async fn run(&self, place: &Place) -> Done {
        let plan = Plan::named(&self.plan)?;
        let retry =
            RetryPolicy { base: Duration::from_millis(100), cap: Duration::from_secs(1), jitter: true };
        let tasks = plan.tasks(Routing::Capability, retry)?;
        let stage = stage(place)?;
        let mut screen = Screen::new(place.json, self.quiet);
        let cast = plan.cast();
        screen.note(format!("{}: {} tasks for {} agents", clean(&plan.name), tasks.len(), cast.len()))?;
        screen.note(format!("on {}", stage.shown))?;
        let kurultai = Kurultai::open_with(stage.config.clone()).await?;
        if kurultai.store_name() != "sqlite" {
            screen.note("a short rehearsal, for which a server that has just started needs half a minute")?;
            rehearsal::rehearse(stage.config.clone(), &stage.namespace).await?;
        }
        let speed = self.speed.unwrap_or(if screen.is_live() { 80.0 } else { 8.0 });
        let mut director = Director::new(&kurultai, cast.clone(), self.seed, speed);
        let played = director.play(tasks, &mut screen).await;
        drop(screen);
        played?;
        let tally = Tally::of(&kurultai, &plan.name).await?;
        kurultai.close().await;
        if place.json {
            say_json(&tally)?;
        } else {
            say_all(&summary::lines(&tally, &cast))?;
            if stage.file.is_none() {
                crate::output::say(format!("\nThe tasks stay in the namespace {}.", stage.namespace))?;
            }
        }
        drop(stage.file);
        if tally.adds_up() { Ok(()) } else { Err(Stop::Exit(1)) }
    }
}

/// A named store gets a namespace of its own, so that nothing of the user's is touched.
fn stage(place: &Place) -> Done<Stage> {
    let namespace: String = std::iter::repeat_with(fastrand::alphanumeric).take(6).collect();
    let namespace = format!("demo-{}", namespace.to_lowercase());
    let named = place.url.is_some() || std::env::var_os("NEO4J_URI").is_some_and(|uri| !uri.is_empty());
    if named {
        let url = match &place.url {
            Some(url) => without_secret(url),
            None => "the Neo4j that NEO4J_URI names".to_owned(),
        };
        let config = place.config()?.namespace(&namespace)?;
        let shown = format!("{url}, in the fresh namespace {namespace}");
        return Ok(Stage { config, shown, namespace, file: None });
    }
    let file = tempfile::Builder::new().prefix("kurultai-demo-").tempdir()?;
    let url = format!("sqlite:{}", file.path().join("demo.db").display());
    let shown = format!("{url}, a fresh file that is removed at the end");
    Ok(Stage { config: Config::new(&url)?.namespace(&namespace)?, shown, namespace, file: Some(file) })
}

/// The URL as it may be shown: without user and password.
fn without_secret(url: &str) -> String {
    match (url.split_once("://"), url.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, place))) => clean(&format!("{scheme}://{place}")),
        _ => clean(url),
    }
}

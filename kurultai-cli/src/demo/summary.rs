//! The end of the demo, for people.

use super::tally::Tally;
use crate::{
    output::{number, table, text},
    text::{clean, count, span},
};
use kurultai_core::agents::NewAgent;

pub(super) fn lines(tally: &Tally, cast: &[NewAgent]) -> Vec<String> {
    let details = &tally.details;
    let name = |id: &str| {
        let agent = cast.iter().find(|agent| agent.id == id);
        clean(agent.and_then(|agent| agent.display_name.as_deref()).unwrap_or(id))
    };
    let mut lines = vec![String::new(), verdict(tally), String::new()];
    let mut say = |head: &str, words: String| lines.push(format!("  {head:<9}  {words}"));

    say(
        "order",
        match tally.order_violations {
            0 => format!("all {} dependencies respected", details.dependencies),
            wrong => format!("{} before a prerequisite was completed", count(wrong, "claim")),
        },
    );
    let spans =
        |p: kurultai_core::tasks::Percentiles| format!("p50 {:<9}  p99 {:<9}", span(p.p50), span(p.p99));
    say("wait", format!("{}  from claimable to claimed", spans(details.stats.wait_seconds)));
    say("run", format!("{}  from claimed to completed", spans(details.stats.run_seconds)));
    let retried = details.retried.iter().map(|(task, lapsed)| {
        let why = if *lapsed { "its lease ran out" } else { "its attempt failed" };
        format!("{task} ({why})")
    });
    say("retries", listed(tally.retries, retried));
    let taken = details
        .taken_over
        .iter()
        .map(|(task, from, by)| format!("{task} by {} from {}", name(by), name(from)));
    say("takeovers", listed(tally.takeovers, taken));
    say(
        "replayed",
        listed(tally.dead_letters_replayed, details.replayed.iter().map(|t| format!("dead letter {t}"))),
    );
    if !details.unfinished.is_empty() {
        let open = details.unfinished.iter().map(|(task, status)| format!("{task} ({status})"));
        say("NOT DONE", listed(details.unfinished.len(), open));
    }
    lines.push(String::new());
    lines.extend(table(&[text("  AGENT"), number("TASKS"), number("BUSY")], &rows(tally, cast, name)));
    lines
}

fn verdict(tally: &Tally) -> String {
    let Tally { plan, store, tasks, completed, completed_twice, seconds, .. } = tally;
    let (plan, took) = (clean(plan), span(*seconds));
    if tally.adds_up() {
        format!("All {tasks} tasks completed, each exactly once, in {took} ({plan} on {store}).")
    } else {
        format!(
            "IT DOES NOT ADD UP: {completed} of {tasks} tasks completed, {completed_twice} twice ({plan} on {store}, {took})."
        )
    }
}

/// A number and the first few of what it counts.
fn listed(count: usize, items: impl Iterator<Item = String>) -> String {
    let shown: Vec<String> = items.take(4).collect();
    let more = if count > shown.len() { ", …" } else { "" };
    if shown.is_empty() { "none".to_owned() } else { format!("{count}: {}{more}", shown.join(", ")) }
}

/// One row an agent, one for what completes by itself, and the sum.
fn rows(tally: &Tally, cast: &[NewAgent], name: impl Fn(&str) -> String) -> Vec<Vec<String>> {
    let work = &tally.details.work;
    let seconds = |busy: f64| format!("{busy:.2} s");
    let row = |who: String, tasks: usize, busy: String| vec![format!("  {who}"), tasks.to_string(), busy];
    let mut rows: Vec<Vec<String>> = cast
        .iter()
        .map(|agent| {
            let (tasks, busy) = work.get(&agent.id).copied().unwrap_or_default();
            row(name(&agent.id), tasks, seconds(busy))
        })
        .collect();
    let agents: usize = work.values().map(|(tasks, _)| tasks).sum();
    let busy: f64 = work.values().map(|(_, busy)| busy).sum();
    let containers = tally.completed.saturating_sub(agents);
    if tally.details.containers > 0 {
        rows.push(row("(modules, by their steps)".to_owned(), containers, String::new()));
    }
    rows.push(row("together".to_owned(), tally.completed, seconds(busy)));
    rows
}

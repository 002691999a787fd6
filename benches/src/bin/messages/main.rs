//! What a message costs: signed and verified; sent, fetched and acknowledged by sixty-four callers; admitted from outside;
//! and how soon an inbox that waits, or a handler, has it, in one process and across two.
//!
//! `messages URL`; the team is a namespace of its own.
#![allow(clippy::print_stdout, reason = "a table on the terminal is what it is for")]

mod envelopes;
mod signing;

use futures::future::join_all;
use kurultai_core::{
    Config, Kurultai,
    agents::NewAgent,
    clock::monotonic,
    ids,
    messages::{Ed25519Key, Inbox, NewMessage},
    worker::{Agent, MessageContext},
};
use std::{
    env,
    error::Error,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tokio::{
    process::{Child, Command},
    sync::Notify,
    time::sleep,
};

pub(crate) type Result<T = ()> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

const CALLERS: usize = 64;
const EACH: usize = 100;
const LATENCIES: usize = 300;

#[tokio::main]
async fn main() -> Result {
    let args: Vec<String> = env::args().skip(1).collect();
    match &args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["send", url, namespace, key] => {
            send_slowly(&open(url, namespace, Some(Ed25519Key::read(key)?)).await?).await
        }
        [url] => all(url).await,
        _ => Err("messages URL".into()),
    }
}

async fn open(url: &str, namespace: &str, key: Option<Ed25519Key>) -> Result<Kurultai> {
    let config = Config::new(url)?.namespace(namespace)?;
    Ok(Kurultai::open_with(key.into_iter().fold(config, Config::identity)).await?)
}

async fn all(url: &str) -> Result {
    let namespace = format!("bench-{}", ids::new_id());
    let team = open(url, &namespace, None).await?;
    let agents: Vec<String> = (0..CALLERS).map(|i| format!("a{i}")).collect();
    team.agents().register_many(agents.iter().map(NewAgent::new).collect()).await?;
    let key = team.keys().rotate("a0").await?;
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("a0.key");
    key.write(&path)?;
    println!("messages on {}", team.store_name());
    signing::all(&key, team.keys().list(Some("a0")).await?)?;
    let sender = open(url, &namespace, Some(key)).await?;

    let begun = monotonic();
    join_all(agents.iter().map(|agent| cycle(&sender, agent)))
        .await
        .into_iter()
        .collect::<Result<Vec<_>>>()?;
    let seconds = begun.elapsed().as_secs_f64();
    println!("  send + inbox + ack, {CALLERS} callers: {:.0} a second", (CALLERS * EACH) as f64 / seconds);

    envelopes::accept(url, &namespace).await?;

    let (sent, got) = tokio::join!(send_slowly(&sender), receive(&sender));
    sent?;
    say("to an inbox that waits, in one process", got?);
    let mut child = sends(url, &namespace, &path)?;
    say("to an inbox that waits, across two", receive(&sender).await?);
    child.wait().await?;
    let (sent, got) = tokio::join!(send_slowly(&sender), handle(&sender));
    sent?;
    say("to a handler, in one process", got?);
    let mut child = sends(url, &namespace, &path)?;
    say("to a handler, across two", handle(&sender).await?);
    child.wait().await?;
    team.delete_namespace(&namespace).await.ok();
    Ok(())
}

/// Another process that sends.
fn sends(url: &str, namespace: &str, key: &Path) -> Result<Child> {
    let mut command = Command::new(env::current_exe()?);
    Ok(command.args(["send", url, namespace]).arg(key).kill_on_drop(true).spawn()?)
}

async fn cycle(team: &Kurultai, agent: &str) -> Result {
    let messages = team.messages();
    for i in 0..EACH {
        messages
            .send(NewMessage::new(agent, "bench", serde_json::json!({"i": i, "text": "x".repeat(100)})))
            .await?;
        let mine = Inbox { agent: Some(agent.to_owned()), max: 1, ..Inbox::default() };
        let got = messages.inbox(mine).await?;
        let receipts: Vec<_> = got.iter().map(|message| message.receipt()).collect();
        for settled in messages.ack(&receipts).await? {
            settled?;
        }
    }
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "two processes of one machine compare their times")]
fn micros() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64() * 1e6
}

async fn send_slowly(team: &Kurultai) -> Result {
    sleep(Duration::from_secs(1)).await;
    for _ in 0..LATENCIES {
        team.messages().send(NewMessage::new("late", "bench", serde_json::json!(micros()))).await?;
        sleep(Duration::from_millis(fastrand::u64(10..30))).await;
    }
    Ok(())
}

async fn receive(team: &Kurultai) -> Result<Vec<f64>> {
    let mut spans = vec![];
    while spans.len() < LATENCIES {
        let inbox =
            Inbox { agent: Some("late".to_owned()), wait: Duration::from_secs(30), ..Inbox::default() };
        let got = team.messages().inbox(inbox).await?;
        let now = micros();
        for message in &got {
            spans.push((now - message.body.value().as_f64().ok_or("no time")?) / 1e3);
        }
        let receipts: Vec<_> = got.iter().map(|message| message.receipt()).collect();
        team.messages().ack(&receipts).await?;
    }
    Ok(spans)
}

/// By an agent's `on_message`.
async fn handle(team: &Kurultai) -> Result<Vec<f64>> {
    let (spans, enough) = (Arc::new(Mutex::new(vec![])), Arc::new(Notify::new()));
    let (seen, done) = (spans.clone(), enough.clone());
    let agent = Agent::new("late").on_message("bench", move |_: MessageContext, sent: f64| {
        let mut spans = seen.lock().unwrap_or_else(PoisonError::into_inner);
        spans.push((micros() - sent) / 1e3);
        if spans.len() >= LATENCIES {
            done.notify_one();
        }
        async { Ok::<_, kurultai_core::Error>(()) }
    });
    agent.run_until(team, async move { enough.notified().await }).await?;
    Ok(std::mem::take(&mut *spans.lock().unwrap_or_else(PoisonError::into_inner)))
}

fn say(how: &str, mut spans: Vec<f64>) {
    spans.sort_unstable_by(f64::total_cmp);
    println!("  {how}: p50 {:.2} ms, p99 {:.2} ms", spans[LATENCIES / 2], spans[LATENCIES * 99 / 100]);
}

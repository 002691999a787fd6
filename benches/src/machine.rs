//! What was measured on.

use crate::{Result, neo4j::connect};
use kurultai_core::clock::monotonic;
use neo4rs::query;
use std::{fs, sync::mpsc, thread};
use url::Url;

/// Lines for the head of the report.
pub(crate) async fn describe(server: Option<&Url>) -> Result<Vec<String>> {
    let cores = thread::available_parallelism()?;
    let neo4j = match server {
        Some(server) => format!(", Neo4j {}", neo4j_version(server).await?),
        None => String::new(),
    };
    Ok(vec![
        format!("{cores} cores, {}; two-thread ping-pong {:.1} us", cpu(), ping_pong()?),
        format!("{}, SQLite {}{neo4j}", env!("RUSTC_VERSION"), rusqlite::version()),
    ])
}

fn cpu() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    model.map_or(std::env::consts::ARCH, |(_, model)| model.trim()).to_owned()
}

/// Microseconds until another thread has answered: what a hand-over to the writer and back costs here.
fn ping_pong() -> Result<f64> {
    const ROUNDS: u32 = 20_000;
    let (ping, pinged) = mpsc::channel();
    let (pong, ponged) = mpsc::channel();
    let other = thread::spawn(move || pinged.iter().all(|()| pong.send(()).is_ok()));
    let start = monotonic();
    for _ in 0..ROUNDS {
        ping.send(())?;
        ponged.recv()?;
    }
    let took = start.elapsed().as_secs_f64() * 1e6 / f64::from(ROUNDS);
    drop(ping);
    drop(other.join());
    Ok(took)
}

async fn neo4j_version(server: &Url) -> Result<String> {
    let components = query("CALL dbms.components() YIELD versions RETURN versions[0] AS version");
    let mut rows = connect(server)?.execute(components).await?;
    let row = rows.next().await?.ok_or("the server does not say its version")?;
    Ok(row.get("version")?)
}

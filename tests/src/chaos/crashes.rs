//! G9: the Neo4j server itself killed with SIGKILL while processes add, claim and complete tasks, and started again on
//! its data.

use super::{Arena, Report, Result, kills::Run};
use std::path::Path;
use tokio::task::spawn_blocking;
use xtask::server::Server;

/// Crashes a server of its own `crashes` times, spread over the time that `tasks` tasks take.
pub async fn run(program: &Path, crashes: usize, tasks: usize) -> Result<Report> {
    let mut server = spawn_blocking(Server::fresh).await??;
    let arena = Arena::of_server(server.url());
    let kurultai = arena.open().await?;
    let run = Run::begin(program, &arena, &kurultai, tasks)?;
    for crash in 1..=crashes {
        run.comes_to(crash, crashes).await?;
        let crashed = spawn_blocking(move || {
            server.kill()?;
            server.start()?;
            Ok::<_, super::Error>(server)
        });
        server = crashed.await??;
    }
    let report = run.finish().await;
    kurultai.close().await;
    Ok(Report { crashes, ..report? })
}

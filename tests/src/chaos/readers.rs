//! What the processes of the mail do: readers, and those who present a message again and again.

use super::{
    Result,
    mail::VISIBLE,
    now,
    role::{persist, say},
};
use kurultai_core::{
    Kurultai,
    messages::{AgentMessage, Inbox},
};
use std::{fs, path::Path, time::Duration};
use tokio::{runtime::Handle, task::spawn_blocking, time::sleep};

/// More than one hit of a kill.
const MOST: usize = 3;
/// One delivery of so many is held for longer than it may be.
const SLOW: u32 = 150;
const THREADS: usize = 8;

/// Reads an inbox until the process ends.
pub(super) async fn read(kurultai: &Kurultai, agent: &str) -> Result {
    say("ready")?;
    let messages = kurultai.messages();
    loop {
        let max = fastrand::usize(1..=MOST);
        let request = Inbox { agent: Some(agent.to_owned()), max, visible: VISIBLE, ..Inbox::default() };
        let after = micros();
        let given = persist(|| messages.inbox(request.clone())).await?;
        let before = micros();
        for AgentMessage { id, delivery, .. } in &given {
            say(&format!("given {id} {delivery} {after} {before}"))?;
        }
        if given.is_empty() {
            sleep(Duration::from_millis(fastrand::u64(5..20))).await;
        }
        for message in given {
            let work = Duration::from_millis(fastrand::u64(..5));
            sleep(if fastrand::u32(..SLOW) == 0 { VISIBLE + work } else { work }).await;
            let receipt = message.receipt();
            let settled =
                persist(|| async { messages.ack(std::slice::from_ref(&receipt)).await?.remove(0) }).await;
            let said = match settled {
                Ok(_) => "acked",
                Err(error) if error.code() == "lease.lost" => "late",
                Err(error) => return Err(error.into()),
            };
            say(&format!("{said} {} {}", receipt.id, receipt.delivery))?;
        }
    }
}

/// Waits for a file of tokens, one a line, and presents each so often, from several threads at once.
pub(super) async fn present(kurultai: &Kurultai, file: &Path, times: usize) -> Result {
    say("ready")?;
    let tokens = loop {
        match fs::read_to_string(file) {
            Ok(tokens) => break tokens,
            Err(_) => sleep(Duration::from_millis(1)).await,
        }
    };
    for (number, token) in tokens.lines().enumerate() {
        let threads = (0..THREADS).map(|thread| {
            let (messages, token) = (kurultai.messages(), token.to_owned());
            // The first threads have one more.
            let times = times / THREADS + usize::from(thread < times % THREADS);
            let each = async move {
                for _ in 0..times {
                    let answer = match messages.accept(&token).await {
                        Ok(_) => "admitted",
                        Err(error) => error.code(),
                    };
                    say(&format!("presented {number} {answer}"))?;
                }
                Ok::<_, super::Error>(())
            };
            spawn_blocking(move || Handle::current().block_on(each))
        });
        for thread in threads.collect::<Vec<_>>() {
            thread.await??;
        }
    }
    Ok(())
}

/// In microseconds since 1970, as the stores count.
fn micros() -> i64 {
    now().timestamp_micros()
}

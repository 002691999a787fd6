//! Asks participants and waits for their answers, for many at once.

use super::{
    players::{Heard, Players},
    record::{Call, Op},
};
use crate::chaos::Result;
use std::{collections::HashMap, time::Duration};
use tokio::{
    sync::{
        mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
        oneshot,
    },
    task::JoinHandle,
    time::timeout,
};

/// How long an answer may take: it only ends what hangs.
const PATIENCE: Duration = Duration::from_secs(120);

type Request = (usize, usize, Op, oneshot::Sender<Call>);

#[derive(Debug)]
pub struct Desk {
    requests: UnboundedSender<Request>,
    attended: JoinHandle<Result>,
}

impl Desk {
    /// Opens when all players are there.
    pub async fn open(mut players: Players) -> Result<Self> {
        while (0..players.count()).any(|player| !players.is_ready(player)) {
            timeout(PATIENCE, players.hear()).await.map_err(|_| "a participant does not start")??;
        }
        let (requests, asked) = unbounded_channel();
        Ok(Desk { requests, attended: tokio::spawn(attend(players, asked)) })
    }

    pub async fn ask(&self, player: usize, team: usize, op: Op) -> Result<Call> {
        let (sender, answer) = oneshot::channel();
        let what = format!("{op:?}");
        drop(self.requests.send((player, team, op, sender)));
        let answer = timeout(PATIENCE, answer).await.map_err(|_| format!("no answer to {what}"))?;
        Ok(answer.map_err(|_| "the participants have gone")?)
    }

    pub async fn close(self) -> Result {
        drop(self.requests);
        self.attended.await?
    }
}

async fn attend(mut players: Players, mut asked: UnboundedReceiver<Request>) -> Result {
    let mut waiting = HashMap::new();
    loop {
        tokio::select! {
            request = asked.recv() => match request {
                Some((player, team, op, sender)) => {
                    waiting.insert(players.tell(player, team, op).await?, sender);
                }
                None => break,
            },
            heard = players.hear() => {
                if let Heard::Answered { number, call, .. } = heard?
                    && let Some(sender) = waiting.remove(&number)
                {
                    drop(sender.send(call));
                }
            }
        }
    }
    let strange = std::mem::take(&mut players.strange);
    players.dismiss().await;
    strange.into_iter().next().map_or(Ok(()), |strange| Err(strange.into()))
}

//! The background of one opened store: one loop, which looks at the store with one statement for everybody who waits and
//! lets each room do what is due. It ends at `close`.

use crate::{
    agents::Term,
    clock::monotonic,
    error::Result,
    news::News,
    store::{Pulse, Store},
};
use async_trait::async_trait;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::time::sleep;

/// How often the loop looks where nothing hints at a change.
pub(crate) const TICK: Duration = Duration::from_secs(1);
/// How often it does what looks at many rows.
const MINUTE: Duration = Duration::from_secs(60);

/// What a room has done by the loop.
#[async_trait]
pub(crate) trait Upkeep: Send + Sync {
    /// The store stands like that. Returns when to look again at the latest.
    async fn look(&self, pulse: &Pulse) -> Result<Duration>;

    /// Hands on what this process has written. Returns when to do so again, where some of it cannot be seen yet.
    async fn hand_on(&self) -> Result<Option<Duration>> {
        Ok(None)
    }

    /// About once a second.
    async fn tick(&self, _pulse: &Pulse) -> Result<()> {
        Ok(())
    }

    /// About once a minute.
    async fn keep(&self) -> Result<()> {
        Ok(())
    }
}

/// What follows from a write of another room.
#[async_trait]
pub(crate) trait FollowUp: std::fmt::Debug + Send + Sync {
    /// The store has left work for itself, or not; whoever waits is told. What fails here is still due.
    async fn after(&self, overdue: bool);

    /// Lets anybody have what waits and was assigned to an agent; `by` is who decided it. Returns how many tasks that were.
    async fn unassign(&self, agent: &str, by: Option<&str>, under: Option<Term>) -> Result<usize>;
}

/// What the loop remembers from one look to the next.
struct Loop {
    news: Arc<News>,
    store: Arc<dyn Store>,
    rooms: Vec<Arc<dyn Upkeep>>,
    background: bool,
    ticked: Instant,
    kept: Instant,
}

/// Ends when the news is closed. Without `background` it looks only while somebody waits, and never ticks.
pub(crate) fn start(news: Arc<News>, store: Arc<dyn Store>, rooms: Vec<Arc<dyn Upkeep>>, background: bool) {
    let (ticked, kept) = (monotonic(), monotonic());
    tokio::spawn(Loop { news, store, rooms, background, ticked, kept }.run());
}

impl Loop {
    async fn run(mut self) {
        loop {
            while !self.background && !self.news.is_awaited() && !self.news.is_closed() {
                self.news.rung().await;
            }
            // Before the look: what is written after it makes `changed` return.
            let version = self.store.version().await.ok();
            if self.news.is_closed() {
                return;
            }
            let next = self.look().await;
            self.rest(version, next).await;
        }
    }

    /// One look at the store, and what follows from it. Returns when the next one is due at the latest.
    async fn look(&mut self) -> Duration {
        self.news.looks();
        let looked = async {
            let pulse = self.store.pulse(&self.news.claims()).await?;
            let mut next = TICK;
            for room in &self.rooms {
                next = next.min(room.look(&pulse).await?);
            }
            Ok::<_, crate::Error>((pulse, next))
        };
        match looked.await {
            Ok((pulse, next)) => {
                if self.background && self.ticked.elapsed() >= TICK {
                    self.ticked = monotonic();
                    self.tick(&pulse).await;
                }
                next
            }
            Err(error) => {
                self.news.complain(&error, "the store cannot be watched");
                TICK
            }
        }
    }

    async fn tick(&mut self, pulse: &Pulse) {
        let keeps = self.kept.elapsed() >= MINUTE;
        if keeps {
            self.kept = monotonic();
        }
        for room in &self.rooms {
            let kept = async {
                if keeps {
                    room.keep().await?;
                }
                room.tick(pulse).await
            };
            if let Err(error) = kept.await {
                self.news.complain(&error, "maintenance failed; the next pass tries again");
            }
        }
    }

    /// Until somebody may have written, somebody begins to wait, or the time is over. Hands on meanwhile what is written
    /// in this process.
    async fn rest(&mut self, version: Option<i64>, next: Duration) {
        let news = &self.news;
        let awaited = news.is_awaited();
        let span = if awaited { next } else { next.min(TICK).mul_f64(0.9 + fastrand::f64() / 5.0) };
        let over = sleep(span);
        let changed = async || match version {
            Some(version) => self.store.changed(version, news.quiet()).await,
            None => std::future::pending().await,
        };
        let changing = changed();
        tokio::pin!(over, changing);
        loop {
            tokio::select! {
                () = news.rung() => {
                    let has_begun = !awaited && news.is_awaited();
                    if has_begun || news.wants_a_look() || news.is_closed() {
                        return;
                    }
                    for room in &self.rooms {
                        match room.hand_on().await {
                            Ok(Some(again)) => {
                                sleep(again).await;
                                news.ring();
                            }
                            Ok(None) => {}
                            Err(_) => return,
                        }
                    }
                    // For those who wait for events that was the look.
                    if !news.is_work_awaited() {
                        changing.set(changed());
                    }
                }
                () = &mut changing, if awaited => return,
                () = &mut over => return,
            }
        }
    }
}

//! The heartbeats of a process: one statement for all agents that work in it, however many they are.

use super::contract::{Beat, HeartbeatWriter};
use crate::{
    calls::OwnedCall,
    clock::monotonic,
    error::{Error, Result},
    session::Session,
};
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};
use tokio::{
    sync::{Notify, oneshot},
    task::JoinHandle,
    time::sleep_until,
};

/// So long after it has joined an agent beats for the first time, together with all that have joined meanwhile: from then
/// on it does not seem stopped where another process that works for it too says goodbye.
const FIRST: Duration = Duration::from_secs(1);

/// Knows who works in this process.
#[derive(Debug)]
pub(crate) struct Beats {
    registry: Arc<dyn HeartbeatWriter>,
    session: Arc<Session>,
    /// Each agent at work, and how often it says so.
    agents: Mutex<Vec<(String, Duration)>>,
    background: Mutex<Option<JoinHandle<()>>>,
    joined: Notify,
}

/// An agent is at work here until it leaves or this is dropped.
#[derive(Debug)]
pub(crate) struct AtWork {
    beats: Arc<Beats>,
    agent: String,
    interval: Duration,
}

impl Beats {
    pub(super) fn new(registry: Arc<dyn HeartbeatWriter>, session: Arc<Session>) -> Arc<Self> {
        Arc::new(Beats {
            registry,
            session,
            agents: Mutex::default(),
            background: Mutex::default(),
            joined: Notify::new(),
        })
    }

    /// The agent works here from now on.
    pub(super) fn join(self: &Arc<Self>, agent: &str, interval: Duration) -> AtWork {
        lock(&self.agents).push((agent.to_owned(), interval));
        let mut background = lock(&self.background);
        if background.as_ref().is_none_or(JoinHandle::is_finished) {
            *background = Some(tokio::spawn(beat(Arc::downgrade(self))));
        }
        self.joined.notify_one();
        AtWork { beats: self.clone(), agent: agent.to_owned(), interval }
    }

    /// In the order of their ids, each once.
    fn ids(&self) -> Vec<String> {
        let mut ids: Vec<String> = lock(&self.agents).iter().map(|(id, _)| id.clone()).collect();
        ids.sort_unstable();
        ids.dedup();
        ids
    }

    fn interval(&self) -> Option<Duration> {
        lock(&self.agents).iter().map(|(_, interval)| *interval).min()
    }

    async fn write(&self, ids: Vec<String>, last: bool) -> Result<()> {
        let _call = self.session.calls.begin()?;
        let beats = ids.iter().map(|id| Beat { agent: id.clone(), create: None, last });
        let beaten = self.registry.beat(&self.session.instance, beats.collect()).await?;
        match ids.iter().find(|id| !beaten.contains(id)) {
            Some(gone) => Err(Error::agent_not_found(gone, None)),
            None => Ok(()),
        }
    }

    /// True where it was the last one of its name.
    fn remove(&self, agent: &str, interval: Duration) -> bool {
        let mut agents = lock(&self.agents);
        if let Some(at) = agents.iter().position(|(id, every)| id == agent && *every == interval) {
            agents.swap_remove(at);
        }
        agents.iter().all(|(id, _)| id != agent)
    }
}

impl AtWork {
    /// The agent stops here, and says so unless another loop of this process still works for it: it has not died.
    pub(crate) async fn leave(self) {
        let (beats, agent) = (self.beats.clone(), self.agent.clone());
        if beats.remove(&agent, self.interval)
            && let Err(error) = beats.write(vec![agent], true).await
        {
            tracing::debug!(%error, "that an agent has stopped was not written");
        }
    }
}

/// An agent at work for as long as it is kept.
#[derive(Debug)]
pub(super) struct Beating {
    _kept: oneshot::Sender<()>,
}

impl Beating {
    pub(super) fn begin(session: Arc<Session>, at_work: AtWork, kept: OwnedCall) -> Self {
        let (keeps, dropped) = oneshot::channel();
        tokio::spawn(async move {
            tokio::select! {
                _ = dropped => {}
                () = session.agents.closing() => {}
            }
            at_work.leave().await;
            drop(kept);
        });
        Beating { _kept: keeps }
    }
}

impl Drop for AtWork {
    fn drop(&mut self) {
        self.beats.remove(&self.agent, self.interval);
    }
}

/// As long as somebody works here.
async fn beat(beats: Weak<Beats>) {
    let mut due = monotonic() + FIRST;
    loop {
        let Some(all) = beats.upgrade() else { return };
        let Some(interval) = all.interval() else { return };
        tokio::select! {
            () = sleep_until(due.into()) => {}
            () = all.joined.notified() => {
                due = due.min(monotonic() + FIRST.min(interval));
                continue;
            }
        }
        let ids = all.ids();
        if !ids.is_empty()
            && let Err(error) = all.write(ids, false).await
        {
            all.session.news.complain(&error, "no heartbeat");
        }
        due = monotonic() + interval;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

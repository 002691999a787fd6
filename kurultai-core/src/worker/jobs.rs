//! The loop behind `Jobs`: one background task that claims, renews and beats.

use super::{
    attempt::Stop,
    held::{Held, is_closed},
    holding::Holding,
    job::Job,
    messages::{HeldMessage, MessageJob, fetch},
    places::Places,
    settings::Settings,
    stall::watch_signs,
    watch::watch,
    workplace::Workplace,
};
use crate::{
    error::Result,
    kurultai::Kurultai,
    tasks::{Claim, Outcome},
};
use futures::future::join_all;
use std::{fmt, sync::Arc, time::Duration};
use tokio::{
    sync::{self, mpsc},
    task::AbortHandle,
    time::{sleep, timeout},
};

/// How long an end waits until the store knows of it.
const FAREWELL: Duration = Duration::from_secs(1);

/// The jobs of one agent in this process, as they come. Dropped, it claims nothing more; jobs that run keep their leases, and what
/// nobody has pulled is released.
pub struct Jobs {
    shared: Arc<Shared>,
    inbox: Inbox<Job>,
    messages: Inbox<MessageJob>,
    background: AbortHandle,
}

/// What was claimed or fetched and not pulled yet.
type Inbox<T> = sync::Mutex<mpsc::UnboundedReceiver<Result<T>>>;

/// What the loop and those who pull from it share.
pub(super) struct Shared {
    pub(super) at: Arc<Workplace>,
    holding: Holding<Held>,
    pub(super) messages: Holding<HeldMessage>,
    places: Places,
    pub(super) message_places: Places,
    /// The loop is over, and has said that its agent stops.
    over: sync::watch::Sender<bool>,
}

impl Jobs {
    pub(super) fn start(kurultai: &Kurultai, settings: Settings) -> Self {
        let (sender, inbox) = mpsc::unbounded_channel();
        let (message_sender, messages) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared {
            places: Places::new(settings.concurrency),
            message_places: Places::new(settings.concurrency),
            at: Workplace::new(kurultai, settings),
            holding: Holding::default(),
            messages: Holding::default(),
            over: sync::watch::Sender::new(false),
        });
        let background = tokio::spawn(work(shared.clone(), sender, message_sender)).abort_handle();
        Jobs { shared, inbox: sync::Mutex::new(inbox), messages: sync::Mutex::new(messages), background }
    }

    /// The next claimed task, as soon as there is one and a place for it; `None` once it drains. Each job
    /// takes up a place until it ends or is dropped. May be called by many at once.
    ///
    /// Errors: what no repetition mends, for example `agent.not_found`, `store.full`; after it the answer is `None`, and so
    /// it is where the store was closed. Cancel safe: a dropped call loses no job.
    pub async fn next(&self) -> Result<Option<Job>> {
        self.pull(&self.inbox).await
    }

    /// The next message of the types that the agent was told ([`Agent::messages`](super::Agent::messages)), as soon as there
    /// is one and a place for it; there are as many places for messages as for tasks, beside these. The rest as
    /// [`next`](Self::next).
    pub async fn next_message(&self) -> Result<Option<MessageJob>> {
        self.pull(&self.messages).await
    }

    async fn pull<T>(&self, inbox: &Inbox<T>) -> Result<Option<T>> {
        let pull = async { inbox.lock().await.recv().await };
        tokio::select! {
            biased;
            () = self.shared.at.drained() => Ok(None),
            job = pull => job.transpose(),
        }
    }

    /// Stops claiming at once, and gives back what was claimed or fetched but not pulled. Running jobs go on.
    pub fn drain(&self) {
        self.shared.at.drain();
        if let Ok(mut inbox) = self.inbox.try_lock() {
            hand_back(&mut inbox);
        }
        if let Ok(mut messages) = self.messages.try_lock() {
            hand_back(&mut messages);
        }
    }

    /// Waits until a drain begins, or the store is closed. Cancel safe.
    pub async fn draining(&self) {
        self.shared.at.drained().await;
    }

    /// Drains and waits until every job has ended, at most the agent's grace; those that have not by then are
    /// stopped with `drained` and given back, tasks and messages. Returns how many those were. The store is told that the agent has stopped, so
    /// that nobody takes it for dead. Cancel safe: a dropped call may be made again.
    pub async fn finished(&self) -> usize {
        self.drain();
        hand_back(&mut *self.inbox.lock().await);
        hand_back(&mut *self.messages.lock().await);
        let shared = &self.shared;
        let in_time = timeout(shared.at.settings.grace, shared.idle()).await.is_ok();
        let stopped = if in_time { 0 } else { shared.stop().await };
        // Not where a handler that was stopped keeps its place. A loop that has just begun may hold places for a moment, though
        // nothing is at work.
        if in_time || (shared.places.are_free() && shared.message_places.are_free()) {
            drop(timeout(FAREWELL, shared.over.subscribe().wait_for(|over| *over)).await);
        }
        stopped
    }

    /// Ends as a killed process does: nothing is released, nobody is told. For demonstrations and tests.
    #[doc(hidden)]
    pub fn vanish(&self) {
        self.shared.at.vanish();
        self.background.abort();
        self.drain();
    }
}

/// A dropped job gives itself back.
fn hand_back<T>(inbox: &mut mpsc::UnboundedReceiver<Result<T>>) {
    inbox.close();
    while let Ok(job) = inbox.try_recv() {
        drop(job);
    }
}

impl Shared {
    /// Stops the jobs at work and gives back what they are at; returns how many those were.
    async fn stop(&self) -> usize {
        let (left, messages) = (self.holding.all(), self.messages.all());
        left.iter().for_each(|held| held.halt(Stop::Drained));
        messages.iter().for_each(|held| held.halt(Stop::Drained));
        let given_back = join_all(messages.iter().map(|held| held.give_back()));
        let released = join_all(left.iter().map(|held| held.end(Outcome::Release)));
        let (released, _) = tokio::join!(released, given_back);
        let mut count = messages.len();
        for released in released {
            match released {
                Ok(_) => count += 1,
                // It ended by itself meanwhile.
                Err(error) if !error.retryable() => tracing::debug!(%error, "nothing to release"),
                Err(error) => tracing::warn!(%error, "a task returns when its lease ends"),
            }
        }
        count
    }

    /// Waits until no job takes up a place.
    async fn idle(&self) {
        tokio::join!(self.places.idle(), self.message_places.idle());
    }
}

/// Until nothing is claimed and nothing held any more.
async fn work(
    shared: Arc<Shared>,
    inbox: mpsc::UnboundedSender<Result<Job>>,
    messages: mpsc::UnboundedSender<Result<MessageJob>>,
) {
    let Settings { types, message_types, .. } = &shared.at.settings;
    let (claims, fetches) = (types.as_ref().is_none_or(|types| !types.is_empty()), !message_types.is_empty());
    let agents = &shared.at.kurultai.session().agents;
    let Ok(_call) = agents.begin() else {
        shared.over.send_replace(true);
        return;
    };
    // Registering was the first beat.
    let at_work =
        shared.at.kurultai.agents().at_work(&shared.at.settings.agent, shared.at.settings.heartbeat);
    let working = async {
        // That the store is closed ends the claim by itself, so that nothing is given to it that has to go back later.
        tokio::select! {
            biased;
            () = shared.at.drained() => {}
            () = inbox.closed() => {}
            () = claim(&shared, &inbox), if claims => {}
            () = fetch(&shared, &messages), if fetches => {}
        }
        drop((inbox, messages));
        tokio::select! {
            () = shared.idle() => {}
            () = agents.closing() => {
                shared.at.drain();
                shared.stop().await;
            }
        }
    };
    tokio::select! {
        () = working => {}
        () = renew(&shared) => {}
        () = watch(&shared.at, &shared.holding) => {}
        () = watch_signs(&shared.holding) => {}
    }
    at_work.leave().await;
    shared.over.send_replace(true);
}

/// Until an error that no repetition mends. What a dropped claim was given is released by the queue.
async fn claim(shared: &Arc<Shared>, inbox: &mpsc::UnboundedSender<Result<Job>>) {
    let Settings { agent, types, lease, wait, .. } = &shared.at.settings;
    loop {
        let mut slots = tokio::select! {
            slots = shared.places.free() => slots,
            () = shared.at.kurultai.session().claims.closing() => return,
        };
        let mut claim = Claim::new(agent).max(slots.num_permits()).lease(*lease).wait(*wait).persistent(true);
        claim.types.clone_from(types);
        match shared.at.kurultai.tasks().claim(claim).await {
            Ok(claimed) => {
                for task in claimed {
                    let slot = slots.split(1).expect("no more tasks than were asked for");
                    // A job that nobody can pull any more is dropped here, and so released.
                    let held = Held::new(&shared.at, task, slot);
                    shared.holding.add(&held);
                    drop(inbox.send(Ok(Job::new(held))));
                }
            }
            // Whoever closes the store while an agent works wants it to stop.
            Err(error) if is_closed(&error) => return,
            Err(error) => {
                drop(inbox.send(Err(error)));
                return;
            }
        }
    }
}

/// All leases at once, which the queue makes one statement of.
async fn renew(shared: &Shared) {
    loop {
        sleep(shared.at.settings.lease / 3).await;
        let held = shared.holding.all();
        join_all(held.iter().filter(|held| held.renewable()).map(|held| held.renew())).await;
    }
}

impl fmt::Debug for Jobs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Jobs")
            .field("settings", &self.shared.at.settings)
            .field("held", &self.shared.holding.all().len())
            .field("messages", &self.shared.messages.all().len())
            .finish_non_exhaustive()
    }
}

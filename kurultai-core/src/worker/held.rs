//! One held task: its lease is renewed until the attempt ends.

use super::{
    attempt::{Attempt, Stop, Work, lock},
    ended::{Ended, Limits},
    settings::OnStall,
    workplace::Workplace,
};
use crate::{
    check,
    clock::monotonic,
    error::{Error, Kind, Result},
    messages::Unread,
    retry::Backoff,
    tasks::{
        Claimed, Extended, Finished, Lease, Outcome, Signal, Usage,
        contract::{Extend, Handler},
    },
};
use std::{
    ops::Deref,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::{sync::OwnedSemaphorePermit, time::timeout_at};

/// What the loop and the job know of each other.
pub(super) struct Held {
    attempt: Arc<Attempt>,
    pub(super) task: Arc<Claimed>,
    /// The lease, and until when it surely holds by this machine's stopwatch.
    pub(super) lease: Mutex<(Lease, Instant)>,
    /// Why its task was cancelled, where its author said so.
    pub(super) reason: Mutex<Option<String>>,
    /// Whether it was asked for once what it should do, beside the renewals.
    looked: AtomicBool,
    /// What waited for its agent at the last renewal.
    pub(super) unread: Mutex<Unread>,
    pub(super) usage: Mutex<Option<Usage>>,
    pub(super) limits: Mutex<Limits>,
    /// The last sign of life of the handler.
    pub(super) sign: Mutex<Instant>,
    /// It is silent for too long, and what is done about it has begun.
    stalled: AtomicBool,
    told_lost: AtomicBool,
}

impl Deref for Held {
    type Target = Arc<Attempt>;

    fn deref(&self) -> &Arc<Attempt> {
        &self.attempt
    }
}

impl Held {
    pub(super) fn new(at: &Arc<Workplace>, task: Claimed, slot: OwnedSemaphorePermit) -> Arc<Self> {
        let task = Arc::new(task);
        let held = Arc::new(Held {
            attempt: Attempt::new(at, Work::Task(task.clone()), slot),
            lease: Mutex::new((task.lease.clone(), monotonic() + at.trusted())),
            task,
            reason: Mutex::default(),
            looked: AtomicBool::new(false),
            unread: Mutex::default(),
            usage: Mutex::default(),
            limits: Mutex::default(),
            sign: Mutex::new(monotonic()),
            stalled: AtomicBool::new(false),
            told_lost: AtomicBool::new(false),
        });
        held.limit_time(None);
        held
    }

    /// True the first time.
    pub(super) fn first_look(&self) -> bool {
        !self.looked.swap(true, Ordering::SeqCst)
    }

    /// For how long its handler shows no sign of life.
    pub(super) fn silence(&self) -> Duration {
        lock(&self.sign).elapsed()
    }

    /// For how long it may, and what then.
    pub(super) fn stall_limit(&self) -> (Duration, OnStall) {
        let (limits, settings) = (lock(&self.limits), &self.at.settings);
        (limits.stall_after.unwrap_or(settings.stall_after), limits.on_stall.unwrap_or(settings.on_stall))
    }

    /// True the first time.
    pub(super) fn stalls(&self) -> bool {
        !self.stalled.swap(true, Ordering::SeqCst)
    }

    /// No lease lasts longer than its task's `max_runtime`.
    fn capped(&self, until: Instant) -> Instant {
        let most = self.task.max_runtime.and_then(|most| self.since.checked_add(most));
        most.map_or(until, |most| most.min(until))
    }

    /// What a renewal says of the handler.
    fn handler(&self) -> Handler {
        if !self.stalled.load(Ordering::SeqCst) {
            return Handler::Works;
        }
        let silence = self.silence();
        if silence < self.stall_limit().0 { Handler::Resumed } else { Handler::Stalled(silence) }
    }

    /// Ends the attempt when its time is over: after `limit` from now, or when it has run for the task's `max_runtime`,
    /// a moment before the store ends its lease.
    pub(super) fn limit_time(self: &Arc<Self>, limit: Option<Duration>) {
        let runtime = self.task.max_runtime.filter(|most| *most <= check::LONGEST);
        let rest = runtime.map(|most| {
            (most - (most / 10).min(Duration::from_secs(2))).saturating_sub(self.since.elapsed())
        });
        let (span, ended) = match (limit, runtime, rest) {
            (Some(limit), _, rest) if rest.is_none_or(|rest| limit < rest) => (limit, Ended::TimedOut(limit)),
            (_, Some(most), Some(rest)) => (rest, Ended::Overran(most)),
            _ => return,
        };
        let held = self.clone();
        self.attempt.set_alarm(span, async move { held.cut_short(Stop::Timeout, ended).await });
    }

    /// Whether the store may still be asked to do it later.
    fn may_yet_end(&self) -> bool {
        if self.is_cut_short() {
            // Renewed no more, so it lapses by itself.
            return monotonic() < lock(&self.lease).1;
        }
        !self.lost()
    }

    /// Ends the attempt as failed, unless the handler ends it just now.
    pub(super) async fn cut_short(self: &Arc<Self>, stop: Stop, ended: Ended) {
        let turn = self.turn.lock().await;
        if self.over() || self.lost() || self.at.vanished() {
            return;
        }
        self.cut(stop);
        let (limits, usage) = (*lock(&self.limits), *lock(&self.usage));
        let outcome = ended.outcome(self.task.attempt, limits, usage);
        if let Err(error) = self.finish(outcome).await {
            tracing::warn!(%error, task = self.task.id, "that the attempt was ended was not stored");
        }
        self.let_go();
        drop(turn);
    }

    /// Once, and not where the store was closed or the attempt has ended already.
    fn tell_lost(&self, error: &Error) {
        if !is_closed(error) && !self.over() && !self.told_lost.swap(true, Ordering::SeqCst) {
            self.at.settings.listener.lost(&self.task, error.message());
        }
    }

    /// Takes in what the store said of the lease; `trusted` is until when it holds, where it was renewed.
    pub(super) fn note(self: &Arc<Self>, extended: &Result<Extended>, trusted: Option<Instant>) {
        match extended {
            Ok(Extended { lease: renewed, signal, reason, unread }) => {
                *lock(&self.unread) = *unread;
                let mut lease = lock(&self.lease);
                lease.0.clone_from(renewed);
                lease.1 = trusted.unwrap_or(lease.1);
                match signal {
                    Signal::Cancel => {
                        lock(&self.reason).clone_from(reason);
                        self.halt(Stop::Cancelled);
                    }
                    Signal::Suspend => self.halt(Stop::Suspended),
                    Signal::Continue | Signal::Pause => {}
                }
            }
            Err(error) if is_gone(error) => {
                self.tell_lost(error);
                self.halt(Stop::Lost);
            }
            Err(_) => {}
        }
    }

    /// With what is known of the handler.
    pub(super) async fn send(&self, request: Extend) -> Result<Extended> {
        let handler = self.handler();
        let extended = self.at.kurultai.tasks().renew(Extend { handler, ..request }).await;
        if extended.is_ok() && handler == Handler::Resumed {
            self.stalled.store(false, Ordering::SeqCst);
        }
        extended
    }

    /// Renews the lease; where the store cannot, tries again for as long as the lease surely holds.
    pub(super) async fn renew(self: &Arc<Self>) {
        let (lease, until) = lock(&self.lease).clone();
        let renewed = timeout_at(until.into(), async {
            loop {
                let trusted = self.capped(monotonic() + self.at.trusted());
                let request = Extend { ttl: Some(self.at.settings.lease), ..Extend::new(lease.clone()) };
                let extended = self.send(request).await;
                self.note(&extended, Some(trusted));
                match extended {
                    Err(error) if !is_gone(&error) && self.renewable() => {
                        tracing::warn!(%error, task = lease.task_id, "the lease was not renewed; trying again");
                        // Never longer than the first time: the lease runs meanwhile.
                        Backoff::default().wait(&error).await;
                    }
                    _ => return,
                }
            }
        });
        if renewed.await.is_err() {
            self.tell_lost(&Error::lease_lost("the lease could not be renewed in time"));
            self.halt(Stop::Lost);
        }
    }

    /// Ends the attempt and gives back its place, unless the call itself is refused. What the store may do later is
    /// repeated until the lease is lost.
    pub(super) async fn end(&self, outcome: Outcome) -> Result<Finished> {
        let _turn = self.turn.lock().await;
        if self.is_cut_short() {
            self.leave();
            let task = &lock(&self.lease).0.task_id;
            return Err(Error::lease_lost(format!(
                "the attempt at task {task} had been ended as failed; nothing was stored"
            )));
        }
        match self.finish(outcome).await {
            Err(error) if error.kind() == Kind::Input => Err(error),
            ended => {
                self.let_go();
                self.leave();
                ended
            }
        }
    }

    async fn finish(&self, outcome: Outcome) -> Result<Finished> {
        let mut backoff = Backoff::default();
        loop {
            let lease = lock(&self.lease).0.clone();
            match self.at.kurultai.tasks().finish(&lease, outcome.clone()).await {
                Err(error) if error.retryable() && self.may_yet_end() && !self.at.closing() => {
                    tracing::warn!(%error, task = lease.task_id, "the task was not ended; trying again");
                    backoff.wait(&error).await;
                }
                Ok(finished) => {
                    if !self.over() {
                        self.at.settings.listener.ended(&self.task, &outcome, &finished);
                    }
                    return Ok(finished);
                }
                Err(error) => {
                    if is_gone(&error) {
                        self.tell_lost(&error);
                    }
                    return Err(error);
                }
            }
        }
    }

    pub(super) fn renewable(&self) -> bool {
        !self.over() && !self.lost() && !self.is_cut_short()
    }
}

/// Whether this lease finishes nothing any more, by what the store says or since it was closed.
pub(super) fn is_gone(error: &Error) -> bool {
    matches!(error.kind(), Kind::LeaseLost | Kind::NotFound) || is_closed(error)
}

pub(super) fn is_closed(error: &Error) -> bool {
    error.kind() == Kind::Closed
}

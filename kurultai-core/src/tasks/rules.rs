//! What both stores would decide, decided once: times and next states. Pure functions; [`order`](super::order) has who
//! gets what.

use super::{contract::*, new_task::*, types::*};
use crate::{
    clock::{Micros, micros, time},
    error::{Error, Result},
};
use std::time::Duration;

/// `due_at` of a task that the store should look at now.
pub(crate) const NOW: Micros = 0;

/// Why a task is a dead letter none of whose attempts came to an end.
const POISON: &str = "poison";

/// What the failure says that a snooze beyond `max_snoozes` is.
pub(crate) fn snoozed_too_often(snoozes: u32) -> String {
    format!("a snooze too many: {snoozes} came before it, and max_snoozes allows no more")
}

pub(crate) fn timing(task: &NewTask, blocked: bool, now: Micros) -> Timing {
    let run_at = match task.start {
        Start::Now => None,
        Start::After(delay) => Some(now.saturating_add(micros(delay))),
        Start::At(time) => Some(time.timestamp_micros()),
    };
    let later = run_at.filter(|at| *at > now);
    let timeout = match task.expiry {
        Expiry::After(timeout) => Some(micros(timeout)),
        _ => None,
    };
    let expires_at = match task.expiry {
        Expiry::At(time) => Some(time.timestamp_micros()),
        _ if blocked => None,
        _ => timeout.map(|timeout| later.unwrap_or(now).saturating_add(timeout)),
    };
    let due_at = if blocked { expires_at } else { earliest(later, expires_at) };
    Timing { claimable: !blocked && later.is_none(), run_at, expires_at, timeout, due_at }
}

/// The same for a task that enters the queue later. With a `timeout`, `expires_at` counts anew.
pub(super) fn waiting(
    now: Micros,
    run_at: Option<Micros>,
    expires_at: Option<Micros>,
    timeout: Option<Micros>,
) -> Timing {
    let later = run_at.filter(|at| *at > now);
    let expires_at = match timeout {
        Some(timeout) => Some(later.unwrap_or(now).saturating_add(timeout)),
        None => expires_at,
    };
    Timing { claimable: later.is_none(), run_at, expires_at, timeout, due_at: earliest(later, expires_at) }
}

/// The same for a task whose prerequisites are done: `run_at` then says since when it could be claimed, so that
/// its wait can be measured.
pub(crate) fn unblocked(
    now: Micros,
    run_at: Option<Micros>,
    expires_at: Option<Micros>,
    timeout: Option<Micros>,
) -> Timing {
    waiting(now, Some(run_at.unwrap_or(now).max(now)), expires_at, timeout)
}

/// The wait before the next attempt. `draw` is a random number from 0 to 1.
pub(crate) fn backoff(policy: RetryPolicy, attempt: u32, draw: f64) -> Duration {
    let doubled = policy.base.saturating_mul(1u32 << attempt.saturating_sub(1).min(20));
    let most = doubled.min(policy.cap);
    if policy.jitter { most.mul_f64(draw.clamp(0.0, 1.0)) } else { most }
}

/// What somebody, or the store itself, wants of a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Action {
    Cancel {
        reason: Option<String>,
    },
    Suspend,
    Resume,
    /// Back to the queue with fresh attempts; its errors stay.
    Requeue,
    /// A dead letter is given up.
    Discard,
    /// Its `due_at` has come.
    Settle,
}

impl Facts {
    /// The change that changes nothing; each rule starts from it.
    fn stay(&self) -> Change {
        let mut change = Change {
            id: self.id.clone(),
            fence: Fence::Revision(self.revision),
            status: self.status,
            claimable: self.claimable,
            run_at: self.run_at,
            expires_at: self.expires_at,
            due_at: None,
            attempts: self.attempts,
            snoozes: None,
            keep_claim: true,
            control: self.control,
            error: None,
            results: None,
            usage: None,
            topic: None,
            source: None,
            reason: None,
        };
        change.due_at = match self.status {
            Status::InProgress => self.lease_expires_at,
            Status::Pending if !self.claimable => earliest(self.run_at, self.expires_at),
            Status::Pending | Status::Blocked => self.expires_at,
            _ => None,
        };
        change
    }

    fn to(&self, status: Status, topic: &'static str) -> Change {
        Change {
            status,
            claimable: false,
            due_at: None,
            control: None,
            keep_claim: false,
            topic: Some(topic),
            ..self.stay()
        }
    }

    /// To the queue, claimable now or at a later time.
    fn to_pending(&self, run_at: Option<Micros>, topic: &'static str) -> Change {
        let Timing { claimable, run_at, expires_at, due_at, .. } =
            waiting(self.now, run_at, self.expires_at, self.timeout);
        Change { claimable, run_at, expires_at, due_at, ..self.to(Status::Pending, topic) }
    }

    /// To the queue, or to wait for what it depends on.
    fn to_waiting(&self, topic: &'static str) -> Change {
        if self.prerequisites == Tally::default() && self.children == Tally::default() {
            self.to_pending(unblocked(self.now, self.run_at, None, None).run_at, topic)
        } else {
            self.to_blocked(topic)
        }
    }

    /// To wait for other tasks; its own span to wait does not run meanwhile.
    fn to_blocked(&self, topic: &'static str) -> Change {
        let expires_at = self.expires_at.filter(|_| self.timeout.is_none());
        Change { due_at: Some(NOW), expires_at, ..self.to(Status::Blocked, topic) }
    }

    fn lease_is_live(&self) -> bool {
        self.status == Status::InProgress && self.lease_expires_at.is_some_and(|at| at > self.now)
    }
}

fn earliest(a: Option<Micros>, b: Option<Micros>) -> Option<Micros> {
    a.into_iter().chain(b).min()
}

/// What an action makes of a task; `None` where it is so already.
pub(crate) fn decide(action: &Action, facts: &Facts, draw: f64) -> Result<Option<Change>> {
    use Status::*;
    let refuse = |verb: &str| {
        let message = format!("task {} is {} and cannot be {verb}", facts.id, facts.status);
        Err(Error::conflict("task.state", message))
    };
    let change = match (action, facts.status) {
        // Another pass was quicker.
        (Action::Settle, status) if status.is_finished() => return Ok(None),
        (Action::Settle, _) => settle(facts, draw),

        (Action::Cancel { .. }, Cancelled) => return Ok(None),
        // Its holder is told already; a cancellation goes before a suspension.
        (Action::Cancel { .. }, InProgress) if facts.control == Some(Signal::Cancel) => return Ok(None),
        (Action::Suspend, InProgress) if facts.control.is_some() => return Ok(None),
        (Action::Cancel { reason }, InProgress) => Change {
            control: Some(Signal::Cancel),
            reason: reason.clone(),
            topic: Some("task.cancel_requested"),
            ..facts.stay()
        },
        (Action::Cancel { .. }, Completed | DeadLetter | Expired) => return refuse("cancelled"),
        (Action::Cancel { reason }, _) => {
            Change { reason: reason.clone(), ..facts.to(Cancelled, "task.cancelled") }
        }

        (Action::Suspend, Suspended) => return Ok(None),
        (Action::Suspend, InProgress) => {
            Change { control: Some(Signal::Suspend), topic: Some("task.suspend_requested"), ..facts.stay() }
        }
        (Action::Suspend, Pending | Blocked) => facts.to(Suspended, "task.suspended"),
        (Action::Suspend, _) => return refuse("suspended"),

        (Action::Resume, Suspended | PendingReview) => facts.to_waiting("task.resumed"),
        (Action::Resume, InProgress) if facts.control == Some(Signal::Suspend) => {
            Change { control: None, topic: Some("task.resumed"), ..facts.stay() }
        }
        (Action::Resume, Pending | Blocked | InProgress) => return Ok(None),
        (Action::Resume, _) => return refuse("resumed"),

        (Action::Requeue, DeadLetter | Cancelled | Expired) if facts.gave_up_key => {
            let message =
                format!("a later task has taken the unique key of task {}; enqueue a new one", facts.id);
            return Err(Error::conflict("task.conflict", message));
        }
        (Action::Requeue, DeadLetter | Cancelled | Expired) => {
            let fresh = Facts { run_at: None, expires_at: None, ..facts.clone() };
            let snoozes = (facts.snoozes > 0).then_some(0);
            Change { attempts: 0, snoozes, ..fresh.to_waiting("task.requeued") }
        }
        (Action::Requeue, _) => return refuse("requeued"),

        (Action::Discard, DeadLetter) => facts.to(Cancelled, "task.discarded"),
        (Action::Discard, _) => return refuse("discarded"),
    };
    Ok(Some(change))
}

fn settle(facts: &Facts, draw: f64) -> Change {
    let come = |at: Option<Micros>| at.is_some_and(|at| at <= facts.now);
    match facts.status {
        Status::InProgress if come(facts.lease_expires_at) => lapse(facts, draw),
        Status::Pending | Status::Blocked if come(facts.expires_at) => {
            facts.to(Status::Expired, "task.expired")
        }
        Status::Pending if !facts.claimable && facts.run_at.is_none_or(|at| at <= facts.now) => {
            Change { topic: None, ..facts.to_pending(facts.run_at, "task.pending") }
        }
        Status::Blocked => gate(facts),
        _ => facts.stay(),
    }
}

/// A lease ran out: the attempt failed, but nobody said so. Most often its process was killed or restarted, which is no
/// fault of the task, so the first time it returns at once. A task all of whose attempts end so may be what kills them.
fn lapse(facts: &Facts, draw: f64) -> Change {
    let holder = facts.claimed_by.as_deref().unwrap_or("nobody");
    // Its lease went on until it could not any more, whenever that is looked at.
    if let (Some(most), Some(at)) = (facts.max_runtime, facts.claimed_at)
        && facts.lease_expires_at >= Some(at.saturating_add(most))
    {
        let error =
            format!("longer at work than its max_runtime of {} s; it was held by {holder}", most / 1_000_000);
        let failure = Failure { kind: FailureKind::MaxRuntime, ..Failure::new(error) };
        return Change { keep_claim: false, ..failed(facts, failure, draw) };
    }
    let failure = Failure {
        kind: FailureKind::Lapsed,
        retry_after: (facts.lapses == 0).then_some(Duration::ZERO),
        ..Failure::new(format!("the lease ran out; it was held by {holder}"))
    };
    let mut change = Change { keep_claim: false, ..failed(facts, failure, draw) };
    match change.status {
        Status::Pending => change.topic = Some("task.lapsed"),
        Status::DeadLetter if facts.lapses + 1 >= facts.attempts => change.reason = Some(POISON.to_owned()),
        _ => {}
    }
    change
}

/// An attempt failed: another one, or the dead letters; or what was asked for meanwhile.
fn failed(facts: &Facts, failure: Failure, draw: f64) -> Change {
    let source = facts.claimed_by.clone();
    let mut change = match facts.control {
        Some(Signal::Cancel) => facts.to(Status::Cancelled, "task.cancelled"),
        _ if !failure.retryable || facts.attempts >= facts.max_attempts => {
            facts.to(Status::DeadLetter, "task.dead_letter")
        }
        // Another attempt is left for when it is resumed.
        Some(Signal::Suspend) => facts.to(Status::Suspended, "task.suspended"),
        _ => {
            let pause = failure.retry_after.unwrap_or_else(|| backoff(facts.retry, facts.attempts, draw));
            facts.to_pending(Some(facts.now.saturating_add(micros(pause))), "task.failed")
        }
    };
    change.keep_claim = true;
    change.reason = Some(failure.error.clone());
    change.error = Some(TaskError {
        attempt: facts.attempts,
        agent: source.clone(),
        kind: failure.kind,
        error: failure.error,
        at: time(facts.now),
    });
    Change { results: failure.results, usage: failure.usage, source, ..change }
}

/// What a blocked task waits for, and what follows.
fn gate(facts: &Facts) -> Change {
    let (before, below) = (facts.prerequisites, facts.children);
    let policy = facts.on_prerequisite_failure;
    let cancelled = || Change {
        reason: Some("a task it depends on was not completed".to_owned()),
        ..facts.to(Status::Cancelled, "task.cancelled")
    };
    // The claim stays, so that a holder that repeats itself gets the same answer.
    let completed = || Change { keep_claim: true, ..facts.to(Status::Completed, "task.completed") };
    if before.failed > 0 && policy == OnPrerequisiteFailure::Cancel {
        return cancelled();
    }
    if before.live > 0 || (before.failed > 0 && policy == OnPrerequisiteFailure::Block) {
        return facts.stay();
    }
    let children = below.live + below.completed + below.failed;
    if children == 0 {
        let run_at = unblocked(facts.now, facts.run_at, None, None).run_at;
        return facts.to_pending(run_at, "task.unblocked");
    }
    let needed = match facts.wait_for {
        WaitFor::All => children,
        WaitFor::Any => 1,
        WaitFor::Quorum(count) => count.clamp(1, children),
    };
    if below.completed >= needed {
        return completed();
    }
    let hopeless = below.completed + below.live < needed;
    match policy {
        OnPrerequisiteFailure::Cancel if hopeless => cancelled(),
        OnPrerequisiteFailure::Continue if below.live == 0 => completed(),
        _ => facts.stay(),
    }
}

/// What the end of an attempt makes of its task; `None` where this lease did the same before.
///
/// Fails with `lease.lost` where the lease is not the task's live one. A parent that still waits for children is
/// blocked until they are done.
pub(crate) fn finish(facts: &Facts, finish: &Finish, max_snoozes: u32, draw: f64) -> Result<Option<Change>> {
    let ours = facts.claim_id.as_deref() == Some(&finish.lease.claim_id);
    if !ours || !facts.lease_is_live() {
        let repeated = ours
            && match finish.outcome {
                Outcome::Complete { .. } => match facts.status {
                    Status::Completed | Status::Blocked => true,
                    // What was asked for stays where a completion met it.
                    Status::Cancelled | Status::Suspended => facts.control.is_some(),
                    _ => false,
                },
                Outcome::Fail(_) => match facts.status {
                    Status::Pending | Status::DeadLetter => facts.attempts > 0,
                    // Whoever does it later lets go of the claim.
                    Status::Cancelled | Status::Suspended => facts.control.is_none(),
                    _ => false,
                },
                Outcome::Release | Outcome::Snooze { .. } => false,
            };
        return if repeated { Ok(None) } else { Err(lost(facts, finish)) };
    }
    let change = match &finish.outcome {
        Outcome::Complete { results, usage } => {
            // A parent has not ended with its own part, so what was asked for meanwhile comes first.
            let ended = match facts.control {
                _ if facts.children == Tally::default() => facts.to(Status::Completed, "task.completed"),
                Some(Signal::Cancel) => facts.to(Status::Cancelled, "task.cancelled"),
                Some(Signal::Suspend) => facts.to(Status::Suspended, "task.suspended"),
                _ => facts.to_blocked("task.waiting"),
            };
            Change {
                results: Some(results.clone()),
                usage: *usage,
                source: facts.claimed_by.clone(),
                keep_claim: true,
                control: facts
                    .control
                    .filter(|_| matches!(ended.status, Status::Cancelled | Status::Suspended)),
                ..ended
            }
        }
        Outcome::Fail(failure) => failed(facts, failure.clone(), draw),
        Outcome::Release => given_back(facts, facts.to_pending(Some(facts.now), "task.released")),
        Outcome::Snooze { .. } if facts.snoozes >= max_snoozes => {
            failed(facts, Failure::new(snoozed_too_often(facts.snoozes)), draw)
        }
        Outcome::Snooze { after } => {
            let until = facts.now.saturating_add(micros(*after));
            let snoozes = Some(facts.snoozes + 1);
            given_back(facts, Change { snoozes, ..facts.to_pending(Some(until), SNOOZED) })
        }
    };
    let fence = Fence::Lease { claim: finish.lease.claim_id.clone(), revision: facts.revision };
    Ok(Some(Change { fence, ..change }))
}

/// The attempt does not count. What was asked for meanwhile comes before what is to become of it else.
fn given_back(facts: &Facts, otherwise: Change) -> Change {
    let ended = match facts.control {
        Some(Signal::Cancel) => facts.to(Status::Cancelled, "task.cancelled"),
        Some(Signal::Suspend) => facts.to(Status::Suspended, "task.suspended"),
        _ => otherwise,
    };
    Change { attempts: facts.attempts.saturating_sub(1), source: facts.claimed_by.clone(), ..ended }
}

fn lost(facts: &Facts, finish: &Finish) -> Error {
    let now = match (&facts.claimed_by, facts.status) {
        (Some(agent), Status::InProgress) if facts.lease_is_live() => format!("now held by {agent}"),
        (_, Status::InProgress) => "the lease ran out".to_owned(),
        (_, status) => format!("the task is {status}"),
    };
    let (version, id) = (finish.lease.version, &facts.id);
    Error::lease_lost(format!("claim {version} of task {id} is no longer valid; {now}; nothing was stored"))
}

/// What the event of a progress tells.
pub(crate) fn progress(progress: f64) -> String {
    serde_json::json!({ "progress": progress }).to_string()
}

/// What the event of a handler that shows no sign of life tells.
pub(crate) fn stalled(silent: Duration) -> String {
    serde_json::json!({ "silent_for": silent.as_secs_f64() }).to_string()
}

/// The answer to an extend whose fence did not hold.
pub(crate) fn not_extended(lease: &Lease, facts: Option<&Facts>) -> Error {
    match facts {
        None => Error::task_not_found(&lease.task_id),
        Some(facts) => lost(facts, &Finish { lease: lease.clone(), outcome: Outcome::Release }),
    }
}

//! What the model gives out and takes back: claim, finish, extend, and what people ask of a task.

use super::{
    admission::{Refused, blocking, weight},
    ops::{AGENTS, Changes, How, Verb},
    reference::{Ended, Model, Task},
};
use kurultai_core::tasks::{DependencyType, Signal, Status};
use std::cmp::Reverse;

/// What the holder of a lease may be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Done(Status),
    /// The same lease did the same before.
    Repeated,
    /// It did, but something happened to the task since: a store may have forgotten.
    RepeatedOrLost,
    Lost,
}

impl Model {
    /// The tasks that a claim takes, in order.
    pub(super) fn claim(
        &mut self,
        agent: usize,
        max: usize,
        only: Option<&str>,
        lease: i64,
    ) -> Result<Vec<usize>, Refused> {
        let Some((name, skills, room)) = AGENTS.get(agent) else { return Err("agent.not_found") };
        let held =
            self.tasks.iter().filter(|task| self.is_live(task) && task.claimed_by == Some(*name)).count();
        let room = room.map_or(usize::MAX, |most| (most as usize).saturating_sub(held));
        let preferred = |task: &Task| task.preferred.iter().filter(|skill| skills.contains(skill)).count();
        let fits = |task: &Task| {
            task.claimable
                && task.expires_at.is_none_or(|at| at > self.now)
                && task.assigned_to.is_none_or(|to| to == *name)
                && task.required.iter().all(|skill| skills.contains(skill))
                && only.is_none_or(|only| only == task.task_type)
                && !self.paused.iter().any(|paused| paused.is_empty() || *paused == task.task_type)
        };
        let mut taken: Vec<usize> = (0..self.tasks.len()).filter(|task| fits(&self.tasks[*task])).collect();
        taken.sort_by_key(|index| {
            let task = &self.tasks[*index];
            (task.rank, Reverse(task.weight), Reverse(preferred(task)), *index)
        });
        taken.truncate(max.min(room));
        for index in &taken {
            let task = &mut self.tasks[*index];
            task.turn(Status::InProgress);
            task.ended = None;
            task.attempts += 1;
            task.version += 1;
            task.claimed_by = Some(name);
            task.lease_until = self.now + lease;
        }
        Ok(taken)
    }

    fn is_live(&self, task: &Task) -> bool {
        task.status == Status::InProgress && task.lease_until > self.now
    }

    pub(super) fn holds(&self, index: usize, version: i64) -> bool {
        let task = &self.tasks[index];
        self.is_live(task) && task.version == version
    }

    pub(super) fn finish(&mut self, index: usize, version: i64, how: How) -> Verdict {
        let ended = match how {
            How::Complete => Some(Ended::Completed),
            How::Fail { .. } => Some(Ended::Failed),
            How::Release | How::Snooze { .. } => None,
        };
        if !self.holds(index, version) {
            let task = &self.tasks[index];
            return match task.ended.filter(|(how, _)| task.version == version && Some(*how) == ended) {
                Some((_, true)) => Verdict::Repeated,
                Some((_, false)) => Verdict::RepeatedOrLost,
                None => Verdict::Lost,
            };
        }
        let (now, is_parent) = (self.now, self.has_children(index));
        let task = &mut self.tasks[index];
        match how {
            // A parent has not ended with its own part, so what was asked for meanwhile comes first.
            How::Complete if is_parent => task.turn(match task.control {
                Some(Signal::Cancel) => Status::Cancelled,
                Some(Signal::Suspend) => Status::Suspended,
                _ => Status::Blocked,
            }),
            How::Complete => task.turn(Status::Completed),
            How::Fail { retryable, after } => task.fail(now, retryable, after.map(|seconds| seconds * 1000)),
            How::Release | How::Snooze { .. } => {
                let until = if let How::Snooze { after } = how { Some(now + after * 1000) } else { None };
                match task.control {
                    Some(Signal::Cancel) => task.turn(Status::Cancelled),
                    Some(Signal::Suspend) => task.turn(Status::Suspended),
                    _ => task.queue(now, until),
                }
                task.attempts -= 1;
            }
        }
        task.ended = ended.map(|ended| (ended, true));
        Verdict::Done(task.status)
    }

    /// The lease's new end and what its holder should do.
    pub(super) fn extend(&mut self, index: usize, version: i64, ttl: i64) -> Result<(i64, Signal), Refused> {
        if !self.holds(index, version) {
            return Err("lease.lost");
        }
        let until = self.now + ttl;
        let task = &mut self.tasks[index];
        task.lease_until = task.lease_until.max(until);
        let paused = self.paused.iter().any(|paused| paused.is_empty() || *paused == task.task_type);
        let signal = task.control.unwrap_or(if paused { Signal::Pause } else { Signal::Continue });
        Ok((task.lease_until, signal))
    }

    pub(super) fn act(&mut self, index: usize, verb: Verb) -> Result<(), Refused> {
        use Status::*;
        let task = &mut self.tasks[index];
        match (verb, task.status) {
            (Verb::Cancel, Cancelled) | (Verb::Suspend, Suspended) => {}
            (Verb::Cancel, InProgress) => task.control = Some(Signal::Cancel),
            (Verb::Cancel, Pending | Blocked | Suspended) => task.turn(Cancelled),
            (Verb::Suspend, InProgress) => task.control = task.control.or(Some(Signal::Suspend)),
            (Verb::Suspend, Pending | Blocked) => task.turn(Suspended),
            (Verb::Resume, Suspended) => {
                let run_at = task.run_at;
                self.wait(index, run_at);
            }
            (Verb::Resume, InProgress) => task.control = task.control.filter(|c| *c != Signal::Suspend),
            (Verb::Resume, Pending | Blocked) => {}
            (Verb::Requeue, DeadLetter | Cancelled | Expired) if task.gave_up_key => {
                return Err("task.conflict");
            }
            (Verb::Requeue, DeadLetter | Cancelled | Expired) => {
                task.attempts = 0;
                (task.run_at, task.expires_at) = (None, None);
                self.wait(index, None);
            }
            (Verb::Discard, DeadLetter) => task.turn(Cancelled),
            _ => return Err("task.state"),
        }
        Ok(())
    }

    /// What is so already changes nothing.
    pub(super) fn update(&mut self, index: usize, changes: &Changes) -> Result<(), Refused> {
        let (now, before) = (self.now, self.tasks[index].clone());
        if before.status == Status::InProgress || before.status.is_finished() {
            return Err("task.state");
        }
        let task = &mut self.tasks[index];
        if let Some(agent) = changes.assigned_to {
            task.assigned_to = agent.map(|agent| AGENTS[agent].0);
        }
        let run_at = match changes.delay {
            Some(Some(delay)) => Some(now + delay * 1000),
            // At once, if it was not to start before.
            Some(None) => task.run_at.map(|at| at.min(now)),
            None => task.run_at,
        };
        if let Some(expiry) = changes.expiry {
            (task.timeout, task.expires_at) = (None, expiry.map(|seconds| now + seconds * 1000));
        }
        if task.status != Status::Pending {
            task.run_at = run_at;
        } else if run_at != before.run_at {
            // Nothing but its times: what its holder may be told stays.
            let ended = task.ended;
            task.queue(now, run_at);
            task.ended = ended;
        }
        let order = (changes.rank.unwrap_or(before.priority), changes.heavy.map_or(before.weight, weight));
        if order != (before.priority, before.weight) {
            self.reorder(index, order);
        }
        Ok(())
    }

    /// No lower than what waits for it, and what it waits for no lower than it.
    fn reorder(&mut self, index: usize, (priority, weight): (usize, i64)) {
        let waits = |task: &&Task| {
            !task.status.is_finished() && task.edges.get(&index) == Some(&DependencyType::Blocks)
        };
        let urgent = self.tasks.iter().filter(waits).map(|task| task.rank).min();
        let rank = urgent.map_or(priority, |urgent| urgent.min(priority));
        let task = &mut self.tasks[index];
        (task.priority, task.weight, task.rank) = (priority, weight, rank);
        let before: Vec<usize> = blocking(&task.edges).collect();
        before.into_iter().for_each(|on| self.raise(on, rank));
    }

    /// To the queue, or to what it depends on.
    fn wait(&mut self, index: usize, run_at: Option<i64>) {
        let before = self.prerequisites(index);
        let waits = before.live + before.completed + before.failed > 0 || self.has_children(index);
        let now = self.now;
        let task = &mut self.tasks[index];
        if waits {
            task.turn(Status::Blocked);
        } else {
            task.queue(now, run_at);
        }
    }
}

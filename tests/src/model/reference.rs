//! The model: tasks in a vector, each rule written down once more from the documentation.

use super::admission::blocking;
use kurultai_core::tasks::{DependencyType, OnPrerequisiteFailure, Signal, Status, WaitFor};
use std::collections::BTreeMap;

/// What became of the newest lease of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    Completed,
    Failed,
}

#[derive(Debug, Clone)]
pub(super) struct Task {
    pub(super) id: String,
    pub(super) task_type: &'static str,
    pub(super) payload: usize,
    pub(super) unique_key: Option<String>,
    /// As its author, or whoever changed it last, has it.
    pub(super) priority: usize,
    /// Its own rank, or a better one that it inherited.
    pub(super) rank: usize,
    /// In thousandths.
    pub(super) weight: i64,
    pub(super) required: Vec<&'static str>,
    pub(super) preferred: Vec<&'static str>,
    pub(super) assigned_to: Option<&'static str>,
    pub(super) policy: OnPrerequisiteFailure,
    pub(super) wait_for: WaitFor,
    pub(super) parent: Option<usize>,
    pub(super) edges: BTreeMap<usize, DependencyType>,
    pub(super) max_attempts: u32,
    /// Milliseconds, as every time here.
    pub(super) retry_base: i64,
    pub(super) retry_cap: i64,
    pub(super) timeout: Option<i64>,

    pub(super) status: Status,
    /// Pending, and its time has come.
    pub(super) claimable: bool,
    pub(super) attempts: u32,
    /// How many of its leases have run out.
    pub(super) lapses: u32,
    pub(super) gave_up_key: bool,
    pub(super) version: i64,
    pub(super) claimed_by: Option<&'static str>,
    pub(super) lease_until: i64,
    pub(super) run_at: Option<i64>,
    pub(super) expires_at: Option<i64>,
    pub(super) control: Option<Signal>,
    /// How its newest lease ended, and whether nothing has happened to the task since.
    pub(super) ended: Option<(Ended, bool)>,
}

#[derive(Debug, Default)]
pub(super) struct Model {
    pub(super) now: i64,
    /// In the order in which they were made, which is their age.
    pub(super) tasks: Vec<Task>,
    pub(super) paused: Vec<&'static str>,
}

#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) live: usize,
    pub(super) completed: usize,
    pub(super) failed: usize,
}

impl Task {
    /// Leaves its old state behind.
    pub(super) fn turn(&mut self, status: Status) {
        self.status = status;
        self.claimable = false;
        self.control = None;
        if let Some((_, fresh)) = &mut self.ended {
            *fresh = false;
        }
        if matches!(status, Status::Pending | Status::Blocked) {
            self.claimed_by = None;
        }
    }

    /// Waits in the queue from now on, or from `run_at`. Its time to wait counts from then.
    pub(super) fn queue(&mut self, now: i64, run_at: Option<i64>) {
        self.turn(Status::Pending);
        let from = run_at.filter(|at| *at > now);
        self.claimable = from.is_none();
        self.run_at = run_at;
        if let Some(timeout) = self.timeout {
            self.expires_at = Some(from.unwrap_or(now) + timeout);
        }
    }

    /// An attempt failed, by its holder's word or because its lease ran out.
    pub(super) fn fail(&mut self, now: i64, retryable: bool, after: Option<i64>) {
        match self.control {
            Some(Signal::Cancel) => self.turn(Status::Cancelled),
            _ if !retryable || self.attempts >= self.max_attempts => self.turn(Status::DeadLetter),
            Some(Signal::Suspend) => self.turn(Status::Suspended),
            _ => {
                let doubled = self.retry_base << (self.attempts - 1);
                self.queue(now, Some(now + after.unwrap_or(doubled.min(self.retry_cap))));
            }
        }
    }

    /// Whether its time to wait is over. A span to wait does not run while it is blocked.
    fn is_overdue(&self, now: i64) -> bool {
        let counts = match self.status {
            Status::Pending => true,
            Status::Blocked => self.timeout.is_none(),
            _ => false,
        };
        counts && self.expires_at.is_some_and(|at| at <= now)
    }
}

impl Model {
    fn tally(&self, tasks: impl Iterator<Item = usize>) -> Tally {
        let mut tally = Tally::default();
        for task in tasks {
            match self.tasks[task].status {
                Status::Completed => tally.completed += 1,
                status if status.is_finished() => tally.failed += 1,
                _ => tally.live += 1,
            }
        }
        tally
    }

    pub(super) fn prerequisites(&self, task: usize) -> Tally {
        let blocks = |(on, kind): (&usize, &DependencyType)| (*kind == DependencyType::Blocks).then_some(*on);
        self.tally(self.tasks[task].edges.iter().filter_map(blocks))
    }

    pub(super) fn children(&self, task: usize) -> Tally {
        self.tally((0..self.tasks.len()).filter(|child| self.tasks[*child].parent == Some(task)))
    }

    pub(super) fn has_children(&self, task: usize) -> bool {
        self.tasks.iter().any(|child| child.parent == Some(task))
    }

    /// Everything that time or another task's end brings, until nothing more comes. One pass decides on what it
    /// saw at its start.
    pub(super) fn settle(&mut self) {
        loop {
            let next: Vec<(usize, Task)> =
                (0..self.tasks.len()).filter_map(|task| Some((task, self.settled(task)?))).collect();
            if next.is_empty() {
                return;
            }
            for (index, task) in next {
                self.tasks[index] = task;
            }
        }
    }

    fn settled(&self, index: usize) -> Option<Task> {
        let mut task = self.tasks[index].clone();
        match task.status {
            Status::InProgress if task.lease_until <= self.now => {
                task.ended = None;
                task.lapses += 1;
                task.fail(self.now, true, (task.lapses == 1).then_some(0));
            }
            _ if task.is_overdue(self.now) => task.turn(Status::Expired),
            Status::Pending if !task.claimable && task.run_at.is_none_or(|at| at <= self.now) => {
                task.queue(self.now, task.run_at);
            }
            Status::Blocked => return self.gate(index, task),
            _ => return None,
        }
        Some(task)
    }

    /// What a blocked task waits for, and what follows.
    fn gate(&self, index: usize, mut task: Task) -> Option<Task> {
        let (before, below) = (self.prerequisites(index), self.children(index));
        if before.failed > 0 && task.policy == OnPrerequisiteFailure::Cancel {
            task.turn(Status::Cancelled);
            return Some(task);
        }
        if before.live > 0 || (before.failed > 0 && task.policy == OnPrerequisiteFailure::Block) {
            return None;
        }
        let children = below.live + below.completed + below.failed;
        if children == 0 {
            task.queue(self.now, Some(task.run_at.unwrap_or(self.now).max(self.now)));
            return Some(task);
        }
        let needed = match task.wait_for {
            WaitFor::All => children,
            WaitFor::Any => 1,
            WaitFor::Quorum(count) => (count as usize).min(children),
        };
        let hopeless = below.completed + below.live < needed;
        let continues = task.policy == OnPrerequisiteFailure::Continue && below.live == 0;
        if below.completed >= needed || continues {
            // Its holder's answer stays what it was.
            let ended = task.ended;
            task.turn(Status::Completed);
            task.ended = ended;
        } else if hopeless && task.policy == OnPrerequisiteFailure::Cancel {
            task.turn(Status::Cancelled);
        } else {
            return None;
        }
        Some(task)
    }

    /// A prerequisite is served as early as what waits for it.
    pub(super) fn raise(&mut self, task: usize, rank: usize) {
        let raised = &mut self.tasks[task];
        if raised.rank <= rank || raised.status.is_finished() {
            return;
        }
        raised.rank = rank;
        let blocks = |(on, kind): (&usize, &DependencyType)| (*kind == DependencyType::Blocks).then_some(*on);
        let before: Vec<usize> = raised.edges.iter().filter_map(blocks).collect();
        before.into_iter().for_each(|on| self.raise(on, rank));
    }

    /// Whether `from` waits for `to`, over `blocks` edges and over children.
    pub(super) fn waits_for(&self, from: usize, to: usize) -> bool {
        let (mut seen, mut open) = (vec![false; self.tasks.len()], vec![from]);
        while let Some(task) = open.pop() {
            if task == to {
                return true;
            }
            if std::mem::replace(&mut seen[task], true) {
                continue;
            }
            open.extend(blocking(&self.tasks[task].edges));
            open.extend((0..self.tasks.len()).filter(|child| self.tasks[*child].parent == Some(task)));
        }
        false
    }
}

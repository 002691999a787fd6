//! The hot four: concurrent calls of `enqueue`, `claim`, `extend` and `finish` become one transaction each.

use super::{
    claim_guard::ClaimGuard,
    contract::{Answers, ClaimRequest, ExtendRequest},
    new_task::NewTask,
    settle::Settling,
    types::{Claimed, Enqueued, Extended, Finish, Finished},
};
use crate::{
    batch::{Batch, Coalescer},
    calls::Calls,
    error::{Error, Result},
    session::Session,
};
use futures::future::BoxFuture;
use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
};

pub(super) type Finishes = Coalescer<Vec<Finish>, Vec<Result<Finished>>>;

#[derive(Debug)]
pub(crate) struct Hot {
    pub(super) enqueue: Arc<Coalescer<Vec<NewTask>, Vec<Enqueued>>>,
    pub(super) claim: Arc<Coalescer<ClaimRequest, ClaimGuard>>,
    pub(super) extend: Arc<Coalescer<ExtendRequest, Extended>>,
    pub(super) finish: Arc<Finishes>,
}

/// Runs the transactions of the hot four.
#[derive(Clone)]
struct Runner {
    settling: Settling,
    claims: Arc<Calls>,
    max_depth: u32,
    max_snoozes: u32,
}

impl Hot {
    /// Of batches of at most `limit` calls.
    pub(crate) fn new(settling: &Settling, session: &Session, limit: usize) -> Self {
        let (settling, claims) = (settling.clone(), session.claims.clone());
        let (max_depth, max_snoozes) = (session.config.max_depth, session.config.defaults.max_snoozes);
        let runner = Runner { settling, claims, max_depth, max_snoozes };
        let finish = coalesce(&runner, limit, Vec::len, |runner, units| Box::pin(runner.finish(units)));
        let given_back = finish.clone();
        Hot {
            enqueue: coalesce(&runner, limit, Vec::len, |runner, units| Box::pin(runner.enqueue(units))),
            claim: coalesce(
                &runner,
                limit,
                |_| 1,
                move |runner, requests| Box::pin(runner.claim(requests, given_back.clone())),
            ),
            extend: coalesce(&runner, limit, |_| 1, |runner, requests| Box::pin(runner.extend(requests))),
            finish,
        }
    }
}

impl Runner {
    async fn enqueue(self, units: Batch<Vec<NewTask>>) -> Result<Vec<Result<Vec<Enqueued>>>> {
        let Answers { each, overdue } = self.settling.queue.enqueue(units, self.max_depth).await?;
        self.settling.after(overdue).await;
        Ok(each)
    }

    async fn claim(
        self,
        requests: Batch<ClaimRequest>,
        finish: Arc<Finishes>,
    ) -> Result<Vec<Result<ClaimGuard>>> {
        // A close waits for it, also where those who asked have gone, and for what then goes back.
        let under_way = Arc::new(self.claims.go_on());
        let Answers { each, overdue } = self.settling.queue.claim(requests).await?;
        let got_some =
            |answer: &Result<Vec<Claimed>>| answer.as_ref().is_ok_and(|claimed| !claimed.is_empty());
        if each.iter().any(got_some) {
            self.settling.news.announce_events();
        }
        // Whoever got something waits for none of it.
        let settled = overdue && !each.iter().all(got_some) && self.settling.settle_marked().await;
        if overdue {
            self.settling.news.look_soon();
        }
        let guard = |claimed| ClaimGuard::new(claimed, settled, finish.clone(), Some(under_way.clone()));
        Ok(each.into_iter().map(|answer| answer.map(guard)).collect())
    }

    async fn extend(self, requests: Batch<ExtendRequest>) -> Result<Vec<Result<Extended>>> {
        Ok(self.settling.queue.extend(requests).await?.each)
    }

    /// A batch in which a task is named twice goes to the store in several parts.
    async fn finish(self, units: Batch<Vec<Finish>>) -> Result<Vec<Result<Vec<Result<Finished>>>>> {
        let parts = Arc::new(Mutex::new(DistinctParts::default()));
        let first = parts.clone();
        let mut part = units.map(move |units| {
            let mut parts = first.lock().unwrap_or_else(PoisonError::into_inner);
            *parts = DistinctParts::of(units);
            parts.next()
        });
        loop {
            let answers = self.settling.queue.finish(part, self.max_snoozes).await;
            let first_part_failed = parts.lock().unwrap_or_else(PoisonError::into_inner).answered == 0;
            let Answers { each, overdue } = match answers {
                Ok(answers) => answers,
                Err(error) if first_part_failed => return Err(error),
                // What was done before stays done.
                Err(error) => {
                    let mut parts = parts.lock().unwrap_or_else(PoisonError::into_inner);
                    parts.refuse(&error);
                    return Ok(std::mem::take(&mut *parts).answers());
                }
            };
            self.settling.after(overdue).await;
            let mut parts = parts.lock().unwrap_or_else(PoisonError::into_inner);
            parts.answer(each);
            let next = parts.next();
            if next.is_empty() {
                return Ok(std::mem::take(&mut *parts).answers());
            }
            part = Batch::of(next);
        }
    }
}

fn coalesce<Q: Send + 'static, A: Send + 'static>(
    runner: &Runner,
    limit: usize,
    weigh: fn(&Q) -> usize,
    run: impl Fn(Runner, Batch<Q>) -> BoxFuture<'static, Result<Vec<Result<A>>>> + Send + Sync + 'static,
) -> Arc<Coalescer<Q, A>> {
    let runner = runner.clone();
    Coalescer::new(limit, weigh, move |requests| run(runner.clone(), requests))
}

/// The finishes of many callers, in parts of which none names a task twice.
#[derive(Default)]
struct DistinctParts {
    open: Vec<(usize, usize, Finish)>,
    asked: Vec<(usize, usize)>,
    answers: Vec<Vec<Option<Result<Finished>>>>,
    /// How many parts have their answers.
    answered: usize,
}

impl DistinctParts {
    fn of(units: Vec<Vec<Finish>>) -> Self {
        let answers = units.iter().map(|unit| unit.iter().map(|_| None).collect()).collect();
        let placed = |(u, unit): (usize, Vec<Finish>)| {
            unit.into_iter().enumerate().map(move |(i, finish)| (u, i, finish))
        };
        DistinctParts {
            open: units.into_iter().enumerate().flat_map(placed).collect(),
            asked: vec![],
            answers,
            answered: 0,
        }
    }

    fn next(&mut self) -> Vec<Finish> {
        let mut named: HashSet<&str> = HashSet::with_capacity(self.open.len());
        let first: Vec<bool> =
            self.open.iter().map(|(.., finish)| named.insert(&finish.lease.task_id)).collect();
        let mut part = Vec::with_capacity(self.open.len());
        for ((unit, index, finish), first) in std::mem::take(&mut self.open).into_iter().zip(first) {
            if first {
                self.asked.push((unit, index));
                part.push(finish);
            } else {
                self.open.push((unit, index, finish));
            }
        }
        part
    }

    fn answer(&mut self, each: Vec<Result<Finished>>) {
        self.answered += 1;
        for ((unit, index), answer) in std::mem::take(&mut self.asked).into_iter().zip(each) {
            self.answers[unit][index] = Some(answer);
        }
    }

    /// The part that was asked, and what is left, fail.
    fn refuse(&mut self, error: &Error) {
        let asked = std::mem::take(&mut self.asked);
        let left = std::mem::take(&mut self.open).into_iter().map(|(unit, index, _)| (unit, index));
        for (unit, index) in asked.into_iter().chain(left) {
            self.answers[unit][index] = Some(Err(error.share()));
        }
    }

    fn answers(self) -> Vec<Result<Vec<Result<Finished>>>> {
        let unanswered = || Err(Error::internal("a finish without an answer"));
        let unit = |unit: Vec<Option<Result<Finished>>>| {
            Ok(unit.into_iter().map(|answer| answer.unwrap_or_else(unanswered)).collect())
        };
        self.answers.into_iter().map(unit).collect()
    }
}

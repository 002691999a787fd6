//! What a caller asks of the writer's thread.

use super::{failure::FULL, tx::Tx};
use crate::error::{Error, Result};
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering::SeqCst},
    },
};
use tokio::sync::oneshot;

/// Sends the answer, once it is known how the transaction ended.
pub(super) type Answer = Box<dyn FnOnce(Option<&Error>) + Send>;

/// Runs in a transaction, or learns why there is none. Says why its changes are not to be kept, if they are not.
type Run = Box<dyn FnOnce(Result<&Tx<'_>, &Error>) -> (Option<Error>, Answer) + Send>;

pub(crate) struct Job {
    run: Run,
    stage: Stage,
}

/// How far a job is: its caller may take it back until it has begun.
#[derive(Clone, Default)]
pub(super) struct Stage(Arc<AtomicU8>);

const WAITING: u8 = 0;
const BEGUN: u8 = 1;
const WITHDRAWN: u8 = 2;

impl Stage {
    fn pass(&self, to: u8) -> bool {
        self.0.compare_exchange(WAITING, to, SeqCst, SeqCst).is_ok()
    }

    /// False where the job has begun.
    pub(super) fn withdraw(&self) -> bool {
        self.pass(WITHDRAWN)
    }
}

impl Job {
    pub(super) fn new<T: Send + 'static>(
        job: impl FnOnce(&Tx<'_>) -> Result<T> + Send + 'static,
        reply: oneshot::Sender<Result<T>>,
    ) -> Self {
        let run: Run = Box::new(move |tx| {
            let done = match tx {
                Ok(tx) => catch_unwind(AssertUnwindSafe(|| job(tx)))
                    .unwrap_or_else(|_| Err(Error::internal("a statement panicked; nothing was changed"))),
                Err(error) => Err(error.share()),
            };
            let refused = done.as_ref().err().map(Error::share);
            let answer = move |failure: Option<&Error>| {
                let answer = match (failure, &done) {
                    (Some(error), Ok(_)) => Err(error.share()),
                    (Some(error), Err(own)) if own.code() == FULL => Err(error.share()),
                    _ => done,
                };
                drop(reply.send(answer));
            };
            (refused, Box::new(answer))
        });
        Job { run, stage: Stage::default() }
    }

    /// Only makes the writer look at its files.
    pub(super) fn nothing() -> Self {
        Job::new(|_| Ok(()), oneshot::channel().0)
    }

    pub(super) fn stage(&self) -> Stage {
        self.stage.clone()
    }

    pub(super) fn is_withdrawn(&self) -> bool {
        self.stage.0.load(SeqCst) == WITHDRAWN
    }

    /// `None` where the caller has given up.
    pub(super) fn run(self, tx: &Tx<'_>) -> Option<(Option<Error>, Answer)> {
        self.stage.pass(BEGUN).then(|| (self.run)(Ok(tx)))
    }

    pub(super) fn refuse(self, error: &Error) {
        let (_, answer) = (self.run)(Err(error));
        answer(None);
    }
}

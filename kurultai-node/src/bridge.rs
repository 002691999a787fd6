//! How an awaited call crosses: outcomes gather in a queue, and only its first wakes JavaScript.

use crate::{answer::Answer, args::read, failure::Failure};
use kurultai_bridge::{Call, Sink, Started, lock};
use kurultai_core::{Error, Kind, Result};
use napi::{
    Env, Status,
    bindgen_prelude::{Either, FnArgs, Function},
    threadsafe_function::{ThreadsafeFunction, ThreadsafeFunctionCallMode},
};
use napi_derive::napi;
use serde::de::DeserializeOwned;
use std::{
    fmt,
    sync::{Arc, Mutex},
};

/// What a call gets: JSON text, or why not.
pub(crate) type Outcome = Either<String, Failure>;
/// The outcome where it is there at once; otherwise it comes through `settle`.
pub(crate) type Now = Option<Outcome>;
type Settled = FnArgs<(Vec<u32>, Vec<Outcome>)>;
type Settle = ThreadsafeFunction<(), (), Settled, Status, false, true>;

/// No string of V8 is longer; to make one anyway ends the process.
const LONGEST: usize = (1 << 29) - 24;

fn deliver(outcome: Result<Answer>) -> Outcome {
    match outcome {
        Ok(answer) if answer.len() > LONGEST => {
            let message = format!(
                "the answer has {} bytes, and a string of Node at most {LONGEST}; ask for fewer at once",
                answer.len()
            );
            Either::B((&Error::new(Kind::Input, "input.invalid", message)).into())
        }
        Ok(answer) => Either::A(answer.deliver()),
        Err(error) => Either::B((&error).into()),
    }
}

/// A call that was not ready at once.
type Going = Call<Answer, Caller>;

/// Who waits for a call: the promise of this number.
struct Caller {
    number: u32,
    calls: Arc<Calls>,
}

/// The calls of one environment that are not answered yet.
#[derive(Default)]
struct Open {
    closed: bool,
    /// By their numbers, which are used again.
    going: Vec<Option<Arc<Going>>>,
    /// Of these some may be cancelled.
    ended: Vec<Arc<Going>>,
}

impl Open {
    fn add(&mut self, call: Arc<Going>) {
        let place = call.sink().number as usize;
        if self.going.len() <= place {
            self.going.resize_with(place + 1, || None);
        }
        self.going[place] = Some(call);
    }

    fn remove(&mut self, number: u32) -> Option<Arc<Going>> {
        self.going.get_mut(number as usize)?.take()
    }

    /// Those that have ended since the last time.
    fn take_ended(&mut self) -> Vec<Arc<Going>> {
        let ended = std::mem::take(&mut self.ended);
        for call in &ended {
            // The call itself, and not the next one of its number.
            if let Some(place) = self.going.get_mut(call.sink().number as usize) {
                place.take_if(|there| Arc::ptr_eq(there, call));
            }
        }
        ended
    }
}

pub(crate) struct Calls {
    open: Arc<Mutex<Open>>,
    settle: Mutex<Settle>,
}

impl fmt::Debug for Calls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let going = lock(&self.open).going.iter().flatten().count();
        f.debug_struct("Calls").field("going", &going).finish_non_exhaustive()
    }
}

impl Sink<Answer> for Caller {
    fn ended(call: Arc<Going>) {
        let calls = call.sink().calls.clone();
        let mut open = lock(&calls.open);
        if open.closed {
            drop(open);
            return call.cancel();
        }
        open.ended.push(call);
        let first = open.ended.len() == 1;
        drop(open);
        if first {
            lock(&calls.settle).call((), ThreadsafeFunctionCallMode::NonBlocking);
        }
    }
}

impl Calls {
    /// The outcome of a call that was refused before it began.
    pub(crate) fn refuse(error: &Error) -> Now {
        Some(Either::B(error.into()))
    }

    /// Reads the arguments, then starts `work` on the room.
    pub(crate) fn run<R: Clone, A: DeserializeOwned, F>(
        self: &Arc<Self>,
        number: u32,
        room: &R,
        args: &str,
        work: impl FnOnce(R, A) -> F,
    ) -> Now
    where
        F: Future<Output = Result<Answer>> + Send + 'static,
    {
        match read(args) {
            Ok(args) => self.start(number, work(room.clone(), args)),
            Err(error) => Calls::refuse(&error),
        }
    }

    /// The outcome of `work` where it is ready at once; otherwise `settle` hears of it under this number.
    pub(crate) fn start<F>(self: &Arc<Self>, number: u32, work: F) -> Now
    where
        F: Future<Output = Result<Answer>> + Send + 'static,
    {
        match Call::start(Box::pin(work), Caller { number, calls: self.clone() }) {
            Started::Ended(outcome) => Some(deliver(outcome)),
            Started::Going(call) => {
                let mut open = lock(&self.open);
                if open.closed {
                    drop(open);
                    call.cancel();
                } else {
                    open.add(call);
                }
                None
            }
        }
    }

    #[expect(deprecated, reason = "the only safe way to a reference that follows the calls")]
    fn keep_alive(&self, env: &Env, alive: bool) -> napi::Result<()> {
        let mut settle = lock(&self.settle);
        if alive { settle.refer(env) } else { settle.unref(env) }
    }
}

/// One for each environment.
#[napi]
#[derive(Debug)]
pub struct Bridge {
    pub(crate) calls: Arc<Calls>,
}

#[napi]
impl Bridge {
    /// `settle(numbers, outcomes)` is called with everything that has been answered since the last time.
    #[napi(constructor, catch_unwind)]
    pub fn new(env: Env, settle: Function<'_, Settled, ()>) -> napi::Result<Self> {
        let open = Arc::new(Mutex::new(Open::default()));
        let queue = open.clone();
        let settle = settle
            .build_threadsafe_function::<()>()
            .weak::<true>()
            .callee_handled::<false>()
            .build_callback(move |_| {
                let ended = lock(&queue).take_ended();
                let outcome = |call: Arc<Going>| Some((call.sink().number, deliver(call.take()?)));
                let (numbers, outcomes) = ended.into_iter().filter_map(outcome).unzip();
                Ok(FnArgs::from((numbers, outcomes)))
            })?;
        env.add_env_cleanup_hook(open.clone(), |open| {
            let mut open = lock(&open);
            open.closed = true;
            let (ended, going) = (std::mem::take(&mut open.ended), std::mem::take(&mut open.going));
            drop(open);
            // Nobody hears of them any more.
            ended.iter().chain(going.iter().flatten()).for_each(|call| call.cancel());
        })?;
        Ok(Bridge { calls: Arc::new(Calls { open, settle: Mutex::new(settle) }) })
    }

    /// Drops a call. What it was given all the same is given back.
    #[napi(catch_unwind)]
    pub fn cancel(&self, call: u32) {
        let going = lock(&self.calls.open).remove(call);
        if let Some(call) = going {
            call.cancel();
        }
    }

    /// The same text back, from the runtime where `later`: what crossing costs by itself, for the benchmark. No text is
    /// a defect, for the tests.
    #[napi(catch_unwind)]
    pub fn echo(&self, call: u32, text: String, later: bool) -> Now {
        self.calls.start(call, async move {
            if later {
                tokio::task::yield_now().await;
            }
            assert!(!text.is_empty(), "nothing to echo");
            Ok(Answer::new(text))
        })
    }

    /// Whether Node stays alive for what is under way.
    #[napi(catch_unwind)]
    pub fn keep_alive(&self, env: Env, alive: bool) -> napi::Result<()> {
        self.calls.keep_alive(&env, alive)
    }
}

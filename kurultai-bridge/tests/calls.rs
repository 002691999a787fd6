//! What becomes of a call, with real threads.

use futures::{
    channel::oneshot,
    future::{pending, poll_fn, ready},
};
use kurultai_bridge::{Call, Sink, Started, Work};
use kurultai_core::{Error, Kind, Result};
use std::{
    sync::{
        Arc, Barrier,
        atomic::{AtomicUsize, Ordering::SeqCst},
        mpsc,
    },
    task::{Poll, Waker},
    thread,
    time::Duration,
};
use tokio::runtime::Handle;

const LONG: Duration = Duration::from_secs(10);
const SHORT: Duration = Duration::from_millis(50);

type Heard<T> = mpsc::Receiver<Arc<Call<T, Ends<T>>>>;

/// Tells the test.
struct Ends<T>(mpsc::Sender<Arc<Call<T, Ends<T>>>>);

impl<T: Send + 'static> Sink<T> for Ends<T> {
    fn ended(call: Arc<Call<T, Self>>) {
        assert!(Handle::try_current().is_ok(), "in the runtime");
        // The test may be over.
        drop(call.sink().0.clone().send(call));
    }
}

fn start<T: Send + 'static>(
    work: impl Future<Output = Result<T>> + Send + 'static,
) -> (Started<T, Ends<T>>, Heard<T>) {
    let (sender, heard) = mpsc::channel();
    (Call::start(Box::pin(work) as Work<T>, Ends(sender)), heard)
}

fn going<T: Send + 'static>(
    work: impl Future<Output = Result<T>> + Send + 'static,
) -> (Arc<Call<T, Ends<T>>>, Heard<T>) {
    match start(work) {
        (Started::Going(call), heard) => (call, heard),
        (Started::Ended(_), _) => panic!("ready at once"),
    }
}

/// What a call was given: counted when it goes back, which needs the runtime.
struct Lent(Arc<AtomicUsize>);

impl Drop for Lent {
    fn drop(&mut self) {
        assert!(Handle::try_current().is_ok(), "given back inside the runtime");
        self.0.fetch_add(1, SeqCst);
    }
}

fn lent() -> (Lent, Arc<AtomicUsize>) {
    let back = Arc::<AtomicUsize>::default();
    (Lent(back.clone()), back)
}

/// An outcome that comes when the test says so.
fn later<T: Send + 'static>(value: T) -> (oneshot::Sender<()>, impl Future<Output = Result<T>> + Send) {
    let (go, gone) = oneshot::channel();
    let work = async move {
        // Never dropped unsent while it matters.
        gone.await.expect("said");
        Ok(value)
    };
    (go, work)
}

#[test]
fn what_is_ready_at_once_comes_from_the_thread_that_made_it() {
    let here = thread::current().id();
    let (started, heard) = start(async move { Ok(thread::current().id() == here) });
    assert!(matches!(started, Started::Ended(Ok(true))));
    assert!(heard.recv_timeout(SHORT).is_err(), "the sink hears of nothing");
}

#[test]
fn what_is_woken_by_another_thread_ends_in_the_runtime() {
    let (go, work) = later(7);
    let (call, heard) = going(work);
    assert!(!call.is_over());
    assert!(call.take().is_none());
    thread::spawn(move || go.send(())).join().unwrap().unwrap();
    let ended = heard.recv_timeout(LONG).unwrap();
    assert!(Arc::ptr_eq(&ended, &call) && call.is_over());
    assert_eq!(call.take().unwrap().unwrap(), 7);
    assert!(call.take().is_none(), "once");
    assert!(heard.recv_timeout(SHORT).is_err(), "told once");
}

/// The wake comes in the midst of the poll, from the same thread and from another one; both want a further poll.
#[test]
fn a_wake_during_a_poll_is_not_lost() {
    let (wakers, woken) = mpsc::channel::<(Waker, Arc<Barrier>)>();
    thread::spawn(move || {
        for (waker, done) in woken {
            waker.wake();
            done.wait();
        }
    });
    let mut polls = 0;
    let (_call, heard) = going(poll_fn(move |context| {
        polls += 1;
        match polls {
            1..100 if polls % 2 == 0 => context.waker().wake_by_ref(),
            1..100 => {
                let done = Arc::new(Barrier::new(2));
                wakers.send((context.waker().clone(), done.clone())).unwrap();
                done.wait();
            }
            _ => return Poll::Ready(Ok(polls)),
        }
        Poll::Pending
    }));
    assert_eq!(heard.recv_timeout(LONG).unwrap().take().unwrap().unwrap(), 100);
}

#[test]
fn a_call_that_is_cancelled_before_its_end_is_dropped_inside_the_runtime() {
    let (lent, back) = lent();
    let (call, heard) = going(async move {
        let _lent = lent;
        pending::<Result<()>>().await
    });
    call.cancel();
    assert_eq!(back.load(SeqCst), 1);
    assert!(call.is_over() && call.take().is_none());
    call.cancel();
    assert!(heard.recv_timeout(SHORT).is_err(), "nobody hears of it");
}

#[test]
fn a_late_wake_of_a_cancelled_call_does_nothing() {
    let (go, work) = later(());
    let (call, heard) = going(async move {
        work.await?;
        pending::<Result<()>>().await
    });
    let wakes = thread::spawn(move || go.send(()));
    call.cancel();
    let _refused = wakes.join().unwrap();
    assert!(heard.recv_timeout(SHORT).is_err() && call.take().is_none());
}

#[test]
fn an_outcome_that_is_cancelled_is_given_back() {
    let (lent, back) = lent();
    let (go, work) = later(lent);
    let (call, heard) = going(work);
    go.send(()).unwrap();
    heard.recv_timeout(LONG).unwrap();
    assert_eq!(back.load(SeqCst), 0, "it waits for somebody");
    call.cancel();
    assert_eq!(back.load(SeqCst), 1);
    assert!(call.take().is_none());
}

#[test]
fn an_outcome_that_nobody_takes_is_given_back() {
    let (lent, back) = lent();
    let (go, work) = later(lent);
    let (call, heard) = going(work);
    go.send(()).unwrap();
    drop(heard.recv_timeout(LONG).unwrap());
    assert_eq!(back.load(SeqCst), 0);
    drop(call);
    assert_eq!(back.load(SeqCst), 1);
}

#[test]
fn an_outcome_that_is_taken_is_not_given_back() {
    let (lent, back) = lent();
    let (go, work) = later(lent);
    let (call, heard) = going(work);
    go.send(()).unwrap();
    let taken = heard.recv_timeout(LONG).unwrap().take().unwrap().unwrap();
    call.cancel();
    drop(call);
    assert_eq!(back.load(SeqCst), 0);
    let _inside = kurultai_bridge::runtime().unwrap().enter();
    drop(taken);
}

#[test]
fn a_panic_ends_the_call_as_a_defect() {
    let (started, _heard) = start(poll_fn(|_| -> Poll<Result<()>> { panic!("at once") }));
    let Started::Ended(Err(error)) = started else { panic!("no error") };
    assert_is_defect(&error, "at once");

    let (go, work) = later(());
    let (_call, heard) = going(async move {
        work.await?;
        ready(()).await;
        panic!("later");
        #[expect(unreachable_code, reason = "says what it would answer")]
        Ok(())
    });
    go.send(()).unwrap();
    let ended = heard.recv_timeout(LONG).unwrap();
    assert_is_defect(&ended.take().unwrap().unwrap_err(), "later");
    let (go, work) = later(());
    let (_call, heard) = going(work);
    go.send(()).unwrap();
    assert!(heard.recv_timeout(LONG).is_ok(), "others go on");
}

fn assert_is_defect(error: &Error, text: &str) {
    assert_eq!(error.kind(), Kind::Internal);
    assert!(error.message().contains(text), "{error}");
}

/// Whoever comes first has the outcome: the one who takes it, or the one who cancels.
#[test]
fn crowds_that_end_while_they_are_cancelled_lose_nothing() {
    const CALLS: usize = 500;
    let counted = thread::scope(|scope| {
        let crowds: Vec<_> = (0..4).map(|_| scope.spawn(|| (0..CALLS).map(race).sum::<usize>())).collect();
        crowds.into_iter().map(|crowd| crowd.join().unwrap()).sum::<usize>()
    });
    assert_eq!(counted, 4 * CALLS);
}

/// How often the outcome was taken or went back.
fn race(number: usize) -> usize {
    let (lent, back) = lent();
    let (go, work) = later(lent);
    let (call, heard) = going(work);
    kurultai_bridge::runtime().expect("a runtime").spawn(async move { go.send(()) });
    if number.is_multiple_of(2) {
        thread::yield_now();
        call.cancel();
    }
    drop(call);
    // Ends also when the call is gone, and with it its sink.
    let taken = heard.recv().ok().and_then(|ended| ended.take()).map(std::mem::forget);
    drop(heard.recv());
    usize::from(taken.is_some()) + back.load(SeqCst)
}

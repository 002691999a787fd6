//! Histories written by hand: one that can have happened, and each promise broken once.

use super::{
    check::{History, Left, check},
    log::Event,
    record::{Answer, Call, Nanos, Op, Outcome, Seen, Spec, Taken},
};
use kurultai_core::tasks::{Signal, Status};

const MS: Nanos = 1_000_000;

/// A history under construction; times in milliseconds.
#[derive(Default)]
struct Story(History);

impl Story {
    fn call(mut self, from: Nanos, until: Nanos, op: Op, answer: Answer) -> Self {
        let outcome = Outcome::Answered(until * MS, answer);
        self.0.calls.push(Call { by: "rust-0.0".to_owned(), op, called: from * MS, outcome });
        self
    }

    fn without_answer(mut self, from: Nanos, op: Op, outcome: Outcome) -> Self {
        self.0.calls.push(Call { by: "rust-1.0".to_owned(), op, called: from * MS, outcome });
        self
    }

    fn event(mut self, topic: &str, task: &str) -> Self {
        let source = (topic == "claimed").then(|| "ada".to_owned());
        let (seq, topic) = (self.0.log.len() as i64 + 1, format!("task.{topic}"));
        self.0.log.push(Event { seq, topic, task: Some(task.to_owned()), source });
        self
    }

    fn left(mut self, id: &str, status: Status, version: i64, results: Option<u64>) -> Self {
        let id = id.to_owned();
        let left = Left { id, status, version, claimed_by: None, results, parent: None, depends_on: vec![] };
        self.0.left.push(left);
        self
    }

    /// `x` is enqueued from 0 to 10, and claimed by ada from 20 to 30 for 500.
    fn claimed() -> Self {
        let story = Story::default().enqueue(0, "x").event("enqueued", "x");
        story.claim(20, "x", 1).event("claimed", "x")
    }

    fn enqueue(self, from: Nanos, id: &str) -> Self {
        self.call(from, from + 10, enqueue(id), Answer::Enqueued(vec![(id.to_owned(), false)]))
    }

    fn claim(self, from: Nanos, id: &str, version: i64) -> Self {
        let taken = vec![Taken(id.to_owned(), version, lease(id, version))];
        self.call(from, from + 10, claim(), Answer::Claimed(taken))
    }

    fn complete(self, from: Nanos, id: &str, version: i64) -> Self {
        let answer = Answer::Finished { status: Status::Completed, repeated: false };
        self.call(from, from + 10, complete(id, version), answer)
    }

    fn read(self, from: Nanos, after: i64, limit: usize, seqs: &[usize]) -> Self {
        let read = seqs.iter().map(|seq| self.0.log[seq - 1].clone()).collect();
        let op = Op::Read { after, topic: None, task: None, limit, wait: 0.0 };
        self.call(from, from + 10, op, Answer::Read(read))
    }

    #[track_caller]
    fn accept(self) {
        let violations = check(&self.0);
        assert!(violations.is_empty(), "{violations:#?}");
    }

    #[track_caller]
    fn refuse(self, why: &str) {
        let violations = check(&self.0);
        assert!(violations.iter().any(|violation| violation.what.contains(why)), "{violations:#?}");
    }
}

fn enqueue(id: &str) -> Op {
    Op::Enqueue { tasks: vec![Spec { id: id.to_owned(), ..Spec::default() }] }
}

fn claim() -> Op {
    Op::Claim { agent: "ada".to_owned(), types: None, max: 1, lease: 0.5, wait: 0.0 }
}

fn complete(id: &str, version: i64) -> Op {
    Op::Complete { lease: lease(id, version), results: 7 }
}

fn fail(id: &str, version: i64) -> Op {
    Op::Fail { lease: lease(id, version), retryable: true }
}

fn lease(id: &str, version: i64) -> String {
    format!("claim:{version}:1:0:{id}")
}

fn cancel(id: &str) -> Op {
    Op::Cancel { task: id.to_owned() }
}

fn lost() -> Answer {
    Answer::Refused("lease.lost".to_owned())
}

#[test]
fn what_can_have_happened_is_accepted() {
    let story = Story::claimed().complete(40, "x", 1).event("completed", "x").read(60, 0, 2, &[1, 2]);
    let story = story.read(80, 2, 2, &[3]).call(90, 95, complete("x", 1), lost());
    story.left("x", Status::Completed, 1, Some(7)).accept();
}

#[test]
fn a_call_that_was_cut_short_may_have_happened_or_not() {
    let cut = || Story::claimed().without_answer(40, complete("x", 1), Outcome::Unknown);
    cut().event("completed", "x").left("x", Status::Completed, 1, Some(7)).accept();
    cut().event("lapsed", "x").left("x", Status::Pending, 1, None).accept();
    Story::default().without_answer(0, enqueue("x"), Outcome::Unknown).accept();
}

#[test]
fn an_acknowledged_enqueue_that_is_lost() {
    Story::default().enqueue(0, "x").refuse("nothing of x is in the log");
    Story::default().enqueue(0, "x").event("enqueued", "x").refuse("is not there");
}

#[test]
fn an_acknowledged_completion_that_is_lost() {
    let story = Story::claimed().complete(40, "x", 1);
    story.left("x", Status::InProgress, 1, None).refuse("no end of this claim");
    let story = Story::claimed().complete(40, "x", 1).event("completed", "x");
    story.left("x", Status::Completed, 1, Some(8)).refuse("its results Some(8)");
}

#[test]
fn two_leases_that_complete_one_task() {
    let story = Story::claimed().complete(40, "x", 1).event("completed", "x").claim(60, "x", 2);
    let story = story.complete(80, "x", 2).event("completed", "x").left("x", Status::Completed, 1, Some(7));
    story.refuse("says task.completed of a task that is Completed");
}

#[test]
fn a_task_that_is_claimed_while_its_lease_lives() {
    let story = Story::claimed().event("lapsed", "x").claim(100, "x", 2).event("claimed", "x");
    story.refuse("the lease of version 1 had 410 ms left");
    let extend = Op::Extend { lease: lease("x", 1), ttl: 1.0 };
    let story = Story::claimed().call(100, 110, extend, Answer::Extended(Signal::Continue));
    story.event("lapsed", "x").claim(900, "x", 2).event("claimed", "x").refuse("had 190 ms left");
    Story::claimed().event("claimed", "x").refuse("says task.claimed of a task that is Held");
    Story::claimed().claim(60, "x", 1).refuse("its event is 2");
}

#[test]
fn a_lease_that_is_lost_too_early_or_lives_too_long() {
    let story = Story::claimed().call(40, 50, complete("x", 1), lost());
    story.left("x", Status::InProgress, 1, None).refuse("refused with lease.lost");
    let extend = Op::Extend { lease: lease("x", 1), ttl: 9.0 };
    let story = Story::claimed().call(600, 610, extend, Answer::Extended(Signal::Continue));
    story.left("x", Status::InProgress, 1, None).refuse("after its lease had run out");
    let story = Story::claimed().complete(600, "x", 1).event("completed", "x");
    story.left("x", Status::Completed, 1, Some(7)).refuse("after its lease had run out");
}

#[test]
fn a_claim_that_nobody_was_told_of() {
    let story = Story::default().enqueue(0, "x").event("enqueued", "x");
    story.call(20, 30, claim(), Answer::Claimed(vec![])).event("claimed", "x").refuse("but was never told");
}

#[test]
fn a_claim_whose_lease_ran_out_on_the_way() {
    let story = Story::default().enqueue(0, "x").event("enqueued", "x");
    let story =
        story.call(20, 900, claim(), Answer::Claimed(vec![])).event("claimed", "x").event("lapsed", "x");
    story.left("x", Status::Pending, 1, None).accept();
}

#[test]
fn an_acknowledged_cancel_without_effect() {
    let asked = || Story::claimed().call(40, 50, cancel("x"), Answer::Status(Status::InProgress));
    asked().refuse("was not done within");
    let failed = Answer::Finished { status: Status::Pending, repeated: false };
    let story =
        asked().event("cancel_requested", "x").call(41, 52, fail("x", 1), failed).event("failed", "x");
    story.refuse("says task.failed of a task that is Held and asked to cancel");
    let story = asked().event("cancel_requested", "x").event("lapsed", "x");
    story.refuse("says task.lapsed of a task that is Held and asked to cancel");
    let story = Story::default().enqueue(0, "x").event("enqueued", "x");
    let story = story.call(20, 30, cancel("x"), Answer::Status(Status::Cancelled)).event("cancelled", "x");
    story.claim(40, "x", 1).event("claimed", "x").refuse("says task.claimed of a task that is Cancelled");
}

#[test]
fn a_cancel_that_comes_too_late_is_no_violation() {
    let story = Story::claimed().call(40, 50, cancel("x"), Answer::Status(Status::InProgress));
    let story = story.event("cancel_requested", "x").complete(45, "x", 1).event("completed", "x");
    story.left("x", Status::Completed, 1, Some(7)).accept();
}

#[test]
fn an_acknowledged_suspend_without_effect() {
    let suspend = Op::Suspend { task: "x".to_owned() };
    let released = Answer::Finished { status: Status::Pending, repeated: false };
    let story = Story::claimed().call(40, 50, suspend, Answer::Status(Status::InProgress));
    let story =
        story.event("suspend_requested", "x").call(41, 52, Op::Release { lease: lease("x", 1) }, released);
    story.event("released", "x").refuse("says task.released of a task that is Held and asked to suspend");
}

#[test]
fn a_reader_that_misses_an_event() {
    let story = || Story::claimed().complete(40, "x", 1).event("completed", "x");
    story().read(60, 0, 9, &[1, 3]).refuse("it got");
    story().read(60, 0, 9, &[2, 1]).refuse("it got");
    story().read(60, 0, 9, &[1, 1]).refuse("it got");
    story().read(60, 0, 9, &[1, 2]).refuse("though the log was 3 long");
    let mut story = Story::claimed();
    story.0.log[1].seq = 3;
    story.refuse("the log goes from event 1 to 3");
}

#[test]
fn an_event_that_is_seen_before_it_is_begun() {
    let story =
        Story::default().enqueue(0, "x").event("enqueued", "x").enqueue(50, "y").event("enqueued", "y");
    story.read(20, 0, 9, &[1, 2]).refuse("of which some had not begun");
}

#[test]
fn answers_that_come_in_another_order_than_their_calls() {
    let story =
        Story::default().enqueue(0, "x").enqueue(50, "y").event("enqueued", "y").event("enqueued", "x");
    story.refuse("its event is");
}

#[test]
fn a_state_that_was_never_there() {
    let seen = Answer::Seen(vec![Seen("x".to_owned(), Status::Pending, 0, None)]);
    let get = Op::Get { task: "x".to_owned() };
    Story::claimed().call(40, 50, get, seen).refuse("it showed x as pending");
}

#[test]
fn a_task_that_its_events_do_not_explain() {
    Story::claimed()
        .left("x", Status::Pending, 1, None)
        .refuse("it is pending, version 1; its events make it Held");
    let story = Story::claimed().event("completed", "x").left("x", Status::Completed, 1, None);
    story.refuse("no holder of version 1 can have said so");
    let story = Story::default().event("enqueued", "x").left("x", Status::Pending, 0, None);
    story.refuse("nobody can have asked for it");
}

#[test]
fn a_task_that_does_not_wait_for_what_it_depends_on() {
    let spec = Spec { id: "y".to_owned(), depends_on: vec!["x".to_owned()], ..Spec::default() };
    let added = Answer::Enqueued(vec![("y".to_owned(), false)]);
    let depending = |story: Story| {
        story.call(40, 50, Op::Enqueue { tasks: vec![spec.clone()] }, added.clone()).event("enqueued", "y")
    };
    let story = depending(Story::claimed()).claim(60, "y", 1).event("claimed", "y");
    story.refuse("was claimed while x, which it depends on, was Held");
    let story = depending(Story::claimed()).complete(60, "x", 1).event("completed", "x");
    let mut story = story.left("x", Status::Completed, 1, Some(7)).left("y", Status::Blocked, 0, None);
    story.0.left[1].depends_on.push("x".to_owned());
    story.refuse("all that it waits for is completed");
}

#[test]
fn a_key_that_is_not_unique() {
    let keyed = |id: &str| {
        let unique_key = Some("k".to_owned());
        Op::Enqueue { tasks: vec![Spec { id: id.to_owned(), unique_key, ..Spec::default() }] }
    };
    let added = |id: &str| Answer::Enqueued(vec![(id.to_owned(), false)]);
    let story = Story::default().call(0, 10, keyed("x"), added("x")).event("enqueued", "x");
    story.call(20, 30, keyed("y"), added("y")).event("enqueued", "y").refuse("its key \"k\" was that of x");
}

#[test]
fn an_answer_that_never_comes_and_an_error_that_nothing_explains() {
    Story::claimed().without_answer(40, complete("x", 1), Outcome::Missing).refuse("never answered");
    let get = Op::Get { task: "x".to_owned() };
    let lasting = Answer::Seen(vec![Seen("x".to_owned(), Status::InProgress, 1, Some("ada".to_owned()))]);
    Story::claimed().call(40, 60_000, get, lasting).refuse("took 59 s");
    let refused = Answer::Refused("store.constraint".to_owned());
    Story::claimed().call(40, 50, enqueue("y"), refused).refuse("refused with store.constraint");
}

#[test]
fn a_claim_that_ended_in_two_ways() {
    let ended = |repeated| Answer::Finished { status: Status::Cancelled, repeated };
    let story = |again: Op| {
        let child = Spec { id: "y".to_owned(), parent: Some("x".to_owned()), ..Spec::default() };
        let added = Answer::Enqueued(vec![("y".to_owned(), false)]);
        let story = Story::claimed().call(40, 50, Op::Enqueue { tasks: vec![child] }, added);
        let story = story.event("enqueued", "y");
        let story = story.call(60, 70, cancel("x"), Answer::Status(Status::InProgress));
        let story = story.event("cancel_requested", "x").call(80, 90, complete("x", 1), ended(false));
        let story = story.event("cancelled", "x").call(100, 110, again, ended(true));
        story.left("x", Status::Cancelled, 1, Some(7)).left("y", Status::Pending, 0, None)
    };
    story(complete("x", 1)).accept();
    story(fail("x", 1)).refuse("so was another end of the same claim");
}

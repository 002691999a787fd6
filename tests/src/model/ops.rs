//! What a sequence is made of. Tasks and leases are picked by index, so that a shortened sequence still means
//! something.

use kurultai_core::tasks::{DependencyType, OnPrerequisiteFailure, WaitFor};
use proptest::{prelude::*, sample::Index};
use std::fmt;

pub(super) const TYPES: [&str; 3] = ["code", "docs", "ops"];
pub(super) const SKILLS: [&str; 2] = ["rust", "prose"];
/// Id, capabilities, `max_concurrent`.
pub(super) const AGENTS: [(&str, &[&str], Option<u32>); 3] =
    [("ada", &["rust"], Some(2)), ("bob", &["rust", "prose"], None), ("cyn", &[], Some(1))];
pub(super) const STRANGER: &str = "nobody";

#[derive(Debug, Clone)]
pub(super) enum Op {
    Enqueue(Vec<Spec>),
    Claim {
        agent: usize,
        max: usize,
        only: Option<usize>,
        lease: i64,
    },
    Finish {
        lease: Index,
        how: How,
    },
    Extend {
        lease: Index,
        ttl: i64,
    },
    Act {
        task: Index,
        verb: Verb,
    },
    Pause {
        only: Option<usize>,
        paused: bool,
    },
    Depend {
        dependent: Index,
        prerequisite: Index,
        kind: DependencyType,
    },
    Update {
        task: Index,
        changes: Changes,
    },
    /// Without `settle` the next call meets leases and times that have passed unnoticed.
    Advance {
        seconds: i64,
        settle: bool,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    Complete,
    Fail { retryable: bool, after: Option<i64> },
    Release,
    Snooze { after: i64 },
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Verb {
    Cancel,
    Suspend,
    Resume,
    Requeue,
    Discard,
}

/// A task to enqueue. Times are in seconds.
#[derive(Clone)]
pub(super) struct Spec {
    pub(super) task_type: usize,
    pub(super) rank: usize,
    pub(super) heavy: bool,
    pub(super) required: Option<usize>,
    pub(super) preferred: Option<usize>,
    pub(super) assigned_to: Option<usize>,
    /// Among all tasks that are there and those of the same call.
    pub(super) edges: Vec<(Index, DependencyType)>,
    pub(super) parent: Option<Index>,
    pub(super) wait_for: WaitFor,
    pub(super) policy: OnPrerequisiteFailure,
    pub(super) unique_key: Option<usize>,
    pub(super) payload: usize,
    pub(super) delay: Option<i64>,
    pub(super) expiry: Option<Until>,
    pub(super) max_attempts: u32,
    pub(super) retry_base: i64,
}

/// Only what is not as it is most often, and nothing that a step's story tells better.
impl fmt::Debug for Spec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} P{} {:?} {:?}", TYPES[self.task_type], self.rank, self.policy, self.wait_for)?;
        write!(f, " attempts {} base {}", self.max_attempts, self.retry_base)?;
        let options = [
            ("requires", self.required),
            ("prefers", self.preferred),
            ("assigned", self.assigned_to),
            ("key", self.unique_key),
            ("payload", Some(self.payload).filter(|payload| *payload > 0)),
            ("heavy", self.heavy.then_some(1)),
        ];
        for (name, value) in options.iter().filter_map(|(name, value)| Some((name, (*value)?))) {
            write!(f, " {name} {value}")?;
        }
        if let Some(delay) = self.delay {
            write!(f, " delay {delay}")?;
        }
        self.expiry.map_or(Ok(()), |expiry| write!(f, " expiry {expiry:?}"))
    }
}

/// What to change of a task; `Some(None)` is at once, never, anybody.
#[derive(Debug, Clone)]
pub(super) struct Changes {
    pub(super) rank: Option<usize>,
    pub(super) heavy: Option<bool>,
    pub(super) delay: Option<Option<i64>>,
    pub(super) expiry: Option<Option<i64>>,
    pub(super) assigned_to: Option<Option<usize>>,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Until {
    After(i64),
    At(i64),
}

pub(super) const RETRY_CAP: i64 = 15;

fn kind() -> impl Strategy<Value = DependencyType> {
    prop_oneof![
        6 => Just(DependencyType::Blocks),
        1 => Just(DependencyType::FeedsInto),
        1 => Just(DependencyType::ParallelOk),
    ]
}

fn rarely<T: std::fmt::Debug + Clone>(value: impl Strategy<Value = T>) -> impl Strategy<Value = Option<T>> {
    prop::option::weighted(0.15, value)
}

fn spec() -> impl Strategy<Value = Spec> {
    let who =
        (0..TYPES.len(), 0..4usize, any::<bool>(), rarely(0..2usize), rarely(0..2usize), rarely(0..3usize));
    let waits_for =
        prop_oneof![3 => Just(WaitFor::All), 1 => Just(WaitFor::Any), 1 => Just(WaitFor::Quorum(2))];
    let policy = prop_oneof![
        Just(OnPrerequisiteFailure::Block),
        Just(OnPrerequisiteFailure::Cancel),
        Just(OnPrerequisiteFailure::Continue),
    ];
    let edges = prop::collection::vec((any::<Index>(), kind()), 0..=2);
    let graph = (edges, rarely(any::<Index>()), waits_for, policy);
    let until = prop_oneof![(5..40i64).prop_map(Until::After), (5..40i64).prop_map(Until::At)];
    let times = (rarely(1..30i64), prop::option::weighted(0.4, until), 1..4u32, 1..10i64);
    (who, graph, rarely(0..3usize), 0..2usize, times).prop_map(|(who, graph, unique_key, payload, times)| {
        let (task_type, rank, heavy, required, preferred, assigned_to) = who;
        let (edges, parent, wait_for, policy) = graph;
        let (delay, expiry, max_attempts, retry_base) = times;
        Spec {
            task_type,
            rank,
            heavy,
            required,
            preferred,
            assigned_to,
            edges,
            parent,
            wait_for,
            policy,
            unique_key,
            payload,
            delay,
            expiry,
            max_attempts,
            retry_base,
        }
    })
}

fn how() -> impl Strategy<Value = How> {
    prop_oneof![
        5 => Just(How::Complete),
        3 => (prop::bool::weighted(0.7), rarely(0..20i64)).prop_map(|(retryable, after)| How::Fail { retryable, after }),
        1 => Just(How::Release),
        1 => (0..20i64).prop_map(|after| How::Snooze { after }),
    ]
}

fn verb() -> impl Strategy<Value = Verb> {
    prop_oneof![
        3 => Just(Verb::Cancel),
        3 => Just(Verb::Suspend),
        3 => Just(Verb::Resume),
        3 => Just(Verb::Requeue),
        1 => Just(Verb::Discard),
    ]
}

fn changes() -> impl Strategy<Value = Changes> {
    let order = (prop::option::of(0..4usize), prop::option::of(any::<bool>()));
    let often = |value: std::ops::Range<i64>| prop::option::of(prop::option::weighted(0.6, value));
    let assigned_to = prop::option::of(prop::option::of(0..3usize));
    (order, often(0..30), often(0..40), assigned_to).prop_map(
        |((rank, heavy), delay, expiry, assigned_to)| Changes { rank, heavy, delay, expiry, assigned_to },
    )
}

pub(super) fn op() -> impl Strategy<Value = Op> {
    let agent = prop_oneof![30 => 0..3usize, 1 => Just(3usize)];
    prop_oneof![
        6 => prop::collection::vec(spec(), 1..=3).prop_map(Op::Enqueue),
        8 => (agent, 1..4usize, rarely(0..3usize), 5..40i64)
            .prop_map(|(agent, max, only, lease)| Op::Claim { agent, max, only, lease }),
        8 => (any::<Index>(), how()).prop_map(|(lease, how)| Op::Finish { lease, how }),
        2 => (any::<Index>(), 1..60i64).prop_map(|(lease, ttl)| Op::Extend { lease, ttl }),
        6 => (any::<Index>(), verb()).prop_map(|(task, verb)| Op::Act { task, verb }),
        1 => (prop::option::of(0..3usize), prop::bool::weighted(0.3))
            .prop_map(|(only, paused)| Op::Pause { only, paused }),
        3 => (any::<Index>(), any::<Index>(), kind())
            .prop_map(|(dependent, prerequisite, kind)| Op::Depend { dependent, prerequisite, kind }),
        4 => (any::<Index>(), changes()).prop_map(|(task, changes)| Op::Update { task, changes }),
        3 => (1..60i64, any::<bool>()).prop_map(|(seconds, settle)| Op::Advance { seconds, settle }),
    ]
}

//! The verdict on a history.

use super::{
    answers, causes, ends,
    log::{self, Event, State, Timeline},
    record::{Answer, Call, Nanos, Op, Outcome, Spec, nanos},
    window::Clock,
};
use kurultai_core::tasks::Status;
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    ops::RangeInclusive,
};

/// By how much the store's clock and ours may have drifted apart within a lease.
pub(super) const DRIFT: Nanos = 50_000_000;

/// What happened on one namespace.
#[derive(Debug, Default)]
pub struct History {
    pub calls: Vec<Call>,
    /// The whole log, when everything was over.
    pub log: Vec<Event>,
    /// The tasks at the same time.
    pub left: Vec<Left>,
}

/// A task as it was left.
#[derive(Debug, Clone)]
pub struct Left {
    pub id: String,
    pub status: Status,
    pub version: i64,
    pub claimed_by: Option<String>,
    pub results: Option<u64>,
    pub parent: Option<String>,
    pub depends_on: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Whose story tells it.
    pub task: Option<String>,
    pub what: String,
}

impl Violation {
    pub(super) fn of(task: Option<&str>, what: impl Into<String>) -> Self {
        Violation { task: task.map(str::to_owned), what: what.into() }
    }
}

/// All that cannot have happened, if the library keeps its promises.
pub fn check(history: &History) -> Vec<Violation> {
    let parents =
        history.specs().filter_map(|spec| Some((spec.id.as_str(), spec.parent.as_deref()?))).collect();
    let (timelines, mut violations) = log::replay(&history.log, &parents);
    let case = Case::new(history, timelines);
    for call in &history.calls {
        violations.extend(answers::check(&case, call));
    }
    violations.extend(causes::check(&case));
    violations.extend(ends::check(&case));
    violations
}

impl History {
    /// Of every task that was, or may have been, enqueued.
    fn specs(&self) -> impl Iterator<Item = &Spec> {
        let enqueued =
            self.calls.iter().filter(|call| call.may_have_happened()).filter_map(|call| match &call.op {
                Op::Enqueue { tasks } => Some(tasks),
                _ => None,
            });
        enqueued.flatten()
    }
}

/// A history with what every check asks of it.
pub(super) struct Case<'a> {
    pub(super) history: &'a History,
    pub(super) clock: Clock,
    pub(super) specs: HashMap<&'a str, &'a Spec>,
    /// The tasks that another names as its parent.
    parents: HashSet<&'a str>,
    timelines: HashMap<&'a str, Timeline>,
    absent: Timeline,
    /// The calls that name a task, by the task.
    about: HashMap<String, Vec<&'a Call>>,
    /// The claims that were answered, by task and version.
    claims: BTreeMap<(String, i64), &'a Call>,
}

impl<'a> Case<'a> {
    fn new(history: &'a History, timelines: HashMap<&'a str, Timeline>) -> Self {
        let mut case = Case {
            history,
            clock: Clock::default(),
            specs: history.specs().map(|spec| (spec.id.as_str(), spec)).collect(),
            parents: history.specs().filter_map(|spec| spec.parent.as_deref()).collect(),
            timelines,
            absent: Timeline::default(),
            about: HashMap::new(),
            claims: BTreeMap::new(),
        };
        for call in &history.calls {
            let added = match &call.op {
                Op::Enqueue { tasks } => tasks.iter().map(|spec| spec.id.clone()).collect(),
                _ => vec![],
            };
            for task in added.into_iter().chain(call.task()) {
                case.about.entry(task).or_default().push(call);
            }
            if let Some((_, Answer::Claimed(taken))) = call.answered() {
                case.claims.extend(taken.iter().map(|taken| ((taken.0.clone(), taken.1), call)));
            }
        }
        case.clock = Clock::new(case.known(), case.begun());
        case
    }

    pub(super) fn timeline(&self, task: &str) -> &Timeline {
        self.timelines.get(task).unwrap_or(&self.absent)
    }

    pub(super) fn has_children(&self, task: &str) -> bool {
        self.parents.contains(task)
    }

    pub(super) fn about(&self, task: &str) -> &[&'a Call] {
        self.about.get(task).map_or(&[], Vec::as_slice)
    }

    pub(super) fn claim(&self, task: &str, version: i64) -> Option<&'a Call> {
        self.claims.get(&(task.to_owned(), version)).copied()
    }

    /// How long the log was at least, as an answer proves.
    fn known(&self) -> Vec<(Nanos, i64)> {
        let proves = |call: &Call, answer: &Answer| match answer {
            Answer::Enqueued(all) => all.iter().filter_map(|(id, _)| self.timeline(id).enqueued()).max(),
            Answer::Claimed(all) => all.iter().filter_map(|t| self.timeline(&t.0).claimed(t.1)).max(),
            Answer::Finished { .. } => {
                call.lease().and_then(|(task, version)| Some(self.timeline(&task).ended(version)?.0))
            }
            Answer::Read(events) => events.last().map(|event| event.seq),
            Answer::LastSeq(seq) => Some(*seq),
            _ => None,
        };
        let answered = |call: &Call| {
            let (at, answer) = call.answered()?;
            Some((at, proves(call, answer)?))
        };
        self.history.calls.iter().filter_map(answered).collect()
    }

    /// When an event was begun, where only one kind of call can have caused it.
    fn begun(&self) -> Vec<(Nanos, i64)> {
        let mut begun = BTreeMap::<i64, Nanos>::new();
        let mut note = |seq: Option<i64>, at: Nanos| {
            if let Some(seq) = seq {
                begun.entry(seq).and_modify(|first| *first = at.min(*first)).or_insert(at);
            }
        };
        for call in self.history.calls.iter().filter(|call| call.may_have_happened()) {
            match (&call.op, call.answered()) {
                (Op::Enqueue { tasks }, _) => {
                    tasks.iter().for_each(|spec| note(self.timeline(&spec.id).enqueued(), call.called));
                }
                (Op::Claim { .. }, Some((_, Answer::Claimed(taken)))) => {
                    taken.iter().for_each(|t| note(self.timeline(&t.0).claimed(t.1), call.called));
                }
                (Op::Complete { .. }, _) => {
                    let end =
                        call.lease().and_then(|(task, version)| self.timeline(&task).ended(version).cloned());
                    let end =
                        end.filter(|(_, topic)| matches!(topic.as_str(), "task.completed" | "task.waiting"));
                    note(end.map(|(seq, _)| seq), call.called);
                }
                _ => {}
            }
        }
        begun.into_iter().map(|(seq, at)| (at, seq)).collect()
    }

    /// Which beginnings of the log may be behind an answer, or may have been, where there was none.
    pub(super) fn window(&self, call: &Call) -> RangeInclusive<i64> {
        match &call.outcome {
            Outcome::Answered(at, _) => self.clock.between(call.called, *at),
            _ => self.clock.at_least(call.called)..=i64::MAX,
        }
    }

    /// Whether a call can have caused the event of this number.
    pub(super) fn can_cause(&self, call: &Call, seq: i64) -> bool {
        let window = self.window(call);
        call.may_have_happened() && seq > *window.start() && seq <= *window.end()
    }

    /// Until when a lease lasted at least, as far as was known at a moment.
    pub(super) fn lasted(&self, task: &str, version: i64, then: Nanos) -> Option<Nanos> {
        let claim = self.claim(task, version)?;
        let extended = self.extensions(task, version).filter_map(|(call, ttl)| {
            let (at, answer) = call.answered()?;
            (at <= then && matches!(answer, Answer::Extended(_))).then_some(call.called + ttl)
        });
        extended.chain([claim.called + lease_of(claim)]).max()
    }

    /// Until when it lasted at most, as far as other calls than this one go; `None` where nobody can say.
    pub(super) fn lasts(&self, task: &str, version: i64, this: &Call) -> Option<Nanos> {
        let claim = self.claim(task, version)?;
        let mut latest = claim.answered()?.0 + lease_of(claim);
        let until = this.answered().map_or(Nanos::MAX, |(at, _)| at);
        let others = self.extensions(task, version).filter(|(call, _)| {
            call.may_have_happened() && call.called < until && !std::ptr::eq(*call, this)
        });
        for (call, ttl) in others {
            latest = latest.max(call.answered()?.0 + ttl);
        }
        Some(latest)
    }

    fn extensions(&self, task: &str, version: i64) -> impl Iterator<Item = (&'a Call, Nanos)> {
        self.about(task).iter().filter_map(move |call| match call.op {
            Op::Extend { ttl, .. } if call.lease().is_some_and(|lease| lease.1 == version) => {
                Some((*call, nanos(ttl)))
            }
            _ => None,
        })
    }

    /// Whether a state that fits was there at some time within the window.
    pub(super) fn was(
        &self,
        task: &str,
        window: &RangeInclusive<i64>,
        fits: impl Fn(&State) -> bool,
    ) -> bool {
        self.timeline(task).within(window).any(fits)
    }
}

fn lease_of(claim: &Call) -> Nanos {
    match claim.op {
        Op::Claim { lease, .. } => nanos(lease),
        _ => 0,
    }
}

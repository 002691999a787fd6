//! A model of the role lease, searched to its end: two processes that want one role, and a store. Requests and answers are
//! delayed and lost, writes arrive late, processes pause at any point, and while a lease lasts their stopwatches run slow
//! by as much as the margin allows. What the store decides is the real rule.
//!
//! At no time do two of them trust that they hold the role, and nothing is stored under a term that is over. The same
//! search finds both where the margin or the fence is left out, so it would see them.
//!
//! Times are counted from now, and terms by their order, so that the worlds are finite and time has no end.

use super::{
    failovers::Trigger,
    roles::{Role, RoleChange, RoleWish, Term, check_term},
};
use crate::clock::Micros;
use std::{
    collections::{HashSet, VecDeque},
    time::Duration,
};

/// One step of the clocks, and what a lease and its margin are in such steps.
const STEP: Micros = 1_000;
const TTL: i64 = 3;
const MARGIN: i64 = 1;

const NAMES: [&str; 2] = ["kublai", "ogedei"];

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Wish {
    Acquire,
    Renew,
    HandBack,
}

/// A request of so long ago, by the stopwatch of who asks, and then its answer: the term that it was given, if it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Post {
    wish: Wish,
    /// That it is about.
    term: i64,
    age: i64,
    slow: i64,
    answer: Option<Option<i64>>,
}

/// A term that a process was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Held {
    term: i64,
    /// For how long it is trusted yet, by its stopwatch.
    left: i64,
    /// How far the stopwatch has fallen behind since it was asked for.
    slow: i64,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
struct Process {
    held: Option<Held>,
    post: Option<Post>,
    /// What it wrote while it trusted its term, on its way.
    write: Option<i64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
struct World {
    term: i64,
    holder: Option<usize>,
    /// For how long it has the role yet.
    left: i64,
    processes: [Process; 2],
}

/// What is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Rules {
    fence: bool,
    margin: i64,
}

const REAL: Rules = Rules { fence: true, margin: MARGIN };

impl Process {
    fn is_trusting(&self) -> bool {
        self.held.is_some_and(|held| held.left > 0)
    }

    /// A step of time passes, of which its stopwatch takes no notice where it is slow.
    fn pass(&mut self, slow: bool) {
        let (step, more) = if slow { (0, 1) } else { (1, 0) };
        if let Some(held) = &mut self.held {
            (held.left, held.slow) = ((held.left - step).max(0), held.slow + more);
        }
        if let Some(post) = &mut self.post {
            (post.age, post.slow) = ((post.age + step).min(TTL), post.slow + more);
        }
    }

    fn may_be_slow(&self) -> bool {
        self.held.is_none_or(|held| held.slow < MARGIN) && self.post.is_none_or(|post| post.slow < MARGIN)
    }

    fn terms(&mut self) -> impl Iterator<Item = &mut i64> {
        let post = self.post.iter_mut().flat_map(|post| {
            [Some(&mut post.term), post.answer.as_mut().and_then(Option::as_mut)].into_iter().flatten()
        });
        self.held.iter_mut().map(|held| &mut held.term).chain(post).chain(&mut self.write)
    }
}

impl World {
    fn role(&self) -> Role {
        Role {
            role: "router".into(),
            term: self.term,
            holder: self.holder.map(|at| NAMES[at].into()),
            instance: self.holder.map(|at| NAMES[at].into()),
            expires_at: self.left * STEP,
            ..Role::default()
        }
    }

    /// The store gets to a request.
    fn decide(&mut self, at: usize, post: Post) -> Option<i64> {
        let ttl = Duration::from_micros((TTL * STEP).unsigned_abs());
        let term = post.term;
        let wish = match post.wish {
            Wish::Acquire => RoleWish::Acquire {
                instance: NAMES[at].into(),
                ttl,
                failover: Some(Trigger::Auto),
                reason: None,
            },
            Wish::Renew => RoleWish::Renew { term, ttl },
            Wish::HandBack => RoleWish::HandBack { term: Some(term), to: None, promise: ttl, reason: None },
        };
        let change = RoleChange { role: "router".into(), agent: NAMES[at].into(), wish };
        let step = change.decide(&self.role(), &[], 0).ok()?;
        self.term = step.role.term;
        self.holder = step.role.holder.map(|holder| usize::from(holder == NAMES[1]));
        self.left = step.role.expires_at / STEP;
        (post.wish != Wish::HandBack).then_some(self.term)
    }

    /// Terms by their order. Nobody has ever held the role under 0.
    fn counted(mut self) -> World {
        let mut terms: Vec<i64> = vec![0, self.term];
        for process in &mut self.processes {
            terms.extend(process.terms().map(|term| *term));
        }
        terms.sort_unstable();
        terms.dedup();
        let place = |term: i64| terms.binary_search(&term).map_or(0, |place| place as i64);
        self.term = place(self.term);
        for process in &mut self.processes {
            process.terms().for_each(|term| *term = place(*term));
        }
        self
    }

    /// Every world that may follow; an error where something happened that must not.
    fn next(&self, rules: Rules) -> Result<Vec<World>, String> {
        let mut all = vec![];
        for slow in [[false, false], [true, false], [false, true], [true, true]] {
            let mut world = World { left: (self.left - 1).max(0), ..self.clone() };
            if world.processes.iter().zip(slow).all(|(process, slow)| !slow || process.may_be_slow()) {
                world.processes.iter_mut().zip(slow).for_each(|(process, slow)| process.pass(slow));
                all.push(world);
            }
        }
        for (at, process) in self.processes.iter().enumerate() {
            let mut then = |change: &dyn Fn(&mut Process)| {
                let mut world = self.clone();
                change(&mut world.processes[at]);
                all.push(world);
            };
            let request = |wish, term| Some(Post { wish, term, age: 0, slow: 0, answer: None });
            match (process.post, process.held) {
                (None, None) => then(&|process| process.post = request(Wish::Acquire, 0)),
                (None, Some(Held { term, .. })) => {
                    then(&|process| process.post = request(Wish::Renew, term));
                    // Whoever lets go trusts it no longer, and so does who has lost it.
                    then(&|process| (process.held, process.post) = (None, request(Wish::HandBack, term)));
                    then(&|process| process.held = None);
                }
                // It is lost.
                (Some(_), _) => then(&|process| process.post = None),
            }
            if let Some(Post { answer: Some(term), age, slow, .. }) = process.post {
                let left = (TTL - rules.margin - age).max(0);
                then(&|process| {
                    process.post = None;
                    process.held = term.map(|term| Held { term, left, slow });
                });
            }
            if let Some(held) = process.held.filter(|held| held.left > 0)
                && process.write.is_none()
            {
                then(&|process| process.write = Some(held.term));
            }
            if let Some(post) = process.post.filter(|post| post.answer.is_none()) {
                let mut world = self.clone();
                let answer = Some(world.decide(at, post));
                world.processes[at].post = Some(Post { answer, ..post });
                all.push(world);
            }
            if let Some(term) = process.write {
                let under = Term { role: "router".into(), number: term };
                let passes = !rules.fence || check_term(&under, Some(&self.role()), 0).is_ok();
                if passes && (term, self.holder) != (self.term, Some(at)) {
                    return Err(format!("stored under term {term} in {self:?}"));
                }
                let mut world = self.clone();
                world.processes[at].write = None;
                all.push(world);
            }
        }
        Ok(all)
    }
}

/// How many worlds there are, or the first in which something is wrong.
fn search(rules: Rules) -> Result<usize, String> {
    let (mut seen, mut open) = (HashSet::from([World::default()]), VecDeque::from([World::default()]));
    while let Some(world) = open.pop_front() {
        let trusting: Vec<&Process> =
            world.processes.iter().filter(|process| process.is_trusting()).collect();
        if trusting.len() > 1 {
            return Err(format!("two trust their terms in {world:?}"));
        }
        if trusting.iter().any(|process| process.held.is_some_and(|held| held.term != world.term)) {
            return Err(format!("a term that is over is trusted in {world:?}"));
        }
        for next in world.next(rules)?.into_iter().map(World::counted) {
            if seen.insert(next.clone()) {
                open.push_back(next);
            }
        }
    }
    Ok(seen.len())
}

#[test]
fn at_no_time_are_there_two_valid_terms() {
    let worlds = search(REAL).unwrap();
    assert!(worlds > 10_000, "only {worlds} worlds");
}

#[test]
fn without_the_fence_something_is_stored_under_an_old_term() {
    let found = search(Rules { fence: false, ..REAL }).unwrap_err();
    assert!(found.starts_with("stored under term"), "{found}");
}

#[test]
fn without_the_margin_a_slow_stopwatch_trusts_too_long() {
    let found = search(Rules { margin: 0, ..REAL }).unwrap_err();
    assert!(found.contains("trust"), "{found}");
}

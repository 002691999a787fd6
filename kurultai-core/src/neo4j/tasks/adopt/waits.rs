//! Who waits for whom, without what would wait for ever. Pure.

use std::collections::{HashMap, HashSet};

/// In this order, where two edges join the same tasks: the strictest stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Kind {
    Blocks,
    FeedsInto,
    ParallelOk,
    /// The waiter is the parent.
    Child,
}

impl Kind {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Kind::Blocks => "blocks",
            Kind::FeedsInto => "feeds_into",
            Kind::ParallelOk => "parallel_ok",
            Kind::Child => "child",
        }
    }

    /// Whether the waiter stops until the other is done.
    pub(super) fn gates(self) -> bool {
        matches!(self, Kind::Blocks | Kind::Child)
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wait {
    pub(super) waiter: usize,
    pub(super) on: usize,
    pub(super) kind: Kind,
    /// The edge that says so; a list or a property does where there is none.
    pub(super) edge: Option<String>,
    /// Its kind as it stands on the edge.
    pub(super) word: Option<String>,
    /// Between two tasks that are ours already: it stays.
    pub(super) fixed: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Keep,
    /// Another one of the list says the same.
    Said,
    Itself,
    Double,
    Circle,
}

/// The waits must come in the order in which they are to be believed: of a circle the last one goes.
pub(super) fn sort_out(waits: &[Wait]) -> Vec<Verdict> {
    let mut pairs: HashMap<(usize, usize, bool), usize> = HashMap::new();
    let mut verdicts: Vec<Verdict> = waits
        .iter()
        .enumerate()
        .map(|(index, wait)| {
            if wait.waiter == wait.on {
                return Verdict::Itself;
            }
            let first = *pairs.entry((wait.waiter, wait.on, wait.kind == Kind::Child)).or_insert(index);
            match (first == index, &wait.edge) {
                (true, _) => Verdict::Keep,
                (false, None) => Verdict::Said,
                (false, Some(_)) => Verdict::Double,
            }
        })
        .collect();
    let gating = |(index, wait): &(usize, &Wait)| wait.kind.gates() && verdicts[*index] == Verdict::Keep;
    let open = knots(waits.iter().enumerate().filter(gating).collect());
    let mut ways: HashMap<usize, Vec<usize>> = HashMap::new();
    for (index, wait) in open {
        if !wait.fixed && leads(&ways, wait.on, wait.waiter) {
            verdicts[index] = Verdict::Circle;
        } else {
            ways.entry(wait.waiter).or_default().push(wait.on);
        }
    }
    verdicts
}

/// The waits that may be part of a circle: whoever waits for nobody, or is awaited by nobody, is in none.
fn knots(waits: Vec<(usize, &Wait)>) -> Vec<(usize, &Wait)> {
    let waits = without_ends(waits, |wait| (wait.waiter, wait.on));
    without_ends(waits, |wait| (wait.on, wait.waiter))
}

/// Without the ways that come to an end.
fn without_ends(mut waits: Vec<(usize, &Wait)>, way: fn(&Wait) -> (usize, usize)) -> Vec<(usize, &Wait)> {
    let (mut left, mut before): (HashMap<usize, usize>, HashMap<usize, Vec<usize>>) = Default::default();
    for (from, to) in waits.iter().map(|(_, wait)| way(wait)) {
        *left.entry(from).or_default() += 1;
        before.entry(to).or_default().push(from);
    }
    let mut ended: HashSet<usize> = before.keys().copied().filter(|to| !left.contains_key(to)).collect();
    let mut next: Vec<usize> = ended.iter().copied().collect();
    while let Some(at) = next.pop() {
        for from in before.remove(&at).into_iter().flatten() {
            let ways = left.entry(from).or_default();
            *ways -= 1;
            if *ways == 0 && ended.insert(from) {
                next.push(from);
            }
        }
    }
    waits.retain(|(_, wait)| !ended.contains(&wait.waiter) && !ended.contains(&wait.on));
    waits
}

fn leads(ways: &HashMap<usize, Vec<usize>>, from: usize, to: usize) -> bool {
    let (mut seen, mut next) = (HashSet::from([from]), vec![from]);
    while let Some(at) = next.pop() {
        if at == to {
            return true;
        }
        next.extend(ways.get(&at).into_iter().flatten().copied().filter(|on| seen.insert(*on)));
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait(waiter: usize, on: usize) -> Wait {
        Wait { waiter, on, kind: Kind::Blocks, edge: Some(String::new()), word: None, fixed: false }
    }

    #[test]
    fn what_waits_for_ever_goes() {
        use Verdict::*;
        let said = Wait { edge: None, ..wait(0, 1) };
        let feeds = Wait { kind: Kind::FeedsInto, ..wait(1, 0) };
        let child = Wait { kind: Kind::Child, ..wait(2, 0) };
        let waits = [
            (wait(0, 1), Keep),
            (wait(0, 1), Double),
            (said, Said),
            (wait(1, 1), Itself),
            (feeds, Keep),
            (wait(1, 2), Keep),
            (child, Circle),
            (wait(2, 3), Keep),
        ];
        let (waits, expected): (Vec<Wait>, Vec<Verdict>) = waits.into_iter().unzip();
        assert_eq!(sort_out(&waits), expected);
    }

    #[test]
    fn an_edge_of_ours_stays_where_it_closes_a_circle() {
        let waits = [Wait { fixed: true, ..wait(0, 1) }, wait(1, 2), wait(2, 0)];
        assert_eq!(sort_out(&waits), [Verdict::Keep, Verdict::Keep, Verdict::Circle]);
    }

    #[test]
    fn a_long_chain_and_a_long_circle_take_no_time() {
        let chain: Vec<Wait> = (0..20_000).map(|at| wait(at, at + 1)).collect();
        assert!(sort_out(&chain).iter().all(|verdict| *verdict == Verdict::Keep));
        let circle: Vec<Wait> = (0..2_000).map(|at| wait(at, (at + 1) % 2_000)).collect();
        let verdicts = sort_out(&circle);
        assert_eq!(verdicts.iter().filter(|verdict| **verdict == Verdict::Circle).count(), 1);
        assert_eq!(verdicts.last(), Some(&Verdict::Circle));
    }
}

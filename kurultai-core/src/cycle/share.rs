//! Who gets which unassigned task. Pure.

use crate::clock::Micros;

/// Who could be given something.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Candidate {
    pub(super) id: String,
    pub(super) capabilities: Vec<String>,
    /// What it holds, and what waits for it alone.
    pub(super) load: u64,
    /// How much it may hold at once; who says nothing counts as 1.
    pub(super) most: Option<u32>,
    /// When the oldest claim that it holds was made.
    pub(super) oldest_claim: Option<Micros>,
    /// It routes: what others can do is theirs.
    pub(super) routes: bool,
}

impl Candidate {
    fn can(&self, required: &[String]) -> bool {
        required.iter().all(|capability| self.capabilities.contains(capability))
    }

    /// Whether it is less laden than the other: load by what it may hold, compared without a division.
    fn lighter(&self, other: &Candidate) -> std::cmp::Ordering {
        let most = |candidate: &Candidate| u64::from(candidate.most.unwrap_or(1).max(1));
        (self.load * most(other)).cmp(&(other.load * most(self)))
    }
}

/// Who is the one for a task, by its place among the candidates: of those that can do it the least laden, then whose
/// oldest claim is the oldest, then the first by its id. It has one task more from then on. `None` where nobody can.
pub(super) fn give(candidates: &mut [Candidate], required: &[String], refused: &[String]) -> Option<usize> {
    let able = candidates
        .iter()
        .enumerate()
        .filter(|(_, candidate)| candidate.can(required) && !refused.contains(&candidate.id));
    let best = able.min_by(|(_, a), (_, b)| {
        let waited = |candidate: &Candidate| candidate.oldest_claim.unwrap_or(Micros::MAX);
        a.routes
            .cmp(&b.routes)
            .then_with(|| a.lighter(b))
            .then_with(|| waited(a).cmp(&waited(b)))
            .then_with(|| a.id.cmp(&b.id))
    });
    let (index, _) = best?;
    candidates[index].load += 1;
    Some(index)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agent(id: &str, capabilities: &[&str], load: u64, most: Option<u32>) -> Candidate {
        let capabilities = capabilities.iter().map(|word| (*word).to_owned()).collect();
        Candidate { id: id.to_owned(), capabilities, load, most, ..Candidate::default() }
    }

    fn given(candidates: &mut [Candidate], required: &[&str], refused: &[&str]) -> Option<String> {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let index = give(candidates, &words(required), &words(refused))?;
        Some(candidates[index].id.clone())
    }

    #[test]
    fn who_can_do_all_of_it_gets_it() {
        let mut team =
            [agent("jochi", &["testing"], 0, None), agent("temujin", &["coding", "testing"], 9, None)];
        assert_eq!(given(&mut team, &["coding", "testing"], &[]).as_deref(), Some("temujin"));
        assert_eq!(given(&mut team, &["testing"], &[]).as_deref(), Some("jochi"));
        assert_eq!(given(&mut team, &["testing"], &["jochi"]).as_deref(), Some("temujin"));
        assert_eq!(given(&mut team, &["cooking"], &[]), None);
        assert_eq!(given(&mut [], &[], &[]), None);
    }

    #[test]
    fn the_least_laden_by_what_it_may_hold_comes_first() {
        let mut team = [agent("a", &[], 1, Some(2)), agent("b", &[], 3, Some(8)), agent("c", &[], 1, None)];
        let mut order = vec![];
        for _ in 0..6 {
            order.extend(given(&mut team, &[], &[]));
        }
        // 3/8, 4/8 as 1/2: the first by id, 2/2 behind 4/8, 5/8, 6/8, 7/8.
        assert_eq!(order, ["b", "a", "b", "b", "b", "b"]);
    }

    #[test]
    fn among_equals_the_oldest_claim_then_the_id_decides() {
        let claimed = |id: &str, at| Candidate { oldest_claim: at, ..agent(id, &[], 1, Some(4)) };
        let mut team = [claimed("a", None), claimed("b", Some(9)), claimed("c", Some(7))];
        assert_eq!(given(&mut team, &[], &[]).as_deref(), Some("c"));
        assert_eq!(given(&mut team, &[], &[]).as_deref(), Some("b"));
        assert_eq!(given(&mut team, &[], &[]).as_deref(), Some("a"));
    }

    #[test]
    fn the_router_keeps_nothing_that_others_can_do() {
        let mut team = [Candidate { routes: true, ..agent("a", &["x"], 0, None) }, agent("b", &[], 50, None)];
        assert_eq!(given(&mut team, &[], &[]).as_deref(), Some("b"));
        assert_eq!(given(&mut team, &["x"], &[]).as_deref(), Some("a"));
    }
}

//! Which of a role's candidates is to hold it, by what one watch has seen. Pure.

use super::{failovers::Trigger, roles::Role};
use crate::clock::Micros;

/// After so many checks at which the role was free anybody takes it: who comes first does not, though it lives.
const PATIENCE: u32 = 3;
/// So many signs of life the first must give before the role goes back to it.
const SIGNS: i64 = 3;

/// What a watch does about a role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Move {
    Stay,
    Take {
        /// `None` where it is the agent to whom the role belongs.
        failover: Option<Trigger>,
        reason: String,
    },
    /// To the first.
    HandBack,
}

/// A role, and who may hold it.
#[derive(Debug)]
pub(super) struct Succession {
    pub(super) role: String,
    /// The first is whom it belongs to.
    pub(super) candidates: Vec<String>,
    /// At how many checks in a row nobody held it.
    free_for: u32,
    /// The first's sequence when it was seen alive, after it had not been or the role was taken here.
    alive_since: Option<i64>,
    /// It was handed back to the first, which has been alive since.
    offered: bool,
}

impl Succession {
    pub(super) fn new(role: String, candidates: Vec<String>) -> Self {
        Succession { role, candidates, free_for: 0, alive_since: None, offered: false }
    }

    /// After one look. `alive` tells the sequence of an agent that lives and takes work; `held` whether this process
    /// holds the role.
    pub(super) fn look(
        &mut self,
        me: &str,
        role: Option<&Role>,
        now: Micros,
        held: bool,
        alive: impl Fn(&str) -> Option<i64>,
    ) -> Move {
        let first = self.candidates.first().map_or("", String::as_str);
        self.alive_since = alive(first).map(|sequence| self.alive_since.unwrap_or(sequence));
        // It took what it was offered, and may have died since more quickly than anybody is found dead.
        let has_taken = role.and_then(|role| role.holder.as_deref()) == Some(first);
        self.offered &= self.alive_since.is_some() && !has_taken;
        if held {
            self.free_for = 0;
            let signs = alive(first).zip(self.alive_since).map_or(0, |(sequence, since)| sequence - since);
            if first == me || self.offered || signs < SIGNS {
                return Move::Stay;
            }
            self.offered = true;
            return Move::HandBack;
        }
        if !self.candidates.iter().any(|candidate| candidate == me) {
            return Move::Stay;
        }
        if role.is_some_and(|role| !role.is_free_for(me, now)) {
            self.free_for = 0;
            return Move::Stay;
        }
        self.free_for += 1;
        // Whose lease or promise is over does not lead, however alive it seems.
        let lapsed = role.and_then(|role| role.holder.as_deref()).unwrap_or_default();
        let declined = role.filter(|role| role.holder.is_none()).and_then(|role| role.promised_to.as_deref());
        let declined = declined.filter(|agent| *agent != me).unwrap_or_default();
        let before = self.candidates.iter().take_while(|candidate| *candidate != me);
        let is_next = !before
            .clone()
            .any(|candidate| *candidate != lapsed && *candidate != declined && alive(candidate).is_some());
        let promised = role.is_some_and(|role| role.promised_to.as_deref() == Some(me));
        if !(is_next || promised || self.free_for > PATIENCE) {
            return Move::Stay;
        }
        let gone: Vec<&str> = before.map(String::as_str).collect();
        let reason = match (lapsed, gone.is_empty()) {
            (holder, _) if holder != me && !holder.is_empty() => format!("the lease of {holder} is over"),
            (_, true) => format!("{me} comes first"),
            (_, false) if !declined.is_empty() => format!("{declined} did not take it"),
            (_, false) if is_next => format!("{} cannot", gone.join(", ")),
            (_, false) => format!("{} did not take it", gone.join(", ")),
        };
        let failover = (first != me).then_some(Trigger::Auto);
        // Its signs count from here.
        self.alive_since = None;
        Move::Take { failover, reason }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn router() -> Succession {
        Succession::new("router".into(), vec!["kublai".into(), "ogedei".into(), "mongke".into()])
    }

    fn free() -> Role {
        Role { role: "router".into(), term: 1, ..Role::default() }
    }

    fn held_by(agent: &str) -> Role {
        Role { holder: Some(agent.into()), instance: Some("1".into()), expires_at: 100, ..free() }
    }

    fn takes(step: &Move) -> bool {
        matches!(step, Move::Take { .. })
    }

    #[test]
    fn the_first_that_lives_takes_it() {
        let all = |_: &str| Some(1);
        let without_kublai = |agent: &str| (agent != "kublai").then_some(1);
        assert!(takes(&router().look("kublai", None, 0, false, all)));
        assert_eq!(router().look("ogedei", None, 0, false, all), Move::Stay);
        let took = router().look("ogedei", Some(&free()), 0, false, without_kublai);
        let reason = "kublai cannot".to_owned();
        assert_eq!(took, Move::Take { failover: Some(Trigger::Auto), reason });
        assert_eq!(router().look("mongke", Some(&free()), 0, false, without_kublai), Move::Stay);
        assert_eq!(router().look("jochi", None, 0, false, all), Move::Stay, "it is no candidate");
        let home = router().look("kublai", Some(&free()), 0, false, all);
        assert_eq!(home, Move::Take { failover: None, reason: "kublai comes first".into() });
    }

    #[test]
    fn nobody_takes_what_is_held_until_its_lease_is_over() {
        let without_kublai = |agent: &str| (agent != "kublai").then_some(1);
        assert_eq!(router().look("ogedei", Some(&held_by("kublai")), 99, false, without_kublai), Move::Stay);
        let took = router().look("ogedei", Some(&held_by("kublai")), 100, false, without_kublai);
        let reason = "the lease of kublai is over".to_owned();
        assert_eq!(took, Move::Take { failover: Some(Trigger::Auto), reason });
    }

    #[test]
    fn a_role_that_the_first_does_not_take_is_not_left_alone() {
        let (all, mut ogedei) = (|_: &str| Some(1), router());
        for _ in 0..PATIENCE {
            assert_eq!(ogedei.look("ogedei", Some(&free()), 0, false, all), Move::Stay);
        }
        assert!(takes(&ogedei.look("ogedei", Some(&free()), 0, false, all)));
    }

    #[test]
    fn the_first_is_offered_it_again_once_it_has_held_it() {
        let (mut ogedei, mut signs) = (router(), 0);
        let mut look = |role: &Role, now, held| {
            signs += 1;
            ogedei.look("ogedei", Some(role), now, held, |_| Some(signs))
        };
        for _ in 0..2 {
            let back: Vec<Move> = (0..4).map(|_| look(&held_by("ogedei"), 0, true)).collect();
            assert_eq!(back[3], Move::HandBack, "{back:?}");
            assert_eq!(look(&held_by("kublai"), 99, false), Move::Stay);
            // It was killed, and comes back before it is found dead.
            assert!(takes(&look(&held_by("kublai"), 100, false)));
        }
    }

    #[test]
    fn who_did_not_take_what_was_promised_is_waited_for_no_longer() {
        let (all, mut ogedei) = (|_: &str| Some(1), router());
        let promised = Role { promised_to: Some("kublai".into()), expires_at: 100, ..free() };
        assert_eq!(ogedei.look("ogedei", Some(&promised), 99, false, all), Move::Stay);
        let reason = "kublai did not take it".to_owned();
        let took = ogedei.look("ogedei", Some(&promised), 100, false, all);
        assert_eq!(took, Move::Take { failover: Some(Trigger::Auto), reason });
        assert_eq!(router().look("mongke", Some(&promised), 100, false, all), Move::Stay, "ogedei is next");
    }

    #[test]
    fn the_first_gets_it_back_after_three_signs_and_is_offered_it_once() {
        let (mut ogedei, held) = (router(), held_by("ogedei"));
        let mut look = |kublai: Option<i64>| {
            ogedei.look(
                "ogedei",
                Some(&held),
                0,
                true,
                |agent| if agent == "kublai" { kublai } else { Some(1) },
            )
        };
        for (sequence, step) in [
            (None, Move::Stay),
            (Some(7), Move::Stay),
            (Some(9), Move::Stay),
            // It was away in between.
            (None, Move::Stay),
            (Some(10), Move::Stay),
            (Some(12), Move::Stay),
            (Some(13), Move::HandBack),
            (Some(20), Move::Stay),
            (None, Move::Stay),
            (Some(21), Move::Stay),
            (Some(24), Move::HandBack),
        ] {
            assert_eq!(look(sequence), step, "{sequence:?}");
        }
    }
}

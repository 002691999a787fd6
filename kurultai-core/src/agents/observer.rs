//! Who may be called dead, by what one observer has seen. Pure: its stopwatch is a number that it is given.
//!
//! The store's clock alone says nothing: it may have been set, its machine may have slept, the store may have been out of
//! reach for everybody. So a silence counts only where this observer has looked at it all the time, by its own stopwatch.

use super::{
    health::{AgentHealth, Thresholds, health},
    signs::{Says, Sign, Signs, Verdict},
};
use crate::clock::{Micros, micros};
use std::{collections::HashMap, time::Duration};

/// So many agents must be there before several that fall silent at once are suspicious.
const CROWD: usize = 3;

#[derive(Debug, Default)]
pub(super) struct Observer {
    seen: HashMap<String, Seen>,
    watched: Option<Watched>,
}

/// When it has looked.
#[derive(Debug, Clone, Copy)]
struct Watched {
    /// Since when without a gap.
    since: Micros,
    last: Micros,
    /// What the store's clock said at the last look.
    now: Micros,
}

/// When the store's clock and the stopwatch run apart by more between two looks, one of them was set.
const DRIFT: Micros = 1_000_000;

/// What it has seen of one agent, by its stopwatch.
#[derive(Debug)]
struct Seen {
    sequence: i64,
    /// When the last sign was given, or when the observer began to look.
    heard_at: Micros,
    /// It was alive in its eyes once.
    lively: bool,
}

/// What an observer makes of a look.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Judgement {
    /// What the store is to confirm.
    pub(super) verdicts: Vec<Verdict>,
    /// Those that have fallen silent at once: more likely the observer is cut off, or the store was.
    pub(super) suspects: Vec<String>,
}

impl Observer {
    /// Takes in what the store has answered at the time `at`. After more than `patience` without an answer no silence
    /// counts that began before.
    pub(super) fn look(&mut self, signs: &Signs, at: Micros, patience: Duration, thresholds: Thresholds) {
        let gapless = self.watched.filter(|watched| at - watched.last <= micros(patience));
        let since = gapless.map_or(at, |watched| watched.since);
        // The earliest time at which something new can have happened, as far as the clock can be trusted to say when.
        let steady = |watched: &Watched| ((signs.now - watched.now) - (at - watched.last)).abs() <= DRIFT;
        let before = gapless.filter(steady).map_or(at, |watched| watched.last);
        self.watched = Some(Watched { since, last: at, now: signs.now });
        let mut seen = HashMap::with_capacity(signs.agents.len());
        for sign in &signs.agents {
            let age = sign.last().map(|last| (signs.now - last).max(0));
            let now = match self.seen.remove(&sign.agent) {
                Some(old) if old.sequence != sign.sequence => {
                    // Between this look and the one before, and no earlier than by the store's clock.
                    let heard_at = age.map_or(at, |age| (at - age).max(before));
                    Seen { sequence: sign.sequence, heard_at, lively: true }
                }
                Some(old) => Seen { heard_at: old.heard_at.max(since), ..old },
                None => {
                    let lively = age.is_some_and(|age| age <= micros(thresholds.dead_after));
                    Seen { sequence: sign.sequence, heard_at: at, lively }
                }
            };
            seen.insert(sign.agent.clone(), now);
        }
        self.seen = seen;
    }

    /// How each agent of that look fares.
    pub(super) fn health(&self, signs: &Signs, thresholds: Thresholds) -> Vec<AgentHealth> {
        let watched = self.watched.map_or(Duration::ZERO, |watched| span(watched.last - watched.since));
        let of = |sign| health(sign, signs.now, thresholds, watched, span(self.unheard(sign)));
        signs.agents.iter().map(of).collect()
    }

    /// Who is to be declared dead or recovered after that look.
    pub(super) fn judge(&self, signs: &Signs, thresholds: Thresholds) -> Judgement {
        let dead_after = micros(thresholds.dead_after);
        // Those that fall silent at once gave their last signs up to an interval apart, which is a third of the threshold
        // at most.
        let at_once = dead_after / 3;
        let silent_for = |sign: &Sign, least: Micros| {
            let old = sign.last().is_some_and(|last| signs.now - last > least);
            old && self.unheard(sign) > least
        };
        let (mut judgement, mut silent) = (Judgement::default(), vec![]);
        let (mut lively, mut quiet) = (0, vec![]);
        for sign in &signs.agents {
            if sign.dead_at.is_some() && !sign.is_dead() {
                judgement.verdicts.push(verdict(sign, Says::Recovered));
            }
            if sign.is_dead() || sign.has_stopped() || !sign.has_started() {
                continue;
            }
            if silent_for(sign, dead_after) {
                silent.push(sign);
            }
            if self.seen.get(&sign.agent).is_some_and(|seen| seen.lively) {
                lively += 1;
                quiet.extend(silent_for(sign, dead_after - at_once).then_some(sign));
            }
        }
        let with = |one: &Sign, other: &Sign| (self.unheard(one) - self.unheard(other)).abs() <= at_once;
        let in_a_crowd = |sign: &Sign| {
            let together = quiet.iter().filter(|other| with(sign, other)).count();
            lively >= CROWD && together * 2 > lively
        };
        let (crowd, alone): (Vec<&Sign>, Vec<&Sign>) = silent.into_iter().partition(|sign| in_a_crowd(sign));
        let is_suspect = |sign: &&Sign| crowd.iter().any(|other| with(sign, other));
        judgement.suspects =
            quiet.iter().copied().filter(is_suspect).map(|sign| sign.agent.clone()).collect();
        let dead = Says::Dead(thresholds.dead_after);
        judgement.verdicts.extend(alone.into_iter().map(|sign| verdict(sign, dead)));
        judgement
    }

    /// For how long this observer has seen no new sign of it, at its last look.
    fn unheard(&self, sign: &Sign) -> Micros {
        let last = self.watched.map_or(0, |watched| watched.last);
        self.seen.get(&sign.agent).map_or(0, |seen| last - seen.heard_at)
    }
}

fn verdict(sign: &Sign, says: Says) -> Verdict {
    Verdict { agent: sign.agent.clone(), sequence: sign.sequence, says }
}

fn span(micros: Micros) -> Duration {
    Duration::from_micros(micros.max(0) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Micros = 1_000_000;
    const EVERY: Micros = 10 * SECOND;
    const PATIENCE: Duration = Duration::from_secs(30);

    /// A team in which everybody beats every 30 s, and one who watches it.
    struct World {
        signs: Signs,
        /// By its stopwatch.
        at: Micros,
        observer: Observer,
        silent: Vec<usize>,
        beats: Vec<Micros>,
    }

    impl World {
        fn of(agents: usize) -> World {
            let now = 1_000_000 * SECOND;
            let agent = |i| Sign { agent: format!("a{i}"), infra: Some(now), sequence: 1, ..Sign::default() };
            World {
                signs: Signs { now, agents: (0..agents).map(agent).collect(), roles: vec![] },
                at: 77,
                observer: Observer::default(),
                silent: vec![],
                // Each at another time.
                beats: (0..agents as i64).map(|i| now + i * 7 * SECOND).collect(),
            }
        }

        fn pass(&mut self, time: Micros) {
            let end = self.signs.now + time;
            for (i, next) in self.beats.iter_mut().enumerate() {
                while *next <= end {
                    if !self.silent.contains(&i) {
                        self.signs.agents[i].infra = Some(*next);
                        self.signs.agents[i].sequence += 1;
                    }
                    *next += 30 * SECOND;
                }
            }
            self.signs.now = end;
            self.at += time;
        }

        fn look(&mut self) -> Judgement {
            self.observer.look(&self.signs, self.at, PATIENCE, Thresholds::default());
            self.observer.judge(&self.signs, Thresholds::default())
        }

        /// Looks for a while and returns who was declared, and when; they are declared from then on.
        fn watch(&mut self, time: Micros) -> Vec<(String, Micros)> {
            let (end, mut dead) = (self.signs.now + time, vec![]);
            while self.signs.now < end {
                self.pass(EVERY);
                for verdict in self.look().verdicts {
                    let now = self.signs.now;
                    let sign = self.signs.agents.iter_mut().find(|sign| sign.agent == verdict.agent).unwrap();
                    assert_eq!(sign.sequence, verdict.sequence);
                    match verdict.says {
                        Says::Dead(_) => {
                            sign.dead_at = Some(now);
                            dead.push((verdict.agent, now));
                        }
                        Says::Recovered => sign.dead_at = None,
                    }
                }
            }
            dead
        }
    }

    #[test]
    fn a_death_is_found_within_the_threshold_and_one_check() {
        for (offset, victim) in (0..10).flat_map(|offset| (0..6).map(move |victim| (offset, victim))) {
            let mut world = World::of(6);
            world.watch(300 * SECOND);
            world.pass(offset * SECOND);
            world.silent.push(victim);
            let killed = world.signs.now;
            let dead = world.watch(200 * SECOND);
            let ids: Vec<&str> = dead.iter().map(|(id, _)| id.as_str()).collect();
            assert_eq!(ids, [format!("a{victim}")]);
            assert!(dead[0].1 - killed <= 120 * SECOND + EVERY, "{} s", (dead[0].1 - killed) / SECOND);
        }
    }

    #[test]
    fn twenty_four_hours_in_steps_of_twenty_minutes_kill_nobody() {
        let mut world = World::of(6);
        for _ in 0..72 {
            world.pass(1_200 * SECOND);
            assert_eq!(world.look(), Judgement::default());
        }
        // Nor where all have been silent meanwhile, as while the store was away.
        world.silent = (0..6).collect();
        for _ in 0..72 {
            world.pass(1_200 * SECOND);
            assert_eq!(world.look(), Judgement::default());
        }
    }

    #[test]
    fn an_observer_that_was_paused_begins_anew() {
        let mut world = World::of(2);
        world.watch(300 * SECOND);
        world.silent.push(0);
        world.pass(300 * SECOND);
        assert_eq!(world.look(), Judgement::default());
        assert_eq!(world.watch(110 * SECOND), []);
        assert_eq!(world.watch(30 * SECOND).len(), 1);
    }

    #[test]
    fn a_clock_that_was_set_kills_nobody() {
        for jump in [3_600, -3_600] {
            let mut world = World::of(6);
            world.watch(300 * SECOND);
            world.signs.now += jump * SECOND;
            world.beats.iter_mut().for_each(|next| *next += jump * SECOND);
            assert_eq!(world.watch(600 * SECOND), [], "{jump}");
        }
    }

    #[test]
    fn not_everybody_dies_at_once() {
        let mut world = World::of(5);
        world.watch(300 * SECOND);
        world.silent = vec![0, 2, 3];
        assert_eq!(world.watch(600 * SECOND), []);
        assert_eq!(world.look().suspects, ["a0", "a2", "a3"]);
        // One comes back: those that are left are no crowd.
        world.silent.retain(|agent| *agent != 2);
        let dead: Vec<String> = world.watch(60 * SECOND).into_iter().map(|(id, _)| id).collect();
        assert_eq!(dead, ["a0", "a3"]);
    }

    #[test]
    fn who_dies_later_than_a_crowd_is_found() {
        let mut world = World::of(5);
        world.watch(300 * SECOND);
        world.silent = vec![0, 1, 2];
        world.watch(100 * SECOND);
        world.silent.push(3);
        let dead: Vec<String> = world.watch(200 * SECOND).into_iter().map(|(id, _)| id).collect();
        assert_eq!(dead, ["a3"]);
        assert_eq!(world.look().suspects, ["a0", "a1", "a2"]);
    }

    #[test]
    fn who_was_registered_and_never_heard_of_hides_nobody_and_is_not_dead() {
        let mut world = World::of(9);
        world.silent = (0..6).collect();
        world.signs.agents[..6].iter_mut().for_each(|sign| sign.sequence = 0);
        world.watch(300 * SECOND);
        world.silent.push(7);
        let dead: Vec<String> = world.watch(300 * SECOND).into_iter().map(|(id, _)| id).collect();
        assert_eq!((dead, world.look().suspects), (vec!["a7".to_owned()], vec![]));
    }

    #[test]
    fn who_holds_a_task_has_not_stopped_whatever_one_of_its_processes_said() {
        let mut world = World::of(3);
        world.watch(300 * SECOND);
        world.silent.push(1);
        world.signs.agents[1].stopped_at = Some(world.signs.now);
        assert_eq!(world.watch(300 * SECOND), []);
        world.signs.agents[1].holds = 1;
        assert_eq!(world.watch(30 * SECOND).len(), 1);
    }

    #[test]
    fn of_two_agents_both_may_die() {
        let mut world = World::of(2);
        world.watch(300 * SECOND);
        world.silent = vec![0, 1];
        assert_eq!(world.watch(200 * SECOND).len(), 2);
    }

    #[test]
    fn who_was_dead_before_the_watch_began_hides_nobody() {
        let mut world = World::of(6);
        world.silent = vec![0, 1, 2, 3];
        world.pass(86_400 * SECOND);
        let dead: Vec<String> = world.watch(200 * SECOND).into_iter().map(|(id, _)| id).collect();
        assert_eq!(dead, ["a0", "a1", "a2", "a3"]);
    }

    #[test]
    fn who_speaks_again_is_recovered_once() {
        let mut world = World::of(3);
        world.watch(300 * SECOND);
        world.silent = vec![1];
        assert_eq!(world.watch(200 * SECOND).len(), 1);
        world.silent.clear();
        world.pass(30 * SECOND);
        let says: Vec<Says> = world.look().verdicts.iter().map(|verdict| verdict.says).collect();
        assert_eq!(says, [Says::Recovered]);
        assert_eq!(world.watch(300 * SECOND), []);
    }

    #[test]
    fn who_said_that_it_stops_is_not_dead() {
        let mut world = World::of(3);
        world.watch(300 * SECOND);
        world.silent = vec![1];
        world.signs.agents[1].stopped_at = Some(world.signs.now);
        assert_eq!(world.watch(600 * SECOND), []);
    }
}

//! What burns, and when people are told of it. Pure: a store reads the rows, lets [`decide`] say what changes, and writes.

use crate::{
    clock::{Micros, micros, time},
    words::words,
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use std::{collections::HashSet, time::Duration};

words! {
    /// How bad it is.
    #[non_exhaustive]
    Severity, "severity" {
        /// Somebody should look at it.
        Warning = "warning",
        /// Somebody should look at it now.
        Critical = "critical",
    }
}

words! {
    /// How an alert stands.
    #[non_exhaustive]
    AlertState, "state" {
        /// It burns.
        Raised = "raised",
        /// It burns no more.
        Cleared = "cleared",
    }
}

/// Something that somebody should look at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alert {
    /// What it is about; at most one alert of a key burns at a time: `agent.dead:kublai`, `queue.depth`.
    pub key: String,
    /// How bad it is.
    pub severity: Severity,
    /// Whether it burns.
    pub state: AlertState,
    /// What people are told.
    pub text: String,
    /// Since when it burns, or burnt.
    pub raised_at: DateTime<Utc>,
    /// When it burnt no more.
    pub cleared_at: Option<DateTime<Utc>>,
}

/// A key that was told of is told of again after so long at the earliest, unless it is worse: what flickers is told once in
/// a while.
pub(crate) const COOL_DOWN: Duration = Duration::from_secs(300);

/// What somebody sees of one thing that may burn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Observation {
    /// Its key: a family, and where it has several, a colon and which.
    pub(crate) key: String,
    /// What people are told.
    pub(crate) text: String,
    /// As what it is raised, if at all.
    pub(crate) severity: Option<Severity>,
    /// As what it stays raised at most where it is: what is in between neither raises nor clears.
    pub(crate) keeps: Option<Severity>,
    /// Told again where the text has changed, after the cool-down.
    pub(crate) retold: bool,
}

impl Observation {
    pub(crate) fn new(key: impl Into<String>, severity: Severity, text: impl Into<String>) -> Self {
        let (key, text) = (key.into(), text.into());
        Observation { key, text, severity: Some(severity), keeps: Some(severity), retold: false }
    }

    /// Burns as this from `least` on, and no more below four fifths of it.
    pub(crate) fn level(key: &str, value: u64, steps: &[(u64, Severity)], text: impl Into<String>) -> Self {
        let reached = |value: u64| {
            let reached = steps.iter().filter(|(least, _)| value >= *least);
            reached.map(|(_, severity)| *severity).max()
        };
        let severity = reached(value);
        let keeps = reached(value.saturating_add(value / 4));
        Observation { key: key.to_owned(), text: text.into(), severity, keeps, retold: false }
    }

    /// Told again where its text changes.
    pub(crate) fn retold(self) -> Self {
        Observation { retold: true, ..self }
    }
}

/// What one look has seen.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Observations {
    /// Each thing that may burn.
    pub(crate) each: Vec<Observation>,
    /// The families that it has looked at: what burns there and is not among `each` burns no more.
    pub(crate) families: Vec<&'static str>,
}

/// What a store has of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) key: String,
    pub(crate) severity: Severity,
    pub(crate) text: String,
    pub(crate) raised_at: Micros,
    /// When it was last told that it burns.
    pub(crate) told_at: Micros,
    pub(crate) cleared_at: Option<Micros>,
}

impl Row {
    pub(crate) fn alert(&self) -> Alert {
        let state = if self.cleared_at.is_none() { AlertState::Raised } else { AlertState::Cleared };
        Alert {
            key: self.key.clone(),
            severity: self.severity,
            state,
            text: self.text.clone(),
            raised_at: time(self.raised_at),
            cleared_at: self.cleared_at.map(time),
        }
    }

    /// The event that tells of it.
    pub(crate) fn topic(&self) -> &'static str {
        if self.cleared_at.is_none() { "alert.raised" } else { "alert.cleared" }
    }

    /// What that tells.
    pub(crate) fn told(&self) -> String {
        let Row { key, severity, text, .. } = self;
        serde_json::json!({ "severity": severity, "key": key, "text": text }).to_string()
    }
}

/// What is to be written.
#[derive(Debug, PartialEq, Eq, Default)]
pub(crate) struct Decision {
    /// Each becomes so, and is an event.
    pub(crate) told: Vec<Row>,
    /// Keys of which nobody has to know any more.
    pub(crate) forgotten: Vec<String>,
}

impl Decision {
    pub(crate) fn is_empty(&self) -> bool {
        self.told.is_empty() && self.forgotten.is_empty()
    }
}

/// What changes where this is seen and `known` is there.
pub(crate) fn decide(known: &[Row], seen: &Observations, now: Micros) -> Decision {
    let mut decision = Decision::default();
    for observation in &seen.each {
        let row = known.iter().find(|row| row.key == observation.key);
        decision.told.extend(told(row, observation, now));
    }
    let named: HashSet<&str> = seen.each.iter().map(|one| one.key.as_str()).collect();
    let unnamed = known.iter().filter(|row| !named.contains(row.key.as_str()));
    for row in unnamed {
        let looked_at = seen.families.contains(&family(&row.key));
        match row.cleared_at {
            None if looked_at => decision.told.push(Row { cleared_at: Some(now), ..row.clone() }),
            Some(_) if !is_fresh(row, now) => decision.forgotten.push(row.key.clone()),
            _ => {}
        }
    }
    decision
}

fn told(row: Option<&Row>, seen: &Observation, now: Micros) -> Option<Row> {
    let raised = |severity: Severity, since: Micros| Row {
        key: seen.key.clone(),
        severity,
        text: seen.text.clone(),
        raised_at: since,
        told_at: now,
        cleared_at: None,
    };
    let Some(row) = row else { return Some(raised(seen.severity?, now)) };
    if row.cleared_at.is_some() {
        let severity = seen.severity?;
        let waits = is_fresh(row, now) && severity <= row.severity;
        return (!waits).then(|| raised(severity, now));
    }
    let kept = seen.keeps.map(|keeps| keeps.min(row.severity));
    let Some(severity) = seen.severity.max(kept) else {
        return Some(Row { cleared_at: Some(now), ..row.clone() });
    };
    let differs = severity != row.severity || (seen.retold && seen.text != row.text);
    let tells = severity > row.severity || (differs && !is_fresh(row, now));
    tells.then(|| raised(severity, row.raised_at))
}

/// It was told of a short while ago.
fn is_fresh(row: &Row, now: Micros) -> bool {
    now - row.told_at < micros(COOL_DOWN)
}

/// What stands before the colon.
fn family(key: &str) -> &str {
    key.split_once(':').map_or(key, |(family, _)| family)
}

#[cfg(test)]
mod tests {
    use super::*;
    use Severity::{Critical, Warning};

    const SECOND: Micros = 1_000_000;

    /// Whatever is told is written down, as a store does.
    #[derive(Default)]
    struct World {
        now: Micros,
        rows: Vec<Row>,
    }

    impl World {
        fn sees(&mut self, each: Vec<Observation>) -> Vec<(&'static str, Severity, String)> {
            let seen = Observations { each, families: vec!["queue.depth", "agent.dead"] };
            let Decision { told, forgotten } = decide(&self.rows, &seen, self.now);
            self.rows
                .retain(|row| !forgotten.contains(&row.key) && !told.iter().any(|new| new.key == row.key));
            self.rows.extend(told.clone());
            told.into_iter().map(|row| (row.topic(), row.severity, row.key)).collect()
        }

        fn depth(&mut self, value: u64) -> Vec<(&'static str, Severity, String)> {
            let steps = [(100, Warning), (200, Critical)];
            self.sees(vec![Observation::level("queue.depth", value, &steps, format!("{value} wait"))])
        }

        fn after(&mut self, seconds: i64) -> &mut Self {
            self.now += seconds * SECOND;
            self
        }
    }

    fn raised(severity: Severity) -> Vec<(&'static str, Severity, String)> {
        vec![("alert.raised", severity, "queue.depth".to_owned())]
    }

    fn cleared(severity: Severity) -> Vec<(&'static str, Severity, String)> {
        vec![("alert.cleared", severity, "queue.depth".to_owned())]
    }

    #[test]
    fn what_is_between_the_thresholds_neither_raises_nor_clears() {
        let mut world = World::default();
        assert!(world.depth(99).is_empty());
        assert_eq!(world.depth(100), raised(Warning));
        assert!(world.depth(100).is_empty(), "once");
        assert!(world.depth(80).is_empty());
        assert_eq!(world.depth(79), cleared(Warning));
        assert!(world.depth(80).is_empty());
        assert_eq!(world.after(300).depth(200), raised(Critical));
        assert!(world.after(300).depth(160).is_empty());
        assert_eq!(world.depth(159), raised(Warning), "it burns less");
        assert!(world.after(300).depth(80).is_empty());
    }

    #[test]
    fn what_flickers_is_told_once_in_a_while() {
        let mut world = World::default();
        assert_eq!(world.depth(100), raised(Warning));
        assert_eq!(world.after(10).depth(0), cleared(Warning));
        assert!(world.after(10).depth(100).is_empty());
        assert!(world.after(279).depth(100).is_empty(), "299 s after it was told");
        assert_eq!(world.after(1).depth(100), raised(Warning));
        assert_eq!(world.depth(0), cleared(Warning));
        assert_eq!(world.depth(200), raised(Critical), "worse than before");
        assert!(world.after(299).depth(100).is_empty(), "that it burns less can wait");
        assert_eq!(world.after(1).depth(100), raised(Warning));
    }

    #[test]
    fn what_is_not_seen_any_more_burns_no_more() {
        let dead = |who: &str| Observation::new(format!("agent.dead:{who}"), Critical, "dead");
        let mut world = World::default();
        assert_eq!(world.sees(vec![dead("kublai"), dead("jochi")]).len(), 2);
        let gone = world.sees(vec![dead("jochi")]);
        assert_eq!(gone, [("alert.cleared", Critical, "agent.dead:kublai".to_owned())]);
        world.rows.push(Row { key: "security.signature:x".into(), ..world.rows[0].clone() });
        world.rows.last_mut().unwrap().cleared_at = None;
        assert_eq!(world.sees(vec![]).len(), 1, "others look at other families");
        assert_eq!(world.rows.len(), 3);
        world.after(300).sees(vec![]);
        assert_eq!(world.rows.len(), 1, "what burns no more is forgotten");
    }

    #[test]
    fn another_text_is_told_where_it_matters_and_not_at_once() {
        let letters = |n: u32| Observation::new("tasks.dead_letters", Warning, format!("{n} dead")).retold();
        let mut world = World::default();
        assert_eq!(world.sees(vec![letters(1)]).len(), 1);
        assert!(world.after(299).sees(vec![letters(2)]).is_empty());
        assert_eq!(world.after(1).sees(vec![letters(2)]).len(), 1);
        assert!(world.after(300).sees(vec![letters(2)]).is_empty());
        assert_eq!((world.rows[0].raised_at, world.rows[0].told_at), (0, 300 * SECOND));
    }
}

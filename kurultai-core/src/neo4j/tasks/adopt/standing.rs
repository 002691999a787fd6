//! How each task stands among the others: what it waits for, which edges are made and which go.

use super::{
    report::Report,
    survey::{Node, Survey, Whose},
    waits::{Kind, Verdict, Wait, sort_out},
};
use crate::tasks::{FindingKind, Status};
use serde_json::{Value, json};
use std::collections::HashSet;

#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Standing {
    /// It waits for something that cannot be found.
    pub(super) astray: bool,
    /// It waits for tasks, whether done or not.
    pub(super) waits: bool,
    /// Not all of them are done.
    pub(super) gated: bool,
    pub(super) has_children: bool,
    /// Its parent's id among ours; an empty one takes it away.
    pub(super) parent: Option<String>,
    /// For its event.
    pub(super) added: Vec<Value>,
    pub(super) dropped: Vec<Value>,
}

/// What is done to the edges.
#[derive(Debug, Default)]
pub(super) struct Edges {
    pub(super) dropped: Vec<String>,
    /// The edge and what it is to say.
    pub(super) typed: Vec<[String; 2]>,
    /// Dependent and prerequisite.
    pub(super) waits: Vec<[String; 2]>,
    /// Parent and child.
    pub(super) children: Vec<[String; 2]>,
    /// Tasks of ours that wait for more than before.
    pub(super) stopped: Vec<String>,
}

#[derive(Debug)]
pub(super) struct Standings {
    pub(super) each: Vec<Standing>,
    decided: Vec<(Wait, Fate)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Stays,
    Goes(&'static str),
}

pub(super) fn standings(survey: &Survey, report: &mut Report) -> Standings {
    let mut each: Vec<Standing> = survey.nodes.iter().map(|_| Standing::default()).collect();
    let mut waits = survey.waits.clone();
    said(survey, &mut waits, &mut each, report);
    waits.retain(|wait| wait.fixed && wait.edge.is_some() || decided_with(survey, wait).is_some());
    waits.sort_by_cached_key(|wait| {
        let id = |node: usize| survey.nodes[node].id.clone();
        (!wait.fixed, wait.edge.is_none(), id(wait.waiter), id(wait.on), wait.kind, wait.edge.clone())
    });
    let verdicts = sort_out(&waits);
    let mut decided = vec![];
    for (wait, verdict) in waits.into_iter().zip(verdicts) {
        let Some(with) = decided_with(survey, &wait).filter(|_| verdict != Verdict::Said) else { continue };
        let fate = fate(survey, &wait, verdict);
        note(survey, &wait, fate, report);
        stand(survey, &wait, fate, &mut each);
        let (waiter, on) = (&survey.nodes[wait.waiter].id, &survey.nodes[wait.on].id);
        let told = json!({"task": waiter, "waits_for": on, "type": wait.kind.as_str()});
        match fate {
            Fate::Goes(_) => each[with].dropped.push(told),
            Fate::Stays if wait.edge.is_none() => each[with].added.push(told),
            Fate::Stays => {}
        }
        decided.push((wait, fate));
    }
    Standings { each, decided }
}

/// The node with which the wait is decided: its waiter where that is taken over, else what it is for.
fn decided_with(survey: &Survey, wait: &Wait) -> Option<usize> {
    match (survey.nodes[wait.waiter].whose, survey.nodes[wait.on].whose) {
        (Whose::Taken, _) => Some(wait.waiter),
        (Whose::Ours, Whose::Taken) => Some(wait.on),
        _ => None,
    }
}

/// The waits that lists and properties tell of. What a list says blocks, whatever an edge says.
fn said(survey: &Survey, waits: &mut Vec<Wait>, each: &mut [Standing], report: &mut Report) {
    let mut listed: HashSet<(usize, usize)> = HashSet::new();
    let mut more = vec![];
    for (place, node) in survey.nodes.iter().enumerate() {
        let mut find = |name: &String, what: &str| {
            let found = survey.named(name);
            if found.is_none() && node.whose == Whose::Taken {
                report.note(FindingKind::Unresolved, what, format!("{} ({name})", node.id));
            }
            found
        };
        for name in &node.blocked_by {
            match find(name, "waits for a task that is not there") {
                Some(on) => drop(listed.insert((place, on))),
                None => each[place].astray = true,
            }
        }
        for name in &node.blocks {
            let waiter = find(name, "blocks a task that is not there");
            listed.extend(waiter.map(|waiter| (waiter, place)));
        }
        if let Some(parent) = node.parent.as_ref().and_then(|name| find(name, "its parent is not there")) {
            more.push(survey.wait(parent, place, None, Some("child".to_owned())));
        }
    }
    for wait in waits.iter_mut().filter(|wait| wait.kind != Kind::Child) {
        if !wait.fixed && listed.contains(&(wait.waiter, wait.on)) {
            wait.kind = Kind::Blocks;
        }
    }
    waits.extend(more);
    waits.extend(listed.into_iter().map(|(waiter, on)| survey.wait(waiter, on, None, None)));
}

fn fate(survey: &Survey, wait: &Wait, verdict: Verdict) -> Fate {
    let (waiter, on) = (&survey.nodes[wait.waiter], &survey.nodes[wait.on]);
    match verdict {
        Verdict::Itself => Fate::Goes("an edge of a task to itself"),
        Verdict::Double => Fate::Goes("a second edge between the same tasks"),
        Verdict::Circle => Fate::Goes("an edge that closes a circle"),
        _ if on.whose == Whose::Elsewhere => Fate::Goes("an edge to a task of another namespace"),
        _ if wait.edge.is_none() && is_too_late(waiter, wait.kind) => {
            Fate::Goes("an edge from a task that is held or finished")
        }
        _ => Fate::Stays,
    }
}

/// Whether it is one of ours that can wait for nothing more; a parent that is held still waits for its children.
fn is_too_late(waiter: &Node, kind: Kind) -> bool {
    let held = waiter.word == Status::InProgress.as_str() && kind != Kind::Child;
    waiter.whose == Whose::Ours && (held || waiter.is_finished())
}

fn note(survey: &Survey, wait: &Wait, fate: Fate, report: &mut Report) {
    let (waiter, on) = (&survey.nodes[wait.waiter], &survey.nodes[wait.on]);
    let pair = match wait.kind {
        Kind::Child => format!("{}, a child of {}", on.id, waiter.id),
        _ => format!("{} waits for {}", waiter.id, on.id),
    };
    match fate {
        Fate::Goes(what) => report.note(FindingKind::Dropped, what, pair),
        Fate::Stays => {
            if on.whose == Whose::Left {
                report.note(FindingKind::Unresolved, "waits for a task that is not taken over", &pair);
            }
            if wait.edge.is_none() {
                report.note(FindingKind::Read, "a list or a parent_id as an edge", pair);
            } else if wait.word.as_deref().is_some_and(|word| word != wait.kind.as_str()) {
                report.note(FindingKind::Guessed, format!("an edge as {}", wait.kind.as_str()), pair);
            }
        }
    }
}

fn stand(survey: &Survey, wait: &Wait, fate: Fate, each: &mut [Standing]) {
    let on = &survey.nodes[wait.on];
    let done = on.will_be_completed();
    let standing = &mut each[wait.waiter];
    match (fate, wait.kind) {
        (Fate::Goes(_), _) => standing.astray |= on.whose == Whose::Elsewhere && !done,
        (Fate::Stays, Kind::Child) => standing.has_children = true,
        (Fate::Stays, Kind::Blocks) => {
            standing.waits = true;
            standing.gated |= !done;
        }
        (Fate::Stays, _) => {}
    }
    if wait.kind == Kind::Child {
        let parent = if fate == Fate::Stays { survey.nodes[wait.waiter].id.clone() } else { String::new() };
        each[wait.on].parent.get_or_insert(parent);
    }
}

impl Standings {
    /// What is done to edges together with the nodes of `part`.
    pub(super) fn edges(&self, survey: &Survey, part: &HashSet<usize>) -> Edges {
        let mut edges = Edges::default();
        let element = |node: usize| survey.nodes[node].element.clone();
        for (wait, fate) in &self.decided {
            if !decided_with(survey, wait).is_some_and(|with| part.contains(&with)) {
                continue;
            }
            let pair = [element(wait.waiter), element(wait.on)];
            match (&wait.edge, fate) {
                (Some(edge), Fate::Goes(_)) => edges.dropped.push(edge.clone()),
                (None, Fate::Goes(_)) => continue,
                (Some(_), Fate::Stays) if wait.kind == Kind::Child => {}
                (Some(_), Fate::Stays) if wait.word.as_deref() == Some(wait.kind.as_str()) => {}
                (Some(edge), Fate::Stays) => {
                    edges.typed.push([edge.clone(), wait.kind.as_str().to_owned()]);
                }
                (None, Fate::Stays) if wait.kind == Kind::Child => edges.children.push(pair),
                (None, Fate::Stays) => edges.waits.push(pair),
            }
            if survey.nodes[wait.waiter].whose == Whose::Ours && wait.kind.gates() {
                edges.stopped.push(element(wait.waiter));
            }
        }
        edges
    }
}

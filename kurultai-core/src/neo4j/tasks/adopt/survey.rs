//! What there is to take over, before anything is changed: the tasks, whose ids are taken, the edges between them.

use super::{
    mapping::{HOLDS_UP, Meaning, WAITS_FOR, bare, meaning},
    report::Report,
    values,
    waits::{Kind, Wait},
};
use crate::{
    clock::Micros,
    error::Result,
    ids,
    neo4j::{Neo4jStore, bolt::Cells, cypher::clock, statement::Statement},
    tasks::{AdoptOptions, FindingKind, Status},
};
use neo4rs::BoltType;
use std::collections::{HashMap, HashSet};

const TASKS: Statement = Statement::plain(concat!(clock!(), include_str!("cypher/survey.cypher")));

const NAMED: Statement = Statement::plain(
    "CYPHER 5 UNWIND $ids AS id MATCH (t:Task {namespace: $ns, id: id})
RETURN [elementId(t), t.id, t.status] AS row",
);

/// Only looked at where one of ours waits for one of theirs: the rest of a circle may lead through ours.
const OURS: Statement = Statement::plain(
    "CYPHER 5 MATCH (t:Task {namespace: $ns})-[e:DEPENDS_ON|SPAWNED]->(p:Task {namespace: $ns})
RETURN [elementId(e), elementId(t), t.id, t.status, elementId(p), p.id, p.status,
  CASE type(e) WHEN 'SPAWNED' THEN 'child' ELSE e.type END] AS row",
);

/// How many ids a statement looks up.
const AT_ONCE: usize = 2_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Whose {
    /// To be taken over.
    Taken,
    /// Another program's, which stays so: the filters leave it out, or its id is taken.
    Left,
    Ours,
    /// Another namespace's.
    Elsewhere,
}

#[derive(Debug)]
pub(super) struct Node {
    pub(super) element: String,
    pub(super) whose: Whose,
    /// The one that it has, or will have.
    pub(super) id: String,
    /// Its status as it stands there.
    pub(super) word: String,
    old_ids: Vec<String>,
    pub(super) blocked_by: Vec<String>,
    pub(super) blocks: Vec<String>,
    pub(super) parent: Option<String>,
}

impl Node {
    /// One that is there, whatever becomes of it.
    fn known(element: String, id: String, word: String, whose: Whose) -> Self {
        let (old_ids, blocked_by, blocks) = (vec![], vec![], vec![]);
        Node { element, whose, id, word, old_ids, blocked_by, blocks, parent: None }
    }

    fn read(row: &mut Cells, options: &AdoptOptions) -> Result<Self> {
        let (element, is_ours, labels): (String, bool, Vec<String>) = (row.next()?, row.next()?, row.next()?);
        let mut said = || Ok(said(&row.next()?));
        let (id, task_id, word) = (said()?, said()?, said()?.unwrap_or_default());
        let (task_type, parent) = (said()?, said()?);
        let mut names = || Ok(row.next::<Vec<BoltType>>()?.iter().flat_map(values::list).collect());
        let (blocked_by, blocks) = (names()?, names()?);
        let old_ids: Vec<String> = [id, task_id].into_iter().flatten().collect();
        let fits = |wanted: &Option<Vec<String>>, is: &dyn Fn(&String) -> bool| {
            wanted.as_ref().is_none_or(|wanted| wanted.iter().any(is))
        };
        let is_wanted = fits(&options.labels, &|label| labels.contains(label))
            && fits(&options.ids, &|id| old_ids.contains(id))
            && fits(&options.types, &|name| task_type.as_ref() == Some(name))
            && fits(&options.statuses, &|status| bare(status) == bare(&word));
        let whose = match (is_ours, is_wanted) {
            (true, _) => Whose::Ours,
            (false, true) => Whose::Taken,
            (false, false) => Whose::Left,
        };
        let id = old_ids.first().cloned().unwrap_or_else(ids::new_id);
        Ok(Node { element, whose, id, word, old_ids, blocked_by, blocks, parent })
    }

    pub(super) fn is_finished(&self) -> bool {
        matches!(meaning(&self.word), Some(Meaning::Is(status)) if status.is_finished())
    }

    /// As the rules will see it: a word of another program means nothing to them.
    pub(super) fn will_be_completed(&self) -> bool {
        match self.whose {
            Whose::Taken => meaning(&self.word) == Some(Meaning::Is(Status::Completed)),
            _ => self.word == Status::Completed.as_str(),
        }
    }
}

fn said(value: &BoltType) -> Option<String> {
    (!values::is_empty(value)).then(|| values::text(value).trim().to_owned())
}

/// An edge of a node and what is at its other end.
struct End {
    edge: String,
    element: String,
    namespace: Option<String>,
    id: Option<String>,
    status: Option<String>,
    word: Option<String>,
}

impl End {
    fn read(mut row: Cells) -> Result<Self> {
        let (edge, element) = (row.next()?, row.next()?);
        let mut said = || Ok(said(&row.next()?));
        Ok(End { edge, element, namespace: said()?, id: said()?, status: said()?, word: said()? })
    }
}

#[derive(Debug, Default)]
pub(super) struct Survey {
    pub(super) now: Micros,
    pub(super) nodes: Vec<Node>,
    /// The edges that are there.
    pub(super) waits: Vec<Wait>,
    places: HashMap<String, usize>,
    by_id: HashMap<String, usize>,
}

pub(super) async fn survey(
    store: &Neo4jStore,
    options: &AdoptOptions,
    report: &mut Report,
) -> Result<Survey> {
    let mut survey = Survey::default();
    let mut ends = vec![];
    let query =
        store.query(TASKS).param("waits_for", WAITS_FOR.to_vec()).param("holds_up", HOLDS_UP.to_vec());
    for mut row in store.exec(query).await? {
        survey.now = row.next()?;
        let node = Node::read(&mut row, options)?;
        if node.whose == Whose::Left {
            report.note(FindingKind::LeftOut, "tasks that the filters leave out", node.called());
        }
        let index = survey.add(node);
        for turned in [false, true] {
            let read = row.rows()?.into_iter().map(|row| Ok((index, turned, End::read(row)?)));
            ends.extend(read.collect::<Result<Vec<_>>>()?);
        }
    }
    survey.share_out_ids(store, report).await?;
    let mut waits: HashMap<String, Wait> = HashMap::new();
    for (near, turned, end) in ends {
        let far = survey.add_end(&end, &store.namespace);
        let (waiter, on) = if turned { (far, near) } else { (near, far) };
        let wait = survey.wait(waiter, on, Some(end.edge.clone()), end.word);
        waits.insert(end.edge, wait);
    }
    let is_ours = |node: usize| survey.nodes[node].whose == Whose::Ours;
    if waits.values().any(|wait| is_ours(wait.waiter) && !is_ours(wait.on)) {
        survey.look_at_ours(store, &mut waits).await?;
    }
    survey.waits = waits.into_values().collect();
    Ok(survey)
}

impl Node {
    fn called(&self) -> &str {
        self.old_ids.first().unwrap_or(&self.element)
    }
}

impl Survey {
    /// The task that is meant by an id, old or new.
    pub(super) fn named(&self, name: &str) -> Option<usize> {
        self.by_id.get(name).copied()
    }

    /// The node's place. What was known of it first counts.
    fn add(&mut self, node: Node) -> usize {
        let next = self.nodes.len();
        let place = *self.places.entry(node.element.clone()).or_insert(next);
        if place == next {
            self.nodes.push(node);
        }
        place
    }

    fn add_end(&mut self, end: &End, namespace: &str) -> usize {
        let whose = match end.namespace.as_deref() {
            Some(theirs) if theirs == namespace => Whose::Ours,
            Some(_) => Whose::Elsewhere,
            None => Whose::Left,
        };
        let (id, word) = (end.id.clone().unwrap_or_default(), end.status.clone().unwrap_or_default());
        self.add(Node::known(end.element.clone(), id, word, whose))
    }

    pub(super) fn wait(&self, waiter: usize, on: usize, edge: Option<String>, word: Option<String>) -> Wait {
        let kind = match word.as_deref().map(bare).as_deref() {
            Some("child") => Kind::Child,
            Some("feedsinto") => Kind::FeedsInto,
            Some("parallelok") => Kind::ParallelOk,
            _ => Kind::Blocks,
        };
        let fixed = [waiter, on].iter().all(|node| self.nodes[*node].whose == Whose::Ours);
        Wait { waiter, on, kind, edge, word, fixed }
    }

    /// Of several tasks with one id one gets it: a finished one rather than another, so that nothing runs again that
    /// one of them says is done.
    async fn share_out_ids(&mut self, store: &Neo4jStore, report: &mut Report) -> Result<()> {
        let mut names: HashSet<&String> = HashSet::new();
        for node in &self.nodes {
            names.extend(
                [&node.id].into_iter().chain(&node.blocked_by).chain(&node.blocks).chain(&node.parent),
            );
        }
        let names: Vec<String> = names.into_iter().cloned().collect();
        for part in names.chunks(AT_ONCE) {
            for mut row in store.exec(store.query(NAMED).param("ids", part)).await? {
                let (element, id, word) = (row.next()?, row.next::<String>()?, said(&row.next()?));
                let node = Node::known(element, id.clone(), word.unwrap_or_default(), Whose::Ours);
                let place = self.add(node);
                self.by_id.insert(id, place);
            }
        }
        let mut order: Vec<usize> = (0..self.nodes.len()).collect();
        order.sort_by_cached_key(|place| {
            let node = &self.nodes[*place];
            let rank = [Whose::Ours, Whose::Taken, Whose::Left].iter().position(|whose| node.whose == *whose);
            (rank, !node.is_finished(), node.id.clone(), node.element.clone())
        });
        for place in order.iter().copied() {
            let node = &mut self.nodes[place];
            let first = *self.by_id.entry(node.id.clone()).or_insert(place);
            if first != place && node.whose == Whose::Taken {
                node.whose = Whose::Left;
                report.note(FindingKind::LeftOut, "a task whose id another one has", node.called());
            }
        }
        for place in order {
            for name in &self.nodes[place].old_ids {
                self.by_id.entry(name.clone()).or_insert(place);
            }
        }
        Ok(())
    }

    async fn look_at_ours(&mut self, store: &Neo4jStore, waits: &mut HashMap<String, Wait>) -> Result<()> {
        for mut row in store.exec(store.query(OURS)).await? {
            let edge: String = row.next()?;
            let mut end = || -> Result<usize> {
                let (element, id, word) = (row.next()?, row.next()?, said(&row.next()?));
                Ok(self.add(Node::known(element, id, word.unwrap_or_default(), Whose::Ours)))
            };
            let (waiter, on) = (end()?, end()?);
            let wait = self.wait(waiter, on, Some(edge.clone()), said(&row.next()?));
            waits.insert(edge, wait);
        }
        Ok(())
    }
}

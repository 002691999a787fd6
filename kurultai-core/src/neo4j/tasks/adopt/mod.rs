//! Tasks and agents that other programs wrote under the contract's names: what they left out is filled in, what they
//! wrote in another form is read, what we do not know stays.
//!
//! Read in this order: [`mapping`] (which name and word is which), [`agents`] with [`roster`], [`survey`] (what is there), [`standing`]
//! (who waits for whom) with [`waits`] (without circles), [`task`] (one node), then the portions here.
//!
//! A portion is one transaction: its nodes, the edges by which they wait, an event for each. So whoever waits is
//! blocked from the moment at which it can be seen, and an adoption that was interrupted can be repeated.

mod agents;
mod changes;
mod mapping;
mod report;
mod roster;
mod standing;
mod survey;
mod task;
mod values;
mod waits;

use crate::{
    error::{Error, Result},
    neo4j::{
        Neo4jStore,
        bolt::{Cells, list, map},
        cypher::lock,
        statement::Statement,
        verdict::CONSTRAINT,
    },
    tasks::{AdoptOptions, Adoption, FindingKind},
};
use neo4rs::BoltType;
use report::Report;
use roster::Roster;
use standing::Standings;
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    time::Duration,
};
use survey::{Survey, Whose};
use task::{Adopted, Setting};

/// Nodes of one transaction; a claim waits no longer for it than for another batch.
const PORTION: usize = 200;
/// One statement looks at every task of the database.
const SURVEY: Duration = Duration::from_secs(600);
/// How often a portion is looked at again where others are quicker.
const ROUNDS: usize = 5;
/// What must be as it was read, or the node is left to a later adoption.
const FENCE: [&str; 7] =
    ["status", "assigned_to", "target_agent", "claimed_by", "blocked_by", "completed_at", "updated_at"];

const NODES: Statement = Statement::plain(
    "CYPHER 5 UNWIND $elements AS element MATCH (t) WHERE elementId(t) = element
RETURN [element, properties(t), [(t)-[:ASSIGNED_TO]-(a:Agent) | elementId(a)]] AS row",
);

const KEYS: Statement = Statement::plain(
    "CYPHER 5 UNWIND $keys AS key MATCH (t:Task {namespace: $ns, unique_key: key})
RETURN [key, t.id] AS row",
);

const ADOPT: Statement = Statement::locking(concat!(lock!(), include_str!("cypher/adopt.cypher")));

pub(super) async fn adopt(store: &Neo4jStore, options: AdoptOptions) -> Result<Adoption> {
    let mut report = Report::default();
    let (roster, agents) = agents::adopt(store, &options, &mut report).await?;
    let survey = store.within(SURVEY, survey::survey(store, &options, &mut report)).await?;
    let standings = standing::standings(&survey, &mut report);
    let taken: Vec<usize> =
        (0..survey.nodes.len()).filter(|place| survey.nodes[*place].whose == Whose::Taken).collect();
    let mut run = Run {
        store,
        roster,
        survey: &survey,
        standings,
        dry_run: options.dry_run,
        report,
        keys: HashMap::new(),
        by_status: BTreeMap::new(),
    };
    for portion in taken.chunks(PORTION) {
        run.portion(portion).await?;
    }
    Ok(Adoption {
        dry_run: options.dry_run,
        tasks: run.by_status.values().sum(),
        agents,
        by_status: run.by_status,
        findings: run.report.findings(),
    })
}

struct Run<'a> {
    store: &'a Neo4jStore,
    roster: Roster,
    survey: &'a Survey,
    standings: Standings,
    dry_run: bool,
    report: Report,
    /// The unique keys that were given out, and to whom.
    keys: HashMap<String, String>,
    by_status: BTreeMap<crate::tasks::Status, u64>,
}

/// A node of a portion and what becomes of it.
struct Step {
    place: usize,
    was: BoltType,
    adopted: Adopted,
}

impl Run<'_> {
    async fn portion(&mut self, portion: &[usize]) -> Result<()> {
        for _ in 0..ROUNDS {
            let steps = self.plan(portion).await?;
            let done = if self.dry_run {
                steps.iter().map(|step| step.place).collect()
            } else {
                match self.apply(portion, &steps).await {
                    // Somebody was quicker with an id or a unique key.
                    Err(error) if error.code() == CONSTRAINT => continue,
                    done => done?,
                }
            };
            self.tell(steps, &done);
            return Ok(());
        }
        Err(Error::unavailable("other writers change the same tasks too quickly; adopt again"))
    }

    async fn plan(&self, portion: &[usize]) -> Result<Vec<Step>> {
        let elements: Vec<&str> =
            portion.iter().map(|place| self.survey.nodes[*place].element.as_str()).collect();
        let places: HashMap<&str, usize> = elements.iter().copied().zip(portion.iter().copied()).collect();
        let query = self.store.query(NODES).param("elements", elements.clone());
        let rows = self.store.exec(query).await?.into_iter().map(|mut row: Cells| {
            let (element, properties, edges) = (row.next::<String>()?, row.next()?, row.next()?);
            Ok((places.get(element.as_str()).copied(), values::raw(properties), edges))
        });
        let mut rows: Vec<(Option<usize>, values::Raw, Vec<String>)> = rows.collect::<Result<_>>()?;
        rows.sort_by_key(|(place, ..)| *place);
        let key =
            |raw: &values::Raw| raw.get("unique_key").filter(|key| !values::is_empty(key)).map(values::text);
        let keys: Vec<String> = rows.iter().filter_map(|(_, raw, _)| key(raw)).collect();
        let mut held: HashMap<String, String> = HashMap::new();
        for mut row in self.store.exec(self.store.query(KEYS).param("keys", keys)).await? {
            held.insert(row.next()?, row.next()?);
        }
        let mut steps = vec![];
        for (place, raw, edges) in rows {
            let Some(place) = place else { continue };
            let id = self.survey.nodes[place].id.as_str();
            let duplicate_of = key(&raw).and_then(|key| held.get(&key).or_else(|| self.keys.get(&key)));
            let duplicate_of = duplicate_of.filter(|other| *other != id);
            let setting = Setting {
                namespace: &self.store.namespace,
                now: self.survey.now,
                id,
                roster: &self.roster,
                assigned_to: edges.iter().find_map(|agent| self.roster.of_node(agent)),
                standing: &self.standings.each[place],
                duplicate_of: duplicate_of.map(String::as_str),
            };
            let adopted = task::adopted(&raw, &setting);
            if let Some(key) = &adopted.unique_key {
                held.insert(key.clone(), id.to_owned());
            }
            let was = FENCE.into_iter().filter_map(|name| Some((name, raw.get(name)?.clone())));
            steps.push(Step { place, was: map(was), adopted });
        }
        Ok(steps)
    }

    /// Returns which were taken over.
    async fn apply(&self, portion: &[usize], steps: &[Step]) -> Result<HashSet<usize>> {
        let routes = steps.iter().map(|step| step.adopted.route.clone()).collect();
        let routes = self.store.route_numbers(routes).await?;
        let rows = steps.iter().zip(routes).map(|(step, route)| {
            let node = &self.survey.nodes[step.place];
            map([
                ("element", node.element.as_str().into()),
                ("id", node.id.as_str().into()),
                ("unique_key", step.adopted.unique_key.clone().into()),
                ("was", step.was.clone()),
                ("set", step.adopted.set.clone()),
                ("route", route.into()),
                ("event", step.adopted.event.as_str().into()),
            ])
        });
        let edges = self.standings.edges(self.survey, &portion.iter().copied().collect());
        let pairs = |pairs: Vec<[String; 2]>| list(pairs.into_iter().map(|pair| pair.to_vec().into()));
        let query = self
            .store
            .query(ADOPT)
            .param("rows", list(rows))
            .param("fence", FENCE.to_vec())
            .param("dropped", edges.dropped)
            .param("typed", pairs(edges.typed))
            .param("waits", pairs(edges.waits))
            .param("children", pairs(edges.children))
            .param("stopped", edges.stopped);
        let rows = self.store.exec(query).await?;
        let elements: HashSet<String> = rows.into_iter().map(|mut row| row.next()).collect::<Result<_>>()?;
        let taken = steps.iter().map(|step| step.place);
        Ok(taken.filter(|place| elements.contains(&self.survey.nodes[*place].element)).collect())
    }

    fn tell(&mut self, steps: Vec<Step>, done: &HashSet<usize>) {
        for Step { place, adopted, .. } in steps {
            let id = &self.survey.nodes[place].id;
            if !done.contains(&place) {
                let what = "a task that was changed at this moment; adopt again";
                self.report.note(FindingKind::LeftOut, what, id);
                continue;
            }
            self.keys.extend(adopted.unique_key.map(|key| (key, id.clone())));
            *self.by_status.entry(adopted.status).or_default() += 1;
            adopted.notes.into_iter().for_each(|(kind, what)| self.report.note(kind, what, id));
        }
    }
}

//! Agents of other programs, and who is meant by a name.

use super::{
    changes::Changes,
    mapping::AGENT,
    report::{Note, Report},
    roster::{Roster, slug},
    values::{self, Raw, raw},
};
use crate::{
    agents::HeartbeatWriter,
    clock::Micros,
    error::{Error, Result},
    ids,
    neo4j::{
        Neo4jStore,
        agents::status,
        bolt::{Cells, datetime, list, map},
        cypher::{clock, lock},
        statement::Statement,
        verdict::CONSTRAINT,
    },
    tasks::{AdoptOptions, FindingKind},
};
use neo4rs::BoltType;
use std::collections::{HashMap, HashSet};

const FOREIGN: Statement = Statement::plain(concat!(
    clock!(),
    "MATCH (a:Agent) WHERE a.namespace IS NULL RETURN [elementId(a), labels(a), properties(a), now] AS row"
));

/// Ends a statement that changed agents: `events` has their ids and what they were.
macro_rules! adopted {
    () => {
        "WITH ns, at, events, ns.event_seq AS base
SET ns.event_seq = base + size(events), ns.catalog_seq = ns.catalog_seq + 1
FOREACH (i IN range(1, size(events)) | CREATE (:Event {namespace: $ns, seq: base + i, topic: 'agent.adopted',
  source: events[i - 1][0], payload: events[i - 1][1], created_at: at}))
RETURN [size(events)] AS row"
    };
}

/// Changes nothing where another was quicker.
const TAKE: Statement = Statement::locking(concat!(
    lock!(),
    "CALL () { UNWIND $rows AS r MATCH (a:Agent) WHERE elementId(a) = r.element AND a.namespace IS NULL
  SET a += r.set
  RETURN collect([a.id, r.event]) AS events }
",
    adopted!()
));

const NAME: Statement = Statement::locking(concat!(
    lock!(),
    "CALL (at) { UNWIND $rows AS r MATCH (a:Agent {namespace: $ns, id: r.known})
  SET a.aliases = r.aliases, a.updated_at = at
  RETURN collect([a.id, r.event]) AS events }
",
    adopted!()
));

/// A node with what it calls itself.
struct Foreign {
    element: String,
    labels: Vec<String>,
    properties: Raw,
    keys: Vec<String>,
    name: Option<String>,
    now: Micros,
}

impl Foreign {
    fn read(mut row: Cells) -> Result<Self> {
        let (element, labels, properties) = (row.next()?, row.next()?, raw(row.next()?));
        let said =
            |name: &&str| properties.get(*name).filter(|value| !values::is_empty(value)).map(values::text);
        let keys = ["id", "agent_id"].iter().filter_map(said).collect();
        let name = ["display_name", "name"].iter().find_map(said);
        Ok(Foreign { element, labels, properties, keys, name, now: row.next()? })
    }

    /// Its id among ours. An `id` stays; else the name is the id, as people use it, unless others have it too.
    fn id(&self, is_shared: bool) -> Option<String> {
        let kept = self.properties.get("id").and(self.keys.first());
        let spells = |name: &&String| ids::fold(name).chars().all(|c| c.is_ascii() || !c.is_alphanumeric());
        let named = self.name.as_ref().filter(spells).filter(|name| !is_shared && slug(name).is_some());
        let id = kept.or(named).or(self.keys.first()).or(self.name.as_ref())?;
        Some(slug(id).unwrap_or_else(ids::new_id))
    }

    fn called(&self) -> &str {
        self.keys.first().or(self.name.as_ref()).map_or(&self.element, |name| name)
    }

    fn all_names(&self) -> impl Iterator<Item = &String> {
        self.keys.iter().chain(&self.name)
    }

    fn is_wanted(&self, options: &AdoptOptions) -> bool {
        let any = |wanted: &Option<Vec<String>>, has: &[String]| {
            wanted.as_ref().is_none_or(|wanted| wanted.iter().any(|one| has.contains(one)))
        };
        any(&options.labels, &self.labels)
            && any(&options.ids, &self.keys)
            && options.types.is_none()
            && options.statuses.is_none()
    }
}

/// What to do with a node.
struct Step {
    row: BoltType,
    notes: Vec<Note>,
    called: String,
    is_new: bool,
}

/// Takes over the agents; returns who is meant by which name, also by the names of those that stay as they are.
pub(super) async fn adopt(
    store: &Neo4jStore,
    options: &AdoptOptions,
    report: &mut Report,
) -> Result<(Roster, u64)> {
    const ROUNDS: usize = 5;
    for _ in 0..ROUNDS {
        let mut roster = Roster::of(&store.agents().await?);
        let foreign = store.exec(store.query(FOREIGN)).await?;
        let foreign: Vec<Foreign> = foreign.into_iter().map(Foreign::read).collect::<Result<_>>()?;
        let mut found = Report::default();
        let steps = plan(foreign, &mut roster, options, &store.namespace, &mut found);
        let taken = steps.iter().filter(|step| step.is_new).count() as u64;
        if !options.dry_run {
            match apply(store, &steps).await {
                // Somebody registers an agent of that id at this moment.
                Err(error) if error.code() == CONSTRAINT => continue,
                done => done?,
            }
        }
        for step in steps {
            step.notes.into_iter().for_each(|(kind, what)| found.note(kind, what, &step.called));
        }
        *report = found;
        return Ok((roster, taken));
    }
    Err(Error::unavailable("other writers register the same agents too quickly"))
}

async fn apply(store: &Neo4jStore, steps: &[Step]) -> Result<()> {
    for (text, new) in [(TAKE, true), (NAME, false)] {
        let rows: Vec<BoltType> =
            steps.iter().filter(|step| step.is_new == new).map(|step| step.row.clone()).collect();
        if !rows.is_empty() {
            store.exec(store.query(text).param("rows", list(rows))).await?;
        }
    }
    Ok(())
}

fn plan(
    mut foreign: Vec<Foreign>,
    roster: &mut Roster,
    options: &AdoptOptions,
    namespace: &str,
    report: &mut Report,
) -> Vec<Step> {
    let place =
        |node: &Foreign| (node.keys.is_empty(), node.keys.clone(), node.name.clone(), node.element.clone());
    foreign.sort_by_cached_key(place);
    let mut holders: HashMap<String, HashSet<&[String]>> = HashMap::new();
    for node in foreign.iter().filter(|node| !node.keys.is_empty()) {
        if let Some(name) = &node.name {
            holders.entry(ids::fold(name)).or_default().insert(&node.keys);
        }
    }
    let shared: HashSet<String> =
        holders.into_iter().filter(|(_, keys)| keys.len() > 1).map(|(name, _)| name).collect();
    let mut steps = vec![];
    for node in foreign {
        let wanted = node.is_wanted(options);
        if !wanted {
            report.note(FindingKind::LeftOut, "agents that the filters leave out", node.called());
        }
        let is_shared = node.name.as_ref().is_some_and(|name| shared.contains(&ids::fold(name)));
        let Some(id) = node.id(is_shared) else {
            report.note(FindingKind::LeftOut, "an agent without id and name", &node.element);
            continue;
        };
        let name = node.name.iter().filter(|_| !is_shared);
        let known = node.keys.iter().chain([&id]).chain(name).find_map(|name| roster.resolve(name));
        let known = known.map(str::to_owned);
        if let Some(known) = known.as_ref().filter(|_| wanted) {
            let what = "an agent that is registered already; the node stays, its names become aliases";
            report.note(FindingKind::LeftOut, what, format!("{} ({known})", node.called()));
        }
        let step = match known {
            Some(known) => named(&node, known, roster),
            None => Some(taken(&node, id, roster, namespace)),
        };
        steps.extend(step.filter(|_| wanted));
    }
    steps
}

/// The agent is registered: it only learns the names by which the other program knew it.
fn named(node: &Foreign, known: String, roster: &mut Roster) -> Option<Step> {
    roster.nodes.insert(node.element.clone(), known.clone());
    let before = roster.aliases.get(&known).cloned().unwrap_or_default();
    let new: Vec<String> = node.all_names().filter(|name| roster.resolve(name).is_none()).cloned().collect();
    roster.add(&known, new.iter());
    if new.is_empty() {
        return None;
    }
    let aliases: Vec<String> = before.iter().cloned().chain(new).collect();
    roster.aliases.insert(known.clone(), aliases.clone());
    let event = serde_json::json!({"before": {"aliases": before}}).to_string();
    let row = map([("known", known.into()), ("aliases", aliases.into()), ("event", event.into())]);
    Some(Step { row, notes: vec![], called: String::new(), is_new: false })
}

fn taken(node: &Foreign, id: String, roster: &mut Roster, namespace: &str) -> Step {
    let mut of = Changes::new(&node.properties, AGENT);
    let name = node.name.clone().unwrap_or_else(|| id.clone());
    let own = [ids::fold(&id), ids::fold(&name)];
    let mut aliases = of.find("aliases").map(values::list).unwrap_or_default();
    aliases.extend(node.keys.iter().cloned());
    aliases.retain(|alias| !own.contains(&ids::fold(alias)));
    let mut seen = HashSet::new();
    aliases.retain(|alias| seen.insert(ids::fold(alias)));
    roster.add(&id, aliases.iter().chain([&name]));
    roster.aliases.insert(id.clone(), aliases.clone());
    roster.nodes.insert(node.element.clone(), id.clone());
    if node.keys.first().is_some_and(|key| *key != id) {
        of.note(FindingKind::Guessed, "the name is the id, the old key an alias");
    }
    let word = of.find("status").map(values::text).map(|word| word.trim().to_lowercase());
    if let Some(word) = &word
        && !matches!(word.as_str(), "healthy")
        && word.parse::<crate::agents::AgentStatus>().is_err()
    {
        of.note(FindingKind::Guessed, format!("status {word:?} of an agent as active"));
    }
    let most = of.read("max_concurrent", values::number, "is no number");
    let most = most.filter(|most| (1..=i64::from(u32::MAX)).contains(most));
    let mut capabilities = of.find("capabilities").map(values::list).unwrap_or_default();
    capabilities.sort();
    capabilities.dedup();
    of.set("namespace", namespace.into());
    of.set("id", id.into());
    of.set("name", name.clone().into());
    of.set("display_name", name.into());
    let role = of.find("role").map(values::text);
    of.set("role", role.into());
    of.set_list("aliases", aliases);
    of.set_list("capabilities", capabilities);
    of.set("status", status(word).as_str().into());
    of.set("max_concurrent", most.into());
    for time in ["infra_heartbeat", "last_heartbeat"] {
        let at = of.read(time, values::moment, "is no time");
        of.set(time, datetime(at));
    }
    // Our own, whatever they mean elsewhere.
    for own in ["stopped_at", "dead_at", "speakers"] {
        of.set(own, values::NOTHING);
    }
    let created = of.read("created_at", values::moment, "is no time");
    of.set("created_at", datetime(created.or(Some(node.now))));
    of.set("updated_at", datetime(Some(node.now)));
    for count in ["infra_seq", "func_seq"] {
        let number = of.find(count).and_then(values::number);
        of.set(count, number.into());
    }
    let (set, event, notes) = of.finish([]);
    let row = map([("element", node.element.as_str().into()), ("set", set), ("event", event.into())]);
    Step { row, notes, called: node.called().to_owned(), is_new: true }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(fields: &[(&str, &str)]) -> Foreign {
        let properties: Raw = fields.iter().map(|(k, v)| ((*k).to_owned(), BoltType::from(*v))).collect();
        let said = |name: &str| properties.get(name).map(values::text);
        let keys = ["id", "agent_id"].into_iter().filter_map(said).collect();
        let name = said("display_name").or(said("name"));
        let element = fields.iter().map(|(k, v)| format!("{k}{v}")).collect();
        Foreign { element, labels: vec!["Agent".into()], keys, name, properties, now: 0 }
    }

    fn roster(nodes: Vec<Foreign>) -> (Roster, usize) {
        let mut roster = Roster::default();
        let steps = plan(nodes, &mut roster, &AdoptOptions::default(), "ns", &mut Report::default());
        (roster, steps.iter().filter(|step| step.is_new).count())
    }

    #[test]
    fn a_key_and_a_name_are_one_agent() {
        let (roster, taken) = roster(vec![
            node(&[("agent_id", "analyst"), ("name", "Jochi")]),
            node(&[("id", "jochi")]),
            node(&[("id", "Agent 7"), ("name", "Temüjin")]),
        ]);
        assert_eq!(taken, 2);
        for name in ["analyst", "Analyst", "Jochi", "jochi"] {
            assert_eq!(roster.resolve(name), Some("jochi"), "{name}");
        }
        for name in ["agent-7", "Agent 7", "temujin"] {
            assert_eq!(roster.resolve(name), Some("agent-7"), "{name}");
        }
        assert_eq!(roster.resolve("ogedei"), None);
    }

    #[test]
    fn agents_that_share_a_name_stay_apart() {
        let worker = |key: &str| node(&[("agent_id", key), ("name", "Worker")]);
        let (roster, taken) = roster(vec![worker("w1"), worker("w2")]);
        assert_eq!(taken, 2);
        let found = ["w1", "w2", "worker"].map(|name| roster.resolve(name));
        assert_eq!(found, [Some("w1"), Some("w2"), None]);
    }
}

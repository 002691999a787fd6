//! Tasks and agents that other programs wrote under the contract's names: what they left out is filled in, what they
//! wrote in another form is read, what we do not know stays.

use super::super::{
    Neo4jStore,
    bolt::{Cell, Properties, cells, datetime, list, map},
    clock,
    exec::Repeat,
    lock,
    verdict::CONSTRAINT,
};
use crate::{
    clock::Micros,
    error::Result,
    ids,
    tasks::{
        Priority, Status,
        order::{self, Route},
    },
};
use chrono::{DateTime, Utc};
use neo4rs::BoltType;
use serde_json::{Number, Value};
use std::collections::HashMap;

/// A task that somebody was working on keeps its holder for this long.
const GRACE: Micros = 30_000_000;

const FOREIGN_TASKS: &str = concat!(
    clock!(),
    "MATCH (t:Task) WHERE t.namespace IS NULL OR t.namespace = $ns AND coalesce(t.sort_key, t.claim_key) IS NULL
WITH t, now LIMIT 500 RETURN [now, elementId(t), properties(t)] AS row"
);

/// A row is [element, properties, route's number, unique key, the task of these rows that has the same key]. The first
/// task of a key keeps it. The key goes before the namespace comes: each property is checked against the constraint by
/// itself.
const ADOPT_TASKS: &str = concat!(
    lock!(),
    "SET ns.catalog_seq = ns.catalog_seq + 1
WITH ns, now
CALL (now) { UNWIND $rows AS r MATCH (t) WHERE elementId(t) = r[0] AND coalesce(t.sort_key, t.claim_key) IS NULL
  OPTIONAL MATCH (o:Task {namespace: $ns, unique_key: r[3]}) WHERE o <> t
  SET t.unique_key = CASE WHEN o IS NULL THEN r[3] END, t.duplicate_of = coalesce(r[4], o.id), t += r[1],
    t.route = r[2]
  WITH t
  OPTIONAL MATCH (t)-[e:DEPENDS_ON]->(:Task)
    WHERE NOT coalesce(e.type, '') IN ['blocks', 'feeds_into', 'parallel_ok']
  SET e.type = CASE WHEN toLower(e.type) IN ['feeds_into', 'parallel_ok'] THEN toLower(e.type) ELSE 'blocks' END
  RETURN count(DISTINCT t) AS adopted }
RETURN [adopted] AS row"
);

/// A child that only names its parent gets its edge. Whoever waits for something is blocked; the rules decide about those
/// that wait for nothing any more.
const ADOPT_EDGES: &str = concat!(
    lock!(),
    "CALL () { MATCH (t:Task) WHERE t.namespace = $ns AND t.parent_id IS NOT NULL
    AND NOT EXISTS { (:Task)-[:SPAWNED]->(t) }
  MATCH (p:Task {namespace: $ns, id: t.parent_id}) USING INDEX SEEK p:Task(namespace, id) WHERE p <> t
  CREATE (p)-[:SPAWNED]->(t) RETURN count(*) AS children }
CALL () { MATCH (t:Task) WHERE t.namespace = $ns AND t.status = 'pending'
    AND (EXISTS { (t)-[e:DEPENDS_ON]->(p:Task) WHERE e.type = 'blocks' AND p.status <> 'completed' }
      OR EXISTS { (t)-[:SPAWNED]->(:Task) })
  SET t.status = 'blocked', t.sort_key = coalesce(t.claim_key, t.sort_key),
    t.revision = coalesce(t.revision, 0) + 1
  REMOVE t.claim_key RETURN count(*) AS blocked }
CALL () { MATCH (t:Task) WHERE t.namespace = $ns AND t.status = 'blocked' SET t.due_at = 0
  RETURN count(*) AS waiting }
RETURN [blocked] AS row"
);

const FOREIGN_AGENTS: &str = "CYPHER 5
MATCH (a:Agent) WHERE a.namespace IS NULL RETURN [elementId(a), properties(a)] AS row";

const ADOPT_AGENT: &str = concat!(
    lock!(),
    "SET ns.catalog_seq = ns.catalog_seq + 1
WITH ns, at
CALL (at) { MATCH (a) WHERE elementId(a) = $element AND a.namespace IS NULL
  SET a += $agent, a.created_at = coalesce(a.created_at, at), a.updated_at = at RETURN count(*) AS adopted }
RETURN [adopted] AS row"
);

pub(super) async fn adopt(store: &Neo4jStore) -> Result<usize> {
    let mut adopted = agents(store).await?;
    let mut tasks = 0;
    loop {
        let mut routes: Vec<String> = Vec::new();
        let mut rows = Vec::new();
        let mut keys: HashMap<String, String> = HashMap::new();
        for mut row in store.look(store.query(FOREIGN_TASKS)).await? {
            let (now, element): (Micros, String) = (row.next()?, row.next()?);
            let Adopted { id, properties, route, unique_key } = task(row.next()?, now, &store.namespace)?;
            let first = unique_key.as_ref().and_then(|key| keys.get(key).cloned());
            let unique_key = unique_key.filter(|_| first.is_none());
            if let Some(key) = &unique_key {
                keys.insert(key.clone(), id);
            }
            rows.push((element, properties, unique_key, first));
            routes.push(route);
        }
        if rows.is_empty() {
            break;
        }
        let routes = store.route_numbers(routes).await?;
        let rows = rows.into_iter().zip(routes).map(|((element, properties, unique_key, first), route)| {
            cells![element, properties, route, unique_key, first]
        });
        let query = store.query(ADOPT_TASKS).param("rows", list(rows));
        tasks += store.one(query, Repeat::Safe).await?.next::<u64>()? as usize;
    }
    if tasks > 0 {
        store.exec(store.query(ADOPT_EDGES), Repeat::Safe).await?;
        adopted += tasks;
    }
    Ok(adopted)
}

async fn agents(store: &Neo4jStore) -> Result<usize> {
    let mut adopted = 0;
    for mut row in store.look(store.query(FOREIGN_AGENTS)).await? {
        let element: String = row.next()?;
        let agent = agent(row.next()?, &store.namespace)?;
        let query = store.query(ADOPT_AGENT).param("element", element).param("agent", agent);
        match store.one(query, Repeat::Safe).await {
            Ok(mut row) => adopted += row.next::<u64>()? as usize,
            // An agent of that id is registered here; the other node stays as it is.
            Err(error) if error.code() == CONSTRAINT => {}
            Err(error) => return Err(error),
        }
    }
    Ok(adopted)
}

struct Adopted {
    id: String,
    properties: BoltType,
    route: String,
    unique_key: Option<String>,
}

fn task(mut of: Properties, now: Micros, namespace: &str) -> Result<Adopted> {
    let assigned_to = person(&mut of, "assigned_to")?;
    let owner = person(&mut of, "claimed_by")?.or_else(|| assigned_to.clone());
    let word = text(&mut of, "status")?.unwrap_or_default().to_lowercase();
    let status = match word.as_str() {
        "aborted" => Status::Cancelled,
        "failed" => Status::DeadLetter,
        "assigned" | "in_progress" if owner.is_some() => Status::InProgress,
        "in_progress" => Status::Pending,
        word => word.parse().unwrap_or(Status::Pending),
    };
    let priority: Priority =
        text(&mut of, "priority")?.and_then(|word| word.parse().ok()).unwrap_or_default();
    let weight = of.take::<Option<f64>>("priority_weight").ok().flatten().unwrap_or(0.5).clamp(0.0, 1.0);
    let route = Route {
        task_type: text(&mut of, "type")?
            .filter(|word| !word.is_empty())
            .unwrap_or_else(|| "task".to_owned()),
        required: words(&mut of, "required_capabilities")?,
        preferred: words(&mut of, "preferred_capabilities")?,
        assigned_to,
    };
    let id = text(&mut of, "id")?.filter(|id| !id.is_empty()).unwrap_or_else(ids::new_id);
    let created = moment(&mut of, "created_at")?.unwrap_or(now);
    let run_at = moment(&mut of, "run_at")?;
    let expires_at = moment(&mut of, "expires_at")?.filter(|_| !status.is_finished());
    let later = run_at.filter(|at| *at > now);
    let rank = order::sort_base(priority, weight) + (created - order::EPOCH).clamp(0, (1 << 50) - 1);
    let attempts = number(&mut of, "attempts")?.or(number(&mut of, "retry_count")?).unwrap_or(0);
    let max_attempts = number(&mut of, "max_attempts")?.or(number(&mut of, "max_retries")?).unwrap_or(3);
    let held = status == Status::InProgress;
    let until = now + GRACE;
    let claimable = status == Status::Pending && later.is_none();
    let due_at = match status {
        Status::InProgress => Some(until),
        Status::Pending => later.into_iter().chain(expires_at).min(),
        Status::Blocked => expires_at,
        _ => None,
    };
    let updated = moment(&mut of, "updated_at")?.unwrap_or(created);
    let completed = moment(&mut of, "completed_at")?.or(status.is_finished().then_some(updated));
    let claimed = moment(&mut of, "claimed_at")?.or(moment(&mut of, "started_at")?).or(held.then_some(now));
    let by = owner.filter(|_| held || status.is_finished());
    let unique_key = text(&mut of, "unique_key")?;
    let key = route.key();
    let properties = map([
        ("namespace", namespace.into()),
        ("id", id.as_str().into()),
        ("type", route.task_type.into()),
        ("title", text(&mut of, "title")?.into()),
        ("description", text(&mut of, "description")?.into()),
        ("status", status.as_str().into()),
        ("priority", priority.as_str().into()),
        ("priority_weight", weight.into()),
        ("payload", text(&mut of, "payload")?.into()),
        ("results", text(&mut of, "results")?.into()),
        ("checkpoint", text(&mut of, "checkpoint")?.into()),
        ("usage", text(&mut of, "usage")?.into()),
        ("error_message", text(&mut of, "error_message")?.into()),
        ("errors", words(&mut of, "errors")?.into()),
        ("required_capabilities", route.required.into()),
        ("preferred_capabilities", route.preferred.into()),
        ("assigned_to", route.assigned_to.into()),
        ("delegated_by", person(&mut of, "delegated_by")?.into()),
        ("parent_id", text(&mut of, "parent_id")?.into()),
        ("run_at", datetime(run_at)),
        ("expires_at", datetime(expires_at)),
        ("created_at", datetime(Some(created))),
        ("updated_at", datetime(Some(updated))),
        ("completed_at", datetime(completed)),
        ("claimed_at", datetime(claimed)),
        ("claimed_by", by.clone().into()),
        ("held_by", by.filter(|_| held).into()),
        ("claim_id", held.then(ids::new_id).into()),
        ("lease_expires_at", datetime(held.then_some(until))),
        ("lease_version", number(&mut of, "lease_version")?.unwrap_or(0).into()),
        ("attempts", attempts.max(i64::from(held)).into()),
        ("max_attempts", max_attempts.clamp(1, 1000).into()),
        ("progress", of.take::<Option<f64>>("progress").ok().flatten().into()),
        ("sort_key", (!claimable).then_some(rank).into()),
        ("claim_key", claimable.then_some(rank).into()),
        ("due_at", due_at.into()),
        ("timeout", None::<i64>.into()),
        ("control", None::<String>.into()),
    ]);
    Ok(Adopted { id, properties, route: key, unique_key })
}

fn agent(mut of: Properties, namespace: &str) -> Result<BoltType> {
    let name = text(&mut of, "display_name")?.or(text(&mut of, "name")?);
    let id = text(&mut of, "id")?.or_else(|| name.clone()).unwrap_or_else(ids::new_id);
    let name = name.unwrap_or_else(|| id.clone());
    let status = text(&mut of, "status")?.map(|word| word.to_lowercase());
    Ok(map([
        ("namespace", namespace.into()),
        ("id", agent_id(&id).into()),
        ("name", name.as_str().into()),
        ("display_name", name.as_str().into()),
        ("role", text(&mut of, "role")?.into()),
        ("aliases", words(&mut of, "aliases")?.into()),
        ("capabilities", words(&mut of, "capabilities")?.into()),
        ("status", super::super::agents::status(status).as_str().into()),
        ("max_concurrent", number(&mut of, "max_concurrent")?.filter(|most| *most > 0).into()),
        ("infra_heartbeat", datetime(moment(&mut of, "infra_heartbeat")?)),
        ("last_heartbeat", datetime(moment(&mut of, "last_heartbeat")?)),
        ("created_at", datetime(moment(&mut of, "created_at")?)),
    ]))
}

/// A name as an agent's id: `Temüjin the 2nd` is `temujin-the-2nd`.
fn agent_id(name: &str) -> String {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-';
    let id: String = ids::fold(name).chars().map(|c| if fits(c) { c } else { '-' }).take(64).collect();
    let id = id.trim_start_matches(['-', '_']);
    if id.is_empty() { ids::new_id() } else { id.to_owned() }
}

fn person(of: &mut Properties, name: &str) -> Result<Option<String>> {
    Ok(text(of, name)?.filter(|name| !name.is_empty()).map(|name| agent_id(&name)))
}

/// Text as it is; anything else as JSON text.
fn text(of: &mut Properties, name: &str) -> Result<Option<String>> {
    Ok(match of.take::<BoltType>(name)? {
        BoltType::Null(_) => None,
        BoltType::String(text) => Some(text.value),
        other => Some(json(other).to_string()),
    })
}

/// A list of texts; one text is a JSON list or a list of one.
fn words(of: &mut Properties, name: &str) -> Result<Vec<String>> {
    let mut words: Vec<String> = match of.take::<BoltType>(name)? {
        BoltType::List(list) => list.value.into_iter().filter_map(String::of).collect(),
        BoltType::String(text) if text.value.is_empty() => vec![],
        BoltType::String(text) => serde_json::from_str(&text.value).unwrap_or_else(|_| vec![text.value]),
        _ => vec![],
    };
    words.sort();
    words.dedup();
    Ok(words)
}

fn number(of: &mut Properties, name: &str) -> Result<Option<i64>> {
    Ok(match of.take::<BoltType>(name)? {
        BoltType::Integer(number) => Some(number.value),
        BoltType::Float(number) => Some(number.value as i64),
        BoltType::String(text) => text.value.parse().ok(),
        _ => None,
    })
}

/// A DATETIME or ISO text; seconds or milliseconds since 1970 where it is a number.
fn moment(of: &mut Properties, name: &str) -> Result<Option<Micros>> {
    Ok(match of.take::<BoltType>(name)? {
        BoltType::Integer(number) if number.value.abs() < 100_000_000_000 => Some(number.value * 1_000_000),
        BoltType::Integer(number) => number.value.checked_mul(1_000),
        BoltType::Float(number) => Some((number.value * 1e6) as i64),
        other => DateTime::<Utc>::of(other).map(|time| time.timestamp_micros()),
    })
}

fn json(value: BoltType) -> Value {
    match value {
        BoltType::String(text) => Value::String(text.value),
        BoltType::Boolean(boolean) => Value::Bool(boolean.value),
        BoltType::Integer(number) => Value::Number(number.value.into()),
        BoltType::Float(number) => Number::from_f64(number.value).map_or(Value::Null, Value::Number),
        BoltType::List(list) => Value::Array(list.value.into_iter().map(json).collect()),
        BoltType::Map(map) => {
            Value::Object(map.value.into_iter().map(|(key, value)| (key.value, json(value))).collect())
        }
        other => DateTime::<Utc>::of(other).map_or(Value::Null, |time| Value::String(time.to_rfc3339())),
    }
}

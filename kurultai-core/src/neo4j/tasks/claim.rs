//! The claim: one statement a batch.

use super::{claimed::claimed_of, lost::Lost};
use crate::{
    agents::{self, AgentStatus, HeartbeatWriter},
    clock::{micros, monotonic},
    error::{Error, Kind, Result},
    ids,
    neo4j::{
        Neo4jStore,
        bolt::{Cells, cells, count, list},
        catalog::Catalog,
        cypher::hot_lock,
        statement::{Call, Statement},
    },
    tasks::{
        Claimed,
        contract::{ANSWER_BYTES, Answers, ClaimRequest},
    },
};
use std::sync::Arc;

/// What one batch gives one group at most.
const MOST: usize = 2_000;

pub(super) const CLAIM: Statement = Statement::locking(concat!(
    hot_lock!(),
    include_str!("cypher/claim.cypher"),
    include_str!("cypher/claimed.cypher"),
    include_str!("cypher/claim_events.cypher"),
    include_str!("cypher/beat.cypher"),
    "RETURN [catalog, overdue, tasks] AS row"
))
.once();

/// With more routes than that, it is looked first which of them have tasks. Types that are made up for each task leave
/// many behind.
const MANY_ROUTES: usize = 256;
/// Where more tasks than that can be claimed, all routes are looked at.
const MANY_TASKS: usize = 5_000;
const LIVE: Statement = Statement::plain(
    "CYPHER 5
MATCH (t:Task) USING INDEX SEEK t:Task(namespace, route, claim_key)
WHERE t.namespace = $ns AND t.route > -1 AND t.claim_key > -1
WITH t.route AS route LIMIT $limit WITH route, count(*) AS tasks
RETURN [sum(tasks), collect(route)] AS row",
);

/// The routes that have tasks to claim, in order; `None` where there are few routes or many tasks.
async fn live_routes(store: &Neo4jStore, catalog: &Catalog) -> Result<Option<Vec<i64>>> {
    if catalog.routes.len() <= MANY_ROUTES {
        return Ok(None);
    }
    let mut row = store.one(store.query(LIVE).param("limit", count(MANY_TASKS))).await?;
    let tasks: u64 = row.next()?;
    let mut live: Vec<i64> = row.next()?;
    live.sort_unstable();
    Ok(Some(live).filter(|_| tasks < MANY_TASKS as u64))
}

/// The requests that differ in nothing but how much they want.
struct Group<'a> {
    first: &'a ClaimRequest,
    members: Vec<usize>,
    claim_id: String,
}

pub(super) async fn claim(store: &Neo4jStore, requests: Vec<ClaimRequest>) -> Result<Answers<Vec<Claimed>>> {
    let mut catalog = store.cached();
    // Somebody may have registered it in another process.
    if requests.iter().any(|r| !catalog.agents.contains_key(&r.agent)) {
        catalog = store.load_catalog().await?;
    }
    let groups = groups(&requests);
    loop {
        if let Some(answers) = attempt(store, &catalog, &requests, &groups).await? {
            return Ok(answers);
        }
        catalog = store.load_catalog().await?;
    }
}

fn groups(requests: &[ClaimRequest]) -> Vec<Group<'_>> {
    let mut groups: Vec<Group<'_>> = Vec::new();
    for (index, request) in requests.iter().enumerate() {
        let same = |g: &&mut Group<'_>| {
            (&g.first.agent, &g.first.types, g.first.lease) == (&request.agent, &request.types, request.lease)
        };
        match groups.iter_mut().find(same) {
            Some(group) => group.members.push(index),
            None => groups.push(Group { first: request, members: vec![index], claim_id: ids::new_id() }),
        }
    }
    groups
}

/// `None` where the catalog was out of date.
async fn attempt(
    store: &Neo4jStore,
    catalog: &Arc<Catalog>,
    requests: &[ClaimRequest],
    groups: &[Group<'_>],
) -> Result<Option<Answers<Vec<Claimed>>>> {
    let live = live_routes(store, catalog).await?;
    let (mut rows, mut most) = (Vec::new(), 0);
    for group in groups {
        let wanted = group.members.iter().map(|i| requests[*i].max).sum::<usize>().min(MOST);
        let Some(row) = row(group, wanted, catalog, live.as_deref()) else { continue };
        most = most.max(wanted);
        rows.push(row);
    }
    let query =
        store.query(CLAIM).param("catalog", catalog.seq).param("groups", list(rows)).param("n", count(most));
    let Some((overdue, tasks)) = taken(store, query, groups, catalog.seq).await? else { return Ok(None) };
    let mut each: Vec<Result<Vec<Claimed>>> = requests.iter().map(|_| Ok(vec![])).collect();
    for claimed in tasks {
        give(claimed_of(claimed)?, groups, requests, &mut each)?;
    }
    each.iter_mut().flatten().for_each(|claimed| omit(claimed));
    let unknown = |r: &ClaimRequest| !catalog.agents.contains_key(&r.agent);
    if requests.iter().any(unknown) {
        let agents = store.agents().await?;
        for (request, answer) in requests.iter().zip(&mut each).filter(|(r, _)| unknown(r)) {
            *answer = Err(agents::not_found(&request.agent, &agents));
        }
    }
    Ok(Some(Answers { each, overdue }))
}

/// Runs the claim until its outcome is known: where the answer was lost, what it took is found by its claim ids.
async fn taken(
    store: &Neo4jStore,
    query: Call,
    groups: &[Group<'_>],
    catalog: i64,
) -> Result<Option<(bool, Vec<Cells>)>> {
    let claims = groups.iter().map(|group| (group.claim_id.clone(), group.first.lease));
    let lost = Lost { claims: claims.collect(), since: monotonic() };
    loop {
        let unknown = match store.early(store.one(query.clone())).await {
            Ok(mut answer) => {
                let is_current = answer.next::<i64>()? == catalog;
                return Ok(if is_current { Some((answer.next()?, answer.rows()?)) } else { None });
            }
            Err(error) if error.kind() == Kind::OutcomeUnknown => error,
            Err(error) => return Err(error),
        };
        match lost.find(store).await {
            // Nothing was taken, so it may be tried again.
            Ok(tasks) if tasks.is_empty() => {}
            Ok(tasks) => return Ok(Some((false, tasks))),
            Err(_) => {
                lost.release(store);
                return Err(unknown);
            }
        }
    }
}

fn row(
    group: &Group<'_>,
    wanted: usize,
    catalog: &Catalog,
    live: Option<&[i64]>,
) -> Option<neo4rs::BoltType> {
    let ClaimRequest { agent, types, lease, .. } = group.first;
    let claimer = catalog.agents.get(agent)?;
    if matches!(claimer.status, AgentStatus::Draining | AgentStatus::Offline) {
        return None;
    }
    let mut served = Vec::new();
    let is_live = |number: &i64| live.is_none_or(|live| live.binary_search(number).is_ok());
    for (number, route) in catalog.routes.iter().filter(|(number, _)| is_live(number)) {
        let preference = route.served_by(agent, &claimer.capabilities, types.as_deref(), &catalog.paused);
        let Some(preference) = preference else { continue };
        served.push(cells![*number, count(preference)]);
    }
    let limited = claimer.max_concurrent.map(|_| agent.as_str());
    (!served.is_empty()).then(|| {
        cells![
            agent.as_str(),
            group.claim_id.as_str(),
            count(wanted),
            micros(*lease),
            claimer.max_concurrent.map(i64::from),
            list(served),
            limited,
            count(ANSWER_BYTES * group.members.len())
        ]
    })
}

/// First come, first served.
fn give(
    claimed: Claimed,
    groups: &[Group<'_>],
    requests: &[ClaimRequest],
    each: &mut [Result<Vec<Claimed>>],
) -> Result<()> {
    let group = groups.iter().find(|g| g.claim_id == claimed.lease.claim_id);
    for member in group.iter().flat_map(|g| &g.members) {
        if let Ok(given) = &mut each[*member]
            && given.len() < requests[*member].max
        {
            given.push(claimed);
            return Ok(());
        }
    }
    Err(Error::internal(format!("task {} was claimed for nobody", claimed.id)))
}

/// Leaves out the results of prerequisites that would be too long an answer.
fn omit(claimed: &mut [Claimed]) {
    let mut bytes = 0;
    for prerequisite in claimed.iter_mut().flat_map(|task| &mut task.prerequisites) {
        let size = prerequisite.results.as_ref().map_or(0, |results| results.as_str().len());
        prerequisite.omitted |= size > 0 && bytes >= ANSWER_BYTES;
        prerequisite.results.take_if(|_| bytes >= ANSWER_BYTES);
        bytes += size;
    }
}

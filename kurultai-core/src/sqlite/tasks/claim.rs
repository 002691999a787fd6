use super::{Tx, list, overdue, paused};
use crate::{
    agents::{self, Agent},
    clock::{micros, time},
    error::Result,
    ids,
    json::Json,
    sqlite::{agents as registry, events, word},
    tasks::{
        Claimed, Lease, Prerequisite, Priority,
        order::{self, Head, Route, Served, Share},
        queue::{Answers, ClaimRequest},
    },
};
use rusqlite::{Row, params};
use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

pub(super) fn claim(tx: &Tx<'_>, requests: &[ClaimRequest]) -> Result<Answers<Vec<Claimed>>> {
    let mut names: Vec<&str> = requests.iter().map(|r| r.agent.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    let agents = registry::of(tx, &names)?;
    learn_routes(tx)?;
    let (shares, routes) = shares(tx, requests, &agents)?;
    let overdue = overdue(tx)?;
    let heads = heads(tx, &shares, &routes, overdue)?;
    let given = order::assign(&shares, &heads);
    let leases = take(tx, requests, &given, &agents)?;
    let mut claimed = claimed(tx, &given, &leases)?;
    let everybody = if agents.len() == names.len() { None } else { Some(registry::all(tx)?) };
    let mut each = Vec::with_capacity(requests.len());
    for (request, tasks) in requests.iter().zip(&given) {
        each.push(match &everybody {
            Some(all) if !all.iter().any(|a| a.id == request.agent) => {
                Err(agents::not_found(&request.agent, all))
            }
            _ => Ok(tasks.iter().filter_map(|n| claimed.remove(n)).collect()),
        });
    }
    Ok(Answers { each, overdue })
}

/// Reads the routes that came since the last claim.
fn learn_routes(tx: &Tx<'_>) -> Result<()> {
    let Some(routes) = tx.routes else { return Ok(()) };
    let mut routes = routes.borrow_mut();
    let fresh = tx.rows("select id, key, ns from route where id > ?1 order by id", [routes.last], |row| {
        Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?, row.get::<_, i64>(2)?))
    })?;
    for (id, key, ns) in fresh {
        routes.last = id;
        if ns != tx.ns {
            continue;
        }
        if let Some(route) = Route::from_key(&key) {
            routes.all.push((id, route));
        }
        routes.ids.insert(key, id);
    }
    Ok(())
}

/// What each request may take: the routes its agent serves, and no more tasks than the agent has room for.
/// Returns the route numbers that the shares' indexes stand for.
fn shares(tx: &Tx<'_>, requests: &[ClaimRequest], agents: &[Agent]) -> Result<(Vec<Share>, Vec<i64>)> {
    let Some(routes) = tx.routes else { return Ok((vec![], vec![])) };
    let (routes, paused) = (routes.borrow(), paused(tx)?);
    let mut served: HashMap<(&str, &Option<Vec<String>>), Served> = HashMap::new();
    let mut room: HashMap<&str, usize> = agents.iter().map(|a| (a.id.as_str(), a.room())).collect();
    let mut shares = Vec::with_capacity(requests.len());
    for request in requests {
        let Some(agent) = agents.iter().find(|a| a.id == request.agent) else {
            shares.push(Share { routes: vec![], max: 0 });
            continue;
        };
        let mine = served.entry((&request.agent, &request.types)).or_insert_with(|| {
            let serves = |(index, (_, route)): (usize, &(i64, Route))| {
                let types = request.types.as_deref();
                Some((index, route.served_by(&agent.id, &agent.capabilities, types, &paused)?))
            };
            routes.all.iter().enumerate().filter_map(serves).collect()
        });
        let left = room.entry(&request.agent).or_default();
        let max = request.max.min(*left);
        *left -= max;
        shares.push(Share { routes: mine.clone(), max });
    }
    Ok((shares, routes.all.iter().map(|(id, _)| *id).collect()))
}

/// The first tasks of every route that somebody serves, each an index seek. Only where something is overdue may one
/// of them have expired; otherwise the index alone answers.
fn heads(tx: &Tx<'_>, shares: &[Share], routes: &[i64], overdue: bool) -> Result<Vec<Head<i64>>> {
    let mut wanted: BTreeMap<usize, usize> = BTreeMap::new();
    for share in shares.iter().filter(|share| share.max > 0) {
        for (route, _) in &share.routes {
            *wanted.entry(*route).or_default() += share.max;
        }
    }
    let mut heads = Vec::new();
    for (route, count) in wanted {
        let head = |row: &Row<'_>| Ok(Head { route, key: row.get(0)?, task: row.get(1)? });
        heads.extend(if overdue {
            let sql = "select claim_key, n from task
                where route = ?1 and claim_key is not null and (expires_at is null or expires_at > ?3)
                order by claim_key limit ?2";
            tx.rows(sql, params![routes[route], count as i64, tx.now], head)?
        } else {
            let sql = "select claim_key, n from task where route = ?1 and claim_key is not null
                order by claim_key limit ?2";
            tx.rows(sql, params![routes[route], count as i64], head)?
        });
    }
    Ok(heads)
}

/// Gives the tasks out: one statement an agent. Returns the claim that each task is held under.
fn take(
    tx: &Tx<'_>,
    requests: &[ClaimRequest],
    given: &[Vec<i64>],
    agents: &[Agent],
) -> Result<HashMap<i64, String>> {
    let mut groups: BTreeMap<(&str, Duration), Vec<i64>> = BTreeMap::new();
    for (request, tasks) in requests.iter().zip(given) {
        if !tasks.is_empty() {
            groups.entry((&request.agent, request.lease)).or_default().extend(tasks);
        }
    }
    let mut leases = HashMap::new();
    let mut busy = Vec::new();
    for ((agent, lease), tasks) in groups {
        let claim_id = ids::new_id();
        let until = tx.now.saturating_add(micros(lease));
        let sql = "update task set status = 'in_progress', claim_key = null, claimed_by = ?2, claimed_at = ?3,
              claim_id = ?4, lease_version = lease_version + 1, attempts = attempts + 1, lease_expires_at = ?5,
              due_at = ?5, held_by = ?6, revision = revision + 1, updated_at = ?3
            where n in (select value from rarray(?1))";
        let limited = agents.iter().any(|a| a.id == agent && a.max_concurrent.is_some());
        let held_by = limited.then_some(agent);
        tx.run(sql, params![list(tasks.iter().copied()), agent, tx.now, claim_id, until, held_by])?;
        events::append(tx, "task.claimed", Some(agent), &tasks)?;
        leases.extend(tasks.into_iter().map(|n| (n, claim_id.clone())));
        busy.push(agent);
    }
    registry::beat(tx, &busy)?;
    Ok(leases)
}

fn claimed(tx: &Tx<'_>, given: &[Vec<i64>], leases: &HashMap<i64, String>) -> Result<HashMap<i64, Claimed>> {
    if leases.is_empty() {
        return Ok(HashMap::new());
    }
    let tasks = list(given.iter().flatten().copied());
    let sql = "select t.n, t.id, t.type, t.lease_version, t.attempts, t.max_attempts, t.priority,
          t.lease_expires_at, p.id, d.title, d.description, d.delegated_by, d.payload,
          iif(t.lease_version > 1, (select checkpoint from task_result where n = t.n), null),
          t.links & 1
        from rarray(?1) a cross join task t on t.n = a.value cross join task_data d on d.n = t.n
        left join task p on p.n = t.parent";
    let mut fed = false;
    let rows = tx.rows(sql, [&tasks], |row| {
        fed |= row.get::<_, bool>(14)?;
        let (n, id): (i64, String) = (row.get(0)?, row.get(1)?);
        let lease = Lease {
            task_id: id.clone(),
            claim_id: leases.get(&n).cloned().unwrap_or_default(),
            version: row.get(3)?,
            attempt: row.get(4)?,
            expires_at: time(row.get(7)?),
        };
        let claimed = Claimed {
            id,
            task_type: row.get(2)?,
            attempt: lease.attempt,
            max_attempts: row.get(5)?,
            priority: Priority::of_rank(row.get(6)?),
            parent_id: row.get(8)?,
            title: row.get(9)?,
            description: row.get(10)?,
            delegated_by: row.get(11)?,
            payload: Json::stored(row.get(12)?),
            checkpoint: row.get::<_, Option<String>>(13)?.map(Json::stored),
            prerequisites: vec![],
            lease,
        };
        Ok((n, claimed))
    })?;
    let mut claimed: HashMap<i64, Claimed> = rows.into_iter().collect();
    if !fed {
        return Ok(claimed);
    }
    let sql = "select e.dependent, p.id, e.type, p.status, r.results
        from rarray(?1) a cross join edge e on e.dependent = a.value cross join task p on p.n = e.prerequisite
        left join task_result r on r.n = p.n
        where e.type <> 'parallel_ok'";
    let mut prerequisites = tx.rows(sql, [&tasks], |row| {
        let prerequisite = Prerequisite {
            id: row.get(1)?,
            dependency_type: word(row, 2)?,
            status: word(row, 3)?,
            results: row.get::<_, Option<String>>(4)?.map(Json::stored),
        };
        Ok((row.get::<_, i64>(0)?, prerequisite))
    })?;
    prerequisites.sort_by(|(_, a), (_, b)| a.id.cmp(&b.id));
    for (dependent, prerequisite) in prerequisites {
        if let Some(task) = claimed.get_mut(&dependent) {
            task.prerequisites.push(prerequisite);
        }
    }
    Ok(claimed)
}

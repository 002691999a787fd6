use super::{claim_id::ClaimId, due::overdue, links::links, pause::paused, routes::Routes};
use crate::{
    agents::{self, AgentInfo},
    clock::{Micros, duration, micros, time},
    error::Result,
    json::Json,
    sqlite::{
        agents as registry, events,
        tx::{List, Tx, json, list, word},
    },
    tasks::{
        Claimed, Lease, Prerequisite, Priority,
        contract::{ANSWER_BYTES, Answers, ClaimRequest, FEW_TASKS},
        order::{self, Head, Served, Share},
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
    let live = tx.remember(|routes: &mut Routes| routes.learn(tx).and_then(|()| routes.live(tx)));
    let live = live.transpose()?.flatten();
    let (mut shares, routes) = shares(tx, requests, &agents, live.as_deref())?;
    let overdue = overdue(tx)?;
    if let Some(live) = live.filter(|_| !overdue) {
        order::prune(&mut shares, &live);
    }
    let heads = heads(tx, &shares, &routes, overdue)?;
    let given = cut(tx, order::assign(&shares, &heads))?;
    let claims = take(tx, requests, &given, &agents)?;
    let mut claimed = claimed(tx, &given, &claims)?.into_iter();
    let everybody = if agents.len() == names.len() { None } else { Some(registry::all(tx)?) };
    let mut each = Vec::with_capacity(requests.len());
    for (request, tasks) in requests.iter().zip(&given) {
        each.push(match &everybody {
            Some(all) if !all.iter().any(|a| a.id == request.agent) => {
                Err(agents::not_found(&request.agent, all))
            }
            _ => Ok(claimed.by_ref().take(tasks.len()).collect()),
        });
    }
    Ok(Answers { each, overdue })
}

/// What each request may take: the routes its agent serves, and no more tasks than the agent has room for.
/// Returns the route numbers that the shares' indexes stand for.
fn shares(
    tx: &Tx<'_>,
    requests: &[ClaimRequest],
    agents: &[AgentInfo],
    live: Option<&[(usize, i64)]>,
) -> Result<(Vec<Share>, Vec<i64>)> {
    let Some(memory) = tx.memory else { return Ok((vec![], vec![])) };
    let paused = paused(tx)?;
    let mut memory = memory.borrow_mut();
    let routes: &Routes = memory.of();
    let mut served: HashMap<(&str, &Option<Vec<String>>), Served> = HashMap::new();
    let mut room: HashMap<&str, usize> = agents.iter().map(|a| (a.id.as_str(), a.room())).collect();
    let mut shares = Vec::with_capacity(requests.len());
    for request in requests {
        let Some(agent) = agents.iter().find(|a| a.id == request.agent) else {
            shares.push(Share { routes: vec![], max: 0 });
            continue;
        };
        let mine = served
            .entry((&request.agent, &request.types))
            .or_insert_with(|| routes.served_by(agent, request.types.as_deref(), &paused, live));
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

/// Leaves in the queue what would be too long an answer.
fn cut(tx: &Tx<'_>, mut given: Vec<Vec<i64>>) -> Result<Vec<Vec<i64>>> {
    let sql = "select octet_length(d.payload) + coalesce(octet_length(r.checkpoint), 0) from rarray(?1) a
        cross join task_data d on d.n = a.value left join task_result r on r.n = d.n";
    for tasks in given.iter_mut().filter(|tasks| tasks.len() > FEW_TASKS) {
        let mut bytes = 0;
        let size = |row: &Row<'_>| row.get::<_, u32>(0);
        let fit = tx.rows_until(sql, [list(tasks.iter().copied())], size, |size| {
            bytes += *size as usize;
            bytes >= ANSWER_BYTES
        })?;
        tasks.truncate(fit.len());
    }
    Ok(given)
}

/// Gives the tasks out: one statement an agent. Returns how the claim ids of each request's tasks begin.
fn take<'a>(
    tx: &Tx<'_>,
    requests: &'a [ClaimRequest],
    given: &[Vec<i64>],
    agents: &[AgentInfo],
) -> Result<Vec<String>> {
    let mut groups: BTreeMap<(&'a str, Duration), Vec<usize>> = BTreeMap::new();
    for (index, request) in requests.iter().enumerate().filter(|(index, _)| !given[*index].is_empty()) {
        groups.entry((&request.agent, request.lease)).or_default().push(index);
    }
    let mut claims = vec![String::new(); requests.len()];
    let mut busy = Vec::new();
    for ((agent, lease), group) in groups {
        let tasks: Vec<i64> = group.iter().flat_map(|index| &given[*index]).copied().collect();
        let prefix = ClaimId::new_prefix();
        let until = tx.now.saturating_add(micros(lease));
        let sql = concat!(
            "update or fail task set status = 'in_progress', claim_key = null, claimed_by = ?2, claimed_at = ?3,
              claim_id = ?4 || n, lease_version = lease_version + 1, attempts = attempts + 1,
              due_at = iif(links & ",
            links!(max_runtime),
            ", min(?5, ?3 + (select max_runtime from task_data d where d.n = task.n)), ?5),
              held_by = ?6, revision = revision + 1, updated_at = ?3
            where n in (select value from rarray(?1))"
        );
        let limited = agents.iter().any(|a| a.id == agent && a.max_concurrent.is_some());
        let held_by = limited.then_some(agent);
        tx.run(sql, params![list(tasks.iter().copied()), agent, tx.now, prefix, until, held_by])?;
        events::append(tx, "task.claimed", Some(agent), &tasks)?;
        group.into_iter().for_each(|index| claims[index].clone_from(&prefix));
        busy.push(agent);
    }
    registry::beat(tx, &busy)?;
    Ok(claims)
}

/// The tasks as their claimers get them, in the order in which they were given.
fn claimed(tx: &Tx<'_>, given: &[Vec<i64>], claims: &[String]) -> Result<Vec<Claimed>> {
    let numbers: Vec<i64> = given.iter().flatten().copied().collect();
    if numbers.is_empty() {
        return Ok(vec![]);
    }
    let mut claim_ids = given
        .iter()
        .zip(claims)
        .flat_map(|(tasks, prefix)| tasks.iter().map(move |row| ClaimId { prefix, row: *row }.to_string()));
    // Rows come in the order of the list, since the loops nest as they are written.
    let sql = concat!(
        "select t.id, t.type, t.lease_version, t.attempts, d.max_attempts, d.priority, t.due_at,
          iif(t.parent is null, null, (select id from task where n = t.parent)), d.title, d.description,
          d.delegated_by, d.payload,
          iif(t.lease_version > 1, (select checkpoint from task_result where n = t.n), null), t.links & ",
        links!(prerequisites),
        ", coalesce(d.correlation_id, t.id),
          iif(t.lease_version > 1, (select snoozes from task_result where n = t.n), null), d.max_runtime
        from rarray(?1) a cross join task t on t.n = a.value cross join task_data d on d.n = t.n"
    );
    let tasks = list(numbers.iter().copied());
    let mut fed = false;
    let mut claimed = tx.rows(sql, [&tasks], |row| {
        fed |= row.get::<_, bool>(13)?;
        let id: String = row.get(0)?;
        let lease = Lease {
            task_id: id.clone(),
            claim_id: claim_ids.next().unwrap_or_default(),
            version: row.get(2)?,
            attempt: row.get(3)?,
            expires_at: time(row.get(6)?),
        };
        Ok(Claimed {
            id,
            task_type: row.get(1)?,
            attempt: lease.attempt,
            max_attempts: row.get(4)?,
            max_runtime: row.get::<_, Option<Micros>>(16)?.map(duration),
            snoozes: row.get::<_, Option<u32>>(15)?.unwrap_or(0),
            priority: Priority::of_rank(row.get(5)?),
            parent_id: row.get(7)?,
            correlation_id: row.get(14)?,
            title: row.get(8)?,
            description: row.get(9)?,
            delegated_by: row.get(10)?,
            payload: json(row, 11)?,
            checkpoint: row.get::<_, Option<String>>(12)?.map(Json::stored),
            prerequisites: vec![],
            lease,
        })
    })?;
    if fed {
        let requests =
            given.iter().enumerate().flat_map(|(request, tasks)| tasks.iter().map(move |_| request));
        let places = numbers.into_iter().zip(requests.enumerate()).collect();
        for (place, prerequisite) in prerequisites(tx, &tasks, &places)? {
            claimed[place].prerequisites.push(prerequisite);
        }
    }
    Ok(claimed)
}

/// What the tasks waited for or are fed by, each with the place of its dependent, in order of their ids. `places` has
/// each task's place and its request.
fn prerequisites(
    tx: &Tx<'_>,
    tasks: &List,
    places: &HashMap<i64, (usize, usize)>,
) -> Result<Vec<(usize, Prerequisite)>> {
    let mut bytes: HashMap<usize, usize> = HashMap::new();
    let sql = "select e.dependent, p.id, e.type, p.status, r.results
        from rarray(?1) a cross join edge e on e.dependent = a.value cross join task p on p.n = e.prerequisite
        left join task_result r on r.n = p.n
        where e.type <> 'parallel_ok'";
    let mut prerequisites = tx.rows(sql, [tasks], |row| {
        let (place, request) = places[&row.get(0)?];
        let results = row.get_ref(4)?.as_str_or_null()?;
        let bytes = bytes.entry(request).or_default();
        let omitted = results.is_some() && *bytes >= ANSWER_BYTES;
        *bytes += results.map_or(0, str::len);
        let prerequisite = Prerequisite {
            id: row.get(1)?,
            dependency_type: word(row, 2)?,
            status: word(row, 3)?,
            results: results.filter(|_| !omitted).map(Json::stored),
            omitted,
        };
        Ok((place, prerequisite))
    })?;
    prerequisites.sort_by(|(_, a), (_, b)| a.id.cmp(&b.id));
    Ok(prerequisites)
}

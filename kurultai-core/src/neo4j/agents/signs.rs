//! The infrastructure heartbeat, and what both tell. The functional one is `tasks/cypher/beat.cypher`.

use super::{
    registry::status,
    roles::{self, all_roles},
};
use crate::{
    agents::{Beat, SPEAKS, Sign, Signs, Stalled},
    clock::Micros,
    error::Result,
    neo4j::{
        Neo4jStore,
        bolt::{Cells, cells, list},
        cypher::{clock, lock},
        statement::Statement,
    },
};
use std::collections::HashMap;

/// Without the namespace's lock: a heartbeat must not wait for those who work.
pub(in crate::neo4j) const BEAT: Statement =
    Statement::plain(concat!(clock!(), include_str!("cypher/beat.cypher")));

const CREATE: Statement = Statement::locking(concat!(
    lock!(),
    include_str!("cypher/create.cypher"),
    include_str!("cypher/registered.cypher"),
    "RETURN [beaten] AS row"
));

/// What there is of the agent `a` and speaks for or against its life, exactly, whoever wrote it and as what: the fence of
/// a verdict.
macro_rules! seen {
    () => {
        "[x IN [coalesce(a.infra_seq, 0), coalesce(a.func_seq, 0), a.infra_heartbeat, a.last_heartbeat, a.stopped_at,
      a.dead_at, a.status] | coalesce(toStringOrNull(x), '')]"
    };
}
pub(super) use seen;

pub(in crate::neo4j) const SIGNS: Statement = Statement::plain(concat!(
    clock!(),
    include_str!("cypher/signs.cypher"),
    "    ",
    seen!(),
    "]) AS agents }
",
    all_roles!(),
    "RETURN [now, held, agents, roles] AS row"
));

/// One statement, and a second one where somebody is to be created.
pub(super) async fn write(store: &Neo4jStore, instance: &str, mut beats: Vec<Beat>) -> Result<Vec<String>> {
    // Whoever locks several agents does so in this order, so that no two wait for each other.
    beats.sort_by(|a, b| a.agent.cmp(&b.agent));
    beats.dedup_by(|next, kept| {
        let same = next.agent == kept.agent;
        kept.last |= same && next.last;
        same
    });
    let row = |beat: Beat| cells![beat.agent, beat.last, beat.create];
    let rows = beats.iter().cloned().map(row);
    let beat = store.query(BEAT).param("beats", list(rows)).param("instance", instance);
    let beat = beat.param("speaks", SPEAKS.as_millis() as i64);
    let mut beaten: Vec<String> = store.one(beat).await?.next()?;
    beats.retain(|beat| beat.create.is_some() && !beaten.contains(&beat.agent));
    if !beats.is_empty() {
        let query = store.query(CREATE).param("beats", list(beats.into_iter().map(row)));
        beaten.extend(store.one(query).await?.next::<Vec<String>>()?);
    }
    Ok(beaten)
}

/// The signs of the agents, and what exactly was seen of each.
pub(super) async fn read(store: &Neo4jStore) -> Result<(Signs, Vec<Vec<String>>)> {
    let mut row = store.one(store.query(SIGNS)).await?;
    let now = row.next()?;
    let mut held = HashMap::new();
    for mut group in row.rows()? {
        if let Some(agent) = group.next::<Option<String>>()? {
            held.insert(agent, holds(group)?);
        }
    }
    let (mut agents, mut seen) = (vec![], vec![]);
    for mut agent in row.rows()? {
        let id: String = agent.next()?;
        let holds = held.remove(&id).unwrap_or_default();
        let sign = Sign {
            agent: id,
            infra: micros(&mut agent)?,
            functional: micros(&mut agent)?,
            sequence: agent.next()?,
            stopped_at: micros(&mut agent)?,
            dead_at: micros(&mut agent)?,
            ..holds
        };
        agents.push(sign.with_status(status(agent.next()?)));
        seen.push(agent.next()?);
    }
    Ok((Signs::new(now, agents, roles::list_of(row.rows()?)?), seen))
}

fn holds(mut group: Cells) -> Result<Sign> {
    let (holds, oldest_claim) = (group.next()?, micros(&mut group)?);
    let mut stalled: Option<Stalled> = None;
    for mut task in group.rows()? {
        let (id, task_type, since) = (task.next()?, task.next()?, micros(&mut task)?);
        if let Some(since) = since
            && stalled.as_ref().is_none_or(|oldest| since < oldest.since)
        {
            stalled = Some(Stalled { task: id, task_type, since });
        }
    }
    Ok(Sign { holds, oldest_claim, stalled, ..Sign::default() })
}

fn micros(row: &mut Cells) -> Result<Option<Micros>> {
    Ok(row.time()?.map(|at| at.timestamp_micros()))
}

//! Renewal, progress and checkpoints.

use super::read;
use crate::{
    clock::{Micros, micros, time},
    error::Result,
    messages::{MAX_DELIVERIES, MAX_UNREAD, UNREAD_LOOKS, Unread},
    neo4j::{
        Neo4jStore,
        bolt::{cells, count, list},
        cypher::hot_lock,
        statement::Statement,
    },
    tasks::{
        Extended, Lease, Signal,
        contract::{Answers, ExtendRequest, Handler},
        rules,
    },
};
use std::collections::HashMap;

pub(super) const EXTEND: Statement = Statement::locking(concat!(
    hot_lock!(),
    include_str!("../agents/cypher/offices.cypher"),
    include_str!("cypher/extend.cypher"),
    include_str!("cypher/beat.cypher"),
    "RETURN [unread, held] AS row"
));

/// What the store says of a lease.
#[derive(Clone)]
struct Renewed {
    until: Micros,
    signal: Signal,
    reason: Option<String>,
    unread: Unread,
}

pub(super) async fn extend(store: &Neo4jStore, requests: Vec<ExtendRequest>) -> Result<Answers<Extended>> {
    let rows = merged(&requests).into_iter().map(|ExtendRequest { extend: r, announce }| {
        let silent = if let Handler::Stalled(silent) = r.handler { Some(silent) } else { None };
        cells![
            r.lease.task_id,
            r.lease.claim_id,
            r.ttl.map(micros),
            r.progress,
            r.checkpoint.map(|json| json.to_string()),
            r.progress.filter(|_| announce).map(rules::progress),
            silent.map(micros),
            silent.map(rules::stalled),
            r.handler == Handler::Resumed
        ]
    });
    let query = store
        .query(EXTEND)
        .param("rows", list(rows))
        .param("looks", count(UNREAD_LOOKS))
        .param("unread", count(MAX_UNREAD))
        .param("most", i64::from(MAX_DELIVERIES));
    let mut answer = store.one(query).await?;
    let mut unread: HashMap<String, Unread> = HashMap::new();
    for mut row in answer.rows()? {
        unread.insert(row.next()?, Unread::told(row.next()?, row.next()?));
    }
    let mut held: HashMap<(String, String), Renewed> = HashMap::new();
    for mut row in answer.rows()? {
        let (lease, until) = ((row.next()?, row.next()?), row.next()?);
        let (control, paused): (Option<String>, bool) = (row.next()?, row.next()?);
        let asked = control.map(|word| word.parse()).transpose()?;
        let signal = asked.unwrap_or(if paused { Signal::Pause } else { Signal::Continue });
        let reason = row.next()?;
        let holder: Option<String> = row.next()?;
        let unread = holder.and_then(|holder| unread.get(&holder).copied()).unwrap_or_default();
        held.insert(lease, Renewed { until, signal, reason, unread });
    }
    let found = |lease: &Lease| held.get(&(lease.task_id.clone(), lease.claim_id.clone())).cloned();
    let lost = requests
        .iter()
        .filter(|r| found(&r.extend.lease).is_none())
        .map(|r| r.extend.lease.task_id.clone())
        .collect();
    let mut facts = read::facts(store, lost).await?.into_iter();
    let each = requests.into_iter().map(|r| r.extend.lease).map(|lease| match found(&lease) {
        Some(Renewed { until, signal, reason, unread }) => {
            Ok(Extended { lease: Lease { expires_at: time(until), ..lease }, signal, reason, unread })
        }
        None => Err(rules::not_extended(&lease, facts.next().flatten().as_ref())),
    });
    Ok(Answers { each: each.collect(), overdue: false })
}

/// One row a lease: two rows of one would both start from the old lease.
fn merged(requests: &[ExtendRequest]) -> Vec<ExtendRequest> {
    let mut merged: Vec<ExtendRequest> = Vec::with_capacity(requests.len());
    let mut places: HashMap<(&str, &str), usize> = HashMap::new();
    for each in requests {
        let request = &each.extend;
        match places.get(&(request.lease.task_id.as_str(), request.lease.claim_id.as_str())) {
            Some(place) => {
                merged[*place].announce |= each.announce;
                let first = &mut merged[*place].extend;
                first.ttl = first.ttl.max(request.ttl);
                if request.handler != Handler::Works {
                    first.handler = request.handler;
                }
                first.progress = request.progress.or(first.progress);
                first.checkpoint = request.checkpoint.clone().or_else(|| first.checkpoint.clone());
            }
            None => {
                places.insert((&request.lease.task_id, &request.lease.claim_id), merged.len());
                merged.push(each.clone());
            }
        }
    }
    merged
}

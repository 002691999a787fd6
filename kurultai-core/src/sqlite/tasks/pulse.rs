//! What those who wait are told, by reads beside the writer.

use super::{due, pause::paused, routes::Routes};
use crate::{
    clock::Micros,
    error::Result,
    news::Wanted,
    sqlite::{agents, events::last_seq, schedules, tx::Tx},
    store::Pulse,
};
use rusqlite::params;
use std::{collections::BTreeSet, time::Duration};

pub(in crate::sqlite) fn pulse(tx: &Tx<'_>, wanted: &[Wanted], routes: &mut Routes) -> Result<Pulse> {
    let left = |at: Micros| Duration::from_micros((at - tx.now).max(0).unsigned_abs());
    let (due, schedule_due) = (due::next_due(tx)?.map(left), schedules::next_due(tx)?.map(left));
    let ready = if wanted.is_empty() { None } else { ready(tx, wanted, routes)? };
    Ok(Pulse { event_seq: last_seq(tx)?, ready, due, schedule_due, linked: true })
}

/// The first claimable task of each route that somebody wants, an index seek each.
fn ready(tx: &Tx<'_>, wanted: &[Wanted], routes: &mut Routes) -> Result<Option<(usize, Micros)>> {
    routes.learn(tx)?;
    let names: Vec<&str> = wanted.iter().map(|wanted| wanted.agent.as_str()).collect();
    let (agents, paused, live) = (agents::of(tx, &names)?, paused(tx)?, routes.live(tx)?);
    let mut served = BTreeSet::new();
    for Wanted { agent, types } in wanted {
        let Some(agent) = agents.iter().find(|known| known.id == *agent && known.has_room()) else {
            continue;
        };
        let serves = routes.served_by(agent, types.as_deref(), &paused, live.as_deref());
        served.extend(serves.into_iter().map(|(index, _)| routes.all[index].0));
    }
    let mut ready = None;
    for route in served {
        let sql = "select claim_key from task where route = ?1 and claim_key is not null
              and (expires_at is null or expires_at > ?2)
            order by claim_key limit 1";
        if let Some(key) = tx.one(sql, params![route, tx.now], |row| row.get::<_, i64>(0))? {
            let (count, first) = ready.unwrap_or((0, key));
            ready = Some((count + 1, first.min(key)));
        }
    }
    Ok(ready)
}

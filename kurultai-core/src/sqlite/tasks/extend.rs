use super::{links::links, read};
use crate::{
    clock::{Micros, micros, time},
    error::Result,
    messages::Unread,
    sqlite::{agents, events, messages, tx::Tx},
    tasks::{
        Extended, Lease, Signal,
        contract::{Answers, Extend, ExtendRequest, Handler},
        rules,
    },
};
use rusqlite::params;
use std::collections::HashMap;

pub(super) fn extend(tx: &Tx<'_>, requests: &[ExtendRequest]) -> Result<Answers<Extended>> {
    let (mut each, mut unread) = (Vec::with_capacity(requests.len()), HashMap::new());
    let (mut working, roles) = (Vec::new(), agents::roles_by_holder(tx)?);
    for request in requests {
        let extended = match extend_one(tx, request)? {
            Some((mut extended, holder)) => {
                if let Some(holder) = holder {
                    extended.unread = match unread.get(&holder) {
                        Some(known) => *known,
                        None => {
                            let roles = roles.get(&holder).map(Vec::as_slice).unwrap_or_default();
                            *unread.entry(holder.clone()).or_insert(messages::waiting(tx, &holder, roles)?)
                        }
                    };
                    if !matches!(request.extend.handler, Handler::Stalled(_)) {
                        working.push(holder);
                    }
                }
                Ok(extended)
            }
            None => {
                let facts =
                    read::facts(tx, std::slice::from_ref(&request.extend.lease.task_id))?.pop().flatten();
                Err(rules::not_extended(&request.extend.lease, facts.as_ref()))
            }
        };
        each.push(extended);
    }
    working.sort_unstable();
    working.dedup();
    agents::beat(tx, &working.iter().map(String::as_str).collect::<Vec<_>>())?;
    Ok(Answers { each, overdue: false })
}

/// With its holder.
fn extend_one(tx: &Tx<'_>, request: &ExtendRequest) -> Result<Option<(Extended, Option<String>)>> {
    let Extend { lease, ttl, progress, checkpoint, handler } = &request.extend;
    let until = ttl.map_or(0, |ttl| tx.now.saturating_add(micros(ttl)));
    let sql = concat!(
        "update or fail task set due_at = max(due_at, iif(links & ",
        links!(max_runtime),
        ", min(?4, claimed_at + (select max_runtime from task_data d where d.n = task.n)), ?4)),
          revision = revision + 1, updated_at = ?5
        where id = ?2 and ns = ?1 and claim_id = ?3 and status = 'in_progress' and due_at > ?5
        returning n, control, claimed_by, lease_version, attempts, due_at,
          exists(select 1 from pause p where p.ns = ?1 and p.type in ('', task.type))"
    );
    let params = params![tx.ns, lease.task_id, lease.claim_id, until, tx.now];
    let found = tx.one(sql, params, |row| {
        let lease = Lease {
            version: row.get(3)?,
            attempt: row.get(4)?,
            expires_at: time(row.get(5)?),
            ..lease.clone()
        };
        let control: Option<String> = row.get(1)?;
        let signal = match control.and_then(|control| control.parse().ok()) {
            Some(signal) => signal,
            None if row.get(6)? => Signal::Pause,
            None => Signal::Continue,
        };
        let extended = Extended { lease, signal, reason: None, unread: Unread::default() };
        Ok((row.get::<_, i64>(0)?, extended, row.get::<_, Option<String>>(2)?))
    })?;
    let Some((n, mut extended, holder)) = found else { return Ok(None) };
    if extended.signal == Signal::Cancel {
        let sql = "select control_reason from task_result where n = ?1";
        extended.reason = tx.one(sql, [n], |row| row.get::<_, Option<String>>(0))?.flatten();
    }
    if progress.is_some() || checkpoint.is_some() {
        let sql = "insert into task_result(n, progress, checkpoint) values(?1, ?2, ?3)
            on conflict do update set progress = coalesce(excluded.progress, progress),
              checkpoint = coalesce(excluded.checkpoint, checkpoint)";
        tx.run(sql, params![n, progress, checkpoint.as_ref().map(|c| c.as_str())])?;
    }
    if let Some(progress) = progress.filter(|_| request.announce) {
        let payload = rules::progress(progress);
        events::append_one(tx, "task.progress", holder.as_deref(), Some(n), Some(payload))?;
    }
    match handler {
        Handler::Works => {}
        Handler::Stalled(silent) => {
            if mark_stalled(tx, n, &lease.claim_id, tx.now - micros(*silent))? {
                let payload = rules::stalled(*silent);
                events::append_one(tx, "agent.stuck", holder.as_deref(), Some(n), Some(payload))?;
            }
        }
        Handler::Resumed => {
            let sql = "update task_result set stalled_claim = null, stalled_at = null where n = ?1";
            tx.run(sql, [n])?;
        }
    }
    Ok(Some((extended, holder)))
}

/// Returns whether this claim had no mark yet.
fn mark_stalled(tx: &Tx<'_>, n: i64, claim_id: &str, since: Micros) -> Result<bool> {
    let sql = "insert into task_result(n, stalled_claim, stalled_at) values(?1, ?2, ?3)
        on conflict do update set stalled_claim = excluded.stalled_claim, stalled_at = excluded.stalled_at
        where stalled_claim is not excluded.stalled_claim";
    Ok(tx.run(sql, params![n, claim_id, since])? > 0)
}

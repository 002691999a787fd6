//! Messages go to whom they are for.

use super::read::{stored, stored_columns};
use crate::{
    clock::micros,
    error::Result,
    messages::{
        MAX_DELIVERIES, MessageStatus,
        contract::{Fetch, Stored},
    },
    sqlite::{
        agents,
        tx::{Tx, list},
    },
    tasks::contract::ANSWER_BYTES,
};
use rusqlite::{Row, params};

pub(super) fn fetch(tx: &Tx<'_>, requests: &[Fetch]) -> Result<Vec<Result<Vec<Stored>>>> {
    requests.iter().map(|request| give(tx, request).map(Ok)).collect()
}

fn give(tx: &Tx<'_>, request: &Fetch) -> Result<Vec<Stored>> {
    let mut found: Vec<(i64, bool, Stored)> = vec![];
    found.extend(waiting(tx, &request.agent, request)?);
    for role in agents::roles_of(tx, &request.agent)? {
        found.extend(waiting(tx, &format!("role:{role}"), request)?);
    }
    // Of each audience the first come first; of several the urgent, then the oldest.
    found.sort_by_key(|(n, urgent, _)| (!urgent, *n));
    found.truncate(request.max);
    let mut bytes = 0;
    found.retain(|(_, _, message)| {
        let fits = bytes < ANSWER_BYTES;
        bytes += message.token.len();
        fits
    });
    let until = tx.now.saturating_add(micros(request.visible));
    let sql = "update message set status = 'delivered', deliveries = ?5, visible_at = ?2, delivered_at = ?3,
        delivered_to = ?4 where n = ?1";
    let mut each = tx.each(sql)?;
    let mut given = Vec::with_capacity(found.len());
    for (n, _, mut message) in found {
        message.status = MessageStatus::Delivered;
        message.delivery += 1;
        each.run(params![n, until, tx.now, request.agent, message.delivery])?;
        given.push(message);
    }
    Ok(given)
}

fn waiting(tx: &Tx<'_>, audience: &str, request: &Fetch) -> Result<Vec<(i64, bool, Stored)>> {
    let sql = concat!(
        "select ",
        stored_columns!(),
        " where m.ns = ?1 and m.to_agent = ?2 and m.visible_at is not null and m.visible_at <= ?3 and m.expires_at > ?3
            and m.deliveries < ?4 and (?5 is null or m.type in (select value from rarray(?6)))
            and (?7 is null or m.reply_to = ?7 and m.from_agent =
              coalesce(?8, (select delivered_to from message where ns = ?1 and id = ?7)))
          order by m.urgent desc, m.n limit ?9"
    );
    let types = request.types.as_deref();
    let params = params![
        tx.ns,
        audience,
        tx.now,
        MAX_DELIVERIES,
        types.map(|types| types.len() as i64),
        list(types.unwrap_or_default().iter().cloned()),
        request.answer.as_ref().map(|answer| &answer.to),
        request.answer.as_ref().and_then(|answer| answer.from.as_ref()),
        request.max as i64,
    ];
    let row = |row: &Row<'_>| {
        let message = stored(tx, row)?;
        Ok((row.get(0)?, message.urgent, message))
    };
    let mut bytes = 0;
    tx.rows_until(sql, params, row, |(_, _, message): &(i64, bool, Stored)| {
        bytes += message.token.len();
        bytes >= ANSWER_BYTES
    })
}

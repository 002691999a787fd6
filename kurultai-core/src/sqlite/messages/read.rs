//! Messages as rows.

use super::keys;
use crate::{
    error::Result,
    messages::{
        MAX_DELIVERIES, MAX_UNREAD, MessageStatus, UNREAD_LOOKS, Unread,
        contract::{Part, Stored, Which},
    },
    sqlite::tx::{Tx, list, word},
    tasks::contract::ANSWER_BYTES,
};
use rusqlite::{Row, params};

/// What is read of a message `m` and of the key `k` that its row names. Whether it is the one that the token names is
/// for whoever verifies it.
macro_rules! stored_columns {
    () => {
        "m.n, m.id, m.token, m.thread, m.urgent, m.status, m.deliveries, m.code, m.created_at, m.to_agent, m.type,
      m.task_id, m.reply_to, k.agent_id, k.key_id, k.algorithm, k.state, k.created_at, k.activated_at, k.expires_at,
      k.public_key, k.secret, k.wrapping_key, k.reason
    from message m left join agent_key k on k.ns = m.ns and k.agent_id = m.from_agent and k.key_id = m.key_id"
    };
}

pub(super) use stored_columns;

/// Whatever somebody has written there: one row keeps no other back.
pub(super) fn stored(tx: &Tx<'_>, row: &Row<'_>) -> rusqlite::Result<Stored> {
    let (status, delivery) = (word(row, 5), row.get(6));
    let flaw = status.is_err().then_some("status").or(delivery.is_err().then_some("deliveries"));
    Ok(Stored {
        id: text(row, 1)?,
        token: text(row, 2)?,
        to: text(row, 9)?,
        message_type: text(row, 10)?,
        task_id: maybe(row, 11)?,
        reply_to: maybe(row, 12)?,
        thread: text(row, 3)?,
        urgent: row.get(4)?,
        status: status.unwrap_or(MessageStatus::Failed),
        delivery: delivery.unwrap_or(0),
        code: maybe(row, 7)?,
        created_at: row.get(8)?,
        fetch: None,
        flaw,
        key: row.get::<_, Option<String>>(13).ok().flatten().and_then(|_| keys::key(row, 13).ok()),
        now: tx.now,
    })
}

/// What is no UTF-8 is no text of a message, and contradicts its token.
pub(super) fn text(row: &Row<'_>, column: usize) -> rusqlite::Result<String> {
    maybe(row, column).map(Option::unwrap_or_default)
}

pub(super) fn maybe(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<String>> {
    let bytes = row.get_ref(column)?.as_bytes_or_null()?;
    Ok(bytes.map(|bytes| String::from_utf8_lossy(bytes).into_owned()))
}

/// In the order of their ids, which is about that in which they were sent; those of a thread in that in which they came.
pub(super) fn read(tx: &Tx<'_>, which: &Which, after: Option<&str>, most: usize) -> Result<Part> {
    // One more shows whether there are others.
    let (after, limit) = (after.unwrap_or_default(), most as i64 + 1);
    let row = |row: &Row<'_>| stored(tx, row);
    let mut bytes = 0;
    let is_last = |message: &Stored| {
        bytes += message.token.len();
        bytes >= ANSWER_BYTES
    };
    let mut stored = match which {
        Which::Thread(thread) => {
            let sql = concat!(
                "select ",
                stored_columns!(),
                " where m.ns = ?1 and m.thread = ?2
                  and m.n > coalesce((select n from message where ns = ?1 and id = ?3), 0) order by m.n limit ?4"
            );
            tx.rows_until(sql, params![tx.ns, thread, after, limit], row, is_last)?
        }
        Which::To(audiences) => {
            let sql = concat!(
                "select ",
                stored_columns!(),
                " where m.ns = ?1 and m.id > ?2 and m.to_agent in (select value from rarray(?3)) order by m.id limit ?4"
            );
            tx.rows_until(sql, params![tx.ns, after, list(audiences.iter().cloned()), limit], row, is_last)?
        }
        Which::From(agent) => {
            let sql = concat!(
                "select ",
                stored_columns!(),
                " where m.ns = ?1 and m.id > ?2 and m.from_agent = ?3 order by m.id limit ?4"
            );
            tx.rows_until(sql, params![tx.ns, after, agent, limit], row, is_last)?
        }
        Which::All => {
            let sql = concat!(
                "select ",
                stored_columns!(),
                " where m.ns = ?1 and m.id > ?2 order by m.id limit ?3"
            );
            tx.rows_until(sql, params![tx.ns, after, limit], row, is_last)?
        }
    };
    let more = stored.len() > most || bytes >= ANSWER_BYTES;
    stored.truncate(most);
    Ok(Part { stored, more })
}

pub(super) fn unread(tx: &Tx<'_>, agent: &str) -> Result<Unread> {
    let sql = "select count(*), coalesce(sum(urgent), 0) from message
        where ns = ?1 and visible_at is not null and expires_at > ?3 and to_agent in (select ?2 union all
          select 'role:' || role from role_lease where ns = ?1 and holder = ?2 and expires_at > ?3)";
    Ok(tx.one(sql, params![tx.ns, agent, tx.now], counted)?.unwrap_or_default())
}

/// What an agent with these roles would be given now, as a renewal tells it.
pub(in crate::sqlite) fn waiting(tx: &Tx<'_>, agent: &str, roles: &[String]) -> Result<Unread> {
    let mut all = in_inbox(tx, agent)?;
    for role in roles {
        let unread = in_inbox(tx, &format!("role:{role}"))?;
        all = Unread::told(all.count + unread.count, all.urgent + unread.urgent);
    }
    Ok(all)
}

fn in_inbox(tx: &Tx<'_>, audience: &str) -> Result<Unread> {
    let sql = "select count(*), coalesce(sum(urgent), 0) from (select urgent from
        (select urgent, visible_at, expires_at, deliveries from message
          where ns = ?1 and to_agent = ?2 and visible_at is not null order by urgent desc, n limit ?5)
        where visible_at <= ?3 and expires_at > ?3 and deliveries < ?4 limit ?6)";
    let params = params![tx.ns, audience, tx.now, MAX_DELIVERIES, UNREAD_LOOKS as i64, MAX_UNREAD as i64];
    Ok(tx.one(sql, params, counted)?.unwrap_or_default())
}

fn counted(row: &Row<'_>) -> rusqlite::Result<Unread> {
    Ok(Unread { count: row.get::<_, i64>(0)?.unsigned_abs(), urgent: row.get::<_, i64>(1)?.unsigned_abs() })
}

pub(super) fn told(tx: &Tx<'_>, dedupe_keys: Vec<String>) -> Result<Vec<String>> {
    let sql =
        "select m.dedupe_key from rarray(?2) a cross join message m on m.ns = ?1 and m.dedupe_key = a.value
        where m.visible_at is null or m.expires_at > ?3 and (m.deliveries < ?4 or m.visible_at > ?3)";
    tx.rows(sql, params![tx.ns, list(dedupe_keys), tx.now, MAX_DELIVERIES], |row| row.get(0))
}

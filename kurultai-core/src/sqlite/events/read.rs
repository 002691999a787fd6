//! Events of the log, by number or by topic.

use super::{key, last_seq};
use crate::{
    clock::time,
    error::Result,
    events::{
        Event, EventFilter, MOST_EVENTS,
        contract::Look,
        topic::{Pattern, Prefix},
    },
    json::Json,
    sqlite::tx::{Tx, list},
};
use rusqlite::{Row, params};

/// Among more topics of users than so many, events are looked for in the log.
const MOST_TOPICS: usize = 1_000;

macro_rules! select {
    ($from:literal, $which:literal) => {
        concat!(
            "select e.key & 0xfffffffffff, e.topic, e.source, coalesce(t.id, w.id), coalesce(t.type, w.type),
              coalesce(e.correlation_id, d.correlation_id, t.id, w.correlation_id), e.data, e.created_at
            from ",
            $from,
            " left join task t on t.n = e.task left join task_data d on d.n = t.n left join swept w on w.n = e.task
            where e.key > ?2 and e.key < ?7 and (?3 is null or e.source = ?3)
              and (?4 is null or e.task in (select n from task where id = ?4 and ns = ?1
                union all select n from swept where id = ?4 and ns = ?1))
              and (?5 is null or e.created_at >= ?5) and (?8 is null or coalesce(t.type, w.type) = ?8) ",
            $which
        )
    };
}

fn event(row: &Row<'_>) -> rusqlite::Result<Event> {
    Ok(Event {
        seq: row.get(0)?,
        topic: row.get(1)?,
        source: row.get(2)?,
        task_id: row.get(3)?,
        task_type: row.get(4)?,
        correlation_id: row.get(5)?,
        payload: row.get::<_, Option<String>>(6)?.map(Json::stored),
        created_at: time(row.get(7)?),
    })
}

pub(super) fn read(tx: &Tx<'_>, filter: &EventFilter, pattern: Option<&Pattern>) -> Result<Look> {
    let newest = last_seq(tx)?;
    let (after, end) = (key(tx, filter.after_seq), key(tx, MOST_EVENTS));
    let since = filter.since.map(|since| since.timestamp_micros());
    let (source, task, task_type) = (&filter.source, &filter.task_id, &filter.task_type);
    let limit = filter.limit as i64;
    let prefix = pattern.and_then(Pattern::prefix);
    let published = prefix.as_ref().filter(|prefix| prefix.is_published);
    let keys = match (published, pattern) {
        (Some(prefix), Some(pattern)) => keys_of(tx, prefix, pattern, [after, end, limit])?,
        _ => None,
    };
    let (events, ends_early) = match keys {
        Some(keys) => {
            let sql = select!("rarray(?9) k cross join event e on e.key = k.value", "");
            let last = keys.last().filter(|_| keys.len() == filter.limit).map(|last| last - key(tx, 0));
            let params = params![tx.ns, after, source, task, since, limit, end, task_type, list(keys)];
            let mut events = tx.rows(sql, params, event)?;
            events.sort_by_key(|event| event.seq);
            (events, last)
        }
        None => {
            let sql = select!(
                "event e",
                "and (?9 is null or e.topic >= ?9 and e.topic < ?10) order by e.key limit ?6"
            );
            let (from, to) = (prefix.as_ref().map(|prefix| &prefix.text), prefix.as_ref().map(Prefix::end));
            let params = params![tx.ns, after, source, task, since, limit, end, task_type, from, to];
            let events = tx.rows(sql, params, event)?;
            let last = events.last().filter(|_| events.len() == filter.limit).map(|last| last.seq);
            (events, last)
        }
    };
    let looked_to = ends_early.unwrap_or(newest.max(filter.after_seq));
    Ok(Look { events, looked_to, first: first_seq(tx, newest)?, newest })
}

/// Where the first of those events stand that users have published under a fitting topic; `None` where too many topics
/// begin so.
fn keys_of(
    tx: &Tx<'_>,
    prefix: &Prefix,
    pattern: &Pattern,
    [after, end, limit]: [i64; 3],
) -> Result<Option<Vec<i64>>> {
    let topics = match prefix.is_whole {
        true => vec![prefix.text.clone()],
        false => topics(tx, prefix)?,
    };
    if topics.len() > MOST_TOPICS {
        return Ok(None);
    }
    let sql = "select key from event indexed by event_published
        where depth is not null and topic = ?1 and key > ?2 and key < ?3 order by key limit ?4";
    let mut keys = vec![];
    for topic in topics.iter().filter(|topic| pattern.matches(topic)) {
        keys.extend(tx.rows(sql, params![topic, after, end, limit], |row| row.get::<_, i64>(0))?);
    }
    keys.sort_unstable();
    keys.truncate(limit.unsigned_abs() as usize);
    Ok(Some(keys))
}

/// Each topic that begins so once, and one more than are looked at; of every namespace of the file.
fn topics(tx: &Tx<'_>, prefix: &Prefix) -> Result<Vec<String>> {
    let sql = "with recursive t(topic) as (
          select (select topic from event indexed by event_published
            where depth is not null and topic >= ?1 and topic < ?2 order by topic limit 1)
          union all
          select (select topic from event indexed by event_published
            where depth is not null and topic > t.topic and topic < ?2 order by topic limit 1)
          from t where t.topic is not null
          limit ?3)
        select topic from t where topic is not null";
    tx.rows(sql, params![prefix.text, prefix.end(), MOST_TOPICS as i64 + 1], |row| row.get(0))
}

/// The first that retention has left, or that will be given out next.
pub(super) fn first_seq(tx: &Tx<'_>, newest: i64) -> Result<i64> {
    let sql = "select key - ?1 from event where key > ?1 and key < ?2 order by key limit 1";
    let first = tx.one(sql, [key(tx, 0), key(tx, MOST_EVENTS)], |row| row.get(0))?;
    Ok(first.unwrap_or(newest + 1))
}
